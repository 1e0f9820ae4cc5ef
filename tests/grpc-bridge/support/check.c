/* check.c: see check.h.  SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdarg.h>
#include <time.h>

static void (*before_failing)(void);

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void fail_first(void (*hook)(void))
{
    before_failing = hook;
}

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    if (before_failing != NULL)
        before_failing();
    exit(1);
}

void *need(void *memory)
{
    REQUIRE(memory != NULL, "out of memory");
    return memory;
}
