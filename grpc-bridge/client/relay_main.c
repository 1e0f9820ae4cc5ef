/* client/relay_main.c: configstream-relay: start, follow, stop.  SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/notify.h"
#include "base/problem.h"
#include "base/signals.h"
#include "base/started.h"
#include "base/stdio.h"
#include "client/engine.h"
#include "client/relay_options.h"

#include <configstream/configstream.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { LOOK_MS = 500, READY_MS = 30000, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 6 };

struct relay {
    struct relay_options options;
    struct notify notify;
    cfgs_publisher *publisher; /* the engine's thread's while there is an engine */
    cfgs_reader *reader;       /* of our own arena: its log_level, and whether there is a configuration */
    struct engine *engine;
    int signal_fd;
    /* the main thread's */
    struct log_followed log_followed;
    cfgs_reader_info info;
    uint64_t sequence; /* as last read, in the arena of the next */
    char instance_id[37];
    bool ready;       /* there is a configuration */
    bool told_ready;  /* the service manager was told that we are */
    int64_t ready_ms; /* when it is told in any case: a boot does not wait for a core that is away */
    char status[CFGS_ERROR_MESSAGE_BYTES + 256];
    /* the engine's thread's */
    bool every_other;
    int names_error; /* of the last look after the arena's name; said once */
};

static void complain(const struct problem *problem)
{
    char text[4 * sizeof problem->text + 1];
    log_escape(text, sizeof text, problem->text);
    fprintf(stderr, "configstream-relay: %s\n", text);
}

/* ---- what the engine's thread calls ------------------------------------------------------------------------------ */

static void log_line(void *context, cfgs_remote_severity severity, const char *line)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    const struct relay *relay = context;
    log_write(&relay->options.log, severity <= CFGS_REMOTE_ERROR ? levels[severity] : LOG_ERROR, "%s", line);
}

/* Once a second: a cleaner may have removed the arena or its lock under us. */
static int keep_names(void *context, cfgs_publisher *publisher)
{
    struct relay *relay = context;
    const struct log *log = &relay->options.log;
    bool moved = false;
    relay->every_other = !relay->every_other;
    if (relay->every_other)
        return CFGS_OK;
    int error = cfgs_publisher_keep_names(publisher, &moved);
    if (moved)
        log_write(log, LOG_WARN, "%s was removed or replaced: published again as a new arena",
                  cfgs_publisher_path(publisher));
    if (error == CFGS_ERR_LOCKED)
        log_write(log, LOG_CRITICAL, "the lock file was removed and another producer has it: %s",
                  cfgs_publisher_error(publisher)->message);
    else if (error != CFGS_OK && error != relay->names_error)
        log_write(log, LOG_ERROR, "%s has lost its name and cannot be published again yet: %s",
                  cfgs_publisher_path(publisher), cfgs_publisher_error(publisher)->message);
    relay->names_error = error;
    return error == CFGS_ERR_LOCKED ? error : CFGS_OK;
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* An exit status. */
static int open_publisher(struct relay *relay, struct problem *problem)
{
    cfgs_error_detail detail = {0};
    cfgs_publisher_options *arena = &relay->options.arena;
    arena->detail = &detail;
    int error = cfgs_publisher_open(arena, &relay->publisher);
    arena->detail = NULL;
    if (error == CFGS_OK)
        return 0;
    problem_set(problem, "instance '%s': %s%s", arena->instance, detail.message[0] ? detail.message : cfgs_strerror(error),
                error == CFGS_ERR_LOCKED ? "; end it, or give this relay another --instance" : "");
    return error == CFGS_ERR_LOCKED ? EXIT_REFUSED : EXIT_FAILED;
}

static bool open_reader(struct relay *relay, struct problem *problem)
{
    int error = cfgs_publisher_reader(relay->publisher, &relay->reader);
    return error == CFGS_OK || problem_set(problem, "cannot read our own arena: %s", cfgs_strerror(error));
}

/* What a relay left here goes on being what its source said, until another stream comes. */
static bool name_source(struct relay *relay, struct problem *problem)
{
    cfgs_upstream upstream = {.address = relay->options.remote.address};
    uint8_t path[1 + CFGS_UPSTREAM_PATH_MAX][16];
    const int length = cfgs_encoded_path(relay->reader, path, &upstream.wire_base);
    for (int i = 1; i < length; i++)
        memcpy(upstream.path[upstream.path_length++], path[i], sizeof path[i]);
    int error = cfgs_publisher_set_upstream(relay->publisher, &upstream);
    return error == CFGS_OK || problem_set(problem, "--connect: '%s': %s", upstream.address,
                                           cfgs_publisher_error(relay->publisher)->message);
}

static int open_engine(struct relay *relay, struct problem *problem)
{
    cfgs_error_detail detail = {0};
    cfgs_remote_options *remote = &relay->options.remote;
    const struct engine_options options = {
        .remote = remote,
        .publisher = relay->publisher,
        .relay = true,
        .hooks = {.context = relay, .tick = keep_names},
    };
    remote->log = log_line;
    remote->log_context = relay;
    remote->detail = &detail;
    int error = engine_open(&options, &relay->engine);
    remote->detail = NULL;
    if (error == CFGS_OK)
        return 0;
    problem_set(problem, "%s", detail.message[0] ? detail.message : cfgs_strerror(error));
    return error == CFGS_ERR_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static void log_start(const struct relay *relay)
{
    const cfgs_publisher_start start = cfgs_publisher_started(relay->publisher);
    log_write(&relay->options.log, LOG_INFO, "instance '%s': arena %s (%s), last ID %llu, a relay of %s",
              relay->options.arena.instance, cfgs_publisher_path(relay->publisher), started_words(start),
              (unsigned long long)cfgs_publisher_sequence(relay->publisher), relay->options.remote.address);
    if (start == CFGS_START_REPLACED)
        log_write(&relay->options.log, LOG_WARN, "the old arena was replaced: %s",
                  cfgs_publisher_error(relay->publisher)->message);
}

static int start(struct relay *relay, struct problem *problem)
{
    if (!signals_open(&relay->signal_fd, problem))
        return EXIT_FAILED;
    int status = open_publisher(relay, problem);
    if (status)
        return status;
    log_start(relay);
    if (!open_reader(relay, problem) || !name_source(relay, problem))
        return EXIT_FAILED;
    return open_engine(relay, problem);
}

/* ---- follow ------------------------------------------------------------------------------------------------------ */

static void follow_level(struct relay *relay)
{
    char name[64];
    size_t length;
    if (cfgs_get_string(relay->reader, "log_level", name, sizeof name, &length) == CFGS_OK)
        log_follow(&relay->options.log, &relay->log_followed, name, length);
}

/* Without a first snapshot nothing says anything. */
static void follow_arena(struct relay *relay)
{
    cfgs_view view;
    if (cfgs_reader_status(relay->reader, &relay->info, sizeof relay->info) != CFGS_OK ||
        cfgs_view_begin(relay->reader, &view) != CFGS_OK)
        return;
    if (relay->ready && relay->sequence == relay->info.sequence &&
        strcmp(relay->instance_id, relay->info.instance_id) == 0)
        return;
    relay->sequence = relay->info.sequence;
    memcpy(relay->instance_id, relay->info.instance_id, sizeof relay->instance_id);
    follow_level(relay);
    if (!relay->ready)
        log_write(&relay->options.log, LOG_INFO, "ready: %llu settings, last ID %llu",
                  (unsigned long long)relay->info.settings, (unsigned long long)relay->info.sequence);
    relay->ready = true;
}

/* One line for the service manager.  Nothing in it changes by itself: each other one is told. */
static void describe(const struct relay *relay, const cfgs_remote_info *info, char *status, size_t size)
{
    const char *address = relay->options.remote.address;
    if (info->state == CFGS_REMOTE_STREAMING)
        snprintf(status, size, "follows %s at %s", address, info->peer);
    else
        snprintf(status, size, "%s %s: %s%s%s", relay->ready ? "serves the last state, not connected to" : "no state yet of",
                 address, cfgs_remote_state_name((int)info->state), info->message[0] ? ": " : "", info->message);
}

static void tell(struct relay *relay, bool was_ready)
{
    char status[sizeof relay->status];
    cfgs_remote_info info;
    engine_info(relay->engine, &info);
    describe(relay, &info, status, sizeof status);
    const bool get_ready = !relay->told_ready && (relay->ready || now_ms() >= relay->ready_ms);
    if (!get_ready && relay->ready == was_ready && strcmp(status, relay->status) == 0)
        return;
    strcpy(relay->status, status);
    relay->told_ready |= get_ready;
    if (get_ready)
        notify_ready(&relay->notify, status);
    else
        notify_status(&relay->notify, status);
}

/* ---- loop and stop ----------------------------------------------------------------------------------------------- */

/* False: time to end. */
static bool take_signals(struct relay *relay)
{
    struct signalfd_siginfo info;
    while (read(relay->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            continue; /* credentials are followed anyway */
        log_write(&relay->options.log, LOG_INFO, "ending on %s", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
        return false;
    }
    return true;
}

/* The engine gave up; another try would meet the same. */
static int give_up(const struct relay *relay)
{
    cfgs_remote_info info;
    engine_info(relay->engine, &info);
    if (relay->names_error == CFGS_ERR_LOCKED) /* and it was said */
        return EXIT_FAILED;
    log_write(&relay->options.log, LOG_CRITICAL, "nothing is tried any more: %s; the last state stays published",
              info.message[0] ? info.message : cfgs_strerror(info.error));
    return info.error == CFGS_ERR_REFUSED || info.error == CFGS_ERR_UNAUTHENTICATED ? EXIT_REFUSED : EXIT_FAILED;
}

static int run(struct relay *relay)
{
    struct pollfd ready[] = {{.fd = relay->signal_fd, .events = POLLIN},
                             {.fd = engine_ended_fd(relay->engine), .events = POLLIN}};
    relay->ready_ms = now_ms() + (relay->options.ready_timeout_ms ? relay->options.ready_timeout_ms : READY_MS);
    for (;;) {
        const bool was_ready = relay->ready;
        follow_arena(relay);
        tell(relay, was_ready);
        if (poll(ready, 2, LOOK_MS) < 0 && errno != EINTR) {
            log_write(&relay->options.log, LOG_CRITICAL, "cannot wait for events: %s", strerror(errno));
            return EXIT_FAILED;
        }
        if ((ready[0].revents & POLLIN) && !take_signals(relay))
            return 0;
        if (ready[1].revents & POLLIN)
            return give_up(relay);
    }
}

/* Who fails leaves what is there as it is, so that it shows as dead, but for an arena that never got a snapshot.  What has
 * the names now may be another producer's. */
static bool is_of_use(const struct relay *relay)
{
    const cfgs_publisher_start found = relay->publisher ? cfgs_publisher_started(relay->publisher) : CFGS_START_CLOSED;
    return relay->ready || relay->names_error == CFGS_ERR_LOCKED || found == CFGS_START_CRASHED ||
           found == CFGS_START_CLOSED || found == CFGS_START_RELAYED;
}

static void stop(struct relay *relay, bool failed)
{
    engine_close(relay->engine);
    cfgs_reader_close(relay->reader);
    if (failed && is_of_use(relay))
        cfgs_publisher_abandon(relay->publisher);
    else
        cfgs_publisher_close(relay->publisher, failed || relay->options.unlink);
    if (relay->signal_fd >= 0)
        close(relay->signal_fd);
    notify_close(&relay->notify);
}

int main(int argc, char **argv)
{
    static struct relay relay = {.signal_fd = -1, .notify.fd = -1};
    struct problem problem;
    keep_standard_fds();
    signal(SIGPIPE, SIG_IGN); /* a log reader that goes away must not take the relay along */
    relay_options_parse(&relay.options, argc, argv);
    notify_open(&relay.notify);
    int status = start(&relay, &problem);
    if (status == 0) {
        status = run(&relay);
        notify_stopping(&relay.notify);
    } else {
        complain(&problem);
    }
    stop(&relay, status != 0);
    return status;
}
