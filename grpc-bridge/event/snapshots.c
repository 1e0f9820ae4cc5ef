/* event/snapshots.c  SPDX-License-Identifier: Apache-2.0 */
#include "event/snapshots.h"

#include "base/clock.h"
#include "bridge/rcu.h"
#include "event/message.h"
#include "event/updates.h"
#include "http2/account.h"
#include "http2/framing.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    ORIGIN_BYTES = 256,
    CLIENT_DEFAULT_BYTES = 4 << 20, /* what clients take unless they are told to take more */
    CLIENT_LARGE_BYTES = 32 << 20,  /* where the agents that serve this stream warn as well */
    WARNING_MS = 60000,
    BUILDING_SHARE = 10 /* building takes at most one part of so many of the time */
};

struct frame {
    struct snapshot shown;
    struct rcu_head retired;
    _Atomic uint64_t references;
    uint8_t instance_id[16];
    uint64_t stale_ns; /* when a newer one may be built, CLOCK_MONOTONIC */
    uint8_t *memory; /* its own pages, kept out of core dumps: configuration is secret */
};

struct snapshots {
    const struct limits *limits;
    const struct log *log;
    _Atomic(struct frame *) current; /* with a reference of its own */
    pthread_mutex_t building;        /* who needs one that is not there waits for it rather than build another */
    int64_t warning_ms, failure_ms;  /* when to say so again; under it */
    /* For people, and for the bounds: written under the mutex but for alive, which also sinks without. */
    _Atomic uint64_t alive, bytes_alive, built, last_bytes, last_build_ns, oversized, refused;
};

struct snapshots *snapshots_new(const struct limits *limits, const struct log *log)
{
    struct snapshots *snapshots = calloc(1, sizeof *snapshots);
    if (!snapshots)
        return NULL;
    snapshots->limits = limits;
    snapshots->log = log;
    pthread_mutex_init(&snapshots->building, NULL); /* cannot fail with default attributes on Linux */
    return snapshots;
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- references -------------------------------------------------------------------------------------------------- */

static struct frame *of_shown(const struct snapshot *shown)
{
    return (struct frame *)((uintptr_t)shown - offsetof(struct frame, shown));
}

static void release_frame(struct rcu_head *head)
{
    free((struct frame *)((uintptr_t)head - offsetof(struct frame, retired)));
}

static void drop_memory(struct snapshots *snapshots, struct frame *frame)
{
    munmap(frame->memory, frame->shown.length);
    /* relaxed: bounds that another thread may see a little later */
    atomic_fetch_sub_explicit(&snapshots->alive, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&snapshots->bytes_alive, frame->shown.length, memory_order_relaxed);
}

static void drop_reference(struct snapshots *snapshots, struct frame *frame)
{
    /* acquire and release: all uses of the bytes come before the last holder unmaps them. */
    if (atomic_fetch_sub_explicit(&frame->references, 1, memory_order_acq_rel) != 1)
        return;
    drop_memory(snapshots, frame);
    /* Somebody may have found it in `current` just before, and still have to see that it is over. */
    rcu_retire(&frame->retired, release_frame);
}

void snapshots_release(struct snapshots *snapshots, const struct snapshot *snapshot)
{
    drop_reference(snapshots, of_shown(snapshot));
}

/* False: its last holder was faster. */
static bool take_reference(struct frame *frame)
{
    /* relaxed: whoever has one got the frame with it, by the acquire in pick_up(). */
    uint64_t references = atomic_load_explicit(&frame->references, memory_order_relaxed);
    while (references > 0)
        if (atomic_compare_exchange_weak_explicit(&frame->references, &references, references + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* A reference to the current one; NULL if there is none. */
static struct frame *pick_up(struct snapshots *snapshots)
{
    rcu_lock();
    /* acquire: its content; pairs with the exchange in make_current(). */
    struct frame *frame = atomic_load_explicit(&snapshots->current, memory_order_acquire);
    if (frame && !take_reference(frame))
        frame = NULL;
    rcu_unlock();
    return frame;
}

/* NULL: none.  Takes over the caller's reference. */
static void make_current(struct snapshots *snapshots, struct frame *frame)
{
    /* release: as in pick_up(); acquire: the old one's own reference comes back. */
    struct frame *old = atomic_exchange_explicit(&snapshots->current, frame, memory_order_acq_rel);
    if (old)
        drop_reference(snapshots, old);
}

void snapshots_free(struct snapshots *snapshots)
{
    if (!snapshots)
        return;
    make_current(snapshots, NULL);
    pthread_mutex_destroy(&snapshots->building);
    free(snapshots);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* What is to be written, found in a first pass over the view. */
struct plan {
    char origin[ORIGIN_BYTES];
    size_t origin_length, filling, message_length, total;
    uint64_t settings;
    int32_t id;
};

static size_t head_length(const struct plan *plan)
{
    size_t id = plan->id ? 1 + varint_size((uint64_t)plan->id) : 0;
    return field_size(plan->origin_length) + id;
}

static size_t total_of(size_t message_length)
{
    return GRPC_PREFIX_BYTES + field_size(message_length);
}

/* Alone in its frame it is no small one, of which many would cost a client its connection (http2/account.h). */
static void fill_up(struct plan *plan)
{
    size_t total = total_of(plan->message_length);
    plan->filling = total < ACCOUNT_FRAME_BYTES ? ACCOUNT_FRAME_BYTES - total : 0;
    plan->message_length += filling_size(plan->filling);
    plan->total = total_of(plan->message_length);
}

static int measure(cfgs_view *view, struct plan *plan)
{
    cfgs_iterator iterator = {0};
    cfgs_bytes setting;
    unsigned flags;
    int more;
    plan->id = wire_id(cfgs_view_sequence(view));
    plan->message_length = head_length(plan);
    plan->settings = 0;
    while ((more = cfgs_view_next_encoded(view, &iterator, &setting, &flags)) == 1) {
        if (flags & CFGS_SETTING_LOCAL)
            continue;
        plan->message_length += field_size(setting.length);
        plan->settings++;
    }
    fill_up(plan);
    return more;
}

/* False: the view changed under us, which its validation will say. */
static bool fill(cfgs_view *view, const struct plan *plan, uint8_t *to)
{
    const uint8_t *end = to + plan->total;
    cfgs_iterator iterator = {0};
    cfgs_bytes setting;
    unsigned flags;
    framing_write_prefix(to, plan->total - GRPC_PREFIX_BYTES);
    to = put_head(to + GRPC_PREFIX_BYTES, TAG_SNAPSHOT, plan->message_length);
    to = put_filling(to, plan->filling);
    to = put_bytes(to, TAG_ORIGIN, plan->origin, plan->origin_length);
    if (plan->id)
        to = put_head(to, TAG_SEQUENCE, (uint64_t)plan->id);
    while (cfgs_view_next_encoded(view, &iterator, &setting, &flags) == 1) {
        if (flags & CFGS_SETTING_LOCAL)
            continue;
        if (field_size(setting.length) > (size_t)(end - to))
            return false;
        to = put_bytes(to, TAG_SETTING, setting.data, setting.length);
    }
    return to == end;
}

static struct frame *new_frame(size_t length)
{
    struct frame *frame = calloc(1, sizeof *frame);
    if (!frame)
        return NULL;
    frame->memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (frame->memory == MAP_FAILED) {
        free(frame);
        return NULL;
    }
    (void)madvise(frame->memory, length, MADV_DONTDUMP); /* it is only caution */
    frame->shown.bytes = frame->memory;
    frame->shown.length = length;
    return frame;
}

/* Of a frame that nobody saw. */
static void discard(struct frame *frame)
{
    if (!frame)
        return;
    munmap(frame->memory, frame->shown.length);
    free(frame);
}

static enum snapshot_result has_room(const struct snapshots *snapshots, size_t length)
{
    const struct limits *limits = snapshots->limits;
    /* relaxed: a release that is not seen yet is seen at the next try. */
    uint64_t alive = atomic_load_explicit(&snapshots->alive, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&snapshots->bytes_alive, memory_order_relaxed);
    uint64_t memory = (uint64_t)LIMIT(limits, max_snapshot_memory);
    if (length > (uint64_t)LIMIT(limits, max_snapshot_bytes) || length > memory)
        return SNAPSHOT_TOO_LARGE;
    return alive >= (uint64_t)LIMIT(limits, max_snapshots) || bytes + length > memory ? SNAPSHOT_NO_ROOM : SNAPSHOT_OK;
}

static enum snapshot_result of_error(int err)
{
    return err == CFGS_ERR_NOT_READY || err == CFGS_ERR_BUSY ? SNAPSHOT_NOT_READY : SNAPSHOT_FAILED;
}

/* One try at the view as it is now. */
static enum snapshot_result build_round(struct snapshots *snapshots, cfgs_view *view, uint64_t arena,
                                        struct plan *plan, struct frame **out)
{
    uint8_t instance_id[16];
    if (cfgs_view_arena(view, instance_id) != arena)
        return SNAPSHOT_REPLACED;
    if (measure(view, plan) < 0)
        return SNAPSHOT_FAILED;
    enum snapshot_result room = has_room(snapshots, plan->total);
    if (room != SNAPSHOT_OK)
        return room;
    struct frame *frame = *out = new_frame(plan->total);
    if (!frame || !fill(view, plan, frame->memory))
        return SNAPSHOT_FAILED;
    frame->shown.sequence = cfgs_view_sequence(view);
    frame->shown.settings = plan->settings;
    memcpy(frame->instance_id, instance_id, sizeof instance_id);
    return SNAPSHOT_OK;
}

static enum snapshot_result build(struct snapshots *snapshots, cfgs_reader *reader, uint64_t arena, struct plan *plan,
                                  struct frame **out)
{
    enum snapshot_result result;
    struct frame *frame = NULL;
    cfgs_view view;
    int err = cfgs_encoded_origin(reader, plan->origin);
    if (err == CFGS_OK)
        err = cfgs_view_begin(reader, &view);
    if (err != CFGS_OK)
        return of_error(err);
    plan->origin_length = strnlen(plan->origin, sizeof plan->origin);
    do {
        discard(frame);
        frame = NULL;
        result = build_round(snapshots, &view, arena, plan, &frame);
    } while (cfgs_view_retry(&view));
    if (cfgs_view_error(&view) != CFGS_OK)
        result = of_error(cfgs_view_error(&view));
    if (result == SNAPSHOT_OK)
        *out = frame;
    else
        discard(frame);
    return result;
}

/* ---- telling people ---------------------------------------------------------------------------------------------- */

static void warn(struct snapshots *snapshots, size_t length)
{
    const struct limits *limits = snapshots->limits;
    if (length <= CLIENT_DEFAULT_BYTES || now_ms() < snapshots->warning_ms)
        return;
    snapshots->warning_ms = now_ms() + WARNING_MS;
    if (length > (uint64_t)LIMIT(limits, max_snapshot_bytes) || length > (uint64_t)LIMIT(limits, max_snapshot_memory))
        log_write(snapshots->log, LOG_ERROR,
                  "configstream: the snapshot message has %zu bytes, and none may be sent: raise --max-snapshot-bytes "
                  "(now %" PRId64 ") or --max-snapshot-memory (now %" PRId64 "), or publish less",
                  length, LIMIT(limits, max_snapshot_bytes), LIMIT(limits, max_snapshot_memory));
    else
        log_write(snapshots->log, LOG_WARN,
                  "configstream: the snapshot message has %zu bytes, more than %s: raise what clients may receive, or "
                  "publish less",
                  length, length > CLIENT_LARGE_BYTES ? "32 MiB" : "the 4 MiB that clients take by default");
}

static void say_failed(struct snapshots *snapshots, size_t length)
{
    if (now_ms() < snapshots->failure_ms)
        return;
    snapshots->failure_ms = now_ms() + WARNING_MS;
    log_write(snapshots->log, LOG_ERROR,
              "configstream: the snapshot message of %zu bytes cannot be built: out of memory, or the arena is damaged",
              length);
}

static void note(struct snapshots *snapshots, const struct frame *frame, uint64_t took_ns)
{
    uint64_t length = frame->shown.length;
    /* relaxed, all: numbers each on its own */
    atomic_fetch_add_explicit(&snapshots->alive, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&snapshots->bytes_alive, length, memory_order_relaxed);
    atomic_fetch_add_explicit(&snapshots->built, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&snapshots->oversized, length > CLIENT_DEFAULT_BYTES, memory_order_relaxed);
    atomic_store_explicit(&snapshots->last_bytes, length, memory_order_relaxed);
    atomic_store_explicit(&snapshots->last_build_ns, took_ns, memory_order_relaxed);
}

/* ---- getting one ------------------------------------------------------------------------------------------------- */

struct wish {
    cfgs_reader *reader;
    uint64_t arena, from;
    uint8_t instance_id[16];
    uint64_t committed;
};

/* Can whoever gets it go on from there? */
static bool is_usable(const struct frame *frame, const struct wish *wish)
{
    cfgs_encoded_update update;
    if (!frame || frame->shown.sequence < wish->from ||
        memcmp(frame->instance_id, wish->instance_id, sizeof wish->instance_id) != 0)
        return false;
    int next = cfgs_encoded_take(wish->reader, wish->arena, frame->shown.sequence + 1, NULL, 0, &update);
    return next == CFGS_ERR_BUFFER || next == CFGS_ERR_NOT_FOUND;
}

/* A newcomer expects the state as it is.  Only where building takes long has it to do with one a little older and the
 * updates since. */
static bool is_fresh(const struct frame *frame, const struct wish *wish)
{
    return wish->committed == frame->shown.sequence || clock_ns() < frame->stale_ns;
}

static enum snapshot_result build_current(struct snapshots *snapshots, const struct wish *wish, struct frame **out)
{
    struct plan plan = {.total = 0};
    uint64_t start = clock_ns();
    enum snapshot_result result = build(snapshots, wish->reader, wish->arena, &plan, out);
    warn(snapshots, plan.total);
    if (result == SNAPSHOT_FAILED)
        say_failed(snapshots, plan.total);
    if (result == SNAPSHOT_TOO_LARGE)
        atomic_fetch_add_explicit(&snapshots->refused, 1, memory_order_relaxed); /* relaxed: as in note() */
    if (result != SNAPSHOT_OK)
        return result;
    uint64_t end = clock_ns();
    (*out)->stale_ns = end + BUILDING_SHARE * (end - start);
    note(snapshots, *out, end - start);
    /* relaxed: nobody else has it yet.  One for `current`, one for who asked. */
    atomic_store_explicit(&(*out)->references, 2, memory_order_relaxed);
    make_current(snapshots, *out);
    return SNAPSHOT_OK;
}

/* Under the mutex. */
static enum snapshot_result get_or_build(struct snapshots *snapshots, const struct wish *wish, struct frame **out)
{
    struct frame *frame = pick_up(snapshots);
    bool usable = is_usable(frame, wish);
    if (usable && is_fresh(frame, wish)) {
        *out = frame;
        return SNAPSHOT_OK;
    }
    if (frame && !usable) { /* to nobody who comes from now on: its room counts */
        make_current(snapshots, NULL);
        drop_reference(snapshots, frame);
    }
    enum snapshot_result result = build_current(snapshots, wish, out);
    if (usable && (result == SNAPSHOT_NO_ROOM || result == SNAPSHOT_NOT_READY || result == SNAPSHOT_FAILED)) {
        *out = frame;
        return SNAPSHOT_OK;
    }
    if (usable)
        drop_reference(snapshots, frame);
    return result;
}

static enum snapshot_result make_wish(cfgs_reader *reader, uint64_t arena, uint64_t from, struct wish *wish)
{
    cfgs_view view;
    int err = cfgs_view_begin(reader, &view);
    if (err != CFGS_OK)
        return of_error(err);
    *wish = (struct wish){.reader = reader, .arena = arena, .from = from, .committed = cfgs_view_sequence(&view)};
    return cfgs_view_arena(&view, wish->instance_id) == arena ? SNAPSHOT_OK : SNAPSHOT_REPLACED;
}

enum snapshot_result snapshots_get(struct snapshots *snapshots, cfgs_reader *reader, uint64_t arena, uint64_t from,
                                   const struct snapshot **out)
{
    struct wish wish;
    enum snapshot_result result = make_wish(reader, arena, from, &wish);
    if (result != SNAPSHOT_OK)
        return result;
    struct frame *frame = pick_up(snapshots);
    if (!is_usable(frame, &wish) || !is_fresh(frame, &wish)) {
        if (frame)
            drop_reference(snapshots, frame);
        pthread_mutex_lock(&snapshots->building);
        result = get_or_build(snapshots, &wish, &frame);
        pthread_mutex_unlock(&snapshots->building);
    }
    if (result == SNAPSHOT_OK)
        *out = &frame->shown;
    return result;
}

void snapshots_info(const struct snapshots *snapshots, struct snapshots_info *out)
{
    /* relaxed: numbers for people */
#define NUMBER(name) .name = atomic_load_explicit(&snapshots->name, memory_order_relaxed)
    *out = (struct snapshots_info){NUMBER(alive), NUMBER(bytes_alive), NUMBER(built), NUMBER(last_bytes),
                                   NUMBER(last_build_ns), NUMBER(oversized), NUMBER(refused)};
#undef NUMBER
}
