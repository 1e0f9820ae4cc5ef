/*
 * report.h: results and targets, as a table for people or as one JSON line each.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "stats.h"
#include <stdbool.h>

struct result {
    const char *bench, *what;
    size_t settings;
    long sleepers;    /* -1: does not apply */
    const char *unit; /* of ours and theirs: "ns", "us", "x" */
    struct spread ours;
    const char *peer;            /* NULL: none */
    struct spread theirs, ratio; /* ratio: theirs / ours, round by round */
};

void report_start(bool json);
void report_result(const struct result *result);

/* A line that is neither: what was skipped, and why. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Compare a number with its target; kept for report_finish().  enforced: a ratio, which --check fails on; times depend
 * on the machine and are only shown.
 */
struct target {
    const char *name, *unit;
    double value, limit;
    bool at_least, enforced;
};
void report_target(const struct target *target);

/* Print the targets; true if all the enforced ones were met. */
bool report_finish(void);

#endif
