/* cli/watch.c: watch and wait.  SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/event.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How often the producer's state is looked at. */
enum { LOOK_EVERY_MS = 500 };

struct watch {
    const struct cli *cli;
    cfgs_reader *reader;
    char prefix[CFGS_KEY_MAX_BYTES + 1];
    uint64_t seen;
    int64_t deadline_ms; /* -1: none */
    int64_t look_at_ms;
    cfgs_producer_state state;
    bool cut_off; /* a relay that does not follow its source */
};

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* Settings below the prefix at the snapshot's point in time; false when it was recycled meanwhile. */
static bool count_settings(struct watch *watch, const cfgs_event *event, uint64_t *count)
{
    cfgs_view view;
    cfgs_setting setting;
    if (cfgs_view_at(watch->reader, event, &view) != CFGS_OK)
        return false;
    do {
        cfgs_iterator iterator = {0};
        *count = 0;
        while (cfgs_view_next(&view, &iterator, watch->prefix, strlen(watch->prefix), &setting) == 1)
            ++*count;
    } while (cfgs_view_retry(&view));
    return cfgs_view_error(&view) == CFGS_OK;
}

static bool print_snapshot(struct watch *watch, const cfgs_event *event)
{
    uint64_t count;
    if (!count_settings(watch, event, &count))
        return false; /* the next event is a newer snapshot */
    event_print_snapshot(event, count, watch->cli->json);
    return true;
}

static bool print_update(struct watch *watch, const cfgs_event *event)
{
    size_t length = strlen(watch->prefix);
    if (event->setting.key.length < length || memcmp(event->setting.key.data, watch->prefix, length) != 0)
        return false;
    event_print_update(event, watch->cli->json);
    return true;
}

/* ---- the producer's life ----------------------------------------------------------------------------------------- */

static void report(const cfgs_reader_info *info)
{
    if (info->state == CFGS_PRODUCER_RUNNING)
        cli_say(LOG_INFO, "the producer (pid %lld) is running", (long long)info->pid);
    else
        cli_say(LOG_WARN, "the producer is %s; updates go on when it is back", cfgs_producer_state_name(info->state));
}

static void report_source(struct watch *watch, const cfgs_reader_info *info)
{
    if (watch->cut_off == session_is_cut_off(info))
        return;
    watch->cut_off = !watch->cut_off;
    if (watch->cut_off)
        cli_say(LOG_WARN, "the relay is not connected to %s; updates go on when it is", info->upstream.address);
    else
        cli_say(LOG_INFO, "the relay follows %s", info->upstream.address);
}

static void look(struct watch *watch, bool now)
{
    cfgs_reader_info info;
    int64_t time = now_ms();
    if (!now && time < watch->look_at_ms)
        return;
    watch->look_at_ms = time + LOOK_EVERY_MS;
    if (cfgs_reader_status(watch->reader, &info, sizeof info) != CFGS_OK)
        return;
    report_source(watch, &info);
    if (info.state == watch->state)
        return;
    watch->state = info.state;
    report(&info);
}

/* ---- watch ------------------------------------------------------------------------------------------------------- */

static enum exit_code finish_by_time(const struct watch *watch)
{
    if (!watch->cli->count)
        return EXIT_OK;
    cli_complain("watch: %" PRIu64 " of %" PRIu64 " events came in time", watch->seen, watch->cli->count);
    return EXIT_TIMEOUT;
}

static int slice_ms(const struct watch *watch)
{
    int64_t left = watch->deadline_ms < 0 ? LOOK_EVERY_MS : watch->deadline_ms - now_ms();
    return left < 0 ? 0 : left < LOOK_EVERY_MS ? (int)left : LOOK_EVERY_MS;
}

static enum exit_code follow(struct watch *watch)
{
    cfgs_event event;
    while (!watch->cli->count || watch->seen < watch->cli->count) {
        int error = cfgs_reader_next(watch->reader, &event, slice_ms(watch));
        look(watch, error == CFGS_ERR_CLOSED);
        if (error == CFGS_OK) {
            bool snapshot = event.kind == CFGS_EVENT_SNAPSHOT;
            bool printed = snapshot ? print_snapshot(watch, &event) : print_update(watch, &event);
            watch->seen += printed;
            if (printed && !output_finish())
                return EXIT_OTHER;
        } else if (error != CFGS_ERR_TIMEOUT && error != CFGS_ERR_CLOSED) {
            return session_failed(watch->reader, "watch", error);
        }
        if (watch->deadline_ms >= 0 && now_ms() >= watch->deadline_ms &&
            (!watch->cli->count || watch->seen < watch->cli->count))
            return finish_by_time(watch);
    }
    return EXIT_OK;
}

enum exit_code command_watch(struct cli *cli)
{
    cfgs_reader_info info;
    struct watch watch = {
        .cli = cli,
        .deadline_ms = cli->timeout_ms < 0 ? -1 : now_ms() + cli->timeout_ms,
    };
    if (!session_prefix(cli, cli->prefix ? cli->prefix : "", watch.prefix))
        return EXIT_USAGE;
    enum exit_code status = session_open(cli, &watch.reader);
    if (status != EXIT_OK)
        return status;
    status = session_look(cli, watch.reader, &info);
    watch.state = info.state;
    watch.cut_off = session_is_cut_off(&info);
    if (status == EXIT_OK)
        status = follow(&watch);
    cfgs_reader_close(watch.reader);
    return status;
}

/* ---- wait -------------------------------------------------------------------------------------------------------- */

static enum exit_code report_ready(const struct cli *cli, cfgs_reader *reader)
{
    cfgs_reader_info info;
    enum exit_code status = session_look(cli, reader, &info);
    if (status != EXIT_OK)
        return status;
    session_check_live(cli, &info);
    if (cli->json) {
        json_t *object = json_object();
        output_add(object, "instance", json_string(cli->instance));
        output_add(object, "sequence", json_integer((json_int_t)info.sequence));
        output_add(object, "settings", json_integer((json_int_t)info.settings));
        output_line(object);
    } else {
        printf("ready: %" PRIu64 " settings, last ID %" PRIu64 "\n", info.settings, info.sequence);
    }
    return output_finish() ? EXIT_OK : EXIT_OTHER;
}

enum exit_code command_wait(struct cli *cli)
{
    cfgs_reader *reader;
    struct progress progress;
    enum exit_code status = session_open_any(cli, &reader);
    if (status != EXIT_OK)
        return status;
    int timeout = cli->timeout_ms < 0 ? CFGS_FOREVER : cli->timeout_ms > INT32_MAX ? INT32_MAX : (int)cli->timeout_ms;
    progress_begin(&progress, "instance '%s' to publish a configuration", cli->instance);
    int error = cfgs_reader_wait_ready(reader, timeout);
    progress_end(&progress);
    if (error == CFGS_OK) {
        status = report_ready(cli, reader);
    } else if (error == CFGS_ERR_TIMEOUT) {
        cli_complain("wait: instance '%s' published no configuration in time", cli->instance);
        status = EXIT_TIMEOUT;
    } else {
        status = session_failed(reader, "wait", error);
    }
    cfgs_reader_close(reader);
    return status;
}
