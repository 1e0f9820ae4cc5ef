/*
 * handle.c: point reads by a pre-resolved key.
 *
 * Cells never move within a generation, and records are immutable: a handle remembers where its cell is, the cell's content
 * when it last looked, and the scalar that the record held.  As long as bank and cell are the same, so is the value, and
 * a read is a handful of loads.  Anything else goes the long way and remembers again.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "point_read.h"
#include <stdlib.h>

struct cfgs_handle {
    cfgs_reader *reader;
    /* What was seen last; valid while attachment and route are the current ones. */
    const struct attachment *attachment;
    uint64_t route;
    const cfgs_word *cell;
    uint64_t seen;    /* the cell's content; never 0 while it stands for a remembered scalar */
    cfgs_value value; /* a scalar */
    uint64_t number;  /* the cell's number, for the long way */
    struct lookup lookup;
    char key[];
};

int cfgs_handle_new(cfgs_reader *reader, const char *key, cfgs_handle **out)
{
    size_t length;

    if (!key_is_valid(key, &length))
        return CFGS_ERR_INVALID;
    cfgs_handle *handle = calloc(1, sizeof *handle + length + 1);
    if (handle == NULL)
        return CFGS_ERR_MEMORY;
    memcpy(handle->key, key, length + 1);
    handle->reader = reader;
    handle->lookup.key = handle->key;
    handle->lookup.length = length;
    *out = handle;
    return CFGS_OK;
}

void cfgs_handle_free(cfgs_handle *handle)
{
    free(handle);
}

/* The remembered scalar, if it is still what the cell says. */
static inline bool remembered(const cfgs_handle *handle)
{
    /* [attach] acquire: as in reader_attachment(). */
    const struct attachment *attachment = atomic_load_explicit(&handle->reader->current, memory_order_acquire);

    if (attachment == NULL || attachment != handle->attachment || handle->seen == 0)
        return false;
    const struct arena_header *header = attachment->header;
    /* [flip V1] acquire: as in bank_view_begin(); the same route again means the bank we know is the live one. */
    if (word_load_acquire(&header->current) != handle->route || attachment_is_superseded(attachment))
        return false;
    /* [commit V4] acquire: keeps the check below behind it.  The same cell content is the same immutable record, which
     * was committed when we remembered it, and committed never shrinks: S need not be asked again. */
    if (word_load_acquire(handle->cell) != handle->seen)
        return false;
    /* [recycle V5] acquire fence and relaxed load: if the cell was a recycled word, the version has moved on. */
    words_fence_acquire();
    return word_load_relaxed(&header->bank[route_bank(handle->route)].version) == route_generation(handle->route);
}

/* Find the key's record by its remembered cell; the probe goes on from there, as cells never move in a generation. */
static int find_record(cfgs_handle *handle, const cfgs_view *view, struct record *record)
{
    struct index_place place = view_index(view);
    const struct attachment *attachment = view_attachment(view);

    if (!index_place_is_sound(&place))
        return CFGS_ERR_CORRUPT;
    if (attachment != handle->attachment || view->route != handle->route) {
        handle->lookup.hash = index_hash(handle->key, handle->lookup.length, attachment->hash_seed);
        handle->number = handle->lookup.hash & (place.capacity - 1);
    }
    if (handle->number >= place.capacity)
        return CFGS_ERR_CORRUPT;
    int found = index_find(&place, &handle->lookup, &handle->number, record);
    if (found <= 0)
        return found == 0 ? CFGS_ERR_NOT_FOUND : found;
    return bank_view_settle(view, record);
}

/* Remember the bank, the place, and the value if it is the scalar of the cell's own (committed) record. */
static void remember(cfgs_handle *handle, const cfgs_view *view, const struct record *record, int err)
{
    struct index_place place = view_index(view);

    handle->attachment = view_attachment(view);
    handle->route = view->route;
    handle->seen = 0;
    if (err != CFGS_OK || record->head.kind >= CFGS_KIND_STRING)
        return;
    handle->cell = index_cell(&place, handle->number);
    handle->seen = cell_make(handle->lookup.hash, record->offset);
    handle->value = record_value(record);
}

static int handle_read(cfgs_handle *handle, take_fn *take, union taken *out)
{
    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        const struct attachment *attachment;
        struct record record;
        cfgs_view view;
        int err = reader_attachment(handle->reader, &attachment);
        if (err == CFGS_OK && (err = bank_view_begin(attachment, &view)) == CFGS_ERR_LAPPED)
            continue;
        if (err != CFGS_OK)
            return err;
        int found = err = find_record(handle, &view, &record);
        if (err == CFGS_OK)
            err = take(&record, out);
        if (look_counts(handle->reader, &view, err)) {
            if (found != CFGS_ERR_CORRUPT)
                remember(handle, &view, &record, found);
            return err;
        }
        handle->attachment = NULL;
    }
    return CFGS_ERR_BUSY;
}

/* Reads one type: from memory if that still holds, else the long way. */
#define HANDLE_GETTER(name, type, member, take, from_value)                                                            \
    int name(cfgs_handle *handle, type *out)                                                                           \
    {                                                                                                                  \
        union taken taken;                                                                                             \
        if (remembered(handle))                                                                                        \
            return from_value(&handle->value, out);                                                                    \
        int err = handle_read(handle, take, &taken)      ;                                                             \
        if (err == CFGS_OK)                                                                                            \
            *out = taken.member;                                                                                       \
        return err;                                                                                                    \
    }

HANDLE_GETTER(cfgs_handle_get_bool, bool, boolean, take_bool, cfgs_value_get_bool)
HANDLE_GETTER(cfgs_handle_get_int, int64_t, integer, take_int, cfgs_value_get_int)
HANDLE_GETTER(cfgs_handle_get_double, double, number, take_double, cfgs_value_get_double)
HANDLE_GETTER(cfgs_handle_get_duration, int64_t, integer, take_duration, cfgs_value_get_duration)
HANDLE_GETTER(cfgs_handle_get_size, uint64_t, bytes, take_size, cfgs_value_get_size)

int cfgs_handle_get_string(cfgs_handle *handle, char *buffer, size_t capacity, size_t *length)
{
    union taken taken = {.text = {buffer, capacity, length}};
    return handle_read(handle, take_text, &taken);
}
