/* publisher.c: what publishing calls commit, and which IDs they take.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

TestSuite(publisher, .fini = names_clean);

static uint64_t commit(cfgs_batch *batch)
{
    uint64_t changes = UINT64_MAX;
    ok(cfgs_batch_commit(batch, &changes));
    return changes;
}

static cfgs_batch *begin(cfgs_publisher *publisher)
{
    cfgs_batch *batch = NULL;
    ok(cfgs_batch_begin(publisher, &batch));
    return batch;
}

static void stage_int(cfgs_batch *batch, const char *key, int64_t value)
{
    cfgs_setting setting = setting_of(key, cfgs_value_int(value), CFGS_SOURCE_FILE);
    ok(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
}

static void stage_removal(cfgs_batch *batch, const char *key)
{
    ok(cfgs_batch_remove(batch, key, strlen(key), CFGS_SOURCE_CLI));
}

Test(publisher, a_set_is_read_back_and_takes_the_next_id)
{
    cfgs_publisher *p = publish(new_instance());
    cfgs_reader *r = reader_of(p);
    uint64_t sequence;

    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_NEW);
    cr_assert_eq(cfgs_publisher_sequence(p), 0);
    cr_assert(set_int(p, "a", 1));
    cr_assert_eq(cfgs_publisher_sequence(p), 1);
    cr_assert(set_int(p, "a", 2));
    cr_assert(set_text(p, "b", "x"));
    cr_assert_eq(cfgs_publisher_sequence(p), 3);
    cr_assert_eq(int_of(r, "a"), 2);
    ok(cfgs_get_sequence(r, "a", &sequence));
    cr_assert_eq(sequence, 2);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(publisher, setting_what_is_there_takes_no_id)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_setting secret = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);
    bool changed;

    secret.flags = CFGS_SETTING_SECRET;
    cr_assert(set_int(p, "a", 1));
    cr_assert_not(set_int(p, "a", 1));
    cr_assert_eq(cfgs_publisher_sequence(p), 1);
    cr_assert(set_value(p, "a", cfgs_value_int(1), CFGS_SOURCE_CLI), "another source is a change");
    cr_assert(set_int(p, "a", 1));
    ok(cfgs_publisher_set(p, &secret, CFGS_SOURCE_NONE, &changed));
    cr_assert(changed, "another flag is a change");
    cr_assert(set_value(p, "a", cfgs_value_double(1), CFGS_SOURCE_FILE), "another kind is a change");
    cr_assert_not(remove_key(p, "absent"));
    cr_assert_eq(cfgs_publisher_sequence(p), 5);
    cfgs_publisher_close(p, false);
}

Test(publisher, a_removed_key_is_absent_and_can_come_back)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    int64_t value;

    set_int(p, "other", 5);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    for (int round = 0; round < 3; round++) {
        cr_assert(set_int(p, "a", round));
        cfgs_event event = next_update(r, "a");
        cr_assert_not(event.has_old, "a key that was gone has no old value");
        cr_assert_eq(int_of(r, "a"), round);
        cr_assert(remove_key(p, "a"));
        fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "a", &value));
        cr_assert_not(remove_key(p, "a"));
        event = next_update(r, "a");
        cr_assert(event.removed && event.has_old && event.old.as.integer == round);
        cr_assert_eq(event.unset_source, CFGS_SOURCE_FILE);
        cr_assert_eq(event.setting.source, CFGS_SOURCE_NONE);
        cr_assert_eq(event.setting.value.kind, CFGS_KIND_NULL);
    }
    cr_assert_eq(status_of(r).settings, 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, a_set_after_a_removal_of_the_same_content_is_a_change)
{
    cfgs_publisher *p = publish_in_memory(64);
    set_int(p, "a", 1);
    remove_key(p, "a");
    cr_assert(set_int(p, "a", 1));
    cr_assert_eq(cfgs_publisher_sequence(p), 3);
    cfgs_publisher_close(p, false);
}

Test(publisher, updates_carry_old_value_and_source_and_the_source_that_was_unset)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_setting fallback = setting_of("a", text_value("from file"), CFGS_SOURCE_FILE);

    set_value(p, "a", text_value("from cli"), CFGS_SOURCE_CLI);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    ok(cfgs_publisher_set(p, &fallback, CFGS_SOURCE_CLI, NULL));
    cfgs_event event = next_update(r, "a");
    cr_assert(event.has_old && bytes_are(event.old.as.bytes, "from cli"));
    cr_assert(event.old_source == CFGS_SOURCE_CLI && bytes_are(event.old_source_name, "cli"));
    cr_assert(event.unset_source == CFGS_SOURCE_CLI && bytes_are(event.unset_source_name, "cli"));
    cr_assert(bytes_are(event.setting.value.as.bytes, "from file"));
    cr_assert_eq(event.setting.key.data[event.setting.key.length], '\0', "a NUL follows the key");
    cr_assert_not(event.removed);
    set_int(p, "a", 3);
    event = next_update(r, "a");
    cr_assert(event.unset_source == CFGS_SOURCE_NONE && event.unset_source_name.length == 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, a_source_of_another_vocabulary_is_kept_as_text)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    cfgs_setting setting = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_VERBATIM);
    cfgs_view view;
    cfgs_setting out;
    int source;
    bool configured = false;

    fails(CFGS_ERR_INVALID, cfgs_publisher_set(p, &setting, 0, NULL));
    setting.source_name = (cfgs_bytes){"house-rules", 11};
    ok(cfgs_publisher_set(p, &setting, 0, NULL));
    ok(cfgs_get_source(r, "a", &source));
    cr_assert_eq(source, CFGS_SOURCE_VERBATIM);
    ok(cfgs_get_configured(r, "a", &configured));
    cr_assert(configured);
    ok(cfgs_view_begin(r, &view));
    ok(cfgs_view_get(&view, "a", &out));
    cr_assert(bytes_are(out.source_name, "house-rules"));
    setting.source = CFGS_SOURCE_NONE;
    fails(CFGS_ERR_INVALID, cfgs_publisher_set(p, &setting, 0, NULL));
    setting.source = 77;
    fails(CFGS_ERR_INVALID, cfgs_publisher_set(p, &setting, 0, NULL));
    cr_assert_eq(cfgs_publisher_sequence(p), 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, every_flag_travels_with_the_setting_and_through_a_rebuild)
{
    static const struct {
        const char *key;
        unsigned given, got;
    } cases[] = {
        {"plain", 0, 0},
        {"secret", CFGS_SETTING_SECRET, CFGS_SETTING_SECRET},
        {"undeclared", CFGS_SETTING_UNDECLARED, CFGS_SETTING_UNDECLARED},
        {"local", CFGS_SETTING_LOCAL, CFGS_SETTING_LOCAL},
        {"all", ~0u, CFGS_SETTING_SECRET | CFGS_SETTING_UNDECLARED | CFGS_SETTING_LOCAL},
    };
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfgs_setting setting = setting_of(cases[i].key, text_value("x"), CFGS_SOURCE_FILE);
        setting.flags = cases[i].given;
        ok(cfgs_publisher_set(p, &setting, 0, NULL));
    }
    for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            cr_assert_eq(setting_in(r, cases[i].key).flags, cases[i].got, "%s", cases[i].key);
        force_rebuild(p, r);
    }
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, a_change_of_flags_alone_is_an_update_that_shows_the_old_ones)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    cfgs_setting setting = setting_of("k", text_value("x"), CFGS_SOURCE_FILE);
    bool changed;

    setting.flags = CFGS_SETTING_UNDECLARED;
    ok(cfgs_publisher_set(p, &setting, 0, &changed));
    next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    setting.flags = CFGS_SETTING_LOCAL;
    ok(cfgs_publisher_set(p, &setting, 0, &changed));
    cr_assert(changed);
    cfgs_event event = next_update(r, "k");
    cr_assert_eq(event.setting.flags, CFGS_SETTING_LOCAL);
    cr_assert_eq(event.old_flags, CFGS_SETTING_UNDECLARED);
    ok(cfgs_publisher_set(p, &setting, 0, &changed));
    cr_assert_not(changed);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, what_is_refused_publishes_nothing_and_says_which_key)
{
    cfgs_publisher *p = publish_in_memory(16);
    char long_key[CFGS_KEY_MAX_BYTES + 2];
    cfgs_setting bad;

    set_int(p, "a", 1);
    memset(long_key, 'k', sizeof long_key);
    long_key[sizeof long_key - 1] = '\0';
    bad = setting_of(long_key, cfgs_value_int(1), CFGS_SOURCE_FILE);
    fails(CFGS_ERR_TOO_LARGE, cfgs_publisher_set(p, &bad, 0, NULL));
    fails(CFGS_ERR_TOO_LARGE, cfgs_publisher_remove(p, long_key, strlen(long_key), 0, NULL));
    bad = setting_of("", cfgs_value_int(1), CFGS_SOURCE_FILE);
    fails(CFGS_ERR_INVALID, cfgs_publisher_set(p, &bad, 0, NULL));
    bad = setting_of("the.bad.one", text_value("\xFF"), CFGS_SOURCE_FILE);
    fails(CFGS_ERR_ENCODING, cfgs_publisher_set(p, &bad, 0, NULL));
    cr_assert_not_null(strstr(cfgs_publisher_error(p)->message, "the.bad.one"));
    cr_assert_eq(cfgs_publisher_error(p)->code, CFGS_ERR_ENCODING);
    cr_assert_eq(cfgs_publisher_sequence(p), 1);
    cr_assert(set_int(p, "a", 2), "a refusal leaves the publisher usable");
    cfgs_publisher_close(p, false);
}

Test(publisher, a_batch_takes_consecutive_ids_and_shows_at_once)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);

    set_int(p, "x", 0);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cfgs_batch *batch = begin(p);
    stage_int(batch, "a", 1);
    stage_int(batch, "b", 2);
    stage_int(batch, "x", 0); /* no change */
    stage_int(batch, "c", 3);
    no_event(r);
    cr_assert_eq(commit(batch), 3);
    cr_assert_eq(next_update(r, "a").sequence, 2);
    cr_assert_eq(int_of(r, "c"), 3, "all is visible when the first update is");
    cr_assert_eq(next_update(r, "b").sequence, 3);
    cr_assert_eq(next_update(r, "c").sequence, 4);
    no_event(r);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, of_several_changes_to_one_key_in_a_batch_the_last_counts)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    int64_t value;

    set_int(p, "x", 0);
    cfgs_batch *batch = begin(p);
    stage_int(batch, "a", 1);
    stage_int(batch, "a", 2);
    stage_removal(batch, "b");
    stage_int(batch, "b", 3);
    stage_int(batch, "c", 4);
    stage_removal(batch, "c"); /* never existed: nothing changes */
    stage_int(batch, "x", 9);
    stage_int(batch, "x", 0); /* back to what is there */
    cr_assert_eq(commit(batch), 2);
    cr_assert_eq(int_of(r, "a"), 2);
    cr_assert_eq(int_of(r, "b"), 3);
    cr_assert_eq(int_of(r, "x"), 0);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "c", &value));
    cr_assert_eq(cfgs_publisher_sequence(p), 3);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, one_batch_at_a_time_and_no_single_change_beside_it)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_batch *batch = begin(p), *second;
    cfgs_setting setting = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);

    fails(CFGS_ERR_INVALID, cfgs_batch_begin(p, &second));
    fails(CFGS_ERR_INVALID, cfgs_publisher_set(p, &setting, 0, NULL));
    fails(CFGS_ERR_INVALID, cfgs_publisher_remove(p, "a", 1, 0, NULL));
    stage_int(batch, "b", 1);
    cfgs_batch_abort(batch);
    cfgs_batch_abort(NULL);
    cr_assert_eq(cfgs_publisher_sequence(p), 0);
    cr_assert(set_int(p, "a", 1));
    batch = begin(p);
    cr_assert_eq(commit(batch), 0, "the aborted batch left nothing");
    cfgs_publisher_close(p, false);
}

Test(publisher, an_empty_first_commit_makes_the_arena_ready)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    int64_t value;

    fails(CFGS_ERR_NOT_READY, cfgs_get_int(r, "a", &value));
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_STARTING);
    fails(CFGS_ERR_TIMEOUT, cfgs_reader_wait_ready(r, 0));
    no_event(r);
    first_commit(p);
    ok(cfgs_reader_wait_ready(r, 0));
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "a", &value));
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cr_assert(event.sequence == 0 && event.previous == 0);
    set_int(p, "a", 1);
    cr_assert_eq(next_update(r, "a").sequence, 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, more_than_half_the_ring_is_one_snapshot_and_half_of_it_is_updates)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);

    first_commit(p);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cr_assert_eq(load_ints(p, "half", 32, false), 32);
    for (uint64_t id = 1; id <= 32; id++)
        cr_assert_eq(next_event(r).sequence, id);
    no_event(r);
    cr_assert_eq(load_ints(p, "more", 33, false), 33);
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_LAPPED);
    cr_assert(event.sequence == 65 && event.previous == 32);
    no_event(r);
    cr_assert_eq(status_of(r).counters.loads, 2);
    cr_assert_eq(status_of(r).settings, 65);
    cr_assert_eq(int_of(r, "half31"), 31);
    cr_assert_eq(int_of(r, "more32"), 32);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, a_replacing_batch_removes_what_it_does_not_set)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    int64_t value;

    cr_assert_eq(load_ints(p, "k", 5, false), 5);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cfgs_batch *batch = begin(p);
    cfgs_batch_replace(batch);
    stage_int(batch, "k1", 1); /* as it is */
    stage_int(batch, "k2", 22);
    stage_int(batch, "new", 7);
    cr_assert_eq(commit(batch), 5); /* k2, new, and k0, k3, k4 gone */
    int removed = 0;
    for (int i = 0; i < 5; i++) {
        cfgs_event event = next_event(r);
        cr_assert_eq(event.kind, CFGS_EVENT_UPDATE);
        removed += event.removed;
        if (event.removed)
            cr_assert_eq(event.unset_source, CFGS_SOURCE_FILE);
    }
    cr_assert_eq(removed, 3);
    no_event(r);
    cr_assert_eq(int_of(r, "k1"), 1);
    cr_assert_eq(int_of(r, "k2"), 22);
    cr_assert_eq(int_of(r, "new"), 7);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "k0", &value));
    cr_assert_eq(status_of(r).settings, 3);

    batch = begin(p);
    cfgs_batch_replace(batch);
    cr_assert_eq(commit(batch), 3, "an empty replacement removes everything");
    cr_assert_eq(status_of(r).settings, 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, a_replacing_bulk_load_leaves_exactly_its_own_keys)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    cfgs_view view;
    size_t count = 0;

    load_ints(p, "old", 300, true);
    load_ints(p, "new", 200, true);
    ok(cfgs_view_begin(r, &view));
    while (cfgs_view_next(&view, &iterator, "", 0, &setting) == 1) {
        cr_assert_eq(memcmp(setting.key.data, "new", 3), 0);
        count++;
    }
    cr_assert_eq(count, 200);
    cr_assert_eq(status_of(r).settings, 200);
    cr_assert_eq(cfgs_publisher_sequence(p), 300 + 200 + 300);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, a_batch_at_an_id_stands_there_and_ids_go_on_from_it)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    uint64_t changes, sequence;

    set_int(p, "a", 1);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cfgs_batch *batch = begin(p);
    stage_int(batch, "a", 2);
    cfgs_batch_at(batch, 1000);
    cr_assert_eq(commit(batch), 999);
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_LAPPED);
    cr_assert(event.sequence == 1000 && event.previous == 1);
    ok(cfgs_get_sequence(r, "a", &sequence));
    cr_assert_eq(sequence, 1000);
    set_int(p, "a", 3);
    cr_assert_eq(next_update(r, "a").sequence, 1001);

    batch = begin(p);
    cfgs_batch_at(batch, 1001);
    fails(CFGS_ERR_INVALID, cfgs_batch_commit(batch, &changes));
    cr_assert_eq(cfgs_publisher_sequence(p), 1001);
    batch = begin(p);
    cfgs_batch_at(batch, 5000);
    cr_assert_eq(commit(batch), 3999, "takes effect even if nothing changed");
    cr_assert_eq(int_of(r, "a"), 3);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_LAPPED).sequence, 5000);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* shm-pitfalls 35: nothing narrower than 64 bits is used for validity, and no sign is taken for one. */
static void cross(uint64_t first)
{
    cfgs_publisher *p =
        publish_with(NULL, (cfgs_publisher_options){.in_memory = true, .ring_slots = 16, .first_sequence = first,
                                                    .max_size = 16u << 20});
    cfgs_reader *r = reader_of(p);
    uint64_t got;

    cr_assert_eq(cfgs_publisher_sequence(p), first - 1);
    first_commit(p);
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cr_assert_eq(event.sequence, first - 1);
    for (uint64_t i = 0; i < 40; i++) {
        set_int(p, "a", (int64_t)i);
        event = next_update(r, "a");
        cr_assert_eq(event.sequence, first + i);
        cr_assert(i == 0 || event.old.as.integer == (int64_t)i - 1);
        ok(cfgs_get_sequence(r, "a", &got));
        cr_assert_eq(got, first + i);
    }
    force_rebuild(p, r);
    ok(cfgs_get_sequence(r, "a", &got));
    cr_assert_eq(got, first + 39);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_LAPPED).sequence, cfgs_publisher_sequence(p));
    cr_assert_eq(load_ints(p, "bulk", 20, false), 20);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_LAPPED).sequence, cfgs_publisher_sequence(p));
    cr_assert_gt(status_of(r).ring_oldest + 1, 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(publisher, ids_cross_2_to_31)
{
    cross((UINT64_C(1) << 31) - 2);
}

Test(publisher, ids_cross_2_to_32)
{
    cross((UINT64_C(1) << 32) - 2);
}

Test(publisher, ids_cross_2_to_63)
{
    cross((UINT64_C(1) << 63) - 2);
}

Test(publisher, a_second_publisher_is_refused_with_the_pid_of_the_first)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_body, instance);
    cfgs_error_detail detail = {0};
    cfgs_publisher *p = NULL;
    char pid[32];

    await_ready(&child);
    fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .detail = &detail}, &p));
    cr_assert_null(p);
    cr_assert_eq(detail.holder_pid, child.pid);
    snprintf(pid, sizeof pid, "pid %d", (int)child.pid);
    cr_assert_not_null(strstr(detail.message, pid), "%s", detail.message);
    fails(CFGS_ERR_LOCKED, cfgs_arena_destroy(&(cfgs_publisher_options){.instance = instance, .detail = &detail}));
    let_go(&child);
    cr_assert_eq(child_end(&child), 0);
    p = publish(instance);
    cfgs_publisher *second;
    fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &second));
    cfgs_publisher_close(p, true);
    cr_assert_not(exists(arena_path(instance)));
}

static cfgs_publisher *inherited;

static void use_inherited(const char *instance)
{
    cfgs_setting setting = setting_of("a", cfgs_value_int(2), CFGS_SOURCE_FILE);
    cfgs_batch *batch;
    cfgs_reader *reader;
    cfgs_view view;
    (void)instance;
    CHECK(cfgs_publisher_set(inherited, &setting, 0, NULL) == CFGS_ERR_FORKED);
    CHECK(cfgs_publisher_remove(inherited, "a", 1, 0, NULL) == CFGS_ERR_FORKED);
    CHECK(cfgs_batch_begin(inherited, &batch) == CFGS_ERR_FORKED);
    CHECK(cfgs_publisher_view(inherited, &view) == CFGS_ERR_FORKED);
    CHECK(cfgs_publisher_reader(inherited, &reader) == CFGS_ERR_FORKED);
    CHECK(cfgs_publisher_keep_names(inherited, NULL) == CFGS_ERR_FORKED);
    cfgs_publisher_count_reload(inherited, true);
    cfgs_publisher_close(inherited, true);
}

Test(publisher, a_forked_child_cannot_publish_or_unlink)
{
    const char *instance = new_instance();
    inherited = publish(instance);
    set_int(inherited, "a", 1);
    struct child child = child_start(use_inherited, instance);
    cr_assert_eq(child_end(&child), 0);
    cr_assert(exists(arena_path(instance)));
    cfgs_reader *r = reader_of(inherited);
    cr_assert_eq(int_of(r, "a"), 1);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    cr_assert_eq(status_of(r).counters.reloads_ok, 0);
    cr_assert(set_int(inherited, "a", 3));
    cfgs_publisher *second;
    fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &second));
    cfgs_reader_close(r);
    cfgs_publisher_close(inherited, true);
}

Test(publisher, two_instances_know_nothing_of_each_other)
{
    cfgs_publisher *p = publish(new_instance()), *q = publish(new_instance());
    cfgs_reader *r = reader_of(p), *s = reader_of(q);
    int64_t value;

    set_int(p, "only.here", 1);
    set_int(q, "only.there", 2);
    cr_assert_eq(int_of(r, "only.here"), 1);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(r, "only.there", &value));
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_int(s, "only.here", &value));
    cr_assert_str_neq(status_of(r).instance_id, status_of(s).instance_id);
    cr_assert_str_neq(cfgs_publisher_path(p), cfgs_publisher_path(q));
    cfgs_publisher_close(p, true);
    cr_assert_eq(int_of(s, "only.there"), 2);
    cfgs_reader_close(r);
    cfgs_reader_close(s);
    cfgs_publisher_close(q, true);
}

Test(publisher, a_view_of_its_own_shows_the_committed_state)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    cfgs_view view;
    int64_t sum = 0;

    load_ints(p, "k", 100, false);
    ok(cfgs_publisher_view(p, &view));
    cr_assert_eq(cfgs_view_sequence(&view), 100);
    while (cfgs_view_next(&view, &iterator, "k", 1, &setting) == 1)
        sum += setting.value.as.integer;
    cr_assert_eq(sum, 99 * 100 / 2);
    cr_assert_not(cfgs_view_retry(&view));
    ok(cfgs_view_error(&view));
    cfgs_publisher_close(p, false);
}

Test(publisher, options_outside_the_contract_are_invalid)
{
    char long_text[300];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const cfgs_publisher_options bad[] = {
        {.instance = ""},
        {.instance = "a/b"},
        {.instance = ".."},
        {.instance = "a b"},
        {.instance = long_text},
        {.instance = new_instance(), .set_mode = true, .mode = 0660},
        {.instance = new_instance(), .set_mode = true, .mode = 0642},
        {.instance = new_instance(), .ring_slots = CFGS_RING_SLOTS_MAX + 1},
        {.instance = new_instance(), .max_size = (UINT64_C(1) << 42) + 1},
        {.instance = new_instance(), .origin = long_text},
        {.instance = new_instance(), .control_path = long_text},
        {.arena_path = ""},
        {.arena_path = "/dev/shm/"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cfgs_error_detail detail = {0};
        cfgs_publisher_options options = bad[i];
        cfgs_publisher *p = NULL;
        options.detail = &detail;
        cr_assert_eq(cfgs_publisher_open(&options, &p), CFGS_ERR_INVALID, "case %zu", i);
        cr_assert(p == NULL && detail.code == CFGS_ERR_INVALID && detail.message[0] != '\0', "case %zu", i);
    }
}

Test(publisher, origin_control_path_and_reloads_show_in_the_status)
{
    cfgs_publisher *p = publish_with(
        new_instance(), (cfgs_publisher_options){.origin = "datadog.yaml", .control_path = "/run/x.sock",
                                                 .ring_slots = 100});
    cfgs_reader *r = reader_of(p);
    set_int(p, "a", 1);
    cfgs_publisher_count_reload(p, true);
    cfgs_publisher_count_reload(p, true);
    cfgs_publisher_count_reload(p, false);
    cfgs_reader_info info = status_of(r);
    cr_assert_str_eq(info.origin, "datadog.yaml");
    cr_assert_str_eq(info.control_path, "/run/x.sock");
    cr_assert_eq(info.ring_slots, 128);
    cr_assert(info.counters.reloads_ok == 2 && info.counters.reloads_failed == 1);
    cr_assert_neq(info.counters.last_failure_ns, 0);
    cr_assert_eq(info.pid, getpid());
    cr_assert_eq(info.epoch, 1);
    cr_assert_eq(strlen(info.instance_id), 36);
    cr_assert_str_eq(info.path, cfgs_publisher_path(p));
    cr_assert(info.layout_major == CFGS_LAYOUT_MAJOR && info.layout_minor == CFGS_LAYOUT_MINOR);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}
