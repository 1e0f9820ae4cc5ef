/* base/log.h: a daemon's log lines on standard error.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_CRITICAL, LOG_OFF };

struct log {
    _Atomic(enum log_level) level; /**< one thread changes it while others log */
    bool pinned; /**< --log-level was given: the published log_level does not count */
};

/** The level of this name in any case, also "warning"; false if it is none. */
bool log_level_parse(const char *name, size_t length, enum log_level *out);

const char *log_level_name(enum log_level level);

/** What is remembered of following a published log_level.  Zeroed at the start. */
struct log_followed {
    char bad[66]; /**< the text that names no level, as far as it was complained about */
};

/** Take the level that the configuration publishes, unless --log-level pins another; a text that names none is told once
 * for each, and changes nothing.  One thread. */
void log_follow(struct log *log, struct log_followed *followed, const char *name, size_t length);

/** As much of a text as there is room for, and its length.  Keys and file names come from others: a newline in one must
 * not be able to forge a line, nor anything else a terminal's state, so all that is not printable UTF-8 becomes \xNN. */
size_t log_escape(char *to, size_t size, const char *from);

/** "2026-01-31T12:00:00.123Z INFO message", escaped.  One write(), so lines stay whole.  Never blocks: lines that nobody
 * takes are dropped, and their number is told with the next that gets through.
 * Any thread. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
