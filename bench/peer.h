/*
 * peer.h: the store that reads are compared with: LMDB, read inside an open transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "corpus.h"
#include <stdbool.h>

struct peer;

/* Load the corpus into a file of this name; NULL if this build has no peer. */
struct peer *peer_open(const char *path, const struct corpus *corpus);
void peer_close(struct peer *peer);

/* "lmdb" */
const char *peer_name(void);

/* Look up count entries of one kind inside the open read transaction; adds up their folds.  Dies if one is missing. */
uint64_t peer_read(struct peer *peer, cfgs_kind kind, const struct entry *const *at, size_t count);

/* Give the read transaction up, and renew it: a point in time of its own for the reads that follow. */
void peer_renew(struct peer *peer);

#endif
