/* upstream.c: what readers are told of where a configuration comes from, and heartbeats by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../support/threads_settle.h"
#include "passing_support.h"
#include <poll.h>
#include <shm/publisher_private.h>
#include <sys/stat.h>

TestSuite(upstream, .fini = names_clean);

static cfgs_upstream through(unsigned path_length)
{
    cfgs_upstream upstream = {.origin = "their.yaml", .address = "core.example.com:5001", .path_length = path_length,
                              .wire_base = 1000};

    for (unsigned i = 0; i < path_length && i < CFGS_UPSTREAM_PATH_MAX; i++)
        memset(upstream.path[i], (int)(i + 1), 16);
    return upstream;
}

static cfgs_encoded_head look(cfgs_reader *reader)
{
    cfgs_encoded_head head;

    ok(cfgs_encoded_look(reader, &head));
    return head;
}

static void check_path(cfgs_publisher *p, cfgs_reader *r, int length, uint64_t wire_base)
{
    uint8_t path[1 + CFGS_UPSTREAM_PATH_MAX][16], id[16], wanted[16];
    uint64_t base;

    cfgs_publisher_instance_id(p, id);
    cr_assert_eq(cfgs_encoded_path(r, path, &base), length);
    cr_assert_arr_eq(path[0], id, 16);
    cr_assert_eq(base, wire_base);
    for (int i = 1; i < length; i++) {
        memset(wanted, i, 16);
        cr_assert_arr_eq(path[i], wanted, 16);
    }
    cr_assert_eq(cfgs_encoded_path(r, path, NULL), length);
}

Test(upstream, a_producer_of_its_own_has_none)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_reader_info info = status_of(r);

    cr_assert(!info.upstream.relayed && !info.upstream.connected && info.upstream.contact_age_ms == -1);
    cr_assert(info.upstream.path_length == 0 && info.upstream.address[0] == '\0' && info.upstream.wire_base == 0);
    check_path(p, r, 1, 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(upstream, readers_are_told_where_it_comes_from)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_upstream upstream = through(CFGS_UPSTREAM_PATH_MAX);
    char origin[256];

    first_commit(p);
    ok(cfgs_publisher_set_upstream(p, &upstream));
    cfgs_reader_info info = status_of(r);
    cr_assert(info.upstream.relayed && !info.upstream.connected && info.upstream.contact_age_ms == -1);
    cr_assert_str_eq(info.upstream.address, "core.example.com:5001");
    cr_assert_str_eq(info.origin, "their.yaml");
    cr_assert(info.upstream.path_length == CFGS_UPSTREAM_PATH_MAX && info.upstream.wire_base == 1000);
    cr_assert_str_eq(info.upstream.path[0], "01010101-0101-0101-0101-010101010101");
    cr_assert_str_eq(info.upstream.path[7], "08080808-0808-0808-0808-080808080808");
    check_path(p, r, 1 + CFGS_UPSTREAM_PATH_MAX, 1000);
    ok(cfgs_encoded_origin(r, origin));
    cr_assert_str_eq(origin, "their.yaml");
    cfgs_publisher_touch_upstream(p, true);
    info = status_of(r);
    cr_assert(info.upstream.connected && info.upstream.contact_age_ms >= 0);
    cfgs_publisher_touch_upstream(p, false);
    info = status_of(r);
    cr_assert(!info.upstream.connected && info.upstream.contact_age_ms >= 0, "how old the state is stays known");
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(upstream, the_version_of_origin_and_path_changes_with_them)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_upstream upstream = through(1);

    snapshot(p, 10, "a", 1, NULL, 0);
    uint64_t first = look(r).origin_version;
    ok(cfgs_publisher_set_upstream(p, &upstream));
    uint64_t second = look(r).origin_version;
    cr_assert_neq(first, second);
    ok(cfgs_publisher_set_upstream(p, &upstream));
    cfgs_publisher_touch_upstream(p, true);
    update_int(p, 11, "a", 2);
    cr_assert_eq(look(r).origin_version, second, "nothing is different");
    upstream.origin = NULL;
    upstream.path[0][3] = 9;
    ok(cfgs_publisher_set_upstream(p, &upstream));
    uint64_t third = look(r).origin_version;
    cr_assert(third != second && third != first);
    cr_assert_str_eq(status_of(r).origin, "their.yaml");
    snapshot(p, 3, "a", 1, NULL, 0); /* another arena, so another identity */
    uint64_t fourth = look(r).origin_version;
    cr_assert(fourth != third && fourth != second && fourth != first);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* In place, as a new arena, as it was, and by an update: told with the state, and only where there is one. */
Test(upstream, of_a_batch_is_told_with_its_commit)
{
    enum { ROOM = 1 << 20, VALUES = 20 };
    static char text[ROOM / 10];
    cfgs_publisher *p = publish_with(NULL, (cfgs_publisher_options){.in_memory = true, .ring_slots = 64, .max_size = ROOM});
    cfgs_reader *r = reader_of(p);
    cfgs_upstream upstream = through(1);
    cfgs_batch *batch;

    snapshot(p, 10, "a", 1, NULL, 0);
    memset(text, 'x', sizeof text);
    for (uint64_t at = 11; at > 9; at--) { /* in place, and a new arena */
        ok(cfgs_batch_begin(p, &batch));
        cfgs_batch_snapshot(batch, at);
        for (int i = 0; i < VALUES; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%d", i);
            cfgs_setting setting = setting_of(key, cfgs_value_string(text, sizeof text), CFGS_SOURCE_FILE);
            ok(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
        }
        ok(cfgs_publisher_set_upstream(p, &upstream));
        cr_assert_eq(cfgs_batch_commit(batch, NULL), CFGS_ERR_NO_SPACE);
        cr_assert_not(status_of(r).upstream.relayed, "refused");
    }
    ok(cfgs_batch_begin(p, &batch));
    ok(cfgs_publisher_set_upstream(p, &upstream));
    cfgs_batch_abort(batch);
    ok(cfgs_batch_begin(p, &batch));
    ok(cfgs_batch_commit(batch, NULL));
    cr_assert_not(status_of(r).upstream.relayed, "aborted");
    static const uint64_t ids[] = {11, 3, 3};
    for (unsigned i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        upstream.wire_base = 100 + i;
        ok(cfgs_batch_begin(p, &batch));
        cfgs_batch_snapshot(batch, ids[i]);
        ok(cfgs_publisher_set_upstream(p, &upstream));
        cr_assert_neq(status_of(r).upstream.wire_base, upstream.wire_base, "not before");
        ok(cfgs_batch_commit(batch, NULL));
        look(r); /* at the arena that is there now */
        cr_assert(status_of(r).upstream.relayed && status_of(r).upstream.wire_base == upstream.wire_base, "%u", i);
    }
    cfgs_publisher_touch_upstream(p, true);
    ok(cfgs_batch_begin(p, &batch));
    ok(cfgs_publisher_set_upstream(p, &(cfgs_upstream){0}));
    ok(cfgs_batch_commit(batch, NULL));
    cr_assert(!status_of(r).upstream.relayed && !status_of(r).upstream.connected);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* A program that passes the stream on waits for the descriptor alone. */
Test(upstream, a_change_of_upstream_makes_the_descriptor_readable)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    struct pollfd poll_fd = {.events = POLLIN};
    cfgs_upstream upstream = through(2);

    first_commit(p);
    ok(cfgs_reader_fd(r, &poll_fd.fd));
    uint64_t before = look(r).origin_version;
    ok(cfgs_publisher_set_upstream(p, &upstream));
    while (look(r).origin_version == before)
        cr_assert_eq(poll(&poll_fd, 1, 5000), 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(upstream, what_does_not_fit_is_refused_and_nothing_changes)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    char text[257];
    cfgs_upstream upstream = through(3);

    memset(text, 'x', 256);
    text[256] = '\0';
    ok(cfgs_publisher_set_upstream(p, &upstream));
    upstream.origin = text;
    fails(CFGS_ERR_INVALID, cfgs_publisher_set_upstream(p, &upstream));
    upstream.origin = NULL;
    upstream.address = text + 128;
    fails(CFGS_ERR_INVALID, cfgs_publisher_set_upstream(p, &upstream));
    upstream.address = NULL;
    upstream.path_length = CFGS_UPSTREAM_PATH_MAX + 1;
    fails(CFGS_ERR_INVALID, cfgs_publisher_set_upstream(p, &upstream));
    cr_assert_neq(strlen(cfgs_publisher_error(p)->message), 0);
    cr_assert_str_eq(status_of(r).upstream.address, "core.example.com:5001");
    check_path(p, r, 4, 1000);
    upstream = (cfgs_upstream){.origin = text + 1, .address = text + 129};
    ok(cfgs_publisher_set_upstream(p, &upstream));
    cr_assert(strlen(status_of(r).origin) == 255 && strlen(status_of(r).upstream.address) == 127);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(upstream, nothing_given_is_none)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_upstream upstream = through(3);

    ok(cfgs_publisher_set_upstream(p, &upstream));
    cfgs_publisher_touch_upstream(p, true);
    ok(cfgs_publisher_set_upstream(p, &(cfgs_upstream){0}));
    cfgs_reader_info info = status_of(r);
    cr_assert(!info.upstream.relayed && !info.upstream.connected && info.upstream.contact_age_ms == -1);
    check_path(p, r, 1, 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(upstream, a_new_arena_in_the_old_ones_place_says_the_same)
{
    cfgs_publisher *p[] = {publish_in_memory(64), publish(new_instance())};

    for (int i = 0; i < 2; i++) {
        cfgs_reader *r = reader_of(p[i]);
        cfgs_upstream upstream = through(2);
        snapshot(p[i], 10, "a", 1, NULL, 0);
        ok(cfgs_publisher_set_upstream(p[i], &upstream));
        cfgs_publisher_touch_upstream(p[i], true);
        snapshot(p[i], 5, "a", 2, NULL, 0);
        cr_assert_eq(int_of(r, "a"), 2);
        cfgs_reader_info info = status_of(r);
        cr_assert(info.upstream.relayed && info.upstream.connected && info.upstream.contact_age_ms >= 0);
        cr_assert_str_eq(info.upstream.address, "core.example.com:5001");
        check_path(p[i], r, 3, 1000);
        cfgs_reader_close(r);
        cfgs_publisher_close(p[i], true);
    }
}

Test(upstream, a_producer_that_takes_over_has_a_configuration_of_its_own)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    cfgs_upstream upstream = through(2);

    snapshot(p, 10, "a", 1, NULL, 0);
    ok(cfgs_publisher_set_upstream(p, &upstream));
    cfgs_publisher_touch_upstream(p, true);
    cfgs_reader *r = open_reader(instance);
    cfgs_publisher_abandon(p);
    cfgs_reader_info info = status_of(r);
    cr_assert(info.state == CFGS_PRODUCER_DEAD && info.upstream.relayed);
    cr_assert(!info.upstream.connected, "the connection ended with its producer");
    cr_assert_geq(info.upstream.contact_age_ms, 0);
    p = publish(instance);
    info = status_of(r);
    cr_assert(!info.upstream.relayed && !info.upstream.connected && info.upstream.contact_age_ms == -1);
    cr_assert_str_eq(info.origin, "core-agent");
    check_path(p, r, 1, 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

static cfgs_publisher *relay_of(const char *instance, const char *address)
{
    cfgs_publisher *p = publish(instance);
    cfgs_upstream upstream = {.address = address};

    ok(cfgs_publisher_set_upstream(p, &upstream));
    cfgs_publisher_touch_upstream(p, false);
    return p;
}

Test(upstream, a_producer_that_takes_over_is_told_that_the_settings_are_not_its_own)
{
    for (int crashed = 0; crashed < 2; crashed++) {
        const char *instance = new_instance();
        cfgs_publisher *p = relay_of(instance, "core:5001");

        snapshot(p, 10, "a", 1, NULL, 0);
        if (crashed)
            cfgs_publisher_abandon(p);
        else
            cfgs_publisher_close(p, false);
        p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_RELAYED);
        cfgs_publisher_abandon(p); /* before it has committed anything of its own */
        p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CLOSED, "nor are they the next one's");
        set_int(p, "b", 2);
        cfgs_publisher_abandon(p);
        p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CRASHED);
        cfgs_publisher_close(p, true);
    }
}

/* A relay that is started on a crashed daemon's arena, and never reaches its source. */
Test(upstream, what_a_dead_producer_left_is_its_own_until_a_republisher_commits)
{
    enum { ABANDONED, CLOSED, STARTED_AGAIN, REFUSED, ENDS };
    for (int end = 0; end < ENDS; end++) {
        const char *instance = new_instance();
        cfgs_publisher *p = publish(instance);
        set_int(p, "a", 1);
        cfgs_publisher_abandon(p);
        p = relay_of(instance, "core:5001");
        cfgs_reader *r = open_reader(instance);
        cr_assert(status_of(r).upstream.relayed, "readers are told at once all the same");
        if (end == STARTED_AGAIN) {
            cfgs_publisher_abandon(p);
            p = relay_of(instance, "core:5001");
        } else if (end == REFUSED) {
            cfgs_batch *batch;
            ok(cfgs_batch_begin(p, &batch));
            cfgs_batch_snapshot(batch, UINT64_MAX);
            cr_assert_neq(cfgs_batch_commit(batch, NULL), CFGS_OK);
        }
        cr_assert(end == CLOSED || status_of(r).upstream.relayed);
        if (end == CLOSED)
            cfgs_publisher_close(p, false);
        else
            cfgs_publisher_abandon(p);
        cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD, "as it was found");
        p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CRASHED, "%d", end);
        cr_assert_not(status_of(r).upstream.relayed);
        cfgs_reader_close(r);
        cfgs_publisher_close(p, true);
    }
}

Test(upstream, with_its_first_commit_a_republisher_takes_what_a_dead_producer_left)
{
    for (unsigned at = 1; at < 30; at += 9) { /* the same ID, with another state, is a new arena; a higher one is not */
        const char *instance = new_instance();
        cfgs_publisher *p = publish(instance);
        set_int(p, "a", 1);
        cfgs_publisher_abandon(p);
        p = relay_of(instance, "core:5001");
        snapshot(p, at, "b", 1, NULL, 0);
        cfgs_publisher_abandon(p);
        p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_RELAYED);
        cfgs_publisher_close(p, true);
    }
}

/* Of a library to come, say. */
Test(upstream, a_mark_that_is_not_known_means_another_hosts_settings)
{
    const char *instance = new_instance();
    cfgs_publisher *p = relay_of(instance, "core:5001");
    snapshot(p, 10, "a", 1, NULL, 0);
    p->info.relayed = INFO_RELAYED_LATER + 1;
    info_store(p->file.header, &p->info);
    cfgs_publisher_abandon(p);
    p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_RELAYED);
    cfgs_publisher_close(p, true);
}

Test(upstream, a_child_leaves_it_alone)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_upstream upstream = through(1);

    ok(cfgs_publisher_set_upstream(p, &upstream));
    threads_settle();
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(cfgs_publisher_set_upstream(p, &(cfgs_upstream){0}) == CFGS_ERR_FORKED);
        cfgs_publisher_touch_upstream(p, true);
        cfgs_publisher_beat(p);
        _exit(0);
    }
    struct child child = {.pid = pid, .to_child = -1, .from_child = -1};
    cr_assert_eq(child_end(&child), 0);
    cr_assert(status_of(r).upstream.relayed && !status_of(r).upstream.connected);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* ---- the heartbeat by hand --------------------------------------------------------------------------------------- */

static unsigned long threads(void)
{
    struct stat st;

    cr_assert_eq(stat("/proc/self/task", &st), 0);
    return (unsigned long)st.st_nlink - 2;
}

/* For a program with one thread of its own for everything. */
Test(upstream, the_caller_beats_where_there_is_no_thread_for_it)
{
    unsigned long before = threads();
    cfgs_publisher *p = publish_with(new_instance(), (cfgs_publisher_options){.max_size = 64u << 20,
                                                                             .no_heartbeat_thread = true,
                                                                             .no_wake_thread = true});
    const cfgs_word *beat = &p->file.header->beat;

    cr_assert_eq(threads(), before);
    uint64_t beats = word_load_relaxed(beat);
    cr_assert_eq(beats, 1, "the start counts as one");
    cfgs_publisher_beat(p);
    cr_assert_eq(word_load_relaxed(beat), beats + 1);
    first_commit(p);
    snapshot(p, 9, "a", 1, NULL, 0);
    snapshot(p, 3, "a", 1, NULL, 0);
    beat = &p->file.header->beat;
    cr_assert_eq(word_load_relaxed(beat), 1, "a new arena is born alive");
    cfgs_publisher_beat(p);
    cr_assert_eq(word_load_relaxed(beat), 2);
    cr_assert_eq(threads(), before);
    cfgs_publisher_close(p, true);
}
