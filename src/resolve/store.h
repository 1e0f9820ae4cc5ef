/**
 * @file resolve/store.h  All layers, key by key, and what of them is published.
 *
 * Changes are staged (and visible at once to later stages), then published as one batch: only what differs goes out.
 * If the publisher refuses, store_publish() puts every staged change back, so layers and arena never drift apart.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RESOLVE_STORE_H
#define RESOLVE_STORE_H

#include "resolve/declarations.h"
#include "resolve/layer.h"

#include <configstream/publisher.h>

/** What each source says of one key. */
struct slot {
    cfgs_copy *values[CFGS_SOURCE_COUNT + 1]; /* by cfgs_source; NULL: it says nothing */
    const char *key;
    size_t length;
    int published;            /* the source that won at the last publishing; NONE: not published */
    unsigned published_flags;
    bool touched;
    bool conversion_told; /* that a set had to be converted was logged */
};

struct change {
    struct slot *slot;
    int source;
    cfgs_copy *value; /* what stood there before; swapped back to undo */
};

/** A zeroed one is empty. */
struct store {
    struct table slots;
    struct change *changes;
    size_t count, capacity;
};

void store_clear(struct store *store);

/**
 * Stage a value of a source, or (NULL) its clearing.  Takes over the copy, also on failure.  The same value as before
 * is no change.  False when memory ran out.
 */
bool store_stage(struct store *store, const char *key, size_t length, int source, cfgs_copy *value);

/** Stage a whole layer in place of the source's present one.  Takes the values out of the layer. */
bool store_stage_layer(struct store *store, int source, struct layer *layer);

/** Stage every key whose flags are not those that were published. */
bool store_stage_flags(struct store *store, const struct declarations *declarations);

/** Put every staged change back. */
void store_rollback(struct store *store);

/**
 * Publish what was staged as one batch, or (replace) everything as the whole state.
 * @param changes  out: IDs taken.
 * @return false with the problem set and everything staged put back.
 */
bool store_publish(struct store *store, cfgs_publisher *publisher, const struct declarations *declarations,
                   bool replace, uint64_t *changes, struct problem *problem);

/** The slot of a key, or NULL; and the source that wins in it (CFGS_SOURCE_NONE for none). */
const struct slot *store_find(const struct store *store, const char *key, size_t length);
int slot_winner(const struct slot *slot);

#endif
