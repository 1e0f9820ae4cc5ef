/**
 * @file reader.h  Open an arena and follow the life of its producer.
 *
 * A reader maps the arena read-only and needs nothing else: no thread, no socket, no registration.  The producer never
 * learns of it and never waits for it.  A dead producer changes nothing: reads go on giving the last committed state.
 *
 * Who may run beside whom, on one reader:
 *
 *     point reads, views, cfgs_reader_status      any threads, at any time
 *     cfgs_reader_interrupt                       any thread; also a signal handler
 *     cfgs_reader_next, cfgs_view_at, wait_ready  one thread at a time (the event cursor has one owner)
 *     cfgs_reader_fd                              the event cursor's thread
 *     cfgs_reader_close                           when no other call is running
 *
 * Caveats
 *   fork       Point reads and views may go on in the child.  Event, wait and descriptor calls on a handle made before
 *              the fork return CFGS_ERR_FORKED; open a new reader.
 *   signals    No handler is installed and nothing is blocked.  Waits go on after a signal; to end one, call
 *              cfgs_reader_interrupt() from the handler.
 *   suspended  A reader stopped for long misses updates, never correctness: its next event is a snapshot.
 *   containers Share the arena's file (or its directory) as a read-only volume; see docs/architecture.md.
 *   growth     The reader reserves the arena's max_size (1 GiB by default) as address space once and touches only what
 *              the file holds.  Under RLIMIT_AS (or a memory checker) allow for it.
 *   secrets    The arena holds configuration secrets; mappings are kept out of core dumps (MADV_DONTDUMP).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_READER_H
#define CONFIGSTREAM_READER_H

#include <configstream/error.h>
#include <configstream/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

CFGS_BEGIN_DECLS

/** Longest instance name; the characters allowed are A-Z a-z 0-9 _ and -. */
#define CFGS_INSTANCE_MAX_BYTES 64

/** Most arenas that a configuration may come through. */
#define CFGS_UPSTREAM_PATH_MAX 8

typedef struct cfgs_reader cfgs_reader;

/** Zero means default.  Read during cfgs_reader_open() only; strings are copied. */
typedef struct cfgs_reader_options {
    const char *instance;     /**< name, default "default"; the arena is /dev/shm/configstream.<instance> */
    const char *arena_path;   /**< the arena's file instead, in any tmpfs directory */
    bool trust_producer_user; /**< also trust arenas owned by producer_user, besides root's and the effective user's */
    uid_t producer_user;
    cfgs_error_detail *detail; /**< out, may be NULL: what failed in cfgs_reader_open(), in words */
} cfgs_reader_options;

/**
 * Open the arena of an instance.
 *
 * Succeeds also when there is no arena yet, or none that is complete: the reader then attaches as soon as one appears
 * (in any later call; cfgs_reader_wait_ready() waits for it), so the order in which processes start does not matter.
 * cfgs_reader_status() tells.
 *
 * @param options  NULL for all defaults.
 * @param out      the reader; written only on success.  Close with cfgs_reader_close().
 * @return CFGS_OK, CFGS_ERR_INVALID (bad instance name), CFGS_ERR_MEMORY, CFGS_ERR_SYSTEM, CFGS_ERR_PERMISSION, or what
 *         is wrong with the file that is there: CFGS_ERR_UNTRUSTED, _NOT_ARENA, _LAYOUT, _FEATURE, _TRUNCATED,
 *         _CORRUPT, _FILESYSTEM.
 * Cost: about ten system calls; memory of the arena is mapped, not copied.
 */
CFGS_API CFGS_NODISCARD int cfgs_reader_open(const cfgs_reader_options *options, cfgs_reader **out);

/** Close; NULL is fine.  Everything borrowed from the reader ends here.  No call may be running on it. */
CFGS_API void cfgs_reader_close(cfgs_reader *reader);

/** Waits without end. */
#define CFGS_FOREVER (-1)

/**
 * Start-up gate: block until a first snapshot is there.
 *
 * @param timeout_ms  milliseconds of CLOCK_MONOTONIC; 0 looks once, negative waits without end.
 * @return CFGS_OK           reads will find the configuration
 *         CFGS_ERR_TIMEOUT  none came in time
 *         CFGS_ERR_INTERRUPTED, CFGS_ERR_FORKED
 *         CFGS_ERR_BUSY     no live bank was found over and over: the arena is damaged
 *         or what is wrong with the file that is there, as cfgs_reader_open()
 */
CFGS_API CFGS_NODISCARD int cfgs_reader_wait_ready(cfgs_reader *reader, int timeout_ms);

/**
 * End a blocked cfgs_reader_wait_ready() or cfgs_reader_next() of another thread: it returns CFGS_ERR_INTERRUPTED.
 * If none is blocked, the next one returns so at once.  Any thread; async-signal-safe.
 * At once on Linux 5.16 and later; on older kernels a wait notices within a second.
 */
CFGS_API void cfgs_reader_interrupt(cfgs_reader *reader);

/** What is known of the producer.  Stored nowhere; never renumbered. */
typedef enum cfgs_producer_state {
    CFGS_PRODUCER_ABSENT = 0,     /**< there is no arena */
    CFGS_PRODUCER_STARTING = 1,   /**< an arena, but no first snapshot in it yet */
    CFGS_PRODUCER_RUNNING = 2,    /**< its heartbeat moves */
    CFGS_PRODUCER_STALLED = 3,    /**< it holds its lock, but its heartbeat is older than three seconds */
    CFGS_PRODUCER_DEAD = 4,       /**< it is gone without closing; reads give its last committed state */
    CFGS_PRODUCER_CLOSED = 5,     /**< it ended cleanly; reads give its last state */
    CFGS_PRODUCER_SUPERSEDED = 6  /**< another arena took this one's place; the reader moves on by itself */
} cfgs_producer_state;

/** "absent", "starting", "running", ...; "?" for an unknown number. Static storage. */
CFGS_API const char *cfgs_producer_state_name(int state);

/** Sizes and numbers of an arena and its producer.  Grows only at the end. */
typedef struct cfgs_reader_info {
    cfgs_producer_state state;
    int64_t pid;              /**< of the producer, in its own pid namespace; for people */
    uint64_t started_ns;      /**< when it started, CLOCK_REALTIME nanoseconds; for people */
    uint64_t epoch;           /**< producer incarnations of this arena, from 1 */
    int64_t heartbeat_age_ms; /**< -1 when there was none */
    char path[512];           /**< the arena's file */
    char instance_id[37];     /**< random, of this arena; UUID text */
    unsigned layout_major, layout_minor;
    uint64_t sequence;        /**< last committed ID */
    uint64_t settings;        /**< live settings (as counted by the producer) */
    char origin[256];         /**< base name of the main file, or "core-agent" */
    char control_path[108];   /**< the producer's control socket; "" if none */
    uint64_t size_bytes, max_size_bytes;
    uint64_t bank_generation, heap_used, heap_size, index_used, index_size; /**< live bank; bytes, and cells */
    uint64_t ring_slots, ring_oldest; /**< oldest ID that can still be taken, 0 if none */
    struct {
        uint64_t updates, batches, rebuilds, loads, reloads_ok, reloads_failed, last_failure_ns, lapped_hints;
    } counters;
    /** Of an arena whose producer passes on what it receives from elsewhere (a relay, a cfgs_remote). */
    struct {
        bool relayed;           /**< it is such an arena */
        bool connected;         /**< its producer follows the stream just now */
        int64_t contact_age_ms; /**< since its producer heard of upstream last: how old the state may be; -1: never */
        char address[128];      /**< what it is connected to, as it was told */
        unsigned path_length;   /**< arenas upstream, nearest first; their UUIDs as text */
        char path[CFGS_UPSTREAM_PATH_MAX][37];
        uint64_t wire_base;     /**< what was added to IDs on the wire */
    } upstream;
} cfgs_reader_info;

/**
 * Look at the arena and its producer.  Works on any state, ABSENT included (the rest is then zero).
 *
 * A killed producer is seen at once (the kernel drops its lock), also across pid namespaces; a hung one after three
 * seconds.  Pids are never used to decide.
 *
 * @param size  sizeof *info as the caller knows it; no more is written.
 * @return CFGS_OK, CFGS_ERR_INVALID, or what is wrong with the file, as cfgs_reader_open().
 * Cost: up to five system calls.  Any thread.
 */
CFGS_API CFGS_NODISCARD int cfgs_reader_status(cfgs_reader *reader, cfgs_reader_info *info, size_t size);

/**
 * A descriptor that polls readable when cfgs_reader_next() may have something to deliver.
 *
 * For select, poll, epoll: when it is readable call cfgs_reader_next(reader, &event, 0) until CFGS_ERR_TIMEOUT, which
 * also makes it unreadable again.  The first call starts one helper thread (all signals blocked in it), which
 * cfgs_reader_close() ends.  It also becomes readable when the producer closes.
 *
 * @param fd  out: close-on-exec, non-blocking, the reader's: do not read or close it.
 * @return CFGS_OK, CFGS_ERR_SYSTEM, CFGS_ERR_MEMORY, CFGS_ERR_FORKED.
 */
CFGS_API CFGS_NODISCARD int cfgs_reader_fd(cfgs_reader *reader, int *fd);

/**
 * What the last failed call on this reader met, in words; the calling thread must own the event cursor.
 * Lives until the next failing call.
 */
CFGS_API const cfgs_error_detail *cfgs_reader_error(const cfgs_reader *reader);

CFGS_END_DECLS

#endif
