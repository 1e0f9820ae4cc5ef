/*
 * every_store.c: the producer stopped before each single store to the arena.
 *
 *     test-every-store [STRIDE]
 *
 * Built with the library's store hook.  For each operation a child counts its stores to shared memory; then, for each of them, a
 * fresh producer dies just before it (long runs of alike stores are sampled, every STRIDE-th).  Readers attached before must
 * find the state before or after the commit and nothing else, and no gap in the stream; the live bank must have the version
 * that `current` names.  Then a second producer recovers, and dies before some store of that; then a third goes on.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deaths.h"
#include "shm/layout.h"
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STORES, WANTED, RECOVERY_STORES, SETUP_ID, NAMED }; /* control->word[] */

/* ---- operations -------------------------------------------------------------------------------------------------- */

static char instance[64];
static const struct workload workload = {.ring_slots = 32,
                                         .max_size = UINT64_C(8) << 20,
                                         .bulk_keys = 40,
                                         .big_bytes = 512u << 10,
                                         .no_wake_thread = true};

static void load_small(struct producer *producer)
{
    for (unsigned key = 0; key < MONOS; key++)
        stage_set(producer, key);
    for (unsigned i = 0; i < 12; i++) {
        stage_set(producer, SCALAR_FIRST + i);
        stage_set(producer, TEXT_FIRST + i);
    }
    stage_group(producer, 0, false);
    produce_commit(producer);
}

static void set_one(struct producer *producer)
{
    stage_set(producer, TEXT_FIRST + 3);
    produce_commit(producer);
}

static void set_new_key(struct producer *producer)
{
    stage_set(producer, TEXT_FIRST + 40);
    produce_commit(producer);
}

static void remove_one(struct producer *producer)
{
    stage_remove(producer, SCALAR_FIRST + 5);
    produce_commit(producer);
}

static void set_two(struct producer *producer)
{
    stage_set(producer, 0);
    stage_set(producer, SCALAR_FIRST + 2);
    produce_commit(producer);
}

static void set_many(struct producer *producer)
{
    stage_group(producer, 0, false);
    stage_remove(producer, TEXT_FIRST + 1);
    stage_set(producer, TEXT_FIRST + 50);
    stage_set(producer, LIST_FIRST);
    produce_commit(producer);
}

static cfgs_reader_info arena_info(void)
{
    cfgs_reader *reader = reader_open(instance);
    cfgs_reader_info info;

    REQUIRE(cfgs_reader_status(reader, &info, sizeof info) == CFGS_OK, "status");
    cfgs_reader_close(reader);
    return info;
}

/* Leave less room in the heap than a batch of fourteen texts needs. */
static void fill_heap(struct producer *producer)
{
    cfgs_reader_info info;

    do {
        stage_set(producer, TEXT_FIRST + 7);
        produce_commit(producer);
        info = arena_info();
    } while (info.heap_size - info.heap_used >= 3000);
}

static void rebuild_full(struct producer *producer)
{
    for (unsigned i = 0; i < 14; i++)
        stage_set(producer, TEXT_FIRST + i);
    produce_commit(producer);
}

static void grow(struct producer *producer)
{
    for (unsigned i = 0; i < 4; i++)
        stage_set(producer, BIG_FIRST + i);
    produce_commit(producer);
}

static void load_bulk(struct producer *producer)
{
    for (unsigned i = 0; i < workload.bulk_keys; i++)
        stage_set(producer, BULK_FIRST + i);
    stage_group(producer, 0, false);
    stage_remove(producer, SCALAR_FIRST + 1);
    produce_commit(producer);
}

static void load_at(struct producer *producer)
{
    stage_set(producer, 0);
    stage_set(producer, TEXT_FIRST + 2);
    produce_at(producer, 7);
}

static void replace_all(struct producer *producer)
{
    stage_set(producer, 1);
    produce_replace(producer, 5);
}

static void close_clean(struct producer *producer)
{
    cfgs_publisher_close(producer->publisher, false);
}

/* A new arena with another ring takes the place of the old one. */
static void new_arena(struct producer *producer)
{
    cfgs_error_detail detail;
    struct workload other = workload;
    cfgs_publisher *publisher;

    cfgs_publisher_close(producer->publisher, false);
    other.ring_slots = 64;
    death_arm(death_word(WANTED));
    REQUIRE(producer_options_open(&other, instance, &publisher, &detail) == CFGS_OK, "replacing: %s", detail.message);
}

static const struct operation {
    const char *name;
    void (*setup)(struct producer *producer); /* after the small load; NULL: none, not even the load */
    void (*run)(struct producer *producer);
    bool unloaded; /* starts without a state */
    bool rebuilds, grows; /* what it must do, or it tests something else than it says */
    bool moves; /* readers move on to another arena, and not at once */
} operations[] = {
    {"create and first load", NULL, load_small, .unloaded = true},
    {"single set", load_small, set_one, .rebuilds = false},
    {"new key", load_small, set_new_key, .rebuilds = false},
    {"removal", load_small, remove_one, .rebuilds = false},
    {"two-key batch", load_small, set_two, .rebuilds = false},
    {"many-key batch", load_small, set_many, .rebuilds = false},
    {"rebuild of a full heap", fill_heap, rebuild_full, .rebuilds = true},
    {"growth", load_small, grow, .rebuilds = true, .grows = true},
    {"bulk load", load_small, load_bulk, .rebuilds = true},
    {"load at an ID", load_small, load_at, .rebuilds = true},
    {"replace", load_small, replace_all, .rebuilds = true},
    {"close", load_small, close_clean, .rebuilds = false},
    {"new arena", load_small, new_arena, .moves = true},
};

/* ---- children ---------------------------------------------------------------------------------------------------- */

struct victim {
    const struct operation *operation;
    int ready[2], go[2]; /* pipes */
};

static void setup(const struct operation *operation, struct producer *producer)
{
    load_small(producer);
    if (operation->setup != load_small)
        operation->setup(producer);
}

/* One ring of updates: the oldest of them lies in the slot that the next update takes. */
static void make_history(struct producer *producer)
{
    for (unsigned i = 0; i < workload.ring_slots; i++) {
        stage_set(producer, SCALAR_FIRST + i % 3);
        produce_commit(producer);
    }
}

/* Sets up, lets the parent attach its readers, does the operation, and dies where it is told to. */
static void victim_main(void *argument)
{
    struct victim *victim = argument;
    const struct operation *operation = victim->operation;
    struct producer *producer;
    char byte = 0;

    if (operation->unloaded)
        death_arm(death_word(WANTED));
    producer = producer_open(&workload, instance, 1);
    if (!operation->unloaded) {
        setup(operation, producer);
        if (operation->setup == load_small) {
            REQUIRE(write(victim->ready[1], &byte, 1) == 1 && read(victim->go[0], &byte, 1) == 1, "pipe");
            make_history(producer);
        }
        death_set_word(SETUP_ID, cfgs_publisher_sequence(producer->publisher));
        REQUIRE(write(victim->ready[1], &byte, 1) == 1 && read(victim->go[0], &byte, 1) == 1, "pipe");
    }
    cfgs_reader_info before = arena_info();
    if (!operation->unloaded)
        death_arm(death_word(WANTED));
    operation->run(producer);
    uint64_t stores = death_disarm();
    cfgs_reader_info after = arena_info();
    REQUIRE(operation->rebuilds == (after.counters.rebuilds > before.counters.rebuilds) || operation->unloaded,
            "%s: %s rebuild", operation->name, operation->rebuilds ? "no" : "an unwanted");
    REQUIRE(!operation->grows || after.size_bytes > before.size_bytes, "%s: the arena did not grow", operation->name);
    death_set_word(STORES, stores);
    kill(getpid(), SIGKILL); /* without closing: death after the last store */
}

/* Recovers; dies before store `WANTED` of it, if that is not 0. */
static void recover_main(void *argument)
{
    (void)argument;
    struct producer *producer;

    death_arm(death_word(WANTED));
    producer = producer_open(&workload, instance, 2);
    death_set_word(RECOVERY_STORES, death_disarm());
    atomic_store(&control->acknowledged, cfgs_publisher_sequence(producer->publisher));
    kill(getpid(), SIGKILL);
}

/* Recovers and goes on. */
static void heir_main(void *argument)
{
    (void)argument;
    struct producer *producer = producer_open(&workload, instance, 3);

    if (cfgs_publisher_sequence(producer->publisher) == 0)
        load_small(producer);
    set_one(producer);
    set_two(producer);
    producer_free(producer, false);
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

struct watch {
    cfgs_reader *reader;
    struct follower *follower;
    struct reader_stats stats;
    struct view_reader views;
    cfgs_handle *handle;
    bool moves;
    cfgs_reader *late_reader; /* a whole ring behind when the operation begins; NULL: none */
    struct follower *late;
};

static void watch_start(struct watch *watch)
{
    watch->reader = reader_open(instance);
    watch->follower = follower_new(watch->reader, &watch->stats);
    watch->views = (struct view_reader){watch->reader, &watch->stats, watch->follower->scratch,
                                        calloc(1, sizeof(struct model)), 0, {0}, 5};
    REQUIRE(watch->views.model != NULL && cfgs_handle_new(watch->reader, key_name(0), &watch->handle) == CFGS_OK,
            "out of memory");
}

static void watch_start_late(struct watch *watch)
{
    watch->late_reader = reader_open(instance);
    watch->late = follower_new(watch->late_reader, &watch->stats);
    REQUIRE(follow(watch->late, 0) == CFGS_OK, "no snapshot");
}

static void watch_end(struct watch *watch)
{
    if (watch->late != NULL)
        follower_free(watch->late);
    cfgs_reader_close(watch->late_reader);
    cfgs_handle_free(watch->handle);
    free(watch->views.model);
    follower_free(watch->follower);
    cfgs_reader_close(watch->reader);
}

/* P5, from outside: the live bank has the even version that `current` names, whatever instruction the producer died at. */
static void check_live_bank(void)
{
    char path[160];
    snprintf(path, sizeof path, "/dev/shm/configstream.%s", instance);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* died before it gave the arena its name */
    const struct arena_header *header = mmap(NULL, sizeof *header, PROT_READ, MAP_SHARED, fd, 0);
    REQUIRE(header != MAP_FAILED, "mmap");
    uint64_t route = word_load_acquire(&header->current);
    uint64_t version = word_load_acquire(&header->bank[route_bank(route)].version);
    REQUIRE(version == route_generation(route) && version % 2 == 0 && version != 0,
            "the live bank has version %" PRIu64 ", current names %" PRIu64, version, route_generation(route));
    munmap((void *)(uintptr_t)header, sizeof *header);
    close(fd);
    control->word[NAMED]++;
}

/* What a reader sees now: nothing, or one of two IDs, whole; the stream reaches it without a hole.  Returns the ID. */
static uint64_t check_state(struct watch *watch, uint64_t low, uint64_t high)
{
    cfgs_view view;
    int64_t value;
    int err = cfgs_view_begin(watch->reader, &view);

    check_live_bank();
    if (err == CFGS_ERR_NOT_READY) {
        REQUIRE(low == 0, "no state any more");
        return 0;
    }
    REQUIRE(err == CFGS_OK, "a view: %s", cfgs_strerror(err));
    /* A reader whose arena was superseded looks for the next one every few milliseconds, not at every read. */
    while (watch->moves && cfgs_view_sequence(&view) < low)
        REQUIRE(cfgs_view_begin(watch->reader, &view) == CFGS_OK, "a view");
    uint64_t sequence = cfgs_view_sequence(&view);
    REQUIRE(sequence == low || sequence == high, "a view at ID %" PRIu64 ": neither %" PRIu64 " nor %" PRIu64, sequence,
            low, high);
    view_whole(&watch->views);
    view_round(&watch->views);
    point_round(&watch->views);
    REQUIRE(cfgs_handle_get_int(watch->handle, &value) == CFGS_OK, "a handle");
    mono_check(&watch->views, 0, value, "a handle");
    while ((err = follow(watch->follower, 0)) == CFGS_OK)
        ;
    REQUIRE(err == CFGS_ERR_TIMEOUT || err == CFGS_ERR_CLOSED, "the stream: %s", cfgs_strerror(err));
    REQUIRE(watch->follower->last == sequence && watch->follower->have, "the stream stands at ID %" PRIu64
            ", views at %" PRIu64, watch->follower->last, sequence);
    while (watch->late != NULL && (follow(watch->late, 0) == CFGS_OK || (watch->moves && watch->late->last < sequence)))
        ;
    REQUIRE(watch->late == NULL || (watch->late->last == sequence && watch->late->have),
            "a stream that was a ring behind stands at ID %" PRIu64 " instead of %" PRIu64, watch->late->last, sequence);
    return sequence;
}

static void destroy(void)
{
    cfgs_error_detail detail;
    cfgs_publisher_options options = {.instance = instance, .detail = &detail};
    int err = cfgs_arena_destroy(&options);
    REQUIRE(err == CFGS_OK || err == CFGS_ERR_NOT_READY, "destroying: %s", detail.message);
}

/* ---- one death --------------------------------------------------------------------------------------------------- */

static pid_t victim_until_ready(struct victim *victim, struct watch *watch, uint64_t die_at)
{
    char byte = 0;

    REQUIRE(pipe(victim->ready) == 0 && pipe(victim->go) == 0, "pipe: %s", strerror(errno));
    death_set_word(WANTED, die_at);
    atomic_store(&control->intent, 0);
    death_set_word(SETUP_ID, 0);
    memset(control->oracle, 0, 4096 * sizeof *control->oracle);
    memset(watch, 0, sizeof *watch);
    if (victim->operation->unloaded)
        watch_start(watch); /* before there is an arena */
    pid_t pid = child_start(victim_main, victim);
    if (!victim->operation->unloaded) {
        close(victim->ready[1]);
        REQUIRE(read(victim->ready[0], &byte, 1) == 1, "the victim failed in its setup");
        if (victim->operation->setup == load_small) {
            watch_start_late(watch);
            REQUIRE(write(victim->go[1], &byte, 1) == 1 && read(victim->ready[0], &byte, 1) == 1,
                    "the victim failed in its setup");
        }
        watch_start(watch);
        REQUIRE(follow(watch->follower, 0) == CFGS_OK, "no snapshot");
        int64_t value;
        REQUIRE(cfgs_handle_get_int(watch->handle, &value) == CFGS_OK, "a handle");
        REQUIRE(write(victim->go[1], &byte, 1) == 1, "pipe");
    } else {
        close(victim->ready[1]);
    }
    close(victim->ready[0]);
    close(victim->go[0]);
    close(victim->go[1]);
    return pid;
}

/* Die before store `die_at` of the operation (0: after its last), then before `recovery_at` of the recovery. */
static void one_death(const struct operation *operation, uint64_t die_at, uint64_t recovery_at)
{
    struct victim victim = {.operation = operation};
    struct watch watch;

    death_reap(victim_until_ready(&victim, &watch, die_at));
    watch.moves = operation->moves;
    uint64_t low = death_word(SETUP_ID), high = atomic_load(&control->intent);
    uint64_t found = check_state(&watch, low, high);
    if (die_at == 0)
        REQUIRE(found == high, "ID %" PRIu64 " was acknowledged and is lost", high);
    for (unsigned twice = 0; twice < 2; twice++) {
        death_set_word(WANTED, twice == 0 ? recovery_at : recovery_at / 2 + 1);
        death_reap(child_start(recover_main, NULL));
        uint64_t now = check_state(&watch, found, found);
        REQUIRE(now == found, "recovery led from ID %" PRIu64 " to %" PRIu64, found, now);
    }
    child_start(heir_main, NULL);
    children_wait();
    uint64_t last = atomic_load(&control->acknowledged);
    REQUIRE(last > found, "the heir did not go on counting");
    check_state(&watch, last, last);
    watch_end(&watch);
    destroy();
}

/* How many stores the operation makes; how many its recovery. */
static uint64_t count_stores(const struct operation *operation, uint64_t *recovery)
{
    struct victim victim = {.operation = operation};
    struct watch watch;

    death_reap(victim_until_ready(&victim, &watch, 0));
    death_set_word(WANTED, 0);
    death_reap(child_start(recover_main, NULL));
    *recovery = death_word(RECOVERY_STORES);
    watch_end(&watch);
    destroy();
    return death_word(STORES);
}

int main(int argc, char **argv)
{
    uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 23, random = 1;
    uint64_t deaths = 0, all = 0;

    snprintf(instance, sizeof instance, "every-store-%d", (int)getpid());
    test_begin(instance);
    control_new();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        const struct operation *operation = &operations[i];
        uint64_t recovery, begun = now_ns(), here = 0;
        uint64_t count = count_stores(operation, &recovery);
        uint64_t step = stride > count / 200 ? stride : count / 200;
        for (uint64_t store = 0; store <= count; store++) {
            /* The ends of a long operation hold its distinct steps; a long middle clears cells and copies words. */
            if (store > 150 && store + 150 < count && store % step != 0)
                continue;
            uint64_t in_recovery = here % 3 == 0 ? 1 + here % 60
                                   : here % 3 == 1 ? recovery - here % 60
                                                   : 1 + random_below(&random, (unsigned)recovery);
            one_death(operation, store, in_recovery);
            here++;
        }
        printf("every_store: %-22s %6" PRIu64 " stores, %5" PRIu64 " deaths, recovery %" PRIu64 " stores, %.1f s\n",
               operation->name, count, here, recovery, (double)(now_ns() - begun) / 1e9);
        deaths += here;
        all += count;
    }
    printf("every_store: passed: %" PRIu64 " deaths over %" PRIu64 " stores, each followed by two in recovery\n", deaths,
           all);
    return 0;
}
