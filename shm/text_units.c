/*
 * text_units.c: durations ("1h30m") and sizes ("10 MB") written as text.
 *
 * The spelling of durations is that of Go's time.ParseDuration; sizes are read as the agents' size getter reads
 * them: an integer as in number_text.h and one of b, kb, mb, gb (or k, m, g), in powers of 1024, in any case.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "number_text.h"
#include <configstream/error.h>
#include <configstream/value.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Longest names first: "ms" before "m". */
static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xC2\xB5s", 1000}, /* micro sign */
    {"\xCE\xBCs", 1000}, /* Greek mu */
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", UINT64_C(60) * 1000000000},
    {"h", UINT64_C(3600) * 1000000000},
};

static const struct unit *unit_at(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof duration_units / sizeof duration_units[0]; i++) {
        size_t n = strlen(duration_units[i].name);
        if (n <= length && memcmp(text, duration_units[i].name, n) == 0)
            return &duration_units[i];
    }
    return NULL;
}

/* Digits at *at into *number; false if it would not fit. */
static bool read_digits(const char *text, size_t length, size_t *at, uint64_t *number)
{
    *number = 0;
    for (; *at < length && text[*at] >= '0' && text[*at] <= '9'; ++*at) {
        if (__builtin_mul_overflow(*number, UINT64_C(10), number) ||
            __builtin_add_overflow(*number, (uint64_t)(text[*at] - '0'), number))
            return false;
    }
    return true;
}

/* The digits behind a point, as nanoseconds of one unit; digits beyond what can matter are skipped. */
static uint64_t read_fraction(const char *text, size_t length, size_t *at, size_t *digits, double *scale)
{
    uint64_t fraction = 0;
    *scale = 1;
    for (*digits = 0; *at < length && text[*at] >= '0' && text[*at] <= '9'; ++*at, ++*digits) {
        if (fraction > (UINT64_MAX - 9) / 10)
            continue;
        fraction = fraction * 10 + (uint64_t)(text[*at] - '0');
        *scale *= 10;
    }
    return fraction;
}

/* One "1.5h" at *at, added to *total (nanoseconds). */
static int read_term(const char *text, size_t length, size_t *at, uint64_t *total)
{
    size_t start = *at, fraction_digits = 0;
    uint64_t whole, fraction = 0, nanoseconds;
    double scale = 1;

    if (!read_digits(text, length, at, &whole))
        return CFGS_ERR_RANGE;
    size_t whole_digits = *at - start;
    if (*at < length && text[*at] == '.') {
        ++*at;
        fraction = read_fraction(text, length, at, &fraction_digits, &scale);
    }
    if (whole_digits + fraction_digits == 0)
        return CFGS_ERR_SYNTAX;
    const struct unit *unit = unit_at(text + *at, length - *at);
    if (unit == NULL)
        return CFGS_ERR_SYNTAX;
    *at += strlen(unit->name);
    if (__builtin_mul_overflow(whole, unit->factor, &nanoseconds) ||
        __builtin_add_overflow(nanoseconds, (uint64_t)((double)fraction * ((double)unit->factor / scale)),
                               &nanoseconds) ||
        __builtin_add_overflow(*total, nanoseconds, total))
        return CFGS_ERR_RANGE;
    return CFGS_OK;
}

int cfgs_duration_parse(const char *text, size_t length, int64_t *nanoseconds)
{
    size_t at = 0;
    uint64_t total = 0;
    bool negative = length > 0 && text[0] == '-';

    if (length > 0 && (text[0] == '-' || text[0] == '+'))
        at = 1;
    if (length - at == 1 && text[at] == '0') {
        *nanoseconds = 0;
        return CFGS_OK;
    }
    if (at == length)
        return CFGS_ERR_SYNTAX;
    while (at < length) {
        int err = read_term(text, length, &at, &total);
        if (err != CFGS_OK)
            return err;
    }
    if (total > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return CFGS_ERR_RANGE;
    *nanoseconds = negative ? (int64_t)(0 - total) : (int64_t)total;
    return CFGS_OK;
}

static size_t skip_blanks(const char *text, size_t length, size_t at)
{
    while (at < length && (text[at] == ' ' || text[at] == '\t'))
        at++;
    return at;
}

/* The length without a unit, whose factor is stored; a last 'b' is always one, also where it could be a digit. */
static size_t cut_size_unit(const char *text, size_t length, uint64_t *factor)
{
    static const char prefixes[] = "kmg";

    *factor = 1;
    if (length > 0 && (text[length - 1] | 0x20) == 'b')
        length--;
    const char *prefix = length > 0 ? memchr(prefixes, text[length - 1] | 0x20, sizeof prefixes - 1) : NULL;
    if (prefix == NULL)
        return length;
    *factor = UINT64_C(1) << (10 * (prefix - prefixes + 1));
    return length - 1;
}

static size_t cut_blanks(const char *text, size_t length)
{
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return length;
}

int cfgs_size_parse(const char *text, size_t length, uint64_t *bytes)
{
    size_t start = skip_blanks(text, length, 0);
    uint64_t number, factor;
    bool negative;

    length = cut_size_unit(text, cut_blanks(text, length), &factor);
    length = cut_blanks(text, length);
    if (length <= start)
        return CFGS_ERR_SYNTAX;
    int err = number_integer(text + start, length - start, &negative, &number);
    if (err != CFGS_OK)
        return err;
    if (negative)
        return CFGS_ERR_SYNTAX;
    if (__builtin_mul_overflow(number, factor, &number))
        return CFGS_ERR_RANGE;
    *bytes = number;
    return CFGS_OK;
}
