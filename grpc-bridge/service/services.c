/* service/services.c: the table.  SPDX-License-Identifier: Apache-2.0 */
#include "service/services.h"

#include <string.h>

/* Each file that has a method adds it here. */
static const struct call_method *const methods[] = {
    NULL, /* so that there is always one */
};

const struct call_method *service_find(const char *path, size_t length)
{
    for (const struct call_method *const *method = methods; *method; method++)
        if (strlen((*method)->path) == length && memcmp((*method)->path, path, length) == 0)
            return *method;
    return NULL;
}
