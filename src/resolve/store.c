/* resolve/store.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/store.h"

#include <stdlib.h>
#include <string.h>

static void free_slot(void *memory)
{
    struct slot *slot = memory;
    for (int source = 0; source <= CFGS_SOURCE_COUNT; source++)
        cfgs_copy_free(slot->values[source]);
    free(slot);
}

void store_clear(struct store *store)
{
    for (size_t i = 0; i < store->count; i++)
        cfgs_copy_free(store->changes[i].value);
    free(store->changes);
    table_clear(&store->slots, free_slot);
    *store = (struct store){0};
}

const struct slot *store_find(const struct store *store, const char *key, size_t length)
{
    return table_get(&store->slots, key, length);
}

int slot_winner(const struct slot *slot)
{
    int source = CFGS_SOURCE_COUNT;
    while (source > CFGS_SOURCE_NONE && !slot->values[source])
        source--;
    return source;
}

static unsigned slot_flags(const struct slot *slot, const struct declarations *declarations)
{
    int winner = slot_winner(slot);
    return winner ? declarations_flags(declarations, slot->key, slot->length, cfgs_copy_value(slot->values[winner])) : 0;
}

/* ---- staging ----------------------------------------------------------------------------------------------------- */

static bool make_room(struct store *store)
{
    if (store->count < store->capacity)
        return true;
    size_t capacity = store->capacity ? store->capacity * 2 : 16;
    struct change *changes = reallocarray(store->changes, capacity, sizeof *changes);
    if (!changes)
        return false;
    store->changes = changes;
    store->capacity = capacity;
    return true;
}

/* Source NONE has no value: such a change only marks the key as touched. */
static void swap_in(struct store *store, struct slot *slot, int source, cfgs_copy *value)
{
    store->changes[store->count++] = (struct change){slot, source, slot->values[source]};
    slot->values[source] = value;
    slot->touched = true;
}

static struct slot *find_or_make(struct store *store, const char *key, size_t length)
{
    struct slot *slot = table_get(&store->slots, key, length);
    if (slot)
        return slot;
    void **place = table_put(&store->slots, key, length);
    slot = place ? calloc(1, sizeof *slot) : NULL;
    if (!slot) {
        table_remove(&store->slots, key, length);
        return NULL;
    }
    *place = slot;
    slot->key = store->slots.entries[store->slots.used - 1].key;
    slot->length = length;
    return slot;
}

bool store_stage(struct store *store, const char *key, size_t length, int source, cfgs_copy *value)
{
    struct slot *slot = value ? find_or_make(store, key, length) : table_get(&store->slots, key, length);
    if (!slot && !value)
        return true; /* nothing to clear */
    if (!slot || !make_room(store)) {
        cfgs_copy_free(value);
        return false;
    }
    const cfgs_copy *old = slot->values[source];
    if (old == value || (old && value && cfgs_value_equal(cfgs_copy_value(old), cfgs_copy_value(value)))) {
        cfgs_copy_free(value);
        return true;
    }
    swap_in(store, slot, source, value);
    return true;
}

static bool stage_missing(struct store *store, int source, const struct layer *layer)
{
    size_t position = 0;
    for (struct table_entry *entry; (entry = table_next(&store->slots, &position));) {
        const struct slot *slot = entry->value;
        if (slot->values[source] && !table_get(&layer->values, entry->key, entry->length) &&
            !store_stage(store, entry->key, entry->length, source, NULL))
            return false;
    }
    return true;
}

bool store_stage_layer(struct store *store, int source, struct layer *layer)
{
    if (!stage_missing(store, source, layer))
        return false;
    size_t position = 0;
    for (struct table_entry *entry; (entry = table_next(&layer->values, &position));) {
        struct layer_value *value = entry->value;
        cfgs_copy *copy = value->value;
        value->value = NULL;
        if (!store_stage(store, entry->key, entry->length, source, copy))
            return false;
    }
    return true;
}

bool store_stage_flags(struct store *store, const struct declarations *declarations)
{
    size_t position = 0;
    for (struct table_entry *entry; (entry = table_next(&store->slots, &position));) {
        struct slot *slot = entry->value;
        if (!slot->published || slot->touched ||
            slot->published_flags == slot_flags(slot, declarations))
            continue;
        if (!make_room(store))
            return false;
        swap_in(store, slot, CFGS_SOURCE_NONE, NULL);
    }
    return true;
}

/* ---- ends of a transaction --------------------------------------------------------------------------------------- */

/* Slots in which no source says anything any more. */
static void prune(struct store *store, struct slot *slot)
{
    if (slot_winner(slot) == CFGS_SOURCE_NONE)
        free_slot(table_remove(&store->slots, slot->key, slot->length));
}

static void end_changes(struct store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        struct slot *slot = store->changes[i].slot;
        cfgs_copy_free(store->changes[i].value);
        store->changes[i].value = NULL;
        /* a slot may stand here more than once, and must be looked at (and maybe freed) once */
        store->changes[i].slot = slot->touched ? slot : NULL;
        slot->touched = false;
    }
    for (size_t i = 0; i < store->count; i++)
        if (store->changes[i].slot)
            prune(store, store->changes[i].slot);
    store->count = 0;
}

void store_rollback(struct store *store)
{
    for (size_t i = store->count; i-- > 0;) {
        struct change *change = &store->changes[i];
        cfgs_copy *staged = change->slot->values[change->source];
        change->slot->values[change->source] = change->value;
        change->value = staged;
    }
    end_changes(store);
}

static void note_published(struct slot *slot, const struct declarations *declarations)
{
    slot->published = slot_winner(slot);
    slot->published_flags = slot_flags(slot, declarations);
}

static void commit(struct store *store, const struct declarations *declarations, bool all)
{
    size_t position = 0;
    for (struct table_entry *entry; all && (entry = table_next(&store->slots, &position));)
        note_published(entry->value, declarations);
    for (size_t i = 0; i < store->count && !all; i++)
        note_published(store->changes[i].slot, declarations);
    end_changes(store);
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

static int batch_slot(cfgs_batch *batch, const struct slot *slot, const struct declarations *declarations)
{
    int winner = slot_winner(slot);
    /* What won before lies above what wins now: it was cleared, and that is what readers are told. */
    int cleared = slot->published > winner ? slot->published : CFGS_SOURCE_NONE;
    if (winner == CFGS_SOURCE_NONE)
        return slot->published ? cfgs_batch_remove(batch, slot->key, slot->length, cleared) : CFGS_OK;
    const char *name = cfgs_source_name(winner);
    cfgs_setting setting = {
        .key = {slot->key, slot->length},
        .value = *cfgs_copy_value(slot->values[winner]),
        .source_name = {name, strlen(name)},
        .source = winner,
        .flags = slot_flags(slot, declarations),
    };
    return cfgs_batch_set(batch, &setting, cleared);
}

static int batch_all(cfgs_batch *batch, const struct store *store, const struct declarations *declarations)
{
    int error = CFGS_OK;
    size_t position = 0;
    cfgs_batch_replace(batch);
    for (struct table_entry *entry; error == CFGS_OK && (entry = table_next(&store->slots, &position));)
        error = batch_slot(batch, entry->value, declarations);
    return error;
}

static int batch_touched(cfgs_batch *batch, const struct store *store, const struct declarations *declarations)
{
    int error = CFGS_OK;
    for (size_t i = 0; error == CFGS_OK && i < store->count; i++)
        error = batch_slot(batch, store->changes[i].slot, declarations);
    return error;
}

static bool refuse(struct problem *problem, cfgs_publisher *publisher, int error)
{
    const cfgs_error_detail *detail = cfgs_publisher_error(publisher);
    const char *text = detail && detail->code == error && detail->message[0] ? detail->message : cfgs_strerror(error);
    return problem_set(problem, "cannot publish: %s", text);
}

bool store_publish(struct store *store, cfgs_publisher *publisher, const struct declarations *declarations,
                   bool replace, uint64_t *changes, struct problem *problem)
{
    cfgs_batch *batch = NULL;
    *changes = 0;
    int error = cfgs_batch_begin(publisher, &batch);
    if (error == CFGS_OK)
        error = replace ? batch_all(batch, store, declarations) : batch_touched(batch, store, declarations);
    if (error == CFGS_OK)
        error = cfgs_batch_commit(batch, changes);
    else
        cfgs_batch_abort(batch);
    if (error != CFGS_OK) {
        store_rollback(store);
        return refuse(problem, publisher, error);
    }
    commit(store, declarations, replace);
    return true;
}
