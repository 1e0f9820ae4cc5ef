/*
 * service/stream.c: AgentSecure/StreamConfigEvents: a snapshot, then what follows it, for as long as the session lives.
 *
 * A stream is a cursor: which arena, and the last ID it was given.  Besides that it holds at most one reference, to a
 * shared snapshot or to an update that flow control cut.  There is no queue; whoever falls behind the ring gets a
 * snapshot instead.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bridge/bridge.h"
#include "datadog/model/v1/model.pb-c.h"
#include "event/updates.h"
#include "service/services.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 64,
    SMALL_FRAME_BYTES = 256, /* DATA below it counts against a connection in newer clients (grpc-wire 6) */
    HOLDER_GRACE_MS = 1000   /* a snapshot's holder is ended for others only after as long without progress */
};

struct stream {
    struct list link; /* worker->streams */
    struct call *call;
    uint64_t arena, sequence; /* the last ID given to the transport; 0: none of any arena yet */
    uint64_t wire_base;       /* as the client was told: what to add to IDs on the wire */
    bool named_path;          /* it was told the path, too: there was an arena */
    const struct snapshot *snapshot;   /* being sent, from offset on; or */
    const struct update_frame *update; /* one that was cut */
    size_t offset;
    int64_t progress_ms; /* when it took a byte last */
    int64_t snapshot_ms; /* when it began with the snapshot */
    char session[SESSION_ID_BYTES];
    char name[4 * NAME_MAX_BYTES + 5]; /* escaped; log_escape() leaves the room of one more */
};

static struct stream *stream_of(struct list *link)
{
    return LIST_MEMBER(link, struct stream, link);
}

static struct bridge *bridge_of(const struct stream *stream)
{
    return call_worker(stream->call)->bridge;
}

/* ---- who may subscribe ------------------------------------------------------------------------------------------- */

/* upstream-facts 2.5: clients tell by these codes whether to register anew. */
static bool check_session(struct call *call, const char *session)
{
    struct worker *worker = call_worker(call);

    if (!registry_get(worker->bridge->registry).enabled) {
        call_fail(call, GRPC_UNIMPLEMENTED, "remote agent registry not enabled");
        return false;
    }
    if (session != NULL && *session != '\0' && registry_stream_opened(worker->bridge->registry, session))
        return true;
    COUNT(&worker->counters, authorization_errors, 1);
    if (session == NULL)
        call_fail(call, GRPC_UNAUTHENTICATED, "session_id required in metadata: register first");
    else if (*session == '\0')
        call_fail(call, GRPC_UNAUTHENTICATED, "session_id cannot be empty: register first");
    else
        call_fail(call, GRPC_PERMISSION_DENIED, "session_id '%.36s' not found: register first", session);
    return false;
}

/* At most 64 bytes of the client's own label, cut at a character, fit for a log. */
static void set_name(struct stream *stream, const char *name)
{
    char cut[NAME_MAX_BYTES + 1];
    size_t length = strnlen(name, NAME_MAX_BYTES);

    if (name[length] != '\0')
        while (length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80)
            length--;
    memcpy(cut, name, length);
    cut[length] = '\0';
    log_escape(stream->name, sizeof stream->name, cut);
}

/* Decision 24. */
static void say_joined(const struct stream *stream)
{
    struct worker *worker = call_worker(stream->call);

    worker_tell(worker, LOG_DEBUG, "configstream: config stream authorized for session %.8s (%s)", stream->session,
                stream->name);
    worker_tell(worker, LOG_INFO, "configstream: New subscriber '%s' joining the config stream", stream->name);
}

/* IDs of an arena minus those on the wire. */
static uint64_t wire_base(uint64_t sequence)
{
    return sequence - (uint64_t)wire_id(sequence);
}

/* Which arenas the stream comes through, for relays, which must not feed themselves, and how to count as they do. */
static void name_arena(struct stream *stream)
{
    struct worker *worker = call_worker(stream->call);
    char base[24];

    if (worker->path[0] == '\0')
        return;
    stream->named_path = true;
    stream->wire_base = wire_base(worker->sequence);
    snprintf(base, sizeof base, "%" PRIu64, stream->wire_base);
    call_add_metadata(stream->call, "configstream-path", worker->path);
    call_add_metadata(stream->call, "configstream-wire-base", base);
}

static void open_stream(struct call *call, const char *session, const char *name)
{
    struct worker *worker = call_worker(call);
    struct stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL) {
        registry_stream_closed(worker->bridge->registry, session);
        call_fail(call, GRPC_UNAVAILABLE, "out of memory");
        return;
    }
    stream->call = call;
    stream->progress_ms = worker->now_ms;
    memcpy(stream->session, session, SESSION_ID_BYTES); /* a session that was found is a UUID */
    set_name(stream, name);
    list_init(&stream->link);
    list_append(&worker->streams, &stream->link);
    call_set_state(call, stream);
    COUNT(&worker->counters, subscribers, 1);
    say_joined(stream);
    name_arena(stream);
    call_begin(call);
}

static void take(struct call *call, const uint8_t *message, size_t length)
{
    Datadog__Model__V1__ConfigStreamRequest *request =
        datadog__model__v1__config_stream_request__unpack(NULL, length, message);

    if (request == NULL) {
        call_fail(call, GRPC_INTERNAL, "the request is no valid ConfigStreamRequest");
        return;
    }
    const char *session = call_session_id(call);
    if (check_session(call, session))
        open_stream(call, session, request->name);
    datadog__model__v1__config_stream_request__free_unpacked(request, NULL);
}

static void let_go_of_snapshot(struct stream *stream)
{
    if (stream->snapshot != NULL)
        snapshots_release(bridge_of(stream)->snapshots, stream->snapshot);
    stream->snapshot = NULL;
    stream->offset = 0;
}

static void let_go_of_update(struct stream *stream)
{
    if (stream->update != NULL)
        update_frames_release(call_worker(stream->call)->updates, stream->update);
    stream->update = NULL;
    stream->offset = 0;
}

/* Of a stream that ends: its trailers may take a while, what it holds is for others from now on. */
static void leave(struct stream *stream)
{
    list_remove(&stream->link);
    list_init(&stream->link);
    let_go_of_snapshot(stream);
    let_go_of_update(stream);
}

static void closed(struct call *call)
{
    struct stream *stream = call_state(call);
    struct worker *worker = call_worker(call);

    if (stream == NULL)
        return; /* refused */
    registry_stream_alive(worker->bridge->registry, stream->session, stream->sequence); /* since the last tick it went on */
    registry_stream_closed(worker->bridge->registry, stream->session);
    COUNT(&worker->counters, subscribers, -1);
    leave(stream);
    free(stream);
}

/* ---- room for snapshots ------------------------------------------------------------------------------------------ */

/* By a stream that just looked for it, and looks again at each tick.  The holders may all be other workers'.
 * relaxed, all three: a hint that stands for itself; who misses it sees the next one. */
static void say_room_is_wanted(struct worker *worker)
{
    atomic_store_explicit(&worker->bridge->room_wanted_ms, worker->now_ms, memory_order_relaxed);
}

static bool room_is_wanted(const struct worker *worker)
{
    int64_t wanted_ms = atomic_load_explicit(&worker->bridge->room_wanted_ms, memory_order_relaxed);

    return wanted_ms != 0 && worker->now_ms - wanted_ms < 2 * WORKER_TICK_MS;
}

/* One that gives room is enough: false, when another worker has found one. */
static bool answer_the_wish(struct worker *worker)
{
    return atomic_exchange_explicit(&worker->bridge->room_wanted_ms, 0, memory_order_relaxed) != 0;
}

/* Those who wait must not wait for ever on one that takes nothing, nor on one that takes a byte now and then. */
static bool stands_still(const struct stream *stream, const struct worker *worker)
{
    return worker->now_ms - stream->progress_ms >= HOLDER_GRACE_MS ||
           worker->now_ms - stream->snapshot_ms >= LIMIT(&worker->bridge->limits, stall_timeout);
}

static struct stream *longest_holder(const struct worker *worker)
{
    struct stream *longest = NULL;

    for (struct list *link = worker->streams.next; link != &worker->streams; link = link->next) {
        struct stream *stream = stream_of(link);
        if (stream->snapshot != NULL && stands_still(stream, worker) &&
            (longest == NULL || stream->progress_ms < longest->progress_ms))
            longest = stream;
    }
    return longest;
}

/* With all that stand still over the same frame: one alone would give no room, and those who wait would do so for a tick
 * for each. */
static void end_longest_holders(struct worker *worker)
{
    const struct stream *longest = longest_holder(worker);
    struct list *next;

    if (longest == NULL || !answer_the_wish(worker))
        return;
    const struct snapshot *snapshot = longest->snapshot;
    for (struct list *link = worker->streams.next; link != &worker->streams; link = next) {
        struct stream *stream = stream_of(link);
        next = link->next;
        if (stream->snapshot != snapshot || !stands_still(stream, worker))
            continue;
        COUNT(&worker->counters, stalled_streams, 1);
        leave(stream);
        call_fail(stream->call, GRPC_UNAVAILABLE,
                  "the snapshot was not read while others waited for its memory; subscribe again");
    }
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static void end_for_rebase(struct stream *stream)
{
    leave(stream);
    call_fail(stream->call, GRPC_UNAVAILABLE, "sequence IDs start anew; subscribe again");
}

static void count_snapshot(struct stream *stream, const struct snapshot *snapshot, bool lapped)
{
    struct worker *worker = call_worker(stream->call);

    COUNT(&worker->counters, snapshots_sent, 1);
    if (!lapped)
        return;
    uint64_t missed = snapshot->sequence - stream->sequence;
    COUNT(&worker->counters, discontinuities, 1);
    COUNT(&worker->counters, dropped_updates, missed);
    worker_notice(worker, NOTICE_DISCONTINUITY,
                  "configstream: Discontinuity detected for subscriber '%s' (last ID %" PRIu64 ", current ID %" PRIu64 ")",
                  stream->name, stream->sequence, snapshot->sequence);
    worker_notice(worker, NOTICE_DROPPED,
                  "configstream: Dropping config update for subscriber '%s' (lapped by %" PRIu64 ")", stream->name,
                  missed);
}

static void begin_snapshot(struct stream *stream, const struct snapshot *snapshot, bool lapped)
{
    struct worker *worker = call_worker(stream->call);

    if (wire_base(snapshot->sequence) != stream->wire_base) {
        snapshots_release(worker->bridge->snapshots, snapshot);
        end_for_rebase(stream);
        return;
    }
    count_snapshot(stream, snapshot, lapped);
    stream->snapshot = snapshot;
    stream->snapshot_ms = worker->now_ms;
    stream->offset = 0;
    stream->arena = worker->arena;
    stream->sequence = snapshot->sequence;
}

/* Once the worker has found the other arena, whose ID the log names. */
static void end_for_arena(struct stream *stream)
{
    struct worker *worker = call_worker(stream->call);

    COUNT(&worker->counters, discontinuities, 1);
    worker_notice(worker, NOTICE_DISCONTINUITY,
                  "configstream: Discontinuity detected for subscriber '%s' (the arena was replaced; last ID %" PRIu64
                  ", current ID %" PRIu64 ")",
                  stream->name, stream->sequence, worker->sequence);
    leave(stream);
    call_fail(stream->call, GRPC_UNAVAILABLE, "the arena was replaced; subscribe again");
}

/* A snapshot from before IDs on the wire started anew would only end the stream again. */
static uint64_t first_of_these_ids(uint64_t sequence)
{
    return sequence > 0 ? wire_base(sequence) + 1 : 0;
}

/* False: there is none to send now, or the call has failed. */
static bool get_snapshot(struct stream *stream, bool lapped)
{
    struct worker *worker = call_worker(stream->call);
    struct bridge *bridge = worker->bridge;
    const struct snapshot *snapshot;
    uint64_t least = stream->arena != 0 ? stream->sequence + 1 : first_of_these_ids(worker->sequence);

    switch (snapshots_get(bridge->snapshots, worker->reader, worker->arena, least, &snapshot)) {
    case SNAPSHOT_OK:
        begin_snapshot(stream, snapshot, lapped);
        return stream->snapshot != NULL;
    case SNAPSHOT_NOT_READY:
    case SNAPSHOT_REPLACED: /* the worker's next look at the arena ends it, or wakes it if it has nothing yet */
        return false;
    case SNAPSHOT_NO_ROOM:
        say_room_is_wanted(worker);
        return false;
    case SNAPSHOT_TOO_LARGE:
        call_fail(stream->call, GRPC_RESOURCE_EXHAUSTED,
                  "the snapshot is larger than %lld bytes (--max-snapshot-bytes)",
                  (long long)LIMIT(&bridge->limits, max_snapshot_bytes));
        return false;
    case SNAPSHOT_FAILED:
        break;
    }
    call_fail(stream->call, GRPC_UNAVAILABLE, "no snapshot could be built");
    return false;
}

/* ---- filling frames ---------------------------------------------------------------------------------------------- */

/* A DATA frame under way. */
struct data {
    uint8_t *bytes;
    size_t room, written, at_least;
};

/* How much of so many bytes to write: all that there is room for, but less, even none, where a small rest would be left
 * over for the next frame.  What is written then is no small frame either. */
static size_t portion(const struct data *data, size_t length)
{
    size_t left = data->room - data->written;

    if (length <= left)
        return length;
    if (length - left >= SMALL_FRAME_BYTES || data->room < 2 * SMALL_FRAME_BYTES)
        return left;
    return length > SMALL_FRAME_BYTES ? length - SMALL_FRAME_BYTES : 0;
}

static void write_part(struct data *data, const uint8_t *bytes, size_t length)
{
    memcpy(data->bytes + data->written, bytes, length);
    data->written += length;
}

/* These return true when they wrote something whole, so that more may follow. */

static bool pull_snapshot(struct stream *stream, struct data *data)
{
    size_t length = portion(data, stream->snapshot->length - stream->offset);

    write_part(data, stream->snapshot->bytes + stream->offset, length);
    stream->offset += length;
    if (stream->offset < stream->snapshot->length)
        return false;
    let_go_of_snapshot(stream);
    return true;
}

static bool pull_rest(struct stream *stream, struct data *data)
{
    size_t length = portion(data, stream->update->length - stream->offset);

    write_part(data, stream->update->bytes + stream->offset, length);
    stream->offset += length;
    if (stream->offset < stream->update->length)
        return false;
    let_go_of_update(stream);
    return true;
}

static bool pull_snapshot_instead(struct stream *stream, struct data *data, bool lapped)
{
    return get_snapshot(stream, lapped) && pull_snapshot(stream, data);
}

static bool pull_update(struct stream *stream, const struct update_frame *frame, struct data *data)
{
    struct worker *worker = call_worker(stream->call);
    size_t length = portion(data, frame->length);

    if (length == 0)
        return false; /* all of it comes next time */
    if (length < frame->length) {
        if (!update_frames_hold(worker->updates, frame))
            return pull_snapshot_instead(stream, data, true);
        stream->update = frame;
        stream->offset = length;
    }
    write_part(data, frame->bytes, length);
    stream->sequence++;
    COUNT(&worker->counters, updates_sent, 1);
    return stream->update == NULL;
}

/* How long the next update has to be made: only what ends the frame has to fill it. */
static size_t filling(const struct stream *stream, const struct data *data)
{
    bool ends = stream->sequence + 1 == call_worker(stream->call)->sequence;

    return ends && data->at_least > data->written ? data->at_least - data->written : 0;
}

static bool take_update(struct stream *stream, struct data *data)
{
    struct worker *worker = call_worker(stream->call);
    const struct update_frame *frame;
    int result = update_frames_get(worker->updates, worker->reader, stream->arena, stream->sequence + 1,
                                   filling(stream, data), &frame);

    if (result == CFGS_OK && frame->clears_source && worker->bridge->no_unset_source)
        return pull_snapshot_instead(stream, data, false);
    if (result == CFGS_OK)
        return pull_update(stream, frame, data);
    if (result == CFGS_ERR_LAPPED)
        return pull_snapshot_instead(stream, data, true);
    if (result != CFGS_ERR_NOT_FOUND && result != CFGS_ERR_BUSY && result != CFGS_ERR_NOT_READY)
        call_fail(stream->call, GRPC_UNAVAILABLE, "update %" PRIu64 " could not be read: %s", stream->sequence + 1,
                  cfgs_strerror(result));
    return false;
}

/* The next update, or a snapshot in its place; nothing, when there is none now or the call has failed. */
static bool pull_next(struct stream *stream, struct data *data)
{
    struct worker *worker = call_worker(stream->call);

    if (worker->arena == 0)
        return false; /* not attached yet */
    if (stream->arena == 0)
        return pull_snapshot_instead(stream, data, false);
    if (stream->arena != worker->arena) {
        end_for_arena(stream);
        return false;
    }
    if (stream->sequence >= worker->sequence)
        return false;
    if (wire_id_starts_anew(stream->sequence, stream->sequence + 1)) {
        end_for_rebase(stream);
        return false;
    }
    return take_update(stream, data);
}

static bool pull_more(struct stream *stream, struct data *data)
{
    if (stream->snapshot != NULL)
        return pull_snapshot(stream, data);
    if (stream->update != NULL)
        return pull_rest(stream, data);
    return pull_next(stream, data);
}

static size_t pull(struct call *call, uint8_t *to, size_t room, size_t at_least)
{
    struct stream *stream = call_state(call);
    struct data data = {.bytes = to, .room = room, .at_least = at_least};

    while (data.written < room && pull_more(stream, &data))
        continue;
    if (data.written > 0)
        stream->progress_ms = call_worker(call)->now_ms;
    return data.written;
}

const struct call_method service_stream_config_events = {
    .path = "/datadog.api.v1.AgentSecure/StreamConfigEvents",
    .take = take,
    .pull = pull,
    .closed = closed,
};

/* ---- news and time ----------------------------------------------------------------------------------------------- */

void service_stream_news(struct worker *worker)
{
    struct list *next;

    for (struct list *link = worker->streams.next; link != &worker->streams; link = next) {
        struct stream *stream = stream_of(link);
        next = link->next;
        if (stream->arena != 0 && stream->arena != worker->arena)
            end_for_arena(stream);
        else
            call_resume(stream->call);
    }
}

/* What it was told when it began: that there was no arena yet still goes for a producer's own. */
static bool was_told_so(const struct stream *stream, const struct worker *worker)
{
    return !stream->named_path && strchr(worker->path, ',') == NULL;
}

void service_stream_path_changed(struct worker *worker)
{
    struct list *next;

    for (struct list *link = worker->streams.next; link != &worker->streams; link = next) {
        struct stream *stream = stream_of(link);
        next = link->next;
        if (was_told_so(stream, worker))
            continue;
        leave(stream);
        call_fail(stream->call, GRPC_UNAVAILABLE, "the configuration comes another way now; subscribe again");
    }
}

/* False: the stream has ended. */
static bool session_goes_on(struct stream *stream, struct worker *worker)
{
    if (registry_stream_alive(worker->bridge->registry, stream->session, stream->sequence))
        return true;
    COUNT(&worker->counters, sessions_expired_streams, 1);
    leave(stream);
    call_fail(stream->call, GRPC_PERMISSION_DENIED, "session_id '%s' not found: the session has ended; register again",
              stream->session);
    return false;
}

static void tick(struct stream *stream, struct worker *worker)
{
    if (session_goes_on(stream, worker))
        call_resume(stream->call); /* also those that wait for room, or that missed a wake-up */
}

static uint64_t lag_of(const struct stream *stream, const struct worker *worker)
{
    bool behind = stream->arena == worker->arena && stream->sequence < worker->sequence;

    return behind ? worker->sequence - stream->sequence : 0;
}

void service_stream_tick(struct worker *worker)
{
    struct list *next;
    uint64_t lag = 0;

    for (struct list *link = worker->streams.next; link != &worker->streams; link = next) {
        next = link->next;
        if (lag_of(stream_of(link), worker) > lag)
            lag = lag_of(stream_of(link), worker);
        tick(stream_of(link), worker);
    }
    atomic_store_explicit(&worker->counters.lag, lag, memory_order_relaxed); /* relaxed: see COUNT */
    if (room_is_wanted(worker))
        end_longest_holders(worker);
}
