/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_BYTES = 1 << 16, HEAD_BYTES = 9, PATIENCE_MS = 20000 };

void client_prepare(struct client *client)
{
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .in = malloc(IN_BYTES)};
    nghttp2_hd_deflate_new(&client->deflater, 4096);
    nghttp2_hd_inflate_new(&client->inflater);
    const int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void client_reach(struct client *client, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    cr_assert_eq(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
}

void client_connect(struct client *client, uint16_t port)
{
    client_prepare(client);
    client_reach(client, port);
}

void client_close(struct client *client)
{
    close(client->fd);
    nghttp2_hd_deflate_del(client->deflater);
    nghttp2_hd_inflate_del(client->inflater);
    free(client->in);
}

/* A connection that the server has closed takes nothing: what the test looks at next will show it. */
void client_write(struct client *client, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    while (length > 0) {
        ssize_t sent = send(client->fd, at, length, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        at += sent;
        length -= (size_t)sent;
    }
}

void client_frame(struct client *client, uint8_t type, uint8_t flags, int32_t stream, const void *payload, size_t length)
{
    uint8_t *frame = malloc(HEAD_BYTES + length);
    const uint8_t head[HEAD_BYTES] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, type, flags,
                                      (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8),
                                      (uint8_t)stream};
    memcpy(frame, head, HEAD_BYTES);
    if (length)
        memcpy(frame + HEAD_BYTES, payload, length);
    client_write(client, frame, HEAD_BYTES + length);
    free(frame);
}

void client_window(struct client *client, int32_t stream, uint32_t bytes)
{
    uint32_t payload = htonl(bytes);
    client_frame(client, NGHTTP2_WINDOW_UPDATE, 0, stream, &payload, sizeof payload);
}

void client_greet(struct client *client)
{
    client_write(client, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    client_frame(client, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

void client_open(struct client *client, uint16_t port)
{
    client_connect(client, port);
    client_greet(client);
}

static nghttp2_nv as_nv(struct field field)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)field.name,
                        .value = (uint8_t *)(uintptr_t)field.value,
                        .namelen = strlen(field.name),
                        .valuelen = strlen(field.value)};
}

void client_headers(struct client *client, int32_t stream, uint8_t flags, const struct field *fields)
{
    nghttp2_nv list[300];
    uint8_t *block = malloc(1 << 20);
    size_t count = 0;
    for (; fields[count].name; count++)
        list[count] = as_nv(fields[count]);
    ssize_t length = nghttp2_hd_deflate_hd(client->deflater, block, 1 << 20, list, count);
    cr_assert_geq(length, 0);
    size_t left = (size_t)length, at = 0;
    for (uint8_t type = NGHTTP2_HEADERS; at == 0 || left > 0; type = NGHTTP2_CONTINUATION) {
        size_t part = left < 16384 ? left : 16384;
        uint8_t own = type == NGHTTP2_HEADERS ? flags : 0;
        left -= part;
        client_frame(client, type, (uint8_t)(own | (left ? 0 : NGHTTP2_FLAG_END_HEADERS)), stream, block + at, part);
        at += part;
    }
    free(block);
}

void client_call(struct client *client, int32_t stream, const char *path, struct field first, struct field second)
{
    client_headers(client, stream, 0,
                   (struct field[]){{":path", path},
                                    {":authority", "localhost"},
                                    {":method", "POST"},
                                    {":scheme", "https"},
                                    {"te", "trailers"},
                                    {"content-type", "application/grpc"},
                                    {"authorization", "Bearer good"},
                                    first.name ? first : (struct field){"user-agent", "test"},
                                    second,
                                    NO_FIELD});
}

void client_message(struct client *client, int32_t stream, const void *message, size_t length, bool end)
{
    uint8_t *framed = malloc(5 + length);
    const uint8_t prefix[5] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                               (uint8_t)length};
    memcpy(framed, prefix, 5);
    if (length)
        memcpy(framed + 5, message, length);
    client_frame(client, NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, stream, framed, 5 + length);
    free(framed);
}

void client_unary(struct client *client, int32_t stream, const char *path, const void *message, size_t length)
{
    client_call(client, stream, path, NO_FIELD, NO_FIELD);
    client_message(client, stream, message, length, true);
}

/* False: the connection ended. */
static bool fill(struct client *client, size_t wanted)
{
    while (client->in_length < wanted) {
        struct pollfd ready = {.fd = client->fd, .events = POLLIN};
        cr_assert_gt(poll(&ready, 1, PATIENCE_MS), 0, "the server says nothing");
        ssize_t got = recv(client->fd, client->in + client->in_length, IN_BYTES - client->in_length, 0);
        if (got <= 0)
            return false;
        client->in_length += (size_t)got;
    }
    return true;
}

static void answer(struct client *client, const struct frame *frame)
{
    if (frame->flags & NGHTTP2_FLAG_ACK)
        return;
    if (frame->type == NGHTTP2_SETTINGS)
        client_frame(client, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
    if (frame->type == NGHTTP2_PING)
        client_frame(client, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame->payload, frame->length);
}

bool client_next(struct client *client, struct frame *frame)
{
    if (!fill(client, HEAD_BYTES))
        return false;
    const uint8_t *head = client->in;
    frame->length = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream = (int32_t)((uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8]);
    cr_assert_leq(frame->length, sizeof frame->payload);
    if (!fill(client, HEAD_BYTES + frame->length))
        return false;
    memcpy(frame->payload, client->in + HEAD_BYTES, frame->length);
    client->in_length -= HEAD_BYTES + frame->length;
    memmove(client->in, client->in + HEAD_BYTES + frame->length, client->in_length);
    answer(client, frame);
    return true;
}

bool client_await(struct client *client, uint8_t type, struct frame *frame)
{
    while (client_next(client, frame))
        if (frame->type == type)
            return true;
    return false;
}

static void note_field(struct reply *reply, const nghttp2_nv *nv)
{
    const struct {
        const char *name;
        char *to;
        size_t size;
    } places[] = {
        {":status", reply->http, sizeof reply->http},
        {"grpc-status", reply->status, sizeof reply->status},
        {"grpc-message", reply->message, sizeof reply->message},
        {"content-type", reply->type, sizeof reply->type},
        {"test-peer", reply->peer, sizeof reply->peer},
        {"test-broken", reply->broken, sizeof reply->broken},
        {"test-session", reply->session, sizeof reply->session},
        {"grpc-accept-encoding", reply->accept, sizeof reply->accept},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strlen(places[i].name) == nv->namelen && memcmp(places[i].name, nv->name, nv->namelen) == 0) {
            cr_assert_lt(nv->valuelen, places[i].size);
            memcpy(places[i].to, nv->value, nv->valuelen);
        }
}

static void note_headers(struct client *client, const struct frame *frame, struct reply *reply)
{
    const uint8_t *at = frame->payload;
    size_t left = frame->length;
    int flags = 0;
    cr_assert(frame->flags & NGHTTP2_FLAG_END_HEADERS);
    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        nghttp2_nv nv;
        ssize_t used = nghttp2_hd_inflate_hd2(client->inflater, &nv, &flags, at, left, 1);
        cr_assert_geq(used, 0);
        at += used;
        left -= (size_t)used;
        if (reply && flags & NGHTTP2_HD_INFLATE_EMIT)
            note_field(reply, &nv);
    }
    nghttp2_hd_inflate_end_headers(client->inflater);
}

void client_note(struct client *client, const struct frame *frame, struct reply *reply)
{
    if (frame->type == NGHTTP2_HEADERS) {
        note_headers(client, frame, reply);
        reply->header_frames++;
    } else if (frame->type == NGHTTP2_DATA) {
        size_t room = sizeof reply->data - reply->data_length, kept = frame->length < room ? frame->length : room;
        memcpy(reply->data + reply->data_length, frame->payload, kept);
        reply->data_length += kept;
        reply->data_frames++;
        reply->small_cost += frame->length < 256 ? 256 - frame->length : 0;
    } else if (frame->type == NGHTTP2_RST_STREAM) {
        reply->reset = true;
        reply->reset_code = (uint32_t)frame->payload[2] << 8 | frame->payload[3];
    }
    if (frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA)
        reply->ended = reply->ended || frame->flags & NGHTTP2_FLAG_END_STREAM;
}

void client_reply(struct client *client, int32_t stream, struct reply *reply, size_t enough)
{
    static struct frame frame;
    static struct reply other;
    memset(reply, 0, sizeof *reply);
    while (!reply->ended && !reply->reset && (!enough || reply->data_length < enough)) {
        cr_assert(client_next(client, &frame), "the connection ended before the stream did");
        client_note(client, &frame, frame.stream == stream ? reply : &other);
        other.data_length = 0;
    }
}

bool client_is_closed(struct client *client, uint32_t *code, char text[128])
{
    static struct frame frame;
    *code = UINT32_MAX;
    text[0] = '\0';
    while (client_next(client, &frame))
        if (frame.type == NGHTTP2_GOAWAY) {
            size_t length = frame.length - 8 < 127 ? frame.length - 8 : 127;
            *code = (uint32_t)frame.payload[6] << 8 | frame.payload[7];
            memcpy(text, frame.payload + 8, length);
            text[length] = '\0';
        }
    return true;
}
