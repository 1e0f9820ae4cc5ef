/* client/client_report.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/client_report.h"

#include "cli/event.h"
#include "cli/held.h"
#include "cli/output.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- as it comes ------------------------------------------------------------------------------------------------- */

static void print_samples(struct client_report *report)
{
    struct held_list all = {0};
    uint64_t sequence;
    if (!report->options->samples || held_read_all(report->reader, "", &all, &sequence) != CFGS_OK) {
        held_clear(&all);
        return;
    }
    held_sort(&all);
    for (size_t i = 0; i < all.count && i < report->options->samples; i++) {
        if (!report->options->json)
            fputs("  ", stdout);
        output_listed(&all.items[i].setting, report->options->json, output_is_secret(&all.items[i].setting));
    }
    if (all.count > report->options->samples && !report->options->json)
        printf("  and %zu more\n", all.count - (size_t)report->options->samples);
    held_clear(&all);
}

static void print_snapshot(struct client_report *report, const cfgs_event *event)
{
    cfgs_reader_info info;
    if (report->snapshots == 1 && !report->options->json &&
        cfgs_reader_status(report->reader, &info, sizeof info) == CFGS_OK) {
        fputs("origin      ", stdout);
        print_plain(stdout, info.origin, strlen(info.origin), "");
        putchar('\n');
    }
    event_print_snapshot(event, report->settings, report->options->json);
    print_samples(report);
}

static void print_update(struct client_report *report, const cfgs_event *event)
{
    if (report->shown < report->options->samples) {
        event_print_update(event, report->options->json);
        report->shown++;
    } else if (report->shown++ == report->options->samples && report->options->samples && !report->options->json) {
        puts("further updates are only counted");
    }
}

static void count(struct client_report *report, const struct engine_event *event)
{
    report->bytes += event->bytes;
    if (event->kind == ENGINE_SNAPSHOT) {
        report->first = report->snapshots++ ? report->first : event->sequence;
        report->settings = event->settings;
    } else {
        report->updates++;
        if (!report->came && event->sequence != report->last + 1) {
            report->expected = report->last + 1;
            report->came = event->sequence;
        }
    }
    report->last = event->sequence;
}

/* Each message was applied just now, so it is the one event that the reader has.  A snapshot that changes nothing at all
 * is none for readers. */
void client_report_event(void *context, const struct engine_event *event)
{
    struct client_report *report = context;
    cfgs_event applied;
    count(report, event);
    if (cfgs_reader_next(report->reader, &applied, 0) != CFGS_OK)
        return;
    if (applied.kind == CFGS_EVENT_SNAPSHOT)
        print_snapshot(report, &applied);
    else
        print_update(report, &applied);
    report->output_gone = report->output_gone || !output_finish();
}

int client_report_tick(void *context, cfgs_publisher *publisher)
{
    const struct client_report *report = context;
    (void)publisher;
    return report->output_gone ? CFGS_ERR_SYSTEM : CFGS_OK;
}

/* ---- the verdict ------------------------------------------------------------------------------------------------- */

struct verdict {
    enum exit_code status;
    char reason[CFGS_ERROR_MESSAGE_BYTES + 128];
};

/* Whether the server said no to us, rather than that it cannot just now. */
static bool is_refusal(const cfgs_remote_info *info)
{
    enum { INVALID_ARGUMENT = 3, PERMISSION_DENIED = 7, RESOURCE_EXHAUSTED = 8, FAILED_PRECONDITION = 9, UNIMPLEMENTED = 12,
           UNAUTHENTICATED = 16 };
    if (info->error != CFGS_ERR_REFUSED)
        return info->error == CFGS_ERR_UNAUTHENTICATED || info->error == CFGS_ERR_SESSION;
    switch (info->grpc_status) {
    case INVALID_ARGUMENT:
    case PERMISSION_DENIED:
    case RESOURCE_EXHAUSTED:
    case FAILED_PRECONDITION:
    case UNIMPLEMENTED:
    case UNAUTHENTICATED: return true;
    default: return false;
    }
}

static const char *words_of(const cfgs_remote_info *info)
{
    return info->message[0] ? info->message : cfgs_strerror(info->error);
}

static void judge(struct verdict *verdict, const struct client_report *report, const cfgs_remote_info *info, bool ended,
                  int64_t watched_ms)
{
    const double seconds = (double)watched_ms / 1000;
    verdict->status = EXIT_OTHER;
    if (report->came)
        snprintf(verdict->reason, sizeof verdict->reason, "update #%" PRIu64 " came where #%" PRIu64 " had to", report->came,
                 report->expected);
    else if (ended && is_refusal(info)) {
        verdict->status = EXIT_REFUSED;
        snprintf(verdict->reason, sizeof verdict->reason, "refused: %s", words_of(info));
    } else if (ended)
        snprintf(verdict->reason, sizeof verdict->reason, "ended after %.1f s: %s", seconds, words_of(info));
    else if (!report->snapshots) {
        verdict->status = EXIT_TIMEOUT;
        snprintf(verdict->reason, sizeof verdict->reason, "no snapshot in %.1f s (%s)%s%s", seconds,
                 cfgs_remote_state_name((int)info->state), info->message[0] ? ": " : "", info->message);
    } else {
        verdict->status = EXIT_OK;
        snprintf(verdict->reason, sizeof verdict->reason, "a snapshot, and each update the next one");
    }
}

static void add_number(json_t *object, const char *name, uint64_t number)
{
    output_add(object, name, json_integer((json_int_t)number));
}

static void print_json(const struct client_report *report, const cfgs_remote_info *info, const struct verdict *verdict,
                       int64_t watched_ms)
{
    json_t *object = json_object();
    output_add(object, "event", json_string("end"));
    output_add(object, "pass", json_boolean(verdict->status == EXIT_OK));
    output_add(object, "reason", output_text(output_bytes(verdict->reason)));
    output_add(object, "peer", output_text(output_bytes(info->peer)));
    output_add(object, "session_prefix", output_text(output_bytes(info->session_prefix)));
    add_number(object, "first_sequence", report->first);
    add_number(object, "last_sequence", report->last);
    add_number(object, "snapshots", report->snapshots);
    add_number(object, "updates", report->updates);
    add_number(object, "settings", report->settings);
    add_number(object, "bytes", report->bytes);
    add_number(object, "gaps", info->counters.gaps);
    add_number(object, "stale", info->counters.stale);
    add_number(object, "malformed", info->counters.malformed);
    output_add(object, "first_snapshot_ms", json_integer(info->first_snapshot_ms));
    output_add(object, "watched_ms", json_integer(watched_ms));
    output_line(object);
}

static void print_text(const struct client_report *report, const cfgs_remote_info *info, const struct verdict *verdict,
                       int64_t watched_ms)
{
    if (info->session_prefix[0])
        printf("session     %s… at %s\n", info->session_prefix, info->peer);
    printf("watched     %.1f s", (double)watched_ms / 1000);
    if (info->first_snapshot_ms >= 0)
        printf(", the first snapshot after %" PRId64 " ms", info->first_snapshot_ms);
    printf("\nreceived    %" PRIu64 " snapshots, %" PRIu64 " updates, %" PRIu64 " bytes", report->snapshots, report->updates,
           report->bytes);
    if (report->snapshots)
        printf(", IDs %" PRIu64 " to %" PRIu64, report->first, report->last);
    printf("\nbroken      %" PRIu64 " gaps, %" PRIu64 " repeats, %" PRIu64 " malformed\n", info->counters.gaps,
           info->counters.stale, info->counters.malformed);
    const bool passed = verdict->status == EXIT_OK;
    output_styled(passed ? STYLE_GOOD : STYLE_BAD, output_bytes(passed ? "PASS" : "FAIL"));
    fputs(": ", stdout);
    print_plain(stdout, verdict->reason, strlen(verdict->reason), "");
    putchar('\n');
}

enum exit_code client_report_end(const struct client_report *report, const cfgs_remote_info *info, bool ended,
                                 int64_t watched_ms)
{
    struct verdict verdict;
    if (report->output_gone) /* and it was said */
        return EXIT_OTHER;
    judge(&verdict, report, info, ended, watched_ms);
    (report->options->json ? print_json : print_text)(report, info, &verdict, watched_ms);
    if (verdict.status != EXIT_OK)
        cli_complain("%s", verdict.reason);
    return output_finish() ? verdict.status : EXIT_OTHER;
}
