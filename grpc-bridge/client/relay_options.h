/* client/relay_options.h: configstream-relay's command line.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_RELAY_OPTIONS_H
#define CLIENT_RELAY_OPTIONS_H

#include "base/log.h"

#include <configstream/publisher.h>
#include <configstream/remote.h>

struct relay_options {
    cfgs_remote_options remote;   /* strings are the command line's */
    cfgs_publisher_options arena; /* the same */
    bool unlink;
    uint32_t ready_timeout_ms; /* 0: the default */
    struct log log;
};

/** Parse; on a mistake says what is wrong and exits 2. */
void relay_options_parse(struct relay_options *options, int argc, char **argv);

#endif
