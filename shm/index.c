/* index.c  SPDX-License-Identifier: Apache-2.0 */
#include "index.h"
#include <configstream/error.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t index_hash(const char *key, size_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed(key, length, seed);
}

bool index_place_is_sound(const struct index_place *place)
{
    return place->capacity > 0 && (place->capacity & (place->capacity - 1)) == 0 && place->at % 8 == 0 &&
           place->at >= ARENA_HEADER_BYTES && place->at <= place->mapped &&
           place->capacity <= (place->mapped - place->at) / 8;
}

int index_find(const struct index_place *place, const struct lookup *lookup, uint64_t *number, struct record *head)
{
    uint64_t mask = place->capacity - 1;

    for (uint64_t probes = 0; probes <= mask; probes++) {
        /* [commit V4] acquire: the record behind the cell may not be covered by bank.sequence yet; without it a stale
         * sequence of 0 would pass the filter.  Pairs with the cell's release in update_cells(). */
        uint64_t cell = word_load_acquire(index_cell(place, *number));
        if (cell == 0)
            return 0;
        if (cell_may_match(cell, lookup->hash)) {
            if (!record_open(place->base, place->mapped, cell_offset(cell), head))
                return CFGS_ERR_CORRUPT;
            if (head->head.hash == lookup->hash && record_key_is(head, lookup->key, lookup->length))
                return 1;
        }
        *number = (*number + 1) & mask;
    }
    return CFGS_ERR_CORRUPT;
}
