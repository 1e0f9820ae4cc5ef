/* number_text.c  SPDX-License-Identifier: Apache-2.0 */
#include "number_text.h"
#include <configstream/error.h>
#include <configstream/value.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- integers ---------------------------------------------------------------------------------------------------- */

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 99;
}

/* Pass over a prefix that names the base; *prefixed: an '_' may follow, as after a digit. */
static unsigned read_base(const char **at, const char *end, bool *prefixed)
{
    *prefixed = end - *at >= 2 && **at == '0';
    if (!*prefixed)
        return 10;
    switch ((*at)[1] | 0x20) {
    case 'x':
        *at += 2;
        return 16;
    case 'o':
        *at += 2;
        return 8;
    case 'b':
        *at += 2;
        return 2;
    default:
        *at += 1;
        return 8;
    }
}

/* Without a point and nothing but zeros behind it; as it was if something else stands there. */
static size_t cut_zero_fraction(const char *text, size_t length)
{
    size_t end = length;

    while (end > 0 && text[end - 1] == '0')
        end--;
    return end > 0 && end < length && text[end - 1] == '.' ? end - 1 : length;
}

int number_integer(const char *text, size_t length, bool *negative, uint64_t *magnitude)
{
    const char *at = text, *end = text + cut_zero_fraction(text, length);
    bool minus = at < end && *at == '-', after_digit, overflow = false;
    uint64_t number = 0;

    if (at < end && (*at == '-' || *at == '+'))
        at++;
    unsigned base = read_base(&at, end, &after_digit);
    if (at == end)
        return CFGS_ERR_SYNTAX;
    for (; at < end; at++) {
        if (*at == '_' && after_digit) {
            after_digit = false;
            continue;
        }
        unsigned digit = digit_of(*at);
        if (digit >= base)
            return CFGS_ERR_SYNTAX;
        after_digit = true;
        overflow |= __builtin_mul_overflow(number, (uint64_t)base, &number);
        overflow |= __builtin_add_overflow(number, (uint64_t)digit, &number);
    }
    if (!after_digit)
        return CFGS_ERR_SYNTAX;
    if (overflow)
        return CFGS_ERR_RANGE;
    *negative = minus;
    *magnitude = number;
    return CFGS_OK;
}

int number_int64(const char *text, size_t length, int64_t *out)
{
    bool negative;
    uint64_t magnitude;
    int err = number_integer(text, length, &negative, &magnitude);

    if (err != CFGS_OK)
        return err;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return CFGS_ERR_RANGE;
    /* By way of its complement: 2^63 has no positive int64. */
    *out = negative ? (magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1) : (int64_t)magnitude;
    return CFGS_OK;
}

/* ---- doubles ----------------------------------------------------------------------------------------------------- */

/* Copy digits of the base without the '_' between two of them (or behind a prefix); false: one stands elsewhere. */
static bool copy_digits(const char **at, const char *end, unsigned base, bool after_digit, char **to)
{
    for (; *at < end; ++*at) {
        if (**at == '_') {
            if (!after_digit || end - *at < 2 || digit_of((*at)[1]) >= base)
                return false;
            after_digit = false;
            continue;
        }
        if (digit_of(**at) >= base)
            return true;
        *(*to)++ = **at;
        after_digit = true;
    }
    return true;
}

/* The digits around a point; false: there are none. */
static bool copy_mantissa(const char **at, const char *end, unsigned base, char **to)
{
    const char *start = *to;
    bool point = false;

    if (!copy_digits(at, end, base, base == 16, to))
        return false;
    if (*at < end && **at == '.') {
        point = true;
        *(*to)++ = *(*at)++;
        if (!copy_digits(at, end, base, false, to))
            return false;
    }
    return *to - start > point;
}

/* [eE] or [pP], a sign, decimal digits; hexadecimal numbers need one. */
static bool copy_exponent(const char **at, const char *end, unsigned base, char **to)
{
    if (*at == end)
        return base == 10;
    if ((**at | 0x20) != (base == 16 ? 'p' : 'e'))
        return false;
    *(*to)++ = *(*at)++;
    if (*at < end && (**at == '-' || **at == '+'))
        *(*to)++ = *(*at)++;
    const char *digits = *to;
    return copy_digits(at, end, 10, false, to) && *to > digits && *at == end;
}

/* Copy what Go reads as a number; strtod() would read more (blanks, hexadecimal integers), and no '_'. */
static bool copy_number(const char *at, const char *end, char *to)
{
    unsigned base = 10;

    if (at < end && (*at == '-' || *at == '+'))
        *to++ = *at++;
    if (end - at > 2 && at[0] == '0' && (at[1] | 0x20) == 'x') {
        base = 16;
        *to++ = *at++;
        *to++ = *at++;
    }
    if (!copy_mantissa(&at, end, base, &to) || !copy_exponent(&at, end, base, &to))
        return false;
    *to = '\0';
    return true;
}

static bool is_name(const char *text, size_t length, const char *name)
{
    return length == strlen(name) && strncasecmp(text, name, length) == 0;
}

static bool named_double(const char *text, size_t length, double *out)
{
    bool sign = length > 0 && (*text == '-' || *text == '+'), negative = sign && *text == '-';

    if (is_name(text, length, "nan")) {
        *out = (double)NAN;
        return true;
    }
    text += sign;
    length -= sign;
    if (!is_name(text, length, "inf") && !is_name(text, length, "infinity"))
        return false;
    *out = negative ? -(double)INFINITY : (double)INFINITY;
    return true;
}

static int read_double(const char *copy, double *out)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", NULL);
    if (c_locale == NULL)
        return CFGS_ERR_MEMORY;
    double number = strtod_l(copy, NULL, c_locale);
    freelocale(c_locale);
    if (isinf(number))
        return CFGS_ERR_RANGE;
    *out = number;
    return CFGS_OK;
}

int number_double(const char *text, size_t length, double *out)
{
    char small[128], *copy = length < sizeof small ? small : malloc(length + 1);

    if (copy == NULL)
        return CFGS_ERR_MEMORY;
    int err = CFGS_OK;
    if (!named_double(text, length, out))
        err = copy_number(text, text + length, copy) ? read_double(copy, out) : CFGS_ERR_SYNTAX;
    if (copy != small)
        free(copy);
    return err;
}

int number_duration(const char *text, size_t length, int64_t *nanoseconds)
{
    char with_unit[128];

    if (length > sizeof with_unit - sizeof "ns")
        return CFGS_ERR_SYNTAX;
    memcpy(with_unit, text, length);
    with_unit[length] = '\0';
    if (with_unit[strcspn(with_unit, "nsumh")] == '\0') {
        memcpy(with_unit + length, "ns", 2);
        length += 2;
    }
    return cfgs_duration_parse(with_unit, length, nanoseconds);
}

/* The fewest digits that read back, d.ddde±x, taken apart: the digits alone, and the exponent of the first. */
static size_t shortest_digits(double number, char digits[20], int *exponent)
{
    char text[40];
    size_t count = 0;
    int precision = 0;

    /* Written and read in one and the same locale, whichever it is. */
    do
        snprintf(text, sizeof text, "%.*e", precision, number);
    while (strtod(text, NULL) != number && ++precision < 17);
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9')
            digits[count++] = *at;
    *exponent = (int)strtol(at + 1, NULL, 10);
    return count;
}

size_t number_from_double(double number, char out[NUMBER_TEXT_BYTES])
{
    char digits[20], *to = out;
    int exponent;

    if (isnan(number) || isinf(number)) {
        strcpy(out, isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
        return strlen(out);
    }
    size_t count = shortest_digits(fabs(number), digits, &exponent);
    if (signbit(number))
        *to++ = '-';
    if (exponent < 0)
        *to++ = '0';
    for (int place = 0; place <= exponent; place++)
        *to++ = (size_t)place < count ? digits[place] : '0';
    size_t first = exponent < 0 ? 0 : (size_t)exponent + 1;
    if (first < count)
        *to++ = '.';
    for (int zeros = -1; zeros > exponent; zeros--)
        *to++ = '0';
    while (first < count)
        *to++ = digits[first++];
    *to = '\0';
    return (size_t)(to - out);
}
