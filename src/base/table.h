/**
 * @file base/table.h  A map from byte strings to pointers that remembers the order of insertion.
 *
 * Entries lie densely in an array, found through an open-addressing index with a per-table random seed, so that keys
 * chosen by somebody else cannot make lookups slow.  Everything is O(1), amortised; iteration is over the array.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_entry {
    char *key; /**< NUL-terminated copy; NULL for an entry that was removed */
    size_t length;
    uint64_t hash;
    void *value;
};

/** A zeroed one is a valid empty table. */
struct table {
    struct table_entry *entries; /**< `used` of them, removed ones included */
    size_t used, capacity, live;
    uint32_t *index; /**< entry number + 1; 0 for a free cell */
    size_t cells;
    uint64_t seed;
};

/** Frees keys and arrays; values are the caller's, or freed by free_value if that is not NULL. */
void table_clear(struct table *table, void (*free_value)(void *value));

/** The value, or NULL. */
void *table_get(const struct table *table, const char *key, size_t length);

/**
 * Where the value of this key is kept, made (with a NULL value) if missing; NULL when memory ran out.
 * The address holds until the next call that adds or removes.
 */
void **table_put(struct table *table, const char *key, size_t length);

/** Remove the key and return its value, or NULL if there was none. */
void *table_remove(struct table *table, const char *key, size_t length);

/** The next live entry from *position on (start at 0), or NULL.  Removing entries while iterating is allowed. */
struct table_entry *table_next(const struct table *table, size_t *position);

#endif
