/* passing.c: a stream from elsewhere: encoded snapshots and updates, restarts, and arenas that take the place of others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "passing_support.h"
#include <poll.h>
#include <sys/stat.h>

TestSuite(passing, .fini = names_clean);

Test(passing, a_snapshot_is_taken_with_its_id_and_updates_follow)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);

    snapshot(p, 41, "a", 1, "b", 2);
    cr_assert_eq(cfgs_publisher_sequence(p), 41);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_INITIAL).sequence, 41);
    cr_assert(int_of(r, "a") == 1 && int_of(r, "b") == 2);
    update_int(p, 42, "a", 7);
    cfgs_event event = next_update(r, "a");
    cr_assert(event.sequence == 42 && event.setting.value.as.integer == 7 && event.has_old && event.old.as.integer == 1);
    no_event(r);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* A producer before its first change has ID 0 and may have settings. */
Test(passing, a_snapshot_of_id_0_is_a_state)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);

    snapshot(p, 0, "a", 1, "b", 2);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_INITIAL).sequence, 0);
    cr_assert(int_of(r, "a") == 1 && setting_in(r, "a").sequence == 0);
    update_int(p, 1, "a", 2);
    cr_assert_eq(next_update(r, "a").sequence, 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(passing, what_is_as_before_keeps_its_id_in_a_later_snapshot)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);

    snapshot(p, 10, "a", 1, "b", 2);
    snapshot(p, 20, "a", 1, "b", 3);
    cr_assert(setting_in(r, "a").sequence == 10 && setting_in(r, "b").sequence == 20);
    snapshot(p, 30, "a", 1, NULL, 0);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "b", &(int64_t){0}));
    cr_assert_eq(setting_in(r, "a").sequence, 10);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_INITIAL).sequence, 30);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(passing, the_last_id_with_the_same_state_is_nothing)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    uint8_t before[16], after[16];

    snapshot(p, 10, "a", 1, "b", 2);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cfgs_publisher_instance_id(p, before);
    snapshot(p, 10, "b", 2, "a", 1);
    cfgs_publisher_instance_id(p, after);
    cr_assert_arr_eq(before, after, sizeof before);
    no_event(r);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* In memory and named. */
static void restart(cfgs_publisher *p, uint64_t from, uint64_t to)
{
    cfgs_reader *r = reader_of(p);
    uint8_t before[16], after[16];

    snapshot(p, from, "a", 1, "b", 2);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cfgs_publisher_instance_id(p, before);
    snapshot(p, to, "a", 5, "c", 3);
    cfgs_publisher_instance_id(p, after);
    cr_assert(memcmp(before, after, sizeof before) != 0, "a new arena");
    cr_assert_eq(cfgs_publisher_sequence(p), to);
    cr_assert(int_of(r, "a") == 5 && int_of(r, "c") == 3);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "b", &(int64_t){0}));
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_REPLACED).sequence, to);
    cr_assert_eq(setting_in(r, "a").sequence, to);
    update_int(p, to + 1, "a", 6);
    cr_assert_eq(next_update(r, "a").sequence, to + 1);
    cfgs_reader *late = reader_of(p);
    cr_assert_eq(next_snapshot(late, CFGS_SNAPSHOT_INITIAL).sequence, to + 1);
    cfgs_reader_close(late);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(passing, a_lower_id_is_a_new_arena_for_the_same_readers_in_memory)
{
    restart(publish_in_memory(64), 100, 7);
}

Test(passing, a_lower_id_is_a_new_arena_for_the_same_readers_of_a_name)
{
    restart(publish(new_instance()), 100, 7);
}

Test(passing, the_last_id_with_another_state_is_a_new_arena)
{
    restart(publish_in_memory(64), 100, 100);
    restart(publish(new_instance()), 100, 100);
}

Test(passing, a_restart_at_id_0_is_a_new_arena)
{
    restart(publish_in_memory(64), 1, 0);
}

/* Several restarts between two looks: the rate limit of looking for a successor is for looks in vain. */
Test(passing, restarts_in_quick_succession_are_seen_by_the_next_read)
{
    cfgs_publisher *p[] = {publish_in_memory(64), publish(new_instance())};

    for (int i = 0; i < 2; i++) {
        cfgs_reader *r = reader_of(p[i]);
        for (int64_t round = 1; round <= 50; round++) {
            snapshot(p[i], 7, "a", round, NULL, 0);
            cr_assert_eq(int_of(r, "a"), round);
        }
        snapshot(p[i], 5, "a", 0, NULL, 0);
        snapshot(p[i], 3, "a", 9, NULL, 0);
        cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_INITIAL).sequence, 3);
        cfgs_reader_close(r);
        cfgs_publisher_close(p[i], true);
    }
}

static void stage_source(cfgs_batch *batch, const char *source, const char *key, int64_t number)
{
    struct message value = {0}, setting = {0};

    put_number(&value, (double)number);
    put_setting(&setting, source, key, &value, "cli");
    ok(cfgs_batch_set_encoded(batch, setting.bytes, setting.length));
    message_free(&value);
    message_free(&setting);
}

/* interfaces: sources in one snapshot may overlap; the number of a source is its priority. */
Test(passing, of_several_entries_for_a_key_the_highest_source_counts)
{
    static const char *const sources[] = {NULL, "theirs", "default", "file", "cli"};
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    uint64_t id = 0;

    for (unsigned high = 0; high < 5; high++)
        for (unsigned low = 0; low <= high; low++)
            for (unsigned order = 0; order < 2; order++) {
                cfgs_batch *batch;
                ok(cfgs_batch_begin(p, &batch));
                cfgs_batch_snapshot(batch, ++id);
                stage_source(batch, sources[order == 0 ? low : high], "k", order == 0 ? 1 : 2);
                stage_source(batch, sources[order == 0 ? high : low], "k", order == 0 ? 2 : 1);
                ok(cfgs_batch_commit(batch, NULL));
                /* Of equal ones the last. */
                cr_assert_eq(int_of(r, "k"), low == high ? (order == 0 ? 2 : 1) : 2, "%u and %u", low, high);
                cr_assert_eq(status_of(r).settings, 1);
            }
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(passing, only_the_next_id_is_an_update)
{
    cfgs_publisher *p = publish_in_memory(64);
    static const char setting[] = "\x0a\x04" "file\x12\x01" "a\x1a\x02\x20\x01";

    fails(CFGS_ERR_INVALID, cfgs_publisher_set_encoded(p, 1, setting, sizeof setting - 1));
    snapshot(p, 10, "a", 1, NULL, 0);
    for (uint64_t id = 0; id < 20; id++)
        if (id != 11)
            fails(CFGS_ERR_INVALID, cfgs_publisher_set_encoded(p, id, setting, sizeof setting - 1));
    ok(cfgs_publisher_set_encoded(p, 11, setting, sizeof setting - 1));
    fails(CFGS_ERR_INVALID, cfgs_publisher_set_encoded(p, 11, setting, sizeof setting - 1));
    cr_assert_eq(cfgs_publisher_sequence(p), 11);
    cfgs_publisher_close(p, false);
}

Test(passing, ids_end_where_counting_does)
{
    cfgs_publisher *p = publish_in_memory(64);
    static const char setting[] = "\x0a\x04" "file\x12\x01" "a\x1a\x02\x20\x01";
    cfgs_batch *batch;

    for (int round = 0; round < 2; round++) {
        ok(cfgs_batch_begin(p, &batch));
        cfgs_batch_snapshot(batch, SEQUENCE_MAX + 1);
        fails(CFGS_ERR_INVALID, cfgs_batch_commit(batch, NULL));
        snapshot(p, SEQUENCE_MAX, "a", 1, NULL, 0);
    }
    fails(CFGS_ERR_INVALID, cfgs_publisher_set_encoded(p, SEQUENCE_MAX + 1, setting, sizeof setting - 1));
    cfgs_publisher_close(p, false);
}

/* The IDs that were sent are the IDs that are seen. */
Test(passing, an_update_takes_its_id_also_when_it_changes_nothing)
{
    static const char removal[] = "\x12\x05" "never\x22\x04" "file";
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);

    snapshot(p, 10, "a", 1, NULL, 0);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    update_int(p, 11, "a", 1);
    cfgs_event event = next_update(r, "a");
    cr_assert(event.sequence == 11 && event.has_old && cfgs_value_equal(&event.old, &event.setting.value));
    for (uint64_t id = 12; id < 14; id++) {
        ok(cfgs_publisher_set_encoded(p, id, removal, sizeof removal - 1));
        event = next_update(r, "never");
        cr_assert(event.sequence == id && event.removed && !event.has_old && event.unset_source == CFGS_SOURCE_FILE);
    }
    cr_assert_eq(status_of(r).settings, 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* Without a value the key is gone, whatever source the sender names; its IDs and its readers go on. */
Test(passing, an_update_without_a_value_removes_the_key)
{
    static const char removal[] = "\x0a\x03" "cli\x12\x01" "a\x22\x03" "cli";
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);

    snapshot(p, 10, "a", 1, "b", 2);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    ok(cfgs_publisher_set_encoded(p, 11, removal, sizeof removal - 1));
    cfgs_event event = next_update(r, "a");
    cr_assert(event.removed && event.has_old && event.setting.source == CFGS_SOURCE_NONE &&
              event.unset_source == CFGS_SOURCE_CLI);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "a", &(int64_t){0}));
    update_int(p, 12, "a", 3);
    event = next_update(r, "a");
    cr_assert(!event.has_old && event.setting.value.as.integer == 3);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* In a snapshot every entry is a setting: without a value it is null. */
Test(passing, a_snapshot_entry_without_a_value_is_null)
{
    static const char setting[] = "\x0a\x03" "cli\x12\x01" "a\x22\x03" "cli";
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_batch *batch;

    ok(cfgs_batch_begin(p, &batch));
    cfgs_batch_snapshot(batch, 3);
    ok(cfgs_batch_set_encoded(batch, setting, sizeof setting - 1));
    ok(cfgs_batch_commit(batch, NULL));
    cfgs_setting got = setting_in(r, "a");
    cr_assert(got.value.kind == CFGS_KIND_NULL && got.source == CFGS_SOURCE_CLI);
    fails(CFGS_ERR_INVALID, cfgs_batch_set_encoded(batch, setting, sizeof setting - 1));
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* Removals of what is not there leave tombstones, which a sender may pile up. */
Test(passing, any_number_of_removals_fits_into_the_arena)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    cfgs_batch *batch;
    struct message removal = {0};

    ok(cfgs_batch_begin(p, &batch));
    cfgs_batch_snapshot(batch, 0);
    ok(cfgs_batch_commit(batch, NULL));
    uint64_t before = status_of(r).size_bytes;
    for (uint64_t id = 1; id <= 5000; id++) {
        char key[1025];
        memset(key, 'k', 1000);
        snprintf(key + 1000, sizeof key - 1000, "%llu", (unsigned long long)id);
        removal.length = 0;
        put_setting(&removal, NULL, key, NULL, NULL);
        ok(cfgs_publisher_set_encoded(p, id, removal.bytes, removal.length));
    }
    cfgs_reader_info info = status_of(r);
    cr_assert(info.sequence == 5000 && info.settings == 0 && info.counters.rebuilds > 2);
    cr_assert(info.size_bytes <= before + (1u << 20), "%llu bytes", (unsigned long long)info.size_bytes);
    message_free(&removal);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(passing, a_restart_without_room_leaves_everything_as_it_was)
{
    cfgs_publisher *p = publish_with(NULL, (cfgs_publisher_options){.in_memory = true, .max_size = 2u << 20});
    cfgs_reader *r = reader_of(p);
    struct message value = {0}, setting = {0};
    uint8_t before[16], after[16];
    cfgs_batch *batch;
    char *text = malloc(3u << 20);

    cr_assert_not_null(text);
    memset(text, 'x', 3u << 20);
    put_field(&value, 3, text, 3u << 20);
    put_setting(&setting, "file", "large", &value, NULL);
    snapshot(p, 10, "a", 1, NULL, 0);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cfgs_publisher_instance_id(p, before);
    ok(cfgs_batch_begin(p, &batch));
    cfgs_batch_snapshot(batch, 5);
    ok(cfgs_batch_set_encoded(batch, setting.bytes, setting.length));
    fails(CFGS_ERR_NO_SPACE, cfgs_batch_commit(batch, NULL));
    cr_assert(cfgs_publisher_error(p)->bytes_needed > 3u << 20);
    cfgs_publisher_instance_id(p, after);
    cr_assert_arr_eq(before, after, 16);
    no_event(r);
    update_int(p, 11, "a", 2);
    cr_assert_eq(next_update(r, "a").sequence, 11);
    free(text);
    message_free(&value);
    message_free(&setting);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* Five bytes on the wire are eighty here: a sender who repeats them must not fill the memory with what no arena can hold. */
Test(passing, no_more_is_staged_than_the_arena_could_hold)
{
    cfgs_publisher *p = publish_with(NULL, (cfgs_publisher_options){.in_memory = true, .max_size = 1u << 20});
    cfgs_reader *r = reader_of(p);
    cfgs_batch *batch;
    int err = CFGS_OK;

    snapshot(p, 10, "a", 1, NULL, 0);
    ok(cfgs_batch_begin(p, &batch));
    cfgs_batch_snapshot(batch, 20);
    for (int i = 0; i < 1 << 20 && err == CFGS_OK; i++)
        err = cfgs_batch_set_encoded(batch, "\x12\x01k", 3);
    fails(CFGS_ERR_NO_SPACE, err);
    cr_assert_eq(cfgs_publisher_error(p)->code, CFGS_ERR_NO_SPACE);
    cfgs_batch_abort(batch);
    cr_assert(cfgs_publisher_sequence(p) == 10 && int_of(r, "a") == 1);
    update_int(p, 11, "a", 2);
    cr_assert_eq(int_of(r, "a"), 2);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* ---- who waits --------------------------------------------------------------------------------------------------- */

static void check_descriptor(cfgs_publisher *p)
{
    cfgs_reader *r = reader_of(p);
    struct pollfd poll_fd = {.events = POLLIN};

    snapshot(p, 100, "a", 0, NULL, 0);
    ok(cfgs_reader_fd(r, &poll_fd.fd));
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    no_event(r);
    for (int64_t round = 1; round <= 20; round++) {
        snapshot(p, 99 - (uint64_t)round, "a", round, NULL, 0);
        cfgs_event event;
        int err;
        while ((err = cfgs_reader_next(r, &event, 0)) == CFGS_ERR_TIMEOUT)
            cr_assert_eq(poll(&poll_fd, 1, 5000), 1);
        ok(err);
        cr_assert(event.reason == CFGS_SNAPSHOT_REPLACED && event.sequence == 99 - (uint64_t)round);
        cr_assert_eq(int_of(r, "a"), round);
        no_event(r);
    }
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(passing, a_restart_makes_the_descriptor_readable)
{
    check_descriptor(publish_in_memory(64));
    check_descriptor(publish(new_instance()));
}

/* A handle remembers a cell of the arena it last read. */
Test(passing, handles_and_views_go_over_to_the_new_arena)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_handle *handle;
    cfgs_view view;
    int64_t value;

    snapshot(p, 100, "a", 1, NULL, 0);
    ok(cfgs_handle_new(r, "a", &handle));
    ok(cfgs_handle_get_int(handle, &value));
    ok(cfgs_view_begin(r, &view));
    ok(cfgs_view_get_int(&view, "a", &value));
    cr_assert_eq(value, 1);
    snapshot(p, 4, "a", 2, NULL, 0);
    ok(cfgs_handle_get_int(handle, &value));
    cr_assert_eq(value, 2);
    cr_assert(cfgs_view_retry(&view), "its arena was retired");
    ok(cfgs_view_get_int(&view, "a", &value));
    cr_assert(value == 2 && !cfgs_view_retry(&view) && cfgs_view_sequence(&view) == 4);
    cfgs_handle_free(handle);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* Mode and group are of the arena, not of the start; the ring and its history begin anew. */
Test(passing, a_named_restart_keeps_mode_and_geometry)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.set_mode = true, .mode = 0600, .ring_slots = 32,
                                                                       .max_size = 8u << 20});
    struct stat st;

    snapshot(p, 100, "a", 1, NULL, 0);
    snapshot(p, 5, "a", 2, NULL, 0);
    cr_assert_eq(stat(arena_path(instance), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600u);
    cfgs_reader *r = open_reader(instance);
    cfgs_reader_info info = status_of(r);
    cr_assert(info.ring_slots == 32 && info.max_size_bytes == 8u << 20 && info.sequence == 5 && info.ring_oldest == 0);
    await_state(r, CFGS_PRODUCER_RUNNING);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

/* A relay that is started again goes on with the arena it left, without a word to readers. */
/* Somebody removed arena and lock, and another producer has the name before we look after ours. */
Test(passing, a_restart_takes_no_name_that_another_producer_has_by_now)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    char lock[160];
    cfgs_batch *batch;

    snapshot(p, 100, "a", 1, NULL, 0);
    snprintf(lock, sizeof lock, "%s.lock", arena_path(instance));
    cr_assert(unlink(lock) == 0 && unlink(arena_path(instance)) == 0);
    cfgs_publisher *second = publish(instance);
    set_int(second, "theirs", 2);
    ok(cfgs_batch_begin(p, &batch));
    cfgs_batch_snapshot(batch, 7);
    stage_int(batch, "a", 3);
    fails(CFGS_ERR_LOCKED, cfgs_batch_commit(batch, NULL));
    cfgs_reader *r = open_reader(instance);
    cr_assert_eq(int_of(r, "theirs"), 2);
    fails(CFGS_ERR_LOCKED, cfgs_batch_begin(p, &batch));
    cfgs_publisher_close(p, true);
    cr_assert_eq(int_of(r, "theirs"), 2);
    cfgs_reader_close(r);
    cfgs_publisher_close(second, true);
}

Test(passing, a_republisher_that_comes_back_finds_the_state_it_left)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    cfgs_reader *r;

    snapshot(p, 100, "a", 1, "b", 2);
    update_int(p, 101, "a", 3);
    cfgs_publisher_abandon(p);
    r = open_reader(instance);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_INITIAL).sequence, 101);
    p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CRASHED);
    snapshot(p, 101, "b", 2, "a", 3);
    update_int(p, 102, "b", 4);
    cr_assert_eq(next_update(r, "b").sequence, 102);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}
