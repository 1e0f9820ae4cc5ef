/* base/warnings.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char **next_line(struct warnings *warnings)
{
    if (warnings->kept == WARNINGS_KEPT)
        return NULL;
    if (warnings->kept == warnings->capacity) {
        size_t capacity = warnings->capacity ? warnings->capacity * 2 : 16;
        char **lines = reallocarray(warnings->lines, capacity, sizeof *lines);
        if (!lines)
            return NULL;
        warnings->lines = lines;
        warnings->capacity = capacity;
    }
    return &warnings->lines[warnings->kept];
}

void warnings_add(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format, ...)
{
    warnings->total++;
    char **slot = next_line(warnings); /* none: it is counted at least */
    if (!slot)
        return;
    char reason[1536];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    int size = file ? asprintf(slot, "%s:%u:%u: %s", file, line, column, reason) : asprintf(slot, "%s", reason);
    if (size >= 0)
        warnings->kept++;
}

void warnings_clear(struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->kept; i++)
        free(warnings->lines[i]);
    free(warnings->lines);
    *warnings = (struct warnings){0};
}
