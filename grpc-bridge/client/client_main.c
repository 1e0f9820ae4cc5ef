/* client/client_main.c: configstream-client, one stream watched.  SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/signals.h"
#include "base/stdio.h"
#include "cli/output.h"
#include "cli/say.h"
#include "client/client_report.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

struct client {
    struct client_options options;
    struct client_report report;
    cfgs_publisher *publisher;
    struct engine *engine;
    int signal_fd;
};

static void say_line(void *context, cfgs_remote_severity severity, const char *line)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    const struct client_report *report = context;
    if (report->output_gone) /* which was said; the stream is not to blame for its end */
        return;
    cli_say(severity <= CFGS_REMOTE_ERROR ? levels[severity] : LOG_ERROR, "%s", line);
}

static bool open_signals(struct client *client)
{
    struct problem problem;
    if (signals_open(&client->signal_fd, &problem))
        return true;
    cli_complain("%s", problem.text);
    return false;
}

static bool open_arena(struct client *client)
{
    cfgs_error_detail detail = {0};
    const cfgs_publisher_options arena = {
        .in_memory = true, .no_wake_thread = true, .no_heartbeat_thread = true, .detail = &detail};
    int error = cfgs_publisher_open(&arena, &client->publisher);
    if (error == CFGS_OK)
        error = cfgs_publisher_reader(client->publisher, &client->report.reader);
    if (error != CFGS_OK)
        cli_complain("cannot make an arena in memory: %s", detail.message[0] ? detail.message : cfgs_strerror(error));
    return error == CFGS_OK;
}

static enum exit_code open_engine(struct client *client)
{
    cfgs_error_detail detail = {0};
    cfgs_remote_options remote = client->options.remote;
    remote.log = say_line;
    remote.log_context = &client->report;
    remote.detail = &detail;
    const struct engine_options options = {
        .remote = &remote,
        .publisher = client->publisher,
        .once = true,
        .beat = true,
        .hooks = {.context = &client->report, .event = client_report_event, .tick = client_report_tick},
    };
    int error = engine_open(&options, &client->engine);
    if (error == CFGS_OK)
        return EXIT_OK;
    cli_complain("%s", detail.message[0] ? detail.message : cfgs_strerror(error));
    return error == CFGS_ERR_INVALID ? EXIT_USAGE : EXIT_OTHER;
}

/* True: the engine gave up.  False: the time is over, or somebody asked for the end. */
static bool watch(const struct client *client, int64_t deadline_ms)
{
    struct pollfd fds[] = {{.fd = engine_ended_fd(client->engine), .events = POLLIN},
                           {.fd = client->signal_fd, .events = POLLIN}};
    for (;;) {
        const int64_t left = deadline_ms - now_ms();
        const int got = poll(fds, 2, left <= 0 ? 0 : left > 1000 ? 1000 : (int)left);
        if (got > 0)
            return (fds[0].revents & POLLIN) != 0;
        if (left <= 0)
            return false;
    }
}

static enum exit_code run(struct client *client)
{
    cfgs_remote_info info;
    const int64_t start_ms = now_ms();
    enum exit_code status = open_engine(client);
    if (status != EXIT_OK)
        return status;
    const bool ended = watch(client, start_ms + client->options.duration_ms);
    signals_let_through(client->signal_fd); /* whoever takes our output may take none, and then the engine has no end */
    const int64_t watched_ms = now_ms() - start_ms;
    engine_info(client->engine, &info);
    engine_close(client->engine);
    return client_report_end(&client->report, &info, ended, watched_ms);
}

int main(int argc, char **argv)
{
    static struct client client = {.signal_fd = -1};
    keep_standard_fds();
    say_as("configstream-client");
    client_options_parse(&client.options, argc, argv);
    say_from(client.options.log.level);
    output_colour(COLOUR_AUTO);
    client.report.options = &client.options;
    enum exit_code status = open_signals(&client) && open_arena(&client) ? run(&client) : EXIT_OTHER;
    cfgs_reader_close(client.report.reader);
    cfgs_publisher_close(client.publisher, false);
    if (client.signal_fd >= 0)
        close(client.signal_fd);
    return (int)status;
}
