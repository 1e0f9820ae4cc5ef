/* base/stdio.h: the three standard descriptors.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STDIO_H
#define BASE_STDIO_H

#include <stdbool.h>

/**
 * First thing in main(): a standard descriptor that was closed at start would be given to the next file that is opened,
 * and what is printed would land in it, which may be an arena.  /dev/null takes its place; for standard output one that
 * cannot be written to, so that whoever prints there still learns that nobody gets it.
 */
void keep_standard_fds(void);

/** Flush standard output; false, with errno set, when something printed there was lost. */
bool flush_standard_output(void);

#endif
