/* source.c: names of the sources.  SPDX-License-Identifier: Apache-2.0 */
#include <configstream/source.h>
#include <string.h>

static const char *const names[CFGS_SOURCE_COUNT + 1] = {
    [CFGS_SOURCE_NONE] = "",
    [CFGS_SOURCE_DEFAULT] = "default",
    [CFGS_SOURCE_UNKNOWN] = "unknown",
    [CFGS_SOURCE_INFRA_MODE] = "infra-mode",
    [CFGS_SOURCE_FILE] = "file",
    [CFGS_SOURCE_ENVIRONMENT_VARIABLE] = "environment-variable",
    [CFGS_SOURCE_FLEET_POLICIES] = "fleet-policies",
    [CFGS_SOURCE_CONFIG_POST_INIT] = "config-post-init",
    [CFGS_SOURCE_SECRET] = "secret",
    [CFGS_SOURCE_LOCAL_CONFIG_PROCESS] = "local-config-process",
    [CFGS_SOURCE_AGENT_RUNTIME] = "agent-runtime",
    [CFGS_SOURCE_REMOTE_CONFIG] = "remote-config",
    [CFGS_SOURCE_CLI] = "cli",
};

const char *cfgs_source_name(int source)
{
    return source >= 0 && source <= CFGS_SOURCE_COUNT ? names[source] : NULL;
}

int cfgs_source_parse(const char *name, size_t length)
{
    for (int source = 0; source <= CFGS_SOURCE_COUNT; source++)
        if (strlen(names[source]) == length && memcmp(names[source], name, length) == 0)
            return source;
    return CFGS_SOURCE_VERBATIM;
}
