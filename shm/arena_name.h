/*
 * arena_name.h: instance names, and the paths of an arena and its lock.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_ARENA_NAME_H
#define CFGS_ARENA_NAME_H

#include <configstream/error.h>

#define ARENA_DIRECTORY "/dev/shm"
#define ARENA_PATH_BYTES 512

struct arena_name {
    char path[ARENA_PATH_BYTES];
    char lock[ARENA_PATH_BYTES];
    char directory[ARENA_PATH_BYTES];
};

/*
 * instance (NULL: "default") or, if not NULL, arena_path.  CFGS_ERR_INVALID with a text in detail for a bad name or a
 * path that is too long or names a directory.
 */
int arena_name_make(const char *instance, const char *arena_path, struct arena_name *out, cfgs_error_detail *detail);

#endif
