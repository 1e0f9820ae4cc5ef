/* stats.h: samples and what is said of them.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

struct samples {
    double *at;
    size_t count, capacity;
};

struct spread {
    double p10, median, p90;
    size_t count;
};

void samples_add(struct samples *samples, double value);

/* Sorts the samples. All zero if there are none. */
struct spread samples_spread(struct samples *samples);
void samples_free(struct samples *samples);

#endif
