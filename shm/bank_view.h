/*
 * bank_view.h: the state of one bank at one committed ID: the reader's half of the protocol, rows V1 to V5.
 *
 * Works on cfgs_view, the public struct, so that point reads, handles, views, the stream and the publisher's own look at
 * its arena share one implementation.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_BANK_VIEW_H
#define CFGS_BANK_VIEW_H

#include "attachment.h"
#include <configstream/view.h>

static inline const struct attachment *view_attachment(const cfgs_view *view)
{
    return (const struct attachment *)view->attachment;
}

static inline const struct bank_words *view_bank(const cfgs_view *view)
{
    return &view_attachment(view)->header->bank[route_bank(view->route)];
}

static inline struct index_place view_index(const cfgs_view *view)
{
    return (struct index_place){view_attachment(view)->header, view->mapped, view->index_at, view->index_capacity};
}

/* Row V5: was nothing recycled since begin?  Results count only if so. */
static inline bool bank_view_valid(const cfgs_view *view)
{
    /* [recycle V5] acquire fence: all loads above happen before the last look at the version; if any of them saw a
     * recycled word, that look must see the odd version (or a later one).  Pairs with the release fence in
     * rebuild_begin().  An acquire load of the version instead does not hold earlier loads back. */
    words_fence_acquire();
    /* [recycle V5] relaxed, behind the fence.  Validates misses as well as hits. */
    return word_load_relaxed(&view_bank(view)->version) == route_generation(view->route);
}

/* The bank's place, under its version. */
static inline void bank_view_load_place(cfgs_view *view)
{
    const struct bank_words *bank = view_bank(view);

    /* [recycle V3] relaxed: data under the version, validated with the rest in bank_view_valid(). */
    view->index_at = word_load_relaxed(&bank->index_at);
    view->index_capacity = word_load_relaxed(&bank->index_capacity);
}

/*
 * Rows V1 to V3.  CFGS_OK; CFGS_ERR_NOT_READY: no first state yet; CFGS_ERR_BUSY after K rounds; CFGS_ERR_LAPPED: the
 * arena was retired under us (another one has its place): ask reader_attachment() again.
 */
static inline int bank_view_begin(const struct attachment *attachment, cfgs_view *view)
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
        bank_view_load_place(view);
        /* [recycle V3] relaxed: data under the version. */
        if (word_load_relaxed(&bank->loaded) != 0)
            return CFGS_OK;
        if (bank_view_valid(view))
            return CFGS_ERR_NOT_READY;
    }
    return CFGS_ERR_BUSY;
}

/* Row S2: the last committed ID, from a bank that is live.  False: the bank was recycled meanwhile. */
static inline bool bank_view_committed(const struct arena_header *header, uint64_t *sequence)
{
    /* [flip S2] acquire: as in bank_view_begin(). */
    uint64_t route = word_load_acquire(&header->current);
    if (route == ROUTE_RETIRED)
        return false;
    const struct bank_words *bank = &header->bank[route_bank(route)];
    /* [s-check S2] [ghost-slot S2] acquire: keeps the version check behind it and the look at the slot as well.  Without
     * the check S may come from a bank under bulk load; with a late or relaxed S a dead producer's slot is taken. */
    *sequence = word_load_acquire(&bank->sequence);
    /* [s-check S2] relaxed, behind the acquire above. */
    return word_load_relaxed(&bank->version) == route_generation(route);
}

/*
 * Rows V1 to V5 for what nearly every point read asks: a committed scalar of this kind, its bits.  Loads four words of the
 * record instead of eight, and checks no lengths that it does not use.  False: anything else, and the long way tells what.
 */
bool bank_view_quick(const struct attachment *attachment, const char *key, size_t length, cfgs_kind kind, uint64_t *bits);

/* Take up the bank named by route as of sequence, if it is still there; CFGS_ERR_LAPPED if not. */
int bank_view_pin(const struct attachment *attachment, uint64_t route, uint64_t sequence, cfgs_view *view);

/* From the newest record of a cell down to the one that counts; CFGS_ERR_NOT_FOUND: none at that ID, or removed. */
static inline int bank_view_settle(const cfgs_view *view, struct record *record)
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

/* Row V4: the record that counts at the view's ID.  CFGS_OK, _NOT_FOUND, or _CORRUPT (which V5 may overrule). */
static inline int bank_view_find(const cfgs_view *view, const struct lookup *lookup, struct record *out)
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

/* Row V4 for iteration: the next live record from cell *number on; 1, 0 at the end, CFGS_ERR_CORRUPT. */
int bank_view_next(const cfgs_view *view, uint64_t *number, struct record *out);

#endif
