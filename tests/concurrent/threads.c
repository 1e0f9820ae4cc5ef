/*
 * threads.c: publisher and readers as threads of one process, over one mapping: what ThreadSanitizer can judge.
 *
 *     test-threads [SECONDS] [SEED]
 *
 * ThreadSanitizer follows addresses, so publisher and readers must use the same ones: each reader's attachment is pointed at
 * the publisher's own mapping.  Only copying reads run here (docs/architecture.md, "Tests").  Readers of their own and one
 * that several threads share; the same checks as in stress.c.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "shm/publisher_private.h"
#include "shm/reader_private.h"
#include "support.h"
#include <inttypes.h>
#include <sched.h>
#include <unistd.h>

static uint64_t seed, run_ns;
static char instance[64];
static const struct workload workload = {.ring_slots = 1024,
                                         .max_size = UINT64_C(64) << 20,
                                         .bulk_keys = 600,
                                         .big_bytes = 16u << 10,
                                         .one_big_in = 100,
                                         .one_load_in = 3000,
                                         .one_at_in = 4000,
                                         .one_replace_in = 5000};
static cfgs_publisher *publisher;

/* ---- readers over the publisher's mapping ------------------------------------------------------------------------ */

struct mapped_reader {
    cfgs_reader *reader;
    const struct arena_header *own; /* its own mapping, given back before it is closed */
};

static struct attachment *attachment_of(cfgs_reader *reader)
{
    return atomic_load(&reader->current);
}

static struct mapped_reader mapped_open(void)
{
    struct mapped_reader mapped;
    REQUIRE(cfgs_publisher_reader(publisher, &mapped.reader) == CFGS_OK, "no reader");
    mapped.own = attachment_of(mapped.reader)->header;
    attachment_of(mapped.reader)->header = publisher->file.header;
    return mapped;
}

static void mapped_close(struct mapped_reader *mapped)
{
    notifier_stop(mapped->reader); /* it reads through the attachment */
    attachment_of(mapped->reader)->header = mapped->own;
    cfgs_reader_close(mapped->reader);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { EVENTS, EVENTS_FD, SLOW, POINTS, SHARED_POINTS, SHARED_VIEWS, SHARED_HANDLES, ROLES };
static const char *const kinds[ROLES] = {"events",        "events, fd",   "slow events",   "points",
                                         "shared points", "shared views", "shared handles"};
static struct mapped_reader shared;

static bool over(void)
{
    return atomic_load(&control->final) != 0;
}

/*
 * What an event delivers is a copy, so all of it can be checked: IDs, values, old values.  The state at a snapshot would take
 * a zero-copy view, so the stream builds up what it has seen, and old values are compared where it has seen one.
 */
static void run_events(unsigned role, cfgs_reader *reader)
{
    struct reader_stats *stats = &control->readers[role];
    struct scratch *scratch = scratch_new();
    struct model *model = calloc(1, sizeof *model);
    uint64_t last = 0, since_nap = 0;
    int fd = -1, key;

    REQUIRE(model != NULL && (role != EVENTS_FD || cfgs_reader_fd(reader, &fd) == CFGS_OK), "setup");
    while (!over() || last < atomic_load(&control->final)) {
        cfgs_event event;
        int err = cfgs_reader_next(reader, &event, role == EVENTS_FD ? 0 : CFGS_FOREVER);
        if (err == CFGS_ERR_TIMEOUT || err == CFGS_ERR_BUSY) {
            sched_yield();
            continue;
        }
        REQUIRE(err == CFGS_OK, "next: %s", cfgs_strerror(err));
        if (event.kind == CFGS_EVENT_SNAPSHOT) {
            REQUIRE(event.sequence >= last, "a snapshot leads back");
            memset(model, 0, sizeof *model);
            stats->snapshots++;
            stats->laps += event.reason == CFGS_SNAPSHOT_LAPPED;
        } else {
            REQUIRE(event.sequence == last + 1, "ID %" PRIu64 " after %" PRIu64, event.sequence, last);
            const char *wrong = event.removed ? NULL : setting_wrong(&event.setting, scratch, &key);
            REQUIRE(wrong == NULL, "ID %" PRIu64 ": %s", event.sequence, wrong);
            key = key_parse(event.setting.key);
            REQUIRE(key >= 0, "an unknown key");
            uint64_t old = model->sequence[key];
            if (old != 0) {
                cfgs_setting before = {event.setting.key, event.old, event.old_source_name, event.old_source, 0, old};
                REQUIRE(event.has_old && setting_wrong(&before, scratch, &key) == NULL, "ID %" PRIu64 ": not our old value",
                        event.sequence);
            }
            model->sequence[key] = event.removed ? 0 : event.sequence;
            stats->updates++;
        }
        last = event.sequence;
        if (role == SLOW && ++since_nap % 100 == 0)
            while (!over() && atomic_load(&control->acknowledged) < last + workload.ring_slots)
                sched_yield();
    }
    REQUIRE(last == atomic_load(&control->final), "a stream ended at ID %" PRIu64, last);
    free(model);
    scratch_free(scratch);
}

/* Ints of a view are copies: a group adds up, and is of one batch by its last key. */
static void int_view(struct view_reader *views)
{
    unsigned first = GROUP_FIRST + GROUP_KEYS * random_below(&views->random, GROUPS), there = 0;
    int64_t value[GROUP_KEYS];
    cfgs_view view;
    int err = cfgs_view_begin(views->reader, &view);

    if (err != CFGS_OK) {
        REQUIRE(err == CFGS_ERR_BUSY, "a view: %s", cfgs_strerror(err));
        return;
    }
    do {
        there = 0;
        for (unsigned i = 0; i < GROUP_KEYS; i++)
            there += cfgs_view_get_int(&view, key_name(first + i), &value[i]) == CFGS_OK;
    } while (cfgs_view_retry(&view));
    if (cfgs_view_error(&view) != CFGS_OK)
        return;
    REQUIRE(there == 0 || there == GROUP_KEYS, "a view has %u keys of a batch", there);
    REQUIRE(there == 0 || value[0] + value[1] == GROUP_TOTAL, "two keys of a batch do not add up");
    for (unsigned i = 2; i < there; i++)
        REQUIRE(value[i] == value[0] + (int64_t)i, "keys of different batches");
    REQUIRE(cfgs_view_sequence(&view) >= views->last, "views went back");
    views->last = cfgs_view_sequence(&view);
    views->stats->views++;
}

static void run_reads(unsigned role, cfgs_reader *reader)
{
    struct view_reader views = {reader, &control->readers[role], scratch_new(), NULL, 0, {0}, seed + role};
    cfgs_handle *handle;

    REQUIRE(cfgs_handle_new(reader, key_name(3), &handle) == CFGS_OK, "no handle");
    while (!over()) {
        int64_t value;
        if (role == SHARED_VIEWS) {
            int_view(&views);
        } else if (role == SHARED_HANDLES) {
            int err = cfgs_handle_get_int(handle, &value);
            REQUIRE(err == CFGS_OK || err == CFGS_ERR_BUSY, "a handle: %s", cfgs_strerror(err));
            if (err == CFGS_OK)
                mono_check(&views, 3, value, "a handle");
            views.stats->reads++;
        } else {
            point_round(&views);
            copy_round(&views);
        }
    }
    cfgs_handle_free(handle);
    scratch_free(views.scratch);
}

static void *thread_main(void *argument)
{
    unsigned role = (unsigned)(uintptr_t)argument;
    bool sharing = role >= SHARED_POINTS;
    struct mapped_reader mapped = sharing ? shared : mapped_open();

    if (role <= SLOW)
        run_events(role, mapped.reader);
    else
        run_reads(role, mapped.reader);
    if (!sharing)
        mapped_close(&mapped);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[ROLES];

    run_ns = strtoull(argc > 1 ? argv[1] : "5", NULL, 10) * 1000000000u;
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : now_ns();
    snprintf(instance, sizeof instance, "threads-%d", (int)getpid());
    test_begin(instance);
    control_new();
    printf("threads: seed %" PRIu64 "\n", seed);
    struct producer *producer = producer_open(&workload, instance, seed);
    publisher = producer->publisher;
    produce_first_load(producer);
    shared = mapped_open();
    for (unsigned role = 0; role < ROLES; role++)
        REQUIRE(pthread_create(&threads[role], NULL, thread_main, (void *)(uintptr_t)role) == 0, "pthread_create");
    for (uint64_t end = now_ns() + run_ns; now_ns() < end;)
        produce(producer);
    stage_set(producer, 0);
    atomic_store(&control->final, cfgs_publisher_sequence(publisher) + 1);
    produce_commit(producer);
    for (unsigned role = 0; role < ROLES; role++)
        pthread_join(threads[role], NULL);
    mapped_close(&shared);
    for (unsigned role = 0; role < ROLES; role++) {
        struct reader_stats *stats = &control->readers[role];
        printf("reader %u %s: views=%" PRIu64 " reads=%" PRIu64 " updates=%" PRIu64 " snapshots=%" PRIu64 " laps=%" PRIu64
               "\n",
               role, kinds[role], stats->views, stats->reads, stats->updates, stats->snapshots, stats->laps);
        REQUIRE(stats->views + stats->reads + stats->updates > 0, "reader %u did nothing", role);
    }
    REQUIRE(control->readers[SLOW].laps > 0, "the slow reader was not lapped");
    /* [counters] relaxed: nobody writes any more. */
    printf("threads: passed: %" PRIu64 " commits, last ID %" PRIu64 ", %" PRIu64 " rebuilds\n", producer->commits,
           cfgs_publisher_sequence(publisher), word_load_relaxed(&publisher->file.header->counters.rebuilds));
    producer_free(producer, true);
    return 0;
}
