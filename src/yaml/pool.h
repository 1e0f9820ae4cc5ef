/* yaml/pool.h: memory for a tree, freed at once.  SPDX-License-Identifier: Apache-2.0 */
#ifndef YAML_POOL_H
#define YAML_POOL_H

#include <stddef.h>

struct pool_block {
    struct pool_block *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

/** Zeroed memory, aligned for anything; NULL when there is none. */
void *pool_alloc(struct pool_block **blocks, size_t size);

/** A NUL-terminated copy. */
char *pool_copy(struct pool_block **blocks, const char *text, size_t length);

void pool_free(struct pool_block **blocks);

#endif
