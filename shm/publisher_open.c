/*
 * publisher_open.c: becoming the producer of an instance.
 *
 * The lock first; then what has the name is taken over, or, if it cannot be used as it is, replaced by a new arena that
 * carries over as much of it as can be read: the settings and IDs if it is sound, else nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arena_lock.h"
#include "detail.h"
#include "futex.h"
#include "publisher_private.h"
#include "recovery.h"
#include <configstream/error.h>
#include <configstream/version.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int check_options(const cfgs_publisher_options *options, cfgs_error_detail *detail)
{
    if (options->set_mode && (options->mode & ~(mode_t)0755) != 0)
        return detail_set(detail, CFGS_ERR_INVALID, 0, "mode %04o: only the owner may have write permission",
                          (unsigned)options->mode);
    if (options->first_sequence > SEQUENCE_MAX)
        return detail_set(detail, CFGS_ERR_INVALID, 0, "first sequence %" PRIu64 ": use at most %" PRIu64,
                          options->first_sequence, SEQUENCE_MAX);
    if (options->ring_slots > CFGS_RING_SLOTS_MAX)
        return detail_set(detail, CFGS_ERR_INVALID, 0, "ring of %u slots: use at most %u", options->ring_slots,
                          CFGS_RING_SLOTS_MAX);
    if (options->max_size > ARENA_MAX_SIZE_LIMIT)
        return detail_set(detail, CFGS_ERR_INVALID, 0, "max-size of %" PRIu64 " bytes: use at most %" PRIu64,
                          options->max_size, ARENA_MAX_SIZE_LIMIT);
    if (options->origin != NULL && strlen(options->origin) >= INFO_ORIGIN_BYTES)
        return detail_set(detail, CFGS_ERR_INVALID, 0, "origin is longer than %d bytes", INFO_ORIGIN_BYTES - 1);
    if (options->control_path != NULL && strlen(options->control_path) > 107)
        return detail_set(detail, CFGS_ERR_INVALID, 0, "control path is longer than 107 bytes: %s",
                          options->control_path);
    return CFGS_OK;
}

static struct arena_geometry geometry_for(const cfgs_publisher_options *options)
{
    struct arena_geometry geometry = {.max_size = options->max_size != 0 ? options->max_size : CFGS_MAX_SIZE_DEFAULT,
                                      .ring_slots = CFGS_RING_SLOTS_MIN,
                                      .base_sequence = options->first_sequence != 0 ? options->first_sequence - 1 : 0,
                                      .mode = options->set_mode ? options->mode : 0640,
                                      .set_group = options->set_group,
                                      .group = options->group};
    uint32_t slots = options->ring_slots != 0 ? options->ring_slots : CFGS_RING_SLOTS_DEFAULT;

    while (geometry.ring_slots < slots)
        geometry.ring_slots *= 2;
    geometry.max_size = geometry.max_size / ARENA_SECTION_BYTES * ARENA_SECTION_BYTES;
    return geometry;
}

/* Asked for another ring or size than the arena has?  What was not asked for stays. */
static bool geometry_fits(const cfgs_publisher_options *options, const struct arena_geometry *wanted,
                          const struct arena_header *header)
{
    return (options->ring_slots == 0 || header->ring_slots == wanted->ring_slots) &&
           (options->max_size == 0 || header->max_size == wanted->max_size);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

/* The arena as a reader of our own sees it. */
void publisher_set_own(cfgs_publisher *publisher)
{
    const struct arena_header *header = publisher->file.header;
    struct attachment *own = &publisher->own;

    own->header = header;
    own->fd = -1;
    own->max_size = own->map_bytes = publisher->file.map_bytes;
    own->hash_seed = header->hash_seed;
    own->ring_at = header->ring_at;
    own->ring_slots = header->ring_slots;
    own->base_sequence = header->base_sequence;
    memcpy(own->instance_id, header->instance_id, sizeof own->instance_id);
    publisher->geometry.hash_seed = header->hash_seed;
    publisher->geometry.ring_slots = header->ring_slots;
    publisher->geometry.max_size = header->max_size;
    /* [private] relaxed: of this process. */
    word_store_relaxed(&own->mapped, publisher->file.bytes);
}

void publisher_announce(cfgs_publisher *publisher)
{
    struct arena_header *header = publisher->file.header;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    info_store(header, &publisher->info);
    upstream_show(publisher);
    /* [counters] relaxed: for people. */
    word_store_relaxed(&header->pid, (uint64_t)getpid());
    word_store_relaxed(&header->started_ns, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    word_store_relaxed(&header->beat_interval_ms, HEARTBEAT_INTERVAL_MS);
    /* [state] relaxed: readers use it together with a probe of the lock itself. */
    word_store_relaxed(&header->signal_lock, publisher->named && arena_signal_lock(publisher->file.fd));
    publisher_beat(publisher);
    /* [state] release: what was written above is there when the arena says it runs. */
    word_store_release(&header->state, ARENA_STATE_RUNNING);
}

static void bump_epoch(cfgs_publisher *publisher)
{
    cfgs_word *epoch = &publisher->file.header->epoch;

    /* [epoch C2] release: one more producer; for people and metrics, no reader validates by it. */
    word_store_release(epoch, word_load_relaxed(epoch) + 1);
}

int publisher_create(cfgs_publisher *publisher)
{
    int err = arena_create(publisher->named ? &publisher->name : NULL, &publisher->geometry, &publisher->file,
                           &publisher->detail);
    if (err != CFGS_OK)
        return err;
    publisher_set_own(publisher);
    bump_epoch(publisher);
    return recovery_survey(publisher);
}

/* ---- taking over ------------------------------------------------------------------------------------------------- */

/* Of one that was killed while it wrote them the words may be of two states; each is one or the other. */
static bool is_relayed(const struct arena_header *header)
{
    struct arena_info info;

    words_load(&info, header->info, sizeof info); /* [info] relaxed: no producer is running */
    return info.relayed != INFO_OWN && info.relayed != INFO_RELAYED_LATER;
}

/* The arena is ours to read in full: where to go on from, and how its last producer ended. */
static bool old_is_sound(cfgs_publisher *old)
{
    publisher_set_own(old);
    if (recovery_survey(old) != CFGS_OK)
        return false;
    /* [state] relaxed: no producer is running. */
    bool closed = word_load_relaxed(&old->file.header->state) == ARENA_STATE_CLOSED ||
                  word_load_relaxed(&old->file.header->runtime_void) != 0;
    old->start = is_relayed(old->file.header) ? CFGS_START_RELAYED : closed ? CFGS_START_CLOSED : CFGS_START_CRASHED;
    return true;
}

/* What runtime sources had set on another host is not this one's, and is void as after a clean end.  Before the producer
 * announces itself: from then on the arena no longer says whose settings these are. */
static void void_runtime(cfgs_publisher *publisher, cfgs_publisher_start found)
{
    publisher->inherits = found == CFGS_START_CRASHED;
    /* [state] relaxed: the state follows, or the arena has no name yet. */
    if (!publisher->inherits)
        word_store_relaxed(&publisher->file.header->runtime_void, 1);
}

/* From the first moment, so that nobody takes a republisher's arena for a producer's own in between. */
static void recall_upstream(cfgs_publisher *publisher, const cfgs_publisher_options *options,
                            const struct arena_header *old)
{
    struct arena_info info;

    if (!options->keep_upstream || !info_load(old, &info) || info.relayed == INFO_OWN)
        return;
    memcpy(info.control_path, publisher->info.control_path, sizeof info.control_path);
    publisher->info = info;
    /* [beat] relaxed: no producer is running. */
    publisher->contact_ns = word_load_relaxed(&old->relay_contact_ns);
}

static int take_over(cfgs_publisher *publisher, cfgs_publisher *old, const cfgs_publisher_options *options)
{
    publisher->file = old->file;
    old->file = (struct arena_file){.fd = -1};
    publisher_set_own(publisher);
    int err = arena_permit(publisher->file.fd, options->set_mode, options->mode, options->set_group, options->group,
                           &publisher->detail);
    if (err == CFGS_OK)
        err = recovery_survey(publisher);
    if (err == CFGS_OK)
        bump_epoch(publisher);
    if (err == CFGS_OK)
        err = recovery_finish(publisher); /* row C3 */
    if (err == CFGS_OK) {
        void_runtime(publisher, old->start);
        recall_upstream(publisher, options, publisher->file.header);
        publisher_announce(publisher);
    }
    publisher->start = old->start;
    return err;
}

/* A new arena in the old one's place. */
static int replace(cfgs_publisher *publisher, cfgs_publisher *old, const cfgs_publisher_options *options, bool sound)
{
    if (sound) {
        publisher->geometry.hash_seed = old->geometry.hash_seed;
        if (publisher->geometry.base_sequence < old->sequence)
            publisher->geometry.base_sequence = old->sequence;
    } else if (old->file.header != NULL && publisher->geometry.base_sequence < old->sequence &&
               old->sequence <= SEQUENCE_MAX) {
        publisher->geometry.base_sequence = old->sequence; /* the survey came as far as the ID */
    }
    int err = publisher_create(publisher);
    bool adopted = err == CFGS_OK && sound && publisher->sequence == old->sequence;
    if (adopted)
        err = recovery_adopt(publisher, old);
    if (adopted && err == CFGS_OK) {
        void_runtime(publisher, old->start);
        recall_upstream(publisher, options, old->file.header);
    }
    if (err == CFGS_OK)
        publisher_announce(publisher);
    publisher->start = adopted ? old->start : CFGS_START_REPLACED;
    return err;
}

/* What has the name?  Fills publisher->file with an arena, linked if it is new. */
static int find_arena(cfgs_publisher *publisher, const cfgs_publisher_options *options)
{
    cfgs_publisher old = {.name = publisher->name, .file = {.fd = -1}};
    int found = arena_open(&publisher->name, &old.file, &publisher->detail);
    int err;

    if (found == CFGS_ERR_NOT_READY) {
        publisher->start = CFGS_START_NEW;
        err = publisher_create(publisher);
        if (err == CFGS_OK)
            publisher_announce(publisher);
        return err == CFGS_OK ? arena_link(&publisher->name, &publisher->file, NULL, &publisher->detail) : err;
    }
    if (found == CFGS_ERR_UNTRUSTED || found == CFGS_ERR_FEATURE || found == CFGS_ERR_PERMISSION ||
        found == CFGS_ERR_SYSTEM)
        return found;
    if (found == CFGS_OK && arena_signal_is_held(old.file.fd)) {
        arena_file_close(&old.file);
        return detail_set(&publisher->detail, CFGS_ERR_LOCKED, 0,
                          "another producer publishes to %s, though its lock file is gone", publisher->name.path);
    }
    bool sound = found == CFGS_OK && old_is_sound(&old);
    if (found == CFGS_OK && !sound)
        publisher->detail = old.detail;
    /* [state] relaxed: no producer is running.  A superseded arena that still has its name: its successor's producer
     * died before the rename. */
    if (sound && word_load_relaxed(&old.file.header->state) != ARENA_STATE_SUPERSEDED &&
        geometry_fits(options, &publisher->geometry, old.file.header)) {
        err = take_over(publisher, &old, options);
    } else {
        cfgs_error_detail reason = publisher->detail;
        err = replace(publisher, &old, options, sound);
        if (err == CFGS_OK)
            err = arena_link(&publisher->name, &publisher->file, &old.file, &publisher->detail);
        if (err == CFGS_OK)
            publisher->detail = reason; /* for cfgs_publisher_error() after CFGS_START_REPLACED */
    }
    arena_file_close(&old.file);
    return err;
}

/* ---- the calls --------------------------------------------------------------------------------------------------- */

static int open_parts(cfgs_publisher *publisher, const cfgs_publisher_options *options)
{
    int err = check_options(options, &publisher->detail);

    if (err != CFGS_OK)
        return err;
    publisher->geometry = geometry_for(options);
    publisher->named = !options->in_memory;
    publisher->wake_thread = !options->no_wake_thread;
    publisher->beat_thread = !options->no_heartbeat_thread;
    snprintf(publisher->info.origin, sizeof publisher->info.origin, "%s",
             options->origin != NULL ? options->origin : "core-agent");
    snprintf(publisher->info.control_path, sizeof publisher->info.control_path, "%s",
             options->control_path != NULL ? options->control_path : "");
    if (!fork_guard_init(&publisher->guard))
        return detail_set(&publisher->detail, CFGS_ERR_MEMORY, errno, "mmap");
    if (publisher->named) {
        err = arena_name_make(options->instance, options->arena_path, &publisher->name, &publisher->detail);
        if (err == CFGS_OK)
            err = arena_lock_take(&publisher->name, &publisher->lock_fd, &publisher->detail);
        if (err == CFGS_OK)
            err = find_arena(publisher, options);
    } else {
        err = publisher_create(publisher);
        if (err == CFGS_OK)
            publisher_announce(publisher);
    }
    if (err != CFGS_OK)
        return err;
    err = helpers_start(publisher);
    if (err == CFGS_OK)
        publisher_wake(publisher); /* row C4: a dead producer may have committed without waking */
    return err;
}

/*
 * Release everything; safe on a half-built publisher.  The arena stays as it is.  In a forked child threads and lock are the
 * parent's: only our copies of descriptors and memory go.
 */
static void release(cfgs_publisher *publisher)
{
    bool forked = publisher->guard.page != NULL && fork_guard_forked(&publisher->guard);

    if (!forked)
        helpers_stop(publisher);
    arena_file_close(&publisher->file);
    if (publisher->lock_fd >= 0 && forked)
        close(publisher->lock_fd);
    else if (publisher->lock_fd >= 0)
        arena_lock_drop(&publisher->name, publisher->lock_fd);
    batch_free(&publisher->batch);
    batch_free(&publisher->single);
    cfgs_builder_free(publisher->builder);
    pthread_mutex_destroy(&publisher->lock);
    fork_guard_release(&publisher->guard);
    free(publisher);
}

int cfgs_publisher_open(const cfgs_publisher_options *options, cfgs_publisher **out)
{
    static const cfgs_publisher_options defaults = {0};

    if (options == NULL)
        options = &defaults;
    cfgs_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return detail_set(options->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    publisher->lock_fd = publisher->file.fd = -1;
    pthread_mutex_init(&publisher->lock, NULL); /* cannot fail with default attributes on Linux */
    publisher->batch.publisher = publisher->single.publisher = publisher;
    int err = open_parts(publisher, options);
    if (err != CFGS_OK) {
        if (options->detail != NULL)
            *options->detail = publisher->detail;
        release(publisher);
        return err;
    }
    *out = publisher;
    return CFGS_OK;
}

void cfgs_publisher_close(cfgs_publisher *publisher, bool unlink_arena)
{
    if (publisher == NULL)
        return;
    /* A republisher that never got a state leaves what a dead producer had as it found it. */
    bool as_found = publisher->info.relayed == INFO_RELAYED_LATER && !unlink_arena;
    if (fork_guard_forked(&publisher->guard) || publisher->lost || as_found) {
        release(publisher);
        return;
    }
    struct arena_header *header = publisher->file.header;
    /* [state] relaxed: published with the state. */
    word_store_relaxed(&header->runtime_void, 1);
    /* [state] release, after the last commit: who sees the end sees all that was published.  Pairs with the acquire in
     * look(). */
    word_store_release(&header->state, unlink_arena ? ARENA_STATE_SUPERSEDED : ARENA_STATE_CLOSED);
    if (unlink_arena && publisher->named && publisher_has_name(publisher))
        (void)unlink(publisher->name.path);
    publisher_wake(publisher);
    helpers_stop(publisher);
    futex_wake_shared(&header->wake); /* the wake thread may have ended before it woke all */
    release(publisher);
}

void cfgs_publisher_abandon(cfgs_publisher *publisher)
{
    if (publisher != NULL)
        release(publisher);
}

int cfgs_arena_destroy(const cfgs_publisher_options *options)
{
    struct arena_file file = {.fd = -1};
    static const cfgs_publisher_options defaults = {0};
    struct arena_name name;
    int lock_fd;

    if (options == NULL)
        options = &defaults;
    int err = arena_name_make(options->instance, options->arena_path, &name, options->detail);

    if (err == CFGS_OK)
        err = arena_lock_take(&name, &lock_fd, options->detail);
    if (err != CFGS_OK)
        return err;
    err = arena_open(&name, &file, options->detail);
    bool useless = err == CFGS_ERR_NOT_ARENA || err == CFGS_ERR_LAYOUT || err == CFGS_ERR_TRUNCATED ||
                   err == CFGS_ERR_CORRUPT || err == CFGS_ERR_FEATURE;
    if (err == CFGS_OK && arena_signal_is_held(file.fd))
        err = detail_set(options->detail, CFGS_ERR_LOCKED, 0,
                         "a producer publishes to %s, though its lock file is gone", name.path);
    if ((err == CFGS_OK || useless) && unlink(name.path) != 0)
        err = detail_set(options->detail, CFGS_ERR_SYSTEM, errno, "removing %s", name.path);
    else if (err == CFGS_OK)
        arena_supersede_and_wake(&file);
    else if (useless)
        err = CFGS_OK;
    arena_file_close(&file);
    arena_lock_drop(&name, lock_fd);
    return err;
}
