/*
 * reader_wait.c: sleeping until something changes, and being interrupted.
 *
 * The word is the truth and the wake-up a hint: every return is followed by another look.  Waits are bounded, because a
 * hostile reader can move sleepers to another futex even from a read-only mapping.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "futex.h"
#include "reader_private.h"
#include <errno.h>

/* Times a wait finds no live bank before it says so: a producer that rebuilds is faster, damage is not. */
#define BUSY_ROUNDS 10

uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t deadline_after_ms(int timeout_ms)
{
    if (timeout_ms < 0)
        return UINT64_MAX;
    return clock_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000u;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

/* Wait on both words at once.  False: this kernel (or sandbox) has no futex_waitv. */
static bool wait_both(const cfgs_word32 *word, uint32_t seen, cfgs_word32 *stop, uint64_t until)
{
#ifdef SYS_futex_waitv
    struct timespec ts = timespec_of(until);
    struct futex_waitv both[2] = {
        {.val = 0, .uaddr = (uint64_t)(uintptr_t)stop, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
        /* Without FUTEX_PRIVATE_FLAG: the producer is another process. */
        {.val = seen, .uaddr = (uint64_t)(uintptr_t)word, .flags = FUTEX_32},
    };
    long result = syscall(SYS_futex_waitv, both, word != NULL ? 2 : 1, 0, &ts, CLOCK_MONOTONIC);
    /* Woken, changed already (EAGAIN), signal (EINTR), over (ETIMEDOUT): all mean "look again". */
    return result >= 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT;
#else
    (void)word, (void)seen, (void)stop, (void)until;
    return false;
#endif
}

/* Wait on the arena's word alone; an interruption is noticed when the bound is over. */
static void wait_one(const cfgs_word32 *word, uint32_t seen, cfgs_word32 *stop, uint64_t until)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    struct timespec ts = timespec_of(until > now ? until - now : 0);

    if (word != NULL)
        futex_wait_shared(word, seen, &ts);
    else
        futex_wait_private(stop, 0, &ts);
}

void wait_for_change(const cfgs_word32 *word, uint32_t seen, cfgs_word32 *stop, uint64_t deadline)
{
    uint64_t bound_ms = word != NULL ? WAIT_BOUND_MS : ABSENT_POLL_MS;
    uint64_t until = clock_ns(CLOCK_MONOTONIC) + bound_ms * 1000000u;

    if (deadline < until)
        until = deadline;
    if (!wait_both(word, seen, stop, until))
        wait_one(word, seen, stop, until);
}

void cfgs_reader_interrupt(cfgs_reader *reader)
{
    int saved = errno;
    /* [interrupt] release: what the caller wrote before is seen by the thread it interrupts, whose exchange acquires. */
    word32_store_release(&reader->interrupted, 1);
    futex_wake_private(&reader->interrupted);
    errno = saved;
}

int cfgs_reader_wait_ready(cfgs_reader *reader, int timeout_ms)
{
    uint64_t deadline = deadline_after_ms(timeout_ms);
    int busy = 0;

    if (fork_guard_forked(&reader->guard))
        return CFGS_ERR_FORKED;
    for (;;) {
        const struct attachment *attachment = NULL;
        const cfgs_word32 *word = NULL;
        uint32_t seen = 0;
        cfgs_view view;

        /* [interrupt] acquire-release: takes the interruption exactly once, with what was written before it. */
        if (atomic_exchange_explicit(&reader->interrupted, 0, memory_order_acq_rel) != 0)
            return CFGS_ERR_INTERRUPTED;
        int err = reader_attach(reader, &reader->detail);
        if (err == CFGS_OK && (err = reader_attachment(reader, &attachment)) == CFGS_OK) {
            word = &attachment->header->wake;
            /* [wake S1] acquire, before the look at the banks; see cfgs_reader_next(). */
            seen = word32_load_acquire(word);
            err = bank_view_begin(attachment, &view);
            if (attachment_is_superseded(attachment))
                word = NULL; /* nobody wakes its sleepers any more: poll for the successor */
        }
        if (err == CFGS_ERR_LAPPED)
            err = CFGS_ERR_BUSY;
        if (err != CFGS_ERR_NOT_READY && (err != CFGS_ERR_BUSY || ++busy == BUSY_ROUNDS))
            return err;
        if (clock_ns(CLOCK_MONOTONIC) >= deadline)
            return CFGS_ERR_TIMEOUT;
        wait_for_change(word, seen, &reader->interrupted, deadline);
        reader_check_orphan(reader);
    }
}
