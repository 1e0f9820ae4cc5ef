/*
 * reader.c: the life of a reader beside that of its producer: waits, states, forks, replacement.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <pthread.h>
#include <sys/wait.h>

TestSuite(reader, .fini = names_clean);

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

Test(reader, opens_before_the_arena_exists_and_attaches_by_itself)
{
    const char *instance = new_instance();
    cfgs_reader *r = open_reader(instance);
    int64_t value;

    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_ABSENT);
    cr_assert_eq(status_of(r).heartbeat_age_ms, -1);
    cr_assert_str_eq(status_of(r).path, arena_path(instance));
    fails(CFGS_ERR_NOT_READY, cfgs_get_int(r, "a", &value));
    no_event(r);
    fails(CFGS_ERR_TIMEOUT, cfgs_reader_wait_ready(r, 0));
    cfgs_publisher *p = publish(instance);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_STARTING);
    fails(CFGS_ERR_TIMEOUT, cfgs_reader_wait_ready(r, 1));
    set_int(p, "a", 1);
    ok(cfgs_reader_wait_ready(r, 0));
    cr_assert_eq(int_of(r, "a"), 1);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

static void late_producer(const char *instance)
{
    child_go();
    producer_body(instance);
}

Test(reader, wait_ready_wakes_for_a_producer_that_starts_later)
{
    const char *instance = new_instance();
    struct child child = child_start(late_producer, instance);
    cfgs_reader *r = open_reader(instance);
    let_go(&child);
    ok(cfgs_reader_wait_ready(r, CFGS_FOREVER));
    cr_assert_eq(int_of(r, "a"), 1);
    await_ready(&child);
    let_go(&child);
    cr_assert_eq(child_end(&child), 0);
    cfgs_reader_close(r);
}

struct waiter {
    cfgs_reader *reader;
    cfgs_event event;
    int result, timeout_ms;
    bool for_ready;
};

static void *wait_main(void *argument)
{
    struct waiter *waiter = argument;
    waiter->result = waiter->for_ready ? cfgs_reader_wait_ready(waiter->reader, waiter->timeout_ms)
                                       : cfgs_reader_next(waiter->reader, &waiter->event, waiter->timeout_ms);
    return NULL;
}

/* The interruption counts whether it comes before, at or after the sleep: no rendezvous is needed. */
static void interrupted(bool for_ready, int timeout_ms)
{
    struct waiter waiter = {.reader = open_reader(new_instance()), .for_ready = for_ready, .timeout_ms = timeout_ms};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_main, &waiter), 0);
    cfgs_reader_interrupt(waiter.reader);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(waiter.result, CFGS_ERR_INTERRUPTED);
    fails(CFGS_ERR_TIMEOUT, cfgs_reader_wait_ready(waiter.reader, 0)); /* it was taken */
    cfgs_reader_close(waiter.reader);
}

Test(reader, an_interrupt_ends_a_wait_of_another_thread)
{
    interrupted(true, CFGS_FOREVER);
    interrupted(false, CFGS_FOREVER);
    interrupted(true, 3600 * 1000);
}

Test(reader, an_interrupt_while_nobody_waits_ends_the_next_call)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    cfgs_event event;
    set_int(p, "a", 1);
    cfgs_reader_interrupt(r);
    fails(CFGS_ERR_INTERRUPTED, cfgs_reader_next(r, &event, CFGS_FOREVER));
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cfgs_reader_interrupt(r);
    cfgs_reader_interrupt(r);
    fails(CFGS_ERR_INTERRUPTED, cfgs_reader_wait_ready(r, 0));
    ok(cfgs_reader_wait_ready(r, 0));
    cr_assert_eq(int_of(r, "a"), 1, "point reads know nothing of interruptions");
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

static cfgs_reader *signalled;

static void on_alarm(int number)
{
    (void)number;
    cfgs_reader_interrupt(signalled);
}

Test(reader, a_signal_handler_may_interrupt)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerspec soon = {.it_value.tv_nsec = 20 * 1000 * 1000};
    timer_t timer;
    cfgs_event event;

    signalled = open_reader(new_instance());
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    cr_assert_eq(timer_settime(timer, 0, &soon, NULL), 0);
    fails(CFGS_ERR_INTERRUPTED, cfgs_reader_next(signalled, &event, CFGS_FOREVER));
    timer_delete(timer);
    cfgs_reader_close(signalled);
}

static void on_alarm_nothing(int number)
{
    (void)number;
}

Test(reader, a_wait_goes_on_after_a_signal)
{
    struct sigaction action = {.sa_handler = on_alarm_nothing};
    struct itimerspec often = {.it_value.tv_nsec = 1000 * 1000, .it_interval.tv_nsec = 1000 * 1000};
    timer_t timer;
    cfgs_event event;
    cfgs_reader *r = open_reader(new_instance());

    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    cr_assert_eq(timer_settime(timer, 0, &often, NULL), 0);
    fails(CFGS_ERR_TIMEOUT, cfgs_reader_next(r, &event, 60));
    timer_delete(timer);
    cfgs_reader_close(r);
}

Test(reader, a_waiting_consumer_wakes_for_a_commit)
{
    for (int wake_thread = 0; wake_thread < 2; wake_thread++) {
        cfgs_publisher *p = publish_with(
            NULL, (cfgs_publisher_options){.in_memory = true, .no_wake_thread = wake_thread == 0,
                                           .max_size = 16u << 20});
        struct waiter waiter = {.reader = reader_of(p), .timeout_ms = CFGS_FOREVER};
        pthread_t thread;
        set_int(p, "a", 0);
        (void)next_snapshot(waiter.reader, CFGS_SNAPSHOT_INITIAL);
        for (int i = 1; i <= 50; i++) {
            cr_assert_eq(pthread_create(&thread, NULL, wait_main, &waiter), 0);
            set_int(p, "a", i);
            cr_assert_eq(pthread_join(thread, NULL), 0);
            cr_assert_eq(waiter.result, CFGS_OK);
            cr_assert_eq(waiter.event.setting.value.as.integer, i);
        }
        cfgs_reader_close(waiter.reader);
        cfgs_publisher_close(p, false);
    }
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

Test(reader, a_stopped_producer_is_stalled_and_runs_again)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_body, instance);
    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    cr_assert_eq(kill(child.pid, SIGSTOP), 0);
    await_state(r, CFGS_PRODUCER_STALLED);
    cr_assert_eq(int_of(r, "b"), 2);
    cr_assert_geq(status_of(r).heartbeat_age_ms, HEARTBEAT_STALE_MS);
    /* shm-pitfalls 50: no takeover by timeout; only the lock decides. */
    cfgs_error_detail detail = {0};
    cfgs_publisher *p;
    fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .detail = &detail}, &p));
    cr_assert_eq(detail.holder_pid, child.pid);
    cr_assert_eq(kill(child.pid, SIGCONT), 0);
    await_state(r, CFGS_PRODUCER_RUNNING);
    child_kill(&child);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD);
    cfgs_reader_close(r);
}

Test(reader, a_close_is_said_once_after_all_that_was_committed)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    cfgs_reader *r = open_reader(instance);
    cfgs_event event;

    set_int(p, "a", 1);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    set_int(p, "a", 2);
    set_int(p, "a", 3);
    cfgs_publisher_close(p, false);
    cr_assert_eq(next_update(r, "a").sequence, 2);
    cr_assert_eq(next_update(r, "a").sequence, 3);
    fails(CFGS_ERR_CLOSED, cfgs_reader_next(r, &event, 0));
    no_event(r);
    no_event(r);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_CLOSED);
    p = publish(instance);
    no_event(r);
    set_int(p, "a", 4);
    cr_assert_eq(next_update(r, "a").sequence, 4);
    cfgs_publisher_close(p, false);
    fails(CFGS_ERR_CLOSED, cfgs_reader_next(r, &event, CFGS_FOREVER)); /* once for each end */
    no_event(r);
    cfgs_reader_close(r);
}

Test(reader, a_late_reader_of_a_closed_arena_gets_its_snapshot_then_the_end)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    cfgs_event event;
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
    cfgs_reader *r = open_reader(instance);
    ok(cfgs_reader_wait_ready(r, 0));
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    fails(CFGS_ERR_CLOSED, cfgs_reader_next(r, &event, 0));
    cr_assert_eq(int_of(r, "a"), 1);
    cfgs_reader_close(r);
}

Test(reader, status_writes_no_more_than_the_caller_knows)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    unsigned char bytes[sizeof(cfgs_reader_info) + 64];
    cfgs_reader_info info;

    set_int(p, "a", 1);
    memset(bytes, 0xEE, sizeof bytes);
    ok(cfgs_reader_status(r, (cfgs_reader_info *)(void *)bytes, 16));
    for (size_t i = 16; i < sizeof bytes; i++)
        cr_assert_eq(bytes[i], 0xEE);
    /* A caller built against a newer header: what we do not know is zero. */
    ok(cfgs_reader_status(r, (cfgs_reader_info *)(void *)bytes, sizeof bytes));
    for (size_t i = sizeof info; i < sizeof bytes; i++)
        cr_assert_eq(bytes[i], 0);
    fails(CFGS_ERR_INVALID, cfgs_reader_status(r, &info, 0));
    fails(CFGS_ERR_INVALID, cfgs_reader_status(r, &info, 3));
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(reader, status_counts_what_happened)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    load_ints(p, "k", 100, false);
    for (int i = 0; i < 5; i++)
        set_int(p, "k0", 1000 + i);
    cfgs_reader_info info = status_of(r);
    cr_assert(info.sequence == 105 && info.settings == 100);
    cr_assert(info.counters.updates == 105 && info.counters.batches == 6 && info.counters.loads == 1);
    cr_assert(info.heap_used > 0 && info.heap_used <= info.heap_size);
    cr_assert(info.index_used == 100 && info.index_size >= 200);
    cr_assert_eq(info.ring_oldest, 101, "a bulk load leaves no history: %llu", (unsigned long long)info.ring_oldest);
    for (int i = 0; i < 20; i++)
        set_int(p, "k0", i);
    cr_assert_eq(status_of(r).ring_oldest, 125 - 16 + 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

static cfgs_reader *inherited;

static void read_after_fork(const char *instance)
{
    cfgs_event event;
    cfgs_reader *own;
    int64_t value;
    int fd;
    CHECK(cfgs_get_int(inherited, "a", &value) == CFGS_OK && value == 1);
    CHECK(cfgs_reader_next(inherited, &event, 0) == CFGS_ERR_FORKED);
    CHECK(cfgs_reader_wait_ready(inherited, 0) == CFGS_ERR_FORKED);
    CHECK(cfgs_reader_fd(inherited, &fd) == CFGS_ERR_FORKED);
    CHECK(cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &own) == CFGS_OK);
    CHECK(cfgs_reader_next(own, &event, 0) == CFGS_OK && event.kind == CFGS_EVENT_SNAPSHOT);
    cfgs_reader_close(own);
    cfgs_reader_close(inherited);
}

/* shm-pitfalls 55 */
Test(reader, in_a_forked_child_reads_go_on_and_the_stream_is_refused)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    int fd;
    set_int(p, "a", 1);
    for (int with_thread = 0; with_thread < 2; with_thread++) {
        inherited = open_reader(instance);
        if (with_thread)
            ok(cfgs_reader_fd(inherited, &fd));
        struct child child = child_start(read_after_fork, instance);
        cr_assert_eq(child_end(&child), 0);
        (void)next_snapshot(inherited, CFGS_SNAPSHOT_INITIAL);
        cfgs_reader_close(inherited);
    }
    cfgs_publisher_close(p, true);
}

/* ---- replacement ------------------------------------------------------------------------------------------------- */

static size_t resident_of_deleted(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    size_t count = 0;
    cr_assert_not_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, "/dev/shm/configstream.test-") != NULL && strstr(line, "(deleted)") != NULL;
    fclose(maps);
    return count;
}

Test(reader, a_replaced_arena_is_let_go_and_views_of_it_fail_validation_without_a_crash)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_body, instance);
    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    cfgs_bytes borrowed;
    cfgs_view view;
    int64_t value;

    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    ok(cfgs_view_begin(r, &view));
    ok(cfgs_view_get_int(&view, "a", &value));
    cfgs_setting setting;
    ok(cfgs_view_get(&view, "b", &setting));
    borrowed = setting.key;
    child_kill(&child);
    cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.ring_slots = 64});
    set_int(p, "a", 5);
    await_state(r, CFGS_PRODUCER_RUNNING);
    cr_assert_eq(int_of(r, "a"), 5);
    cr_assert_eq(resident_of_deleted(), 0, "the old file's memory is not pinned");
    volatile char first = borrowed.data[0]; /* readable until the reader is closed, whatever it holds */
    (void)first;
    cr_assert(cfgs_view_retry(&view), "begun anew, on the new arena");
    ok(cfgs_view_get_int(&view, "a", &value));
    cr_assert_eq(value, 5);
    cr_assert_not(cfgs_view_retry(&view));
    ok(cfgs_view_error(&view));
    (void)next_snapshot(r, CFGS_SNAPSHOT_REPLACED);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

/* shm-pitfalls 5: the name taken over without a word to the old file. */
Test(reader, an_orphaned_arena_is_noticed_and_left)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    char id[37];
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
    cfgs_reader *r = open_reader(instance);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    memcpy(id, status_of(r).instance_id, sizeof id);
    cr_assert_eq(unlink(arena_path(instance)), 0);
    cr_assert_eq(int_of(r, "a"), 1);
    cr_assert_str_eq(status_of(r).instance_id, id, "an unlinked arena without a successor goes on being read");
    p = publish(instance);
    set_int(p, "a", 2);
    cr_assert_str_neq(status_of(r).instance_id, id);
    cr_assert_eq(int_of(r, "a"), 2);
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_REPLACED);
    cr_assert(event.sequence == 1 && event.previous == 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(reader, a_stream_that_sleeps_finds_a_silent_successor_within_its_bound)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    cfgs_event event;
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
    cfgs_reader *r = open_reader(instance);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    fails(CFGS_ERR_CLOSED, cfgs_reader_next(r, &event, 0));
    cr_assert_eq(unlink(arena_path(instance)), 0);
    p = publish(instance);
    set_int(p, "a", 2);
    ok(cfgs_reader_next(r, &event, CFGS_FOREVER));
    cr_assert(event.kind == CFGS_EVENT_SNAPSHOT && event.reason == CFGS_SNAPSHOT_REPLACED);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(reader, names_outside_the_contract_are_invalid)
{
    static const char *const bad[] = {"", "a/b", "..", "a b", "\xC3\xA9",
                                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cfgs_error_detail detail = {0};
        cfgs_reader *r = NULL;
        fails(CFGS_ERR_INVALID, cfgs_reader_open(&(cfgs_reader_options){.instance = bad[i], .detail = &detail}, &r));
        cr_assert(r == NULL && detail.code == CFGS_ERR_INVALID);
    }
    cfgs_reader_close(NULL);
}
