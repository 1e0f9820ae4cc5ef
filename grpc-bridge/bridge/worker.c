/* bridge/worker.c: the loop.  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/worker.h"

#include "base/clock.h"
#include "bridge/bridge.h"
#include "bridge/rcu.h"
#include "event/path.h"
#include "event/updates.h"
#include "http2/connection.h"
#include "http2/timers.h"
#include "service/services.h"

#include <configstream/encoded.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    ACCEPTS_PER_TURN = 64,
    RETRY_MS = 1000,     /* after accept4() failed for want of something that others may give back */
    NOTICE_MS = 10000,
    /* epoll's data: a connection's address, or one of these, which are none */
    EVENT_WAKE = 1,
    EVENT_ARENA = 2,
    EVENT_LISTENER = 16
};

void worker_notice(struct worker *worker, enum worker_notice kind, const char *format, ...)
{
    if (worker->now_ms < worker->notices[kind].next_ms) {
        worker->notices[kind].silent++;
        return;
    }
    char text[WORKER_NOTICE_BYTES], more[64] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (worker->notices[kind].silent)
        snprintf(more, sizeof more, " (and %u more of the kind before)", worker->notices[kind].silent);
    log_write(&worker->bridge->log, LOG_WARN, "%s%s", text, more);
    worker->notices[kind].next_ms = worker->now_ms + NOTICE_MS;
    worker->notices[kind].silent = 0;
}

static void tell_silent(struct worker *worker)
{
    if (worker->now_ms < worker->lines.until_ms)
        return;
    if (worker->lines.silent)
        log_write(&worker->bridge->log, LOG_WARN, "%u more lines about what clients did in ten seconds were left out",
                  worker->lines.silent);
    worker->lines.told = worker->lines.silent = 0;
}

void worker_tell(struct worker *worker, enum log_level level, const char *format, ...)
{
    const struct log *log = &worker->bridge->log;
    if (level < log->level)
        return;
    tell_silent(worker);
    if (worker->lines.told == WORKER_LINES_MAX) {
        worker->lines.silent++;
        return;
    }
    if (worker->lines.told++ == 0)
        worker->lines.until_ms = worker->now_ms + NOTICE_MS;
    char line[WORKER_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log_write(log, level, "%s", line);
}

/* ---- listeners --------------------------------------------------------------------------------------------------- */

static bool watch(const struct worker *worker, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Without a newcomer to take, a listener would be ready without end: none is looked at for a while. */
static void pause_listeners(struct worker *worker, int64_t until_ms)
{
    for (unsigned i = 0; i < worker->listener_count; i++)
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->listeners[i], NULL);
    worker->paused = true;
    worker->resume_ms = until_ms;
}

static void resume_listeners(struct worker *worker)
{
    if (!worker->paused || worker->drain_ms || worker->now_ms < worker->resume_ms)
        return;
    bool watched = true;
    for (unsigned i = 0; i < worker->listener_count; i++)
        watched = (watch(worker, worker->listeners[i], EVENT_LISTENER + i) || errno == EEXIST) && watched;
    worker->paused = !watched;
    worker->resume_ms = worker->now_ms + RETRY_MS;
}

static void close_listeners(struct worker *worker)
{
    for (unsigned i = 0; i < worker->listener_count; i++)
        if (worker->listeners[i] >= 0)
            close(worker->listeners[i]);
    worker->listener_count = 0;
}

/* Of all workers; another may add one at the same time, which does no harm. */
static uint64_t open_connections(const struct bridge *bridge)
{
    uint64_t open = 0;
    for (unsigned i = 0; i < bridge->worker_count; i++)
        /* relaxed: a number on its own */
        open += atomic_load_explicit(&bridge->workers[i].counters.connections, memory_order_relaxed);
    return open;
}

static bool is_full(const struct bridge *bridge)
{
    return open_connections(bridge) >= (uint64_t)LIMIT(&bridge->limits, max_connections);
}

static void take_newcomer(struct worker *worker, int fd, const struct sockaddr_storage *peer)
{
    if (!is_full(worker->bridge)) {
        connection_open(worker, fd, peer);
        return;
    }
    COUNT(&worker->counters, connections_refused, 1);
    worker_notice(worker, NOTICE_FULL, "refused a connection: %lld are open, which is the limit (--max-connections)",
                  (long long)LIMIT(&worker->bridge->limits, max_connections));
    close(fd);
}

/* As accept4(), which leaves some descriptors: files are followed, arenas found, status and metrics told also by a bridge
 * that has as many connections as it can have. */
static int accept_with_room(const struct bridge *bridge, int listener, struct sockaddr_storage *peer)
{
    struct pollfd newcomer = {.fd = listener, .events = POLLIN};
    socklen_t size = sizeof *peer;
    if (!bridge->descriptors || open_connections(bridge) < bridge->descriptors)
        return accept4(listener, (struct sockaddr *)peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    errno = poll(&newcomer, 1, 0) > 0 ? EMFILE : EAGAIN;
    return -1;
}

/* False: that was all for now. */
static bool accept_one(struct worker *worker, int listener)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    int fd = accept_with_room(worker->bridge, listener, &peer);
    if (fd >= 0) {
        take_newcomer(worker, fd, &peer);
        return true;
    }
    if (errno == EAGAIN || errno == EINTR)
        return false;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        worker_notice(worker, NOTICE_ACCEPT, "cannot accept a connection: %s; it waits until we can", strerror(errno));
        pause_listeners(worker, worker->now_ms + RETRY_MS);
        return false;
    }
    return true; /* the newcomer's own trouble (accept(2)): it is gone, the next one is not */
}

static void accept_newcomers(struct worker *worker, int listener)
{
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(worker, listener); i++)
        continue;
}

/* ---- the arena --------------------------------------------------------------------------------------------------- */

/* True: it is another one.  Also of an arena that has no snapshot yet (no head): a relay's may be known before that. */
static bool look_at_path(struct worker *worker, const cfgs_encoded_head *head)
{
    char path[WORKER_PATH_BYTES];
    if (head && worker->arena == head->arena && worker->origin_version == head->origin_version)
        return false;
    if (!path_write(worker->reader, path))
        return false; /* it is being written, or there is no arena: the next look finds it */
    if (head)
        worker->origin_version = head->origin_version;
    bool other = strcmp(path, worker->path) != 0;
    memcpy(worker->path, path, sizeof path);
    return other;
}

static void look_at_arena(struct worker *worker)
{
    cfgs_encoded_head head;
    bool ready = worker->reader && cfgs_encoded_look(worker->reader, &head) == CFGS_OK;
    bool other_path = worker->reader && look_at_path(worker, ready ? &head : NULL);
    if (ready) {
        worker->arena = head.arena;
        worker->sequence = head.sequence;
        service_stream_news(worker);
    }
    if (other_path)
        service_stream_path_changed(worker);
    service_health_look(worker);
}

/* What the reader said of an arena that is not there yet would be no reason. */
static bool wait_for_changes(struct worker *worker)
{
    bool notified = cfgs_reader_fd(worker->reader, &worker->arena_fd) == CFGS_OK;
    if (notified && watch(worker, worker->arena_fd, EVENT_ARENA))
        return true;
    worker_notice(worker, NOTICE_ARENA, "cannot wait for changes of the arena: %s; it is tried again every second",
                  notified ? strerror(errno) : cfgs_reader_error(worker->reader)->message);
    return false;
}

/* The bridge may well start before the producer, or before its user may read the arena: it goes on trying. */
static void open_reader(struct worker *worker)
{
    cfgs_error_detail detail = {0};
    cfgs_reader_options options = worker->bridge->arena;
    options.detail = &detail;
    int result = cfgs_reader_open(&options, &worker->reader);
    if (result == CFGS_OK && wait_for_changes(worker))
        return;
    if (result == CFGS_OK)
        cfgs_reader_close(worker->reader);
    else
        worker_notice(worker, NOTICE_ARENA, "cannot open the arena: %s; it is tried again every second",
                      detail.message[0] ? detail.message : cfgs_strerror(result));
    worker->reader = NULL;
    worker->arena_fd = -1;
}

/* ---- a turn ------------------------------------------------------------------------------------------------------ */

static void flush_touched(struct worker *worker)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&worker->touched))
        list_append(&now, worker->touched.next);
    /* What is touched meanwhile has its turn next time, so that none can keep the others waiting. */
    while (!list_empty(&now))
        connection_flush(connection_of_touched(now.next));
}

static void tick(struct worker *worker)
{
    worker->tick_ms = worker->now_ms + WORKER_TICK_MS;
    if (!worker->reader)
        open_reader(worker);
    look_at_arena(worker);
    tell_silent(worker);
    service_stream_tick(worker);
    for (struct list *link = worker->connections.next, *next; link != &worker->connections; link = next) {
        next = link->next;
        connection_tick(connection_of_link(link));
    }
}

/* Health goes first: a balancer that watches it should hear of the end before the clients do. */
static void begin_drain(struct worker *worker)
{
    worker->drain_ms = worker->now_ms;
    close_listeners(worker);
    service_health_look(worker);
    flush_touched(worker);
    for (struct list *link = worker->connections.next, *next; link != &worker->connections; link = next) {
        next = link->next;
        connection_drain(connection_of_link(link), "shutdown");
    }
}

static int64_t drain_left(const struct worker *worker)
{
    return worker->drain_ms + LIMIT(&worker->bridge->limits, drain_timeout) - worker->now_ms;
}

static int wait_ms(const struct worker *worker)
{
    if (!list_empty(&worker->touched))
        return 0;
    int64_t now = now_ms(), wait = worker->tick_ms - now;
    if (worker->drain_ms && drain_left(worker) < wait)
        wait = drain_left(worker);
    if (wait > 0)
        wait = timers_wait_ms(worker->timers, now, wait);
    return wait > 0 ? (int)wait : 0;
}

static void handle(struct worker *worker, const struct epoll_event *event)
{
    uint64_t data = event->data.u64, drained;
    if (data == EVENT_WAKE) {
        if (read(worker->wake_fd, &drained, sizeof drained) < 0)
            return; /* somebody else's wake-up was ours as well */
    } else if (data == EVENT_ARENA) {
        look_at_arena(worker);
    } else if (data >= EVENT_LISTENER && data < EVENT_LISTENER + WORKER_LISTENERS_MAX) {
        if (data - EVENT_LISTENER < worker->listener_count)
            accept_newcomers(worker, worker->listeners[data - EVENT_LISTENER]);
    } else {
        connection_ready(event->data.ptr, event->events);
    }
}

static void turn(struct worker *worker)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(worker->epoll_fd, events, EVENTS, wait_ms(worker));
    worker->now_ms = now_ms();
    for (int i = 0; i < count; i++)
        handle(worker, &events[i]);
    /* From here on connections may be closed that had events. */
    connections_expire(worker);
    /* acquire: pairs with the store before worker_wake(), which is all the main thread does for a stop. */
    if (!worker->drain_ms && atomic_load_explicit(&worker->bridge->draining, memory_order_acquire))
        begin_drain(worker);
    if (worker->now_ms >= worker->tick_ms)
        tick(worker);
    flush_touched(worker);
    connections_begin_handshakes(worker);
    resume_listeners(worker);
}

static bool is_done(const struct worker *worker)
{
    return worker->drain_ms && (list_empty(&worker->connections) || drain_left(worker) <= 0);
}

static void *run(void *context)
{
    struct worker *worker = context;
    rcu_join();
    worker->now_ms = now_ms();
    while (!is_done(worker))
        turn(worker);
    while (!list_empty(&worker->connections))
        connection_close(connection_of_link(worker->connections.next));
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

bool worker_open(struct worker *worker, struct bridge *bridge, unsigned index, const int *listeners, unsigned count,
                 struct problem *problem)
{
    *worker = (struct worker){.bridge = bridge, .index = index, .arena_fd = -1, .now_ms = now_ms()};
    list_init(&worker->connections);
    list_init(&worker->touched);
    list_init(&worker->waiting);
    list_init(&worker->streams);
    list_init(&worker->watches);
    for (; worker->listener_count < count && worker->listener_count < WORKER_LISTENERS_MAX; worker->listener_count++)
        worker->listeners[worker->listener_count] = listeners[worker->listener_count];
    worker->paused = true; /* the first turn begins to listen */
    worker->tick_ms = worker->now_ms;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->scratch = malloc(WORKER_SCRATCH_BYTES);
    worker->io = malloc(WORKER_IO_BYTES);
    worker->timers = malloc(sizeof *worker->timers);
    worker->updates = update_frames_new();
    if (!worker->scratch || !worker->io || !worker->timers || !worker->updates) {
        worker_close(worker);
        return problem_memory(problem);
    }
    timers_init(worker->timers, worker->now_ms);
    if (worker->epoll_fd >= 0 && worker->wake_fd >= 0 && watch(worker, worker->wake_fd, EVENT_WAKE))
        return true;
    problem_set(problem, "cannot make the descriptors of a worker: %s", strerror(errno));
    worker_close(worker);
    return false;
}

bool worker_start(struct worker *worker, struct problem *problem)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    int result = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0 || problem_set(problem, "cannot start a worker thread: %s", strerror(result));
}

void worker_wake(struct worker *worker)
{
    const uint64_t one = 1;
    /* It fails only when the counter is full, and then the worker is woken anyway. */
    if (write(worker->wake_fd, &one, sizeof one) < 0)
        return;
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
}

bool worker_join_within(struct worker *worker, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* the clock that it takes; one that is set meanwhile only makes it longer */
    int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    return pthread_timedjoin_np(worker->thread, NULL, &until) == 0;
}

void worker_close(struct worker *worker)
{
    close_listeners(worker);
    cfgs_reader_close(worker->reader);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    if (worker->wake_fd >= 0)
        close(worker->wake_fd);
    update_frames_free(worker->updates);
    free(worker->timers);
    free(worker->io);
    free(worker->scratch);
    *worker = (struct worker){.epoll_fd = -1, .wake_fd = -1, .arena_fd = -1};
}
