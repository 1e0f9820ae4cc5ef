/* snapshots.c: the state as one message: its content, its sharing, its bounds.  SPDX-License-Identifier: Apache-2.0 */
#include "../../shm/support.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static cfgs_publisher *publisher;
static cfgs_reader *reader;
static struct limits limits;
static struct log quiet = {.level = LOG_OFF};
static struct snapshots *snapshots;

static void set_up(void)
{
    publisher = publish_with(NULL, (cfgs_publisher_options){.in_memory = true, .ring_slots = 64, .origin = "datadog.yaml",
                                                            .max_size = 256u << 20});
    reader = reader_of(publisher);
    limits_init(&limits);
    snapshots = snapshots_new(&limits, &quiet);
    cr_assert_not_null(snapshots);
}

static void tear_down(void)
{
    snapshots_free(snapshots);
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, false);
}

TestSuite(snapshots, .init = set_up, .fini = tear_down);

static enum snapshot_result try_get(uint64_t from, const struct snapshot **out)
{
    return snapshots_get(snapshots, reader, 1, from, out);
}

static const struct snapshot *get(uint64_t from)
{
    const struct snapshot *snapshot = NULL;
    cr_assert_eq(try_get(from, &snapshot), SNAPSHOT_OK);
    return snapshot;
}

static void release(const struct snapshot *snapshot)
{
    snapshots_release(snapshots, snapshot);
}

static struct snapshots_info info(void)
{
    struct snapshots_info info;
    snapshots_info(snapshots, &info);
    return info;
}

/* So many changes of one key. */
static void change(int times)
{
    static int value = 1000;
    for (int i = 0; i < times; i++)
        set_int(publisher, "changing", value++);
}

Test(snapshots, hold_every_setting_with_its_source_and_the_id)
{
    first_commit(publisher);
    set_int(publisher, "cmd_port", 5001);
    set_value(publisher, "site", text_value("example.org"), CFGS_SOURCE_CLI);
    set_int(publisher, "gone", 1);
    remove_key(publisher, "gone");
    const struct snapshot *snapshot = get(0);
    Datadog__Model__V1__ConfigEvent *event = event_of(snapshot->bytes, snapshot->length);
    cr_assert_eq(event->event_case, DATADOG__MODEL__V1__CONFIG_EVENT__EVENT_SNAPSHOT);
    cr_assert_str_eq(event->snapshot->origin, "datadog.yaml");
    cr_assert(event->snapshot->sequence_id == 4 && snapshot->sequence == 4);
    cr_assert(event->snapshot->n_settings == 2 && snapshot->settings == 2);
    const Datadog__Model__V1__ConfigSetting *setting = setting_of_key(event->snapshot, "cmd_port");
    cr_assert_str_eq(setting->source, "file");
    cr_assert_eq(setting->value->number_value, 5001);
    setting = setting_of_key(event->snapshot, "site");
    cr_assert_str_eq(setting->source, "cli");
    cr_assert_str_eq(setting->value->string_value, "example.org");
    event_free(event);
    release(snapshot);
}

Test(snapshots, leave_out_what_has_no_form_in_a_stream)
{
    cfgs_setting setting = setting_of("nan", cfgs_value_double(NAN), CFGS_SOURCE_FILE);
    setting.flags = CFGS_SETTING_LOCAL;
    set_int(publisher, "a", 1);
    ok(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL));
    const struct snapshot *snapshot = get(0);
    Datadog__Model__V1__ConfigEvent *event = event_of(snapshot->bytes, snapshot->length);
    cr_assert(event->snapshot->n_settings == 1 && event->snapshot->sequence_id == 2);
    cr_assert_null(setting_of_key(event->snapshot, "nan"));
    event_free(event);
    release(snapshot);
}

Test(snapshots, are_not_there_before_the_producers_first)
{
    const struct snapshot *snapshot;
    cr_assert_eq(try_get(0, &snapshot), SNAPSHOT_NOT_READY);
    first_commit(publisher);
    snapshot = get(0);
    Datadog__Model__V1__ConfigEvent *event = event_of(snapshot->bytes, snapshot->length);
    cr_assert(event->snapshot->n_settings == 0 && event->snapshot->sequence_id == 0);
    event_free(event);
    release(snapshot);
}

Test(snapshots, of_another_arena_than_the_named_one_are_refused)
{
    const struct snapshot *snapshot;
    first_commit(publisher);
    cr_assert_eq(snapshots_get(snapshots, reader, 2, 0, &snapshot), SNAPSHOT_REPLACED);
}

/* decisions 2 */
Test(snapshots, are_shared_until_there_is_an_update)
{
    load_ints(publisher, "key.", 30, false);
    const struct snapshot *first = get(0), *again = get(0);
    cr_assert(again == first && info().built == 1);
    release(again);
    change(80); /* the ring has lost the first of them: at once a new one */
    again = get(0);
    cr_assert(again != first && again->sequence == cfgs_publisher_sequence(publisher) && info().built == 2);
    release(again);
    release(first);
}

Test(snapshots, show_the_state_as_it_is_soon_after_an_update)
{
    load_ints(publisher, "key.", 30, false);
    release(get(0));
    change(1);
    const struct snapshot *newest = get(0);
    while (newest->sequence != cfgs_publisher_sequence(publisher)) { /* hangs, and the test with it, if it never does */
        release(newest);
        newest = get(0);
    }
    release(newest);
}

static uint64_t time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

Test(snapshots, take_at_most_a_tenth_of_the_time_to_build)
{
    cfgs_publisher *large = publish_in_memory(1 << 16); /* so that no lap makes one necessary */
    cfgs_reader *its = reader_of(large);
    const struct snapshot *snapshot;
    load_ints(large, "key.", 2000, false);
    uint64_t start = time_ns(), building = 0, built = 0, longest = 0;
    for (int i = 0; built < 5; i++) { /* hangs, and the test with it, if none is ever built */
        set_int(large, "a", i);
        cr_assert_eq(snapshots_get(snapshots, its, 1, 0, &snapshot), SNAPSHOT_OK);
        release(snapshot);
        if (info().built == built)
            continue;
        built = info().built;
        building += info().last_build_ns;
        longest = info().last_build_ns > longest ? info().last_build_ns : longest;
    }
    cr_expect_leq(building, (time_ns() - start) / 10 + longest);
    cfgs_reader_close(its);
    cfgs_publisher_close(large, false);
}

Test(snapshots, are_never_older_than_what_a_stream_has_sent)
{
    change(1);
    release(get(0));
    change(1);
    const struct snapshot *snapshot = get(2);
    cr_assert(snapshot->sequence == 2 && info().built == 2);
    release(snapshot);
}

Test(snapshots, of_one_arena_are_not_handed_out_to_readers_of_another)
{
    cfgs_publisher *other = publish_in_memory(64);
    cfgs_reader *its = reader_of(other);
    const struct snapshot *snapshot;
    set_int(publisher, "a", 1);
    set_int(other, "b", 1);
    release(get(0));
    cr_assert_eq(snapshots_get(snapshots, its, 1, 0, &snapshot), SNAPSHOT_OK);
    Datadog__Model__V1__ConfigEvent *event = event_of(snapshot->bytes, snapshot->length);
    cr_assert_not_null(setting_of_key(event->snapshot, "b"));
    event_free(event);
    release(snapshot);
    cfgs_reader_close(its);
    cfgs_publisher_close(other, false);
}

/* No more address space than there is. */
static void take_memory_away(bool away)
{
    unsigned long pages = 0;
    struct rlimit limit;
    FILE *file = fopen("/proc/self/statm", "re");
    cr_assert(file != NULL && fscanf(file, "%lu", &pages) == 1 && getrlimit(RLIMIT_AS, &limit) == 0);
    fclose(file);
    limit.rlim_cur = away ? pages * (rlim_t)sysconf(_SC_PAGESIZE) : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

Test(snapshots, without_memory_for_a_newer_one_those_serve_on_that_a_client_can_go_on_from)
{
    const struct snapshot *snapshot = NULL;
    change(1);
    release(get(0));
    change(1);
    for (uint64_t fresh = time_ns() + 10 * info().last_build_ns; time_ns() <= fresh;)
        continue;
    take_memory_away(true);
    enum snapshot_result with = try_get(0, &snapshot), without = try_get(2, &(const struct snapshot *){NULL});
    take_memory_away(false);
    cr_assert(with == SNAPSHOT_OK && snapshot->sequence == 1 && info().built == 1);
    cr_expect_eq(without, SNAPSHOT_FAILED, "no client may go back");
    release(snapshot);
    snapshot = get(2);
    cr_expect_eq(snapshot->sequence, 2);
    release(snapshot);
}

Test(snapshots, stay_while_somebody_holds_them_and_go_when_nobody_does)
{
    change(1);
    const struct snapshot *held = get(0);
    size_t length = held->length;
    change(100);
    release(get(0));
    cr_assert_eq(info().alive, 2);
    event_free(event_of(held->bytes, held->length));
    release(held);
    cr_assert(info().alive == 1 && info().bytes_alive == info().last_bytes && info().bytes_alive >= length);
}

Test(snapshots, beyond_their_number_there_is_no_room_until_one_is_given_back)
{
    const struct snapshot *held[2], *snapshot;
    SET_LIMIT(limits, max_snapshots, 2);
    for (int i = 0; i < 2; i++) {
        change(100);
        held[i] = get(0);
    }
    change(100);
    cr_assert_eq(try_get(0, &snapshot), SNAPSHOT_NO_ROOM);
    release(held[0]);
    release(get(0));
    release(held[1]);
}

Test(snapshots, an_older_one_that_still_serves_is_better_than_none)
{
    SET_LIMIT(limits, max_snapshots, 1);
    cfgs_publisher *long_ring = publish_in_memory(1024);
    cfgs_reader *its = reader_of(long_ring);
    const struct snapshot *first, *second;
    set_int(long_ring, "a", 0);
    cr_assert_eq(snapshots_get(snapshots, its, 1, 0, &first), SNAPSHOT_OK);
    for (int i = 1; i <= 300; i++)
        set_int(long_ring, "a", i);
    cr_assert_eq(snapshots_get(snapshots, its, 1, 0, &second), SNAPSHOT_OK);
    cr_assert_eq(first, second);
    release(second);
    release(first);
    cfgs_reader_close(its);
    cfgs_publisher_close(long_ring, false);
}

Test(snapshots, beyond_their_memory_there_is_no_room)
{
    const struct snapshot *held, *snapshot;
    load_ints(publisher, "key.", 30, false);
    held = get(0);
    SET_LIMIT(limits, max_snapshot_memory, (int64_t)held->length * 3 / 2);
    change(100);
    cr_assert_eq(try_get(0, &snapshot), SNAPSHOT_NO_ROOM);
    release(held);
    release(get(0));
}

Test(snapshots, too_large_ones_are_refused)
{
    const struct snapshot *snapshot = NULL;
    load_ints(publisher, "key.", 100, false);
    release(get(0));
    SET_LIMIT(limits, max_snapshot_bytes, 1024);
    change(100);
    cr_assert_eq(info().refused, 0);
    cr_assert_eq(try_get(0, &snapshot), SNAPSHOT_TOO_LARGE);
    cr_assert_eq(info().refused, 1);
    SET_LIMIT(limits, max_snapshot_bytes, 100000);
    release(get(0));
    cr_assert_eq(info().refused, 1);
}

static int views_left = -1; /* until the producer is too busy for one; -1: it never is */
static unsigned views_refused;

int __real_cfgs_view_begin(cfgs_reader *its, cfgs_view *view);
int __wrap_cfgs_view_begin(cfgs_reader *its, cfgs_view *view);

int __wrap_cfgs_view_begin(cfgs_reader *its, cfgs_view *view)
{
    if (views_left == 0) {
        views_refused++;
        return CFGS_ERR_BUSY;
    }
    views_left -= views_left > 0;
    return __real_cfgs_view_begin(its, view);
}

/* It publishes faster than it can be read: that ends nobody's stream. */
Test(snapshots, of_a_producer_that_is_too_busy_come_later)
{
    const struct snapshot *snapshot, *older;
    change(1);
    older = get(0);
    change(1);
    for (int views = 0; views <= 1; views++) {
        views_left = views;
        cr_expect_eq(try_get(2, &snapshot), SNAPSHOT_NOT_READY, "after %d views", views);
    }
    views_left = -1;
    release(get(2));
    release(older);
}

Test(snapshots, an_older_one_that_still_serves_is_better_than_a_busy_producer)
{
    change(1);
    release(get(0));
    change(1);
    while (views_refused == 0) { /* hangs, and the test with it, if no newer one is ever tried */
        views_left = 1;
        const struct snapshot *snapshot = get(0);
        cr_expect_eq(snapshot->sequence, 1);
        release(snapshot);
    }
    views_left = -1;
}

/* decisions 1 */
Test(snapshots, those_that_clients_may_refuse_are_counted)
{
    enum { BYTES = 5 << 20 };
    char *text = malloc(BYTES);
    memset(text, 'x', BYTES);
    change(1);
    release(get(0));
    cr_assert_eq(info().oversized, 0);
    set_value(publisher, "large", cfgs_value_string(text, BYTES), CFGS_SOURCE_FILE);
    release(get(2));
    cr_assert(info().oversized == 1 && info().last_bytes > BYTES && info().last_build_ns > 0);
    free(text);
}
