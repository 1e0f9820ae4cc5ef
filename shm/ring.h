/*
 * ring.h: the last `slots` updates, in order, one slot each.
 *
 * A slot is a small seqlock of its own: 0 means empty, and reuse goes through it.  The consumer must know that the ID is
 * committed before it looks (a dead producer's slot shows its ID before and after), and checks after copying the record
 * that neither the slot nor the record's bank was recycled.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_RING_H
#define CFGS_RING_H

#include "layout.h"
#include <stdbool.h>

/* What a slot says: where the record of an update lies. */
struct ring_entry {
    uint64_t route, offset, length;
};

/* Producer: slot of update `sequence`. Overwrites the update that is `slots` older. */
void ring_publish(struct ring_slot *slot, uint64_t sequence, const struct ring_entry *entry);

/* Producer: forget whatever the slot holds. */
void ring_empty(struct ring_slot *slot);

/* Consumer, once `sequence` is known to be committed: false if the slot holds another update. */
bool ring_take(const struct ring_slot *slot, uint64_t sequence, struct ring_entry *entry);

/*
 * Consumer, after the record was copied: was the slot still this update's, and its bank still in the generation the
 * slot names?  version: that bank's.
 */
bool ring_still(const struct ring_slot *slot, uint64_t sequence, const cfgs_word *version, uint64_t route);

#endif
