/* client/report.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MINUTE_MS = 60 * 1000, LINES_A_MINUTE = 6, LINE_BYTES = 1024 };

/* True: tell it; *untold lines came before it. */
static bool may_tell(struct report_account *account, int64_t now, uint64_t *untold)
{
    if (!account->since_ms || now - account->since_ms >= MINUTE_MS) {
        account->since_ms = now;
        account->told = 0;
    }
    if (account->told == LINES_A_MINUTE) {
        account->untold++;
        return false;
    }
    account->told++;
    *untold = account->untold;
    account->untold = 0;
    return true;
}

void report_line(struct report *report, enum report_kind kind, cfgs_remote_severity severity, const char *format, ...)
{
    char line[LINE_BYTES];
    uint64_t untold;
    if (!report->log || !may_tell(&report->accounts[kind], now_ms(), &untold))
        return;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (untold && length >= 0 && (size_t)length < sizeof line)
        snprintf(line + length, sizeof line - (size_t)length, " (%" PRIu64 " such lines before it were left out)", untold);
    report->log(report->context, severity, line);
}

void report_error(struct report *report, const char *kind, const char *error, const char *what_next)
{
    int64_t now = now_ms();
    bool again = report->error_ms && strcmp(report->error, error) == 0;
    if (again && now - report->error_ms < MINUTE_MS) {
        report->error_repeats++;
        return;
    }
    uint64_t times = again ? report->error_repeats + 1 : 1;
    report->error_ms = now;
    report->error_repeats = 0;
    snprintf(report->error, sizeof report->error, "%s", error);
    if (times > 1)
        report_line(report, REPORT_ERROR, CFGS_REMOTE_WARN, "%s: %s (%" PRIu64 " times in the last minute); %s", kind, error,
                    times, what_next);
    else
        report_line(report, REPORT_ERROR, CFGS_REMOTE_WARN, "%s: %s; %s", kind, error, what_next);
}
