/* typed.c: values as int, double, duration and size.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

TestSuite(typed);

Test(typed, int_reads_whole_doubles_that_fit)
{
    static const struct {
        double number;
        int result;
        int64_t integer;
    } cases[] = {
        {0.0, CFGS_OK, 0},
        {-0.0, CFGS_OK, 0},
        {1e15, CFGS_OK, INT64_C(1000000000000000)},
        {-0x1p63, CFGS_OK, INT64_MIN},
        {0x1p63, CFGS_ERR_RANGE, 0},
        {0x1.fffffffffffffp62, CFGS_OK, INT64_C(9223372036854774784)},
        {0.5, CFGS_ERR_RANGE, 0},
        {1e300, CFGS_ERR_RANGE, 0},
        {-1e300, CFGS_ERR_RANGE, 0},
        {__builtin_inf(), CFGS_ERR_RANGE, 0},
        {5e-324, CFGS_ERR_RANGE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfgs_value value = cfgs_value_double(cases[i].number);
        int64_t out = 77;
        cr_assert_eq(cfgs_value_get_int(&value, &out), cases[i].result, "case %zu", i);
        cr_assert_eq(out, cases[i].result == CFGS_OK ? cases[i].integer : 77, "case %zu", i);
    }
    cfgs_value nan = cfgs_value_double(__builtin_nan(""));
    int64_t out;
    fails(CFGS_ERR_RANGE, cfgs_value_get_int(&nan, &out));
}

Test(typed, every_getter_refuses_other_kinds_and_leaves_the_output_alone)
{
    const cfgs_value kinds[] = {cfgs_value_null(), cfgs_value_bool(true),   cfgs_value_int(3),
                                cfgs_value_double(4), cfgs_value_string("5", 1), {.kind = CFGS_KIND_LIST},
                                {.kind = CFGS_KIND_STRUCT}};
    for (int kind = 0; kind <= CFGS_KIND_STRUCT; kind++) {
        const cfgs_value *value = &kinds[kind];
        bool number_kind = kind == CFGS_KIND_INT || kind == CFGS_KIND_DOUBLE;
        bool b = false;
        int64_t i = -1, d = -1;
        double f = -1;
        uint64_t s = 99;
        cfgs_bytes t = {NULL, 99};
        cr_assert_eq(cfgs_value_get_bool(value, &b), kind == CFGS_KIND_BOOL ? CFGS_OK : CFGS_ERR_KIND);
        cr_assert_eq(cfgs_value_get_int(value, &i), number_kind ? CFGS_OK : CFGS_ERR_KIND);
        cr_assert_eq(cfgs_value_get_double(value, &f), number_kind ? CFGS_OK : CFGS_ERR_KIND);
        cr_assert_eq(cfgs_value_get_string(value, &t), kind == CFGS_KIND_STRING ? CFGS_OK : CFGS_ERR_KIND);
        cr_assert_eq(cfgs_value_get_size(value, &s),
                     number_kind || kind == CFGS_KIND_STRING ? CFGS_OK : CFGS_ERR_KIND);
        cr_assert_eq(cfgs_value_get_duration(value, &d),
                     number_kind ? CFGS_OK : kind == CFGS_KIND_STRING ? CFGS_ERR_SYNTAX : CFGS_ERR_KIND);
        if (kind != CFGS_KIND_STRING)
            cr_assert_eq(t.length, 99);
        if (!number_kind)
            cr_assert(i == -1 && f == -1);
    }
}

Test(typed, durations_read_as_their_table_says)
{
    static const struct {
        const char *text;
        int result;
        int64_t nanoseconds;
    } cases[] = {
        {"0", CFGS_OK, 0},
        {"-0", CFGS_OK, 0},
        {"+0", CFGS_OK, 0},
        {"1ns", CFGS_OK, 1},
        {"10us", CFGS_OK, 10000},
        {"10\xC2\xB5s", CFGS_OK, 10000},
        {"10\xCE\xBCs", CFGS_OK, 10000},
        {"300ms", CFGS_OK, 300000000},
        {"1.5s", CFGS_OK, 1500000000},
        {".5s", CFGS_OK, 500000000},
        {"1.s", CFGS_OK, 1000000000},
        {"1h30m", CFGS_OK, INT64_C(5400000000000)},
        {"1m1ms", CFGS_OK, INT64_C(60001000000)},
        {"-1m", CFGS_OK, INT64_C(-60000000000)},
        {"+2h", CFGS_OK, INT64_C(7200000000000)},
        {"0.1ns", CFGS_OK, 0},
        {"1.0000000000000000000000000000001s", CFGS_OK, 1000000000},
        {"9223372036854775807ns", CFGS_OK, INT64_MAX},
        {"-9223372036854775808ns", CFGS_OK, INT64_MIN},
        {"9223372036854775808ns", CFGS_ERR_RANGE, 0},
        {"99999999999999999999999s", CFGS_ERR_RANGE, 0},
        {"3000000h", CFGS_ERR_RANGE, 0},
        {"18446744073709551615ns1ns", CFGS_ERR_RANGE, 0},
        {"", CFGS_ERR_SYNTAX, 0},
        {"-", CFGS_ERR_SYNTAX, 0},
        {"+", CFGS_ERR_SYNTAX, 0},
        {"1", CFGS_ERR_SYNTAX, 0},
        {"s", CFGS_ERR_SYNTAX, 0},
        {".s", CFGS_ERR_SYNTAX, 0},
        {"1d", CFGS_ERR_SYNTAX, 0},
        {"1h 30m", CFGS_ERR_SYNTAX, 0},
        {"1S", CFGS_ERR_SYNTAX, 0},
        {"--1s", CFGS_ERR_SYNTAX, 0},
        {"1s-1s", CFGS_ERR_SYNTAX, 0},
        {"1e3s", CFGS_ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t out = 77;
        size_t length = strlen(cases[i].text);
        /* An exact heap copy: texts have no NUL of their own. */
        char *text = malloc(length + 1);
        memcpy(text, cases[i].text, length);
        char *exact = realloc(text, length > 0 ? length : 1);
        cr_assert_eq(cfgs_duration_parse(exact, length, &out), cases[i].result, "'%s'", cases[i].text);
        cr_assert_eq(out, cases[i].result == CFGS_OK ? cases[i].nanoseconds : 77, "'%s': %lld", cases[i].text,
                     (long long)out);
        free(exact);
    }
}

Test(typed, sizes_read_as_their_table_says)
{
    static const struct {
        const char *text;
        int result;
        uint64_t bytes;
    } cases[] = {
        {"512", CFGS_OK, 512},
        {"0", CFGS_OK, 0},
        {"10b", CFGS_OK, 10},
        {"10kb", CFGS_OK, 10240},
        {"10K", CFGS_OK, 10240},
        {"5 MB", CFGS_OK, 5 << 20},
        {"1g", CFGS_OK, 1 << 30},
        {"  2 Gb ", CFGS_OK, UINT64_C(2) << 30},
        {"18446744073709551615", CFGS_OK, UINT64_MAX},
        {"18446744073709551616", CFGS_ERR_RANGE, 0},
        {"17179869184g", CFGS_ERR_RANGE, 0},
        {"", CFGS_ERR_SYNTAX, 0},
        {"  ", CFGS_ERR_SYNTAX, 0},
        {"kb", CFGS_ERR_SYNTAX, 0},
        {"-1", CFGS_ERR_SYNTAX, 0},
        {"1.5mb", CFGS_ERR_SYNTAX, 0},
        {"1t", CFGS_ERR_SYNTAX, 0},
        {"1bk", CFGS_ERR_SYNTAX, 0},
        {"1kk", CFGS_ERR_SYNTAX, 0},
        {"1 2", CFGS_ERR_SYNTAX, 0},
        {"0x10", CFGS_OK, 16},
        {"0x10KB", CFGS_OK, 16384}, /* recorded: int-string-base-prefix */
        {"010kb", CFGS_OK, 8192},
        {"0x1b", CFGS_OK, 1}, /* a last b is a unit */
        {"1_000", CFGS_OK, 1000},
        {"2.00 kb", CFGS_OK, 2048},
        {"+3", CFGS_OK, 3},
        {"0x", CFGS_ERR_SYNTAX, 0},
        {"08", CFGS_ERR_SYNTAX, 0},
        {"1__0", CFGS_ERR_SYNTAX, 0},
        {"b", CFGS_ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t out = 77;
        cr_assert_eq(cfgs_size_parse(cases[i].text, strlen(cases[i].text), &out), cases[i].result, "'%s'",
                     cases[i].text);
        cr_assert_eq(out, cases[i].result == CFGS_OK ? cases[i].bytes : 77, "'%s'", cases[i].text);
    }
}

/* `text[at] | 0x20` folds more than letters: control characters and '@'-like bytes must not pass for units. */
Test(typed, a_size_unit_is_a_letter_and_nothing_else)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[2] = {'1', (char)byte};
        uint64_t out;
        bool digit = byte >= '0' && byte <= '9', blank = byte == ' ' || byte == '\t';
        bool unit = byte != 0 && strchr("bBkKmMgG", byte) != NULL;
        cr_assert_eq(cfgs_size_parse(text, 2, &out), digit || blank || unit ? CFGS_OK : CFGS_ERR_SYNTAX, "byte 0x%02x",
                     byte);
    }
}

Test(typed, numbers_read_as_durations_and_sizes)
{
    cfgs_value minus = cfgs_value_int(-1), half = cfgs_value_double(0.5), whole = cfgs_value_double(3e9);
    int64_t duration;
    uint64_t size = 5;
    ok(cfgs_value_get_duration(&minus, &duration));
    cr_assert_eq(duration, -1);
    ok(cfgs_value_get_duration(&whole, &duration));
    cr_assert_eq(duration, INT64_C(3000000000));
    fails(CFGS_ERR_RANGE, cfgs_value_get_duration(&half, &duration));
    fails(CFGS_ERR_RANGE, cfgs_value_get_size(&minus, &size));
    fails(CFGS_ERR_RANGE, cfgs_value_get_size(&half, &size));
    cr_assert_eq(size, 5);
    ok(cfgs_value_get_size(&whole, &size));
    cr_assert_eq(size, UINT64_C(3000000000));
}
