/*
 * rig.h: clock, processor, a scratch directory that goes away, and loaded arenas.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include "bench.h"
#include "corpus.h"
#include <configstream/configstream.h>
#include <limits.h>
#include <stdint.h>
#include <time.h>

/* Say why, clean up, exit 1. */
_Noreturn void rig_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Die if err is not CFGS_OK. */
void rig_check(int err, const char *doing);

static inline uint64_t rig_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Run this thread (and those it starts from now on) on one processor, or on all it may use. */
void rig_pin(const struct bench_options *options);
void rig_unpin(void);

/* A path in the scratch directory: made at the first call, removed with all in it at exit or by a signal. */
void rig_path(const struct bench_options *options, const char *name, char path[PATH_MAX]);

/* Is there room for an arena of so many settings, and a peer?  Notes it if not. */
bool rig_has_room(const struct bench_options *options, size_t settings);

/* A publisher of an arena of this name, empty or loaded with the corpus. */
cfgs_publisher *rig_open(const struct bench_options *options, const char *name, size_t settings);
cfgs_publisher *rig_publish(const struct bench_options *options, const char *name, const struct corpus *corpus);
cfgs_reader *rig_reader(const struct bench_options *options, const char *name);

/* Stage the whole corpus in a batch that replaces the state. */
cfgs_batch *rig_stage(cfgs_publisher *publisher, const struct corpus *corpus, unsigned revision);

/* Does the reader see this revision of the whole corpus?  Dies if not. */
void rig_verify(cfgs_reader *reader, const struct corpus *corpus, unsigned revision);

#endif
