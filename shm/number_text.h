/*
 * number_text.h: numbers as text, spelled as in Go, whose programs write and read the same configuration.  The host
 * program's locale plays no part.  Built into the library and into the daemon, so that loading and reading agree.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_NUMBER_TEXT_H
#define CFGS_NUMBER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text of a double, NUL included: its smallest has 323 zeros behind the point before 17 digits. */
#define NUMBER_TEXT_BYTES 352

/*
 * An integer: sign, then decimal digits or 0x, 0o, 0b and digits, or 0 and octal digits; single '_' between digits.  A
 * fraction of zeros ("2.00") is cut off.  CFGS_OK, CFGS_ERR_SYNTAX, CFGS_ERR_RANGE; writes only with CFGS_OK.
 */
int number_integer(const char *text, size_t length, bool *negative, uint64_t *magnitude);
int number_int64(const char *text, size_t length, int64_t *out);

/* A decimal number, a hexadecimal one with exponent, inf, infinity or nan.  Also CFGS_ERR_MEMORY. */
int number_double(const char *text, size_t length, double *out);

/* Nanoseconds: as cfgs_duration_parse(), and a number without a unit (of decimal digits, maybe a fraction). */
int number_duration(const char *text, size_t length, int64_t *nanoseconds);

/* The shortest decimal text that reads as the same double, never with an exponent; its length. */
size_t number_from_double(double number, char out[NUMBER_TEXT_BYTES]);

#endif
