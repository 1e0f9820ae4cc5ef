/* passing.c: a stream from elsewhere: encoded snapshots and updates, restarts, and arenas that take the place of others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "passing_support.h"
#include <poll.h>

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
