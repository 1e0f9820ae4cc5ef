/*
 * arena_info.h: the header's texts and its upstream block, under a seqlock of their own.
 *
 * A producer rewrites them when it starts, a republisher also when its upstream or its mark changes, while readers may be
 * looking.
 * Same shape and argument as a bank's recycling (litmus `recycle`): odd, fence, words, even; even, words, fence, same.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_ARENA_INFO_H
#define CFGS_ARENA_INFO_H

#include "layout.h"
#include <stdbool.h>

void info_store(struct arena_header *header, const struct arena_info *info);

/*
 * False: the producer was writing at every one of a few tries, or died while it did, or the arena is retired; *out is then
 * zero.
 */
bool info_load(const struct arena_header *header, struct arena_info *out);

#endif
