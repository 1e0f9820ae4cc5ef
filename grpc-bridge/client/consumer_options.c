/* client/consumer_options.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/consumer_options.h"

#include "client/setup.h"

#include <string.h>

/* "member: what is wrong with it" */
static const char *find_option(const struct consumer_option *names, const char *message, const char **rest)
{
    for (; names->member; names++) {
        size_t length = strlen(names->member);
        if (strncmp(message, names->member, length) == 0 && message[length] == ':') {
            *rest = message + length;
            return names->option;
        }
    }
    return NULL;
}

void consumer_options_check(struct argp_state *state, const cfgs_remote_options *remote,
                            const struct consumer_option *names)
{
    cfgs_error_detail detail = {0};
    cfgs_remote_options checked = *remote;
    struct setup setup = {0};
    const char *rest;
    checked.detail = &detail;
    int error = setup_fill(&setup, &checked);
    setup_clear(&setup);
    if (error != CFGS_ERR_INVALID)
        return;
    const char *option = find_option(names, detail.message, &rest);
    if (option)
        argp_error(state, "--%s%s", option, rest);
    else
        argp_error(state, "%s", detail.message);
}
