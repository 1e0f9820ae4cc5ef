/**
 * @file client/engine.h  The consumer of a stream: connects, registers, subscribes, applies what comes to a publisher.
 *
 * What cfgs_remote (an arena in memory), configstream-relay (an arena with a name) and configstream-client (one stream,
 * watched) have in common.  One thread; all else is asked from outside under a lock.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_ENGINE_H
#define CLIENT_ENGINE_H

#include <configstream/publisher.h>
#include <configstream/remote.h>

struct engine;

enum engine_event_kind { ENGINE_SNAPSHOT, ENGINE_UPDATE };

/** One message of the stream, after it was applied.  Lives during the call. */
struct engine_event {
    enum engine_event_kind kind;
    uint64_t sequence;
    size_t settings, bytes; /* of a snapshot; of the message */
    const uint8_t *setting; /* of an update: the encoded ConfigSetting */
    size_t setting_length;
};

/** Called on the engine's thread; any may be NULL. */
struct engine_hooks {
    void *context;
    void (*event)(void *context, const struct engine_event *event);
    /** Twice a second.  Not CFGS_OK: the engine ends with this error. */
    int (*tick)(void *context, cfgs_publisher *publisher);
};

struct engine_options {
    const cfgs_remote_options *remote; /* read during engine_open(), strings copied; no "shm:" */
    cfgs_publisher *publisher;         /* the engine's thread's until engine_close() */
    bool relay; /* refuse a path that holds the publisher's own arena, or that has no room for it (CFGS_ERR_LOOP) */
    bool once;  /* the first failure is final: nothing is tried again */
    bool beat;  /* the publisher has no heartbeat thread */
    struct engine_hooks hooks;
};

/** Start the thread.  CFGS_OK, CFGS_ERR_INVALID, _MEMORY, _SYSTEM, with the detail of the remote options. */
int engine_open(const struct engine_options *options, struct engine **out);

/** Stop the thread, wait for it, free all; the publisher stays open.  NULL is fine. */
void engine_close(struct engine *engine);

/** Any thread. */
void engine_info(struct engine *engine, cfgs_remote_info *out);

/** Wait until a snapshot was applied since engine_open() (CFGS_OK), nothing is tried any more (the error), or
 *  CFGS_ERR_TIMEOUT. */
int engine_wait_ready(struct engine *engine, int timeout_ms);

/** Readable once nothing is tried any more (FAILED); the engine's. */
int engine_ended_fd(const struct engine *engine);

#endif
