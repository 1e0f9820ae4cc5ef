/* value.c: builder and codec: round trips, and bytes equal to protobuf's.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

TestSuite(value);

static cfgs_builder *new_builder(void)
{
    cfgs_builder *builder = NULL;
    ok(cfgs_builder_new(&builder));
    return builder;
}

static cfgs_value finish(cfgs_builder *builder)
{
    cfgs_value value = {0};
    ok(cfgs_builder_finish(builder, &value));
    ok(cfgs_value_check(&value));
    return value;
}

static void key(cfgs_builder *builder, const char *text)
{
    cfgs_builder_key(builder, text, strlen(text));
}

static void text(cfgs_builder *builder, const char *string)
{
    cfgs_builder_add_string(builder, string, strlen(string));
}

/* The bytes as hexadecimal digits, compared with what google.protobuf (Python, deterministic) wrote. */
static void bytes_equal(const cfgs_value *value, const char *hex)
{
    cr_assert_eq(value->as.bytes.length, strlen(hex) / 2);
    for (size_t i = 0; i < value->as.bytes.length; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        cr_assert_eq((unsigned char)value->as.bytes.data[i], strtoul(pair, NULL, 16), "byte %zu", i);
    }
}

Test(value, every_scalar_at_the_top_keeps_its_kind)
{
    cfgs_builder *builder = new_builder();
    const cfgs_value scalars[] = {cfgs_value_null(),         cfgs_value_bool(true),        cfgs_value_bool(false),
                                  cfgs_value_int(INT64_MIN), cfgs_value_int(INT64_MAX),    cfgs_value_double(-0.0),
                                  cfgs_value_double(1e308),  cfgs_value_string("a\0b", 3), cfgs_value_string("", 0)};

    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        cfgs_builder_reset(builder);
        cfgs_builder_add(builder, &scalars[i]);
        cfgs_value value = finish(builder);
        cr_assert(cfgs_value_equal(&value, &scalars[i]), "scalar %zu", i);
        cr_assert_not(cfgs_builder_inexact(builder));
    }
    cfgs_builder_free(builder);
}

Test(value, list_bytes_are_those_of_protobuf)
{
    cfgs_builder *b = new_builder();
    cfgs_builder_begin_list(b);
    cfgs_builder_add_null(b);
    cfgs_builder_add_bool(b, true);
    cfgs_builder_add_bool(b, false);
    cfgs_builder_add_int(b, 1);
    cfgs_builder_add_double(b, -2.5);
    text(b, "");
    text(b, "h\xC3\xA9llo");
    cfgs_builder_begin_list(b);
    cfgs_builder_end_list(b);
    cfgs_builder_begin_struct(b);
    cfgs_builder_end_struct(b);
    cfgs_builder_begin_list(b);
    cfgs_builder_add_int(b, 1);
    cfgs_builder_begin_list(b);
    cfgs_builder_add_int(b, 2);
    cfgs_builder_end_list(b);
    cfgs_builder_end_list(b);
    cfgs_builder_begin_struct(b);
    key(b, "a");
    cfgs_builder_begin_list(b);
    cfgs_builder_begin_struct(b);
    key(b, "b");
    cfgs_builder_add_null(b);
    cfgs_builder_end_struct(b);
    cfgs_builder_end_list(b);
    cfgs_builder_end_struct(b);
    cfgs_builder_end_list(b);
    cfgs_value value = finish(b);
    bytes_equal(&value,
                "0a0208000a0220010a0220000a0911000000000000f03f0a091100000000000004c00a021a000a081a0668c3a96c6c6f"
                        "0a0232000a022a000a1c321a0a0911000000000000f03f0a0d320b0a091100000000000000400a182a160a140a016112"
                        "0f320d0a0b2a090a070a016212020800");
    cr_assert_eq(cfgs_value_count(&value), 11);
    cfgs_builder_free(b);
}

/* Entries are given unsorted, one key twice: sorted, and the later one stays. */
Test(value, struct_bytes_are_sorted_unique_and_those_of_protobuf)
{
    cfgs_builder *b = new_builder();
    cfgs_builder_begin_struct(b);
    key(b, "z");
    cfgs_builder_add_int(b, 99);
    key(b, "m");
    cfgs_builder_begin_struct(b);
    key(b, "k");
    cfgs_builder_add_bool(b, true);
    key(b, "j");
    cfgs_builder_add_null(b);
    cfgs_builder_end_struct(b);
    key(b, "a");
    text(b, "x");
    key(b, "z");
    cfgs_builder_add_int(b, 1);
    key(b, "l");
    cfgs_builder_begin_list(b);
    text(b, "p");
    text(b, "q");
    cfgs_builder_end_list(b);
    cfgs_builder_end_struct(b);
    cfgs_value value = finish(b);
    bytes_equal(&value,
                "0a080a016112031a01780a110a016c120c320a0a031a01700a031a01710a190a016d12142a120a070a016a120208000a"
                        "070a016b120220010a0e0a017a120911000000000000f03f");
    cfgs_builder_free(b);
}

Test(value, lengths_beyond_one_varint_byte_are_those_of_protobuf)
{
    cfgs_builder *b = new_builder();
    char x[200], hex[2 * 512] = "0acb011ac801";
    memset(x, 'x', sizeof x);
    cfgs_builder_begin_list(b);
    cfgs_builder_add_string(b, x, sizeof x);
    cfgs_builder_begin_list(b);
    for (int i = 0; i < 20; i++)
        cfgs_builder_add_int(b, 0);
    cfgs_builder_end_list(b);
    cfgs_builder_end_list(b);
    for (int i = 0; i < 200; i++)
        strcat(hex, "78");
    strcat(hex, "0adf0132dc01");
    for (int i = 0; i < 20; i++)
        strcat(hex, "0a09110000000000000000");
    cfgs_value value = finish(b);
    bytes_equal(&value, hex);
    cfgs_builder_free(b);
}

/* Rounded or not, the number is what protobuf writes; the integer follows as field 1000 only where it is needed. */
Test(value, an_int_in_a_list_stays_exact_and_is_called_inexact_where_a_double_rounds_it)
{
    static const struct {
        int64_t integer;
        bool inexact;
        const char *hex;
    } cases[] = {
        {0, false, "0a09110000000000000000"},
        {INT64_C(9007199254740992), false, "0a09110000000000004043"},
        {INT64_MIN, false, "0a0911000000000000e0c3"},
        {INT64_C(9007199254740993), true, "0a13110000000000004043c03e8180808080808010"},
        {INT64_MAX, true, "0a1411000000000000e043c03effffffffffffffff7f"},
        {INT64_C(-9007199254740993), true, "0a151100000000000040c3c03effffffffffffffefff01"},
    };
    cfgs_builder *b = new_builder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfgs_cursor cursor;
        cfgs_value item;
        int64_t integer;
        cfgs_builder_reset(b);
        cfgs_builder_begin_list(b);
        cfgs_builder_add_int(b, cases[i].integer);
        cfgs_builder_end_list(b);
        cfgs_value list = finish(b);
        cr_assert_eq(cfgs_builder_inexact(b), cases[i].inexact, "case %zu", i);
        bytes_equal(&list, cases[i].hex);
        ok(cfgs_cursor_init(&cursor, &list));
        cr_assert_eq(cfgs_cursor_next(&cursor, NULL, &item), 1);
        cr_assert_eq(item.kind, cases[i].inexact ? CFGS_KIND_INT : CFGS_KIND_DOUBLE, "case %zu", i);
        ok(cfgs_value_get_int(&item, &integer));
        cr_assert_eq(integer, cases[i].integer, "case %zu", i);
    }
    cfgs_builder_free(b);
}

Test(value, later_of_two_equal_keys_stays_whatever_its_kind_and_place)
{
    cfgs_builder *b = new_builder();
    cfgs_value field;
    cfgs_builder_begin_struct(b);
    for (int i = 0; i < 100; i++) {
        char name[8];
        snprintf(name, sizeof name, "k%d", i % 10);
        key(b, name);
        if (i % 3 == 0) {
            cfgs_builder_begin_list(b);
            cfgs_builder_add_int(b, i);
            cfgs_builder_end_list(b);
        } else {
            cfgs_builder_add_int(b, i);
        }
    }
    cfgs_builder_end_struct(b);
    cfgs_value value = finish(b);
    cr_assert_eq(cfgs_value_count(&value), 10);
    for (int i = 90; i < 100; i++) {
        char name[8];
        int64_t number;
        snprintf(name, sizeof name, "k%d", i % 10);
        ok(cfgs_value_field(&value, name, &field));
        if (i % 3 == 0) {
            cr_assert_eq(field.kind, CFGS_KIND_LIST);
        } else {
            ok(cfgs_value_get_int(&field, &number));
            cr_assert_eq(number, i);
        }
    }
    fails(CFGS_ERR_NOT_FOUND, cfgs_value_field(&value, "k", &field));
    cfgs_builder_free(b);
}

static void nest(cfgs_builder *b, int depth, bool lists)
{
    for (int i = 0; i < depth; i++) {
        if (lists || i % 2 == 0) {
            cfgs_builder_begin_list(b);
        } else {
            cfgs_builder_begin_struct(b);
            key(b, "k");
        }
    }
    cfgs_builder_add_int(b, 7);
    for (int i = depth; i-- > 0;) {
        if (lists || i % 2 == 0)
            cfgs_builder_end_list(b);
        else
            cfgs_builder_end_struct(b);
    }
}

/* An innermost struct is opened and its key given: the entry needs a value, so depth counts containers only. */
Test(value, nesting_of_128_passes_and_129_is_too_large)
{
    for (int lists = 0; lists < 2; lists++) {
        cfgs_builder *b = new_builder();
        cfgs_value value;
        nest(b, CFGS_VALUE_MAX_DEPTH, lists);
        value = finish(b);
        /* Adding it into one more container nests too deep as well, though the builder was handed ready bytes. */
        cfgs_builder *outer = new_builder();
        cfgs_builder_begin_list(outer);
        cfgs_builder_add(outer, &value);
        cfgs_builder_end_list(outer);
        cfgs_value deep;
        int err = cfgs_builder_finish(outer, &deep);
        cr_assert(err == CFGS_ERR_TOO_LARGE || cfgs_value_check(&deep) == CFGS_ERR_TOO_LARGE);
        cfgs_builder_free(outer);
        cfgs_builder_reset(b);
        nest(b, CFGS_VALUE_MAX_DEPTH + 1, lists);
        fails(CFGS_ERR_TOO_LARGE, cfgs_builder_finish(b, &value));
        cfgs_builder_free(b);
    }
}

Test(value, a_string_of_16_mib_passes_and_one_byte_more_is_too_large)
{
    char *bytes = malloc(CFGS_VALUE_MAX_BYTES + 1);
    cr_assert_not_null(bytes);
    memset(bytes, 'a', CFGS_VALUE_MAX_BYTES + 1);
    cfgs_value value = cfgs_value_string(bytes, CFGS_VALUE_MAX_BYTES);
    ok(cfgs_value_check(&value));
    value.as.bytes.length++;
    fails(CFGS_ERR_TOO_LARGE, cfgs_value_check(&value));

    cfgs_builder *b = new_builder();
    cfgs_builder_add_string(b, bytes, CFGS_VALUE_MAX_BYTES);
    ok(cfgs_builder_finish(b, &value));
    cr_assert_eq(value.as.bytes.length, CFGS_VALUE_MAX_BYTES);
    cfgs_builder_reset(b);
    cfgs_builder_add_string(b, bytes, CFGS_VALUE_MAX_BYTES + 1);
    fails(CFGS_ERR_TOO_LARGE, cfgs_builder_finish(b, &value));
    cfgs_builder_free(b);
    free(bytes);
}

/* 16 MiB of list: each element of n bytes costs 1 + varint + 1 + varint + n. */
Test(value, a_list_of_exactly_16_mib_passes_and_one_byte_more_is_too_large)
{
    const size_t text_length = CFGS_VALUE_MAX_BYTES - 2 * (1 + 4); /* two headers of a tag and a 4-byte varint */
    char *bytes = malloc(text_length + 1);
    cr_assert_not_null(bytes);
    memset(bytes, 'a', text_length + 1);
    for (size_t more = 0; more < 2; more++) {
        cfgs_builder *b = new_builder();
        cfgs_value value;
        cfgs_builder_begin_list(b);
        cfgs_builder_add_string(b, bytes, text_length + more);
        cfgs_builder_end_list(b);
        fails(more == 0 ? CFGS_OK : CFGS_ERR_TOO_LARGE, cfgs_builder_finish(b, &value));
        if (more == 0)
            cr_assert_eq(value.as.bytes.length, CFGS_VALUE_MAX_BYTES);
        cfgs_builder_free(b);
    }
    free(bytes);
}

Test(value, text_that_is_not_utf8_is_refused_by_builder_and_check)
{
    static const char *const bad[] = {"\x80",         "\xC3",         "\xC0\xAF",     "\xE0\x80\x80", "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
                                        "a\xE2\x82"};
    cfgs_value value;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cfgs_builder *b = new_builder();
        cfgs_builder_begin_struct(b);
        key(b, bad[i]);
        fails(CFGS_ERR_ENCODING, cfgs_builder_finish(b, &value));
        cfgs_builder_reset(b);
        text(b, bad[i]);
        fails(CFGS_ERR_ENCODING, cfgs_builder_finish(b, &value));
        cfgs_builder_free(b);
        value = text_value(bad[i]);
        fails(CFGS_ERR_ENCODING, cfgs_value_check(&value));
    }
    value = text_value("\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xEF\xBF\xBF \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF");
    ok(cfgs_value_check(&value));
}

Test(value, misuse_of_the_builder_sticks_as_invalid)
{
    cfgs_builder *b = new_builder();
    cfgs_value value;

    fails(CFGS_ERR_INVALID, cfgs_builder_finish(b, &value)); /* nothing built */
    key(b, "k");
    cfgs_builder_add_int(b, 1); /* no-op after the failure */
    fails(CFGS_ERR_INVALID, cfgs_builder_finish(b, &value));

    cfgs_builder_reset(b);
    cfgs_builder_add_int(b, 1);
    cfgs_builder_add_int(b, 2);
    fails(CFGS_ERR_INVALID, cfgs_builder_finish(b, &value));

    cfgs_builder_reset(b);
    cfgs_builder_begin_list(b);
    fails(CFGS_ERR_INVALID, cfgs_builder_finish(b, &value)); /* still open */
    cfgs_builder_end_struct(b);
    fails(CFGS_ERR_INVALID, cfgs_builder_finish(b, &value));

    cfgs_builder_reset(b);
    cfgs_builder_begin_struct(b);
    cfgs_builder_add_int(b, 1); /* no key */
    fails(CFGS_ERR_INVALID, cfgs_builder_finish(b, &value));

    cfgs_builder_reset(b);
    cfgs_builder_begin_struct(b);
    key(b, "k");
    cfgs_builder_end_struct(b); /* a key without a value */
    fails(CFGS_ERR_INVALID, cfgs_builder_finish(b, &value));

    cfgs_builder_reset(b);
    cfgs_builder_add_int(b, 5);
    value = finish(b);
    cr_assert_eq(value.as.integer, 5);
    cfgs_builder_free(b);
    cfgs_builder_free(NULL);
}

Test(value, doubles_compare_by_their_bits)
{
    cfgs_value nan = cfgs_value_double(__builtin_nan("")), zero = cfgs_value_double(0.0),
    minus = cfgs_value_double(-0.0);
    cfgs_value one = cfgs_value_int(1), one_double = cfgs_value_double(1);
    cr_assert(cfgs_value_equal(&nan, &nan));
    cr_assert_not(cfgs_value_equal(&zero, &minus));
    cr_assert_not(cfgs_value_equal(&one, &one_double));
}

Test(value, check_refuses_unsorted_and_repeated_struct_keys)
{
    /* {b: null}, {a: null} and twice {a: null} */
    const cfgs_value unsorted = {.kind = CFGS_KIND_STRUCT,
                                 .as.bytes = {"\x0a\x07\x0a\x01" "b\x12\x02\x08\x00\x0a\x07\x0a\x01" "a\x12\x02\x08\x00", 18}};
    const cfgs_value repeated = {.kind = CFGS_KIND_STRUCT,
                                 .as.bytes = {"\x0a\x07\x0a\x01" "a\x12\x02\x08\x00\x0a\x07\x0a\x01" "a\x12\x02\x08\x00", 18}};
    fails(CFGS_ERR_CORRUPT, cfgs_value_check(&unsorted));
    fails(CFGS_ERR_CORRUPT, cfgs_value_check(&repeated));
}

Test(value, a_copy_outlives_what_it_was_made_from)
{
    char bytes[] = "hello";
    cfgs_value value = cfgs_value_string(bytes, 5);
    cfgs_copy *copy;
    ok(cfgs_value_copy(&value, &copy));
    memset(bytes, 0, sizeof bytes);
    cr_assert(bytes_are(cfgs_copy_value(copy)->as.bytes, "hello"));
    cfgs_copy_free(copy);
    cfgs_copy_free(NULL);
}

Test(value, names_of_kinds_sources_and_errors_are_total)
{
    cr_assert_str_eq(cfgs_kind_name(CFGS_KIND_STRUCT), "struct");
    cr_assert_str_eq(cfgs_kind_name(-1), "?");
    cr_assert_str_eq(cfgs_kind_name(7), "?");
    cr_assert_str_eq(cfgs_source_name(CFGS_SOURCE_NONE), "");
    cr_assert_null(cfgs_source_name(CFGS_SOURCE_VERBATIM));
    cr_assert_null(cfgs_source_name(13));
    for (int source = 1; source <= CFGS_SOURCE_COUNT; source++)
        cr_assert_eq(cfgs_source_parse(cfgs_source_name(source), strlen(cfgs_source_name(source))), source);
    cr_assert_eq(cfgs_source_parse("Default", 7), CFGS_SOURCE_VERBATIM);
    cr_assert_eq(cfgs_source_parse("", 0), CFGS_SOURCE_NONE);
    for (int code = CFGS_ERR_LAST; code <= 0; code++)
        cr_assert_str_neq(cfgs_strerror(code), "unknown error", "%d", code);
    cr_assert_str_eq(cfgs_strerror(CFGS_ERR_LAST - 1), "unknown error");
    cr_assert_str_eq(cfgs_strerror(1), "unknown error");
    cr_assert_str_eq(cfgs_producer_state_name(99), "?");
    cr_assert_str_eq(cfgs_snapshot_reason_name(99), "");
    cr_assert_str_eq(cfgs_version(), CFGS_VERSION);
}
