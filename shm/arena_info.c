/* arena_info.c  SPDX-License-Identifier: Apache-2.0 */
#include "arena_info.h"

#define LOAD_ROUNDS 1000

void info_store(struct arena_header *header, const struct arena_info *info)
{
    /* [info] relaxed: the only writer's own word. `| 1`, not + 1: a dead producer may have left it odd. */
    uint64_t odd = word_load_relaxed(&header->info_version) | 1;

    /* [info] relaxed, ordered by the fence: no text word may be seen without the odd version. Pairs with info_load(). */
    word_store_relaxed(&header->info_version, odd);
    words_fence_release();
    /* [info] relaxed: data under the version. */
    words_store(header->info, info, sizeof *info);
    /* [info] release: the texts are complete before the version is even. */
    word_store_release(&header->info_version, odd + 1);
}

bool info_load(const struct arena_header *header, struct arena_info *out)
{
    for (int round = 0; round < LOAD_ROUNDS; round++) {
        /* [info] acquire: the texts of this version or later. */
        uint64_t version = word_load_acquire(&header->info_version);
        if (version & 1)
            continue;
        if (version == 0)
            break; /* no producer announced itself, or the arena was retired under us and reads as zeros */
        /* [info] relaxed: data under the version. */
        words_load(out, header->info, sizeof *out);
        /* [info] acquire fence: the texts were loaded before the second look. */
        words_fence_acquire();
        if (word_load_relaxed(&header->info_version) == version) {
            out->origin[sizeof out->origin - 1] = '\0';
            out->control_path[sizeof out->control_path - 1] = '\0';
            out->relay_address[sizeof out->relay_address - 1] = '\0';
            return true;
        }
    }
    memset(out, 0, sizeof *out);
    return false;
}
