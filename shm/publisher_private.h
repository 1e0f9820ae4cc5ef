/* publisher_private.h: what the parts of the publisher share.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_PUBLISHER_PRIVATE_H
#define CFGS_PUBLISHER_PRIVATE_H

#include "arena_file.h"
#include "arena_info.h"
#include "bank_view.h"
#include "fork_guard.h"
#include "ring.h"
#include <configstream/publisher.h>
#include <pthread.h>

/* One key's change in a batch. */
struct change {
    size_t image_at; /* record image in batch->images */
    uint64_t bytes;
    uint64_t hash;
    bool removes;
    bool outdone; /* another change of the same key counts */
    bool dropped; /* outdone, or nothing would change */
    /* Where the key stands in the live bank; see change_locate(). */
    uint64_t cell;
    uint64_t prev;      /* newest record of the key, 0 if none */
    uint64_t old_bytes; /* of the live record it replaces, 0 if none */
    uint64_t offset;    /* of the new record once written */
};

struct cfgs_batch {
    cfgs_publisher *publisher;
    struct buffer images;
    struct buffer changes; /* struct change */
    bool open, replace, has_at;
    bool snapshot; /* somebody else's state: a new arena, rather than an ID with two meanings */
    bool always;   /* takes its IDs even for what changes nothing */
    uint64_t at;   /* if has_at: the ID of the whole batch */
    bool has_upstream;          /* of the state that it makes: told with it, and not if it is refused */
    struct arena_info upstream; /* if has_upstream */
};

static inline size_t batch_count(const cfgs_batch *batch)
{
    return batch->changes.length / sizeof(struct change);
}

static inline struct change *batch_changes(const cfgs_batch *batch)
{
    return (struct change *)(void *)batch->changes.data;
}

static inline char *change_image(const cfgs_batch *batch, const struct change *change)
{
    return batch->images.data + change->image_at;
}

/* Heartbeat and wake threads. */
struct helpers {
    bool beating, waking;
    pthread_t beat_thread, wake_thread;
    cfgs_word32 stop;   /* private futex word */
    /* What the last kick left for the wake thread to choose its processor by; hints, ordered by nothing. */
    cfgs_word32 kick_cpu;
    cfgs_word kick_ns;
    cfgs_word32 parked; /* private futex word: 1 while the wake thread sleeps */
    uint32_t woken;     /* the arena's futex word up to which readers need no wake-up; under the publisher's lock */
};

struct cfgs_publisher {
    struct arena_name name;
    bool named; /* has a name and a lock */
    bool wake_thread, beat_thread;
    bool lost; /* the lock was removed and another producer has it: publish nothing, touch nothing */
    struct arena_info info;
    uint64_t contact_ns; /* what the header says of upstream, for the next arena's */
    bool connected;
    bool inherits; /* what is there was left by a producer that died, and nothing was committed since */
    int lock_fd;
    /* `file` changes only under the lock: helper threads and openers of readers hold it while they use the file. */
    pthread_mutex_t lock;
    struct arena_file file;
    struct arena_geometry geometry;
    cfgs_publisher_start start;

    /* The producer's own knowledge of the live bank; after a kill it comes from a rebuild, not from the arena. */
    unsigned bank;
    uint64_t generation, sequence;
    uint64_t heap_at, heap_end, bump; /* byte offsets; bump: the next record goes here */
    struct index_place index;
    uint64_t cells_used, settings, live_bytes;
    bool loaded;

    struct attachment own; /* the arena as a reader would see it, for views */
    struct cfgs_batch batch, single;
    cfgs_builder *builder; /* for what is received, from the first of it on */
    struct fork_guard guard;
    struct helpers helpers;
    cfgs_error_detail detail;
};

static inline struct bank_words *live_bank(cfgs_publisher *publisher)
{
    return &publisher->file.header->bank[publisher->bank];
}

static inline cfgs_word *arena_words(cfgs_publisher *publisher, uint64_t offset_bytes)
{
    return (cfgs_word *)((char *)publisher->file.header + offset_bytes);
}

/* A view of what is committed, by the producer itself. */
void publisher_own_view(cfgs_publisher *publisher, cfgs_view *view);

/* ---- publisher_open.c ---- */

/* The arena as a reader of our own sees it; geometry as the header has it. */
void publisher_set_own(cfgs_publisher *publisher);

/* A new, unnamed, empty arena of publisher->geometry. */
int publisher_create(cfgs_publisher *publisher);

/* Say who produces: before a new arena gets its name, so that nobody finds one that seems dead.  Readers may look. */
void publisher_announce(cfgs_publisher *publisher);

/* ---- publisher_names.c ---- */

/* Does the arena's name still lead to our file? */
bool publisher_has_name(const cfgs_publisher *publisher);

/* Is the lock's name still our lock's?  If it has none, ours anew; CFGS_ERR_LOCKED: another producer has it, we are lost. */
int publisher_keep_lock(cfgs_publisher *publisher);

/* ---- publisher_replace.c ---- */

/*
 * A new arena takes the place of the publisher's own, once it is filled: until then nobody can see it, and an error leaves
 * everything as it was.  `fill` is given the new one's parts: an empty arena of the same hash seed.
 */
struct replacement {
    uint64_t base_sequence; /* IDs of the new arena are greater */
    int (*fill)(cfgs_publisher *fresh, void *context);
    void *context;
};
int publisher_replace(cfgs_publisher *publisher, const struct replacement *replacement);

/* ---- rebuild.c ---- */

/* What goes into the other bank: the live records of a view, with the changes of a batch (or none) laid over. */
struct rebuild {
    const cfgs_view *source;
    const cfgs_batch *load; /* NULL: copy only */
    uint64_t sequence;      /* of the new bank */
    uint64_t settings, live_bytes;
    uint64_t extra_settings, extra_bytes; /* to leave room for on top */
    bool loaded;
};

/*
 * Rows R1 to R6.  CFGS_OK: the other bank is current.  CFGS_ERR_NO_SPACE, _MEMORY, _SYSTEM: nothing has changed.
 */
int publisher_rebuild(cfgs_publisher *publisher, const struct rebuild *rebuild);

/* ---- publisher_update.c ---- */

/* Find where the change's key stands in the live bank; *found is its newest record if the result is 1. */
int change_locate(cfgs_publisher *publisher, const cfgs_batch *batch, struct change *change, struct record *found);

/* Publish a staged batch: drop what changes nothing, then update, bulk load, or replace.  *changes: IDs taken. */
int publisher_commit(cfgs_publisher *publisher, cfgs_batch *batch, uint64_t *changes);

/* ---- publisher_threads.c ---- */

int helpers_start(cfgs_publisher *publisher);
void helpers_stop(cfgs_publisher *publisher);
void publisher_beat(cfgs_publisher *publisher);

/* Row U5. */
void publisher_wake(cfgs_publisher *publisher);

/* ---- upstream.c ---- */

/* Write what is known of upstream into the header; before a new arena can be seen, and at each change. */
void upstream_show(cfgs_publisher *publisher);

/* Tell what a batch says of upstream: once nothing can refuse it any more, and before readers see anything of it. */
void upstream_commit(cfgs_publisher *publisher, const cfgs_batch *batch);

/* Is what is there a dead producer's own?  A republisher's mark says so, too. */
void upstream_inherit(cfgs_publisher *publisher, bool inherits);

/* ---- batch.c ---- */

int batch_stage(cfgs_batch *batch, const struct record_input *input);
/* What stands against staging; the detail says it. */
int batch_usable(cfgs_publisher *publisher);
int batch_ended(cfgs_batch *batch);
/* Publish what was staged in publisher->single, unless staging failed, and end it. */
int batch_commit_single(cfgs_publisher *publisher, int staged, uint64_t *changes);
void batch_reset(cfgs_batch *batch);
void batch_free(cfgs_batch *batch);

/* Counters are for people: relaxed, and only the producer writes them. */
static inline void count(cfgs_word *counter, uint64_t more)
{
    /* [counters] relaxed: numbers for people; nothing is ordered by them. */
    word_store_relaxed(counter, word_load_relaxed(counter) + more);
}

static inline void publisher_show_bank(cfgs_publisher *publisher)
{
    struct arena_counters *counters = &publisher->file.header->counters;

    /* [counters] relaxed: numbers for people. */
    word_store_relaxed(&counters->settings, publisher->settings);
    word_store_relaxed(&counters->heap_used, publisher->bump - publisher->heap_at);
    word_store_relaxed(&counters->index_used, publisher->cells_used);
}

#endif
