/* report.c  SPDX-License-Identifier: Apache-2.0 */
#include "report.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TARGETS_MAX 32

static struct {
    bool json, heading;
    struct target targets[TARGETS_MAX];
    size_t count;
} report;

void report_start(bool json)
{
    report.json = json;
}

static void json_spread(const char *name, struct spread spread)
{
    printf(",\"%s\":{\"median\":%.3f,\"p10\":%.3f,\"p90\":%.3f}", name, spread.median, spread.p10, spread.p90);
}

static void json_result(const struct result *result)
{
    printf("{\"bench\":\"%s\",\"what\":\"%s\",\"settings\":%zu", result->bench, result->what, result->settings);
    if (result->sleepers >= 0)
        printf(",\"sleepers\":%ld", result->sleepers);
    printf(",\"unit\":\"%s\",\"samples\":%zu", result->unit, result->ours.count);
    json_spread("ours", result->ours);
    if (result->peer != NULL) {
        printf(",\"peer\":\"%s\"", result->peer);
        json_spread("theirs", result->theirs);
        json_spread("ratio", result->ratio);
    }
    printf("}\n");
}

static void print_heading(void)
{
    printf("%-7s %-28s %9s %8s %11s %-23s %7s   %s\n", "bench", "what", "settings", "sleepers", "median",
           "[p10 .. p90]", "samples", "peer, and how many times slower it is [p10 .. p90]");
    report.heading = true;
}

void report_result(const struct result *result)
{
    char sleepers[24] = "", range[64];

    if (report.json) {
        json_result(result);
        fflush(stdout);
        return;
    }
    if (!report.heading)
        print_heading();
    if (result->sleepers >= 0)
        snprintf(sleepers, sizeof sleepers, "%ld", result->sleepers);
    int digits = strcmp(result->unit, "x") == 0 ? 2 : 1;
    snprintf(range, sizeof range, "[%.*f .. %.*f]", digits, result->ours.p10, digits, result->ours.p90);
    printf("%-7s %-28s %9zu %8s %8.*f %-2s %-23s %7zu", result->bench, result->what, result->settings, sleepers, digits,
           result->ours.median, result->unit, range, result->ours.count);
    if (result->peer != NULL)
        printf("   %s %.1f %s, %.2fx [%.2f .. %.2f]", result->peer, result->theirs.median, result->unit,
               result->ratio.median, result->ratio.p10, result->ratio.p90);
    printf("\n");
    fflush(stdout);
}

void report_note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(report.json ? stderr : stdout, format, arguments);
    va_end(arguments);
    fputc('\n', report.json ? stderr : stdout);
}

void report_target(const struct target *target)
{
    if (report.count < TARGETS_MAX)
        report.targets[report.count++] = *target;
}

static bool is_met(const struct target *target)
{
    return target->at_least ? target->value >= target->limit : target->value <= target->limit;
}

static void print_target(const struct target *target)
{
    const char *sense = target->at_least ? ">=" : "<=";

    if (report.json)
        printf("{\"target\":\"%s\",\"value\":%.3f,\"sense\":\"%s\",\"limit\":%g,\"unit\":\"%s\",\"met\":%s,"
               "\"enforced\":%s}\n",
               target->name, target->value, sense, target->limit, target->unit, is_met(target) ? "true" : "false",
               target->enforced ? "true" : "false");
    else
        printf("  %-52s %9.2f %-2s  %s %6g   %s%s\n", target->name, target->value, target->unit, sense, target->limit,
               is_met(target) ? "met" : "NOT MET", target->enforced ? "" : " (a time: of this machine, not enforced)");
}

bool report_finish(void)
{
    bool good = true;

    if (report.count > 0 && !report.json)
        printf("\ntargets\n");
    for (size_t i = 0; i < report.count; i++) {
        print_target(&report.targets[i]);
        good = good && (is_met(&report.targets[i]) || !report.targets[i].enforced);
    }
    return good;
}
