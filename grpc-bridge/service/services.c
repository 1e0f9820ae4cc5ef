/* service/services.c: the table.  SPDX-License-Identifier: Apache-2.0 */
#include "service/services.h"

#include <string.h>

/* Each file that has a method adds it here. */
static const struct call_method *const methods[] = {
    &service_stream_config_events,
    &service_register,
    &service_refresh,
    &service_remote_register,
    &service_remote_refresh,
    &service_remote_report,
    &service_tagger_fetch_entity,
    &service_get_hostname,
    &service_health_check,
    &service_health_watch,
    &service_reflection_v1,
    &service_reflection_v1alpha,
    NULL, /* so that there is always one */
};

const struct call_method *service_find(const char *path, size_t length)
{
    for (const struct call_method *const *method = methods; *method; method++)
        if (strlen((*method)->path) == length && memcmp((*method)->path, path, length) == 0)
            return *method;
    return NULL;
}
