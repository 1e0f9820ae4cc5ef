/* stats.c  SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"
#include "rig.h"
#include <stdlib.h>

void samples_add(struct samples *samples, double value)
{
    if (samples->count == samples->capacity) {
        size_t capacity = samples->capacity != 0 ? 2 * samples->capacity : 256;
        double *at = realloc(samples->at, capacity * sizeof *at);
        if (at == NULL)
            rig_die("out of memory");
        samples->at = at;
        samples->capacity = capacity;
    }
    samples->at[samples->count++] = value;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread samples_spread(struct samples *samples)
{
    size_t count = samples->count;

    if (count == 0)
        return (struct spread){0};
    qsort(samples->at, count, sizeof *samples->at, ascending);
    return (struct spread){samples->at[count / 10], samples->at[count / 2], samples->at[count - 1 - count / 10], count};
}

void samples_free(struct samples *samples)
{
    free(samples->at);
    *samples = (struct samples){0};
}
