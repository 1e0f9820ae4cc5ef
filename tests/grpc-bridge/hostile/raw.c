/* raw.c: see raw.h.  SPDX-License-Identifier: Apache-2.0 */
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_HEAD = 9 };

struct raw *raw_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct raw *raw = need(calloc(1, sizeof *raw));
    raw->goaway = -1;
    raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(raw->fd >= 0 && connect(raw->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                fcntl(raw->fd, F_SETFL, O_NONBLOCK) == 0,
            "connect to %u: %s", port, strerror(errno));
    return raw;
}

/* True while it goes on. */
static bool goes_on(struct raw *raw, int result)
{
    int error = SSL_get_error(raw->ssl, result);
    raw->closed = raw->closed || (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE);
    return !raw->closed;
}

struct raw *raw_connect_tls(struct swarm *swarm, uint16_t port)
{
    struct raw *raw = raw_connect(port);
    raw->ssl = need(SSL_new(swarm->tls));
    SSL_set_fd(raw->ssl, raw->fd);
    for (uint64_t until = now_ns() + PATIENCE_NS;; swarm_turn(swarm, 1)) {
        ERR_clear_error();
        int result = SSL_connect(raw->ssl);
        if (result == 1 || !goes_on(raw, result))
            return raw;
        REQUIRE(now_ns() < until, "a handshake that does not end");
    }
}

struct raw *raw_connect_http2(struct swarm *swarm, uint16_t port)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct raw *raw = raw_connect_tls(swarm, port);
    raw_write(raw, preface, sizeof preface - 1);
    raw_frame(raw, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    return raw;
}

void raw_free(struct raw *raw)
{
    SSL_free(raw->ssl);
    close(raw->fd);
    free(raw->unwritten);
    free(raw);
}

static ssize_t write_some(struct raw *raw, const uint8_t *bytes, size_t length)
{
    if (raw->ssl == NULL) {
        ssize_t wrote = send(raw->fd, bytes, length, MSG_NOSIGNAL);
        raw->closed = raw->closed || (wrote < 0 && errno != EAGAIN);
        return wrote;
    }
    ERR_clear_error();
    int wrote = SSL_write(raw->ssl, bytes, (int)length);
    if (wrote <= 0)
        goes_on(raw, wrote);
    return wrote;
}

static void keep_unwritten(struct raw *raw, const uint8_t *bytes, size_t length)
{
    raw->unwritten = need(realloc(raw->unwritten, raw->unwritten_length + length + 1));
    memcpy(raw->unwritten + raw->unwritten_length, bytes, length);
    raw->unwritten_length += length;
}

bool raw_write(struct raw *raw, const void *bytes, size_t length)
{
    size_t at = 0;
    keep_unwritten(raw, bytes, length);
    while (at < raw->unwritten_length && !raw->closed) {
        ssize_t wrote = write_some(raw, raw->unwritten + at, raw->unwritten_length - at);
        if (wrote <= 0)
            break;
        at += (size_t)wrote;
    }
    raw->unwritten_length -= at;
    memmove(raw->unwritten, raw->unwritten + at, raw->unwritten_length);
    return !raw->closed;
}

bool raw_frame(struct raw *raw, uint8_t type, uint8_t flags, int32_t stream, const void *payload, size_t length)
{
    uint8_t frame[FRAME_HEAD + 32 * 1024] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, type,
                                             flags};
    uint32_t id = htonl((uint32_t)stream);
    REQUIRE(length <= sizeof frame - FRAME_HEAD, "a frame of %zu bytes", length);
    memcpy(frame + 5, &id, sizeof id);
    if (length > 0)
        memcpy(frame + FRAME_HEAD, payload, length);
    return raw_write(raw, frame, FRAME_HEAD + length);
}

static void look_at_frames(struct raw *raw)
{
    size_t at = 0;
    while (at + FRAME_HEAD <= raw->last_length) {
        const uint8_t *frame = raw->last + at;
        size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (at + FRAME_HEAD + length > raw->last_length)
            break;
        raw->frames[frame[3]]++;
        if (frame[3] == NGHTTP2_GOAWAY)
            raw->goaway = (int64_t)frame[13] << 24 | frame[14] << 16 | frame[15] << 8 | frame[16];
        at += FRAME_HEAD + length;
    }
    raw->last_length -= at;
    memmove(raw->last, raw->last + at, raw->last_length);
}

static ssize_t read_some(struct raw *raw, uint8_t *to, size_t room)
{
    if (raw->ssl == NULL) {
        ssize_t got = recv(raw->fd, to, room, 0);
        raw->closed = raw->closed || got == 0 || (got < 0 && errno != EAGAIN);
        return got;
    }
    ERR_clear_error();
    int got = SSL_read(raw->ssl, to, (int)room);
    if (got <= 0)
        goes_on(raw, got);
    return got;
}

void raw_read(struct raw *raw)
{
    while (!raw->closed) {
        if (raw->last_length == sizeof raw->last) /* no frames at all: a plain-text answer, say */
            raw->last_length = 0;
        ssize_t got = read_some(raw, raw->last + raw->last_length, sizeof raw->last - raw->last_length);
        if (got <= 0)
            return;
        raw->received += (size_t)got;
        raw->last_length += (size_t)got;
        if (raw->ssl != NULL)
            look_at_frames(raw);
    }
}

static size_t put_string(uint8_t *to, const char *text, size_t length)
{
    size_t at = 0;
    if (length < 127) {
        to[at++] = (uint8_t)length;
    } else {
        to[at++] = 127;
        size_t rest = length - 127;
        for (; rest >= 128; rest >>= 7)
            to[at++] = (uint8_t)(rest | 0x80);
        to[at++] = (uint8_t)rest;
    }
    memcpy(to + at, text, length);
    return at + length;
}

size_t raw_header(uint8_t *to, const char *name, const char *value, size_t value_length)
{
    size_t at = 0;
    to[at++] = 0x10; /* literal, never indexed, new name */
    at += put_string(to + at, name, strlen(name));
    return at + put_string(to + at, value, value_length);
}

size_t raw_request_headers(uint8_t *to, const char *path, const char *authorization, const char *session_id)
{
    const char *const headers[][2] = {{":method", "POST"}, {":scheme", "https"}, {":path", path},
                                      {":authority", "localhost"}, {"te", "trailers"},
                                      {"content-type", "application/grpc"}, {"authorization", authorization},
                                      {"session_id", session_id}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (headers[i][1] != NULL)
            at += raw_header(to + at, headers[i][0], headers[i][1], strlen(headers[i][1]));
    return at;
}
