/* base/table.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_CELLS = 16 };

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* Eight bytes a step: keys are paths of some tens of bytes, and a load hashes each of them a few times. */
static uint64_t hash_key(uint64_t seed, const char *key, size_t length)
{
    uint64_t hash = seed ^ length;
    for (; length >= 8; key += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, key, 8);
        hash = mix(hash ^ word);
    }
    uint64_t word = 0;
    memcpy(&word, key, length);
    return mix(hash ^ word);
}

static void seed_table(struct table *table)
{
    /* A failing getrandom() (none before early boot) costs the protection, not the function. */
    if (getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) != (ssize_t)sizeof table->seed)
        table->seed = (uint64_t)(uintptr_t)table;
}

void table_clear(struct table *table, void (*free_value)(void *value))
{
    for (size_t i = 0; i < table->used; i++) {
        struct table_entry *entry = &table->entries[i];
        if (entry->key && free_value && entry->value)
            free_value(entry->value);
        free(entry->key);
    }
    free(table->entries);
    free(table->index);
    *table = (struct table){0};
}

static void index_entry(const struct table *table, uint32_t *index, size_t cells, size_t number)
{
    size_t at = table->entries[number].hash & (cells - 1);
    while (index[at])
        at = (at + 1) & (cells - 1);
    index[at] = (uint32_t)number + 1;
}

/* Drop removed entries and size the index for twice the live ones. */
static bool rebuild(struct table *table)
{
    size_t cells = FIRST_CELLS;
    while (cells < (table->live + 1) * 4)
        cells *= 2;
    uint32_t *index = calloc(cells, sizeof *index);
    if (!index)
        return false;
    size_t kept = 0;
    for (size_t i = 0; i < table->used; i++)
        if (table->entries[i].key)
            table->entries[kept++] = table->entries[i];
    table->used = kept;
    for (size_t i = 0; i < kept; i++)
        index_entry(table, index, cells, i);
    free(table->index);
    table->index = index;
    table->cells = cells;
    return true;
}

static struct table_entry *find(const struct table *table, const char *key, size_t length)
{
    if (!table->live)
        return NULL;
    uint64_t hash = hash_key(table->seed, key, length);
    for (size_t at = hash & (table->cells - 1); table->index[at]; at = (at + 1) & (table->cells - 1)) {
        struct table_entry *entry = &table->entries[table->index[at] - 1];
        if (entry->key && entry->hash == hash && entry->length == length && memcmp(entry->key, key, length) == 0)
            return entry;
    }
    return NULL;
}

void *table_get(const struct table *table, const char *key, size_t length)
{
    struct table_entry *entry = find(table, key, length);
    return entry ? entry->value : NULL;
}

static bool make_room(struct table *table)
{
    if (!table->cells)
        seed_table(table);
    if ((table->used + 1) * 2 > table->cells && !rebuild(table))
        return false;
    if (table->used < table->capacity)
        return true;
    size_t capacity = table->capacity ? table->capacity * 2 : FIRST_CELLS;
    struct table_entry *entries = reallocarray(table->entries, capacity, sizeof *entries);
    if (!entries)
        return false;
    table->entries = entries;
    table->capacity = capacity;
    return true;
}

void **table_put(struct table *table, const char *key, size_t length)
{
    struct table_entry *entry = find(table, key, length);
    if (entry)
        return &entry->value;
    char *copy = malloc(length + 1);
    if (!copy || !make_room(table)) {
        free(copy);
        return NULL;
    }
    memcpy(copy, key, length);
    copy[length] = '\0';
    entry = &table->entries[table->used];
    *entry = (struct table_entry){.key = copy, .length = length, .hash = hash_key(table->seed, key, length)};
    index_entry(table, table->index, table->cells, table->used);
    table->used++;
    table->live++;
    return &entry->value;
}

void *table_remove(struct table *table, const char *key, size_t length)
{
    struct table_entry *entry = find(table, key, length);
    if (!entry)
        return NULL;
    /* The index goes on naming the empty entry until the next rebuild, so that probe chains stay whole. */
    free(entry->key);
    entry->key = NULL;
    table->live--;
    return entry->value;
}

struct table_entry *table_next(const struct table *table, size_t *position)
{
    while (*position < table->used) {
        struct table_entry *entry = &table->entries[(*position)++];
        if (entry->key)
            return entry;
    }
    return NULL;
}
