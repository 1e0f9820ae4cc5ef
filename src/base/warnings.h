/* base/warnings.h: what loading let pass, one line each with its place.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_WARNINGS_H
#define BASE_WARNINGS_H

#include <stddef.h>

/** Kept in full; of what comes after only the number is. */
enum { WARNINGS_KEPT = 1000 };

/** A zeroed one is empty. */
struct warnings {
    char **lines;
    size_t kept, capacity;
    size_t total;
};

/** Add a line; `file:line:column: ` is put in front unless file is NULL.  Never holds a setting's value. */
void warnings_add(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

void warnings_clear(struct warnings *warnings);

#endif
