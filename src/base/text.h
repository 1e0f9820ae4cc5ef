/* base/text.h: a growing buffer, and files read into it.  SPDX-License-Identifier: Apache-2.0 */
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

/** Read a whole file of at most `limit` bytes into *out, which the caller frees also on failure. */
bool text_from_file(const char *path, size_t limit, struct buffer *out, struct problem *problem);

/** The same, of a regular file only: a FIFO nobody writes to would hold up the caller without end. */
bool text_from_regular_file(const char *path, size_t limit, struct buffer *out, struct problem *problem);

#endif
