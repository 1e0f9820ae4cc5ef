/*
 * sleepers.h: processes that wait for updates, and how to know that they all sleep.
 *
 * A sleeper is this program, executed anew, in cfgs_reader_next() without a timeout.  It writes the last ID it was given
 * on a board in shared memory, and checks that the IDs have no gap.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_SLEEPERS_H
#define BENCH_SLEEPERS_H

#include "bench.h"
#include <configstream/configstream.h>
#include <stdint.h>

struct sleepers;

struct sleepers *sleepers_new(const struct bench_options *options, const char *arena, size_t capacity);

/* Let so many take part; returns when all of them were given the ID `sequence`, and everybody sleeps. */
void sleepers_grow(struct sleepers *sleepers, size_t count, uint64_t sequence);

/*
 * Wait until every sleeper was given this ID and then went to sleep again (in the kernel, in a futex call), and until
 * this process' own other threads sleep as well.  Dies after ten seconds.
 */
void sleepers_settle(struct sleepers *sleepers, uint64_t sequence);

/* End them all. */
void sleepers_free(struct sleepers *sleepers);

/* The life of a sleeper: `where` is what sleepers_grow() gave it on its command line. Returns its exit status. */
int sleeper_main(const char *where);

#endif
