/* client/remote.c: the public consumer, far by an engine and an arena in memory, near by a reader of this host's arena.
 * SPDX-License-Identifier: Apache-2.0 */
#include "client/engine.h"
#include "shm/detail.h"
#include "shm/fork_guard.h"

#include <configstream/publisher.h>
#include <stdlib.h>
#include <string.h>

struct cfgs_remote {
    struct fork_guard guard;
    /* Far; NULL: near. */
    cfgs_publisher *publisher;
    struct engine *engine;
    /* Near. */
    char *name; /* what instance or arena_path points to */
    cfgs_reader_options reader;
};

/* ---- near -------------------------------------------------------------------------------------------------------- */

static const char NEAR[] = "shm:";

static bool is_near(const cfgs_remote_options *options)
{
    return options->address && strncmp(options->address, NEAR, sizeof NEAR - 1) == 0;
}

static int open_near(cfgs_remote *remote, const cfgs_remote_options *options)
{
    const char *name = options->address + sizeof NEAR - 1;
    remote->name = strdup(name);
    if (!remote->name)
        return detail_set(options->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    remote->reader = (cfgs_reader_options){.trust_producer_user = options->trust_producer_user,
                                           .producer_user = options->producer_user};
    *(*name == '/' ? &remote->reader.arena_path : &remote->reader.instance) = remote->name;
    cfgs_reader_options probing = remote->reader;
    cfgs_reader *probe;
    probing.detail = options->detail;
    int error = cfgs_reader_open(&probing, &probe);
    if (error != CFGS_OK)
        return error;
    cfgs_reader_close(probe);
    return CFGS_OK;
}

/* A reader of its own for each wait: its cursor has one owner, and we may be called by any thread. */
static int wait_near(const cfgs_remote *remote, int timeout_ms)
{
    cfgs_reader *reader;
    int error = cfgs_reader_open(&remote->reader, &reader);
    if (error != CFGS_OK)
        return error;
    error = cfgs_reader_wait_ready(reader, timeout_ms);
    cfgs_reader_close(reader);
    return error;
}

static void describe_near(const cfgs_remote *remote, cfgs_remote_info *info)
{
    cfgs_reader *reader;
    cfgs_reader_info arena;
    *info = (cfgs_remote_info){.state = CFGS_REMOTE_NEAR, .grpc_status = -1, .retry_ms = -1, .contact_age_ms = -1,
                               .first_snapshot_ms = -1};
    info->error = cfgs_reader_open(&remote->reader, &reader);
    if (info->error != CFGS_OK)
        return;
    info->error = cfgs_reader_status(reader, &arena, sizeof arena);
    if (info->error == CFGS_OK && arena.state != CFGS_PRODUCER_ABSENT) {
        info->sequence = arena.sequence;
        info->contact_age_ms = arena.heartbeat_age_ms;
    }
    cfgs_reader_close(reader);
}

/* ---- far --------------------------------------------------------------------------------------------------------- */

static int open_far(cfgs_remote *remote, const cfgs_remote_options *options)
{
    const cfgs_publisher_options arena = {.in_memory = true, .no_wake_thread = true, .no_heartbeat_thread = true,
                                          .ring_slots = options->ring_slots, .max_size = options->max_size,
                                          .detail = options->detail};
    int error = cfgs_publisher_open(&arena, &remote->publisher);
    if (error != CFGS_OK)
        return error;
    return engine_open(&(struct engine_options){.remote = options, .publisher = remote->publisher, .beat = true},
                       &remote->engine);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void release(cfgs_remote *remote)
{
    engine_close(remote->engine);
    cfgs_publisher_close(remote->publisher, true);
    fork_guard_release(&remote->guard);
    free(remote->name);
    free(remote);
}

/* What the last attempt met says more than that the time is over. */
static int await_first_snapshot(cfgs_remote *remote, const cfgs_remote_options *options)
{
    cfgs_remote_info info;
    int error = cfgs_remote_wait_ready(remote, options->ready_timeout_ms);
    if (error == CFGS_OK || !remote->engine)
        return error == CFGS_OK ? CFGS_OK : detail_set(options->detail, error, 0, "%s", cfgs_strerror(error));
    engine_info(remote->engine, &info);
    if (error != CFGS_ERR_TIMEOUT)
        return detail_set(options->detail, error, 0, "%.400s", info.message);
    return detail_set(options->detail, error, 0, "no configuration in %d ms: %.400s", options->ready_timeout_ms,
                      info.message[0] ? info.message : cfgs_remote_state_name(info.state));
}

int cfgs_remote_open(const cfgs_remote_options *options, cfgs_remote **out)
{
    static const cfgs_remote_options DEFAULTS = {0};
    const cfgs_remote_options *given = options ? options : &DEFAULTS;
    if (!out || given->ready_timeout_ms < 0)
        return detail_set(given->detail, CFGS_ERR_INVALID, 0, "%s", out ? "ready_timeout_ms: it is negative"
                                                                        : "there is no place for the result");
    cfgs_remote *remote = calloc(1, sizeof *remote);
    if (!remote || !fork_guard_init(&remote->guard)) {
        free(remote);
        return detail_set(given->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    }
    int error = is_near(given) ? open_near(remote, given) : open_far(remote, given);
    if (error == CFGS_OK && given->ready_timeout_ms > 0)
        error = await_first_snapshot(remote, given);
    if (error == CFGS_OK)
        *out = remote;
    else
        release(remote);
    return error;
}

/* In a child the thread does not exist, and its locks are as they were at the fork: nothing of it can be freed there. */
void cfgs_remote_close(cfgs_remote *remote)
{
    if (remote && !fork_guard_forked(&remote->guard))
        release(remote);
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

int cfgs_remote_reader(cfgs_remote *remote, cfgs_reader **out)
{
    if (!remote || !out)
        return CFGS_ERR_INVALID;
    if (fork_guard_forked(&remote->guard))
        return CFGS_ERR_FORKED;
    return remote->publisher ? cfgs_publisher_reader(remote->publisher, out) : cfgs_reader_open(&remote->reader, out);
}

int cfgs_remote_wait_ready(cfgs_remote *remote, int timeout_ms)
{
    if (!remote)
        return CFGS_ERR_INVALID;
    if (fork_guard_forked(&remote->guard))
        return CFGS_ERR_FORKED;
    return remote->engine ? engine_wait_ready(remote->engine, timeout_ms) : wait_near(remote, timeout_ms);
}

int cfgs_remote_status(cfgs_remote *remote, cfgs_remote_info *info, size_t size)
{
    cfgs_remote_info now;
    if (!remote || !info || !size)
        return CFGS_ERR_INVALID;
    if (fork_guard_forked(&remote->guard))
        return CFGS_ERR_FORKED;
    if (remote->engine)
        engine_info(remote->engine, &now);
    else
        describe_near(remote, &now);
    memset(info, 0, size); /* of a newer caller's fields nothing is known */
    memcpy(info, &now, size < sizeof now ? size : sizeof now);
    return CFGS_OK;
}

const char *cfgs_remote_state_name(int state)
{
    static const char *const NAMES[] = {"near", "waiting", "credentials", "connecting", "registering", "subscribing",
                                        "streaming", "failed"};
    return state >= 0 && state < (int)(sizeof NAMES / sizeof *NAMES) ? NAMES[state] : "?";
}
