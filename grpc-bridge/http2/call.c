/* http2/call.c: from header fields to trailers.  grpc-wire 1.1 to 1.4, 4.2.  SPDX-License-Identifier: Apache-2.0 */
#include "http2/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_MAX_BYTES = 4 << 20,   /* clients refuse larger messages by default */
    QUEUES_MAX_BYTES = 16 << 20, /* of all calls on a connection; the last may go beyond it by its own */
    ROOM_PATIENCE_MS = 2000,     /* how long a call waits for more room while it has a little */
    FIELDS_MAX = 4 + CALL_METADATA_MAX
};

static int64_t clock_of(const struct call *call)
{
    return call->connection->worker->now_ms;
}

static const struct bridge *bridge_of(const struct call *call)
{
    return call->connection->worker->bridge;
}

static struct counters *counters_of(const struct call *call)
{
    return &call->connection->worker->counters;
}

/* ---- what a service asks ----------------------------------------------------------------------------------------- */

struct worker *call_worker(const struct call *call)
{
    return call->connection->worker;
}

void *call_state(const struct call *call)
{
    return call->state;
}

void call_set_state(struct call *call, void *state)
{
    call->state = state;
}

const struct call_method *call_method(const struct call *call)
{
    return call->request.method;
}

const char *call_session_id(const struct call *call)
{
    return call->request.session_id;
}

const char *call_peer(const struct call *call)
{
    return call->connection->peer;
}

bool call_peer_is_local(const struct call *call)
{
    return call->connection->local;
}

/* ---- header fields out ------------------------------------------------------------------------------------------- */

struct fields {
    nghttp2_nv list[FIELDS_MAX];
    size_t count;
};

static void add_field(struct fields *fields, const char *name, const char *value)
{
    fields->list[fields->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name, /* nghttp2 copies both */
        .value = (uint8_t *)(uintptr_t)value,
        .namelen = strlen(name),
        .valuelen = strlen(value),
    };
}

static void add_response(struct fields *fields, const struct call *call)
{
    add_field(fields, ":status", "200");
    add_field(fields, "content-type", "application/grpc");
    for (unsigned i = 0; i < call->metadata_count; i++)
        add_field(fields, call->metadata[i].name, call->metadata[i].value);
}

/* nghttp2 refuses to queue only for want of memory. */
static void check_queued(struct call *call, int result)
{
    if (result != 0)
        connection_end(call->connection);
    connection_touch(call->connection);
}

/* A value goes out as it is, and the peer would drop one with other characters: so we do. */
static bool may_travel(const char *value)
{
    size_t length = strlen(value);
    for (size_t i = 0; i < length; i++)
        if (value[i] < 0x20 || value[i] > 0x7e)
            return false;
    return length > 0 && value[0] != ' ' && value[length - 1] != ' ';
}

void call_add_metadata(struct call *call, const char *name, const char *value)
{
    if (call->begun || call->over || call->metadata_count == CALL_METADATA_MAX || !may_travel(value))
        return;
    char *copy = strdup(value);
    if (!copy) {
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    call->metadata[call->metadata_count].name = name;
    call->metadata[call->metadata_count++].value = copy;
}

/* ---- the end of a call ------------------------------------------------------------------------------------------- */

static void drop_queue(struct call *call)
{
    free(call->queue);
    call->queue = NULL;
    call->connection->queued -= call->queue_capacity;
    call->queue_at = call->queue_length = call->queue_capacity = 0;
}

/* Whatever was not sent is dropped, and whatever still comes. */
static void set_over(struct call *call)
{
    call->over = true;
    timer_stop(&call->deadline);
    drop_queue(call);
    framer_next(&call->framer);
}

static void reset(struct call *call, uint32_t code)
{
    set_over(call);
    call->reset = true;
    check_queued(call, nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE, call->stream, code));
}

/* Amid a message trailers would be taken for a broken stream; these codes mean the same status to clients. */
static uint32_t reset_code(enum grpc_status status)
{
    switch (status) {
    case GRPC_UNAVAILABLE: return NGHTTP2_REFUSED_STREAM;
    case GRPC_RESOURCE_EXHAUSTED: return NGHTTP2_ENHANCE_YOUR_CALM;
    case GRPC_PERMISSION_DENIED: return NGHTTP2_INADEQUATE_SECURITY;
    case GRPC_INTERNAL: return NGHTTP2_INTERNAL_ERROR;
    default: return NGHTTP2_CANCEL;
    }
}

/* Of a stream that has begun, these overtake what its provider still holds: that is to be dropped. */
static void send_status(struct call *call, enum grpc_status status, const char *message)
{
    nghttp2_session *session = call->connection->session;
    struct fields fields = {.count = 0};
    char code[4], encoded[GRPC_MESSAGE_ENCODED_BYTES];
    snprintf(code, sizeof code, "%u", (unsigned)status);
    if (!call->begun)
        add_response(&fields, call);
    add_field(&fields, "grpc-status", code);
    if (grpc_message_encode(message, encoded) > 0)
        add_field(&fields, "grpc-message", encoded);
    if (status == GRPC_UNIMPLEMENTED && call->request.encoding_refused)
        add_field(&fields, "grpc-accept-encoding", "identity");
    set_over(call);
    check_queued(call, call->begun ? nghttp2_submit_trailer(session, call->stream, fields.list, fields.count)
                                   : nghttp2_submit_response(session, call->stream, fields.list, fields.count, NULL));
}

void call_fail(struct call *call, enum grpc_status status, const char *format, ...)
{
    if (call->over)
        return;
    char message[GRPC_MESSAGE_MAX_BYTES + 8]; /* what is longer is cut at a character by the encoder */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    COUNT(counters_of(call), calls_failed, 1);
    if (cut_is_between(&call->cut))
        send_status(call, status, message);
    else
        reset(call, reset_code(status));
}

static void expire(struct call *call)
{
    if (call->over)
        return;
    COUNT(counters_of(call), calls_failed, 1);
    reset(call, NGHTTP2_CANCEL); /* the client has given up by its own clock */
}

/* Not gRPC at all: an HTTP status, and no field of gRPC. */
static void refuse_http(struct call *call, const char *http_status)
{
    struct fields fields = {.count = 0};
    add_field(&fields, ":status", http_status);
    set_over(call);
    check_queued(call, nghttp2_submit_response(call->connection->session, call->stream, fields.list, fields.count, NULL));
}

/* ---- bytes out --------------------------------------------------------------------------------------------------- */

void call_begin(struct call *call)
{
    if (call->begun || call->over)
        return;
    struct fields fields = {.count = 0};
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = call_provide};
    add_response(&fields, call);
    call->begun = true;
    call->progress_ms = clock_of(call);
    check_queued(call, nghttp2_submit_response(call->connection->session, call->stream, fields.list, fields.count,
                                               &provider));
}

static void let_go_on(struct call *call)
{
    /* It says no when the stream was not put off: then it is asked for bytes anyway. */
    (void)nghttp2_session_resume_data(call->connection->session, call->stream);
    connection_touch(call->connection);
}

void call_resume(struct call *call)
{
    if (!call->asleep || call->over)
        return;
    call->asleep = false;
    call->progress_ms = clock_of(call);
    let_go_on(call);
}

static void drop_sent(struct call *call)
{
    if (call->queue_at == 0)
        return;
    call->queue_length -= call->queue_at;
    memmove(call->queue, call->queue + call->queue_at, call->queue_length);
    call->queue_at = 0;
}

static bool reserve(struct call *call, size_t wanted)
{
    if (call->queue_length + wanted <= call->queue_capacity)
        return true;
    drop_sent(call);
    size_t doubled = 2 * call->queue_capacity, needed = call->queue_length + wanted;
    size_t capacity = needed > doubled ? needed : doubled;
    uint8_t *queue = realloc(call->queue, capacity);
    if (!queue)
        return false;
    call->queue = queue;
    call->connection->queued += capacity - call->queue_capacity;
    call->queue_capacity = capacity;
    return true;
}

static bool enqueue(struct call *call, const uint8_t *message, size_t length)
{
    if (length > QUEUE_MAX_BYTES || call->queue_length - call->queue_at + length > QUEUE_MAX_BYTES ||
        call->connection->queued > QUEUES_MAX_BYTES) {
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "too many bytes of answers wait: read them, or ask for less at once");
        return false;
    }
    if (!reserve(call, GRPC_PREFIX_BYTES + length)) {
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    framing_write_prefix(call->queue + call->queue_length, length);
    if (length)
        memcpy(call->queue + call->queue_length + GRPC_PREFIX_BYTES, message, length);
    call->queue_length += GRPC_PREFIX_BYTES + length;
    return true;
}

void call_reply(struct call *call, const uint8_t *message, size_t length)
{
    if (call->over || !enqueue(call, message, length))
        return;
    call_finish(call);
}

bool call_send(struct call *call, const uint8_t *message, size_t length)
{
    if (call->over || !enqueue(call, message, length))
        return false;
    call_begin(call);
    call_resume(call);
    return true;
}

void call_finish(struct call *call)
{
    call->finishing = true;
    call_begin(call);
    call_resume(call);
}

/* Put off until call_wake_waiting(). */
static ssize_t wait_for_room(struct call *call)
{
    call->waiting = call->connection->waiting = true;
    return NGHTTP2_ERR_DEFERRED;
}

static ssize_t sleep_until_resumed(struct call *call)
{
    call->asleep = true;
    return NGHTTP2_ERR_DEFERRED;
}

/* Clients tell what they read once it is half a window.  Of one that is smaller than this, what is left may be less than a
 * frame that costs nothing needs, and yet all there is: who gives so little cannot be spared small frames. */
static bool keeps_account(const struct call *call)
{
    return nghttp2_session_get_remote_settings(call->connection->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) >=
           ACCOUNT_WINDOW_LEAST;
}

static void count_sent(struct call *call, size_t length)
{
    if (keeps_account(call))
        account_sent(&call->connection->account, &call->spent, length);
}

static ssize_t sent(struct call *call, const uint8_t *bytes, size_t length)
{
    cut_follow(&call->cut, bytes, length);
    call->progress_ms = clock_of(call);
    return (ssize_t)length;
}

static ssize_t provide_queued(struct call *call, uint8_t *to, size_t room)
{
    size_t left = call->queue_length - call->queue_at, length = left < room ? left : room;
    if (keeps_account(call) && !call->hasty && !account_allows(&call->connection->account, length))
        return wait_for_room(call);
    memcpy(to, call->queue + call->queue_at, length);
    call->queue_at += length;
    if (call->queue_at == call->queue_length)
        drop_queue(call);
    count_sent(call, length);
    return sent(call, to, length);
}

static ssize_t pull_uncounted(struct call *call, uint8_t *to, size_t room, size_t at_least)
{
    size_t length = call->request.method->pull(call, to, room, at_least);
    if (call->over)
        return NGHTTP2_ERR_DEFERRED; /* it failed the call: its end overtakes what it wrote */
    return length ? sent(call, to, length) : sleep_until_resumed(call);
}

static ssize_t pull(struct call *call, uint8_t *to, size_t room, size_t at_least)
{
    ssize_t result = pull_uncounted(call, to, room, at_least);
    if (result > 0)
        count_sent(call, (size_t)result);
    return result;
}

/* Less room than a frame takes that costs nothing, and yet the client may give no more before it got that. */
static ssize_t provide_last(struct call *call, uint8_t *to, size_t room)
{
    struct account *account = &call->connection->account;
    /* Siblings that it does not read may hold the rest of the connection's window, all but half and a little.  One frame
     * uses it up, whoever sends it, so that there are few: they are not counted. */
    if (nghttp2_session_get_remote_window_size(call->connection->session) <= (int32_t)room)
        return pull_uncounted(call, to, room, room < ACCOUNT_FRAME_BYTES ? room : ACCOUNT_FRAME_BYTES);
    /* Some give a stream's window once it is used up. */
    if (!call->hasty || !account_has_last(account))
        return wait_for_room(call);
    ssize_t result = pull(call, to, room, 0);
    if (result > 0 && !cut_is_between(&call->cut))
        account_sent(account, &call->spent, 0); /* the rest of a message may be as small as can be */
    return result;
}

static ssize_t provide_pulled(struct call *call, uint8_t *to, size_t room)
{
    if (!keeps_account(call) || !account_is_tight(&call->connection->account))
        return pull(call, to, room, 0);
    if (room < 2 * ACCOUNT_FRAME_BYTES) /* no room to cut a message so that neither part is small */
        return provide_last(call, to, room);
    return pull(call, to, room, ACCOUNT_FRAME_BYTES);
}

/* The only place where trailers do not overtake the stream's own data. */
static void end_well(struct call *call, uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    send_status(call, GRPC_OK, "");
}

ssize_t call_provide(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                     nghttp2_data_source *source, void *context)
{
    (void)session, (void)stream, (void)context;
    struct call *call = source->ptr;
    if (call->over || call->connection->closing)
        return NGHTTP2_ERR_DEFERRED;
    ssize_t result = 0;
    if (call->queue)
        result = provide_queued(call, to, room);
    else if (!call->finishing)
        result = call->request.method->pull ? provide_pulled(call, to, room) : sleep_until_resumed(call);
    if (result >= 0 && call->finishing && !call->queue)
        end_well(call, flags);
    return result;
}

void call_wake_waiting(struct connection *connection)
{
    if (!connection->waiting)
        return;
    connection->waiting = false;
    for (struct list *link = connection->calls.next; link != &connection->calls; link = link->next) {
        struct call *call = LIST_MEMBER(link, struct call, link);
        if (call->waiting && !call->over)
            let_go_on(call);
        call->waiting = false;
    }
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static bool is_let_in(struct call *call)
{
    const struct bridge *bridge = bridge_of(call);
    if (bridge->no_auth || (call->request.method->open_on_loopback && call->connection->local))
        return true;
    enum token_result token = credentials_check(bridge->credentials, call->request.authorization);
    if (token == TOKEN_OK)
        return true;
    COUNT(counters_of(call), authorization_errors, 1);
    call_fail(call, GRPC_UNAUTHENTICATED, token == TOKEN_MISSING ? "Request unauthenticated with Bearer"
                                                                 : "invalid auth token: invalid session token");
    return false;
}

/* The clock of one that arrived expired already is not started. */
static void start_clock(struct call *call)
{
    int64_t timeout = call->request.timeout_ms, due;
    if (timeout == 0)
        call_fail(call, GRPC_DEADLINE_EXCEEDED, "the deadline was over when the call came");
    if (timeout <= 0)
        return;
    if (__builtin_add_overflow(clock_of(call), timeout, &due))
        due = INT64_MAX;
    timers_add(call->connection->worker->timers, &call->deadline, due);
}

static void refuse(struct call *call, enum request_verdict verdict)
{
    COUNT(counters_of(call), malformed_requests, verdict != REQUEST_NO_MEMORY);
    switch (verdict) {
    case REQUEST_TOO_LARGE:
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "the header list is larger than %lld bytes or %d fields",
                  (long long)LIMIT(&bridge_of(call)->limits, max_header_bytes), REQUEST_FIELDS_MAX);
        break;
    case REQUEST_NOT_POST: refuse_http(call, "405"); break;
    case REQUEST_NOT_GRPC: refuse_http(call, "415"); break;
    case REQUEST_UNKNOWN: call_fail(call, GRPC_UNIMPLEMENTED, "unknown service or method"); break;
    case REQUEST_ENCODED:
        call_fail(call, GRPC_UNIMPLEMENTED, "the message encoding is not supported: use identity");
        break;
    case REQUEST_BAD_TIMEOUT: call_fail(call, GRPC_INTERNAL, "malformed grpc-timeout"); break;
    case REQUEST_NO_MEMORY: call_fail(call, GRPC_RESOURCE_EXHAUSTED, "out of memory"); break;
    case REQUEST_OK: break;
    }
}

void call_headers_done(struct call *call)
{
    size_t bytes_max = (size_t)LIMIT(&bridge_of(call)->limits, max_header_bytes);
    enum request_verdict verdict = request_judge(&call->request, bytes_max);
    COUNT(counters_of(call), calls, 1);
    if (verdict != REQUEST_OK) {
        refuse(call, verdict);
    } else if (is_let_in(call)) {
        COUNT(counters_of(call), malformed_requests, !call->request.te_trailers);
        start_clock(call);
    }
    request_forget_token(&call->request);
}

/* One whose request is still on its way is left to it: a unary call will be answered. */
void call_end_for_drain(struct call *call)
{
    if (call->dispatched && !call->finishing)
        call_fail(call, GRPC_UNAVAILABLE, "the connection is ended (%s): connect again", call->connection->drain_reason);
}

static void dispatch(struct call *call)
{
    static const uint8_t empty[1];
    struct framer framer = call->framer; /* ours for now: the method may end the call, and still look at the message */
    call->framer = (struct framer){0};
    call->dispatched = true;
    call->request.method->take(call, framer.body ? framer.body : empty, framer.length);
    framer_next(&framer);
    if (call->connection->drain == DRAIN_FINAL)
        call_end_for_drain(call);
}

static void fail_framing(struct call *call, enum framer_result result, size_t message_max)
{
    COUNT(counters_of(call), malformed_requests, result != FRAMER_MEMORY);
    switch (result) {
    case FRAMER_COMPRESSED:
        call_fail(call, GRPC_INTERNAL, "a compressed message, but no grpc-encoding was named");
        break;
    case FRAMER_BAD_FLAG: call_fail(call, GRPC_INTERNAL, "a message begins with neither 0 nor 1"); break;
    case FRAMER_TOO_LARGE:
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "the request message has %u bytes; the limit is %zu",
                  (unsigned)call->framer.length, message_max);
        break;
    default: call_fail(call, GRPC_RESOURCE_EXHAUSTED, "out of memory"); break;
    }
}

static size_t message_max(const struct call *call)
{
    size_t own = call->request.method->request_max;
    return own ? own : (size_t)LIMIT(&bridge_of(call)->limits, max_request_bytes);
}

/* Returns how many bytes it used. */
static size_t take_in(struct call *call, const uint8_t *data, size_t length)
{
    size_t used = 0;
    if (framer_is_between(&call->framer))
        call->opened_ms = clock_of(call); /* of an interactive one: each message has its time */
    enum framer_result result = framer_feed(&call->framer, data, length, message_max(call), &used);
    if (result == FRAMER_MESSAGE && call->request.method->interactive)
        dispatch(call);
    else if (result == FRAMER_MESSAGE)
        call->received = true;
    else if (result != FRAMER_MORE)
        fail_framing(call, result, message_max(call));
    return used;
}

void call_data(struct call *call, const uint8_t *data, size_t length)
{
    while (length > 0 && !call->over && !call->finishing) {
        if (call->received) {
            COUNT(counters_of(call), malformed_requests, 1);
            call_fail(call, GRPC_INTERNAL, "more than one request message");
            return;
        }
        size_t used = take_in(call, data, length);
        data += used;
        length -= used;
    }
}

void call_half_closed(struct call *call)
{
    call->half_closed = true;
    if (call->over)
        return;
    bool interactive = call->request.method->interactive;
    if (interactive ? !framer_is_between(&call->framer) : !call->received) {
        COUNT(counters_of(call), malformed_requests, 1);
        call_fail(call, GRPC_INTERNAL, "the request ends without a whole message");
    } else if (!interactive) {
        dispatch(call);
    } else if (call->dispatched) {
        call->request.method->half_closed(call);
    } else {
        call_finish(call); /* it said nothing: no method has anything to do with that */
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct call *call_open(struct connection *connection, int32_t stream)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->connection = connection;
    call->stream = stream;
    call->opened_ms = connection->worker->now_ms;
    request_init(&call->request);
    timer_init(&call->deadline);
    list_init(&call->link);
    list_append(&connection->calls, &call->link);
    return call;
}

void call_close(struct call *call)
{
    struct connection *connection = call->connection;
    set_over(call);
    if (call->dispatched && call->request.method->closed)
        call->request.method->closed(call);
    account_give_back(&connection->account, &call->spent);
    list_remove(&call->link);
    request_release(&call->request);
    for (unsigned i = 0; i < call->metadata_count; i++)
        free(call->metadata[i].value);
    connection->idle_ms = connection->worker->now_ms;
    free(call);
}

void connections_expire(struct worker *worker)
{
    struct timer *due;
    while ((due = timers_take_due(worker->timers, worker->now_ms)) != NULL)
        expire(LIST_MEMBER(due, struct call, deadline));
}

static void wait_no_longer(struct call *call)
{
    call->hasty = true;
    call->waiting = false;
    let_go_on(call);
}

void call_tick(struct call *call, int64_t now)
{
    const struct limits *limits = &bridge_of(call)->limits;
    bool arriving = !call->dispatched || !framer_is_between(&call->framer);
    if (call->over)
        return;
    if (call->waiting && now - call->progress_ms >= ROOM_PATIENCE_MS)
        wait_no_longer(call);
    if (arriving && !call->half_closed && now - call->opened_ms >= LIMIT(limits, request_timeout)) {
        call_fail(call, GRPC_DEADLINE_EXCEEDED, "the request did not arrive whole in time");
    } else if (call->begun && !call->asleep && now - call->progress_ms >= LIMIT(limits, stall_timeout)) {
        COUNT(counters_of(call), stalled_streams, 1);
        call_fail(call, GRPC_UNAVAILABLE, "the client took nothing of the stream for too long: subscribe again");
    }
}
