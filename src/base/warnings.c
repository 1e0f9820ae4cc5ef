/* base/warnings.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct warning *next_line(struct warnings *warnings)
{
    if (warnings->kept == WARNINGS_KEPT)
        return NULL;
    if (warnings->kept == warnings->capacity) {
        size_t capacity = warnings->capacity ? warnings->capacity * 2 : 16;
        struct warning *lines = reallocarray(warnings->lines, capacity, sizeof *lines);
        if (!lines)
            return NULL;
        warnings->lines = lines;
        warnings->capacity = capacity;
    }
    return &warnings->lines[warnings->kept];
}

/* A line that finds no room is counted at least. */
static void add(struct warnings *warnings, bool error, const char *file, unsigned line, unsigned column,
                const char *format, va_list arguments)
{
    char reason[1536];
    warnings->total++;
    struct warning *slot = next_line(warnings);
    if (!slot)
        return;
    vsnprintf(reason, sizeof reason, format, arguments);
    slot->error = error;
    int size = file ? asprintf(&slot->text, "%s:%u:%u: %s", file, line, column, reason)
                    : asprintf(&slot->text, "%s", reason);
    if (size >= 0)
        warnings->kept++;
}

void warnings_add(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(warnings, false, file, line, column, format, arguments);
    va_end(arguments);
}

void warnings_add_error(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format,
                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(warnings, true, file, line, column, format, arguments);
    va_end(arguments);
}

void warnings_add_strict(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format,
                         ...)
{
    va_list arguments;
    if (!warnings->strict)
        return;
    va_start(arguments, format);
    add(warnings, false, file, line, column, format, arguments);
    va_end(arguments);
}

void warnings_clear(struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->kept; i++)
        free(warnings->lines[i].text);
    free(warnings->lines);
    *warnings = (struct warnings){.strict = warnings->strict};
}
