/*
 * threads_settle.h: before a fork() in a sanitized build: wait until every other thread of this process sleeps.
 *
 * A thread that is just being born may hold the sanitizer's allocator lock; a child forked at that moment inherits it
 * locked and hangs in its first malloc().  The library's own helper threads allocate nothing once they sleep.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_TESTS_THREADS_SETTLE_H
#define CFGS_TESTS_THREADS_SETTLE_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline bool thread_sleeps(long tid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true; /* it has ended */
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end == NULL || name_end[1] == '\0' || name_end[2] == 'S';
}

/* The directory is read by system call: opendir() would allocate. */
static inline bool all_threads_sleep(void)
{
    char entries[4096];
    bool sleep = true;
    long self = syscall(SYS_gettid), got;
    int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    while (fd >= 0 && (got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
        unsigned short length;
        for (long at = 0; at < got; at += length) {
            long tid = 0;
            memcpy(&length, entries + at + 16, sizeof length);
            for (const char *digit = entries + at + 19; *digit >= '0' && *digit <= '9'; digit++)
                tid = 10 * tid + (*digit - '0');
            sleep = sleep && (tid == 0 || tid == self || thread_sleeps(tid));
        }
    }
    if (fd >= 0)
        close(fd);
    return sleep;
}

static inline void threads_settle(void)
{
    while (!all_threads_sleep())
        sched_yield();
}
#else
static inline void threads_settle(void)
{
}
#endif

#endif
