/*
 * wake.c: waiting and waking.
 *
 *     test-wake [ROUNDS]
 *
 * Ping-pong: each commit is made only once the waiter of the last one has come back, so that every round may go to sleep.  A
 * wake-up that was lost shows as a round that took the whole bound of a wait (a second); on a loaded machine a round may be
 * slow for other reasons, so a ratio of them is judged.  Then: a state that appears while a producer opens, interruption,
 * and a hostile neighbour that moves sleepers to another futex.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "shm/futex.h"
#include "shm/layout.h"
#include "shm/reader_private.h"
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

static char instance[64];
static const struct workload workload = {.ring_slots = 4096, .max_size = UINT64_C(16) << 20, .big_bytes = 2048};

#define LATE_NS (UINT64_C(1000000) * WAIT_BOUND_MS * 9 / 10)

/* ---- ping-pong --------------------------------------------------------------------------------------------------- */

static unsigned waiters;

/* Waits for each of the commits, and says that it has seen it. */
static void waiter_main(void *argument)
{
    struct reader_stats *stats = &control->readers[(uintptr_t)argument];
    cfgs_reader *reader = reader_open(instance);
    uint64_t last = 0, final = 0;
    cfgs_event event;

    REQUIRE(cfgs_reader_next(reader, &event, CFGS_FOREVER) == CFGS_OK, "no snapshot");
    last = event.sequence;
    atomic_store(&stats->cursor, last);
    while (final == 0 || last < final) {
        uint64_t begun = now_ns();
        int err = cfgs_reader_next(reader, &event, CFGS_FOREVER);
        stats->laps += now_ns() - begun >= LATE_NS;
        REQUIRE(err == CFGS_OK, "next: %s", cfgs_strerror(err));
        last = event.sequence;
        stats->updates++;
        atomic_store(&stats->cursor, last);
        final = atomic_load(&control->final);
    }
    cfgs_reader_close(reader);
}

static void all_back(uint64_t sequence)
{
    for (unsigned i = 0; i < waiters; i++)
        while (atomic_load(&control->readers[i].cursor) < sequence) {
            (void)children_poll();
            sched_yield();
        }
}

/* Waiters as processes; the producer is this one. */
static void ping_pong(bool wake_thread, unsigned readers, uint64_t count)
{
    struct workload mine = workload;
    uint64_t late = 0, begun = now_ns(), random = 11;

    mine.no_wake_thread = !wake_thread;
    struct producer *producer = producer_open(&mine, instance, 1);
    if (atomic_load(&control->started) == 0)
        produce_first_load(producer);
    waiters = readers;
    atomic_store(&control->final, 0);
    for (unsigned i = 0; i < readers; i++) {
        memset(&control->readers[i], 0, sizeof control->readers[i]);
        child_start(waiter_main, (void *)(uintptr_t)i);
    }
    all_back(cfgs_publisher_sequence(producer->publisher));
    for (uint64_t round = 1; round <= count; round++) {
        /* Strike in all states of a waiter: before its look, between look and sleep, asleep. */
        for (unsigned spins = random_below(&random, 3000); spins > 0; spins--)
            atomic_signal_fence(memory_order_seq_cst);
        stage_set(producer, 0);
        if (round == count)
            atomic_store(&control->final, cfgs_publisher_sequence(producer->publisher) + 1);
        produce_commit(producer);
        all_back(cfgs_publisher_sequence(producer->publisher));
    }
    children_wait();
    for (unsigned i = 0; i < readers; i++)
        late += control->readers[i].laps;
    printf("wake: wake thread %-3s %u waiters: %" PRIu64 " rounds, %.1f us each, %" PRIu64 " took the bound\n",
           wake_thread ? "on," : "off,", readers, count, (double)(now_ns() - begun) / 1000 / (double)count, late);
    REQUIRE(late * 100 <= count, "more than 1 %% of the rounds were slept through");
    producer_free(producer, false);
}

/* ---- a first state, committed right after the producer opened ---------------------------------------------------- */

static void ready_main(void *argument)
{
    cfgs_reader *reader = argument;
    struct reader_stats *stats = &control->readers[0];
    uint64_t begun = now_ns();

    atomic_store(&stats->cursor, 1);
    int err = cfgs_reader_wait_ready(reader, CFGS_FOREVER);
    REQUIRE(err == CFGS_OK, "wait_ready: %s", cfgs_strerror(err));
    stats->laps += now_ns() - begun >= LATE_NS;
}

static void *ready_thread(void *argument)
{
    ready_main(argument);
    return NULL;
}

/* The waiter sleeps on an empty arena that a producer left; another one opens it and commits at once. */
static void ready_rounds(bool wake_thread, uint64_t count)
{
    struct workload mine = workload;
    cfgs_error_detail detail;
    struct reader_stats *stats = &control->readers[0];

    memset(stats, 0, sizeof *stats);
    mine.no_wake_thread = !wake_thread;
    for (uint64_t round = 0; round < count; round++) {
        cfgs_publisher *publisher;
        cfgs_batch *batch;
        pthread_t thread;
        REQUIRE(producer_options_open(&mine, instance, &publisher, &detail) == CFGS_OK, "%s", detail.message);
        cfgs_publisher_close(publisher, false);
        cfgs_reader *reader = reader_open(instance);
        atomic_store(&stats->cursor, 0);
        REQUIRE(pthread_create(&thread, NULL, ready_thread, reader) == 0, "pthread_create");
        while (atomic_load(&stats->cursor) == 0)
            sched_yield();
        REQUIRE(producer_options_open(&mine, instance, &publisher, &detail) == CFGS_OK, "%s", detail.message);
        REQUIRE(cfgs_batch_begin(publisher, &batch) == CFGS_OK && cfgs_batch_commit(batch, NULL) == CFGS_OK, "commit");
        pthread_join(thread, NULL);
        cfgs_reader_close(reader);
        cfgs_publisher_close(publisher, true);
        REQUIRE(stats->laps * 100 <= count, "%" PRIu64 " of %" PRIu64 " first commits were slept through (wake thread %s)",
                stats->laps, round + 1, wake_thread ? "on" : "off");
    }
    printf("wake: wake thread %-3s first commit after opening: %" PRIu64 " rounds, %" PRIu64 " took the bound\n",
           wake_thread ? "on," : "off,", count, atomic_load(&stats->laps));
}

/* ---- interruption ------------------------------------------------------------------------------------------------ */

static void *interrupted_thread(void *argument)
{
    cfgs_reader *reader = argument;
    cfgs_event event;
    int err;

    /* What is there comes first; then a wait that only the interruption ends. */
    while ((err = cfgs_reader_next(reader, &event, CFGS_FOREVER)) == CFGS_OK)
        atomic_store(&control->readers[0].cursor, event.sequence);
    REQUIRE(err == CFGS_ERR_INTERRUPTED, "an interrupted wait: %s", cfgs_strerror(err));
    return NULL;
}

static void interrupt_rounds(uint64_t count)
{
    struct producer *producer = producer_open(&workload, instance, 1);
    uint64_t random = 3, late = 0;

    for (uint64_t round = 0; round < count; round++) {
        cfgs_reader *reader = reader_open(instance);
        pthread_t thread;
        atomic_store(&control->readers[0].cursor, 0);
        REQUIRE(pthread_create(&thread, NULL, interrupted_thread, reader) == 0, "pthread_create");
        while (atomic_load(&control->readers[0].cursor) == 0)
            sched_yield();
        for (unsigned spins = random_below(&random, 20000); spins > 0; spins--)
            atomic_signal_fence(memory_order_seq_cst);
        uint64_t begun = now_ns();
        cfgs_reader_interrupt(reader);
        pthread_join(thread, NULL);
        late += now_ns() - begun >= LATE_NS;
        cfgs_reader_close(reader);
    }
    printf("wake: interruption: %" PRIu64 " rounds, %" PRIu64 " took the bound\n", count, late);
    producer_free(producer, false);
}

/* Closing a reader whose descriptor is in use ends its helper thread wherever that is. */
static void close_rounds(uint64_t count)
{
    struct producer *producer = producer_open(&workload, instance, 1);
    uint64_t random = 5;

    for (uint64_t round = 0; round < count; round++) {
        cfgs_reader *reader = reader_open(instance);
        cfgs_event event;
        int fd;
        REQUIRE(cfgs_reader_fd(reader, &fd) == CFGS_OK, "no descriptor");
        REQUIRE(cfgs_reader_next(reader, &event, CFGS_FOREVER) == CFGS_OK, "no snapshot");
        for (unsigned spins = random_below(&random, 20000); spins > 0; spins--)
            atomic_signal_fence(memory_order_seq_cst);
        stage_set(producer, 0);
        produce_commit(producer);
        cfgs_reader_close(reader);
    }
    printf("wake: closing beside a helper thread: %" PRIu64 " rounds\n", count);
    producer_free(producer, false);
}

/* ---- requeue theft ----------------------------------------------------------------------------------------------- */

/* A neighbour with a read-only mapping moves whoever sleeps on the arena's word to a word of its own. */
static void thief_main(void *argument)
{
    char path[160];

    (void)argument;
    snprintf(path, sizeof path, "/dev/shm/configstream.%s", instance);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0, "%s: %s", path, strerror(errno));
    const struct arena_header *header = mmap(NULL, sizeof *header, PROT_READ, MAP_SHARED, fd, 0);
    /* Nobody ever wakes it. */
    cfgs_word32 *away = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(header != MAP_FAILED && away != MAP_FAILED, "mmap");
    while (atomic_load(&control->final) == 0) {
        uint32_t word = word32_load_acquire(&header->wake);
        long moved = syscall(SYS_futex, &header->wake, FUTEX_CMP_REQUEUE, 0, (void *)(uintptr_t)64, away, word);
        if (moved > 0)
            control->readers[1].updates += (uint64_t)moved;
        else
            sched_yield();
    }
}

static void theft_rounds(uint64_t count)
{
    struct workload mine = workload;
    uint64_t begun = now_ns();

    mine.no_wake_thread = true;
    struct producer *producer = producer_open(&mine, instance, 1);
    atomic_store(&control->final, 0);
    memset(control->readers, 0, sizeof control->readers);
    waiters = 1;
    child_start(waiter_main, (void *)(uintptr_t)0);
    all_back(cfgs_publisher_sequence(producer->publisher));
    child_start(thief_main, NULL);
    for (uint64_t round = 1; round <= count; round++) {
        /* Until somebody was stolen since the last round, if the kernel lets the thief do it at all. */
        uint64_t stolen = atomic_load(&control->readers[1].updates);
        for (unsigned tries = 0; tries < 20000 && atomic_load(&control->readers[1].updates) == stolen; tries++)
            sched_yield();
        stage_set(producer, 0);
        if (round == count)
            atomic_store(&control->final, cfgs_publisher_sequence(producer->publisher) + 1);
        produce_commit(producer);
        all_back(cfgs_publisher_sequence(producer->publisher));
    }
    children_wait();
    printf("wake: theft: %" PRIu64 " rounds, %" PRIu64 " sleepers moved away, %" PRIu64 " rounds ended by the bound, "
           "%.1f s: every change was seen\n",
           count, atomic_load(&control->readers[1].updates), atomic_load(&control->readers[0].laps),
           (double)(now_ns() - begun) / 1e9);
    producer_free(producer, false);
}

int main(int argc, char **argv)
{
    uint64_t count = strtoull(argc > 1 ? argv[1] : "200000", NULL, 10);

    snprintf(instance, sizeof instance, "wake-%d", (int)getpid());
    test_begin(instance);
    control_new();
    ready_rounds(true, 200);
    ready_rounds(false, 200);
    ping_pong(true, 1, count);
    ping_pong(false, 1, count);
    ping_pong(true, 4, count / 4);
    ping_pong(false, 4, count / 4);
    interrupt_rounds(count / 50);
    close_rounds(count / 50);
    theft_rounds(4);
    printf("wake: passed\n");
    return 0;
}
