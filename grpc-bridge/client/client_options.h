/* client/client_options.h: configstream-client's command line.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_CLIENT_OPTIONS_H
#define CLIENT_CLIENT_OPTIONS_H

#include "base/log.h"

#include <configstream/remote.h>
#include <stdbool.h>
#include <stdint.h>

struct client_options {
    cfgs_remote_options remote; /* strings are the command line's */
    int64_t duration_ms;
    uint64_t samples; /* settings of a snapshot, and updates, that are shown */
    bool json;
    struct log log; /* what is said on standard error */
};

/** Parse; on a mistake says what is wrong and exits 2. */
void client_options_parse(struct client_options *options, int argc, char **argv);

#endif
