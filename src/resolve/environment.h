/**
 * @file resolve/environment.h  What the process's environment says of declared settings.
 *
 * A setting's variables are those its declaration names, else PREFIX_ and the key in upper case with dots as
 * underscores.  The first that is there and not empty counts.  A text that cannot be converted stays a text, as in the
 * existing agents; one that a declared parser refuses is ignored, so that the layer below holds.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RESOLVE_ENVIRONMENT_H
#define RESOLVE_ENVIRONMENT_H

#include "base/warnings.h"
#include "resolve/layer.h"

/** Longest prefix. */
#define ENVIRONMENT_PREFIX_MAX_BYTES 64

/** Fill a layer.  Variables that start with the prefix and that nothing declares get a warning. */
bool environment_read(struct layer *layer, const struct declarations *declarations, const char *prefix,
                      const char *const *variables, struct warnings *warnings, struct problem *problem);

#endif
