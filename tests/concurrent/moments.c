/*
 * moments.c: readers caught at chosen moments: between their steps the producer runs one, two or three rebuilds; keys that
 * were removed come back in a batch that rebuilds; the arena is replaced under threads that share a reader.
 *
 *     test-moments [ROUNDS]
 *
 * A bank that was live stays readable through one rebuild and is recycled by the second.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

static char instance[64];
static const struct workload workload = {.ring_slots = 64, .max_size = UINT64_C(64) << 20, .big_bytes = 8192};

static struct producer *producer;
static cfgs_reader *reader;
static struct follower *follower;
static struct reader_stats stats;

static uint64_t rebuilds(void)
{
    cfgs_reader_info info;
    REQUIRE(cfgs_reader_status(reader, &info, sizeof info) == CFGS_OK, "status");
    return info.counters.rebuilds;
}

/* Updates until a full heap was rebuilt so often; each of them has a ring slot. */
static void rebuild_by_updates(unsigned times)
{
    for (uint64_t until = rebuilds() + times; rebuilds() < until;) {
        stage_set(producer, BIG_FIRST);
        produce_commit(producer);
    }
}

static void rebuild_by_loads(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        stage_set(producer, 0);
        produce_at(producer, 0);
    }
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

static void view_moments(unsigned times, unsigned step)
{
    static struct model model;
    int64_t first = 0, second = 0, third = 0;
    cfgs_view view;

    REQUIRE(cfgs_view_begin(reader, &view) == CFGS_OK, "begin");
    uint64_t sequence = cfgs_view_sequence(&view);
    for (unsigned at = 0; at < 4; at++) {
        if (at == step)
            rebuild_by_loads(times);
        int64_t *value = at == 1 ? &first : at == 2 ? &second : &third;
        int err = at > 0 ? cfgs_view_get_int(&view, key_name(at), value) : CFGS_OK;
        REQUIRE(err == CFGS_OK || times >= 2, "%u rebuilds before step %u: %s", times, step, cfgs_strerror(err));
    }
    REQUIRE(times >= 2 || (first == (int64_t)producer->model.sequence[1] && first <= (int64_t)sequence),
            "%u rebuilds before step %u changed what a view reads", times, step);
    bool again = cfgs_view_retry(&view);
    REQUIRE(again == (times >= 2), "%u rebuilds before step %u: retry is %d", times, step, again);
    if (!again) {
        REQUIRE(cfgs_view_error(&view) == CFGS_OK && cfgs_view_sequence(&view) == sequence, "a view that stands moved");
        return;
    }
    REQUIRE(cfgs_view_sequence(&view) == cfgs_publisher_sequence(producer->publisher), "a view begun anew is not newest");
    REQUIRE(state_read(&view, &model, follower->scratch, &stats, "view begun anew") == CFGS_OK, "reading it");
}

/* The view of a snapshot event: taken late, or read late. */
static void pinned_moments(unsigned times, bool begun_before)
{
    static struct model model;
    cfgs_reader *fresh = reader_open(instance);
    cfgs_event event;
    cfgs_view view;

    REQUIRE(cfgs_reader_next(fresh, &event, 0) == CFGS_OK && event.kind == CFGS_EVENT_SNAPSHOT, "no snapshot");
    int err = begun_before ? cfgs_view_at(fresh, &event, &view) : CFGS_OK;
    REQUIRE(err == CFGS_OK, "view_at: %s", cfgs_strerror(err));
    rebuild_by_updates(times);
    if (!begun_before)
        err = cfgs_view_at(fresh, &event, &view);
    if (err == CFGS_OK)
        err = state_read(&view, &model, follower->scratch, &stats, "pinned view");
    REQUIRE(err == (times >= 2 ? CFGS_ERR_LAPPED : CFGS_OK), "%u rebuilds under a pinned view: %s", times,
            cfgs_strerror(err));
    uint64_t before = event.sequence;
    REQUIRE(times == 0 || cfgs_reader_next(fresh, &event, 0) == CFGS_OK, "no event");
    REQUIRE(times < 2 || (event.kind == CFGS_EVENT_SNAPSHOT && event.sequence > before &&
                          event.reason == CFGS_SNAPSHOT_LAPPED),
            "after a lapped snapshot comes no snapshot");
    cfgs_reader_close(fresh);
}

/* ---- streams and handles ----------------------------------------------------------------------------------------- */

static void cursor_moments(unsigned times)
{
    uint64_t snapshots = stats.snapshots, updates = stats.updates;

    while (follow(follower, 0) == CFGS_OK)
        ;
    snapshots = stats.snapshots;
    updates = stats.updates;
    stage_set(producer, SCALAR_FIRST);
    stage_set(producer, SCALAR_FIRST + 1);
    produce_commit(producer);
    uint64_t before = cfgs_publisher_sequence(producer->publisher);
    rebuild_by_updates(times);
    uint64_t after = cfgs_publisher_sequence(producer->publisher);
    while (follow(follower, 0) == CFGS_OK)
        ;
    REQUIRE(follower->last == after && follower->have, "the stream stopped at ID %" PRIu64, follower->last);
    if (after - before < workload.ring_slots - 2 && times <= 1)
        REQUIRE(stats.snapshots == snapshots && stats.updates == updates + 2 + (after - before),
                "a stream was lapped by %u rebuilds", times);
    if (times >= 2)
        REQUIRE(stats.snapshots > snapshots, "a stream was not lapped by %u rebuilds", times);
}

static void handle_moments(unsigned times)
{
    cfgs_handle *handle, *absent;
    int64_t value = 0;

    REQUIRE(cfgs_handle_new(reader, key_name(0), &handle) == CFGS_OK, "no handle");
    REQUIRE(cfgs_handle_new(reader, key_name(BULK_FIRST), &absent) == CFGS_OK, "no handle");
    REQUIRE(cfgs_handle_get_int(handle, &value) == CFGS_OK, "a handle");
    REQUIRE(cfgs_handle_get_int(absent, &value) == CFGS_ERR_NOT_FOUND, "a handle of no key");
    for (unsigned i = 0; i < times; i++) {
        rebuild_by_updates(1);
        stage_set(producer, 0);
        produce_commit(producer);
    }
    stage_set(producer, BULK_FIRST);
    produce_commit(producer);
    REQUIRE(cfgs_handle_get_int(handle, &value) == CFGS_OK &&
                (uint64_t)value == producer->model.sequence[0], "a handle gives an old value after %u rebuilds", times);
    REQUIRE(cfgs_handle_get_int(absent, &value) == CFGS_OK, "a handle does not find a new key");
    stage_remove(producer, BULK_FIRST);
    produce_commit(producer);
    REQUIRE(cfgs_handle_get_int(absent, &value) == CFGS_ERR_NOT_FOUND, "a handle finds a removed key");
    cfgs_handle_free(handle);
    cfgs_handle_free(absent);
}

static void banks(void)
{
    producer = producer_open(&workload, instance, 1);
    produce_first_load(producer);
    reader = reader_open(instance);
    follower = follower_new(reader, &stats);
    for (unsigned times = 0; times <= 3; times++) {
        for (unsigned step = 0; step < 4; step++)
            view_moments(times, step);
        pinned_moments(times, false);
        pinned_moments(times, true);
        cursor_moments(times);
        handle_moments(times);
    }
    printf("moments: views, pinned views, streams and handles through 0 to 3 rebuilds: %" PRIu64 " rebuilds\n",
           rebuilds());
    follower_free(follower);
    cfgs_reader_close(reader);
    producer_free(producer, true);
}

/* ---- keys that come back ----------------------------------------------------------------------------------------- */

/* Removed keys are forgotten by the rebuild that their return makes necessary: it must still have room for them. */
static void return_main(void *argument)
{
    struct workload mine = workload;
    unsigned keys = *(unsigned *)argument;

    mine.ring_slots = 8192;
    mine.max_size = UINT64_C(512) << 20;
    producer = producer_open(&mine, instance, 1);
    reader = reader_open(instance);
    follower = follower_new(reader, &stats);
    produce_first_load(producer);
    for (unsigned i = 0; i < keys; i++)
        stage_set(producer, BULK_FIRST + i);
    produce_commit(producer);
    for (unsigned i = 0; i < keys; i++)
        stage_remove(producer, BULK_FIRST + i);
    produce_commit(producer);
    cfgs_reader_info info;
    do {
        stage_set(producer, BIG_FIRST);
        produce_commit(producer);
        REQUIRE(cfgs_reader_status(reader, &info, sizeof info) == CFGS_OK, "status");
    } while (info.heap_size - info.heap_used > 40000);
    uint64_t before = rebuilds();
    for (unsigned i = 0; i < keys; i++)
        stage_set(producer, BULK_FIRST + i);
    produce_commit(producer);
    REQUIRE(rebuilds() > before, "setup: the keys came back without a rebuild");
    /* The index must know how full it is: more new keys, to where it would overflow. */
    for (unsigned i = 0; i < 900; i++) {
        stage_set(producer, BULK_FIRST + keys + i);
        produce_commit(producer);
    }
    while (follow(follower, 0) == CFGS_OK)
        ;
    REQUIRE(follower->last == cfgs_publisher_sequence(producer->publisher) && follower->have, "the stream stopped");
    follower_free(follower);
    cfgs_reader_close(reader);
    producer_free(producer, true);
}

static void returns(void)
{
    static unsigned counts[] = {700, 1500, 4000};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        memset(control->oracle, 0, 65536 * sizeof *control->oracle);
        printf("moments: %u keys come back\n", counts[i]);
        child_start(return_main, &counts[i]);
        children_wait();
    }
}

/* ---- another arena in the place of the old one ------------------------------------------------------------------- */

static _Atomic uint64_t reads, snapshots, stop;

/* Once there was a state, there is one. */
static void *read_thread(void *argument)
{
    (void)argument;
    while (atomic_load(&stop) == 0) {
        int64_t value;
        cfgs_view view;
        int err = cfgs_get_int(reader, key_name(0), &value);
        REQUIRE(err == CFGS_OK, "a point read while the arena is replaced: %s", cfgs_strerror(err));
        err = cfgs_view_begin(reader, &view);
        REQUIRE(err == CFGS_OK, "beginning a view while the arena is replaced: %s", cfgs_strerror(err));
        do {
            err = cfgs_view_get_int(&view, key_name(0), &value);
        } while (cfgs_view_retry(&view));
        REQUIRE(cfgs_view_error(&view) == CFGS_OK && err == CFGS_OK, "a view while the arena is replaced: %s, %s",
                cfgs_strerror(cfgs_view_error(&view)), cfgs_strerror(err));
        reads++;
    }
    return NULL;
}

static void *event_thread(void *argument)
{
    (void)argument;
    while (atomic_load(&stop) == 0) {
        cfgs_event event;
        int err = cfgs_reader_next(reader, &event, 20);
        REQUIRE(err == CFGS_OK || err == CFGS_ERR_TIMEOUT || err == CFGS_ERR_CLOSED,
                "the stream while the arena is replaced: %s", cfgs_strerror(err));
        if (err == CFGS_OK && event.kind == CFGS_EVENT_SNAPSHOT)
            snapshots++;
    }
    return NULL;
}

static void replacements(unsigned count)
{
    pthread_t threads[3];
    int fd;

    for (unsigned round = 0; round <= count; round++) {
        memset(control->oracle, 0, 65536 * sizeof *control->oracle);
        producer = producer_open(&workload, instance, 1);
        stage_set(producer, 0);
        produce_commit(producer);
        if (round == 0) {
            reader = reader_open(instance);
            REQUIRE(cfgs_reader_fd(reader, &fd) == CFGS_OK, "no descriptor");
            REQUIRE(pthread_create(&threads[0], NULL, read_thread, NULL) == 0 &&
                        pthread_create(&threads[1], NULL, read_thread, NULL) == 0 &&
                        pthread_create(&threads[2], NULL, event_thread, NULL) == 0,
                    "pthread_create");
        }
        /* Until the stream has come to this arena, and updates run. */
        while (atomic_load(&snapshots) <= round) {
            stage_set(producer, 0);
            produce_commit(producer);
            sched_yield();
        }
        producer_free(producer, round < count);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cfgs_reader_close(reader);
    printf("moments: %u replacements under a shared reader: %" PRIu64 " reads, %" PRIu64 " snapshots\n", count,
           atomic_load(&reads), atomic_load(&snapshots));
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 300;

    snprintf(instance, sizeof instance, "moments-%d", (int)getpid());
    test_begin(instance);
    alarm(120); /* a producer that hangs is one of the failures looked for */
    control_new();
    banks();
    returns();
    replacements(rounds);
    printf("moments: passed\n");
    return 0;
}
