/* base/problem.h: why something failed, in words for the person who has to fix it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PROBLEM_H
#define BASE_PROBLEM_H

#include <stdbool.h>

/** One line, no newline; `file:line:column: reason` where there is a place.  Never holds a setting's value. */
struct problem {
    char text[1536];
};

/** Write the text and return false, so that a failing function can say `return problem_set(...)`. */
bool problem_set(struct problem *problem, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The same for a failed malloc(). */
bool problem_memory(struct problem *problem);

#endif
