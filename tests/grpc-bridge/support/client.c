/* client.c: see client.h.  SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, WRITE_BYTES = 64 * 1024, EVENTS = 512, CONNECTION_WINDOW = 1 << 30, PREFIX_BYTES = 5 };
enum { ROOM_BYTES = 4096 /* with less, much takes too long to be waited for */ };

static uint8_t read_buffer[READ_BYTES];

/* ---- the swarm --------------------------------------------------------------------------------------------------- */

struct swarm *swarm_new(const char *certificate_file, const char *token)
{
    struct swarm *swarm = need(calloc(1, sizeof *swarm));
    signal(SIGPIPE, SIG_IGN); /* the other side may end whenever it likes */
    swarm->epoll = epoll_create1(EPOLL_CLOEXEC);
    swarm->tls = SSL_CTX_new(TLS_client_method());
    REQUIRE(swarm->epoll >= 0 && swarm->tls != NULL, "no epoll or no TLS context");
    REQUIRE(certificate_file == NULL ||
                (SSL_CTX_use_certificate_chain_file(swarm->tls, certificate_file) == 1 &&
                 SSL_CTX_use_PrivateKey_file(swarm->tls, certificate_file, SSL_FILETYPE_PEM) == 1),
            "%s holds no certificate with its key", certificate_file);
    SSL_CTX_set_mode(swarm->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                     SSL_MODE_RELEASE_BUFFERS);
    static const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX_set_alpn_protos(swarm->tls, h2, sizeof h2);
    if (token != NULL)
        snprintf(swarm->authorization, sizeof swarm->authorization, "Bearer %s", token);
    return swarm;
}

static void stream_free(struct stream *stream)
{
    free(stream->request);
    free(stream->pending);
    free(stream);
}

static void peer_free(struct peer *peer)
{
    peer_close(peer, "the test is over");
    while (peer->streams != NULL) {
        struct stream *stream = peer->streams;
        peer->streams = stream->next;
        stream_free(stream);
    }
    free(peer);
}

void swarm_free(struct swarm *swarm)
{
    while (swarm->peers != NULL) {
        struct peer *peer = swarm->peers;
        swarm->peers = peer->next;
        peer_free(peer);
    }
    SSL_CTX_free(swarm->tls);
    close(swarm->epoll);
    free(swarm);
}

static void watch(struct peer *peer, bool writing)
{
    uint32_t wanted = (peer->deaf ? 0 : EPOLLIN) | (writing ? EPOLLOUT : 0);
    if (wanted == peer->watched)
        return;
    struct epoll_event event = {.events = wanted, .data.ptr = peer};
    REQUIRE(epoll_ctl(peer->swarm->epoll, EPOLL_CTL_MOD, peer->fd, &event) == 0, "epoll: %s", strerror(errno));
    peer->watched = wanted;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void keep_pending(struct stream *stream, const uint8_t *data, size_t length)
{
    size_t wanted = stream->pending_length + length;
    if (wanted > stream->pending_room) {
        stream->pending_room = wanted + wanted / 2;
        stream->pending = need(realloc(stream->pending, stream->pending_room));
    }
    memcpy(stream->pending + stream->pending_length, data, length);
    stream->pending_length = wanted;
}

/* Hand over all whole messages; returns how many bytes they took. */
static size_t deliver(struct stream *stream, const uint8_t *data, size_t length)
{
    size_t at = 0;
    while (length - at >= PREFIX_BYTES) {
        const uint8_t *p = data + at;
        size_t size = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        REQUIRE(p[0] == 0, "a message with flag %u", p[0]);
        if (length - at - PREFIX_BYTES < size)
            break;
        stream->messages++;
        if (stream->on_message != NULL)
            stream->on_message(stream, p + PREFIX_BYTES, size);
        at += PREFIX_BYTES + size;
    }
    return at;
}

static void take_bytes(struct stream *stream, const uint8_t *data, size_t length)
{
    if (stream->pending_length == 0) {
        size_t taken = deliver(stream, data, length);
        if (taken < length)
            keep_pending(stream, data + taken, length - taken);
        return;
    }
    keep_pending(stream, data, length);
    size_t taken = deliver(stream, stream->pending, stream->pending_length);
    if (taken == 0)
        return; /* or a long message would be moved with each of its parts */
    stream->pending_length -= taken;
    memmove(stream->pending, stream->pending + taken, stream->pending_length);
    if (stream->pending_length == 0) { /* thousands of streams: keep nothing for the next */
        free(stream->pending);
        stream->pending = NULL;
        stream->pending_room = 0;
    }
}

static void stream_end(struct stream *stream, int64_t reset)
{
    if (stream->ended)
        return;
    stream->ended = true;
    stream->reset = reset;
    if (stream->on_end != NULL)
        stream->on_end(stream);
}

/* ---- HTTP/2 ------------------------------------------------------------------------------------------------------ */

static bool is_time(enum peer_updates when, int32_t read, int32_t left, int32_t window)
{
    switch (when) {
    case UPDATES_AT_ONCE: return read > 0;
    case UPDATES_AT_A_QUARTER: return read > 0 && read >= window / 4;
    case UPDATES_WHEN_EMPTY: return read > 0 && left <= 0;
    default: return read > 0 && read >= window / 2;
    }
}

static void tell_stream(const struct stream *stream)
{
    nghttp2_session *session = stream->peer->session;
    int32_t read = nghttp2_session_get_stream_effective_recv_data_length(session, stream->id) - (int32_t)stream->held;
    int32_t left = nghttp2_session_get_stream_local_window_size(session, stream->id);
    int32_t window = nghttp2_session_get_stream_effective_local_window_size(session, stream->id);
    if (!stream->ended && is_time(stream->peer->options.updates, read, left, window))
        REQUIRE(nghttp2_submit_window_update(session, 0, stream->id, read) == 0, "a stream's window");
}

static void tell_connection(const struct peer *peer)
{
    int32_t read = nghttp2_session_get_effective_recv_data_length(peer->session) - (int32_t)peer->held;
    int32_t left = nghttp2_session_get_local_window_size(peer->session);
    int32_t window = nghttp2_session_get_effective_local_window_size(peer->session);
    if (is_time(peer->options.updates, read, left, window))
        REQUIRE(nghttp2_submit_window_update(peer->session, 0, 0, read) == 0, "a connection's window");
}

static void tell_all(const struct peer *peer)
{
    for (const struct stream *stream = peer->streams; stream != NULL; stream = stream->next)
        tell_stream(stream);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t length, void *user)
{
    (void)flags;
    struct peer *peer = user;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL)
        return 0;
    if (stream->holding) {
        stream->held += length;
        peer->held += length;
    }
    tell_stream(stream);
    tell_connection(peer);
    take_bytes(stream, data, length);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t length, uint8_t flags, void *user)
{
    (void)flags, (void)user;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    if (name_length == 11 && memcmp(name, "grpc-status", 11) == 0)
        stream->status = atoi((const char *)value);
    if (name_length == 12 && memcmp(name, "grpc-message", 12) == 0)
        snprintf(stream->message, sizeof stream->message, "%.*s", (int)length, (const char *)value);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct peer *peer = user;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_SETTINGS && frame->hd.flags & NGHTTP2_FLAG_ACK)
        tell_all(peer); /* from now on the windows are others */
    else if (frame->hd.type == NGHTTP2_SETTINGS)
        peer->ready = true;
    else if (frame->hd.type == NGHTTP2_GOAWAY)
        peer->goaway = (int32_t)frame->goaway.error_code;
    else if (frame->hd.type == NGHTTP2_HEADERS && stream != NULL)
        stream->began = true;
    else if (frame->hd.type == NGHTTP2_DATA && stream != NULL && peer->on_data_frame != NULL)
        peer->on_data_frame(stream, frame->hd.length);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct peer *peer = user;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL)
        return 0;
    peer->held -= stream->held; /* the connection's window must not shrink with each stream that ends */
    stream->held = 0;
    tell_connection(peer);
    stream_end(stream, code);
    return 0;
}

static void session_new(struct peer *peer)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    REQUIRE(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0, "out of memory");
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, 100000); /* what the test opens goes out at once */
    REQUIRE(nghttp2_session_client_new2(&peer->session, callbacks, peer, option) == 0, "out of memory");
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);

    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, peer->options.window}};
    nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, settings, peer->options.set_window ? 2 : 1);
    if (!peer->options.keep_connection_window)
        nghttp2_session_set_local_window_size(peer->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void tls_failed(struct peer *peer, int result, const char *what)
{
    char text[120] = "the other side ended";
    unsigned long error = ERR_peek_last_error();
    if (SSL_get_error(peer->ssl, result) == SSL_ERROR_SYSCALL && errno != 0)
        snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    else if (error != 0)
        snprintf(text, sizeof text, "%s: %s", what, ERR_reason_error_string(error));
    peer_close(peer, text);
}

static bool would_wait(const struct peer *peer, int result)
{
    int error = SSL_get_error(peer->ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

struct peer *peer_connect(struct swarm *swarm, uint16_t port, const struct peer_options *options)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct peer *peer = need(calloc(1, sizeof *peer));
    *peer = (struct peer){.swarm = swarm, .next = swarm->peers, .goaway = -1};
    if (options != NULL)
        peer->options = *options;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    REQUIRE(peer->fd >= 0 && setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
                connect(peer->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                fcntl(peer->fd, F_SETFL, O_NONBLOCK) == 0,
            "connect to %u: %s", port, strerror(errno));
    peer->ssl = need(SSL_new(swarm->tls));
    SSL_set_fd(peer->ssl, peer->fd);
    SSL_set_connect_state(peer->ssl);
    peer->watched = EPOLLIN | EPOLLOUT;
    struct epoll_event event = {.events = peer->watched, .data.ptr = peer};
    REQUIRE(epoll_ctl(swarm->epoll, EPOLL_CTL_ADD, peer->fd, &event) == 0, "epoll: %s", strerror(errno));
    swarm->peers = peer;
    swarm->opened++;
    return peer;
}

void peer_set(struct peer *peer, uint32_t window, uint32_t frame_max)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
                                               {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, frame_max}};
    REQUIRE(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, settings, 2) == 0, "SETTINGS");
    peer_flush(peer);
}

bool peer_is_full(const struct peer *peer)
{
    int32_t window = nghttp2_session_get_effective_local_window_size(peer->session);
    return nghttp2_session_get_local_window_size(peer->session) <= 0 || window - (int32_t)peer->held < ROOM_BYTES;
}

void peer_close(struct peer *peer, const char *reason)
{
    if (peer->closed)
        return;
    REQUIRE(!peer->receiving, "peer_close() inside a callback");
    peer->closed = true;
    peer->swarm->closed++;
    snprintf(peer->reason, sizeof peer->reason, "%s", reason);
    close(peer->fd);
    SSL_free(peer->ssl);
    nghttp2_session_del(peer->session);
    peer->session = NULL;
    free(peer->unwritten);
    peer->unwritten = NULL;
    for (struct stream *stream = peer->streams; stream != NULL; stream = stream->next)
        stream_end(stream, -1);
}

void peer_deafen(struct peer *peer, bool deaf)
{
    peer->deaf = deaf;
    if (!peer->closed)
        watch(peer, peer->unwritten_length > 0);
}

/* True: all went out. */
static bool write_out(struct peer *peer, const uint8_t *data, size_t length)
{
    size_t at = 0;
    while (at < length) {
        ERR_clear_error();
        errno = 0;
        int wrote = SSL_write(peer->ssl, data + at, (int)(length - at));
        if (wrote <= 0 && !would_wait(peer, wrote)) {
            tls_failed(peer, wrote, "write");
            return false;
        }
        if (wrote <= 0)
            break;
        at += (size_t)wrote;
    }
    if (at == length)
        return true;
    uint8_t *rest = need(malloc(length - at));
    memcpy(rest, data + at, length - at);
    free(peer->unwritten);
    peer->unwritten = rest;
    peer->unwritten_length = length - at;
    return false;
}

static size_t gather(struct peer *peer, uint8_t *to)
{
    const uint8_t *data;
    size_t length = 0;
    ssize_t got;
    while (length < WRITE_BYTES && (got = nghttp2_session_mem_send(peer->session, &data)) > 0) {
        REQUIRE(length + (size_t)got <= 2 * WRITE_BYTES, "a frame of %zd bytes", got);
        memcpy(to + length, data, (size_t)got);
        length += (size_t)got;
    }
    return length;
}

void peer_flush(struct peer *peer)
{
    static uint8_t buffer[2 * WRITE_BYTES];
    if (peer->closed || !peer->secure || peer->receiving)
        return;
    tell_connection(peer);
    if (peer->unwritten_length > 0) {
        size_t length = peer->unwritten_length;
        peer->unwritten_length = 0;
        if (!write_out(peer, peer->unwritten, length))
            return;
        free(peer->unwritten);
        peer->unwritten = NULL;
    }
    for (size_t length; (length = gather(peer, buffer)) > 0;)
        if (!write_out(peer, buffer, length))
            break;
    if (!peer->closed)
        watch(peer, peer->unwritten_length > 0);
}

static void handshake(struct peer *peer)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(peer->ssl);
    if (result == 1) {
        peer->secure = true;
        session_new(peer);
    } else if (would_wait(peer, result)) {
        watch(peer, SSL_want_write(peer->ssl));
    } else {
        tls_failed(peer, result, "handshake");
    }
}

static void read_in(struct peer *peer)
{
    while (!peer->closed && !peer->deaf) {
        ERR_clear_error();
        errno = 0;
        int got = SSL_read(peer->ssl, read_buffer, READ_BYTES);
        if (got <= 0) {
            if (!would_wait(peer, got))
                tls_failed(peer, got, "read");
            return;
        }
        peer->bytes_read += (uint64_t)got;
        peer->receiving = true;
        ssize_t took = nghttp2_session_mem_recv(peer->session, read_buffer, (size_t)got);
        peer->receiving = false;
        if (took != got)
            peer_close(peer, took < 0 ? nghttp2_strerror((int)took) : "HTTP/2 broke off");
    }
}

static void handle(struct peer *peer, uint32_t events)
{
    if (peer->closed)
        return;
    if (!peer->secure)
        handshake(peer);
    if (peer->closed || !peer->secure)
        return;
    if (!peer->deaf)
        read_in(peer);
    else if (events & (EPOLLHUP | EPOLLERR))
        peer_close(peer, "the other side ended");
    peer_flush(peer);
}

void swarm_turn(struct swarm *swarm, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(swarm->epoll, events, EVENTS, timeout_ms);
    REQUIRE(count >= 0 || errno == EINTR, "epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        handle(events[i].data.ptr, events[i].events);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)user;
    struct stream *stream = source->ptr;
    size_t length = stream->request_length - stream->request_sent;
    length = length < room ? length : room;
    memcpy(to, stream->request + stream->request_sent, length);
    stream->request_sent += length;
    if (stream->request_sent == stream->request_length)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)length;
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

static void frame_request(struct stream *stream, const uint8_t *message, size_t length)
{
    stream->request_length = PREFIX_BYTES + length;
    stream->request = need(malloc(stream->request_length));
    const uint8_t prefix[PREFIX_BYTES] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                                          (uint8_t)length};
    memcpy(stream->request, prefix, sizeof prefix);
    if (length > 0)
        memcpy(stream->request + PREFIX_BYTES, message, length);
}

struct stream *stream_open(struct peer *peer, const char *path, const uint8_t *message, size_t length,
                           const char *session_id)
{
    REQUIRE(peer->session != NULL, "no connection for %s: %s", path, peer->reason);
    struct stream *stream = need(calloc(1, sizeof *stream));
    *stream = (struct stream){.peer = peer, .next = peer->streams, .status = -1, .reset = -1};
    frame_request(stream, message, length);
    nghttp2_nv headers[8] = {header(":method", "POST"), header(":scheme", "https"), header(":path", path),
                             header(":authority", "localhost"), header("te", "trailers"),
                             header("content-type", "application/grpc")};
    size_t count = 6;
    if (peer->swarm->authorization[0] != '\0')
        headers[count++] = header("authorization", peer->swarm->authorization);
    if (session_id != NULL)
        headers[count++] = header("session_id", session_id);
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_request};
    stream->id = nghttp2_submit_request(peer->session, NULL, headers, count, &provider, stream);
    REQUIRE(stream->id > 0, "%s: %s", path, nghttp2_strerror(stream->id));
    peer->streams = stream;
    peer_flush(peer);
    return stream;
}

void stream_grant(struct stream *stream, size_t bytes)
{
    size_t granted = bytes < stream->held ? bytes : stream->held;
    if (granted == 0 || stream->ended)
        return;
    stream->held -= granted;
    stream->peer->held -= granted;
    tell_stream(stream);
    peer_flush(stream->peer);
}

void stream_hold(struct stream *stream, bool holding)
{
    stream->holding = holding;
    if (!holding)
        stream_grant(stream, stream->held);
}

void stream_cancel(struct stream *stream)
{
    if (stream->ended)
        return;
    nghttp2_submit_rst_stream(stream->peer->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
    peer_flush(stream->peer);
}
