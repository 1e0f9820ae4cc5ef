/* encoded.c: cursors that are only a number: updates and views as bytes, laps, other arenas.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include <configstream/encoded.h>
#include <poll.h>

TestSuite(encoded, .fini = names_clean);

static cfgs_encoded_head look(cfgs_reader *reader)
{
    cfgs_encoded_head head;

    ok(cfgs_encoded_look(reader, &head));
    return head;
}

/* Field 3 of a plain int: tag, length, then Value {2: double}. */
static double number_in(const char *bytes, const cfgs_encoded_update *update)
{
    double number;

    cr_assert(update->value_length == 11 && bytes[update->value_at] == 0x1A && bytes[update->value_at + 2] == 0x11);
    memcpy(&number, bytes + update->value_at + 3, 8);
    return number;
}

Test(encoded, an_update_is_taken_by_its_number_by_any_cursor_any_time)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char bytes[256];
    cfgs_encoded_update update;

    first_commit(p); /* what comes with the first state is in no slot */
    for (int i = 1; i <= 10; i++)
        set_int(p, "a", i);
    cfgs_encoded_head head = look(r);
    cr_assert(head.sequence == 10 && head.oldest == 1 && head.arena == 1);
    for (int round = 0; round < 2; round++)
        for (uint64_t id = 10; id >= 1; id--) {
            ok(cfgs_encoded_take(r, head.arena, id, bytes, sizeof bytes, &update));
            cr_assert_eq(number_in(bytes, &update), (double)id);
            cr_assert(!update.removed);
        }
    fails(CFGS_ERR_NOT_FOUND, cfgs_encoded_take(r, head.arena, 11, bytes, sizeof bytes, &update));
    fails(CFGS_ERR_LAPPED, cfgs_encoded_take(r, head.arena, 0, bytes, sizeof bytes, &update));
    fails(CFGS_ERR_LAPPED, cfgs_encoded_take(r, head.arena + 1, 1, bytes, sizeof bytes, &update));
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* shm-pitfalls 43: exactly the ring's length is there. */
Test(encoded, what_the_ring_no_longer_holds_is_lapped)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char bytes[256];
    cfgs_encoded_update update;

    for (int i = 1; i <= 40; i++)
        set_int(p, "a", i);
    cfgs_encoded_head head = look(r);
    cr_assert(head.sequence == 40 && head.oldest == 25);
    ok(cfgs_encoded_take(r, head.arena, 25, bytes, sizeof bytes, &update));
    fails(CFGS_ERR_LAPPED, cfgs_encoded_take(r, head.arena, 24, bytes, sizeof bytes, &update));
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(encoded, a_small_buffer_is_told_the_size_it_needs)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char bytes[256];
    cfgs_encoded_update whole, update;

    first_commit(p);
    set_text(p, "a", "a text of some length");
    cfgs_encoded_head head = look(r);
    ok(cfgs_encoded_take(r, head.arena, 1, bytes, sizeof bytes, &whole));
    fails(CFGS_ERR_BUFFER, cfgs_encoded_take(r, head.arena, 1, bytes, whole.length - 1, &update));
    cr_assert_eq(update.length, whole.length);
    ok(cfgs_encoded_take(r, head.arena, 1, bytes, whole.length, &update));
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(encoded, a_removed_key_has_no_value)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char bytes[256];
    cfgs_encoded_update update;

    first_commit(p);
    set_int(p, "a", 1);
    cr_assert(remove_key(p, "a"));
    ok(cfgs_encoded_take(r, look(r).arena, 2, bytes, sizeof bytes, &update));
    cr_assert(update.removed && update.value_at == 0 && update.value_length == 0);
    cr_assert(bytes[0] == 0x12 && bytes[1] == 1 && bytes[2] == 'a', "the key first: there is no source");
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* Does one of the first two updates consist of these bytes? */
static bool is_an_update(cfgs_reader *reader, cfgs_bytes setting)
{
    bool is = false;

    for (uint64_t id = 1; id <= 2; id++) {
        char bytes[256];
        cfgs_encoded_update update;
        ok(cfgs_encoded_take(reader, look(reader).arena, id, bytes, sizeof bytes, &update));
        is |= update.length == setting.length && memcmp(bytes, setting.data, setting.length) == 0;
    }
    return is;
}

/* What a view hands out is the update of the same ID without unset_source. */
Test(encoded, a_view_and_the_updates_say_the_same)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    cfgs_view view;
    int seen = 0, more;

    first_commit(p);
    set_int(p, "number", 7);
    set_text(p, "text", "words");
    ok(cfgs_view_begin(r, &view));
    do {
        cfgs_iterator iterator = {0};
        cfgs_bytes setting;
        unsigned flags;
        seen = 0;
        while ((more = cfgs_view_next_encoded(&view, &iterator, &setting, &flags)) == 1) {
            cr_assert(is_an_update(r, setting) && flags == 0);
            seen++;
        }
    } while (cfgs_view_retry(&view));
    cr_assert(more == 0 && seen == 2);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(encoded, an_arena_that_took_the_place_of_another_has_another_number)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    char bytes[256];
    cfgs_encoded_update update;

    set_int(p, "a", 1);
    cfgs_reader *r = open_reader(instance);
    cfgs_encoded_head first = look(r);
    cfgs_publisher_close(p, true);
    p = publish(instance);
    first_commit(p);
    set_int(p, "a", 2);
    (void)status_of(r); /* looks whether the arena still has its name */
    cfgs_encoded_head second = look(r);
    cr_assert_eq(second.arena, first.arena + 1);
    fails(CFGS_ERR_LAPPED, cfgs_encoded_take(r, first.arena, 1, bytes, sizeof bytes, &update));
    ok(cfgs_encoded_take(r, second.arena, 1, bytes, sizeof bytes, &update));
    cr_assert_eq(number_in(bytes, &update), 2.0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

static bool readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 5000) == 1;
}

/* shm-pitfalls 53: what is committed after a look is announced again. */
Test(encoded, a_look_rearms_the_descriptor)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    int fd;

    ok(cfgs_reader_fd(r, &fd));
    first_commit(p);
    for (int i = 1; i <= 50; i++) {
        uint64_t before = look(r).sequence;
        set_int(p, "a", i);
        while (look(r).sequence == before)
            cr_assert(readable(fd));
    }
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* Two readers count arenas each for themselves; the identity is the arena's own. */
Test(encoded, a_view_names_its_arena)
{
    cfgs_publisher *p = publish_in_memory(16), *other = publish_in_memory(16);
    cfgs_reader *r = reader_of(p), *s = reader_of(p), *t = reader_of(other);
    uint8_t of_r[16], of_s[16], of_t[16];
    cfgs_view view;

    fails(CFGS_ERR_NOT_READY, cfgs_view_begin(r, &view));
    cr_assert_eq(cfgs_view_arena(&view, of_r), 0);
    first_commit(p);
    first_commit(other);
    ok(cfgs_view_begin(r, &view));
    cr_assert_eq(cfgs_view_arena(&view, of_r), look(r).arena);
    ok(cfgs_view_begin(s, &view));
    cr_assert_eq(cfgs_view_arena(&view, of_s), 1);
    ok(cfgs_view_begin(t, &view));
    cr_assert_eq(cfgs_view_arena(&view, of_t), 1);
    cr_assert_arr_eq(of_r, of_s, sizeof of_r);
    cr_assert(memcmp(of_r, of_t, sizeof of_r) != 0);
    cfgs_reader_close(r);
    cfgs_reader_close(s);
    cfgs_reader_close(t);
    cfgs_publisher_close(p, false);
    cfgs_publisher_close(other, false);
}

/* A bulk load takes IDs that no ring slot has. */
Test(encoded, after_a_bulk_load_no_update_below_it_is_there)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char bytes[256];
    cfgs_encoded_update update;

    set_int(p, "a", 1);
    cr_assert_eq(load_ints(p, "k", 12, false), 12);
    cfgs_encoded_head head = look(r);
    cr_assert_eq(head.sequence, 13);
    fails(CFGS_ERR_LAPPED, cfgs_encoded_take(r, head.arena, 2, bytes, sizeof bytes, &update));
    fails(CFGS_ERR_LAPPED, cfgs_encoded_take(r, head.arena, 13, bytes, sizeof bytes, &update));
    set_int(p, "a", 2);
    ok(cfgs_encoded_take(r, head.arena, 14, bytes, sizeof bytes, &update));
    cr_assert_eq(number_in(bytes, &update), 2.0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(encoded, a_cleared_source_is_named_in_the_update_and_not_in_the_view)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    cfgs_setting setting = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);
    char bytes[256];
    cfgs_encoded_update update;
    cfgs_iterator iterator = {0};
    cfgs_bytes encoded;
    cfgs_view view;
    unsigned flags;

    set_value(p, "a", cfgs_value_int(2), CFGS_SOURCE_CLI);
    setting.flags = CFGS_SETTING_SECRET;
    ok(cfgs_publisher_set(p, &setting, CFGS_SOURCE_CLI, NULL));
    ok(cfgs_encoded_take(r, look(r).arena, 2, bytes, sizeof bytes, &update));
    cr_assert(!update.removed && update.flags == CFGS_SETTING_SECRET && number_in(bytes, &update) == 1.0);
    static const char unset[] = "\x22\x03" "cli";
    size_t at = update.value_at + update.value_length;
    cr_assert(update.length == at + 5 && memcmp(bytes + at, unset, 5) == 0, "field 4 comes last");
    ok(cfgs_view_begin(r, &view));
    cr_assert_eq(cfgs_view_next_encoded(&view, &iterator, &encoded, &flags), 1);
    cr_assert(encoded.length == at && memcmp(encoded.data, bytes, at) == 0 && flags == CFGS_SETTING_SECRET);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}
