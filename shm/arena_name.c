/* arena_name.c  SPDX-License-Identifier: Apache-2.0 */
#include "arena_name.h"
#include "detail.h"
#include <configstream/reader.h>
#include <stdbool.h>
#include <string.h>

#define LOCK_SUFFIX ".lock"

static bool instance_is_valid(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return length >= 1 && length <= CFGS_INSTANCE_MAX_BYTES && name[length] == '\0';
}

int arena_name_make(const char *instance, const char *arena_path, struct arena_name *out, cfgs_error_detail *detail)
{
    if (instance == NULL)
        instance = "default";
    if (!instance_is_valid(instance))
        return detail_set(detail, CFGS_ERR_INVALID, 0,
                          "instance name '%.80s': use 1 to %d of the characters A-Z a-z 0-9 _ -", instance,
                          CFGS_INSTANCE_MAX_BYTES);
    if (arena_path == NULL) {
        snprintf(out->path, sizeof out->path, "%s/configstream.%s", ARENA_DIRECTORY, instance);
    } else {
        size_t length = strlen(arena_path);
        /* The suffix of a replacement's temporary name must fit as well. */
        if (length == 0 || length > sizeof out->path - 32 || arena_path[length - 1] == '/')
            return detail_set(detail, CFGS_ERR_INVALID, 0,
                              "arena path '%.80s': name a file, in at most %zu bytes", arena_path,
                              sizeof out->path - 32);
        memcpy(out->path, arena_path, length + 1);
    }
    snprintf(out->lock, sizeof out->lock, "%.500s" LOCK_SUFFIX, out->path);
    memcpy(out->directory, out->path, sizeof out->directory);
    char *slash = strrchr(out->directory, '/');
    if (slash == NULL)
        memcpy(out->directory, ".", 2);
    else
        slash[slash == out->directory] = '\0';
    return CFGS_OK;
}
