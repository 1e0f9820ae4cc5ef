/*
 * publisher_threads.c: the heartbeat, and waking readers.
 *
 * Waking everybody costs the caller as much as there are sleepers (milliseconds for hundreds), so a commit only bumps the
 * futex word and, if the wake thread sleeps, kicks that; it then wakes all, once for however many commits came meanwhile.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arena_lock.h"
#include "detail.h"
#include "futex.h"
#include "publisher_private.h"
#include <sched.h>
#include <signal.h>

static uint64_t now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void publisher_beat(cfgs_publisher *publisher)
{
    struct arena_header *header = publisher->file.header;

    count(&header->beat, 1);
    /* [beat] relaxed: a stamp for staleness of seconds; nothing is ordered by it. */
    word_store_relaxed(&header->beat_ns, now_ns(CLOCK_BOOTTIME));
}

/* A reader with a read lock may have kept us from the signal lock so far. */
static void try_signal_lock(cfgs_publisher *publisher)
{
    struct arena_header *header = publisher->file.header;

    /* [state] relaxed: readers use it together with a probe of the lock itself. */
    if (word_load_relaxed(&header->signal_lock) == 0 && arena_signal_lock(publisher->file.fd))
        word_store_relaxed(&header->signal_lock, 1);
}

static void beat_once(cfgs_publisher *publisher)
{
    publisher_beat(publisher);
    if (publisher->named)
        try_signal_lock(publisher);
}

void cfgs_publisher_beat(cfgs_publisher *publisher)
{
    if (!fork_guard_forked(&publisher->guard) && !publisher->lost)
        beat_once(publisher);
}

static void *beat_main(void *argument)
{
    cfgs_publisher *publisher = argument;
    const struct timespec interval = {.tv_nsec = HEARTBEAT_INTERVAL_MS * 1000000L};

    /* [private] acquire: pairs with the release in helpers_stop(). */
    while (word32_load_acquire(&publisher->helpers.stop) == 0) {
        pthread_mutex_lock(&publisher->lock);
        beat_once(publisher);
        pthread_mutex_unlock(&publisher->lock);
        futex_wait_private(&publisher->helpers.stop, 0, &interval);
    }
    return NULL;
}

/* A kick that took longer than this found the processor busy; how long the wake thread then runs anywhere. */
#define KICK_LATE_NS UINT64_C(1000000)
#define ROAM_NS UINT64_C(1000000000)

/* Where the wake thread may run. */
struct berth {
    cpu_set_t all;        /* as it was started */
    int cpu;              /* the one it is bound to; -1: none */
    uint64_t roams_until; /* CLOCK_MONOTONIC */
};

static void berth_init(struct berth *berth)
{
    *berth = (struct berth){.cpu = -1};
    /* If the set is too large for us, stay unbound for good. */
    if (pthread_getaffinity_np(pthread_self(), sizeof berth->all, &berth->all) != 0)
        berth->roams_until = UINT64_MAX;
}

/*
 * After a kick: stay on the processor where commits are made.  There a kick is an entry in a queue, and as batch work we
 * start when the committer waits for something; to an idle processor it is an interrupt, which in a virtual machine
 * takes ten times as long as the commit.  But a committer that keeps its processor busy would keep us from it until the next
 * tick: if we came late, run anywhere for a second.
 */
static void berth_choose(struct berth *berth, const struct helpers *helpers, uint64_t now)
{
    /* [private] relaxed: stale ones cost a worse choice. */
    int cpu = (int)atomic_load_explicit(&helpers->kick_cpu, memory_order_relaxed);
    uint64_t kicked = word_load_relaxed(&helpers->kick_ns);
    cpu_set_t set;

    if (now < berth->roams_until || kicked == 0)
        return;
    if (now > kicked + KICK_LATE_NS) {
        berth->roams_until = now + ROAM_NS;
        cpu = -1;
    }
    if (cpu == berth->cpu || cpu >= CPU_SETSIZE)
        return;
    CPU_ZERO(&set);
    if (cpu >= 0)
        CPU_SET((size_t)cpu, &set);
    /* Refused (a sandbox): we stay where we are, which only costs. */
    if (pthread_setaffinity_np(pthread_self(), sizeof set, cpu >= 0 ? &set : &berth->all) == 0)
        berth->cpu = cpu;
}

/* Sleep until a commit kicks, if none came since the last wake-up.  Called with the lock held, which is let go meanwhile. */
static void park(cfgs_publisher *publisher)
{
    struct helpers *helpers = &publisher->helpers;

    /* [park] seq_cst, against the bump and the look at `parked` in publisher_wake(): of the two sides at least one sees the
     * other's store, so either the committer kicks or we see its bump.  With acquire and release alone both could miss, and
     * readers would sleep on until their bound. */
    atomic_store_explicit(&helpers->parked, 1, memory_order_seq_cst);
    uint32_t now = atomic_load_explicit(&publisher->file.header->wake, memory_order_seq_cst);
    /* [park] seq_cst: see helpers_stop(). */
    bool sleeps = now == helpers->woken && atomic_load_explicit(&helpers->stop, memory_order_seq_cst) == 0;
    pthread_mutex_unlock(&publisher->lock);
    if (sleeps)
        futex_wait_private(&helpers->parked, 1, NULL);
    pthread_mutex_lock(&publisher->lock);
    /* [park] relaxed: a kick that comes now finds 0 and is not needed: the word is read again by wake_sleepers(). */
    atomic_store_explicit(&helpers->parked, 0, memory_order_relaxed);
}

static void wake_sleepers(cfgs_publisher *publisher, struct berth *berth)
{
    struct helpers *helpers = &publisher->helpers;
    const cfgs_word32 *word = &publisher->file.header->wake; /* maybe another arena's than before we slept */
    /* [park] seq_cst: after `parked`, so that a bump which found 0 is seen here. */
    uint32_t now = atomic_load_explicit(word, memory_order_seq_cst);

    if (now != helpers->woken) {
        uint64_t started = now_ns(CLOCK_MONOTONIC);
        futex_wake_shared(word);
        berth_choose(berth, helpers, started);
    }
    helpers->woken = now;
}

static void *wake_main(void *argument)
{
    cfgs_publisher *publisher = argument;
    struct helpers *helpers = &publisher->helpers;
    /* As batch work this thread does not take the processor from the committer it was kicked by. */
    const struct sched_param no_priority = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &no_priority);
    struct berth berth;
    berth_init(&berth);

    pthread_mutex_lock(&publisher->lock);
    /* [private] acquire: pairs with the release in helpers_stop(). */
    while (word32_load_acquire(&helpers->stop) == 0) {
        park(publisher);
        wake_sleepers(publisher, &berth);
    }
    pthread_mutex_unlock(&publisher->lock);
    return NULL;
}

static void kick(struct helpers *helpers)
{
    int cpu = sched_getcpu();

    if (cpu >= 0) {
        /* [private] relaxed: for berth_choose(). */
        atomic_store_explicit(&helpers->kick_cpu, (uint32_t)cpu, memory_order_relaxed);
        atomic_store_explicit(&helpers->kick_ns, now_ns(CLOCK_MONOTONIC), memory_order_relaxed);
    }
    futex_wake_private(&helpers->parked);
}

void publisher_wake(cfgs_publisher *publisher)
{
    struct helpers *helpers = &publisher->helpers;
    cfgs_word32 *word = &publisher->file.header->wake;

    /* [wake U5] our own word: relaxed would do for the load. */
    uint32_t bumped = word32_load_acquire(word) + 1;
    STORE_STEP();
    /* [wake U5] release, after the commit, or a reader could see the new word, the old state, and sleep.  [park] seq_cst
     * against the wake thread, see park(). */
    atomic_store_explicit(word, bumped, memory_order_seq_cst);
    if (!helpers->waking)
        futex_wake_shared(word);
    /* [park] seq_cst: see park(). The exchange lets one of many commits do the kick. */
    else if (atomic_load_explicit(&helpers->parked, memory_order_seq_cst) == 1 &&
             atomic_exchange_explicit(&helpers->parked, 0, memory_order_seq_cst) == 1)
        kick(helpers);
}

/* A helper thread must not run the application's signal handlers. */
static int start(pthread_t *thread, void *(*body)(void *), cfgs_publisher *publisher)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, NULL, body, publisher);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

int helpers_start(cfgs_publisher *publisher)
{
    struct helpers *helpers = &publisher->helpers;
    /* [private] relaxed by nature: no helper is running. */
    word32_store_release(&helpers->stop, 0);
    int error = publisher->beat_thread ? start(&helpers->beat_thread, beat_main, publisher) : 0;

    helpers->beating = publisher->beat_thread && error == 0;
    if (error == 0 && publisher->wake_thread) {
        /* Not in the thread: a commit that comes before it runs finds nobody parked and does not kick. */
        helpers->woken = word32_load_acquire(&publisher->file.header->wake);
        error = start(&helpers->wake_thread, wake_main, publisher);
        helpers->waking = error == 0;
    }
    if (error == 0)
        return CFGS_OK;
    helpers_stop(publisher);
    return detail_set(&publisher->detail, CFGS_ERR_SYSTEM, error, "starting a helper thread");
}

void helpers_stop(cfgs_publisher *publisher)
{
    struct helpers *helpers = &publisher->helpers;

    /* [park] seq_cst, before the kick below: a wake thread that parks after it must see this.  The beat thread's
     * acquire is satisfied too. */
    atomic_store_explicit(&helpers->stop, 1, memory_order_seq_cst);
    futex_wake_private(&helpers->stop);
    if (helpers->beating)
        pthread_join(helpers->beat_thread, NULL);
    if (helpers->waking) {
        /* [park] seq_cst: as a commit's kick; the thread then sees `stop`. */
        atomic_store_explicit(&helpers->parked, 0, memory_order_seq_cst);
        futex_wake_private(&helpers->parked);
        pthread_join(helpers->wake_thread, NULL);
    }
    helpers->beating = helpers->waking = false;
}
