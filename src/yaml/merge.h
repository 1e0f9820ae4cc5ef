/* yaml/merge.h: what happens to a map when all its entries are there.  SPDX-License-Identifier: Apache-2.0 */
#ifndef YAML_MERGE_H
#define YAML_MERGE_H

#include "yaml/build.h"

/* Of entries with one key keep the last, with a warning at its place. */
bool merge_drop_duplicates(struct build *build, struct node *map);

/* Add what the frame's "<<" keys bring in; the map's own entries win, and of several merges the first. */
bool merge_apply(struct build *build, struct frame *frame);

#endif
