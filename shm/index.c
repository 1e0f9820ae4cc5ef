/* index.c  SPDX-License-Identifier: Apache-2.0 */
#include "index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t index_hash(const char *key, size_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed(key, length, seed);
}
