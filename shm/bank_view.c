/*
 * bank_view.c: reading a bank at one point in time.
 *
 * `current` names the live bank and the generation it must have.  A bank of another generation is being rebuilt, or is
 * rebuilt and not yet current, and may hold a bulk load that is not committed: only equality will do.  S is read once;
 * records above it are passed over along `prev`, which only leads to lower offsets, so every chain ends.  At the end the
 * version must still be the same, which proves that none of the bytes read were recycled.  docs/arena-format.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bank_view.h"

int bank_view_pin(const struct attachment *attachment, uint64_t route, uint64_t sequence, cfgs_view *view)
{
    view->attachment = attachment;
    view->error = CFGS_OK;
    view->pinned = true;
    view->route = route;
    view->sequence = sequence;
    /* [recycle V2] acquire: as in bank_view_begin(); the bank need not be current any more, only not recycled. */
    if (word_load_acquire(&view_bank(view)->version) != route_generation(route))
        return CFGS_ERR_LAPPED;
    /* [private] relaxed: monotonic, of this process. */
    view->mapped = word_load_relaxed(&attachment->mapped);
    bank_view_load_place(view);
    return CFGS_OK;
}

int bank_view_next(const cfgs_view *view, uint64_t *number, struct record *out)
{
    struct index_place place = view_index(view);

    if (!index_place_is_sound(&place))
        return CFGS_ERR_CORRUPT;
    while (*number < place.capacity) {
        /* [commit V4] acquire: as in index_find(). */
        uint64_t cell = word_load_acquire(index_cell(&place, (*number)++));
        if (cell == 0)
            continue;
        if (!record_open(place.base, place.mapped, cell_offset(cell), out))
            return CFGS_ERR_CORRUPT;
        int err = bank_view_settle(view, out);
        if (err == CFGS_OK)
            return 1;
        if (err != CFGS_ERR_NOT_FOUND)
            return err;
    }
    return 0;
}

/* ---- the quick way ----------------------------------------------------------------------------------------------- */

/* The third word of a record's head. */
struct head_word {
    uint16_t key_length;
    uint8_t kind, flags, source, unset_source;
    uint16_t source_at;
};
_Static_assert(sizeof(struct head_word) == 8, "one word");

/* The record's words, if head and a key of this length lie inside what may be touched. */
static inline const cfgs_word *record_words(const struct index_place *place, uint64_t offset, size_t key_length)
{
    uint64_t bytes = sizeof(struct record_head) + (key_length / 8 + 1) * 8;

    if (offset == 0 || place->mapped < bytes || offset * 8 > place->mapped - bytes)
        return NULL;
    return (const cfgs_word *)place->base + offset;
}

/* Row V4: the key's newest record; NULL: none, or out of bounds. */
static inline const cfgs_word *quick_find(const struct index_place *place, const struct lookup *lookup,
                                          struct head_word *head)
{
    uint64_t mask = place->capacity - 1, number = lookup->hash & mask;

    for (uint64_t probes = 0; probes <= mask; probes++, number = (number + 1) & mask) {
        /* [commit V4] acquire: as in index_find(). */
        uint64_t cell = word_load_acquire(index_cell(place, number));
        if (cell == 0)
            return NULL;
        if (!cell_may_match(cell, lookup->hash))
            continue;
        const cfgs_word *words = record_words(place, cell_offset(cell), lookup->length);
        if (words == NULL)
            return NULL;
        /* [commit V4] relaxed, as are the key's: the cell's acquire brought the record; [recycle V5] checks for reuse. */
        uint64_t word = word_load_relaxed(&words[offsetof(struct record_head, key_length) / 8]);
        memcpy(head, &word, sizeof *head);
        /* [commit V4] relaxed: as above. */
        if (word_load_relaxed(&words[offsetof(struct record_head, hash) / 8]) == lookup->hash &&
            head->key_length == lookup->length &&
            record_key_words_are(words + sizeof(struct record_head) / 8, lookup->key, lookup->length))
            return words;
    }
    return NULL;
}

bool bank_view_quick(const struct attachment *attachment, const char *key, size_t length, cfgs_kind kind, uint64_t *bits)
{
    struct lookup lookup = {key, length, index_hash(key, length, attachment->hash_seed)};
    struct head_word head;
    cfgs_view view;

    if (bank_view_begin(attachment, &view) != CFGS_OK)
        return false;
    struct index_place place = view_index(&view);
    if (!index_place_is_sound(&place))
        return false;
    const cfgs_word *words = quick_find(&place, &lookup, &head);
    if (words == NULL || head.kind != kind || (head.flags & RECORD_TOMBSTONE) != 0)
        return false;
    /* [commit V4] relaxed: as in quick_find(). */
    uint64_t sequence = word_load_relaxed(&words[offsetof(struct record_head, sequence) / 8]);
    uint64_t scalar = word_load_relaxed(&words[offsetof(struct record_head, scalar) / 8]);
    if (sequence > view.sequence || !bank_view_valid(&view))
        return false;
    *bits = scalar;
    return true;
}
