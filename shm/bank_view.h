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

/*
 * Rows V1 to V3.  CFGS_OK; CFGS_ERR_NOT_READY: no first state yet; CFGS_ERR_BUSY after K rounds; CFGS_ERR_LAPPED: the
 * arena was retired under us (another one has its place): ask reader_attachment() again.
 */
int bank_view_begin(const struct attachment *attachment, cfgs_view *view);

/* Take up the bank named by route as of sequence, if it is still there; CFGS_ERR_LAPPED if not. */
int bank_view_pin(const struct attachment *attachment, uint64_t route, uint64_t sequence, cfgs_view *view);

/* Row V4: the record that counts at the view's ID.  CFGS_OK, _NOT_FOUND, or _CORRUPT (which V5 may overrule). */
int bank_view_find(const cfgs_view *view, const struct lookup *lookup, struct record *out);

/* From the newest record of a cell down to the one that counts; CFGS_ERR_NOT_FOUND: none at that ID, or removed. */
int bank_view_settle(const cfgs_view *view, struct record *record);

/* Row V4 for iteration: the next live record from cell *number on; 1, 0 at the end, CFGS_ERR_CORRUPT. */
int bank_view_next(const cfgs_view *view, uint64_t *number, struct record *out);

/* Row V5: was nothing recycled since begin?  Results count only if so. */
bool bank_view_valid(const cfgs_view *view);

static inline struct index_place view_index(const cfgs_view *view)
{
    return (struct index_place){view_attachment(view)->header, view->mapped, view->index_at, view->index_capacity};
}

#endif
