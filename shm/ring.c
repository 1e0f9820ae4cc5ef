/* ring.c  SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

void ring_publish(struct ring_slot *slot, uint64_t sequence, const struct ring_entry *entry)
{
    /* [slot U2] relaxed, ordered by the fence below. */
    word_store_relaxed(&slot->sequence, 0);
    /* [slot U2] [take U2] release fence: "empty" goes out before the new fields.  Without it a slow taker could read
     * new fields, see the old sequence a second time and believe them.  Pairs with the fence in ring_still(). */
    words_fence_release();
    /* [slot U2] relaxed: published by the sequence. */
    word_store_relaxed(&slot->route, entry->route);
    word_store_relaxed(&slot->offset, entry->offset);
    word_store_relaxed(&slot->length, entry->length);
    /* [slot U2] release: the fields, and the record they point to, are complete before the ID can be seen.  Pairs with
     * the acquire in ring_take(). */
    word_store_release(&slot->sequence, sequence);
}

void ring_empty(struct ring_slot *slot)
{
    /* [flip B] relaxed: the flip that makes this ID committed releases it, and who has not seen the flip does not look. */
    word_store_relaxed(&slot->sequence, 0);
}

bool ring_take(const struct ring_slot *slot, uint64_t sequence, struct ring_entry *entry)
{
    /* [slot S4] acquire: the fields below are those of this ID, or of a later reuse that ring_still() notices.  Pairs
     * with the release in ring_publish(); relaxed would let stale fields through. */
    if (word_load_acquire(&slot->sequence) != sequence)
        return false;
    /* [slot S4] relaxed: into locals once; ring_still() decides whether they count. */
    entry->route = word_load_relaxed(&slot->route);
    entry->offset = word_load_relaxed(&slot->offset);
    entry->length = word_load_relaxed(&slot->length);
    return true;
}

bool ring_still(const struct ring_slot *slot, uint64_t sequence, const cfgs_word *version, uint64_t route)
{
    /* [take S6] [recycle S6] acquire fence: every field and record word was loaded before the two checks.  If any came
     * from a reuse, one of the checks must see it.  An acquire load in its place does not hold earlier loads back. */
    words_fence_acquire();
    /* [take S6] relaxed, behind the fence.  "Unchanged since I looked" would not be enough for the bank: it may have
     * been reused before the look, so the slot's own generation is what counts. */
    return word_load_relaxed(&slot->sequence) == sequence && word_load_relaxed(version) == route_generation(route);
}
