/**
 * @file bridge/worker.h  One thread: its epoll, its listening sockets, its reader of the arena, its connections.
 *
 * Workers share no lock on any path that a peer can drive.  A turn of the loop: wait; read the clock once; handle what is
 * ready; pass news of the arena to services; write out every connection that was touched, once.  Once a second a tick
 * looks at everything that is bounded by time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_WORKER_H
#define BRIDGE_WORKER_H

#include "base/list.h"
#include "base/log.h"
#include "base/problem.h"
#include "bridge/counters.h"

#include <configstream/reader.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bridge;
struct timers;
struct update_frames;

enum {
    WORKER_LISTENERS_MAX = 32,
    WORKER_SCRATCH_BYTES = 64 * 1024,
    WORKER_IO_BYTES = 64 * 1024,
    WORKER_TICK_MS = 1000,
    WORKER_NOTICE_BYTES = 512,
    WORKER_LINE_BYTES = 1024,
    WORKER_LINES_MAX = 200, /* in ten seconds */
    WORKER_PATH_BYTES = (1 + CFGS_UPSTREAM_PATH_MAX) * 37 /* UUIDs, separated */
};

/** What could fill a log is told once in a while, with how often it was. */
enum worker_notice {
    NOTICE_HANDSHAKE,
    NOTICE_BLAMED,
    NOTICE_DEAD,
    NOTICE_FULL,
    NOTICE_ACCEPT,
    NOTICE_ARENA,
    NOTICE_DISCONTINUITY,
    NOTICE_DROPPED,
    NOTICE_KINDS
};

struct worker {
    struct bridge *bridge;
    unsigned index;
    pthread_t thread;
    int epoll_fd, wake_fd, arena_fd;
    int listeners[WORKER_LISTENERS_MAX]; /* each worker its own, SO_REUSEPORT; -1: closed */
    unsigned listener_count;
    cfgs_reader *reader;
    struct update_frames *updates;
    struct counters counters;
    struct list connections; /* struct connection */
    struct list touched;     /* of these, what has something to write out at the end of the turn */
    struct list waiting;     /* of these, what waits for a handshake, as max_handshakes are under way */
    struct list streams;     /* service/stream.c: open configuration streams */
    struct list watches;     /* service/health.c: open health watches */
    uint64_t arena, sequence; /* the arena as last looked at; 0: no snapshot yet */
    uint64_t origin_version;  /* of that arena, as last looked at */
    char path[WORKER_PATH_BYTES]; /* the arenas the configuration comes through, this one first; "": none yet */
    bool serving;             /* a first snapshot is there and its producer runs: what health says */
    int64_t now_ms;           /* CLOCK_MONOTONIC, of this turn */
    uint8_t *scratch;         /* WORKER_SCRATCH_BYTES, for whoever runs; holds nothing between callbacks */

    /* The rest is the transport's. */
    uint8_t *io; /* WORKER_IO_BYTES: what was just read, or is just written */
    struct timers *timers;
    unsigned handshakes; /* under way */
    bool paused;         /* listeners are not looked at */
    int64_t resume_ms, tick_ms;
    int64_t drain_ms; /* when the end began; 0: it did not */
    struct {
        int64_t next_ms;
        unsigned silent;
    } notices[NOTICE_KINDS];
    struct {
        int64_t until_ms;
        unsigned told, silent;
    } lines;
};

/** Everything but the thread; listeners are bound already and become the worker's. */
bool worker_open(struct worker *worker, struct bridge *bridge, unsigned index, const int *listeners, unsigned count,
                 struct problem *problem);
bool worker_start(struct worker *worker, struct problem *problem);

/** From another thread: look at the bridge's flags now. */
void worker_wake(struct worker *worker);

/** After the thread ended (it does when the bridge drains and the last connection is gone, or its time is over). */
void worker_join(struct worker *worker);
/** The same, waiting at most so long.  False: it still runs. */
bool worker_join_within(struct worker *worker, int64_t ms);
void worker_close(struct worker *worker);

/** Log a warning, at most one of its kind in ten seconds. */
void worker_notice(struct worker *worker, enum worker_notice kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Log what a client did, each of which is worth a line, unless clients do it to fill the log: WORKER_LINES_MAX in ten
 *  seconds, the others are told as a number. */
void worker_tell(struct worker *worker, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
