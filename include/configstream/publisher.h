/**
 * @file publisher.h  The one writer of an arena.
 *
 * A publisher holds an exclusive lock for its whole life; the kernel drops it when the process dies, however it dies.
 * What a call committed survives a kill at any instruction: the next publisher of the instance recovers it.
 *
 * Every change of the merged view takes the next sequence ID, one per key; a batch takes consecutive IDs and becomes
 * visible at once.  Setting what is there already (value, source and flags) is no change and takes no ID.
 *
 * Threads: one thread at a time per publisher, except cfgs_publisher_close(), which must be the last call.  Two helper
 * threads (all signals blocked in them) are the library's: one keeps the heartbeat, one (optional) wakes sleeping
 * readers so that a commit does not pay for them.
 * fork: a child must not use the publisher; every call returns CFGS_ERR_FORKED there.  A child that does not exec keeps
 * the lock's descriptor open, and with it the lock: do not fork without exec in a producer.
 *
 * Failure leaves the arena as it was: a call that returns an error has published nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_PUBLISHER_H
#define CONFIGSTREAM_PUBLISHER_H

#include <configstream/error.h>
#include <configstream/reader.h>
#include <configstream/setting.h>
#include <configstream/view.h>

CFGS_BEGIN_DECLS

#define CFGS_RING_SLOTS_DEFAULT 4096u
#define CFGS_RING_SLOTS_MIN 16u
#define CFGS_RING_SLOTS_MAX (1u << 24)
#define CFGS_MAX_SIZE_DEFAULT (UINT64_C(1) << 30)

typedef struct cfgs_publisher cfgs_publisher;

/** Zero means default.  Read during cfgs_publisher_open() only; strings are copied. */
typedef struct cfgs_publisher_options {
    const char *instance;    /**< as cfgs_reader_options */
    const char *arena_path;  /**< as cfgs_reader_options */
    const char *origin;      /**< base name of the main file, at most 255 bytes; default "core-agent" */
    const char *control_path; /**< control socket to advertise, at most 107 bytes; default none */
    bool set_mode;           /**< use mode below; otherwise a new arena has 0640 and an old one keeps its mode */
    mode_t mode;             /**< no write bit for group or others */
    bool set_group;          /**< give the arena to the group below */
    gid_t group;
    uint32_t ring_slots;     /**< history in updates, rounded up to a power of two; default 4,096 */
    uint64_t max_size;       /**< bytes the arena may grow to; readers reserve that much address space; default 1 GiB */
    uint64_t first_sequence; /**< ID of the first update of a new arena; default 1, or above a superseded arena's */
    bool in_memory;          /**< an arena of this process alone (memfd), no name, no lock; see cfgs_publisher_reader() */
    bool no_wake_thread;     /**< wake readers inside the commit call */
    bool no_heartbeat_thread; /**< the caller calls cfgs_publisher_beat() at least every 500 ms instead */
    bool keep_upstream;      /**< a recovered arena goes on naming the source (and origin) that a republisher told */
    cfgs_error_detail *detail; /**< out, may be NULL: what failed in cfgs_publisher_open(), in words */
} cfgs_publisher_options;

/**
 * Become the producer of an instance: create its arena, or recover the one a predecessor left.
 *
 * A new arena has no snapshot until the first commit: readers wait.  A recovered one keeps its identity, ring
 * capacity, mode and max_size, loses whatever its dead producer had not committed, and goes on counting.  One that cannot
 * be recovered (other layout, damaged, or of another ring or max_size than asked for) is replaced by a new one, and marked
 * superseded so that its readers move on.
 *
 * @return CFGS_OK; CFGS_ERR_LOCKED (detail.holder_pid); CFGS_ERR_NO_SPACE (detail.bytes_*); CFGS_ERR_PERMISSION;
 *         CFGS_ERR_UNTRUSTED (the name belongs to another user); CFGS_ERR_FILESYSTEM; CFGS_ERR_INVALID;
 *         CFGS_ERR_FEATURE (an arena with write features unknown here); CFGS_ERR_MEMORY; CFGS_ERR_SYSTEM
 */
CFGS_API CFGS_NODISCARD int cfgs_publisher_open(const cfgs_publisher_options *options, cfgs_publisher **out);

/**
 * End: mark the arena closed, wake its readers, release the lock.  The arena stays, so that a later publisher goes
 * on counting and readers keep their state; with unlink it is marked superseded and removed.  NULL is fine.
 * Without unlink, a republisher that found CFGS_START_CRASHED and has committed nothing ends as by cfgs_publisher_abandon():
 * the settings are the dead producer's, for that one to find again.
 */
CFGS_API void cfgs_publisher_close(cfgs_publisher *publisher, bool unlink);

/**
 * End as a crash would: release everything and leave the arena as it is, so that the next publisher finds
 * CFGS_START_CRASHED (or still CFGS_START_CLOSED, if this one had not committed anything yet).  For a producer that took
 * over but cannot start.  NULL is fine.
 */
CFGS_API void cfgs_publisher_abandon(cfgs_publisher *publisher);

/** What cfgs_publisher_open() found. */
typedef enum cfgs_publisher_start {
    CFGS_START_NEW = 0,      /**< there was no arena */
    CFGS_START_CRASHED = 1,  /**< recovered from a producer that died; its settings are readable with a view */
    CFGS_START_CLOSED = 2,   /**< recovered from a clean end */
    CFGS_START_REPLACED = 3, /**< the old arena was unusable; see cfgs_publisher_error() for the reason */
    CFGS_START_RELAYED = 4   /**< recovered from one that passed on another host's settings, however it ended; one that
                                  found CFGS_START_CRASHED and committed nothing leaves that */
} cfgs_publisher_start;
CFGS_API cfgs_publisher_start cfgs_publisher_started(const cfgs_publisher *publisher);

/** The heartbeat, for publishers without a thread for it (no_heartbeat_thread).  The publisher's thread. */
CFGS_API void cfgs_publisher_beat(cfgs_publisher *publisher);

/** The last committed ID; 0 (or first_sequence - 1) before the first. */
CFGS_API uint64_t cfgs_publisher_sequence(const cfgs_publisher *publisher);

/** What the last failed call met, in words; lives until the next failing call. */
CFGS_API const cfgs_error_detail *cfgs_publisher_error(const cfgs_publisher *publisher);

/** The arena's file; "" for an arena in memory. Lives as long as the publisher. */
CFGS_API const char *cfgs_publisher_path(const cfgs_publisher *publisher);

/**
 * Publish one setting, or remove one.  A batch of one.
 *
 * @param unset_source  cfgs_publisher_set: the source whose clearing led to this value, or CFGS_SOURCE_NONE for an
 *                      ordinary set.  cfgs_publisher_remove: the source whose clearing left the key without any.
 * @param changed       out, may be NULL: whether an update was published; if so its ID is cfgs_publisher_sequence().
 * @return CFGS_OK; CFGS_ERR_INVALID, _TOO_LARGE, _ENCODING (key, source or value); CFGS_ERR_NO_SPACE; CFGS_ERR_MEMORY;
 *         CFGS_ERR_FORKED
 * Cost: independent of how many settings there are, amortised (a full bank is rebuilt).
 */
CFGS_API CFGS_NODISCARD int cfgs_publisher_set(cfgs_publisher *publisher, const cfgs_setting *setting,
                                               int unset_source, bool *changed);
CFGS_API CFGS_NODISCARD int cfgs_publisher_remove(cfgs_publisher *publisher, const char *key, size_t length,
                                                  int unset_source, bool *changed);

/**
 * Look after the names: a cleaner (or a person) may have removed the arena or its lock under a running producer.
 *
 * To be called now and then, once a second, say.  If the arena's name is gone, or another file has it, a new arena with
 * the same settings and IDs takes the name, and the old one is marked superseded, so that its readers move on.  If the
 * lock's name is gone, the lock is taken anew.
 *
 * @param moved  out, may be NULL: whether there is a new arena.
 * @return CFGS_OK; CFGS_ERR_LOCKED: the lock was removed and another producer has it now, so stop; CFGS_ERR_INVALID: a
 *         batch is open; CFGS_ERR_NO_SPACE and others as cfgs_publisher_open(): nothing has changed, try again.
 * Cost: two system calls while all is well.
 */
CFGS_API CFGS_NODISCARD int cfgs_publisher_keep_names(cfgs_publisher *publisher, bool *moved);

/* ---- batches --------------------------------------------------------------------------------------------------- */

/** Changes that become visible at once.  At most one is open per publisher; copies all it is given. */
typedef struct cfgs_batch cfgs_batch;

/** Begin; CFGS_OK, CFGS_ERR_INVALID (one is open already), CFGS_ERR_LOCKED, CFGS_ERR_FORKED. */
CFGS_API CFGS_NODISCARD int cfgs_batch_begin(cfgs_publisher *publisher, cfgs_batch **out);

/** Stage a set or a removal; of several for one key the last counts.  Errors as cfgs_publisher_set(). */
CFGS_API CFGS_NODISCARD int cfgs_batch_set(cfgs_batch *batch, const cfgs_setting *setting, int unset_source);
CFGS_API CFGS_NODISCARD int cfgs_batch_remove(cfgs_batch *batch, const char *key, size_t length, int unset_source);

/** Make the batch the whole state: what it does not set is removed. (A first load, a snapshot from elsewhere.) */
CFGS_API void cfgs_batch_replace(cfgs_batch *batch);

/**
 * Give the batch's state this sequence ID, which must be greater than the last one (CFGS_ERR_INVALID at commit
 * otherwise), instead of the next ones: for a republisher that loads a snapshot from elsewhere.  Local event readers
 * see a snapshot.  Takes effect, and the ID, even if nothing changed.
 */
CFGS_API void cfgs_batch_at(cfgs_batch *batch, uint64_t sequence);

/**
 * Publish the batch at once and end it (also on failure).  More changes than half the ring's slots are loaded in bulk:
 * one snapshot for every event reader instead of updates.  The first commit of a new arena makes it ready, even when
 * it is empty.
 * @param changes  out, may be NULL: how many IDs it took; they end at cfgs_publisher_sequence().
 * @return CFGS_OK, CFGS_ERR_NO_SPACE, CFGS_ERR_MEMORY, CFGS_ERR_SYSTEM, CFGS_ERR_INVALID (the batch has ended, or its ID
 *         is not above the last one), CFGS_ERR_TOO_LARGE (2^31 changes), CFGS_ERR_CORRUPT (the arena's bytes were damaged
 *         under us), CFGS_ERR_LOCKED (see cfgs_publisher_keep_names()), CFGS_ERR_FORKED
 */
CFGS_API CFGS_NODISCARD int cfgs_batch_commit(cfgs_batch *batch, uint64_t *changes);

/** Drop the batch; NULL is fine. */
CFGS_API void cfgs_batch_abort(cfgs_batch *batch);

/* ---- republishers ------------------------------------------------------------------------------------------------- */

/** Where a republisher's configuration comes from (encoded.h passes it on).  Copied.  Zeroed: a producer's own. */
typedef struct cfgs_upstream {
    const char *origin;  /**< as the stream names it, at most 255 bytes; NULL: leave it */
    const char *address; /**< for people, at most 127 bytes; NULL: none */
    uint8_t path[CFGS_UPSTREAM_PATH_MAX][16]; /**< instance ids of the arenas it came through, nearest first */
    unsigned path_length;
    uint64_t wire_base;  /**< what was added to IDs on the wire to make them ours */
} cfgs_upstream;

/**
 * Tell readers where the configuration comes from; with a batch open, with its commit, before they see anything of it, and
 * not if it is refused or aborted.  CFGS_OK, CFGS_ERR_INVALID, CFGS_ERR_FORKED, CFGS_ERR_LOCKED (see
 * cfgs_publisher_keep_names()).  The publisher's thread.
 */
CFGS_API CFGS_NODISCARD int cfgs_publisher_set_upstream(cfgs_publisher *publisher, const cfgs_upstream *upstream);

/** Tell readers that upstream was heard of just now (if connected), or is not connected.  Cost: two stores and a clock. */
CFGS_API void cfgs_publisher_touch_upstream(cfgs_publisher *publisher, bool connected);

/** The arena's random identity, as cfgs_reader_info.instance_id says it in text.  A new arena has another one. */
CFGS_API void cfgs_publisher_instance_id(const cfgs_publisher *publisher, uint8_t instance_id[16]);

/* ---- looking ---------------------------------------------------------------------------------------------------- */

/**
 * A view of the committed state, to read with the cfgs_view_* functions; valid until the next publishing call, needs no
 * retry.  This is how a producer takes back what a crashed predecessor had published.
 */
CFGS_API CFGS_NODISCARD int cfgs_publisher_view(cfgs_publisher *publisher, cfgs_view *view);

/** Open a reader of this publisher's arena, also of one in memory.  It must be closed before the publisher is.  Any thread,
 *  while the publisher is open; cfgs_publisher_error() tells nothing of it. */
CFGS_API CFGS_NODISCARD int cfgs_publisher_reader(cfgs_publisher *publisher, cfgs_reader **out);

/** Count a configuration reload, for the operator's eyes (status). */
CFGS_API void cfgs_publisher_count_reload(cfgs_publisher *publisher, bool ok);

/**
 * The size an arena of these proportions is created with (or grows to), in bytes.
 * @param record_bytes  average of a setting's record; 0 for 256. Key length + value length + about 150.
 */
CFGS_API uint64_t cfgs_arena_size(uint64_t settings, uint64_t record_bytes, uint32_t ring_slots);

/**
 * Remove an instance's arena whose producer is not running, and mark it superseded so that its readers let go.
 * Uses instance, arena_path and detail of the options.
 * @return CFGS_OK; CFGS_ERR_NOT_READY (there is none); CFGS_ERR_LOCKED (its producer runs); as cfgs_publisher_open().
 */
CFGS_API CFGS_NODISCARD int cfgs_arena_destroy(const cfgs_publisher_options *options);

CFGS_END_DECLS

#endif
