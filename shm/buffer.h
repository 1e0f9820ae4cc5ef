/* buffer.h: private bytes that grow.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_BUFFER_H
#define CFGS_BUFFER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct buffer {
    char *data;
    size_t length, capacity;
};

/* Room for `more` bytes behind length; false when memory runs out, and then nothing has changed. */
static inline bool buffer_reserve(struct buffer *buffer, size_t more)
{
    if (more <= buffer->capacity - buffer->length)
        return true;
    if (more > SIZE_MAX / 2 - buffer->length)
        return false;
    size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
    while (capacity < buffer->length + more)
        capacity *= 2;
    char *data = realloc(buffer->data, capacity);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

static inline void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){NULL, 0, 0};
}

#endif
