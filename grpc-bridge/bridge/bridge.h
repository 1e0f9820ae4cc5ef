/**
 * @file bridge/bridge.h  What belongs to the process; workers share it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_BRIDGE_H
#define BRIDGE_BRIDGE_H

#include "base/log.h"
#include "bridge/limits.h"
#include "bridge/worker.h"
#include "event/snapshots.h"
#include "registry/registry.h"
#include "tls/credentials.h"

#include <configstream/reader.h>

struct bridge {
    struct log log; /* its level is changed by the main thread only */
    struct limits limits;
    cfgs_reader_options arena; /* how a worker opens its reader */
    bool no_auth;              /* --insecure-no-auth: neither client certificate nor token is asked for */
    bool no_unset_source;      /* a snapshot instead of an update that clears a source */
    bool no_reflection;
    struct credentials *credentials;
    struct registry *registry;
    struct snapshots *snapshots;
    /** Set once, before the workers are woken: health says NOT_SERVING, then connections drain. */
    atomic_bool draining;
    _Atomic int64_t room_wanted_ms; /* when a stream last found no room for its snapshot; 0: none since one was let go */
    struct worker *workers;
    unsigned worker_count;
    uint64_t descriptors; /* that connections may have, so that the rest is left for all else; 0: there is no bound */
};

#endif
