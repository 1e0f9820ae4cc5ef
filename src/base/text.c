/* base/text.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool buffer_reserve(struct buffer *buffer, size_t more)
{
    if (more >= SIZE_MAX / 2 - buffer->length)
        return false;
    size_t need = buffer->length + more + 1;
    if (need <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    char *data = realloc(buffer->data, capacity);
    if (!data)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool buffer_append(struct buffer *buffer, const char *data, size_t length)
{
    if (!buffer_reserve(buffer, length))
        return false;
    if (length)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return true;
}

static bool read_all(int fd, const char *path, size_t limit, struct buffer *out, struct problem *problem)
{
    for (;;) {
        if (!buffer_reserve(out, 65536))
            return problem_memory(problem);
        ssize_t got = read(fd, out->data + out->length, out->capacity - out->length - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return problem_set(problem, "%s: cannot read: %s", path, strerror(errno));
        out->length += (size_t)got;
        out->data[out->length] = '\0';
        if (out->length > limit)
            return problem_set(problem, "%s: the file is larger than %zu bytes; shorten it", path, limit);
        if (got == 0)
            return true;
    }
}

static bool look_and_read(int fd, const char *path, bool regular, size_t limit, struct buffer *out,
                          struct problem *problem)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return problem_set(problem, "%s: cannot look at it: %s", path, strerror(errno));
    if (regular && !S_ISREG(status.st_mode))
        return problem_set(problem, "%s: must be a regular file, not a directory, pipe or device", path);
    if (S_ISREG(status.st_mode) && (uint64_t)status.st_size > limit)
        return problem_set(problem, "%s: the file has %lld bytes, more than the %zu allowed; shorten it", path,
                           (long long)status.st_size, limit);
    if (S_ISREG(status.st_mode) && !buffer_reserve(out, (size_t)status.st_size + 1))
        return problem_memory(problem);
    return read_all(fd, path, limit, out, problem);
}

static bool from_file(const char *path, bool regular, size_t limit, struct buffer *out, struct problem *problem)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0));
    if (fd < 0)
        return problem_set(problem, "%s: cannot open: %s", path, strerror(errno));
    bool ok = look_and_read(fd, path, regular, limit, out, problem);
    close(fd);
    return ok;
}

bool text_from_file(const char *path, size_t limit, struct buffer *out, struct problem *problem)
{
    return from_file(path, false, limit, out, problem);
}

bool text_from_regular_file(const char *path, size_t limit, struct buffer *out, struct problem *problem)
{
    return from_file(path, true, limit, out, problem);
}
