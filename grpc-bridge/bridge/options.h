/* bridge/options.h: configstream-bridge's command line.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_OPTIONS_H
#define BRIDGE_OPTIONS_H

#include "base/log.h"
#include "bridge/limits.h"
#include "bridge/listen.h"

#include <sys/types.h>

enum { OPTIONS_WORKERS_MAX = 128, REGISTRY_TIME_LEAST_MS = 10, REGISTRY_TIME_MOST_MS = 86400000 };

struct options {
    const char *instance, *arena_path, *control, *metrics; /* metrics "": none */
    uid_t producer_user;                                   /* (uid_t)-1: none */
    bool set_control_group;
    gid_t control_group;
    const char *listen[LISTEN_ADDRESSES_MAX];              /* HOST:PORT, as given */
    unsigned listen_count, workers;
    const char *cert, *ca, *key, *token;
    bool require_credentials, no_auth, no_unset_source, no_reflection;
    int64_t limits[LIMIT_COUNT_OF_ALL];
    bool limit_given[LIMIT_COUNT_OF_ALL];
    int64_t registry_idle_ms, registry_refresh_ms; /* -1: not given */
    struct log log;
};

/** Parse; on a mistake says what is wrong and exits 2. */
void options_parse(struct options *options, int argc, char **argv);

#endif
