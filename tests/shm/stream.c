/* stream.c: the ordered stream: laps, gaps, snapshots, the pollable descriptor.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

TestSuite(stream, .fini = names_clean);
TestSuite(descriptor, .fini = names_clean);

Test(stream, lapped_consumer_gets_a_snapshot)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *slow = reader_of(p), *fast = reader_of(p);

    set_int(p, "a", 0);
    (void)next_snapshot(slow, CFGS_SNAPSHOT_INITIAL);
    (void)next_snapshot(fast, CFGS_SNAPSHOT_INITIAL);
    for (int i = 1; i <= 17; i++) {
        set_int(p, "a", i);
        cr_assert_eq(next_update(fast, "a").sequence, i + 1, "others notice nothing");
    }
    cfgs_event event = next_snapshot(slow, CFGS_SNAPSHOT_LAPPED);
    cr_assert(event.sequence == 18 && event.previous == 1);
    no_event(slow);
    set_int(p, "a", 99);
    cr_assert_eq(next_update(slow, "a").sequence, 19);
    cfgs_reader_close(slow);
    cfgs_reader_close(fast);
    cfgs_publisher_close(p, false);
}

/* shm-pitfalls 43: a gap at every distance: exactly the ring's length is still delivered, one more is a snapshot. */
Test(stream, a_consumer_is_lapped_exactly_when_its_next_update_is_gone)
{
    for (int behind = 1; behind <= 20; behind++) {
        cfgs_publisher *p = publish_in_memory(16);
        cfgs_reader *r = reader_of(p);
        set_int(p, "a", 0);
        (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
        for (int i = 1; i <= behind; i++)
            set_int(p, "a", i);
        if (behind <= 16) {
            for (int i = 1; i <= behind; i++) {
                cfgs_event event = next_update(r, "a");
                cr_assert(event.sequence == (uint64_t)i + 1 && event.setting.value.as.integer == i);
                cr_assert(event.has_old && event.old.as.integer == i - 1);
            }
        } else {
            (void)next_snapshot(r, CFGS_SNAPSHOT_LAPPED);
        }
        no_event(r);
        cr_assert_eq(cfgs_reader_sequence(r), (uint64_t)behind + 1);
        cfgs_reader_close(r);
        cfgs_publisher_close(p, false);
    }
}

/* State built from a snapshot and the updates after it equals the producer's, laps and bulk loads included. */
Test(stream, a_consumers_state_equals_the_producers_whatever_its_pace)
{
    enum { KEYS = 8 };
    int64_t truth[KEYS], state[KEYS];
    uint64_t seed = 99, snapshots = 0, updates = 0;
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char key[8];

    for (int i = 0; i < KEYS; i++)
        truth[i] = state[i] = -1;
    first_commit(p);
    for (int round = 0; round < 20000; round++) {
        int k = (int)(random_next(&seed) % KEYS);
        snprintf(key, sizeof key, "k%d", k);
        if (random_next(&seed) % 5 == 0) {
            remove_key(p, key);
            truth[k] = -1;
        } else {
            truth[k] = (int64_t)(random_next(&seed) % 4);
            set_int(p, key, truth[k]);
        }
        if (random_next(&seed) % (round % 1000 < 900 ? 3 : 60) != 0)
            continue;
        cfgs_event event;
        while (cfgs_reader_next(r, &event, 0) == CFGS_OK) {
            if (event.kind == CFGS_EVENT_UPDATE) {
                int which = event.setting.key.data[1] - '0';
                cr_assert_eq(event.has_old, state[which] != -1);
                cr_assert(!event.has_old || event.old.as.integer == state[which]);
                state[which] = event.removed ? -1 : event.setting.value.as.integer;
                updates++;
                continue;
            }
            snapshots++;
            cfgs_view view;
            cfgs_setting setting;
            ok(cfgs_view_at(r, &event, &view));
            do {
                cfgs_iterator iterator = {0};
                for (int i = 0; i < KEYS; i++)
                    state[i] = -1;
                while (cfgs_view_next(&view, &iterator, "k", 1, &setting) == 1)
                    state[setting.key.data[1] - '0'] = setting.value.as.integer;
            } while (cfgs_view_retry(&view));
            ok(cfgs_view_error(&view));
            cr_assert_eq(cfgs_view_sequence(&view), event.sequence);
        }
        cr_assert_eq(cfgs_reader_sequence(r), cfgs_publisher_sequence(p));
        cr_assert_arr_eq(state, truth, sizeof state);
    }
    cr_assert(snapshots > 10 && updates > 5000, "%llu snapshots, %llu updates", (unsigned long long)snapshots,
              (unsigned long long)updates);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(stream, a_snapshots_view_stays_at_its_id_while_updates_go_on)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_view view;
    int64_t value;

    set_int(p, "a", 1);
    cfgs_event snapshot = next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    set_int(p, "a", 2);
    ok(cfgs_view_at(r, &snapshot, &view));
    do {
        cr_assert(cfgs_view_get_int(&view, "a", &value) == CFGS_OK || cfgs_view_error(&view) == CFGS_ERR_CORRUPT);
    } while (cfgs_view_retry(&view));
    ok(cfgs_view_error(&view));
    cr_assert_eq(value, 1);
    cfgs_event update = next_update(r, "a");
    fails(CFGS_ERR_INVALID, cfgs_view_at(r, &update, &view));
    fails(CFGS_ERR_INVALID, cfgs_view_at(r, &snapshot, &view)); /* not the last event any more */
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(stream, a_snapshot_whose_bank_was_recycled_is_lapped_and_followed_by_a_new_one)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p), *watcher = reader_of(p);
    cfgs_view view;
    int64_t value;

    load_ints(p, "k", 100, false);
    cfgs_event snapshot = next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    force_rebuild(p, watcher);
    ok(cfgs_view_at(r, &snapshot, &view)); /* one rebuild leaves it */
    force_rebuild(p, watcher);
    fails(CFGS_ERR_LAPPED, cfgs_view_at(r, &snapshot, &view));
    snapshot = next_snapshot(r, CFGS_SNAPSHOT_LAPPED);
    /* Recycled during its use: the view ends LAPPED, the next event is a snapshot again. */
    ok(cfgs_view_at(r, &snapshot, &view));
    force_rebuild(p, watcher);
    force_rebuild(p, watcher);
    (void)!cfgs_view_get_int(&view, "k1", &value);
    cr_assert_not(cfgs_view_retry(&view));
    fails(CFGS_ERR_LAPPED, cfgs_view_error(&view));
    (void)next_snapshot(r, CFGS_SNAPSHOT_LAPPED);
    cfgs_reader_close(r);
    cfgs_reader_close(watcher);
    cfgs_publisher_close(p, false);
}

Test(stream, events_survive_one_rebuild)
{
    cfgs_publisher *p = publish_in_memory(4096);
    cfgs_reader *r = reader_of(p), *watcher = reader_of(p);
    set_int(p, "support.rebuild", -1);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    force_rebuild(p, watcher);
    uint64_t last = cfgs_publisher_sequence(p);
    cr_assert_gt(last, 4096, "a bank holds at least a ring of updates");
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_LAPPED); /* slower than the ring by now */
    for (int i = 0; i < 100; i++)
        set_int(p, "support.rebuild", 1000000 + i);
    for (uint64_t id = event.sequence + 1; id <= last + 100; id++)
        cr_assert_eq(next_event(r).sequence, id);
    cfgs_reader_close(r);
    cfgs_reader_close(watcher);
    cfgs_publisher_close(p, false);
}

Test(stream, large_updates_are_copied_whole_and_outlive_the_next_change)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    const size_t length = 300000;
    char *text = malloc(length);

    set_int(p, "big", 1);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    memset(text, 'x', length);
    set_value(p, "big", cfgs_value_string(text, length), CFGS_SOURCE_FILE);
    cfgs_event event = next_event(r);
    if (event.kind == CFGS_EVENT_SNAPSHOT) { /* the bank had to grow twice */
        set_int(p, "big", 2);
        (void)next_event(r);
        set_value(p, "big", cfgs_value_string(text, length), CFGS_SOURCE_FILE);
        event = next_event(r);
    }
    cr_assert_eq(event.kind, CFGS_EVENT_UPDATE);
    for (int i = 0; i < 100; i++)
        set_int(p, "big", i);
    cr_assert(event.setting.value.as.bytes.length == length &&
              memcmp(event.setting.value.as.bytes.data, text, length) == 0);
    free(text);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* ---- the descriptor ---------------------------------------------------------------------------------------------- */

static bool readable(int fd, int timeout_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    int n = poll(&poller, 1, timeout_ms);
    return n == 1 && (poller.revents & POLLIN) != 0;
}

/* What its documentation tells consumers to do. */
static uint64_t drain(cfgs_reader *r)
{
    cfgs_event event;
    uint64_t count = 0;
    int err;
    while ((err = cfgs_reader_next(r, &event, 0)) == CFGS_OK)
        count++;
    cr_assert(err == CFGS_ERR_TIMEOUT || err == CFGS_ERR_CLOSED);
    return count;
}

/* Until the descriptor stays quiet: a notification that was on its way may come late, but no more than a few. */
static void settle(cfgs_reader *r, int fd)
{
    for (int i = 0; i < 20; i++) {
        (void)drain(r);
        if (!readable(fd, 50))
            return;
    }
    cr_assert(false, "the descriptor stays readable though nothing comes");
}

Test(descriptor, is_readable_at_first_and_after_each_commit_and_not_after_a_drain)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    int fd = -1, again = -1;

    set_int(p, "a", 0);
    ok(cfgs_reader_fd(r, &fd));
    ok(cfgs_reader_fd(r, &again));
    cr_assert_eq(fd, again);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(readable(fd, -1));
    settle(r, fd);
    for (int i = 1; i <= 20; i++) {
        set_int(p, "a", i);
        cr_assert(readable(fd, -1));
        cr_assert_eq(drain(r), 1);
        settle(r, fd);
    }
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(descriptor, wakes_an_epoll_of_a_consumer_that_drains_and_loses_nothing)
{
    cfgs_publisher *p = publish_in_memory(4096);
    cfgs_reader *r = reader_of(p);
    struct epoll_event ready = {.events = EPOLLIN};
    uint64_t seen = 0;
    int fd, poller = epoll_create1(EPOLL_CLOEXEC);

    set_int(p, "a", 0);
    ok(cfgs_reader_fd(r, &fd));
    cr_assert_eq(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ready), 0);
    for (int i = 1; i <= 500; i++) {
        set_int(p, "a", i);
        if (i % 7 == 0)
            seen += drain(r);
    }
    while (cfgs_reader_sequence(r) < cfgs_publisher_sequence(p)) {
        cr_assert_eq(epoll_wait(poller, &ready, 1, 10000), 1, "a change without a notification");
        seen += drain(r);
    }
    cr_assert_geq(seen, 494);
    close(poller);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(descriptor, becomes_readable_when_the_producer_closes_and_when_an_arena_appears)
{
    const char *instance = new_instance();
    cfgs_reader *r = open_reader(instance);
    cfgs_event event;
    int fd;

    ok(cfgs_reader_fd(r, &fd));
    settle(r, fd);
    cfgs_publisher *p = publish(instance);
    set_int(p, "a", 1);
    while (cfgs_reader_sequence(r) == 0) {
        cr_assert(readable(fd, 10000));
        (void)drain(r);
    }
    settle(r, fd);
    cfgs_publisher_close(p, false);
    cr_assert(readable(fd, 10000));
    int err = cfgs_reader_next(r, &event, 0);
    cr_assert_eq(err, CFGS_ERR_CLOSED);
    cfgs_reader_close(r);
}
