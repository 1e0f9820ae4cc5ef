/* daemon/daemon.c: start, reload, loop, stop.  SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include "base/clock.h"
#include "base/signals.h"
#include "base/started.h"
#include "base/stdio.h"
#include "control/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_MS 1000

/* ---- logging ----------------------------------------------------------------------------------------------------- */

void daemon_follow_log_level(struct daemon *daemon)
{
    const cfgs_value *value = daemon->log.pinned ? NULL : config_value(&daemon->config, "log_level");
    if (value && value->kind == CFGS_KIND_STRING)
        log_follow(&daemon->log, &daemon->log_followed, value->as.bytes.data, value->as.bytes.length);
}

static void log_warnings(struct daemon *daemon, const struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->kept; i++)
        log_write(&daemon->log, warnings->lines[i].error ? LOG_ERROR : LOG_WARN, "%s", warnings->lines[i].text);
    if (warnings->total > warnings->kept)
        log_write(&daemon->log, LOG_WARN, "... and %zu more warnings", warnings->total - warnings->kept);
    daemon->warnings = warnings->total;
}

/* ---- the service manager ----------------------------------------------------------------------------------------- */

static void tell_ready(const struct daemon *daemon)
{
    char status[sizeof daemon->reload_error.text + 128];
    if (daemon->reload_error.text[0])
        snprintf(status, sizeof status, "reload failed, the last good configuration stays: %s",
                 daemon->reload_error.text);
    else
        snprintf(status, sizeof status, "instance '%s': %zu settings, last ID %llu", daemon->options.instance,
                 daemon->config.store.slots.live, (unsigned long long)cfgs_publisher_sequence(daemon->publisher));
    notify_ready(&daemon->notify, status);
}

/* ---- reload ------------------------------------------------------------------------------------------------------ */

/* The files may be as they should; what was missing may come back without any change of theirs. */
static bool lacks_descriptors(void)
{
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static bool reload(struct daemon *daemon, uint64_t *changes, struct problem *problem)
{
    struct loaded loaded;
    struct warnings warnings = {0};
    watch_loading(&daemon->watch);
    bool read = loaded_read(&loaded, &daemon->options.files, &warnings, problem);
    bool ok = read && config_reload(&daemon->config, &loaded, daemon->publisher, changes, problem);
    if (ok)
        log_warnings(daemon, &warnings);
    warnings_clear(&warnings);
    watch_loaded(&daemon->watch, ok ? WATCH_IN_FORCE : read || lacks_descriptors() ? WATCH_PREVENTED : WATCH_REFUSED);
    return ok;
}

bool daemon_reload(struct daemon *daemon, uint64_t *changes, struct problem *problem)
{
    notify_reloading(&daemon->notify);
    bool ok = reload(daemon, changes, problem);
    cfgs_publisher_count_reload(daemon->publisher, ok);
    if (ok) {
        daemon->reload_error.text[0] = '\0';
        daemon_follow_log_level(daemon);
        log_write(&daemon->log, LOG_INFO, "reloaded: %llu changed, last ID %llu", (unsigned long long)*changes,
                  (unsigned long long)cfgs_publisher_sequence(daemon->publisher));
    } else {
        daemon->reload_error = *problem;
        log_write(&daemon->log, LOG_ERROR, "reload failed, the last good configuration stays: %s", problem->text);
    }
    tell_ready(daemon);
    return ok;
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static bool stage_command_line(struct daemon *daemon, struct problem *problem)
{
    for (size_t i = 0; i < daemon->options.set_count; i++) {
        const char *text = daemon->options.sets[i], *equals = strchr(text, '=');
        struct set_request request = {
            .key = text,
            .key_length = (size_t)(equals - text),
            .source = CFGS_SOURCE_CLI,
            .form = VALUE_TEXT,
            .value = equals + 1,
            .value_length = strlen(equals + 1),
        };
        struct problem reason;
        if (!config_stage_set(&daemon->config, &request, &reason))
            return problem_set(problem, "--set: %s", reason.text);
    }
    return true;
}

/* All that can be wrong with the input shows here, before anything is created. */
static bool resolve(struct daemon *daemon, struct problem *problem)
{
    struct loaded loaded;
    struct warnings warnings = {0};
    watch_loading(&daemon->watch);
    bool ok = loaded_read(&loaded, &daemon->options.files, &warnings, problem);
    if (ok) {
        ok = config_stage_files(&daemon->config, &loaded, problem) && stage_command_line(daemon, problem);
        loaded_clear(&loaded);
    }
    watch_loaded(&daemon->watch, ok ? WATCH_IN_FORCE : WATCH_REFUSED);
    if (ok && !daemon->options.check)
        daemon_follow_log_level(daemon);
    log_warnings(daemon, &warnings);
    warnings_clear(&warnings);
    return ok;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

static bool open_publisher(struct daemon *daemon, const char *control, struct problem *problem)
{
    const struct options *options = &daemon->options;
    cfgs_error_detail detail = {0};
    cfgs_publisher_options publisher = {
        .instance = options->instance,
        .arena_path = options->arena_path,
        .origin = base_name(options->files.config),
        .control_path = control,
        .set_mode = options->set_mode,
        .mode = options->mode,
        .set_group = options->set_group,
        .group = options->group,
        .ring_slots = options->ring_slots,
        .max_size = options->max_size,
        .detail = &detail,
    };
    int error = cfgs_publisher_open(&publisher, &daemon->publisher);
    if (error == CFGS_OK)
        return true;
    return problem_set(problem, "instance '%s': %s", options->instance,
                       detail.message[0] ? detail.message : cfgs_strerror(error));
}

static bool take_survivors(struct daemon *daemon, struct problem *problem)
{
    uint64_t count;
    if (cfgs_publisher_started(daemon->publisher) != CFGS_START_CRASHED || daemon->options.forget_runtime)
        return true;
    if (!config_stage_survivors(&daemon->config, daemon->publisher, &count, problem))
        return false;
    log_write(&daemon->log, LOG_INFO, "the last producer crashed; %llu settings of runtime sources are kept",
              (unsigned long long)count);
    return true;
}

static bool choose_control(const struct daemon *daemon, char path[CONTROL_PATH_MAX_BYTES + 1], struct problem *problem)
{
    const char *named = daemon->options.control;
    if (!named && daemon->options.set_control_group && geteuid() != 0)
        return problem_set(problem, "--control-group: the default control socket lies in a directory that only its owner "
                                    "enters; name one elsewhere with --control");
    if (!named)
        return control_path_default(daemon->options.instance, path, problem) && control_path_prepare(path, problem);
    /* The path goes into the arena's header, where readers with another working directory find it. */
    char *absolute = named[0] == '/' ? strdup(named) : NULL;
    char *directory = named[0] == '/' ? NULL : getcwd(NULL, 0);
    if (directory && asprintf(&absolute, "%s/%s", directory, named) < 0)
        absolute = NULL;
    bool ok = absolute != NULL || problem_memory(problem);
    if (ok && strlen(absolute) > CONTROL_PATH_MAX_BYTES)
        ok = problem_set(problem, "%s: the path of a control socket has at most %d bytes", absolute, CONTROL_PATH_MAX_BYTES);
    if (ok)
        strcpy(path, absolute);
    free(absolute);
    free(directory);
    return ok;
}

static bool open_control(struct daemon *daemon, const char *path, struct problem *problem)
{
    struct control_server_options options = {
        .path = path,
        .set_group = daemon->options.set_control_group,
        .group = daemon->options.control_group,
        .handler = daemon_handle_request,
        .context = daemon,
        .log = &daemon->log,
    };
    return control_server_open(&daemon->server, &options, problem);
}

static void log_start(struct daemon *daemon, uint64_t changes)
{
    cfgs_publisher_start start = cfgs_publisher_started(daemon->publisher);
    log_write(&daemon->log, LOG_INFO, "instance '%s': arena %s (%s), %zu settings, %llu changed, last ID %llu, control %s",
              daemon->options.instance, cfgs_publisher_path(daemon->publisher), started_words(start),
              daemon->config.store.slots.live, (unsigned long long)changes,
              (unsigned long long)cfgs_publisher_sequence(daemon->publisher), daemon->server.path);
    if (start == CFGS_START_REPLACED)
        log_write(&daemon->log, LOG_WARN, "the old arena was replaced: %s",
                  cfgs_publisher_error(daemon->publisher)->message);
}

static bool publish_first(struct daemon *daemon, struct problem *problem)
{
    char control[CONTROL_PATH_MAX_BYTES + 1];
    uint64_t changes = 0;
    if (!signals_open(&daemon->signal_fd, problem) || !choose_control(daemon, control, problem) ||
        !control_listen_check(control, problem) || !open_publisher(daemon, control, problem))
        return false;
    if (!take_survivors(daemon, problem) || !open_control(daemon, control, problem) ||
        !config_publish(&daemon->config, daemon->publisher, true, &changes, problem))
        return false;
    daemon_follow_log_level(daemon);
    log_start(daemon, changes);
    tell_ready(daemon);
    return true;
}

/* ---- loop and stop ----------------------------------------------------------------------------------------------- */

/* False: time to end. */
static bool take_signals(struct daemon *daemon)
{
    struct signalfd_siginfo info;
    bool again = false;
    while (read(daemon->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGHUP) {
            log_write(&daemon->log, LOG_INFO, "ending on %s", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
            return false;
        }
        again = true;
    }
    struct problem problem;
    uint64_t changes = 0;
    if (again) {
        log_write(&daemon->log, LOG_INFO, "reload asked for by SIGHUP from uid=%u pid=%u", info.ssi_uid, info.ssi_pid);
        daemon_reload(daemon, &changes, &problem);
    }
    return true;
}

/* At each tick: a cleaner may have removed the arena or its lock under us.  False: another producer has the lock now. */
static bool keep_names(struct daemon *daemon)
{
    bool moved = false;
    int error = cfgs_publisher_keep_names(daemon->publisher, &moved);
    if (moved)
        log_write(&daemon->log, LOG_WARN, "%s was removed or replaced: published again as a new arena",
                  cfgs_publisher_path(daemon->publisher));
    if (error == CFGS_ERR_LOCKED)
        log_write(&daemon->log, LOG_CRITICAL, "the lock file was removed and another producer has it: %s",
                  cfgs_publisher_error(daemon->publisher)->message);
    else if (error != CFGS_OK && error != daemon->names_error)
        log_write(&daemon->log, LOG_ERROR, "%s has lost its name and cannot be published again yet: %s",
                  cfgs_publisher_path(daemon->publisher), cfgs_publisher_error(daemon->publisher)->message);
    daemon->names_error = error;
    return error != CFGS_ERR_LOCKED;
}

static void reload_changed(struct daemon *daemon)
{
    struct problem problem;
    uint64_t changes = 0;
    daemon_reload(daemon, &changes, &problem);
}

static int sooner(int a_ms, int b_ms)
{
    return a_ms >= 0 && a_ms < b_ms ? a_ms : b_ms;
}

static int poll_timeout(const struct daemon *daemon)
{
    return sooner(control_server_timeout(&daemon->server), sooner(watch_timeout(&daemon->watch), TICK_MS));
}

static int run(struct daemon *daemon)
{
    int64_t tick_ms = now_ms() + TICK_MS;
    for (;;) {
        struct pollfd ready[] = {{.fd = daemon->signal_fd, .events = POLLIN},
                                 {.fd = daemon->server.epoll_fd, .events = POLLIN},
                                 {.fd = daemon->watch.fd, .events = POLLIN}};
        if (poll(ready, 3, poll_timeout(daemon)) < 0 && errno != EINTR) {
            log_write(&daemon->log, LOG_CRITICAL, "cannot wait for events: %s", strerror(errno));
            return 1;
        }
        if ((ready[0].revents & POLLIN) && !take_signals(daemon))
            return 0;
        control_server_run(&daemon->server);
        if (ready[2].revents & POLLIN)
            watch_take_events(&daemon->watch);
        if (watch_is_due(&daemon->watch))
            reload_changed(daemon);
        if (now_ms() >= tick_ms) {
            if (!keep_names(daemon))
                return 1;
            if (watch_tick(&daemon->watch))
                reload_changed(daemon);
            tick_ms = now_ms() + TICK_MS;
        }
    }
}

/* How the arena is left. */
enum ending { ENDING_KEEP, ENDING_UNLINK, ENDING_AS_FOUND };

static void stop(struct daemon *daemon, enum ending ending)
{
    control_server_close(&daemon->server); /* while the lock still keeps a successor from making its own */
    if (ending == ENDING_AS_FOUND)
        cfgs_publisher_abandon(daemon->publisher);
    else
        cfgs_publisher_close(daemon->publisher, ending == ENDING_UNLINK);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
    watch_close(&daemon->watch);
    notify_close(&daemon->notify);
    config_clear(&daemon->config);
    options_clear(&daemon->options);
}

/* A failed start leaves what it found, so that the next try decides as this one would have. */
static enum ending failed_ending(const struct daemon *daemon)
{
    if (!daemon->publisher)
        return ENDING_AS_FOUND;
    switch (cfgs_publisher_started(daemon->publisher)) {
    case CFGS_START_NEW:
    case CFGS_START_REPLACED: return ENDING_UNLINK; /* never got a snapshot: of no use to anybody */
    case CFGS_START_CLOSED: return ENDING_KEEP;     /* closed again: seeming crashed, it would give back runtime settings */
    case CFGS_START_CRASHED:                        /* closed, it would lose them */
    case CFGS_START_RELAYED: break;
    }
    return ENDING_AS_FOUND;
}

static void complain(const struct problem *problem)
{
    char text[4 * sizeof problem->text + 1];
    log_escape(text, sizeof text, problem->text);
    fprintf(stderr, "configstreamd: %s\n", text);
}

static int start_and_run(struct daemon *daemon)
{
    struct problem problem;
    if (!daemon->options.check && !daemon->options.no_watch)
        watch_open(&daemon->watch, &daemon->options.files, &daemon->log);
    bool ok = resolve(daemon, &problem);
    if (ok && daemon->options.check) {
        stop(daemon, ENDING_KEEP);
        return 0;
    }
    if (!ok || !publish_first(daemon, &problem)) {
        complain(&problem);
        stop(daemon, failed_ending(daemon));
        return 1;
    }
    int status = run(daemon);
    notify_stopping(&daemon->notify);
    stop(daemon, status != 0 ? ENDING_AS_FOUND : daemon->options.unlink ? ENDING_UNLINK : ENDING_KEEP);
    return status;
}

static int print_size(struct options *options)
{
    uint32_t slots = options->ring_slots ? options->ring_slots : CFGS_RING_SLOTS_DEFAULT;
    uint64_t bytes = cfgs_arena_size(options->settings, 0, slots);
    printf("%llu bytes (%.1f MiB) for %llu settings and %u ring slots\n", (unsigned long long)bytes,
           (double)bytes / (1 << 20), (unsigned long long)options->settings, slots);
    options_clear(options);
    if (flush_standard_output())
        return 0;
    fprintf(stderr, "configstreamd: cannot write to standard output: %s\n", strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    struct daemon daemon = {
        .signal_fd = -1, .server = {.listen_fd = -1, .epoll_fd = -1}, .watch.fd = -1, .notify.fd = -1};
    keep_standard_fds();
    signal(SIGPIPE, SIG_IGN); /* a log reader that goes away must not take the daemon along */
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
        daemon.server.clients[i].fd = -1;
    options_parse(&daemon.options, argc, argv);
    if (daemon.options.print_size)
        return print_size(&daemon.options);
    daemon.log = daemon.options.log;
    notify_open(&daemon.notify);
    return start_and_run(&daemon);
}
