/* base/warnings.h: what loading let pass, one line each with its place.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_WARNINGS_H
#define BASE_WARNINGS_H

#include <stdbool.h>
#include <stddef.h>

/** Kept in full; of what comes after only the number is. */
enum { WARNINGS_KEPT = 1000 };

struct warning {
    char *text;
    bool error; /**< to be logged as an error: something was left out */
};

/** A zeroed one is empty. */
struct warnings {
    struct warning *lines;
    size_t kept, capacity;
    size_t total;
    bool strict; /**< set by the owner: also note what is usual, but not as declared */
};

/** Add a line; `file:line:column: ` is put in front unless file is NULL.  Never holds a setting's value. */
void warnings_add(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/** The same, as an error. */
void warnings_add_error(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format,
                        ...) __attribute__((format(printf, 5, 6)));

/** The same as warnings_add(), if `strict` is set; else nothing. */
void warnings_add_strict(struct warnings *warnings, const char *file, unsigned line, unsigned column, const char *format,
                         ...) __attribute__((format(printf, 5, 6)));

void warnings_clear(struct warnings *warnings);

#endif
