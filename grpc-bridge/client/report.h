/**
 * @file client/report.h  Lines for the log callback: none is told too often.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_REPORT_H
#define CLIENT_REPORT_H

#include <configstream/remote.h>
#include <stdint.h>

/** Each kind of line has an account of its own. */
enum report_kind {
    REPORT_REGISTERED,
    REPORT_STREAM,
    REPORT_WAITING,
    REPORT_SNAPSHOT,
    REPORT_SESSION,
    REPORT_ERROR,
    REPORT_END, /* told once, and never left out */
    REPORT_OTHER,
    REPORT_KINDS
};

struct report {
    cfgs_remote_log log; /* NULL: nobody listens */
    void *context;
    struct report_account {
        int64_t since_ms; /* the minute began; 0: none yet */
        unsigned told;    /* in this minute */
        uint64_t untold;  /* since the last line */
    } accounts[REPORT_KINDS];
    char error[CFGS_ERROR_MESSAGE_BYTES]; /* the last one that was told */
    int64_t error_ms;
    uint64_t error_repeats; /* since then */
};

/** A few lines of a kind in a minute; more are counted, and their number is told with the next one. */
void report_line(struct report *report, enum report_kind kind, cfgs_remote_severity severity, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** An error: the same one again is told once a minute, with how often it came.  `what_next` is not compared. */
void report_error(struct report *report, const char *kind, const char *error, const char *what_next);

#endif
