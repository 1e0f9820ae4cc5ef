/* cli/say.h: what the program says on standard error.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** From now on only messages of this level and above (--log-level).  At the start: LOG_INFO. */
void say_from(enum log_level level);

/** The program's name in front of its messages; at the start "configstream".  Not copied. */
void say_as(const char *program);

/** "configstream: " and the message as one line, what a terminal would take for a command escaped. */
void cli_say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The same for a failure: LOG_ERROR. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * Text that others chose, for people: control characters (C0, DEL, C1) and bytes that are no UTF-8 come out as \xNN.
 * @param kept  control characters to be let through, "" for none.
 */
void print_plain(FILE *to, const char *text, size_t length, const char *kept);

/** Whether what is written there is seen on a terminal that knows escape sequences. */
bool is_terminal(FILE *stream);

#endif
