/* text.c: numbers as text.  SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool reads_as(const char *text, int64_t expected)
{
    int64_t got;
    return text_to_int(text, strlen(text), &got) && got == expected;
}

static bool is_no_int(const char *text)
{
    int64_t got;
    return !text_to_int(text, strlen(text), &got);
}

Test(text, integers_with_prefixes_of_their_base)
{
    cr_assert(reads_as("0", 0) && reads_as("-0", 0) && reads_as("+7", 7));
    cr_assert(reads_as("0x1F", 31) && reads_as("0o17", 15) && reads_as("017", 15) && reads_as("0b101", 5));
    cr_assert(reads_as("9223372036854775807", INT64_MAX) && reads_as("-9223372036854775808", INT64_MIN));
}

Test(text, what_is_no_integer)
{
    cr_assert(is_no_int("") && is_no_int("-") && is_no_int("0x") && is_no_int("08") && is_no_int("1a"));
    cr_assert(is_no_int(" 1") && is_no_int("1.0") && is_no_int("9223372036854775808") && is_no_int("--1"));
}

Test(text, decimals_only)
{
    double got;
    cr_assert(text_to_double("1e3", 3, &got) && got == 1000);
    cr_assert(text_to_double(".5", 2, &got) && got == 0.5);
    cr_assert(text_to_double("-1.", 3, &got) && got == -1);
    cr_assert_not(text_to_double("nan", 3, &got));
    cr_assert_not(text_to_double("0x1p3", 5, &got));
    cr_assert_not(text_to_double("1e", 2, &got));
    cr_assert_not(text_to_double(".", 1, &got));
}

Test(text, a_number_beyond_all_doubles_is_none)
{
    double got;
    cr_assert_not(text_to_double("1e1000", 6, &got));
    cr_assert_not(text_to_double("-7e12345", 8, &got));
    cr_assert(text_to_double("1e-1000", 7, &got) && got == 0);
}

static const char *shortest(double number)
{
    static char out[TEXT_NUMBER_BYTES];
    text_from_double(number, out);
    return out;
}

Test(text, doubles_come_out_short_and_exact)
{
    cr_assert_str_eq(shortest(1.5), "1.5");
    cr_assert_str_eq(shortest(0.1), "0.1");
    cr_assert_str_eq(shortest(100), "100");
    cr_assert_str_eq(shortest(-INFINITY), "-Inf");
    const double numbers[] = {1e300, 5e-324, 1.0 / 3, 123456789.123456789, 1e-5, 2.5e-7, 1e15};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cr_assert_eq(strtod(shortest(numbers[i]), NULL), numbers[i]);
}
