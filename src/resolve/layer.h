/* resolve/layer.h: what one source says, key by key; and how a file's tree becomes that.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVE_LAYER_H
#define RESOLVE_LAYER_H

#include "resolve/convert.h"
#include "resolve/declarations.h"

#include <configstream/value.h>

struct layer_value {
    cfgs_copy *value;
    unsigned line, column;
};

/** A zeroed one is empty. */
struct layer {
    struct table values; /* canonical key -> struct layer_value */
};

void layer_clear(struct layer *layer);

/** Put a value in, in place of one that is there.  Takes over the copy, also when memory runs out (false). */
bool layer_put(struct layer *layer, const char *key, size_t length, cfgs_copy *copy);

/**
 * Fill a layer from a document.
 *
 * declaring: every leaf declares its setting (the defaults file, or the main file when there are no defaults); a map is
 * a section unless it is empty or declared with a map kind.  Otherwise leaves are converted to the declared kinds, and
 * what nothing declares is kept with a warning.  Nulls for declared settings and sections say nothing.
 */
bool layer_read(struct layer *layer, struct declarations *declarations, bool declaring, const struct doc *doc,
                struct warnings *warnings, struct problem *problem);

#endif
