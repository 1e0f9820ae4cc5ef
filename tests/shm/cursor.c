/* cursor.c: reading lists and structs in place, sound bytes and garbage.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

TestSuite(cursor);

#define FUZZ_ROUNDS 100000

static cfgs_value list_of(const char *bytes, size_t length)
{
    return (cfgs_value){.kind = CFGS_KIND_LIST, .as.bytes = {bytes, length}};
}

Test(cursor, walks_a_struct_in_key_order)
{
    const cfgs_value map = {.kind = CFGS_KIND_STRUCT,
                            .as.bytes = {"\x0a\x08\x0a\x01" "a\x12\x03\x1a\x01x\x0a\x07\x0a\x01" "b\x12\x02\x20\x01",
                                         19}};
    cfgs_cursor cursor;
    cfgs_bytes key;
    cfgs_value item;

    ok(cfgs_cursor_init(&cursor, &map));
    cr_assert_eq(cfgs_cursor_next(&cursor, &key, &item), 1);
    cr_assert(bytes_are(key, "a") && item.kind == CFGS_KIND_STRING && bytes_are(item.as.bytes, "x"));
    cr_assert_eq(cfgs_cursor_next(&cursor, &key, &item), 1);
    cr_assert(bytes_are(key, "b") && item.kind == CFGS_KIND_BOOL && item.as.boolean);
    cr_assert_eq(cfgs_cursor_next(&cursor, &key, &item), 0);
    cr_assert_eq(cfgs_cursor_next(&cursor, &key, &item), 0);
}

Test(cursor, an_empty_container_ends_at_once_even_without_bytes)
{
    cfgs_value list = list_of(NULL, 0), item;
    cfgs_cursor cursor;
    char **strings;
    double *numbers;
    size_t count = 9;

    ok(cfgs_cursor_init(&cursor, &list));
    cr_assert_eq(cfgs_cursor_next(&cursor, NULL, &item), 0);
    cr_assert_eq(cfgs_value_count(&list), 0);
    ok(cfgs_value_string_list(&list, &strings, &count));
    cr_assert_eq(count, 0);
    cr_assert_null(strings[0]);
    free(strings);
    ok(cfgs_value_float_list(&list, &numbers, &count));
    cr_assert_eq(count, 0);
    free(numbers);
}

Test(cursor, a_scalar_is_no_container)
{
    cfgs_value value = cfgs_value_int(1), out;
    cfgs_cursor cursor;
    fails(CFGS_ERR_KIND, cfgs_cursor_init(&cursor, &value));
    fails(CFGS_ERR_KIND, (int)cfgs_value_count(&value));
    fails(CFGS_ERR_KIND, cfgs_value_field(&value, "a", &out));
    value = list_of("", 0);
    fails(CFGS_ERR_KIND, cfgs_value_field(&value, "a", &out));
}

/* What a newer writer may add: unknown fields of each wire type, before and inside an element. */
Test(cursor, unknown_fields_are_passed_over)
{
    cfgs_value list = list_of("\x10\x05\x19" "12345678\x25" "1234\x2a\x02zz\x0a\x07\x3a\x01q\x40\x7f\x20\x01", 29);
    cfgs_value item;
    cfgs_cursor cursor;
    ok(cfgs_cursor_init(&cursor, &list));
    cr_assert_eq(cfgs_cursor_next(&cursor, NULL, &item), 1);
    cr_assert(item.kind == CFGS_KIND_BOOL && item.as.boolean);
    cr_assert_eq(cfgs_cursor_next(&cursor, NULL, &item), 0);
}

Test(cursor, truncated_and_overlong_messages_are_corrupt)
{
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {
        {"\x0a", 1},                                             /* a tag alone */
        {"\x0a\x05\x1a\x03zz", 6},                               /* shorter than its length */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},    /* length 2^64 - 1 */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11},    /* beyond 64 bits */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, /* a varint of twelve bytes */
        {"\x0a\x02\x11\x00", 4},                                 /* a double of one byte */
        {"\x0b\x00", 2},                                         /* a group */
        {"\x0a\x02\x1a\x05", 4},                                 /* text beyond its element */
        {"\x0a\x03\xc0\x3e\x01", 5},                             /* an integer without its rounding */
        {"\x0a\x0c\x11\0\0\0\0\0\0\xf0\x3f\xc0\x3e\x01", 14},  /* one that a double holds */
        {"\x0a\x13\x11\0\0\0\0\0\0\x40\x43\xc0\x3e\x83\x80\x80\x80\x80\x80\x80\x10", 21}, /* of another number */
        {"\x0a\x0b\x11\0\0\0\0\0\0\x40\x43\xc0\x3e", 13},        /* its tag alone */
        {"\x0a\x1d\x11\0\0\0\0\0\0\x40\x43\xc0\x3e\x81\x80\x80\x80\x80\x80\x80\x10"
         "\xc0\x3e\x81\x80\x80\x80\x80\x80\x80\x10", 31},     /* twice */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        /* On the heap, so that an over-read is one under the address sanitizer. */
        char *bytes = malloc(bad[i].length);
        memcpy(bytes, bad[i].bytes, bad[i].length);
        cfgs_value list = list_of(bytes, bad[i].length), item;
        cfgs_cursor cursor;
        ok(cfgs_cursor_init(&cursor, &list));
        cr_assert_eq(cfgs_cursor_next(&cursor, NULL, &item), CFGS_ERR_CORRUPT, "case %zu", i);
        cr_assert_eq(cfgs_value_count(&list), CFGS_ERR_CORRUPT, "case %zu", i);
        free(bytes);
    }
}

Test(cursor, string_and_float_lists_say_what_does_not_fit)
{
    cfgs_builder *b;
    cfgs_value list;
    char **strings;
    double *numbers;
    size_t count;

    ok(cfgs_builder_new(&b));
    cfgs_builder_begin_list(b);
    cfgs_builder_add_string(b, "one", 3);
    cfgs_builder_add_string(b, "", 0);
    cfgs_builder_end_list(b);
    ok(cfgs_builder_finish(b, &list));
    ok(cfgs_value_string_list(&list, &strings, &count));
    cr_assert_eq(count, 2);
    cr_assert_str_eq(strings[0], "one");
    cr_assert_str_eq(strings[1], "");
    free(strings);
    fails(CFGS_ERR_KIND, cfgs_value_float_list(&list, &numbers, &count));

    cfgs_builder_reset(b);
    cfgs_builder_begin_list(b);
    cfgs_builder_add_double(b, 0.5);
    cfgs_builder_add_int(b, 3);
    cfgs_builder_end_list(b);
    ok(cfgs_builder_finish(b, &list));
    ok(cfgs_value_float_list(&list, &numbers, &count));
    cr_assert(count == 2 && numbers[0] == 0.5 && numbers[1] == 3.0);
    free(numbers);
    fails(CFGS_ERR_KIND, cfgs_value_string_list(&list, &strings, &count));

    cfgs_builder_reset(b);
    cfgs_builder_begin_list(b);
    cfgs_builder_add_string(b, "a\0b", 3);
    cfgs_builder_end_list(b);
    ok(cfgs_builder_finish(b, &list));
    fails(CFGS_ERR_ENCODING, cfgs_value_string_list(&list, &strings, &count));
    cfgs_builder_free(b);

    list = list_of("\x0a\x05\x1a", 3);
    fails(CFGS_ERR_CORRUPT, cfgs_value_string_list(&list, &strings, &count));
    fails(CFGS_ERR_CORRUPT, cfgs_value_float_list(&list, &numbers, &count));
    cfgs_value map = {.kind = CFGS_KIND_STRUCT};
    fails(CFGS_ERR_KIND, cfgs_value_string_list(&map, &strings, &count));
    fails(CFGS_ERR_KIND, cfgs_value_float_list(&map, &numbers, &count));
}

/* Every use of a container on bytes that mean nothing; heap copies of exact size, so that any over-read shows. */
static void use_container(const cfgs_value *value, size_t bytes)
{
    cfgs_cursor cursor;
    cfgs_bytes key;
    cfgs_value item;
    char **strings;
    double *numbers;
    size_t count, steps = 0;
    int more;

    ok(cfgs_cursor_init(&cursor, value));
    while ((more = cfgs_cursor_next(&cursor, &key, &item)) == 1) {
        cr_assert(++steps <= bytes, "a cursor takes more steps than there are bytes");
        if (item.kind == CFGS_KIND_STRING && item.as.bytes.length > 0)
            cr_assert(item.as.bytes.data >= value->as.bytes.data &&
                      item.as.bytes.length <= bytes - (size_t)(item.as.bytes.data - value->as.bytes.data));
    }
    cr_assert(more == 0 || more == CFGS_ERR_CORRUPT);
    int64_t n = cfgs_value_count(value);
    cr_assert(more == 0 ? n == (int64_t)steps : n == CFGS_ERR_CORRUPT);
    int err = cfgs_value_check(value);
    cr_assert(err == CFGS_OK || err == CFGS_ERR_CORRUPT || err == CFGS_ERR_ENCODING || err == CFGS_ERR_TOO_LARGE);
    cr_assert(err != CFGS_OK || more == 0);
    if (cfgs_value_string_list(value, &strings, &count) == CFGS_OK)
        free(strings);
    if (cfgs_value_float_list(value, &numbers, &count) == CFGS_OK)
        free(numbers);
    err = cfgs_value_field(value, "a", &item);
    cr_assert(err <= CFGS_OK);
}

/* Random bytes rarely look like a message: most rounds damage a sound one instead. */
static size_t make_input(uint64_t *seed, char *bytes, const cfgs_value *sound)
{
    uint64_t random = random_next(seed);
    size_t length;

    if (random % 4 == 0) {
        length = random / 4 % 64;
        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)random_next(seed);
        return length;
    }
    length = random / 4 % 8 == 0 ? random / 32 % sound->as.bytes.length : sound->as.bytes.length;
    memcpy(bytes, sound->as.bytes.data, length);
    for (uint64_t flips = random_next(seed) % 4 + 1; flips > 0 && length > 0; flips--)
        bytes[random_next(seed) % length] = (char)random_next(seed);
    return length;
}

Test(cursor, garbage_bytes_never_lead_outside_or_on_for_ever)
{
    uint64_t seed = 20240601;
    char scratch[256];
    cfgs_builder *b;
    cfgs_value sound;

    ok(cfgs_builder_new(&b));
    cfgs_builder_begin_struct(b);
    cfgs_builder_key(b, "a", 1);
    cfgs_builder_begin_list(b);
    cfgs_builder_add_string(b, "text", 4);
    cfgs_builder_add_double(b, 1.5);
    cfgs_builder_add_int(b, INT64_MAX);
    cfgs_builder_begin_struct(b);
    cfgs_builder_key(b, "n", 1);
    cfgs_builder_add_bool(b, true);
    cfgs_builder_end_struct(b);
    cfgs_builder_end_list(b);
    cfgs_builder_key(b, "bb", 2);
    cfgs_builder_add_string(b, "value", 5);
    cfgs_builder_end_struct(b);
    ok(cfgs_builder_finish(b, &sound));
    cr_assert(sound.as.bytes.length < sizeof scratch);
    for (int round = 0; round < FUZZ_ROUNDS; round++) {
        size_t length = make_input(&seed, scratch, &sound);
        char *exact = malloc(length > 0 ? length : 1);
        memcpy(exact, scratch, length);
        cfgs_value value = {.kind = round % 2 == 0 ? CFGS_KIND_STRUCT : CFGS_KIND_LIST, .as.bytes = {exact, length}};
        use_container(&value, length);
        free(exact);
    }
    cfgs_builder_free(b);
}
