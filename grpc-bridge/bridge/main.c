/* bridge/main.c: start, tick, stop.  SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/notify.h"
#include "base/signals.h"
#include "base/stdio.h"
#include "bridge/bridge.h"
#include "bridge/metrics.h"
#include "bridge/options.h"
#include "bridge/rcu.h"
#include "bridge/settings.h"
#include "bridge/status.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    SIGNAL_LOOK_MS = 20,
    EXIT_USAGE = 2,
    OWN_DESCRIPTORS = 128, /* 64 who ask for status, 32 for metrics, files, arenas */
    OWN_DESCRIPTORS_OF_WORKER = 8
};

struct program {
    struct options options;
    struct bridge bridge;
    struct settings settings;
    struct notify notify;
    struct listen_addresses addresses;
    struct metrics *metrics; /* NULL: none */
    struct status status;
    int signal_fd;
    unsigned opened, started; /* workers */
};

static void complain(const struct problem *problem)
{
    char text[4 * sizeof problem->text + 1];
    log_escape(text, sizeof text, problem->text);
    fprintf(stderr, "configstream-bridge: %s\n", text);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* A descriptor a connection: as many as we are allowed. */
static void raise_descriptors(const struct program *program, struct rlimit *limit)
{
    const rlim_t before = limit->rlim_cur;
    if (limit->rlim_cur == limit->rlim_max)
        return;
    limit->rlim_cur = limit->rlim_max;
    if (setrlimit(RLIMIT_NOFILE, limit) == 0)
        return;
    log_write(&program->bridge.log, LOG_WARN, "cannot raise the limit of open files to %llu: %s",
              (unsigned long long)limit->rlim_max, strerror(errno));
    limit->rlim_cur = before;
}

/* Who is let in by thousands does not take them all: libmicrohttpd, for one, tries without a pause when there is none. */
static void share_descriptors(struct program *program)
{
    const uint64_t own = OWN_DESCRIPTORS + program->options.workers * OWN_DESCRIPTORS_OF_WORKER;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    raise_descriptors(program, &limit);
    program->bridge.descriptors = limit.rlim_cur > 2 * own ? limit.rlim_cur - own : (limit.rlim_cur + 1) / 2;
}

static bool resolve_addresses(struct program *program, struct problem *problem)
{
    for (unsigned i = 0; i < program->options.listen_count; i++)
        if (!listen_resolve(&program->addresses, "--listen", program->options.listen[i], problem))
            return false;
    return true;
}

static const struct listen_address *find_public(const struct listen_addresses *addresses)
{
    for (unsigned i = 0; i < addresses->count; i++)
        if (!listen_is_loopback(&addresses->all[i]))
            return &addresses->all[i];
    return NULL;
}

static bool check_no_auth(const struct program *program, struct problem *problem)
{
    char name[LISTEN_NAME_BYTES];
    const struct listen_address *far = program->options.no_auth ? find_public(&program->addresses) : NULL;
    if (!far)
        return true;
    listen_name(far, name);
    return problem_set(problem, "--insecure-no-auth serves the whole configuration, secrets included, to whoever "
                                "connects, and so only listens on loopback addresses, of which %s is none: leave the "
                                "option out, or use --listen localhost:5001", name);
}

static bool check_metrics(const struct program *program, struct problem *problem)
{
    struct listen_addresses addresses = {0};
    if (!*program->options.metrics)
        return true;
    return listen_resolve(&addresses, "--metrics", program->options.metrics, problem) &&
           (!find_public(&addresses) ||
            problem_set(problem, "--metrics: '%s' is no loopback address: HTTP is served without authentication, so "
                                 "name one such as localhost:5002, and let a proxy carry it further",
                        program->options.metrics));
}

/* For the certificate that may be made. */
static unsigned certificate_names(const struct options *options, char hosts[][LISTEN_HOST_BYTES], const char *names[])
{
    unsigned count = 0;
    for (unsigned i = 0; i < options->listen_count; i++) {
        if (!listen_host(options->listen[i], hosts[count]))
            continue;
        names[count] = hosts[count];
        count++;
    }
    return count;
}

static bool open_credentials(struct program *program, struct problem *problem)
{
    static char hosts[LISTEN_ADDRESSES_MAX][LISTEN_HOST_BYTES]; /* as long as the credentials live */
    static const char *names[LISTEN_ADDRESSES_MAX];
    const struct options *options = &program->options;
    struct credentials_options credentials = {
        .cert_path = options->cert,
        .ca_path = options->ca,
        .key_path = options->key,
        .token_path = options->token,
        .create = !options->require_credentials,
        .no_auth = options->no_auth,
        .names = names,
        .name_count = certificate_names(options, hosts, names),
        .log = &program->bridge.log,
    };
    program->bridge.credentials = credentials_open(&credentials, problem);
    return program->bridge.credentials;
}

static bool open_shared(struct program *program, struct problem *problem)
{
    struct bridge *bridge = &program->bridge;
    const struct registry_settings registry = settings_registry(&program->options, bridge);
    bridge->registry = registry_new(&registry);
    bridge->snapshots = snapshots_new(&bridge->limits, &bridge->log);
    bridge->workers = calloc(program->options.workers, sizeof *bridge->workers);
    return (bridge->registry && bridge->snapshots && bridge->workers) || problem_memory(problem);
}

static void close_from(const int *fds, unsigned from, unsigned count)
{
    for (unsigned i = from; i < count; i++)
        close(fds[i]);
}

static bool open_workers(struct program *program, struct problem *problem)
{
    struct bridge *bridge = &program->bridge;
    unsigned workers = program->options.workers;
    int *fds = NULL;
    if (!listen_open(&program->addresses, "--listen", workers, &fds, problem))
        return false;
    const unsigned each = program->addresses.count;
    bool ok = true;
    while (ok && program->opened < workers) {
        struct worker *worker = &bridge->workers[program->opened];
        ok = worker_open(worker, bridge, program->opened, fds + program->opened * each, each, problem);
        program->opened += ok;
    }
    if (!ok) /* those of the worker that failed, it closed itself */
        close_from(fds, (program->opened + 1) * each, workers * each);
    free(fds);
    bridge->worker_count = program->opened;
    return ok;
}

static bool open_metrics(struct program *program, struct problem *problem)
{
    if (!*program->options.metrics)
        return true;
    program->metrics = metrics_open(&program->bridge, program->options.metrics, problem);
    return program->metrics;
}

static bool open_status(struct program *program, struct problem *problem)
{
    const struct options *options = &program->options;
    const struct status_options status = {
        .instance = options->instance,
        .path = options->control,
        .set_group = options->set_control_group,
        .group = options->control_group,
    };
    return status_open(&program->status, &program->bridge, &program->addresses, &status, problem);
}

static bool start_workers(struct program *program, struct problem *problem)
{
    while (program->started < program->opened) {
        if (!worker_start(&program->bridge.workers[program->started], problem))
            return false;
        program->started++;
    }
    return true;
}

static void tell_started(const struct program *program)
{
    const struct options *options = &program->options;
    char names[LISTEN_NAME_BYTES * LISTEN_ADDRESSES_MAX] = "", status[sizeof names + 128];
    for (unsigned i = 0; i < program->addresses.count; i++) {
        char name[LISTEN_NAME_BYTES];
        listen_name(&program->addresses.all[i], name);
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", name);
        log_write(&program->bridge.log, LOG_INFO, "listening on %s", name);
    }
    if (program->metrics)
        log_write(&program->bridge.log, LOG_INFO, "metrics on http://%s/metrics", metrics_name(program->metrics));
    if (options->no_auth)
        log_write(&program->bridge.log, LOG_WARN, "--insecure-no-auth: every local user can read the whole "
                                                  "configuration, secrets included");
    snprintf(status, sizeof status, "instance '%s': listening on %s, %u workers", options->instance, names,
             options->workers);
    notify_ready(&program->notify, status);
}

static bool start(struct program *program, struct problem *problem)
{
    share_descriptors(program);
    if (!signals_open(&program->signal_fd, problem))
        return false;
    rcu_begin();
    rcu_join();
    return open_credentials(program, problem) && open_shared(program, problem) &&
           open_workers(program, problem) && open_metrics(program, problem) && open_status(program, problem) &&
           start_workers(program, problem);
}

/* ---- loop and stop ----------------------------------------------------------------------------------------------- */

/* False: time to end. */
static bool take_signals(struct program *program)
{
    struct signalfd_siginfo info;
    while (read(program->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            continue; /* files and settings are followed anyway */
        log_write(&program->bridge.log, LOG_INFO, "ending on %s", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
        return false;
    }
    return true;
}

static void tick(struct program *program)
{
    struct bridge *bridge = &program->bridge;
    credentials_follow(bridge->credentials);
    registry_reap(bridge->registry);
    settings_follow(&program->settings);
}

static int wait_ms(const struct program *program, int64_t tick_ms)
{
    int64_t tick = tick_ms - now_ms(), status = control_server_timeout(&program->status.server);
    int64_t wait = status >= 0 && status < tick ? status : tick;
    return wait > 0 ? (int)wait : 0;
}

static int run(struct program *program)
{
    int64_t tick_ms = 0;
    for (;;) {
        if (now_ms() >= tick_ms) {
            tick(program);
            tick_ms = now_ms() + TICK_MS;
        }
        struct pollfd ready[] = {{.fd = program->signal_fd, .events = POLLIN},
                                 {.fd = program->status.server.epoll_fd, .events = POLLIN}};
        if (poll(ready, 2, wait_ms(program, tick_ms)) < 0 && errno != EINTR) {
            log_write(&program->bridge.log, LOG_CRITICAL, "cannot wait for events: %s", strerror(errno));
            return 1;
        }
        if ((ready[0].revents & POLLIN) && !take_signals(program))
            return 0;
        control_server_run(&program->status.server);
    }
}

static void wake_workers(struct program *program)
{
    for (unsigned i = 0; i < program->started; i++)
        worker_wake(&program->bridge.workers[i]);
}

/* The workers end their connections, within --drain-timeout; asked once more, at once. */
static void drain(struct program *program)
{
    struct bridge *bridge = &program->bridge;
    /* release: pairs with the acquire in a worker's turn, which the wake-up brings about. */
    atomic_store_explicit(&bridge->draining, true, memory_order_release);
    wake_workers(program);
    while (program->started > 0) {
        if (worker_join_within(&bridge->workers[program->started - 1], SIGNAL_LOOK_MS)) {
            program->started--;
        } else if (!take_signals(program)) {
            atomic_store_explicit(&bridge->limits.drain_timeout, 0, memory_order_relaxed); /* relaxed: see limits.h */
            wake_workers(program);
        }
    }
}

static void stop(struct program *program)
{
    struct bridge *bridge = &program->bridge;
    control_server_close(&program->status.server);
    drain(program);
    metrics_close(program->metrics);
    for (unsigned i = 0; i < program->opened; i++)
        worker_close(&bridge->workers[i]);
    free(bridge->workers);
    snapshots_free(bridge->snapshots);
    registry_free(bridge->registry);
    if (bridge->credentials)
        credentials_close(bridge->credentials);
    rcu_settle();
    settings_close(&program->settings);
    if (program->signal_fd >= 0)
        close(program->signal_fd);
    notify_close(&program->notify);
}

static void fill_bridge(struct program *program)
{
    const struct options *options = &program->options;
    struct bridge *bridge = &program->bridge;
    bridge->log = options->log;
    bridge->no_auth = options->no_auth;
    bridge->no_unset_source = options->no_unset_source;
    bridge->no_reflection = options->no_reflection;
    bridge->arena = (cfgs_reader_options){
        .instance = options->instance,
        .arena_path = options->arena_path,
        .trust_producer_user = options->producer_user != (uid_t)-1,
        .producer_user = options->producer_user,
    };
}

int main(int argc, char **argv)
{
    static struct program program = {
        .signal_fd = -1, .notify.fd = -1, .status.server = {.listen_fd = -1, .epoll_fd = -1}};
    struct problem problem;
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
        program.status.server.clients[i].fd = -1;
    keep_standard_fds();
    signal(SIGPIPE, SIG_IGN); /* a peer or a log reader that goes away must not take the bridge along */
    options_parse(&program.options, argc, argv);
    fill_bridge(&program);
    settings_init(&program.settings, &program.bridge, &program.options);
    if (!resolve_addresses(&program, &problem) || !check_no_auth(&program, &problem) ||
        !check_metrics(&program, &problem)) {
        complain(&problem);
        /* Service managers do not try again after a mistake of usage, and at a boot they should. */
        return program.addresses.unanswered ? EXIT_FAILURE : EXIT_USAGE;
    }
    notify_open(&program.notify);
    bool started = start(&program, &problem);
    int status = 1;
    if (started) {
        tell_started(&program);
        status = run(&program);
        notify_stopping(&program.notify);
    } else {
        complain(&problem);
    }
    stop(&program);
    return status;
}
