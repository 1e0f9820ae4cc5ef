/* client/transport.c: grpc-wire 2, 3, 4.3 and 4.4, from the client's side.  SPDX-License-Identifier: Apache-2.0 */
#include "client/transport.h"

#include "base/clock.h"
#include "tls/channel.h"

#include <configstream/version.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    IN_BYTES = 64 * 1024,
    OUT_BYTES = 64 * 1024,
    TURN_BYTES = 1024 * 1024, /* read at most so much before looking at the clock and the rest of the world */
    STREAM_WINDOW = 1024 * 1024,
    CONNECTION_WINDOW = 8 * 1024 * 1024,
    HEADER_LIST_BYTES = 16 * 1024,
    OUTBOUND_ACKS_MAX = 200,
    QUEUE_MAX = 1000, /* frames that wait to go out; we have two calls */
    GOAWAY_TEXT_BYTES = 64,
    FIELDS_MAX = 12
};

enum phase { PHASE_CONNECT, PHASE_HANDSHAKE, PHASE_PREFACE, PHASE_UP };

struct transport {
    struct transport_options options;
    enum phase phase;
    int fd;
    struct channel *channel;
    nghttp2_session *session;
    bool want_write;  /* the socket has to take something first */
    bool more;        /* there may be bytes inside the channel, which poll() does not see */
    bool leaving, broken, pinging;
    int64_t now, up_ms, heard_ms, ping_ms;
    uint64_t received;
    uint32_t goaway_code;
    bool goaway_from_peer;
    char goaway_text[GOAWAY_TEXT_BYTES];
    size_t out_length, out_at;
    uint8_t in[IN_BYTES], out[OUT_BYTES];
};

/* ---- nghttp2's callbacks ----------------------------------------------------------------------------------------- */

static struct rpc *rpc_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

/* What a broken call still gets is dropped; its stream is reset at once. */
static int reset_if_broken(nghttp2_session *session, int32_t stream, struct rpc *rpc)
{
    if (!rpc->broken)
        return 0;
    rpc->stream = 0;
    nghttp2_session_set_stream_user_data(session, stream, NULL);
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL) == NGHTTP2_ERR_NOMEM
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t length, uint8_t flags, void *context)
{
    (void)flags, (void)context;
    struct rpc *rpc = rpc_of(session, frame->hd.stream_id);
    if (!rpc)
        return 0;
    rpc_field(rpc, (const char *)name, name_length, (const char *)value, length);
    return reset_if_broken(session, frame->hd.stream_id, rpc);
}

/* nghttp2 would drop the field and go on: count it all the same, or a block of such fields had no end. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_length, const uint8_t *value, size_t length, uint8_t flags, void *context)
{
    (void)name, (void)value;
    static const char NOTHING[] = "";
    (void)flags, (void)context;
    struct rpc *rpc = rpc_of(session, frame->hd.stream_id);
    if (!rpc)
        return 0;
    rpc->header_bytes += name_length + length;
    rpc_field(rpc, NOTHING, 0, NOTHING, 0);
    return reset_if_broken(session, frame->hd.stream_id, rpc);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length,
                   void *context)
{
    (void)flags;
    struct transport *transport = context;
    struct rpc *rpc = rpc_of(session, stream);
    if (rpc) {
        rpc_data(rpc, data, length, transport->now);
        rpc->data_ms = transport->now = now_ms(); /* to apply a message takes its time, which is not the server's */
    }
    /* Taken, whatever became of it: the connection's window must not shrink with calls that ended early. */
    int error = rpc ? nghttp2_session_consume(session, stream, length)
                    : nghttp2_session_consume_connection(session, length);
    if (error == NGHTTP2_ERR_NOMEM)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return rpc ? reset_if_broken(session, stream, rpc) : 0;
}

static void on_settings(struct transport *transport)
{
    if (transport->phase != PHASE_PREFACE)
        return;
    transport->phase = PHASE_UP;
    transport->up_ms = transport->now;
}

static void on_goaway(struct transport *transport, const nghttp2_goaway *goaway)
{
    size_t length = goaway->opaque_data_len;
    if (length >= sizeof transport->goaway_text)
        length = sizeof transport->goaway_text - 1;
    for (size_t i = 0; i < length; i++) {
        char c = (char)goaway->opaque_data[i];
        transport->goaway_text[i] = c >= 0x20 && c < 0x7f ? c : '?';
    }
    transport->goaway_text[length] = '\0';
    transport->goaway_code = goaway->error_code;
    transport->goaway_from_peer = transport->leaving = true;
    transport->broken = goaway->error_code != NGHTTP2_NO_ERROR;
}

/* The answer is whole, and what did not go out of the request is of no interest any more: nghttp2 would wait for that. */
static int end_unasked(nghttp2_session *session, int32_t stream, struct rpc *rpc)
{
    if (rpc->broken || nghttp2_session_get_stream_local_close(session, stream) != 0)
        return 0;
    rpc_closed(rpc, NGHTTP2_NO_ERROR);
    nghttp2_session_set_stream_user_data(session, stream, NULL);
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL) == NGHTTP2_ERR_NOMEM
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct transport *transport = context;
    int32_t stream = frame->hd.stream_id;
    struct rpc *rpc = stream ? rpc_of(session, stream) : NULL;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        on_settings(transport);
    else if (frame->hd.type == NGHTTP2_GOAWAY)
        on_goaway(transport, &frame->goaway);
    else if (frame->hd.type == NGHTTP2_RST_STREAM && rpc)
        rpc->reset_by_peer = true;
    else if (frame->hd.type == NGHTTP2_HEADERS && rpc)
        rpc_headers_done(rpc, end);
    int error = rpc ? reset_if_broken(session, stream, rpc) : 0;
    bool answers = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    return error == 0 && rpc && end && answers ? end_unasked(session, stream, rpc) : error;
}

/* Nothing may be submitted for the stream here: nghttp2 1.52 has already let go of it. */
static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
    (void)context;
    struct rpc *rpc = rpc_of(session, stream);
    if (rpc)
        rpc_closed(rpc, code);
    return 0;
}

/* nghttp2 found something wrong and goes on with what is open; we do not. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct transport *transport = context;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR && !transport->broken) {
        transport->broken = true;
        transport->goaway_code = frame->goaway.error_code;
    }
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *context)
{
    (void)source, (void)context;
    struct rpc *rpc = rpc_of(session, stream);
    if (!rpc) /* it was given up before its request went out */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = rpc->request_length - rpc->request_sent, length = left < room ? left : room;
    memcpy(to, rpc->request + rpc->request_sent, length);
    rpc->request_sent += length;
    if (rpc->request_sent == rpc->request_length)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)length;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    return callbacks;
}

static nghttp2_option *make_option(void)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS_MAX);
    return option;
}

static bool make_session(struct transport *transport)
{
    static const nghttp2_settings_entry SETTINGS[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0}, /* of the server's own: it has none to open */
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = make_option();
    bool made = callbacks && option && nghttp2_session_client_new2(&transport->session, callbacks, transport, option) == 0;
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return made &&
           nghttp2_submit_settings(transport->session, NGHTTP2_FLAG_NONE, SETTINGS,
                                   sizeof SETTINGS / sizeof *SETTINGS) == 0 &&
           nghttp2_session_set_local_window_size(transport->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0;
}

/* The kernel gives up on bytes that nobody acknowledges, as we do on a peer that sends none. */
static void set_options(int fd, const struct transport_options *options)
{
    const int on = 1;
    const unsigned patience = (unsigned)options->keepalive_timeout_ms;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
}

static int begin_connect(struct transport *transport, const struct address *address, struct failure *failure)
{
    char name[HOST_PORT_NAME_BYTES];
    host_port_name(&address->storage, name);
    transport->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (transport->fd < 0)
        return failure_set(failure, errno == EAFNOSUPPORT ? CFGS_ERR_UNREACHABLE : CFGS_ERR_SYSTEM,
                           "cannot open a socket for %s: %s", name, strerror(errno));
    set_options(transport->fd, &transport->options);
    if (connect(transport->fd, (const struct sockaddr *)&address->storage, address->length) == 0 ||
        errno == EINPROGRESS)
        return CFGS_OK;
    return failure_set(failure, CFGS_ERR_UNREACHABLE, "cannot connect to %s: %s", name, strerror(errno));
}

struct transport *transport_open(const struct address *address, SSL *ssl, const struct transport_options *options,
                                 struct failure *failure)
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport) {
        SSL_free(ssl);
        failure_memory(failure);
        return NULL;
    }
    transport->options = *options;
    transport->fd = -1;
    transport->now = now_ms();
    transport->want_write = true;
    if (begin_connect(transport, address, failure) == CFGS_OK) {
        transport->channel = channel_over(ssl, transport->fd, 0);
        ssl = NULL;
        if (transport->channel && make_session(transport))
            return transport;
        failure_memory(failure);
    }
    SSL_free(ssl);
    transport_close(transport);
    return NULL;
}

/* ---- writing and reading ----------------------------------------------------------------------------------------- */

static int lost(const struct transport *transport, enum channel_result result, struct failure *failure)
{
    bool up = transport->phase == PHASE_UP;
    if (transport->goaway_from_peer)
        return failure_set(failure, CFGS_ERR_UNREACHABLE, "the server ended the connection: %s%s%s",
                           nghttp2_http2_strerror(transport->goaway_code), transport->goaway_text[0] ? ": " : "",
                           transport->goaway_text);
    if (result == CHANNEL_CLOSED)
        return failure_set(failure, CFGS_ERR_UNREACHABLE, up ? "the server closed the connection"
                                                             : "the server closed the connection before it was up");
    if (up)
        return failure_set(failure, CFGS_ERR_UNREACHABLE, "the connection is lost: %s",
                           channel_reason(transport->channel));
    return failure_set(failure, CFGS_ERR_TLS, "TLS: %s", channel_reason(transport->channel));
}

static int broken(const struct transport *transport, struct failure *failure)
{
    if (transport->goaway_from_peer)
        return lost(transport, CHANNEL_CLOSED, failure);
    return failure_set(failure, CFGS_ERR_PROTOCOL, "the server broke HTTP/2: %s",
                       nghttp2_http2_strerror(transport->goaway_code));
}

/* Many frames in one record; DATA comes into being only here, so what is unsent stays bounded. */
static int gather(struct transport *transport, struct failure *failure)
{
    transport->out_at = transport->out_length = 0;
    while (transport->out_length <= OUT_BYTES / 2) { /* a frame of ours has at most 16 KiB and its head */
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(transport->session, &bytes);
        if (length < 0)
            return length == NGHTTP2_ERR_NOMEM
                       ? failure_memory(failure)
                       : failure_set(failure, CFGS_ERR_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)length));
        if (length == 0)
            break;
        memcpy(transport->out + transport->out_length, bytes, (size_t)length);
        transport->out_length += (size_t)length;
    }
    return CFGS_OK;
}

static int write_out(struct transport *transport, struct failure *failure)
{
    for (transport->want_write = false;;) {
        if (transport->out_at == transport->out_length) {
            int error = gather(transport, failure);
            if (error != CFGS_OK || !transport->out_length)
                return error;
        }
        size_t written;
        enum channel_result result = channel_write(transport->channel, transport->out + transport->out_at,
                                                   transport->out_length - transport->out_at, &written);
        if (result == CHANNEL_OK)
            transport->out_at += written;
        else if (result == CHANNEL_WANT_WRITE)
            return transport->want_write = true, CFGS_OK;
        else if (result == CHANNEL_WANT_READ)
            return CFGS_OK;
        else
            return lost(transport, result, failure);
    }
}

static int feed(struct transport *transport, size_t length, struct failure *failure)
{
    transport->received += length;
    transport->heard_ms = transport->now;
    transport->pinging = false;
    ssize_t taken = nghttp2_session_mem_recv(transport->session, transport->in, length);
    if (taken == NGHTTP2_ERR_NOMEM)
        return failure_memory(failure);
    if (taken < 0)
        return failure_set(failure, CFGS_ERR_PROTOCOL, "the server broke HTTP/2: %s", nghttp2_strerror((int)taken));
    if (nghttp2_session_get_outbound_queue_size(transport->session) > QUEUE_MAX)
        return failure_set(failure, CFGS_ERR_PROTOCOL, "the server asks for too many answers");
    return CFGS_OK;
}

/* A write in between gives windows back, and answers what has to be answered. */
static int read_in(struct transport *transport, struct failure *failure)
{
    transport->more = false;
    for (size_t total = 0; total < TURN_BYTES;) {
        size_t got;
        enum channel_result result = channel_read(transport->channel, transport->in, IN_BYTES, &got);
        if (result == CHANNEL_WANT_READ)
            return CFGS_OK;
        if (result == CHANNEL_WANT_WRITE)
            return transport->want_write = true, CFGS_OK;
        if (result != CHANNEL_OK)
            return lost(transport, result, failure);
        int error = feed(transport, got, failure);
        if (error == CFGS_OK && transport->out_at == transport->out_length)
            error = write_out(transport, failure);
        if (error != CFGS_OK)
            return error;
        total += got;
    }
    transport->more = true;
    return CFGS_OK;
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static int finish_connect(struct transport *transport, struct failure *failure)
{
    struct pollfd writable = {.fd = transport->fd, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof error;
    if (poll(&writable, 1, 0) <= 0)
        return CFGS_OK;
    if (getsockopt(transport->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error)
        return failure_set(failure, CFGS_ERR_UNREACHABLE, "cannot connect: %s", strerror(error));
    transport->phase = PHASE_HANDSHAKE;
    return CFGS_OK;
}

static int shake_hands(struct transport *transport, struct failure *failure)
{
    enum channel_result result = channel_handshake(transport->channel);
    transport->want_write = result == CHANNEL_WANT_WRITE;
    if (result == CHANNEL_OK)
        transport->phase = PHASE_PREFACE;
    else if (result == CHANNEL_CLOSED || result == CHANNEL_FAILED)
        return lost(transport, result, failure);
    return CFGS_OK;
}

static int keep_alive(struct transport *transport, struct failure *failure)
{
    if (transport->phase != PHASE_UP)
        return CFGS_OK;
    if (transport->pinging && transport->now - transport->ping_ms >= transport->options.keepalive_timeout_ms)
        return failure_set(failure, CFGS_ERR_UNREACHABLE, "the server is silent: no answer to a PING in %lld ms",
                           (long long)(transport->now - transport->ping_ms));
    if (transport->pinging || transport->now - transport->heard_ms < transport->options.keepalive_ms)
        return CFGS_OK;
    transport->pinging = true;
    transport->ping_ms = transport->now;
    return nghttp2_submit_ping(transport->session, NGHTTP2_FLAG_NONE, NULL) == 0 ? CFGS_OK : failure_memory(failure);
}

int transport_turn(struct transport *transport, int64_t now, struct failure *failure)
{
    int error = CFGS_OK;
    transport->now = now;
    if (transport->phase == PHASE_CONNECT)
        error = finish_connect(transport, failure);
    if (error == CFGS_OK && transport->phase == PHASE_HANDSHAKE)
        error = shake_hands(transport, failure);
    if (error != CFGS_OK || transport->phase < PHASE_PREFACE)
        return error;
    /* Reading comes first: the first bytes often arrived in the handshake's last flight, and they may be a good-bye. */
    error = read_in(transport, failure);
    if (error == CFGS_OK)
        error = keep_alive(transport, failure);
    if (error == CFGS_OK)
        error = write_out(transport, failure);
    if (error == CFGS_OK && (transport->broken || (!nghttp2_session_want_read(transport->session) &&
                                                   !nghttp2_session_want_write(transport->session))))
        error = broken(transport, failure);
    return error;
}

int transport_flush(struct transport *transport, struct failure *failure)
{
    return transport->phase < PHASE_PREFACE || transport->want_write ? CFGS_OK : write_out(transport, failure);
}

void transport_close(struct transport *transport)
{
    struct failure ignored;
    if (!transport)
        return;
    if (transport->phase >= PHASE_PREFACE) {
        nghttp2_session_terminate_session(transport->session, NGHTTP2_NO_ERROR);
        (void)write_out(transport, &ignored);
        channel_shutdown(transport->channel);
    }
    channel_free(transport->channel);
    nghttp2_session_del(transport->session);
    if (transport->fd >= 0)
        close(transport->fd);
    OPENSSL_cleanse(transport->in, sizeof transport->in);
    OPENSSL_cleanse(transport->out, sizeof transport->out);
    free(transport);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

int transport_fd(const struct transport *transport) { return transport->fd; }
bool transport_is_up(const struct transport *transport) { return transport->phase == PHASE_UP; }
bool transport_is_connected(const struct transport *transport) { return transport->phase > PHASE_CONNECT; }
bool transport_is_leaving(const struct transport *transport) { return transport->leaving; }
int64_t transport_up_ms(const struct transport *transport) { return transport->up_ms; }
int64_t transport_heard_ms(const struct transport *transport) { return transport->heard_ms; }

bool transport_has_room(const struct transport *transport)
{
    return nghttp2_session_get_remote_settings(transport->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) > 1;
}

bool transport_is_pinged_out(const struct transport *transport)
{
    return transport->goaway_from_peer && transport->goaway_code == NGHTTP2_ENHANCE_YOUR_CALM &&
           strcmp(transport->goaway_text, "too_many_pings") == 0;
}

short transport_events(const struct transport *transport)
{
    return (short)((transport->phase == PHASE_CONNECT ? 0 : POLLIN) | (transport->want_write ? POLLOUT : 0));
}

int64_t transport_due(const struct transport *transport)
{
    if (transport->more)
        return transport->now;
    if (transport->phase != PHASE_UP)
        return INT64_MAX;
    return transport->pinging ? transport->ping_ms + transport->options.keepalive_timeout_ms
                              : transport->heard_ms + transport->options.keepalive_ms;
}

uint64_t transport_take_received(struct transport *transport)
{
    uint64_t received = transport->received;
    transport->received = 0;
    return received;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* Names are ours and static; values live until the headers went out only if `kept`. */
static nghttp2_nv field(const char *name, const char *value, uint8_t flags)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        (uint8_t)(flags | NGHTTP2_NV_FLAG_NO_COPY_NAME)};
}

int transport_call(struct transport *transport, struct rpc *rpc, const char *path, const char *session,
                   int64_t timeout_ms, struct failure *failure)
{
    char timeout[24];
    nghttp2_nv fields[FIELDS_MAX] = {
        field(":method", "POST", 0), field(":scheme", "https", 0), field(":path", path, 0),
        field(":authority", transport->options.authority, 0), field("te", "trailers", 0),
        field("content-type", "application/grpc", 0), field("user-agent", "configstream-remote/" CFGS_VERSION, 0),
        /* Secrets are kept out of compression tables, ours and those of proxies; and nghttp2 need not copy this one. */
        field("authorization", transport->options.authorization, NGHTTP2_NV_FLAG_NO_INDEX | NGHTTP2_NV_FLAG_NO_COPY_VALUE)};
    size_t count = 8;
    if (session)
        fields[count++] = field("session_id", session, NGHTTP2_NV_FLAG_NO_INDEX);
    if (timeout_ms) {
        snprintf(timeout, sizeof timeout, "%lldm", (long long)(timeout_ms < 99999999 ? timeout_ms : 99999999));
        fields[count++] = field("grpc-timeout", timeout, 0);
    }
    const nghttp2_data_provider provider = {.read_callback = read_request};
    rpc->data_ms = transport->now;
    int32_t stream = nghttp2_submit_request(transport->session, NULL, fields, count, &provider, rpc);
    if (stream < 0)
        return stream == NGHTTP2_ERR_NOMEM ? failure_memory(failure)
                                           : failure_set(failure, CFGS_ERR_UNREACHABLE, "the call cannot be made: %s",
                                                         nghttp2_strerror(stream));
    rpc->stream = stream;
    return CFGS_OK;
}

void transport_forget(struct transport *transport, struct rpc *rpc)
{
    if (rpc->stream && transport) {
        nghttp2_session_set_stream_user_data(transport->session, rpc->stream, NULL);
        nghttp2_submit_rst_stream(transport->session, NGHTTP2_FLAG_NONE, rpc->stream, NGHTTP2_CANCEL);
    }
    rpc_clear(rpc);
}
