/*
 * cast.c: lenient reads give what the agents' getters gave.  Rows called "recorded" are those of the conformance vectors.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <locale.h>
#include <math.h>
#include <shm/json_text.h>
#include <shm/number_text.h>

static cfgs_publisher *p;
static cfgs_reader *r;

static void open_pair(void)
{
    p = publish_in_memory(64);
    r = reader_of(p);
    first_commit(p);
}

static void close_pair(void)
{
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
    names_clean();
}

TestSuite(cast, .init = open_pair, .fini = close_pair);
TestSuite(number_text);
TestSuite(json_text);

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What JSON says, at the top too: published under a key, or compared with. */
static cfgs_copy *value_of(const char *json)
{
    cfgs_builder *builder;
    cfgs_value value;
    cfgs_copy *copy;

    ok(cfgs_builder_new(&builder));
    ok(json_text_build(builder, json, strlen(json)));
    ok(cfgs_builder_finish(builder, &value));
    ok(cfgs_value_check(&value));
    ok(cfgs_value_copy(&value, &copy));
    cfgs_builder_free(builder);
    return copy;
}

static void set_json_as(const char *key, const char *json, int source, unsigned flags)
{
    cfgs_copy *copy = value_of(json);
    cfgs_setting setting = setting_of(key, *cfgs_copy_value(copy), source);

    setting.flags = flags;
    ok(cfgs_publisher_set(p, &setting, CFGS_SOURCE_NONE, NULL));
    cfgs_copy_free(copy);
}

static void set_json(const char *key, const char *json)
{
    set_json_as(key, json, CFGS_SOURCE_FILE, 0);
}

/* The copy is what the JSON says; freed. */
static void is_json(cfgs_copy *copy, const char *json, const char *what)
{
    cfgs_copy *expected = value_of(json);
    cr_assert_not_null(copy, "%s", what);
    ok(cfgs_value_check(cfgs_copy_value(copy)));
    cr_assert(cfgs_value_equal(cfgs_copy_value(copy), cfgs_copy_value(expected)), "%s: not %s", what, json);
    cfgs_copy_free(copy);
    cfgs_copy_free(expected);
}

#define KEY_MISSING NULL

/* Publish the JSON under "k"; KEY_MISSING: nothing. */
static void hold_json(const char *json)
{
    if (json != KEY_MISSING)
        set_json("k", json);
    else
        remove_key(p, "k");
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

Test(cast, bool_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        bool value;
    } cases[] = {
        {"true", CFGS_OK, true},
        {"5", CFGS_OK, true},
        {"0", CFGS_OK, false},
        {"0.5", CFGS_OK, true},
        {"0.0", CFGS_OK, false},
        {"null", CFGS_OK, false},
        {"\"1\"", CFGS_OK, true},
        {"\"t\"", CFGS_OK, true},
        {"\"TRUE\"", CFGS_OK, true},
        {"\"False\"", CFGS_OK, false},
        {"\"tRUE\"", CFGS_ERR_CAST_FAILED, false},
        {"\"yes\"", CFGS_ERR_CAST_FAILED, false}, /* recorded: logs-enabled-yes-yaml */
        {"\"\"", CFGS_ERR_CAST_FAILED, false},    /* recorded: depth-set-empty-string */
        {"[]", CFGS_ERR_CAST_FAILED, false},      /* recorded: depth-yaml-empty-list */
        {"[true]", CFGS_ERR_CAST_FAILED, false},  /* recorded: depth-yaml-one-item-list */
        {"{}", CFGS_ERR_CAST_FAILED, false},
        {KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, false}, /* recorded: getter-missing-key-zero-values */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool out = !cases[i].value;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_bool(r, "k", &out), cases[i].result, "case %zu", i);
        cr_assert_eq(out, cases[i].value, "case %zu", i);
    }
}

Test(cast, int_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        int64_t value;
    } cases[] = {
        {"9007199254740993", CFGS_OK, INT64_C(9007199254740993)}, /* recorded: yaml-int-above-2-53 */
        {"2.9", CFGS_OK, 2},
        {"-2.9", CFGS_OK, -2},
        {"1e300", CFGS_ERR_CAST_FAILED, 0},
        {"true", CFGS_OK, 1},
        {"false", CFGS_OK, 0},
        {"null", CFGS_OK, 0},
        {"\"12\"", CFGS_OK, 12},
        {"\"-12\"", CFGS_OK, -12},
        {"\"+12\"", CFGS_OK, 12},
        {"\"0x10\"", CFGS_OK, 16},
        {"\"-0XfF\"", CFGS_OK, -255},
        {"\"0b11\"", CFGS_OK, 3},
        {"\"0o17\"", CFGS_OK, 15},
        {"\"010\"", CFGS_OK, 8},
        {"\"2.00\"", CFGS_OK, 2},
        {"\"1_000\"", CFGS_OK, 1000},
        {"\"-9223372036854775808\"", CFGS_OK, INT64_MIN},
        {"\"9223372036854775807\"", CFGS_OK, INT64_MAX},
        {"\"9223372036854775808\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"99999999999999999999999\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"2.5\"", CFGS_ERR_CAST_FAILED, 0},              /* recorded: depth-env-float */
        {"\"1.342177295e+08\"", CFGS_ERR_CAST_FAILED, 0},  /* recorded: depth-env-float */
        {"\"\"", CFGS_ERR_CAST_FAILED, 0},                 /* recorded: depth-set-empty-string */
        {"\" 1\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"08\"", CFGS_ERR_CAST_FAILED, 0},
        {"[2]", CFGS_ERR_CAST_FAILED, 0}, /* recorded: depth-yaml-one-item-list */
        {KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t out = 77;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_int(r, "k", &out), cases[i].result, "case %zu", i);
        cr_assert_eq(out, cases[i].value, "case %zu: %lld", i, (long long)out);
    }
    int64_t out = 77;
    set_value(p, "k", cfgs_value_double((double)NAN), CFGS_SOURCE_FILE);
    fails(CFGS_ERR_CAST_FAILED, cfgs_cast_int(r, "k", &out));
    cr_assert_eq(out, 0);
}

Test(cast, double_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        double value;
    } cases[] = {
        {"2.5", CFGS_OK, 2.5},
        {"3", CFGS_OK, 3},
        {"true", CFGS_OK, 1},
        {"null", CFGS_OK, 0},
        {"\"0.5\"", CFGS_OK, 0.5},
        {"\"-1e-3\"", CFGS_OK, -1e-3},
        {"\"0x1.8p1\"", CFGS_OK, 3},
        {"\"-Inf\"", CFGS_OK, -(double)INFINITY},
        {"\"1e999\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"\"", CFGS_ERR_CAST_FAILED, 0}, /* recorded: depth-set-empty-string */
        {"\"bad\"", CFGS_ERR_CAST_FAILED, 0},
        {"\" 1\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"0x10\"", CFGS_ERR_CAST_FAILED, 0},
        {"[11.5]", CFGS_ERR_CAST_FAILED, 0}, /* recorded: depth-yaml-one-item-list */
        {KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double out = 77;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_double(r, "k", &out), cases[i].result, "case %zu", i);
        cr_assert(out == cases[i].value, "case %zu: %g", i, out);
    }
    double out = 77;
    set_value(p, "k", cfgs_value_double((double)NAN), CFGS_SOURCE_FILE);
    ok(cfgs_cast_double(r, "k", &out)); /* recorded: yaml-float-nan */
    cr_assert(isnan(out));
}

Test(cast, duration_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        int64_t value;
    } cases[] = {
        {"61000000000", CFGS_OK, INT64_C(61000000000)},
        {"2.9", CFGS_OK, 2},
        {"\"61s\"", CFGS_OK, INT64_C(61000000000)},
        {"\"1h30m\"", CFGS_OK, INT64_C(5400000000000)},
        {"\"10\"", CFGS_OK, 10},
        {"\"1.5\"", CFGS_OK, 1},
        {"\"\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"1d\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"1\\u0000s\"", CFGS_ERR_CAST_FAILED, 0},
        {"\"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0000000000000000001\"",
         CFGS_ERR_CAST_FAILED, 0},
        {"true", CFGS_ERR_CAST_FAILED, 0},
        {"null", CFGS_ERR_CAST_FAILED, 0},
        {"[\"61s\"]", CFGS_ERR_CAST_FAILED, 0},    /* recorded: depth-yaml-one-item-list */
        {KEY_MISSING, CFGS_ERR_CAST_FAILED, 0},    /* recorded: getter-missing-key-zero-values */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t out = 77;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_duration(r, "k", &out), cases[i].result, "case %zu", i);
        cr_assert_eq(out, cases[i].value, "case %zu: %lld", i, (long long)out);
    }
}

Test(cast, size_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        uint64_t value;
    } cases[] = {
        {"\"5KB\"", CFGS_OK, 5120},      /* recorded: size-in-bytes-kb */
        {"\"10Mb\"", CFGS_OK, 10485760}, /* recorded: size-in-bytes-units */
        {"\"0x10KB\"", CFGS_OK, 16384},  /* recorded: int-string-base-prefix */
        {"1024", CFGS_OK, 1024},
        {"1024.0", CFGS_OK, 1024},
        {"null", CFGS_OK, 0},
        {"-1", CFGS_ERR_CAST_FAILED, 0},
        {"0.5", CFGS_ERR_CAST_FAILED, 0},
        {"true", CFGS_ERR_CAST_FAILED, 0},
        {"\"much\"", CFGS_ERR_CAST_FAILED, 0},
        {"[]", CFGS_ERR_CAST_FAILED, 0},
        {KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t out = 77;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_size(r, "k", &out), cases[i].result, "case %zu", i);
        cr_assert_eq(out, cases[i].value, "case %zu: %llu", i, (unsigned long long)out);
    }
}

Test(cast, string_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        const char *value;
    } cases[] = {
        {"\"warn\"", CFGS_OK, "warn"},
        {"8125", CFGS_OK, "8125"}, /* recorded: update-string-for-int */
        {"-9223372036854775808", CFGS_OK, "-9223372036854775808"},
        {"0.1", CFGS_OK, "0.1"},
        {"1e21", CFGS_OK, "1000000000000000000000"},
        {"1e-7", CFGS_OK, "0.0000001"},
        {"true", CFGS_OK, "true"},
        {"false", CFGS_OK, "false"},
        {"null", CFGS_OK, ""},
        {"\"\"", CFGS_OK, ""},
        {"\"a\\u0000b\"", CFGS_ERR_CAST_FAILED, ""},
        {"[\"cr-a\"]", CFGS_ERR_CAST_FAILED, ""},       /* recorded: yaml-map-for-string-key */
        {"{\"a\":\"b\"}", CFGS_ERR_CAST_FAILED, ""},    /* recorded: yaml-map-for-string-key */
        {KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, ""},        /* recorded: getter-missing-key-zero-values */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *out = NULL;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_string(r, "k", &out), cases[i].result, "case %zu", i);
        cr_assert_str_eq(out, cases[i].value, "case %zu", i);
        free(out);
    }
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* The texts, a '|' behind each; "none" for no list. */
static void joined(char *const *items, size_t count, char out[128])
{
    strcpy(out, items == NULL ? "none" : "");
    for (size_t i = 0; i < count; i++)
        strcat(strcat(out, items[i]), "|");
}

Test(cast, string_list_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        const char *value;
    } cases[] = {
        {"[\"cr-a\",\"b c\"]", CFGS_OK, "cr-a|b c|"},
        {"[1,2.5,true,null,[1],{\"a\":1},\"x\"]", CFGS_OK, "1|2.5|true||||x|"},
        {"[9007199254740993]", CFGS_OK, "9007199254740993|"},
        {"[]", CFGS_OK, ""},          /* recorded: depth-yaml-null--apm-config-features */
        {"null", CFGS_OK, "none"},    /* recorded: depth-set-empty-list */
        {"\" a  b\\tc,d\\n\"", CFGS_OK, "a|b|c,d|"},
        {"\"\"", CFGS_OK, ""},
        {"5", CFGS_OK, "5|"},
        {"true", CFGS_OK, "true|"},
        {"[\"a\\u0000b\"]", CFGS_ERR_BAD_ELEMENT, "none"},
        {"{\"a\":1}", CFGS_ERR_CAST_FAILED, "none"},
        {KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, "none"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char **items = NULL, text[128];
        size_t count = 77;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_string_list(r, "k", &items, &count), cases[i].result, "case %zu", i);
        joined(items, count, text);
        cr_assert_str_eq(text, cases[i].value, "case %zu: %s", i, text);
        free(items);
    }
}

Test(cast, float_list_reads_as_its_table_says)
{
    static const struct {
        const char *held;
        int result;
        size_t count;
        double last;
    } cases[] = {
        {"[\"0.5\",\"0.99\"]", CFGS_OK, 2, 0.99},
        {"[0.1,3]", CFGS_OK, 2, 3},
        {"\"0.5 0.25\"", CFGS_OK, 2, 0.25},
        {"7", CFGS_OK, 1, 7},
        {"[]", CFGS_OK, 0, 0},
        {"null", CFGS_OK, 0, 0},
        {"[\"0.5\",\"bad\",\"0.99\"]", CFGS_ERR_BAD_ELEMENT, 0, 0}, /* recorded: float64-slice-bad-element */
        {"[null]", CFGS_ERR_BAD_ELEMENT, 0, 0},
        {"true", CFGS_ERR_BAD_ELEMENT, 0, 0},
        {"{}", CFGS_ERR_CAST_FAILED, 0, 0},
        {KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double *items = NULL;
        size_t count = 77;
        hold_json(cases[i].held);
        cr_assert_eq(cfgs_cast_float_list(r, "k", &items, &count), cases[i].result, "case %zu", i);
        cr_assert_eq(count, cases[i].count, "case %zu", i);
        cr_assert(count == 0 || items[count - 1] == cases[i].last, "case %zu", i);
        cr_assert(cases[i].result == CFGS_OK || items == NULL, "case %zu: no list", i);
        free(items);
    }
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

typedef int map_getter(cfgs_reader *reader, const char *key, cfgs_copy **out);

Test(cast, maps_read_as_their_table_says)
{
    static const struct {
        map_getter *getter;
        const char *held;
        int result;
        const char *value;
    } cases[] = {
        {cfgs_cast_map, "{\"a\":{\"b\":[1]}}", CFGS_OK, "{\"a\":{\"b\":[1]}}"},
        {cfgs_cast_map, "\"{\\\"cr_a\\\":1.5}\"", CFGS_OK, "{\"cr_a\":1.5}"}, /* recorded: excluded-env-apm-config */
        {cfgs_cast_map, "\"null\"", CFGS_OK, "{}"},
        {cfgs_cast_map, "null", CFGS_OK, "{}"},
        {cfgs_cast_map, "\"{bad\"", CFGS_ERR_CAST_FAILED, "{}"}, /* recorded: env-map-bad-json */
        {cfgs_cast_map, "\"[1]\"", CFGS_ERR_CAST_FAILED, "{}"},
        {cfgs_cast_map, "\"\"", CFGS_ERR_CAST_FAILED, "{}"},
        {cfgs_cast_map, "[]", CFGS_ERR_CAST_FAILED, "{}"},
        {cfgs_cast_map, "5", CFGS_ERR_CAST_FAILED, "{}"},
        {cfgs_cast_map, KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, "{}"},
        {cfgs_cast_string_map, "{\"cr_a\":\"cr-a\"}", CFGS_OK, "{\"cr_a\":\"cr-a\"}"}, /* recorded: breadth-yaml-use-v3-api */
        {cfgs_cast_string_map, "{\"cr_a\":9007199254740993}", CFGS_OK,
         "{\"cr_a\":\"9007199254740993\"}"}, /* recorded: yaml-int-above-2-53 */
        {cfgs_cast_string_map, "{\"a\":1,\"b\":0.5,\"c\":true,\"d\":null,\"e\":[1],\"f\":{}}", CFGS_OK,
         "{\"a\":\"1\",\"b\":\"0.5\",\"c\":\"true\",\"d\":\"\",\"e\":\"\",\"f\":\"\"}"},
        {cfgs_cast_string_map, "\"{\\\"cr_a\\\":\\\"cr-a\\\"}\"", CFGS_OK, "{\"cr_a\":\"cr-a\"}"},
        {cfgs_cast_string_map, "\"{bad\"", CFGS_ERR_CAST_FAILED, "{}"},  /* recorded: env-map-bad-json */
        {cfgs_cast_string_map, "[\"cr-a\"]", CFGS_ERR_CAST_FAILED, "{}"}, /* recorded: depth-yaml-one-item-list */
        {cfgs_cast_string_map, KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, "{}"},
        {cfgs_cast_list_map, "{\"8\":[\"j\"],\"true\":[\"k\"]}", CFGS_OK,
         "{\"8\":[\"j\"],\"true\":[\"k\"]}"}, /* recorded: yaml-noncanonical-map-keys */
        {cfgs_cast_list_map, "\"{\\\"https://x.test\\\": [\\\"k\\\"]}\"", CFGS_OK,
         "{\"https://x.test\":[\"k\"]}"}, /* recorded: update-string-for-map-key */
        {cfgs_cast_list_map, "{\"a\":\"x y\",\"b\":[1,true],\"c\":7,\"d\":null}", CFGS_OK,
         "{\"a\":[\"x\",\"y\"],\"b\":[\"1\",\"true\"],\"c\":[\"7\"],\"d\":[]}"},
        {cfgs_cast_list_map, "{\"a\":[\"x\"],\"b\":{}}", CFGS_ERR_CAST_FAILED, "{}"},
        {cfgs_cast_list_map, "\"{bad\"", CFGS_ERR_CAST_FAILED, "{}"}, /* recorded: env-map-bad-json */
        {cfgs_cast_list_map, "[]", CFGS_ERR_CAST_FAILED, "{}"},       /* recorded: depth-set-empty-list */
        {cfgs_cast_list_map, KEY_MISSING, CFGS_ERR_UNKNOWN_KEY, "{}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfgs_copy *copy = NULL;
        char what[32];
        snprintf(what, sizeof what, "case %zu", i);
        hold_json(cases[i].held);
        cr_assert_eq(cases[i].getter(r, "k", &copy), cases[i].result, "%s", what);
        is_json(copy, cases[i].value, what);
    }
}

Test(cast, a_map_whose_texts_would_not_fit_a_value_is_not_converted)
{
    cfgs_builder *b;
    cfgs_value map;
    cfgs_copy *copy;
    char key[16];

    ok(cfgs_builder_new(&b));
    cfgs_builder_begin_struct(b);
    for (int i = 0; i < 60000; i++) {
        snprintf(key, sizeof key, "%05d", i);
        cfgs_builder_key(b, key, strlen(key));
        cfgs_builder_add_double(b, 1e300); /* nine bytes, but three hundred digits */
    }
    cfgs_builder_end_struct(b);
    ok(cfgs_builder_finish(b, &map));
    set_value(p, "k", map, CFGS_SOURCE_FILE);
    cfgs_builder_free(b);
    fails(CFGS_ERR_CAST_FAILED, cfgs_cast_string_map(r, "k", &copy));
    is_json(copy, "{}", "too large");
}

/* ---- sections, sources, and what is not there -------------------------------------------------------------------- */

Test(cast, value_is_what_is_held_and_null_for_what_is_not_there)
{
    cfgs_copy *copy;

    set_json("k", "{\"cr_a\":9007199254740993}");
    ok(cfgs_cast_value(r, "k", &copy));
    is_json(copy, "{\"cr_a\":9007199254740993}", "recorded: yaml-int-above-2-53");
    fails(CFGS_ERR_UNKNOWN_KEY, cfgs_cast_value(r, "missing", &copy));
    is_json(copy, "null", "recorded: env-unbound-dd-var");
}

Test(cast, a_section_reads_as_the_map_of_its_settings)
{
    cfgs_copy *copy;
    char *text;
    bool yes = true;

    set_json_as("http.remove_paths_with_digits", "false", CFGS_SOURCE_DEFAULT, 0);
    set_json("http.remove_query_string", "true");
    ok(cfgs_cast_map(r, "http", &copy));
    is_json(copy, "{\"remove_paths_with_digits\":false,\"remove_query_string\":true}",
            "recorded: is-configured-default-null-section");
    ok(cfgs_cast_value(r, "http", &copy));
    is_json(copy, "{\"remove_paths_with_digits\":false,\"remove_query_string\":true}", "the same by value");
    fails(CFGS_ERR_CAST_FAILED, cfgs_cast_string(r, "http", &text));
    cr_assert_str_eq(text, "");
    free(text);
    fails(CFGS_ERR_CAST_FAILED, cfgs_cast_bool(r, "http", &yes));
    cr_assert_not(yes);
}

Test(cast, a_section_that_nobody_declared_comes_with_a_word_about_it)
{
    cfgs_copy *copy;

    set_json_as("unknown_section_xyz.child_xyz", "1", CFGS_SOURCE_FILE, CFGS_SETTING_UNDECLARED);
    fails(CFGS_ERR_UNKNOWN_KEY, cfgs_cast_value(r, "unknown_section_xyz", &copy));
    cfgs_value child;
    int64_t number;
    ok(cfgs_value_field(cfgs_copy_value(copy), "child_xyz", &child));
    ok(cfgs_value_get_int(&child, &number));
    cr_assert_eq(number, 1, "recorded: yaml-unknown-section");
    cfgs_copy_free(copy);
    ok(cfgs_cast_value(r, "unknown_section_xyz.child_xyz", &copy));
    is_json(copy, "1", "its leaf is a setting like others");
    fails(CFGS_ERR_UNKNOWN_KEY, cfgs_cast_map(r, "unknown_section_xyz", &copy));
    cr_assert_eq(cfgs_value_count(cfgs_copy_value(copy)), 1);
    cfgs_copy_free(copy);

    set_int(p, "unknown_section_xyz.declared", 2);
    ok(cfgs_cast_value(r, "unknown_section_xyz", &copy));
    cr_assert_eq(cfgs_value_count(cfgs_copy_value(copy)), 2, "one declared setting makes it a section");
    cfgs_copy_free(copy);
}

Test(cast, source_is_the_winning_one_and_unknown_for_all_else)
{
    int source = 77;
    set_value(p, "s.k", cfgs_value_int(1), CFGS_SOURCE_CLI);
    ok(cfgs_cast_source(r, "s.k", &source));
    cr_assert_eq(source, CFGS_SOURCE_CLI);
    ok(cfgs_cast_source(r, "s", &source));
    cr_assert_eq(source, CFGS_SOURCE_UNKNOWN, "recorded: otlp-receiver-section");
    source = 77;
    ok(cfgs_cast_source(r, "missing", &source));
    cr_assert_eq(source, CFGS_SOURCE_UNKNOWN, "recorded: env-unbound-dd-var");
}

static void all_fail(cfgs_reader *reader, const char *key, int expected)
{
    bool b = true;
    int64_t i = 1, d = 1;
    double f = 1, *floats = &f;
    uint64_t u = 1;
    char *text = (char *)&u, **texts = &text;
    size_t count = 1, numbers = 1;
    cfgs_copy *value = (cfgs_copy *)&u, *map = value, *string_map = value, *list_map = value;
    int source = 1;

    fails(expected, cfgs_cast_bool(reader, key, &b));
    fails(expected, cfgs_cast_int(reader, key, &i));
    fails(expected, cfgs_cast_double(reader, key, &f));
    fails(expected, cfgs_cast_duration(reader, key, &d));
    fails(expected, cfgs_cast_size(reader, key, &u));
    fails(expected, cfgs_cast_string(reader, key, &text));
    fails(expected, cfgs_cast_string_list(reader, key, &texts, &count));
    fails(expected, cfgs_cast_float_list(reader, key, &floats, &numbers));
    fails(expected, cfgs_cast_value(reader, key, &value));
    fails(expected, cfgs_cast_map(reader, key, &map));
    fails(expected, cfgs_cast_string_map(reader, key, &string_map));
    fails(expected, cfgs_cast_list_map(reader, key, &list_map));
    fails(expected, cfgs_cast_source(reader, key, &source));
    cr_assert(!b && i == 0 && f == 0 && d == 0 && u == 0 && count == 0 && numbers == 0);
    cr_assert(text == NULL && texts == NULL && floats == NULL && value == NULL && map == NULL);
    cr_assert(string_map == NULL && list_map == NULL && source == CFGS_SOURCE_UNKNOWN);
}

Test(cast, every_cast_writes_its_zero_value_also_where_nothing_can_be_read)
{
    cfgs_publisher *empty = publish_in_memory(16);
    cfgs_reader *early = reader_of(empty);

    all_fail(early, "k", CFGS_ERR_NOT_READY);
    all_fail(r, "", CFGS_ERR_INVALID);
    cfgs_reader_close(early);
    cfgs_publisher_close(empty, false);
}

/* ---- numbers as text --------------------------------------------------------------------------------------------- */

Test(number_text, doubles_read_as_their_table_says)
{
    static const struct {
        const char *text;
        int result;
        double number;
    } cases[] = {
        {"1", CFGS_OK, 1},
        {"1.", CFGS_OK, 1},
        {".5", CFGS_OK, 0.5},
        {"+1e5", CFGS_OK, 1e5},
        {"1E-5", CFGS_OK, 1e-5},
        {"1_0.2_5e1_0", CFGS_OK, 10.25e10},
        {"0x_1P-2", CFGS_OK, 0.25},
        {"1e-999", CFGS_OK, 0},
        {"Infinity", CFGS_OK, (double)INFINITY},
        {"+inf", CFGS_OK, (double)INFINITY},
        {"1e400", CFGS_ERR_RANGE, 0},
        {"", CFGS_ERR_SYNTAX, 0},
        {"-", CFGS_ERR_SYNTAX, 0},
        {".", CFGS_ERR_SYNTAX, 0},
        {"e5", CFGS_ERR_SYNTAX, 0},
        {"1e", CFGS_ERR_SYNTAX, 0},
        {"1e+", CFGS_ERR_SYNTAX, 0},
        {"1 ", CFGS_ERR_SYNTAX, 0},
        {" 1", CFGS_ERR_SYNTAX, 0},
        {"1,5", CFGS_ERR_SYNTAX, 0},
        {"0x1", CFGS_ERR_SYNTAX, 0},
        {"_1", CFGS_ERR_SYNTAX, 0},
        {"1_", CFGS_ERR_SYNTAX, 0},
        {"1__0", CFGS_ERR_SYNTAX, 0},
        {"1_.5", CFGS_ERR_SYNTAX, 0},
        {"infinit", CFGS_ERR_SYNTAX, 0},
        {"-nan", CFGS_ERR_SYNTAX, 0},
        {"nan(1)", CFGS_ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* On the heap to its last byte: texts have no NUL of their own. */
        size_t length = strlen(cases[i].text);
        char *text = malloc(length > 0 ? length : 1);
        double out = 77;
        memcpy(text, cases[i].text, length);
        cr_assert_eq(number_double(text, length, &out), cases[i].result, "'%s'", cases[i].text);
        cr_assert(out == (cases[i].result == CFGS_OK ? cases[i].number : 77), "'%s': %g", cases[i].text, out);
        free(text);
    }
    char zeros[5000];
    double out = 77;
    memset(zeros, '0', sizeof zeros);
    zeros[1] = '.';
    zeros[sizeof zeros - 1] = '1';
    ok(number_double(zeros, sizeof zeros, &out));
    cr_assert(out == 0);
}

Test(number_text, doubles_are_written_as_short_as_they_read_back_and_without_exponent)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.05, "0.05"},
        {1e-7, "0.0000001"},
        {123456.789, "123456.789"},
        {1e15, "1000000000000000"},
        {0x1p53, "9007199254740992"},
        {1e22, "10000000000000000000000"},
        {1.0 / 3, "0.3333333333333333"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {NAN, "NaN"},
    };
    char text[NUMBER_TEXT_BYTES];
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t length = number_from_double(cases[i].number, text);
        cr_assert_str_eq(text, cases[i].text, "case %zu: %s", i, text);
        cr_assert_eq(length, strlen(text));
    }
}

Test(number_text, every_double_survives_its_text)
{
    uint64_t seed = 11;
    char text[NUMBER_TEXT_BYTES];
    for (int round = 0; round < 20000; round++) {
        uint64_t bits = round < 4 ? (uint64_t[]){1, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF}[round]
                                  : random_next(&seed);
        double number, back;
        memcpy(&number, &bits, sizeof number);
        if (isnan(number))
            continue;
        size_t length = number_from_double(number, text);
        cr_assert_lt(length, NUMBER_TEXT_BYTES);
        ok(number_double(text, length, &back));
        cr_assert_eq(memcmp(&number, &back, sizeof number), 0, "%a: %s", number, text);
    }
}

/* A program that reads its settings may have set a locale with a decimal comma. */
Test(number_text, a_locale_with_a_decimal_comma_changes_nothing)
{
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
    char text[NUMBER_TEXT_BYTES];
    double number;
    size_t i = 0;

    while (i < COUNT(commas) && setlocale(LC_ALL, commas[i]) == NULL)
        i++;
    if (i == COUNT(commas))
        cr_skip_test("no such locale is installed");
    ok(number_double("1.5", 3, &number));
    cr_assert(number == 1.5);
    number_from_double(1.5, text);
    cr_assert_str_eq(text, "1.5");
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* From the heap to its last byte: over-reads show under the address sanitizer. */
static int parse(const char *json, size_t length, cfgs_copy **out)
{
    char *text = malloc(length > 0 ? length : 1);
    cfgs_builder *builder;
    cfgs_value value;

    memcpy(text, json, length);
    ok(cfgs_builder_new(&builder));
    int err = json_text_build(builder, text, length);
    if (err == CFGS_OK)
        err = cfgs_builder_finish(builder, &value);
    if (err == CFGS_OK) {
        ok(cfgs_value_check(&value));
        ok(cfgs_value_copy(&value, out));
    }
    cfgs_builder_free(builder);
    free(text);
    return err;
}

Test(json_text, strings_read_as_their_table_says)
{
    static const struct {
        const char *json;
        int result;
        const char *text;
    } cases[] = {
        {"\"\"", CFGS_OK, ""},
        {"\"h\xC3\xA9llo\"", CFGS_OK, "h\xC3\xA9llo"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", CFGS_OK, "\"\\/\b\f\n\r\t"},
        {"\"x\\u0041\\u00e9\\u20AC\\ud83c\\uDF0Dx\"", CFGS_OK, "xA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\x8Dx"},
        {"\"\\uE000\\uffff\"", CFGS_OK, "\xEE\x80\x80\xEF\xBF\xBF"},
        {"\"\\ud83c\"", CFGS_OK, "\xEF\xBF\xBD"},
        {"\"\\udf0d\\ud83c\"", CFGS_OK, "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\"\\ud83c\\u0041\"", CFGS_OK, "\xEF\xBF\xBD" "A"},
        {"\"\\ud83c\\n\"", CFGS_OK, "\xEF\xBF\xBD\n"},
        {"\"", CFGS_ERR_SYNTAX, NULL},
        {"\"\\", CFGS_ERR_SYNTAX, NULL},
        {"\"\\\"", CFGS_ERR_SYNTAX, NULL},
        {"\"\\x\"", CFGS_ERR_SYNTAX, NULL},
        {"\"\\u12\"", CFGS_ERR_SYNTAX, NULL},
        {"\"\\u12g4\"", CFGS_ERR_SYNTAX, NULL},
        {"\"\\ud83c\\u12\"", CFGS_ERR_SYNTAX, NULL},
        {"\"a\nb\"", CFGS_ERR_SYNTAX, NULL},
        {"\"a\" b", CFGS_ERR_SYNTAX, NULL},
        {"\"\xFF\"", CFGS_ERR_ENCODING, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfgs_copy *copy = NULL;
        cr_assert_eq(parse(cases[i].json, strlen(cases[i].json), &copy), cases[i].result, "case %zu", i);
        if (copy != NULL)
            cr_assert(bytes_are(cfgs_copy_value(copy)->as.bytes, cases[i].text), "case %zu", i);
        cfgs_copy_free(copy);
    }
}

Test(json_text, what_is_no_json_is_refused)
{
    static const char *const bad[] = {"", " ", "{", "[", "]", "{]", "[}", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"}",
                                      "{\"a\":}", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{1:1}", "{\"a\":1 \"b\":2}", "tru",
                                      "True", "nulll", "1 1", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "1_0",
                                      "NaN", "Infinity", "[1]]", "'a'", "\xEF\xBB\xBF{}", "{}x", "// c\n1"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        cfgs_copy *copy = NULL;
        cr_assert_eq(parse(bad[i], strlen(bad[i]), &copy), CFGS_ERR_SYNTAX, "'%s'", bad[i]);
        cr_assert_null(copy);
    }
    cfgs_copy *copy;
    fails(CFGS_ERR_SYNTAX, parse("1\0", 2, &copy));
    fails(CFGS_ERR_RANGE, parse("[1e999]", 7, &copy));
}

Test(json_text, numbers_are_exact_ints_or_doubles)
{
    static const struct {
        const char *json;
        cfgs_value value;
    } cases[] = {
        {"0", {CFGS_KIND_INT, {.integer = 0}}},
        {"-12", {CFGS_KIND_INT, {.integer = -12}}},
        {"9223372036854775807", {CFGS_KIND_INT, {.integer = INT64_MAX}}},
        {"-9223372036854775808", {CFGS_KIND_INT, {.integer = INT64_MIN}}},
        {"9223372036854775808", {CFGS_KIND_DOUBLE, {.number = 0x1p63}}},
        {"1.0", {CFGS_KIND_DOUBLE, {.number = 1}}},
        {"-0.5e-1", {CFGS_KIND_DOUBLE, {.number = -0.05}}},
        {" 1E2\n", {CFGS_KIND_DOUBLE, {.number = 100}}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfgs_copy *copy;
        ok(parse(cases[i].json, strlen(cases[i].json), &copy));
        cr_assert(cfgs_value_equal(cfgs_copy_value(copy), &cases[i].value), "%s", cases[i].json);
        cfgs_copy_free(copy);
    }
}

Test(json_text, of_two_equal_keys_the_later_counts_and_blanks_do_not)
{
    cfgs_copy *copy;
    static const char spaced[] = " { \"b\" : [ 1 , true ] ,\r\n\t\"a\" : 1 , \"b\" : { } } ";
    ok(parse(spaced, strlen(spaced), &copy));
    is_json(copy, "{\"a\":1,\"b\":{}}", "spaced");
}

Test(json_text, nesting_of_128_passes_and_129_or_a_million_is_too_large)
{
    static char deep[2000000];
    cfgs_copy *copy;
    for (size_t depth = 127; depth <= 129; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        cr_assert_eq(parse(deep, 2 * depth, &copy), depth > 128 ? CFGS_ERR_TOO_LARGE : CFGS_OK, "%zu", depth);
        if (depth <= 128)
            cfgs_copy_free(copy);
    }
    memset(deep, '[', sizeof deep / 2);
    memset(deep + sizeof deep / 2, ']', sizeof deep / 2);
    fails(CFGS_ERR_TOO_LARGE, parse(deep, sizeof deep, &copy));
}

/* Every prefix of a text, and texts with bytes exchanged: an error or a sound value, and nothing read outside. */
Test(json_text, damaged_text_never_leads_outside)
{
    static const char sound[] = "{\"a\\u00e9\":[1,-2.5e3,\"x\\ud83c\\udf0d\",null,true],\"b\":{\"c\":\"\\n\"},\"d\":[]}";
    static const char bytes[] = "{}[],:\"\\u0d1-.e \ntfn\x80";
    char text[sizeof sound];
    uint64_t seed = 3;

    for (size_t length = 0; length < sizeof sound - 1; length++) {
        cfgs_copy *copy = NULL;
        cr_assert_neq(parse(sound, length, &copy), CFGS_OK, "%zu bytes", length);
    }
    for (int round = 0; round < 50000; round++) {
        cfgs_copy *copy = NULL;
        memcpy(text, sound, sizeof sound);
        for (uint64_t flips = random_next(&seed) % 4 + 1; flips > 0; flips--)
            text[random_next(&seed) % (sizeof sound - 1)] = bytes[random_next(&seed) % sizeof bytes];
        (void)parse(text, sizeof sound - 1, &copy);
        cfgs_copy_free(copy);
    }
}
