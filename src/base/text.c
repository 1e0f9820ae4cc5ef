/* base/text.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
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

void text_from_double(double number, char out[TEXT_NUMBER_BYTES])
{
    if (isnan(number) || isinf(number)) {
        snprintf(out, TEXT_NUMBER_BYTES, "%s", isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
        return;
    }
    bool plain = number == 0 || (fabs(number) < 1e15 && fabs(number) >= 1e-6);
    for (int precision = plain ? 0 : 1; precision <= 22; precision++) {
        snprintf(out, TEXT_NUMBER_BYTES, plain ? "%.*f" : "%.*g", precision, number);
        if (strtod(out, NULL) == number)
            return;
    }
}

static int base_of(const char **text, const char *end)
{
    if (end - *text < 2 || (*text)[0] != '0')
        return 10;
    switch ((*text)[1]) {
    case 'x': case 'X': *text += 2; return 16;
    case 'o': case 'O': *text += 2; return 8;
    case 'b': case 'B': *text += 2; return 2;
    default: *text += 1; return 8;
    }
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

bool text_to_int(const char *text, size_t length, int64_t *out)
{
    const char *end = text + length;
    bool negative = length && *text == '-';
    if (length && (*text == '-' || *text == '+'))
        text++;
    int base = base_of(&text, end);
    if (text == end)
        return false;
    uint64_t magnitude = 0;
    for (; text < end; text++) {
        int digit = digit_of(*text);
        if (digit >= base || __builtin_mul_overflow(magnitude, (uint64_t)base, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)digit, &magnitude))
            return false;
    }
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* [-+]? (digits [. digits*] | . digits) ([eE] [-+]? digits)? : what strtod() takes beyond that is no YAML number. */
static bool looks_decimal(const char *at, const char *end)
{
    size_t digits = 0;
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    for (; at < end && isdigit((unsigned char)*at); at++)
        digits++;
    if (at < end && *at == '.')
        for (at++; at < end && isdigit((unsigned char)*at); at++)
            digits++;
    if (!digits)
        return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (at == end)
            return false;
        while (at < end && isdigit((unsigned char)*at))
            at++;
    }
    return at == end;
}

bool text_to_double(const char *text, size_t length, double *out)
{
    char copy[TEXT_NUMBER_BYTES];
    if (length >= sizeof copy || !looks_decimal(text, text + length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *out = strtod(copy, NULL);
    return !isinf(*out);
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
