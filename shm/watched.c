/* watched.c  SPDX-License-Identifier: Apache-2.0 */
#include "watched.h"
#include "index.h"
#include <configstream/value.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 16u

/* ---- copies ------------------------------------------------------------------------------------------------------ */

static size_t value_bytes(const cfgs_value *value)
{
    return value->kind >= CFGS_KIND_STRING && value->kind <= CFGS_KIND_STRUCT ? value->as.bytes.length : 0;
}

static cfgs_bytes put(char *to, const char *from, size_t length)
{
    if (length > 0)
        memcpy(to, from, length);
    return (cfgs_bytes){to, length};
}

struct held *held_new(const cfgs_setting *setting)
{
    size_t value_length = value_bytes(&setting->value);
    size_t source_length = setting->source_name.length;

    if (value_length > SIZE_MAX / 4 || source_length > SIZE_MAX / 4)
        return NULL;
    size_t size = sizeof(struct held) + value_length + source_length;
    struct held *held = malloc(size);
    if (held == NULL)
        return NULL;
    held->setting = *setting;
    held->setting.key = (cfgs_bytes){NULL, 0};
    held->size = size;
    if (setting->value.kind >= CFGS_KIND_STRING)
        held->setting.value.as.bytes = put(held->bytes, setting->value.as.bytes.data, value_length);
    held->setting.source_name = put(held->bytes + value_length, setting->source_name.data, source_length);
    return held;
}

void held_free(struct held *held)
{
    if (held == NULL)
        return;
    explicit_bzero(held, held->size);
    free(held);
}

bool held_is(const struct held *held, const cfgs_setting *setting)
{
    const cfgs_bytes *a = &held->setting.source_name, *b = &setting->source_name;

    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0) &&
           cfgs_value_equal(&held->setting.value, &setting->value);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* The slot of the key, or the empty one that its entry belongs in; there always is an empty one. */
static size_t probe(const struct watched *watched, const char *key, size_t length, uint64_t hash)
{
    size_t at = hash & (watched->capacity - 1);

    for (const struct entry *entry; (entry = watched->slots[at]) != NULL; at = (at + 1) & (watched->capacity - 1))
        if (entry->hash == hash && entry->key_length == length && memcmp(entry->key, key, length) == 0)
            break;
    return at;
}

struct entry *watched_find(const struct watched *watched, const char *key, size_t length)
{
    if (watched->count == 0)
        return NULL;
    return watched->slots[probe(watched, key, length, index_hash(key, length, 0))];
}

static bool grow(struct watched *watched)
{
    struct watched larger = {.capacity = watched->capacity > 0 ? watched->capacity * 2 : CAPACITY_MIN};

    if (larger.capacity > SIZE_MAX / 4 / sizeof *larger.slots)
        return false;
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < watched->capacity; i++) {
        struct entry *entry = watched->slots[i];
        if (entry != NULL)
            larger.slots[probe(&larger, entry->key, entry->key_length, entry->hash)] = entry;
    }
    free(watched->slots);
    watched->slots = larger.slots;
    watched->capacity = larger.capacity;
    return true;
}

static struct entry *entry_new(const char *key, size_t length, uint64_t hash)
{
    struct entry *entry = calloc(1, sizeof *entry + length + 1);

    if (entry == NULL)
        return NULL;
    entry->hash = hash;
    entry->first_watch = entry->last_watch = WATCH_NONE;
    entry->key_length = length;
    memcpy(entry->key, key, length);
    return entry;
}

struct entry *watched_need(struct watched *watched, const char *key, size_t length)
{
    struct entry *entry = watched_find(watched, key, length);

    if (entry != NULL)
        return entry;
    if (watched->count >= watched->capacity / 2 && !grow(watched))
        return NULL;
    entry = entry_new(key, length, index_hash(key, length, 0));
    if (entry == NULL)
        return NULL;
    watched->slots[probe(watched, entry->key, length, entry->hash)] = entry;
    watched->count++;
    return entry;
}

/* Empty a slot; those behind it that its probes would no longer find move up. */
static void empty_slot(struct watched *watched, size_t hole)
{
    size_t mask = watched->capacity - 1;

    for (size_t at = (hole + 1) & mask; watched->slots[at] != NULL; at = (at + 1) & mask) {
        size_t home = watched->slots[at]->hash & mask;
        /* Does its way from home to here lead over the hole? */
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        watched->slots[hole] = watched->slots[at];
        hole = at;
    }
    watched->slots[hole] = NULL;
    watched->count--;
}

bool watched_drop(struct watched *watched, struct entry *entry)
{
    if (entry->now != NULL || entry->first_watch != WATCH_NONE)
        return false;
    empty_slot(watched, probe(watched, entry->key, entry->key_length, entry->hash));
    held_free(entry->staged);
    free(entry);
    return true;
}

void watched_unstage(struct watched *watched)
{
    for (size_t i = 0; i < watched->capacity;) {
        struct entry *entry = watched->slots[i];
        if (entry != NULL) {
            held_free(entry->staged);
            entry->staged = NULL;
            if (watched_drop(watched, entry))
                continue; /* another may have moved into its slot */
        }
        i++;
    }
}

void watched_free(struct watched *watched)
{
    for (size_t i = 0; i < watched->capacity; i++) {
        struct entry *entry = watched->slots[i];
        if (entry == NULL)
            continue;
        held_free(entry->now);
        held_free(entry->staged);
        free(entry);
    }
    free(watched->slots);
    *watched = (struct watched){0};
}

/* ---- a pass over a snapshot -------------------------------------------------------------------------------------- */

bool watched_stage(struct watched *watched, const cfgs_setting *setting)
{
    struct entry *entry = watched_need(watched, setting->key.data, setting->key.length);

    if (entry == NULL)
        return false;
    /* No snapshot has a key twice: this one is being recycled, and will be thrown away. */
    if (entry->pass == watched->pass)
        return true;
    if (entry->now == NULL || !held_is(entry->now, setting)) {
        entry->staged = held_new(setting);
        if (entry->staged == NULL)
            return false;
    }
    entry->sequence = setting->sequence;
    entry->flags = setting->flags;
    entry->pass = watched->pass;
    return true;
}

bool watched_differs(const struct watched *watched, const struct entry *entry)
{
    return entry->staged != NULL || (entry->now != NULL && entry->pass != watched->pass);
}

struct held *watched_settle(struct entry *entry)
{
    struct held *before = entry->now;

    entry->now = entry->staged;
    entry->staged = NULL;
    return before;
}
