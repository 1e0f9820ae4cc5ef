/*
 * reader_status.c: what can be said of an arena and its producer.
 *
 * Life and death: a producer holds a write lock on the arena's file as a signal, which the kernel drops whatever way it
 * dies; a free lock is death at once.  (It cannot always get that lock: a reader may hold a read lock.  Then the heartbeat's
 * age decides.)  A held lock with an old heartbeat is a producer that hangs or is stopped.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arena_info.h"
#include "detail.h"
#include "reader_private.h"
#include <fcntl.h>

static const char *const state_names[] = {"absent", "starting", "running", "stalled", "dead", "closed", "superseded"};

const char *cfgs_producer_state_name(int state)
{
    return state >= CFGS_PRODUCER_ABSENT && state <= CFGS_PRODUCER_SUPERSEDED ? state_names[state] : "?";
}

/* F_RDLCK: asks about write locks only; another reader's read lock is no sign of life. */
static bool write_lock_is_held(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
}

static int64_t age_ms(const cfgs_word *stamp_ns)
{
    /* [beat] relaxed: a stamp for people and for staleness of seconds; nothing is ordered by it. */
    uint64_t stamp = word_load_relaxed(stamp_ns);
    uint64_t now = clock_ns(CLOCK_BOOTTIME);

    if (stamp == 0)
        return -1;
    /* A stamp from another time namespace may lie ahead. */
    return now > stamp ? (int64_t)((now - stamp) / 1000000u) : 0;
}

static cfgs_producer_state producer_state(const struct attachment *attachment, int64_t age_ms)
{
    const struct arena_header *header = attachment->header;
    bool fresh = age_ms >= 0 && age_ms < HEARTBEAT_STALE_MS;
    cfgs_view view;

    /* [state] acquire: the last commit before a close is visible with it. */
    uint64_t state = word_load_acquire(&header->state);
    if (state == ARENA_STATE_SUPERSEDED)
        return CFGS_PRODUCER_SUPERSEDED;
    if (state == ARENA_STATE_CLOSED)
        return CFGS_PRODUCER_CLOSED;
    bool held = write_lock_is_held(attachment->fd);
    /* [state] relaxed: written once, when the lock was taken. */
    if (!held && (word_load_relaxed(&header->signal_lock) != 0 || !fresh))
        return CFGS_PRODUCER_DEAD;
    if (!fresh)
        return CFGS_PRODUCER_STALLED;
    return bank_view_begin(attachment, &view) == CFGS_ERR_NOT_READY ? CFGS_PRODUCER_STARTING : CFGS_PRODUCER_RUNNING;
}

static void fill_bank(const struct attachment *attachment, cfgs_reader_info *info)
{
    const struct arena_header *header = attachment->header;
    const struct arena_counters *counters = &header->counters;
    struct ring_entry entry;
    cfgs_view view;

    if (bank_view_begin(attachment, &view) != CFGS_OK)
        return;
    info->sequence = view.sequence;
    info->bank_generation = route_generation(view.route);
    info->index_size = view.index_capacity;
    /* [counters] relaxed, here and below: numbers for people; they need not fit each other. */
    info->heap_size = word_load_relaxed(&view_bank(&view)->heap_bytes);
    info->heap_used = word_load_relaxed(&counters->heap_used);
    info->index_used = word_load_relaxed(&counters->index_used);
    info->settings = word_load_relaxed(&counters->settings);
    /* The oldest ID still there: the ring's reach, less what bulk loads and dead banks took.  Counted down, as IDs of a
     * damaged arena could wrap. */
    uint64_t left = view.sequence < attachment->ring_slots ? view.sequence : attachment->ring_slots;
    for (; left > 0 && info->ring_oldest == 0; left--) {
        uint64_t sequence = view.sequence - left + 1;
        const struct ring_slot *slot = attachment_slot(attachment, sequence);
        if (ring_take(slot, sequence, &entry) &&
            ring_still(slot, sequence, &header->bank[route_bank(entry.route)].version, entry.route))
            info->ring_oldest = sequence;
    }
}

static void fill_counters(const struct arena_counters *counters, cfgs_reader_info *info)
{
    /* [counters] relaxed: numbers for people. */
    info->counters.updates = word_load_relaxed(&counters->updates);
    info->counters.batches = word_load_relaxed(&counters->batches);
    info->counters.rebuilds = word_load_relaxed(&counters->rebuilds);
    info->counters.loads = word_load_relaxed(&counters->loads);
    /* [counters] relaxed: numbers for people. */
    info->counters.reloads_ok = word_load_relaxed(&counters->reloads_ok);
    info->counters.reloads_failed = word_load_relaxed(&counters->reloads_failed);
    info->counters.last_failure_ns = word_load_relaxed(&counters->last_failure_ns);
    info->counters.lapped_hints = word_load_relaxed(&counters->lapped_hints);
}

static void uuid_text(const uint8_t id[16], char out[37])
{
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2], id[3],
             id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
}

/* A connection is its producer's: with that it ends. */
static void fill_upstream(const struct arena_header *header, const struct arena_info *texts, cfgs_reader_info *info)
{
    bool alive = info->state == CFGS_PRODUCER_RUNNING || info->state == CFGS_PRODUCER_STARTING;

    info->upstream.relayed = texts->relayed != 0;
    if (!info->upstream.relayed)
        return;
    /* [beat] relaxed: for people, as the age. */
    info->upstream.connected = alive && word_load_relaxed(&header->relay_connected) != 0;
    info->upstream.contact_age_ms = age_ms(&header->relay_contact_ns);
    info->upstream.wire_base = texts->relay_wire_base;
    memcpy(info->upstream.address, texts->relay_address, sizeof info->upstream.address);
    for (unsigned i = 0; i < texts->relay_path_length && i < CFGS_UPSTREAM_PATH_MAX; i++) {
        uuid_text(texts->relay_path[i], info->upstream.path[i]);
        info->upstream.path_length = i + 1;
    }
}

static void fill_info(const struct attachment *attachment, cfgs_reader_info *info)
{
    const struct arena_header *header = attachment->header;
    struct arena_info texts;

    info->heartbeat_age_ms = age_ms(&header->beat_ns);
    info->state = producer_state(attachment, info->heartbeat_age_ms);
    /* [counters] relaxed: for people. */
    info->pid = (int64_t)word_load_relaxed(&header->pid);
    info->started_ns = word_load_relaxed(&header->started_ns);
    info->epoch = word_load_relaxed(&header->epoch);
    uuid_text(attachment->instance_id, info->instance_id);
    info->layout_major = attachment->layout_major;
    info->layout_minor = attachment->layout_minor;
    (void)info_load(header, &texts);
    memcpy(info->origin, texts.origin, sizeof info->origin);
    snprintf(info->control_path, sizeof info->control_path, "%.107s", texts.control_path);
    /* [private] relaxed: monotonic, of this process. */
    info->size_bytes = word_load_relaxed(&attachment->mapped);
    info->max_size_bytes = attachment->max_size;
    info->ring_slots = attachment->ring_slots;
    fill_upstream(header, &texts, info);
    fill_bank(attachment, info);
    fill_counters(&header->counters, info);
}

/* Under the lock, so that nobody retires the arena (and closes its descriptor) while we look at it. */
static void fill_attached(cfgs_reader *reader, const struct attachment *attachment, cfgs_reader_info *info)
{
    if (fork_guard_forked(&reader->guard)) {
        fill_info(attachment, info);
        return;
    }
    pthread_mutex_lock(&reader->lock);
    /* [private] relaxed: written only under this lock. */
    fill_info(atomic_load_explicit(&reader->current, memory_order_relaxed), info);
    pthread_mutex_unlock(&reader->lock);
}

int cfgs_reader_status(cfgs_reader *reader, cfgs_reader_info *out, size_t size)
{
    const struct attachment *attachment;
    cfgs_reader_info info = {.heartbeat_age_ms = -1, .upstream.contact_age_ms = -1};

    if (size < sizeof info.state)
        return CFGS_ERR_INVALID;
    snprintf(info.path, sizeof info.path, "%s", reader->name.path);
    reader_check_orphan(reader);
    int err = reader_attachment(reader, &attachment);
    if (err != CFGS_OK && err != CFGS_ERR_NOT_READY)
        return err;
    if (err == CFGS_OK) {
        (void)reader_grow(reader, attachment, 0);
        fill_attached(reader, attachment, &info);
    }
    /* A caller built against a newer header knows fields that we do not: they are zero. */
    memset(out, 0, size);
    memcpy(out, &info, size < sizeof info ? size : sizeof info);
    return CFGS_OK;
}
