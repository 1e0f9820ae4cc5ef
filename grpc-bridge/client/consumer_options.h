/* client/consumer_options.h: what a command line says of cfgs_remote_options, checked before anything is touched.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_CONSUMER_OPTIONS_H
#define CLIENT_CONSUMER_OPTIONS_H

#include <argp.h>
#include <configstream/remote.h>

struct consumer_option {
    const char *member, *option; /* as the library's messages name it, and as the command line does */
};

/** Ends the program with status 2 where cfgs_remote_open() would refuse.  `names` ends with an empty one. */
void consumer_options_check(struct argp_state *state, const cfgs_remote_options *remote,
                            const struct consumer_option *names);

#endif
