/*
 * stress.c: one producer at full speed and nine reader processes, for a number of seconds.
 *
 *     test-stress [SECONDS] [SEED]
 *
 * Full-speed phases alternate with calm ones, in which the producer lets its fastest followers come along after each burst,
 * so that both laps and long runs of updates happen on any machine.  At the end every stream must stand at exactly the
 * producer's last ID and state.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { VIEWS, VIEWS_POINTS, HANDLES, COPIES, EVENTS, EVENTS_TOO, SLOW, EPOLL, JOINS, ROLES };
static const char *const kinds[ROLES] = {"views",  "views+points", "handles", "copies", "events",
                                         "events", "slow events",  "epoll",   "joins"};

static char instance[64];
static uint64_t seed, run_ns;
#ifdef CFGS_STORE_HOOK
/* A small ring, whose oldest slots are read while they are overwritten. */
#define RING_SLOTS 256
#define BULK_KEYS 200
#else
#define RING_SLOTS 16384
#define BULK_KEYS 9000
#endif
static const struct workload workload = {.ring_slots = RING_SLOTS,
                                         .max_size = UINT64_C(256) << 20,
                                         .bulk_keys = BULK_KEYS,
                                         .big_bytes = 128u << 10,
                                         .one_big_in = 150,
                                         .one_load_in = 40000,
                                         .one_at_in = 20000,
                                         .one_replace_in = 10000};

#ifdef CFGS_STORE_HOOK
/*
 * With the library's store hook: the producer gives its processor away between two stores now and then, so that readers see
 * what lies between them, which on its own lasts nanoseconds.
 */
static bool yielding;
static _Thread_local uint64_t hook_random;

void cfgs_store_hook(void);
void cfgs_store_hook(void)
{
    if (yielding && random_below(&hook_random, 1000) == 0)
        sched_yield();
}
#endif

/* ---- producer ---------------------------------------------------------------------------------------------------- */

/* Until both followers have seen all there is, or one of them has ended. */
static void let_them_come(uint64_t until)
{
    uint64_t sequence = atomic_load(&control->acknowledged);

    while (now_ns() < until && (atomic_load(&control->readers[EVENTS].cursor) < sequence ||
                                atomic_load(&control->readers[EVENTS_TOO].cursor) < sequence))
        sched_yield();
}

static void produce_for(struct producer *producer, uint64_t until)
{
    unsigned phase = 0;

    for (uint64_t now = now_ns(); now < until; phase++) {
        uint64_t end = now + 250000000u;
        bool calm = phase % 2 == 1;
        while ((now = now_ns()) < end && now < until) {
            for (int i = 0; i < 100; i++)
                produce(producer);
            if (calm)
                let_them_come(end);
        }
    }
}

static void producer_main(void *argument)
{
    (void)argument;
    struct producer *producer = producer_open(&workload, instance, seed);
    cfgs_reader_info info;

    produce_first_load(producer);
#ifdef CFGS_STORE_HOOK
    yielding = true;
#endif
    produce_for(producer, now_ns() + run_ns);
    /* The last ID is announced before it is committed, so that no stream waits for more. */
    stage_group(producer, 0, false);
    stage_set(producer, 0);
    atomic_store(&control->final, cfgs_publisher_sequence(producer->publisher) + producer->list.count);
    produce_commit(producer);
    cfgs_reader *reader = reader_open(instance);
    REQUIRE(cfgs_reader_status(reader, &info, sizeof info) == CFGS_OK && info.state == CFGS_PRODUCER_RUNNING,
            "the producer runs, and its status is '%s'", cfgs_producer_state_name((int)info.state));
    printf("producer: %" PRIu64 " commits, last ID %" PRIu64 ", %" PRIu64 " batches, %" PRIu64 " rebuilds, %" PRIu64
           " bulk loads, arena of %" PRIu64 " KiB\n",
           producer->commits, cfgs_publisher_sequence(producer->publisher), info.counters.batches,
           info.counters.rebuilds, info.counters.loads, info.size_bytes / 1024);
    atomic_store(&control->rebuilds, info.counters.rebuilds);
    atomic_store(&control->loads, info.counters.loads);
    cfgs_reader_close(reader);
    producer_free(producer, false);
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

static bool over(void)
{
    return atomic_load(&control->final) != 0;
}

static bool at_end(const struct follower *follower)
{
    uint64_t final = atomic_load(&control->final);
    return final != 0 && follower->last >= final && follower->have;
}

/* The stream is at the last ID; its state was compared there.  Nothing may follow. */
static void end_of_stream(struct follower *follower)
{
    uint64_t final = atomic_load(&control->final);
    int err = follow(follower, 0);

    REQUIRE(follower->last == final, "a stream ended at ID %" PRIu64 " instead of %" PRIu64, follower->last, final);
    REQUIRE(err == CFGS_ERR_TIMEOUT || err == CFGS_ERR_CLOSED, "an event after the last one");
    model_check(follower->model, final, follower->stats, "end of the stream");
}

static void run_events(struct follower *follower)
{
    while (!at_end(follower))
        (void)follow(follower, CFGS_FOREVER);
    end_of_stream(follower);
}

/* Sleeps over more than a ring now and then. */
static void run_slow(struct follower *follower)
{
    while (!at_end(follower)) {
        for (int i = 0; i < 500 && !at_end(follower); i++)
            (void)follow(follower, CFGS_FOREVER);
        while (!over() && atomic_load(&control->acknowledged) < follower->last + workload.ring_slots + 1)
            sched_yield();
    }
    end_of_stream(follower);
}

static void run_epoll(struct follower *follower)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fd, epoll = epoll_create1(EPOLL_CLOEXEC);

    REQUIRE(cfgs_reader_fd(follower->reader, &fd) == CFGS_OK, "no descriptor");
    REQUIRE(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll");
    while (!at_end(follower)) {
        (void)epoll_wait(epoll, &event, 1, -1);
        while (!at_end(follower) && follow(follower, 0) == CFGS_OK)
            ;
    }
    end_of_stream(follower);
    close(epoll);
}

static void run_joins(struct follower *unused)
{
    struct reader_stats *stats = unused->stats;
    uint64_t random = seed + 99;

    do {
        cfgs_reader *reader = reader_open(instance);
        struct follower *follower = follower_new(reader, stats);
        unsigned events = 1 + random_below(&random, 60);
        for (unsigned i = 0; i < events && !at_end(follower); i++)
            (void)follow(follower, CFGS_FOREVER);
        if (over()) {
            while (!at_end(follower))
                (void)follow(follower, CFGS_FOREVER);
            end_of_stream(follower);
        }
        follower_free(follower);
        cfgs_reader_close(reader);
        stats->joins++;
    } while (!over());
}

static void run_handles(struct view_reader *reader)
{
    cfgs_handle *monos[MONOS], *texts[TEXTS];
    char text[512];
    size_t length;
    int64_t value;

    for (unsigned i = 0; i < MONOS; i++)
        REQUIRE(cfgs_handle_new(reader->reader, key_name(i), &monos[i]) == CFGS_OK, "no handle");
    for (unsigned i = 0; i < TEXTS; i++)
        REQUIRE(cfgs_handle_new(reader->reader, key_name(TEXT_FIRST + i), &texts[i]) == CFGS_OK, "no handle");
    while (!over()) {
        unsigned key = random_below(&reader->random, MONOS), number = random_below(&reader->random, TEXTS);
        for (int i = 0; i < 20; i++) {
            int err = cfgs_handle_get_int(monos[key], &value);
            REQUIRE(err == CFGS_OK || err == CFGS_ERR_BUSY, "a handle: %s", cfgs_strerror(err));
            if (err == CFGS_OK)
                mono_check(reader, key, value, "a handle");
        }
        point_round(reader); /* handle and key never disagree on the order */
        int err = cfgs_handle_get_string(texts[number], text, sizeof text, &length);
        REQUIRE(err == CFGS_OK || err == CFGS_ERR_NOT_FOUND || err == CFGS_ERR_BUSY, "a handle: %s",
                cfgs_strerror(err));
        if (err == CFGS_OK)
            REQUIRE(text_sequence(TEXT_FIRST + number, text, length, reader->scratch) != 0, "a handle's text is torn");
        reader->stats->reads += 21;
    }
    for (unsigned i = 0; i < MONOS; i++)
        cfgs_handle_free(monos[i]);
    for (unsigned i = 0; i < TEXTS; i++)
        cfgs_handle_free(texts[i]);
}

static void run_views(struct view_reader *reader, unsigned role)
{
    while (!over()) {
        for (int i = 0; i < 50 && !over(); i++) {
            view_round(reader);
            if (role == VIEWS_POINTS)
                point_round(reader);
        }
        view_whole(reader);
    }
}

static void reader_main(void *argument)
{
    unsigned role = (unsigned)(uintptr_t)argument;
    struct reader_stats *stats = &control->readers[role];
    cfgs_reader *reader = reader_open(instance); /* before the producer, most of them */
    struct view_reader views = {reader, stats, scratch_new(), calloc(1, sizeof(struct model)), 0, {0}, seed + role};
    struct follower *follower = follower_new(reader, stats);

    int err = cfgs_reader_wait_ready(reader, CFGS_FOREVER);
    REQUIRE(err == CFGS_OK && views.model != NULL, "waiting for the first state: %s", cfgs_strerror(err));
    switch (role) {
    case EVENTS:
    case EVENTS_TOO:
        run_events(follower);
        break;
    case SLOW:
        run_slow(follower);
        break;
    case EPOLL:
        run_epoll(follower);
        break;
    case JOINS:
        run_joins(follower);
        break;
    case HANDLES:
        run_handles(&views);
        break;
    case COPIES:
        while (!over()) {
            for (int i = 0; i < 200; i++)
                copy_round(&views);
            map_round(&views);
        }
        break;
    default:
        run_views(&views, role);
    }
    follower_free(follower);
    scratch_free(views.scratch);
    free(views.model);
    cfgs_reader_close(reader);
}

/* ---- the test ---------------------------------------------------------------------------------------------------- */

static void report(void)
{
    uint64_t views = 0, updates = 0, snapshots = 0, best = 0, unverified = 0, checked = 0;

    for (unsigned role = 0; role < ROLES; role++) {
        struct reader_stats *stats = &control->readers[role];
        printf("reader %u %s: views=%" PRIu64 " reads=%" PRIu64 " updates=%" PRIu64 " snapshots=%" PRIu64 " laps=%" PRIu64
               " retries=%" PRIu64 " busy=%" PRIu64 " joins=%" PRIu64 "\n",
               role, kinds[role], stats->views, stats->reads, stats->updates, stats->snapshots, stats->laps,
               stats->retries, stats->busy, stats->joins);
        views += stats->views;
        updates += stats->updates;
        snapshots += stats->snapshots;
        unverified += stats->unverified;
        checked += stats->views + stats->updates + stats->snapshots;
        if (role != JOINS && stats->snapshots > 0 && stats->updates / stats->snapshots > best)
            best = stats->updates / stats->snapshots;
    }
    printf("total: views=%" PRIu64 " updates=%" PRIu64 " snapshots=%" PRIu64 ", best updates per snapshot %" PRIu64
           ", states the oracle had forgotten %" PRIu64 "\n",
           views, updates, snapshots, best, unverified);
    REQUIRE(best >= 10, "no event reader got 10 updates per snapshot");
    REQUIRE(control->readers[SLOW].laps >= 1, "the slow reader was not lapped");
    REQUIRE(control->rebuilds >= 2 && control->loads >= 1, "too few rebuilds or bulk loads to prove anything");
    REQUIRE(control->readers[VIEWS].views > 0 && control->readers[HANDLES].reads > 0 &&
                control->readers[COPIES].reads > 0 && control->readers[JOINS].joins > 0,
            "a reader did nothing");
    REQUIRE(unverified * 10 <= checked, "most states could not be compared: the oracle is too short");
}

int main(int argc, char **argv)
{
    run_ns = strtoull(argc > 1 ? argv[1] : "20", NULL, 10) * 1000000000u;
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : now_ns();
    snprintf(instance, sizeof instance, "stress-%d", (int)getpid());
    test_begin(instance);
    control_new();
    printf("stress: seed %" PRIu64 "\n", seed);
    for (unsigned role = 0; role < ROLES; role++) {
        if (role == EVENTS)
            child_start(producer_main, NULL);
        child_start(reader_main, (void *)(uintptr_t)role);
    }
    children_wait();
    report();
    printf("stress: passed\n");
    return 0;
}
