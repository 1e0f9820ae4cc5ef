/* statistics.h: what is said of repeated measurements.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_STATISTICS_H
#define BRIDGE_TESTS_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

/** Sorts the values.  part: 0.5 is the median. */
double quantile(double *values, size_t count, double part);

/**
 * Whether `a` lies above `b` by more than they scatter: by the rank sum (Mann and Whitney, one-sided, normal
 * approximation) beyond three standard deviations, and by a tenth in the median.  Neither is changed.
 */
bool lies_above(const double *a, const double *b, size_t count);

#endif
