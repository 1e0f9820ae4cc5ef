/*
 * futex.h: the futex calls we make.  Results are not looked at: woken, changed already (EAGAIN), signal (EINTR) and timed
 * out all mean "look at the word again", and so does a spurious return.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_FUTEX_H
#define CFGS_FUTEX_H

#include "words.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* timeout: relative; NULL: none. */
static inline void futex_wait_private(const cfgs_word32 *word, uint32_t seen, const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout, NULL, 0);
}

/* Not FUTEX_PRIVATE_FLAG: waiter and waker are different processes. */
static inline void futex_wait_shared(const cfgs_word32 *word, uint32_t seen, const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout, NULL, 0);
}

static inline void futex_wake_private(const cfgs_word32 *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static inline void futex_wake_shared(const cfgs_word32 *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
