/*
 * bench.h: what the benchmarks share: the command line's answers, and one entry for each.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#define BENCH_LIST_MAX 8

/* A list of counts from the command line, ascending. */
struct bench_list {
    size_t at[BENCH_LIST_MAX];
    size_t count;
};

struct bench_options {
    struct bench_list settings, sleepers;
    double seconds; /* per measurement */
    size_t commits; /* per number of sleepers; 0: 200, and 100 from 200 sleepers on */
    bool quick, json, check, no_wake_thread;
    int cpu;               /* -1: the last one allowed */
    const char *directory; /* of arenas and peers; a tmpfs */
};

/* Keys that are updated round robin, and whose handles are read, whatever the number of settings. */
#define BENCH_HOT_KEYS 350

void bench_read(const struct bench_options *options, size_t settings);
void bench_update(const struct bench_options *options, size_t settings);
void bench_load(const struct bench_options *options, size_t settings);
void bench_commit(const struct bench_options *options, size_t settings);

#endif
