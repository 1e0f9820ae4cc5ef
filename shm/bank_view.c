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

/* The bank's place, under its version. */
static void load_place(cfgs_view *view)
{
    const struct bank_words *bank = view_bank(view);

    /* [recycle V3] relaxed: data under the version, validated with the rest in bank_view_valid(). */
    view->index_at = word_load_relaxed(&bank->index_at);
    view->index_capacity = word_load_relaxed(&bank->index_capacity);
}

int bank_view_begin(const struct attachment *attachment, cfgs_view *view)
{
    const struct arena_header *header = attachment->header;

    view->attachment = attachment;
    view->error = CFGS_OK;
    view->pinned = false;
    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        /* [flip V1] acquire: brings the whole bank along.  Pairs with the release of the flip in rebuild_flip(); relaxed
         * would let cells of the bank's former life through. */
        view->route = word_load_acquire(&header->current);
        if (view->route == ROUTE_RETIRED)
            return CFGS_ERR_LAPPED;
        const struct bank_words *bank = view_bank(view);
        /* [recycle V2] [odd-flip V2] acquire: what is read below is of this generation or later, and whoever sees a
         * newer version also sees the flip that came before it and finds the live bank in the next round.  Equal, not merely
         * even: an even bank that is not yet current may hold an uncommitted bulk load. */
        if (word_load_acquire(&bank->version) != route_generation(view->route))
            continue;
        /* [commit V3] acquire, before any cell: every cell of a record <= S is then visible.  Pairs with the commit in
         * update_commit(). */
        view->sequence = word_load_acquire(&bank->sequence);
        /* [private] relaxed: monotonic, of this process. */
        view->mapped = word_load_relaxed(&attachment->mapped);
        load_place(view);
        /* [recycle V3] relaxed: data under the version. */
        if (word_load_relaxed(&bank->loaded) != 0)
            return CFGS_OK;
        if (bank_view_valid(view))
            return CFGS_ERR_NOT_READY;
    }
    return CFGS_ERR_BUSY;
}

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
    load_place(view);
    return CFGS_OK;
}

int bank_view_settle(const cfgs_view *view, struct record *record)
{
    while (record->head.sequence > view->sequence) {
        uint64_t prev = record->head.prev;
        if (prev == 0)
            return CFGS_ERR_NOT_FOUND;
        if (prev + sizeof(struct record_head) / 8 > record->offset || !record_open(view_attachment(view)->header, view->mapped, prev, record))
            return CFGS_ERR_CORRUPT;
    }
    return record->head.flags & RECORD_TOMBSTONE ? CFGS_ERR_NOT_FOUND : CFGS_OK;
}

int bank_view_find(const cfgs_view *view, const struct lookup *lookup, struct record *out)
{
    struct index_place place = view_index(view);
    uint64_t number = lookup->hash & (place.capacity - 1);

    if (!index_place_is_sound(&place))
        return CFGS_ERR_CORRUPT;
    int found = index_find(&place, lookup, &number, out);
    if (found <= 0)
        return found == 0 ? CFGS_ERR_NOT_FOUND : found;
    return bank_view_settle(view, out);
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

bool bank_view_valid(const cfgs_view *view)
{
    /* [recycle V5] acquire fence: all loads above happen before the last look at the version; if any of them saw a
     * recycled word, that look must see the odd version (or a later one).  Pairs with the release fence in
     * rebuild_begin().  An acquire load of the version instead does not hold earlier loads back. */
    words_fence_acquire();
    /* [recycle V5] relaxed, behind the fence.  Validates misses as well as hits. */
    return word_load_relaxed(&view_bank(view)->version) == route_generation(view->route);
}
