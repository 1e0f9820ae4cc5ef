/* http2/session.c: nghttp2's callbacks.  grpc-wire 4.1, 4.2, 5.  SPDX-License-Identifier: Apache-2.0 */
#include "http2/internal.h"

#include <string.h>

enum {
    CONNECTION_WINDOW = 1 << 20,
    OUTBOUND_ACKS_MAX = 200,
    RESETS_PER_SECOND = 100,
    QUEUE_MIN = 5000, /* frames waiting to go out */
    SETTING_NO_RFC7540_PRIORITIES = NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES
};

static int64_t clock_of(const struct connection *connection)
{
    return connection->worker->now_ms;
}

static size_t header_max(const struct connection *connection)
{
    return (size_t)LIMIT(&connection->worker->bridge->limits, max_header_bytes);
}

void session_note(struct connection *connection, enum abuse_kind kind)
{
    if (!abuse_note(&connection->abuse, kind, clock_of(connection), connection->streams_max))
        connection_abuse(connection, abuse_name(kind));
}

static struct call *call_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

/* ---- what comes in ----------------------------------------------------------------------------------------------- *
 *
 * What was read together with the frame that ended the connection still passes through here, and must do nothing. */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *context)
{
    (void)session, (void)head;
    session_note(context, ABUSE_FRAMES);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct connection *connection = context;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST || connection->closing)
        return 0;
    if (connection->drain == DRAIN_FINAL)
        return 0; /* the second GOAWAY may still wait to go out, but it leaves this one out, which then comes elsewhere */
    int32_t stream = frame->hd.stream_id;
    struct call *call = call_open(connection, stream);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, stream, call);
    /* Incremental: else an older stream's snapshot would hold up the updates of all younger ones. */
    const nghttp2_extpri fair = {NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
    return nghttp2_session_change_extpri_stream_priority(session, stream, &fair, 1) == 0
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *context)
{
    (void)flags;
    struct call *call = call_of(session, frame->hd.stream_id);
    if (!call)
        return 0;
    /* Trailers of the client count too, but say nothing. */
    if (!request_count(&call->request, name_length, value_length, header_max(context)))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        request_field(&call->request, (const char *)name, (const char *)value, value_length);
    return 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                             void *context)
{
    (void)session, (void)frame, (void)name, (void)name_length, (void)value, (void)value_length, (void)flags;
    struct connection *connection = context;
    COUNT(&connection->worker->counters, malformed_requests, 1);
    session_note(connection, ABUSE_INVALID);
    return 0;
}

/* A RST_STREAM or GOAWAY follows, and is noted when it goes out. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
    (void)session, (void)frame, (void)error;
    struct connection *connection = context;
    COUNT(&connection->worker->counters, malformed_requests, 1);
    return 0;
}

/* Frames of a kind we do not know have no meaning; without this they would not be counted either. */
static int on_unknown_frame(nghttp2_session *session, void **payload, const nghttp2_frame_hd *head, void *context)
{
    (void)session, (void)payload, (void)head, (void)context;
    return NGHTTP2_ERR_CANCEL;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length,
                         void *context)
{
    (void)flags;
    const struct connection *connection = context;
    struct call *call = call_of(session, stream);
    if (call && !connection->closing)
        call_data(call, data, length);
    return 0;
}

static void on_settings(struct connection *connection)
{
    session_note(connection, ABUSE_SETTINGS);
    if (connection->phase == PHASE_PREFACE)
        connection->phase = PHASE_OPEN;
    call_wake_waiting(connection); /* the windows of all streams may have grown */
}

static void on_ping(struct connection *connection, const nghttp2_frame *frame)
{
    const struct limits *limits = &connection->worker->bridge->limits;
    if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        connection_pong(connection, frame->ping.opaque_data);
    else if (!abuse_ping(&connection->abuse, clock_of(connection), LIMIT(limits, min_ping_interval)))
        connection_abuse(connection, "too_many_pings");
}

/* A send window that is whole again: all we sent was read. */
static void on_window_update(nghttp2_session *session, struct connection *connection, int32_t stream)
{
    struct call *call = stream ? call_of(session, stream) : NULL;
    if (call && nghttp2_session_get_stream_remote_window_size(session, stream) >=
                    (int32_t)nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
        account_give_back(&connection->account, &call->spent);
    call_wake_waiting(connection);
}

static void on_stream_frame(nghttp2_session *session, const nghttp2_frame *frame, struct connection *connection)
{
    struct call *call = call_of(session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0 && !ends)
        session_note(connection, ABUSE_INVALID);
    if (call && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        call_headers_done(call);
    if (call && ends)
        call_half_closed(call);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct connection *connection = context;
    if (connection->closing)
        return 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: on_stream_frame(session, frame, connection); break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            on_settings(connection);
        break;
    case NGHTTP2_PING: on_ping(connection, frame); break;
    case NGHTTP2_RST_STREAM: session_note(connection, ABUSE_RESETS); break;
    case NGHTTP2_WINDOW_UPDATE: on_window_update(session, connection, frame->hd.stream_id); break;
    default: break;
    }
    return 0;
}

/* Nothing may be queued for the stream here: nghttp2 1.52 has already let go of it. */
static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
    (void)error;
    struct connection *connection = context;
    struct call *call = call_of(session, stream);
    if (!call)
        return 0;
    call_close(call);
    call_wake_waiting(connection); /* what it had spent was given back */
    return 0;
}

/* ---- what went out ----------------------------------------------------------------------------------------------- */

/* The client still sends: ask it to stop.  Not earlier, since a reset overtakes trailers that wait. */
static void stop_client(nghttp2_session *session, struct connection *connection, int32_t stream)
{
    const struct call *call = call_of(session, stream);
    if (call && !call->half_closed &&
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR) != 0)
        connection_end(connection);
}

/* Deadlines, answers that came early and streams that we end amid a message are no fault of the peer's, however many. */
static void note_reset(nghttp2_session *session, struct connection *connection, const nghttp2_frame *frame)
{
    const struct call *call = call_of(session, frame->hd.stream_id);
    if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR && !(call && call->reset))
        session_note(connection, ABUSE_INVALID);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct connection *connection = context;
    int32_t stream = frame->hd.stream_id;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        abuse_forgive_pings(&connection->abuse);
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            stop_client(session, connection, stream);
        break;
    case NGHTTP2_DATA:
        abuse_forgive_pings(&connection->abuse);
        abuse_expect_windows(&connection->abuse);
        break;
    case NGHTTP2_RST_STREAM: note_reset(session, connection, frame); break;
    case NGHTTP2_GOAWAY:
        /* nghttp2 goes on with open streams after an error it found; we do not. */
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
            connection_blame(connection, nghttp2_http2_strerror(frame->goaway.error_code));
        else
            connection_goaway_sent(connection);
        break;
    default: break;
    }
    return 0;
}

/* ---- the session ------------------------------------------------------------------------------------------------- */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    return callbacks;
}

static nghttp2_option *make_option(uint32_t streams_max)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0)
        return NULL;
    nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, 2 * (uint64_t)streams_max, RESETS_PER_SECOND);
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
    return option;
}

/* Without waiting for the client: several do not call a connection ready before this came. */
static bool queue_settings(struct connection *connection)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, connection->streams_max},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)header_max(connection)},
        {SETTING_NO_RFC7540_PRIORITIES, 1}, /* or closed streams would be kept for their place in a tree */
    };
    nghttp2_session *session = connection->session;
    return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0 &&
           nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0;
}

bool session_open(struct connection *connection)
{
    connection->streams_max = (uint32_t)LIMIT(&connection->worker->bridge->limits, max_streams);
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = make_option(connection->streams_max);
    bool made = callbacks && option &&
                nghttp2_session_server_new2(&connection->session, callbacks, connection, option) == 0;
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return made && queue_settings(connection);
}

static size_t queue_max(const struct connection *connection)
{
    size_t by_streams = 4 * (size_t)connection->streams_max;
    return by_streams > QUEUE_MIN ? by_streams : QUEUE_MIN;
}

void session_feed(struct connection *connection, const uint8_t *data, size_t length)
{
    ssize_t taken = nghttp2_session_mem_recv(connection->session, data, length);
    connection_touch(connection);
    if (taken < 0)
        connection_blame(connection, nghttp2_strerror((int)taken));
    else if (nghttp2_session_get_outbound_queue_size(connection->session) > queue_max(connection))
        connection_abuse(connection, "too_many_frames_to_answer");
}
