/* statistics.c: see statistics.h.  SPDX-License-Identifier: Apache-2.0 */
#include "statistics.h"
#include "support/check.h"

#include <math.h>

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double quantile(double *values, size_t count, double part)
{
    REQUIRE(count > 0, "no measurements");
    qsort(values, count, sizeof *values, compare);
    return values[(size_t)(part * (double)(count - 1))];
}

static double median_of(const double *values, size_t count)
{
    double *sorted = need(malloc(count * sizeof *sorted));
    memcpy(sorted, values, count * sizeof *sorted);
    double median = quantile(sorted, count, 0.5);
    free(sorted);
    return median;
}

bool lies_above(const double *a, const double *b, size_t count)
{
    double above = 0, n = (double)count;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            above += a[i] > b[k] ? 1 : a[i] < b[k] ? 0 : 0.5;
    double deviation = sqrt(n * n * (2 * n + 1) / 12);
    return above - n * n / 2 > 3 * deviation && median_of(a, count) > 1.1 * median_of(b, count);
}
