/* base/log.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/printable.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"trace", "debug", "info", "warn", "error", "critical", "off"};

const char *log_level_name(enum log_level level)
{
    return names[level];
}

static bool same_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

bool log_level_parse(const char *name, size_t length, enum log_level *out)
{
    for (int level = LOG_TRACE; level <= LOG_OFF; level++)
        if (same_word(name, length, names[level])) {
            *out = (enum log_level)level;
            return true;
        }
    if (!same_word(name, length, "warning"))
        return false;
    *out = LOG_WARN;
    return true;
}

static size_t write_head(char *line, size_t size, enum log_level level)
{
    static const char *const tags[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL", "OFF"};
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t at = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &parts);
    return at + (size_t)snprintf(line + at, size - at, ".%03ldZ %s ", now.tv_nsec / 1000000, tags[level]);
}

size_t log_escape(char *to, size_t size, const char *from)
{
    size_t at = 0, left = strlen(from);
    while (left && at + 5 < size) {
        size_t length = printable_length((const unsigned char *)from, left);
        if (length)
            memcpy(to + at, from, length);
        at += length ? length : (size_t)snprintf(to + at, size - at, "\\x%02x", (unsigned char)*from);
        from += length ? length : 1;
        left -= length ? length : 1;
    }
    to[at] = '\0';
    return at;
}

/* One thread at a time: between the look whether there is room and the write nobody else may take that room. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static size_t lost; /* lines that nobody took; under it */

/* False when it would block: a log pipe that nobody reads must not hold up those who wait for an answer. */
static bool put(const char *line, size_t length)
{
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&log, 1, 0) == 0)
        return false;
    /* Nobody to tell when standard error itself is gone. */
    while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
        continue;
    return true;
}

static bool tell_lost(void)
{
    char line[128];
    if (lost == 0)
        return true;
    size_t length = write_head(line, sizeof line, LOG_WARN);
    length += (size_t)snprintf(line + length, sizeof line - length, "%zu log lines were lost: nobody took them\n", lost);
    if (!put(line, length))
        return false;
    lost = 0;
    return true;
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    if (level < log->level || log->level == LOG_OFF)
        return;
    char message[2048], line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    size_t length = write_head(line, sizeof line, level);
    length += log_escape(line + length, sizeof line - length - 1, message);
    line[length++] = '\n';
    pthread_mutex_lock(&turn);
    if (!tell_lost() || !put(line, length))
        lost++;
    pthread_mutex_unlock(&turn);
}

/* Once for each: every change of any setting comes by here. */
static void complain_of_level(struct log *log, struct log_followed *followed, const char *name, size_t length)
{
    char bad[sizeof followed->bad];
    const size_t most = sizeof bad - 2;
    snprintf(bad, sizeof bad, "=%.*s", (int)(length < most ? length : most), name); /* with the =, an empty one is not none */
    if (strcmp(bad, followed->bad) == 0)
        return;
    strcpy(followed->bad, bad);
    log_write(log, LOG_WARN, "log_level names no level; it stays %s", log_level_name(log->level));
}

void log_follow(struct log *log, struct log_followed *followed, const char *name, size_t length)
{
    enum log_level level;
    if (log->pinned)
        return;
    if (!log_level_parse(name, length, &level)) {
        complain_of_level(log, followed, name, length);
        return;
    }
    followed->bad[0] = '\0';
    if (level == log->level)
        return;
    log_write(log, LOG_INFO, "log level is now %s", log_level_name(level));
    log->level = level;
}
