/* yaml/pool.c  SPDX-License-Identifier: Apache-2.0 */
#include "yaml/pool.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024, ALIGNMENT = 16 };

static struct pool_block *add_block(struct pool_block **blocks, size_t size)
{
    struct pool_block *block = calloc(1, sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    block->next = *blocks;
    *blocks = block;
    return block;
}

void *pool_alloc(struct pool_block **blocks, size_t size)
{
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct pool_block *block = *blocks;
    if (!block || block->size - block->used < size) {
        block = add_block(blocks, size > BLOCK_BYTES / 4 ? size : BLOCK_BYTES);
        if (!block)
            return NULL;
        /* A block of its own is full at once: keep the one before it in use. */
        if (block->size == size && block->next) {
            struct pool_block *current = block->next;
            block->next = current->next;
            current->next = block;
            *blocks = current;
        }
    }
    void *memory = block->bytes + block->used;
    block->used += size;
    return memory;
}

char *pool_copy(struct pool_block **blocks, const char *text, size_t length)
{
    char *copy = pool_alloc(blocks, length + 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

void pool_free(struct pool_block **blocks)
{
    while (*blocks) {
        struct pool_block *next = (*blocks)->next;
        free(*blocks);
        *blocks = next;
    }
}
