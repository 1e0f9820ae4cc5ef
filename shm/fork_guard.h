/*
 * fork_guard.h: is this still the process that made the handle?  A page the kernel empties in a child; one load to ask.
 * Where the kernel cannot (before 4.14) a fork goes unnoticed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_FORK_GUARD_H
#define CFGS_FORK_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

struct fork_guard {
    volatile char *page;
};

static inline bool fork_guard_init(struct fork_guard *guard)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
#ifdef MADV_WIPEONFORK
    (void)madvise(page, bytes, MADV_WIPEONFORK);
#endif
    guard->page = page;
    guard->page[0] = 1;
    return true;
}

static inline bool fork_guard_forked(const struct fork_guard *guard)
{
    return guard->page[0] == 0;
}

static inline void fork_guard_release(struct fork_guard *guard)
{
    if (guard->page != NULL)
        munmap((void *)(unsigned long)guard->page, (size_t)sysconf(_SC_PAGESIZE));
    guard->page = NULL;
}

#endif
