/*
 * index.h: open addressing over one-word cells, linear probing.
 *
 * Within a generation cells are filled, overwritten with newer records of the same key, and never emptied or moved; so a
 * key that was ever found keeps its cell, and a probe that ends at an empty cell proves absence.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_INDEX_H
#define CFGS_INDEX_H

#include "record.h"
#include <configstream/error.h>

/* A key and its hash under the arena's seed. */
struct lookup {
    const char *key;
    size_t length;
    uint64_t hash;
};

/* Where the index lies, loaded once, with what may be touched. */
struct index_place {
    const void *base;
    uint64_t mapped, at, capacity;
};

uint64_t index_hash(const char *key, size_t length, uint64_t seed);

static inline uint64_t cell_make(uint64_t hash, uint64_t offset)
{
    return hash >> CELL_OFFSET_BITS << CELL_OFFSET_BITS | offset;
}

static inline uint64_t cell_offset(uint64_t cell)
{
    return cell & CELL_OFFSET_MASK;
}

static inline bool cell_may_match(uint64_t cell, uint64_t hash)
{
    return cell >> CELL_OFFSET_BITS == hash >> CELL_OFFSET_BITS;
}

/* Does the place lie inside what may be touched? */
static inline bool index_place_is_sound(const struct index_place *place)
{
    return place->capacity > 0 && (place->capacity & (place->capacity - 1)) == 0 && place->at % 8 == 0 &&
           place->at >= ARENA_HEADER_BYTES && place->at <= place->mapped &&
           place->capacity <= (place->mapped - place->at) / 8;
}

/* Address of a cell; the place is sound and number < capacity. */
static inline const cfgs_word *index_cell(const struct index_place *place, uint64_t number)
{
    return (const cfgs_word *)((const char *)place->base + place->at) + number;
}

/*
 * Find the key's cell, from cell *number on (the key's home is hash & (capacity - 1)).
 * @return 1: *number is its cell and *head the newest record there (maybe not yet committed);
 *         0: *number is the empty cell that ended the probe;
 *         CFGS_ERR_CORRUPT: a record is out of bounds, or the index has no empty cell.
 */
static inline int index_find(const struct index_place *place, const struct lookup *lookup, uint64_t *number,
                             struct record *head)
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

#endif
