/*
 * restarts.c: a republisher whose source begins anew again and again, under the eyes of many threads.
 *
 *     test-restarts [SECONDS] [SEED]
 *
 * The publisher's thread loads snapshots with higher, equal and lower IDs, so that new arenas take the place of old ones,
 * and updates in between.  All keys of one state hold the same number, which only grows.  Threads read by points, handles
 * and views on one shared reader, follow the stream blocked and by descriptor, and open and close readers meanwhile, while one looks
 * at the status.  Nobody may find no state, a mixed one, or one older than what was acknowledged before (in memory; of
 * a named arena: older than seen before); and every stream must come to the last state without polling for it.
 * First in memory, then with a name.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <configstream/encoded.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

enum { KEYS_HERE = 16, POINTS, HANDLES, VIEWS, BLOCKED, BY_FD, OPENER, STATUS, ROLES };

static char instance[64];
static cfgs_publisher *publisher;
static cfgs_reader *shared;
static bool in_memory;
static _Atomic int64_t acknowledged; /* the number of the last state that was published */
static _Atomic int64_t final;        /* the last of all; 0: not yet known */
static _Atomic uint64_t looks[ROLES];

static const char *key(unsigned i)
{
    static const char names[KEYS_HERE][4] = {"k0", "k1", "k2",  "k3",  "k4",  "k5",  "k6",  "k7",
                                             "k8", "k9", "k10", "k11", "k12", "k13", "k14", "k15"};
    return names[i];
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

/* ConfigSetting{source "file", key, value: number}. */
static size_t encode(char *to, const char *name, int64_t number)
{
    size_t length = strlen(name);
    double value = (double)number;

    memcpy(to, "\x0a\x04" "file\x12", 7);
    to[7] = (char)length;
    memcpy(to + 8, name, length);
    memcpy(to + 8 + length, "\x1a\x09\x11", 3);
    memcpy(to + 11 + length, &value, 8);
    return 19 + length;
}

static void publish_snapshot(uint64_t sequence, int64_t number)
{
    cfgs_batch *batch;
    char setting[64];

    REQUIRE(cfgs_batch_begin(publisher, &batch) == CFGS_OK, "begin");
    cfgs_batch_snapshot(batch, sequence);
    for (unsigned i = 0; i < KEYS_HERE; i++)
        REQUIRE(cfgs_batch_set_encoded(batch, setting, encode(setting, key(i), number)) == CFGS_OK, "staging");
    REQUIRE(cfgs_batch_commit(batch, NULL) == CFGS_OK, "commit: %s", cfgs_publisher_error(publisher)->message);
    atomic_store(&acknowledged, number);
}

static void publish_updates(unsigned count)
{
    char setting[64];

    for (unsigned i = 0; i < count; i++) {
        uint64_t next = cfgs_publisher_sequence(publisher) + 1;
        REQUIRE(cfgs_publisher_set_encoded(publisher, next, setting, encode(setting, "other", (int64_t)next)) == CFGS_OK,
                "update: %s", cfgs_publisher_error(publisher)->message);
    }
}

static uint64_t next_sequence(uint64_t *random)
{
    uint64_t last = cfgs_publisher_sequence(publisher);

    switch (random_below(random, 4)) {
    case 0:
        return last + 1 + random_below(random, 10);
    case 1:
        return last;
    default:
        return last > 50 ? last - 1 - random_below(random, 50) : 100;
    }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* What may not be seen any more when a look begins. */
static int64_t oldest_allowed(int64_t seen)
{
    return in_memory ? atomic_load(&acknowledged) : seen;
}

static bool over(int64_t seen)
{
    int64_t last = atomic_load(&final);
    return last != 0 && seen >= last;
}

static int64_t point(unsigned role, cfgs_handle *handle, int64_t seen)
{
    int64_t value, oldest = oldest_allowed(seen);
    int err = role == HANDLES ? cfgs_handle_get_int(handle, &value)
                              : cfgs_get_int(shared, key((unsigned)seen % KEYS_HERE), &value);

    REQUIRE(err == CFGS_OK, "a point read: %s", cfgs_strerror(err));
    REQUIRE(value >= oldest, "a point read finds %" PRId64 " after %" PRId64, value, oldest);
    return value;
}

static int64_t view_state(cfgs_reader *reader, int64_t seen)
{
    int64_t value[KEYS_HERE], oldest = oldest_allowed(seen);
    int err = CFGS_OK;
    cfgs_view view;

    int begun = cfgs_view_begin(reader, &view);
    REQUIRE(begun == CFGS_OK, "a view: %s", cfgs_strerror(begun));
    do {
        err = CFGS_OK;
        for (unsigned i = 0; i < KEYS_HERE && err == CFGS_OK; i++)
            err = cfgs_view_get_int(&view, key(i), &value[i]);
    } while (cfgs_view_retry(&view));
    REQUIRE(cfgs_view_error(&view) == CFGS_OK && err == CFGS_OK, "a view: %s, %s", cfgs_strerror(cfgs_view_error(&view)),
            cfgs_strerror(err));
    for (unsigned i = 1; i < KEYS_HERE; i++)
        REQUIRE(value[i] == value[0], "a mixed state: %" PRId64 " and %" PRId64, value[0], value[i]);
    REQUIRE(value[0] >= oldest, "a view finds %" PRId64 " after %" PRId64, value[0], oldest);
    return value[0];
}

/* One event; the state of a snapshot is read after it, and may be a later one. */
static int64_t follow_one(cfgs_reader *reader, int timeout_ms, int64_t seen, uint64_t *last)
{
    cfgs_event event;
    int err = cfgs_reader_next(reader, &event, timeout_ms);

    if (err == CFGS_ERR_TIMEOUT)
        return 0;
    REQUIRE(err == CFGS_OK, "the stream: %s", cfgs_strerror(err));
    if (event.kind == CFGS_EVENT_SNAPSHOT) {
        REQUIRE(event.sequence >= *last || event.reason == CFGS_SNAPSHOT_REPLACED, "the stream went back without a word");
        *last = event.sequence;
        return view_state(reader, seen);
    }
    REQUIRE(event.sequence == *last + 1, "ID %" PRIu64 " after %" PRIu64, event.sequence, *last);
    *last = event.sequence;
    return seen;
}

static void follow_all(unsigned role)
{
    struct pollfd poll_fd = {.events = POLLIN};
    cfgs_reader *reader;
    uint64_t last = 0;
    int64_t seen = 0;

    REQUIRE(cfgs_publisher_reader(publisher, &reader) == CFGS_OK, "no reader");
    REQUIRE(role != BY_FD || cfgs_reader_fd(reader, &poll_fd.fd) == CFGS_OK, "no descriptor");
    while (!over(seen)) {
        int64_t now = follow_one(reader, role == BY_FD ? 0 : 60000, seen, &last);
        if (now != 0) {
            seen = now;
            atomic_fetch_add(&looks[role], 1);
        } else {
            REQUIRE(role == BY_FD, "a stream slept through a restart");
            /* Interrupted by nobody: the last state is announced, too. */
            REQUIRE(poll(&poll_fd, 1, 60000) == 1 || errno == EINTR, "a descriptor slept through a restart");
        }
    }
    cfgs_reader_close(reader);
}

static int64_t open_and_look(int64_t seen)
{
    int64_t oldest = oldest_allowed(seen), now;
    cfgs_reader *reader;
    int err = cfgs_publisher_reader(publisher, &reader);

    REQUIRE(err == CFGS_OK, "opening: %s", cfgs_strerror(err));
    now = view_state(reader, oldest);
    cfgs_reader_close(reader);
    return now;
}

static int64_t look_at_status(int64_t seen)
{
    uint8_t path[1 + CFGS_UPSTREAM_PATH_MAX][16];
    char origin[256];
    cfgs_reader_info info;

    REQUIRE(cfgs_reader_status(shared, &info, sizeof info) == CFGS_OK && info.upstream.relayed, "status");
    REQUIRE(strcmp(info.upstream.address, "upstream") == 0, "no address");
    REQUIRE(cfgs_encoded_path(shared, path, NULL) == 2 && path[1][0] == 7, "no path");
    REQUIRE(cfgs_encoded_origin(shared, origin) == CFGS_OK && strcmp(origin, "their.yaml") == 0, "no origin");
    return view_state(shared, seen);
}

static void *reader_main(void *argument)
{
    unsigned role = *(const unsigned *)argument;
    cfgs_handle *handle = NULL;
    int64_t seen = 0;

    REQUIRE(role != HANDLES || cfgs_handle_new(shared, "k3", &handle) == CFGS_OK, "no handle");
    if (role == BLOCKED || role == BY_FD)
        follow_all(role);
    else
        for (; !over(seen); atomic_fetch_add(&looks[role], 1))
            seen = role == VIEWS ? view_state(shared, seen) : role == OPENER ? open_and_look(seen)
                   : role == STATUS ? look_at_status(seen) : point(role, handle, seen);
    cfgs_handle_free(handle);
    return NULL;
}

/* ---- both kinds -------------------------------------------------------------------------------------------------- */

static void open_all(void)
{
    cfgs_publisher_options options = {.instance = instance, .in_memory = in_memory, .ring_slots = 64,
                                      .max_size = UINT64_C(4) << 20};
    cfgs_upstream upstream = {.origin = "their.yaml", .address = "upstream", .path = {{7}}, .path_length = 1};

    atomic_store(&acknowledged, 0);
    atomic_store(&final, 0);
    memset(looks, 0, sizeof looks);
    REQUIRE(cfgs_publisher_open(&options, &publisher) == CFGS_OK, "no publisher");
    REQUIRE(cfgs_publisher_set_upstream(publisher, &upstream) == CFGS_OK, "upstream");
    publish_snapshot(100, 1);
    REQUIRE(cfgs_publisher_reader(publisher, &shared) == CFGS_OK, "no reader");
}

static void run(uint64_t nanoseconds, uint64_t seed)
{
    pthread_t threads[ROLES];
    unsigned roles[ROLES];
    uint64_t begun = now_ns(), random = seed, restarts = 0;
    int64_t number = 1;

    open_all();
    for (unsigned role = POINTS; role < ROLES; role++) {
        roles[role] = role;
        REQUIRE(pthread_create(&threads[role], NULL, reader_main, &roles[role]) == 0, "no thread");
    }
    while (now_ns() - begun < nanoseconds) {
        uint64_t before = cfgs_publisher_sequence(publisher), at = next_sequence(&random);
        publish_snapshot(at, ++number);
        restarts += at <= before;
        publish_updates(random_below(&random, 100));
        cfgs_publisher_touch_upstream(publisher, true);
        if (random_below(&random, 3) == 0)
            sched_yield();
    }
    atomic_store(&final, number + 1);
    publish_snapshot(cfgs_publisher_sequence(publisher), number + 1);
    for (unsigned role = POINTS; role < ROLES; role++)
        REQUIRE(pthread_join(threads[role], NULL) == 0, "join");
    cfgs_reader_close(shared);
    cfgs_publisher_close(publisher, true);
    printf("restarts: %s: %" PRIu64 " new arenas; looks: points %" PRIu64 ", handles %" PRIu64 ", views %" PRIu64
           ", streams %" PRIu64 " and %" PRIu64 ", opened %" PRIu64 ", status %" PRIu64 "\n",
           in_memory ? "in memory" : "named", restarts + 1, looks[POINTS], looks[HANDLES], looks[VIEWS], looks[BLOCKED], looks[BY_FD], looks[OPENER],
           looks[STATUS]);
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 10, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    snprintf(instance, sizeof instance, "restarts-%d", (int)getpid());
    test_begin(instance);
    control_new();
    for (unsigned kind = 0; kind < 2; kind++) {
        in_memory = kind == 0;
        run(seconds * 500000000u, seed + kind);
    }
    test_end();
    printf("restarts: passed\n");
    return 0;
}
