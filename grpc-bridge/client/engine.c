/* client/engine.c: the machine's thread, and what others see of it.  SPDX-License-Identifier: Apache-2.0 */
#include "client/engine.h"

#include "base/clock.h"
#include "client/machine.h"
#include "shm/detail.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct engine {
    pthread_t thread;
    int stop_fd, ended_fd;
    atomic_bool stopping; /* see apply.h */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* ready or ended */
    /* Under the lock. */
    cfgs_remote_info info;
    int64_t retry_ms, heard_ms;
    bool ready, ended;
    /* The thread's. */
    struct machine machine;
};

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void signal_fd(int fd)
{
    const uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one); /* fails only where it is signalled already */
    (void)written;
}

static void publish(struct engine *engine)
{
    const struct machine *machine = &engine->machine;
    bool ended = machine->info.state == CFGS_REMOTE_FAILED;
    pthread_mutex_lock(&engine->lock);
    bool changed = machine->ready != engine->ready || ended != engine->ended;
    engine->info = machine->info;
    engine->retry_ms = machine->retry_ms;
    engine->heard_ms = machine->heard_ms;
    engine->ready = machine->ready;
    engine->ended = ended;
    if (changed)
        pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    if (changed && ended)
        signal_fd(engine->ended_fd);
}

/* True: go on; false: stop. */
static bool wait(const struct engine *engine)
{
    struct pollfd fds[2] = {{.fd = engine->stop_fd, .events = POLLIN}};
    fds[1].fd = machine_fd(&engine->machine, &fds[1].events);
    int64_t due = machine_due(&engine->machine), left = due == INT64_MAX ? -1 : due - now_ms();
    int timeout = due == INT64_MAX ? -1 : left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
    poll(fds, 2, timeout); /* an error leaves revents alone, and the next turn finds out */
    return !(fds[0].revents & POLLIN);
}

static void *engine_main(void *argument)
{
    struct engine *engine = argument;
    do {
        machine_turn(&engine->machine, now_ms());
        publish(engine);
    } while (wait(engine));
    machine_clear(&engine->machine); /* its good-bye may raise SIGPIPE, which only this thread is sure to block */
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Signals are the program's; and SIGPIPE, which a write to a broken connection raises, is nobody's here. */
static int start_thread(struct engine *engine)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&engine->thread, NULL, engine_main, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static bool init_lock(struct engine *engine)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&engine->changed, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (!ok || pthread_mutex_init(&engine->lock, NULL) == 0)
        return ok;
    pthread_cond_destroy(&engine->changed);
    return false;
}

static void free_engine(struct engine *engine)
{
    pthread_cond_destroy(&engine->changed);
    pthread_mutex_destroy(&engine->lock);
    if (engine->stop_fd >= 0)
        close(engine->stop_fd);
    if (engine->ended_fd >= 0)
        close(engine->ended_fd);
    free(engine);
}

static int start(struct engine *engine, const struct engine_options *options)
{
    cfgs_error_detail *detail = options->remote->detail;
    int error = machine_init(&engine->machine, options);
    if (error != CFGS_OK)
        return error;
    engine->machine.apply.stopping = &engine->stopping;
    engine->info = engine->machine.info;
    engine->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    engine->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->stop_fd < 0 || engine->ended_fd < 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "eventfd");
    int refused = start_thread(engine);
    return refused ? detail_set(detail, CFGS_ERR_SYSTEM, refused, "the thread of the consumer cannot be started") : CFGS_OK;
}

int engine_open(const struct engine_options *options, struct engine **out)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine || !init_lock(engine)) {
        free(engine);
        return detail_set(options->remote->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    }
    engine->stop_fd = engine->ended_fd = -1;
    int error = start(engine, options);
    if (error == CFGS_OK) {
        *out = engine;
        return CFGS_OK;
    }
    machine_clear(&engine->machine);
    free_engine(engine);
    return error;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    atomic_store_explicit(&engine->stopping, true, memory_order_relaxed); /* relaxed: see is_stopping() */
    signal_fd(engine->stop_fd);
    pthread_join(engine->thread, NULL);
    free_engine(engine);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

void engine_info(struct engine *engine, cfgs_remote_info *out)
{
    int64_t now = now_ms();
    pthread_mutex_lock(&engine->lock);
    *out = engine->info;
    bool waits = out->state == CFGS_REMOTE_WAITING || out->state == CFGS_REMOTE_CREDENTIALS;
    out->retry_ms = !waits ? -1 : engine->retry_ms > now ? engine->retry_ms - now : 0;
    out->contact_age_ms = engine->heard_ms ? now - engine->heard_ms : -1;
    pthread_mutex_unlock(&engine->lock);
}

static struct timespec in_ms(int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

int engine_wait_ready(struct engine *engine, int timeout_ms)
{
    const struct timespec until = in_ms(timeout_ms < 0 ? 0 : timeout_ms);
    int late = 0;
    pthread_mutex_lock(&engine->lock);
    while (!engine->ready && !engine->ended && !late)
        late = timeout_ms < 0 ? pthread_cond_wait(&engine->changed, &engine->lock)
                              : pthread_cond_timedwait(&engine->changed, &engine->lock, &until);
    int result = engine->ready ? CFGS_OK : engine->ended ? engine->info.error : CFGS_ERR_TIMEOUT;
    pthread_mutex_unlock(&engine->lock);
    return result;
}

int engine_ended_fd(const struct engine *engine)
{
    return engine->ended_fd;
}
