/*
 * kill.c: a publishing producer is killed again and again, at random moments, recovery and rebuilds included.
 *
 *     test-kill [KILLS] [SEED]
 *
 * Readers stay attached throughout.  Each new producer must find exactly the state that was committed: the last
 * acknowledged one, or the one whose commit was under way; with its sources, so that runtime settings survive.  Ring and
 * heap are small, so that rebuilds, growth and bulk loads are a large part of what is interrupted.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VIEWS, POINTS, EVENTS, EPOLL_LIKE, JOINS, STATUS, ROLES };
static const char *const kinds[ROLES] = {"views", "points", "events", "polling events", "joins", "status"};

static char instance[64];
static uint64_t seed;
static const struct workload workload = {.ring_slots = 64,
                                         .max_size = UINT64_C(64) << 20,
                                         .bulk_keys = 200,
                                         .big_bytes = 64u << 10,
                                         .one_big_in = 40,
                                         .one_load_in = 500,
                                         .one_at_in = 700,
                                         .one_replace_in = 900};

/* ---- the victim -------------------------------------------------------------------------------------------------- */

/* What a kill between commit and acknowledgement leaves open is one commit, no more. */
static void check_recovered(const struct producer *producer)
{
    uint64_t sequence = cfgs_publisher_sequence(producer->publisher);
    cfgs_publisher_start start = cfgs_publisher_started(producer->publisher);

    REQUIRE(start == CFGS_START_CRASHED, "the producer started with %d instead of CFGS_START_CRASHED", (int)start);
    REQUIRE(sequence == atomic_load(&control->acknowledged) || sequence == atomic_load(&control->intent),
            "recovered ID %" PRIu64 ", acknowledged was %" PRIu64 ", under way %" PRIu64, sequence,
            atomic_load(&control->acknowledged), atomic_load(&control->intent));
    for (unsigned key = 0; key < MONOS; key++)
        REQUIRE(producer->model.sequence[key] != 0, "%s of source '%s' did not survive", key_name(key),
                cfgs_source_name(key_source(key)));
}

static void producer_main(void *argument)
{
    uint64_t life = (uint64_t)(uintptr_t)argument;
    struct workload mine = workload;

    mine.no_wake_thread = life % 3 == 0;
    struct producer *producer = producer_open(&mine, instance, seed + life * 1000003);
    if (life == 0)
        produce_first_load(producer);
    else
        check_recovered(producer);
    atomic_store(&control->acknowledged, cfgs_publisher_sequence(producer->publisher));
    atomic_store(&control->life, life + 1);
    if (atomic_load(&control->word[0]) == 0)
        for (;;)
            produce(producer);
    /* The last life ends by itself. */
    stage_set(producer, 0);
    atomic_store(&control->final, cfgs_publisher_sequence(producer->publisher) + 1);
    produce_commit(producer);
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

static void run_status(cfgs_reader *reader, struct reader_stats *stats)
{
    uint64_t epoch = 0, last = 0;

    while (!over()) {
        cfgs_reader_info info;
        int err = cfgs_reader_status(reader, &info, sizeof info);
        REQUIRE(err == CFGS_OK, "status: %s", cfgs_strerror(err));
        REQUIRE(info.epoch >= epoch && (info.sequence >= last || info.sequence == 0), "status: epoch or ID went back");
        REQUIRE(info.state != CFGS_PRODUCER_ABSENT && info.state != CFGS_PRODUCER_SUPERSEDED &&
                    info.state != CFGS_PRODUCER_CLOSED,
                "status: '%s'", cfgs_producer_state_name((int)info.state));
        stats->laps += info.state == CFGS_PRODUCER_DEAD; /* how often it was seen dead */
        epoch = info.epoch;
        if (info.sequence != 0)
            last = info.sequence;
        stats->reads++;
        atomic_store(&control->rebuilds, info.counters.rebuilds);
        atomic_store(&control->loads, info.counters.loads);
        atomic_store(&control->growth, info.size_bytes);
        sched_yield();
    }
}

static void run_joins(struct reader_stats *stats)
{
    uint64_t random = seed + 7;

    while (!over()) {
        cfgs_reader *reader = reader_open(instance);
        struct follower *follower = follower_new(reader, stats);
        unsigned events = 1 + random_below(&random, 20);
        for (unsigned i = 0; i < events && !at_end(follower); i++)
            (void)follow(follower, 20);
        follower_free(follower);
        cfgs_reader_close(reader);
        stats->joins++;
    }
}

static void reader_main(void *argument)
{
    unsigned role = (unsigned)(uintptr_t)argument;
    struct reader_stats *stats = &control->readers[role];
    cfgs_reader *reader = reader_open(instance);
    struct view_reader views = {reader, stats, scratch_new(), calloc(1, sizeof(struct model)), 0, {0}, seed + role};
    struct follower *follower = follower_new(reader, stats);

    int err = cfgs_reader_wait_ready(reader, CFGS_FOREVER);
    REQUIRE(err == CFGS_OK && views.model != NULL, "waiting for the first state: %s", cfgs_strerror(err));
    while (role == VIEWS && !over()) {
        for (int i = 0; i < 20; i++)
            view_round(&views);
        view_whole(&views);
    }
    while (role == POINTS && !over()) {
        point_round(&views);
        copy_round(&views);
    }
    if (role == STATUS)
        run_status(reader, stats);
    if (role == JOINS)
        run_joins(stats);
    while ((role == EVENTS || role == EPOLL_LIKE) && !at_end(follower)) {
        err = follow(follower, role == EVENTS ? CFGS_FOREVER : 0);
        if (err == CFGS_ERR_TIMEOUT)
            sched_yield();
    }
    follower_free(follower);
    scratch_free(views.scratch);
    free(views.model);
    cfgs_reader_close(reader);
}

/* ---- the test ---------------------------------------------------------------------------------------------------- */

static bool has_died(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    child_judge(pid, status);
    return true;
}

/* Wait for a random moment of this life: so many commits and a little more, or so long after its birth. */
static void random_moment(pid_t pid, uint64_t life, uint64_t *random)
{
    if (life > 0 && random_below(random, 3) == 0) {
        struct timespec little = {.tv_nsec = (long)random_below(random, 4000000)};
        nanosleep(&little, NULL); /* opening takes about a millisecond: this hits recovery */
        return;
    }
    while (atomic_load(&control->life) <= life)
        REQUIRE(!has_died(pid), "the producer ended");
    uint64_t commits = atomic_load(&control->commits) + random_below(random, 400);
    while (atomic_load(&control->commits) < commits)
        REQUIRE(!has_died(pid), "the producer ended");
    for (unsigned spins = random_below(random, 20000); spins > 0; spins--)
        atomic_signal_fence(memory_order_seq_cst);
}

int main(int argc, char **argv)
{
    unsigned kills = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
    unsigned in_recovery = 0, in_commit = 0;

    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : now_ns();
    snprintf(instance, sizeof instance, "kill-%d", (int)getpid());
    test_begin(instance);
    control_new();
    printf("kill: seed %" PRIu64 "\n", seed);
    for (unsigned role = 0; role < ROLES; role++)
        child_start(reader_main, (void *)(uintptr_t)role);
    uint64_t random = seed;
    for (uint64_t life = 0; life < kills; life++) {
        pid_t pid = child_start(producer_main, (void *)(uintptr_t)life);
        random_moment(pid, life, &random);
        REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "the producer was gone before its kill");
        child_forget(pid);
        (void)children_poll(); /* a reader that failed ends the test here */
        in_recovery += atomic_load(&control->life) <= life;
        in_commit += atomic_load(&control->intent) != atomic_load(&control->acknowledged);
    }
    atomic_store(&control->word[0], 1);
    child_start(producer_main, (void *)(uintptr_t)kills);
    children_wait();
    for (unsigned role = 0; role < ROLES; role++) {
        struct reader_stats *stats = &control->readers[role];
        printf("reader %u %s: views=%" PRIu64 " reads=%" PRIu64 " updates=%" PRIu64 " snapshots=%" PRIu64 " laps=%" PRIu64
               " retries=%" PRIu64 " busy=%" PRIu64 " joins=%" PRIu64 "\n",
               role, kinds[role], stats->views, stats->reads, stats->updates, stats->snapshots,
               role == STATUS ? 0 : stats->laps, stats->retries, stats->busy, stats->joins);
        REQUIRE(stats->views + stats->reads + stats->updates > 0, "reader %u did nothing", role);
    }
    printf("kill: passed: %u kills, %u of them before recovery was complete, %u inside a commit; %" PRIu64
           " commits, last ID %" PRIu64 ", %" PRIu64 " rebuilds, %" PRIu64 " bulk loads, arena of %" PRIu64
           " KiB, seen dead %" PRIu64 " times\n",
           kills, in_recovery, in_commit, atomic_load(&control->commits), atomic_load(&control->final),
           atomic_load(&control->rebuilds), atomic_load(&control->loads), atomic_load(&control->growth) / 1024,
           atomic_load(&control->readers[STATUS].laps));
    REQUIRE(control->rebuilds > kills && in_recovery > 0 && in_commit > 0, "the kills hit too little to prove anything");
    return 0;
}
