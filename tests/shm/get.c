/*
 * get.c: point reads, handles, views and sections: what each returns on a hit, another kind, and absence.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

TestSuite(get, .fini = names_clean);

static cfgs_publisher *p;
static cfgs_reader *r;

static void open_pair(void)
{
    p = publish_in_memory(64);
    r = reader_of(p);
}

static void close_pair(void)
{
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* Publish a value built by the calls in `calls`, which use `b`. */
#define PUBLISH(key, calls)                                                                                            \
    do {                                                                                                               \
        cfgs_builder *b;                                                                                               \
        cfgs_value built;                                                                                              \
        ok(cfgs_builder_new(&b));                                                                                      \
        calls;                                                                                                         \
        ok(cfgs_builder_finish(b, &built));                                                                            \
        set_value(p, key, built, CFGS_SOURCE_FILE);                                                                    \
        cfgs_builder_free(b);                                                                                          \
    } while (0)

#define STRINGS(...)                                                                                                   \
    do {                                                                                                               \
        const char *const strings[] = {__VA_ARGS__};                                                                   \
        cfgs_builder_begin_list(b);                                                                                    \
        for (size_t i_ = 0; i_ < sizeof strings / sizeof strings[0]; i_++)                                             \
            cfgs_builder_add_string(b, strings[i_], strlen(strings[i_]));                                              \
        cfgs_builder_end_list(b);                                                                                      \
    } while (0)

static void publish_every_kind(void)
{
    set_value(p, "null", cfgs_value_null(), CFGS_SOURCE_DEFAULT);
    set_value(p, "bool", cfgs_value_bool(true), CFGS_SOURCE_FILE);
    set_value(p, "int", cfgs_value_int(INT64_C(1500000000)), CFGS_SOURCE_FILE);
    set_value(p, "double", cfgs_value_double(2.5), CFGS_SOURCE_FILE);
    set_text(p, "string", "10 kb");
    PUBLISH("list", STRINGS("a", "b"));
    PUBLISH("struct", {
        cfgs_builder_begin_struct(b);
        cfgs_builder_key(b, "k", 1);
        STRINGS("x");
        cfgs_builder_end_struct(b);
    });
}

static const char *const kind_keys[] = {"null", "bool", "int", "double", "string", "list", "struct"};

/* One row per getter: the results for null, bool, int, double, string, list, struct. */
static int call(int getter, const char *key)
{
    bool b;
    int64_t i;
    double d;
    uint64_t u;
    char text[32];
    char **strings;
    double *numbers;
    size_t count;
    cfgs_copy *copy = NULL;
    int err;

    switch (getter) {
    case 0:
        return cfgs_get_bool(r, key, &b);
    case 1:
        return cfgs_get_int(r, key, &i);
    case 2:
        return cfgs_get_double(r, key, &d);
    case 3:
        return cfgs_get_duration(r, key, &i);
    case 4:
        return cfgs_get_size(r, key, &u);
    case 5:
        return cfgs_get_string(r, key, text, sizeof text, &count);
    case 6:
        err = cfgs_get_string_list(r, key, &strings, &count);
        if (err == CFGS_OK)
            free(strings);
        return err;
    case 7:
        err = cfgs_get_float_list(r, key, &numbers, &count);
        if (err == CFGS_OK)
            free(numbers);
        return err;
    case 8:
        err = cfgs_get_value(r, key, &copy);
        break;
    case 9:
        err = cfgs_get_list(r, key, &copy);
        break;
    case 10:
        err = cfgs_get_map(r, key, &copy);
        break;
    case 11:
        err = cfgs_get_map_list(r, key, &copy);
        break;
    default:
        err = cfgs_get_list_map(r, key, &copy);
        break;
    }
    cr_assert((err == CFGS_OK) == (copy != NULL), "*out is written on success only");
    cfgs_copy_free(copy);
    return err;
}

#define K CFGS_ERR_KIND

Test(get, every_getter_says_what_each_kind_gives)
{
    static const int expected[13][7] = {
        /* null bool int double string list struct */
        {K, 0, K, K, K, K, K},                  /* bool */
        {K, K, 0, CFGS_ERR_RANGE, K, K, K},     /* int */
        {K, K, 0, 0, K, K, K},                  /* double */
        {K, K, 0, CFGS_ERR_RANGE, CFGS_ERR_SYNTAX, K, K}, /* duration */
        {K, K, 0, CFGS_ERR_RANGE, 0, K, K},     /* size */
        {K, K, K, K, 0, K, K},                  /* string */
        {K, K, K, K, K, 0, K},                  /* string list */
        {K, K, K, K, K, K, K},                  /* float list: of strings */
        {0, 0, 0, 0, 0, 0, 0},                  /* value */
        {K, K, K, K, K, 0, K},                  /* list */
        {K, K, K, K, K, K, 0},                  /* map */
        {K, K, K, K, K, K, K},                  /* map list: of strings */
        {K, K, K, K, K, K, 0},                  /* list map */
    };
    open_pair();
    publish_every_kind();
    for (int getter = 0; getter < 13; getter++) {
        for (int kind = 0; kind < 7; kind++)
            cr_assert_eq(call(getter, kind_keys[kind]), expected[getter][kind], "getter %d of %s: %d", getter,
                         kind_keys[kind], call(getter, kind_keys[kind]));
        cr_assert_eq(call(getter, "absent"), CFGS_ERR_NOT_FOUND, "getter %d", getter);
        cr_assert_eq(call(getter, ""), CFGS_ERR_INVALID, "getter %d", getter);
    }
    close_pair();
}

Test(get, keys_too_long_are_invalid_and_the_longest_is_found)
{
    char key[CFGS_KEY_MAX_BYTES + 2];
    open_pair();
    memset(key, 'k', sizeof key);
    key[CFGS_KEY_MAX_BYTES + 1] = '\0';
    set_int(p, "a", 1);
    for (int getter = 0; getter < 13; getter++)
        cr_assert_eq(call(getter, key), CFGS_ERR_INVALID, "getter %d", getter);
    key[CFGS_KEY_MAX_BYTES] = '\0';
    cr_assert_eq(call(1, key), CFGS_ERR_NOT_FOUND);
    set_int(p, key, 5);
    cr_assert_eq(int_of(r, key), 5);
    close_pair();
}

Test(get, before_the_first_snapshot_every_read_is_not_ready)
{
    cfgs_handle *handle;
    cfgs_copy *copy;
    cfgs_view view;
    int64_t value;
    int source;

    open_pair();
    for (int getter = 0; getter < 13; getter++)
        cr_assert_eq(call(getter, "a"), CFGS_ERR_NOT_READY, "getter %d", getter);
    fails(CFGS_ERR_NOT_READY, cfgs_view_begin(r, &view));
    fails(CFGS_ERR_NOT_READY, cfgs_get_section(r, "", &copy));
    fails(CFGS_ERR_NOT_READY, cfgs_get_source(r, "a", &source));
    ok(cfgs_handle_new(r, "a", &handle));
    fails(CFGS_ERR_NOT_READY, cfgs_handle_get_int(handle, &value));
    cfgs_handle_free(handle);
    close_pair();
}

Test(get, values_come_back_exactly)
{
    int64_t integer;
    double number;
    uint64_t size;
    open_pair();
    set_value(p, "max", cfgs_value_int(INT64_MAX), CFGS_SOURCE_FILE);
    set_value(p, "min", cfgs_value_int(INT64_MIN), CFGS_SOURCE_FILE);
    set_value(p, "odd", cfgs_value_int(INT64_C(9007199254740993)), CFGS_SOURCE_FILE);
    set_value(p, "whole", cfgs_value_double(3e9), CFGS_SOURCE_FILE);
    set_value(p, "tiny", cfgs_value_double(5e-324), CFGS_SOURCE_FILE);
    set_text(p, "time", "1h30m");
    set_text(p, "size", "5 MB");
    cr_assert_eq(int_of(r, "max"), INT64_MAX);
    cr_assert_eq(int_of(r, "min"), INT64_MIN);
    cr_assert_eq(int_of(r, "odd"), INT64_C(9007199254740993), "integers beyond 2^53 are exact (shm-pitfalls 26)");
    cr_assert_eq(int_of(r, "whole"), INT64_C(3000000000));
    ok(cfgs_get_double(r, "tiny", &number));
    cr_assert(number == 5e-324);
    ok(cfgs_get_duration(r, "time", &integer));
    cr_assert_eq(integer, INT64_C(5400000000000));
    ok(cfgs_get_size(r, "size", &size));
    cr_assert_eq(size, 5u << 20);
    fails(CFGS_ERR_RANGE, cfgs_get_size(r, "min", &size));
    close_pair();
}

Test(get, a_string_needs_room_for_its_nul_and_says_how_much)
{
    char buffer[16];
    size_t length = 99;
    open_pair();
    set_text(p, "s", "hello");
    set_text(p, "empty", "");
    memset(buffer, 'x', sizeof buffer);
    fails(CFGS_ERR_BUFFER, cfgs_get_string(r, "s", buffer, 5, &length));
    cr_assert(length == 5 && buffer[0] == 'x', "untouched");
    fails(CFGS_ERR_BUFFER, cfgs_get_string(r, "s", NULL, 0, &length));
    fails(CFGS_ERR_BUFFER, cfgs_get_string(r, "s", NULL, 0, NULL));
    ok(cfgs_get_string(r, "s", buffer, 6, &length));
    cr_assert_str_eq(buffer, "hello");
    cr_assert_eq(buffer[6], 'x', "nothing is written behind the NUL");
    ok(cfgs_get_string(r, "s", buffer, sizeof buffer, NULL));
    fails(CFGS_ERR_BUFFER, cfgs_get_string(r, "empty", NULL, 0, &length));
    cr_assert_eq(length, 0);
    ok(cfgs_get_string(r, "empty", buffer, 1, &length));
    cr_assert_str_eq(buffer, "");
    close_pair();
}

/* Lengths around every word boundary, whatever the place of the text in its record. */
Test(get, strings_of_every_length_and_alignment_come_back_whole)
{
    char in[80], out[80], key[16];
    open_pair();
    for (size_t key_length = 1; key_length <= 9; key_length++)
        for (size_t length = 0; length < 70; length++) {
            size_t got;
            memset(key, 'k', sizeof key);
            key[key_length] = '\0';
            for (size_t i = 0; i < length; i++)
                in[i] = (char)('a' + (i + length) % 26);
            set_value(p, key, cfgs_value_string(in, length), CFGS_SOURCE_FILE);
            ok(cfgs_get_string(r, key, out, sizeof out, &got));
            cr_assert(got == length && memcmp(in, out, length) == 0 && out[length] == '\0', "%zu %zu", key_length,
                      length);
        }
    close_pair();
}

Test(get, shapes_are_checked_down_to_their_elements)
{
    cfgs_copy *copy;
    cfgs_value item;
    open_pair();
    PUBLISH("maps", {
        cfgs_builder_begin_list(b);
        for (int i = 0; i < 2; i++) {
            cfgs_builder_begin_struct(b);
            cfgs_builder_key(b, "n", 1);
            cfgs_builder_add_int(b, i);
            cfgs_builder_end_struct(b);
        }
        cfgs_builder_end_list(b);
    });
    PUBLISH("mixed", {
        cfgs_builder_begin_list(b);
        cfgs_builder_begin_struct(b);
        cfgs_builder_end_struct(b);
        cfgs_builder_add_int(b, 1);
        cfgs_builder_end_list(b);
    });
    PUBLISH("lists", {
        cfgs_builder_begin_struct(b);
        cfgs_builder_key(b, "one", 3);
        STRINGS("a", "b");
        cfgs_builder_key(b, "two", 3);
        STRINGS("c");
        cfgs_builder_end_struct(b);
    });
    PUBLISH("numbers", {
        cfgs_builder_begin_struct(b);
        cfgs_builder_key(b, "one", 3);
        cfgs_builder_begin_list(b);
        cfgs_builder_add_int(b, 1);
        cfgs_builder_end_list(b);
        cfgs_builder_end_struct(b);
    });
    PUBLISH("none", {
        cfgs_builder_begin_list(b);
        cfgs_builder_end_list(b);
    });
    ok(cfgs_get_map_list(r, "maps", &copy));
    cr_assert_eq(cfgs_value_count(cfgs_copy_value(copy)), 2);
    cfgs_copy_free(copy);
    fails(CFGS_ERR_KIND, cfgs_get_map_list(r, "mixed", &copy));
    ok(cfgs_get_map_list(r, "none", &copy));
    cfgs_copy_free(copy);
    ok(cfgs_get_list_map(r, "lists", &copy));
    ok(cfgs_value_field(cfgs_copy_value(copy), "two", &item));
    cr_assert_eq(cfgs_value_count(&item), 1);
    cfgs_copy_free(copy);
    fails(CFGS_ERR_KIND, cfgs_get_list_map(r, "numbers", &copy));
    fails(CFGS_ERR_KIND, cfgs_get_list_map(r, "maps", &copy));
    close_pair();
}

Test(get, a_section_is_configured_if_anything_below_it_is)
{
    bool configured;
    cfgs_copy *copy;
    cfgs_value field;

    open_pair();
    set_value(p, "s.default", cfgs_value_int(1), CFGS_SOURCE_DEFAULT);
    set_value(p, "s.set.file", cfgs_value_int(2), CFGS_SOURCE_FILE);
    set_value(p, "d.default", cfgs_value_int(3), CFGS_SOURCE_DEFAULT);
    ok(cfgs_get_configured(r, "s", &configured));
    cr_assert(configured);
    ok(cfgs_get_configured(r, "d", &configured));
    cr_assert_not(configured);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_configured(r, "s.d", &configured));
    cr_assert_not(configured, "untouched");

    ok(cfgs_get_configured_section(r, "s", &copy));
    cr_assert_eq(cfgs_value_count(cfgs_copy_value(copy)), 1);
    ok(cfgs_value_field(cfgs_copy_value(copy), "set", &field));
    cr_assert_eq(cfgs_value_count(&field), 1);
    cfgs_copy_free(copy);
    ok(cfgs_get_configured_section(r, "d", &copy));
    cr_assert_eq(cfgs_copy_value(copy)->kind, CFGS_KIND_STRUCT);
    cr_assert_eq(cfgs_value_count(cfgs_copy_value(copy)), 0);
    cfgs_copy_free(copy);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_configured_section(r, "x", &copy));
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_configured_section(r, "d.default", &copy));
    close_pair();
}

Test(get, configured_means_above_default)
{
    bool configured;
    int source;
    open_pair();
    set_value(p, "d", cfgs_value_int(1), CFGS_SOURCE_DEFAULT);
    set_value(p, "f", cfgs_value_int(1), CFGS_SOURCE_ENVIRONMENT_VARIABLE);
    ok(cfgs_get_configured(r, "d", &configured));
    cr_assert_not(configured);
    ok(cfgs_get_configured(r, "f", &configured));
    cr_assert(configured);
    ok(cfgs_get_source(r, "f", &source));
    cr_assert_eq(source, CFGS_SOURCE_ENVIRONMENT_VARIABLE);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_configured(r, "x", &configured));
    close_pair();
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static void field_int(const cfgs_value *map, const char *key, int64_t expected)
{
    cfgs_value item;
    int64_t value;
    ok(cfgs_value_field(map, key, &item));
    ok(cfgs_value_get_int(&item, &value));
    cr_assert_eq(value, expected);
}

Test(get, a_section_is_the_nested_map_of_what_lies_below)
{
    static const char *const keys[] = {"logs.a", "logs.b.c", "logs.b.d", "logs.b-x", "logs.e.f.g", "logs_other",
                                       "logs", "log.z", "x"};
    cfgs_copy *copy;
    cfgs_value inner;
    open_pair();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        set_int(p, keys[i], (int64_t)i);
    ok(cfgs_get_section(r, "logs", &copy));
    const cfgs_value *map = cfgs_copy_value(copy);
    ok(cfgs_value_check(map));
    cr_assert_eq(cfgs_value_count(map), 4); /* a, b, b-x, e */
    field_int(map, "a", 0);
    field_int(map, "b-x", 3);
    ok(cfgs_value_field(map, "b", &inner));
    cr_assert_eq(cfgs_value_count(&inner), 2);
    field_int(&inner, "c", 1);
    field_int(&inner, "d", 2);
    ok(cfgs_value_field(map, "e", &inner));
    ok(cfgs_value_field(&inner, "f", &inner));
    field_int(&inner, "g", 4);
    cfgs_copy_free(copy);
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_section(r, "x", &copy));
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_section(r, "logs.a", &copy));
    fails(CFGS_ERR_NOT_FOUND, cfgs_get_section(r, "lo", &copy));
    ok(cfgs_get_section(r, "", &copy));
    map = cfgs_copy_value(copy);
    cr_assert_eq(cfgs_value_count(map), 4); /* log, logs (the section wins over the value), logs_other, x */
    ok(cfgs_value_field(map, "logs", &inner));
    cr_assert_eq(inner.kind, CFGS_KIND_STRUCT);
    cfgs_copy_free(copy);
    close_pair();
}

/* '.' sorts first whatever stands beside it: '-', ' ' and '!' are lower bytes than '.'. */
Test(get, siblings_that_sort_around_the_dot_do_not_split_a_section)
{
    static const char *const keys[] = {"s.a!", "s.a.z", "s.a", "s.a-b", "s.a b", "s.a.b.c", "s.a.b!", "s.a.b"};
    cfgs_copy *copy;
    cfgs_value a, b;
    open_pair();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        set_int(p, keys[i], (int64_t)i);
    ok(cfgs_get_section(r, "s", &copy));
    const cfgs_value *map = cfgs_copy_value(copy);
    ok(cfgs_value_check(map));
    cr_assert_eq(cfgs_value_count(map), 4);
    field_int(map, "a!", 0);
    field_int(map, "a-b", 3);
    field_int(map, "a b", 4);
    ok(cfgs_value_field(map, "a", &a));
    field_int(&a, "z", 1);
    field_int(&a, "b!", 6);
    ok(cfgs_value_field(&a, "b", &b));
    field_int(&b, "c", 5);
    cfgs_copy_free(copy);
    close_pair();
}

Test(get, keys_with_empty_elements_still_make_a_section)
{
    cfgs_copy *copy;
    open_pair();
    set_int(p, "s..a", 1);
    set_int(p, "s.", 2);
    set_int(p, ".", 3);
    set_int(p, "..", 4);
    ok(cfgs_get_section(r, "", &copy));
    ok(cfgs_value_check(cfgs_copy_value(copy)));
    cfgs_copy_free(copy);
    ok(cfgs_get_section(r, "s", &copy));
    ok(cfgs_value_check(cfgs_copy_value(copy)));
    cfgs_copy_free(copy);
    close_pair();
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

Test(get, a_view_stays_at_its_point_in_time)
{
    cfgs_view view;
    int64_t value;
    open_pair();
    set_int(p, "a", 1);
    set_int(p, "b", 1);
    (void)int_of(r, "a"); /* the file grew at the first load: look once, so that the view knows its size */
    ok(cfgs_view_begin(r, &view));
    set_int(p, "a", 2);
    set_int(p, "c", 3);
    remove_key(p, "b");
    ok(cfgs_view_get_int(&view, "a", &value));
    cr_assert_eq(value, 1);
    ok(cfgs_view_get_int(&view, "b", &value));
    fails(CFGS_ERR_NOT_FOUND, cfgs_view_get_int(&view, "c", &value));
    cr_assert_not(cfgs_view_retry(&view));
    ok(cfgs_view_error(&view));
    cr_assert_eq(cfgs_view_sequence(&view), 2);
    close_pair();
}

Test(get, a_view_whose_bank_was_recycled_begins_anew_and_in_the_end_is_busy)
{
    cfgs_view view;
    int64_t value;
    int rounds = 0;
    open_pair();
    load_ints(p, "k", 100, false);
    ok(cfgs_view_begin(r, &view));
    do {
        int err = cfgs_view_get_int(&view, "k1", &value);
        cr_assert(err == CFGS_OK || err == CFGS_ERR_CORRUPT || err == CFGS_ERR_NOT_FOUND);
        force_rebuild(p, r);
        force_rebuild(p, r);
        rounds++;
    } while (cfgs_view_retry(&view));
    cr_assert_eq(rounds, CFGS_VIEW_ROUNDS);
    fails(CFGS_ERR_BUSY, cfgs_view_error(&view));

    ok(cfgs_view_begin(r, &view));
    rounds = 0;
    do {
        ok(cfgs_view_get_int(&view, "k1", &value));
        if (rounds++ == 0) {
            set_int(p, "k1", 77);
            force_rebuild(p, r);
            force_rebuild(p, r);
        }
    } while (cfgs_view_retry(&view));
    cr_assert_eq(rounds, 2);
    cr_assert_eq(value, 77, "the second round is at a later point in time");
    ok(cfgs_view_error(&view));
    close_pair();
}

Test(get, one_rebuild_leaves_a_view_alone)
{
    cfgs_view view;
    int64_t value;
    open_pair();
    load_ints(p, "k", 100, false);
    (void)int_of(r, "k1");
    ok(cfgs_view_begin(r, &view));
    force_rebuild(p, r);
    ok(cfgs_view_get_int(&view, "k1", &value));
    cr_assert_not(cfgs_view_retry(&view));
    ok(cfgs_view_error(&view));
    close_pair();
}

Test(get, a_prefix_iteration_shows_each_key_below_it_once)
{
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    bool seen[50] = {false};
    cfgs_view view;
    size_t count = 0;
    open_pair();
    load_ints(p, "aa.", 50, false);
    load_ints(p, "ab.", 50, false);
    set_int(p, "a", 0);
    (void)int_of(r, "a");
    ok(cfgs_view_begin(r, &view));
    while (cfgs_view_next(&view, &iterator, "aa.", 3, &setting) == 1) {
        cr_assert(setting.key.length > 3 && memcmp(setting.key.data, "aa.", 3) == 0);
        cr_assert_not(seen[setting.value.as.integer]);
        seen[setting.value.as.integer] = true;
        count++;
    }
    cr_assert_not(cfgs_view_retry(&view));
    cr_assert_eq(count, 50);
    iterator = (cfgs_iterator){0};
    cr_assert_eq(cfgs_view_next(&view, &iterator, "none", 4, &setting), 0);
    for (iterator = (cfgs_iterator){0}, count = 0; cfgs_view_next(&view, &iterator, NULL, 0, &setting) == 1;)
        count++;
    cr_assert_eq(count, 101);
    close_pair();
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

Test(get, a_handle_follows_its_key_through_updates_removal_and_rebuilds)
{
    cfgs_handle *handle;
    int64_t value;
    open_pair();
    first_commit(p);
    ok(cfgs_handle_new(r, "k", &handle));
    fails(CFGS_ERR_NOT_FOUND, cfgs_handle_get_int(handle, &value));
    for (int round = 0; round < 5; round++) {
        set_int(p, "k", round);
        for (int again = 0; again < 2; again++) {
            ok(cfgs_handle_get_int(handle, &value));
            cr_assert_eq(value, round);
        }
        force_rebuild(p, r);
        ok(cfgs_handle_get_int(handle, &value));
        cr_assert_eq(value, round);
        if (round == 2) {
            remove_key(p, "k");
            fails(CFGS_ERR_NOT_FOUND, cfgs_handle_get_int(handle, &value));
            force_rebuild(p, r);
            fails(CFGS_ERR_NOT_FOUND, cfgs_handle_get_int(handle, &value));
        }
        load_ints(p, "others", 200, round % 2 == 0);
        cr_assert_eq(cfgs_handle_get_int(handle, &value), round % 2 == 0 ? CFGS_ERR_NOT_FOUND : CFGS_OK);
    }
    cfgs_handle_free(handle);
    cfgs_handle_free(NULL);
    fails(CFGS_ERR_INVALID, cfgs_handle_new(r, "", &handle));
    close_pair();
}

Test(get, a_handle_reads_every_type_and_follows_a_change_of_kind)
{
    cfgs_handle *handle;
    int64_t i;
    bool b;
    double d;
    uint64_t u;
    char text[16];
    size_t length;
    open_pair();
    set_value(p, "k", cfgs_value_bool(true), CFGS_SOURCE_FILE);
    ok(cfgs_handle_new(r, "k", &handle));
    for (int round = 0; round < 2; round++) {
        ok(cfgs_handle_get_bool(handle, &b));
        fails(CFGS_ERR_KIND, cfgs_handle_get_int(handle, &i));
        fails(CFGS_ERR_KIND, cfgs_handle_get_string(handle, text, sizeof text, &length));
    }
    set_value(p, "k", cfgs_value_double(2.0), CFGS_SOURCE_FILE);
    ok(cfgs_handle_get_double(handle, &d));
    ok(cfgs_handle_get_int(handle, &i));
    ok(cfgs_handle_get_size(handle, &u));
    ok(cfgs_handle_get_duration(handle, &i));
    cr_assert(d == 2.0 && i == 2 && u == 2);
    fails(CFGS_ERR_KIND, cfgs_handle_get_bool(handle, &b));
    set_text(p, "k", "3kb");
    ok(cfgs_handle_get_size(handle, &u));
    cr_assert_eq(u, 3072);
    fails(CFGS_ERR_BUFFER, cfgs_handle_get_string(handle, text, 3, &length));
    ok(cfgs_handle_get_string(handle, text, 4, &length));
    cr_assert_str_eq(text, "3kb");
    fails(CFGS_ERR_SYNTAX, cfgs_handle_get_duration(handle, &i));
    set_value(p, "k", cfgs_value_null(), CFGS_SOURCE_FILE);
    fails(CFGS_ERR_KIND, cfgs_handle_get_int(handle, &i));
    set_int(p, "k", -1);
    fails(CFGS_ERR_RANGE, cfgs_handle_get_size(handle, &u));
    fails(CFGS_ERR_RANGE, cfgs_handle_get_size(handle, &u));
    cfgs_handle_free(handle);
    close_pair();
}

Test(get, a_handle_survives_restart_replacement_and_a_late_arena)
{
    const char *instance = new_instance();
    cfgs_reader *reader = open_reader(instance);
    cfgs_handle *handle;
    int64_t value;

    ok(cfgs_handle_new(reader, "k", &handle));
    fails(CFGS_ERR_NOT_READY, cfgs_handle_get_int(handle, &value));
    cfgs_publisher *q = publish(instance);
    fails(CFGS_ERR_NOT_READY, cfgs_handle_get_int(handle, &value));
    set_int(q, "k", 1);
    ok(cfgs_handle_get_int(handle, &value));
    cfgs_publisher_close(q, false);
    ok(cfgs_handle_get_int(handle, &value));
    q = publish(instance); /* restart: the same arena */
    set_int(q, "k", 2);
    ok(cfgs_handle_get_int(handle, &value));
    cr_assert_eq(value, 2);
    cfgs_publisher_close(q, false);
    q = publish_with(instance, (cfgs_publisher_options){.ring_slots = 32}); /* another arena */
    ok(cfgs_handle_get_int(handle, &value));
    cr_assert_eq(value, 2);
    set_int(q, "k", 3);
    ok(cfgs_reader_wait_ready(reader, 0));
    await_state(reader, CFGS_PRODUCER_RUNNING);
    ok(cfgs_handle_get_int(handle, &value));
    cr_assert_eq(value, 3);
    cfgs_publisher_close(q, true);
    ok(cfgs_handle_get_int(handle, &value));
    cr_assert_eq(value, 3);
    cfgs_handle_free(handle);
    cfgs_reader_close(reader);
}
