/* base/text.h: small work on texts: a growing buffer, numbers as text, escapes.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Growing bytes, always followed by a NUL that is not counted.  A zeroed one is empty; free(data). */
struct buffer {
    char *data;
    size_t length, capacity;
};

/** Both return false when memory ran out; the buffer then is as before. */
bool buffer_append(struct buffer *buffer, const char *data, size_t length);
bool buffer_reserve(struct buffer *buffer, size_t more);

/** Bytes of the longest text of text_from_double(), NUL included. */
enum { TEXT_NUMBER_BYTES = 400 };

/** The shortest decimal text that reads back as the same double, without an exponent where that stays short. */
void text_from_double(double number, char out[TEXT_NUMBER_BYTES]);

/** A whole number with 0x, 0o, 0b or leading-0 prefix and optional sign, nothing around it.  False if it is none. */
bool text_to_int(const char *text, size_t length, int64_t *out);

/** A decimal number (no hex floats, no names).  False if it is none, or beyond what a double holds. */
bool text_to_double(const char *text, size_t length, double *out);

/** Read a whole file of at most `limit` bytes into *out, which the caller frees also on failure. */
bool text_from_file(const char *path, size_t limit, struct buffer *out, struct problem *problem);

/** The same, of a regular file only: a FIFO nobody writes to would hold up the caller without end. */
bool text_from_regular_file(const char *path, size_t limit, struct buffer *out, struct problem *problem);

#endif
