/* reader_private.h: what the parts of the reader share.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_READER_PRIVATE_H
#define CFGS_READER_PRIVATE_H

#include "arena_name.h"
#include "attachment.h"
#include "bank_view.h"
#include "fork_guard.h"
#include "ring.h"
#include <configstream/event.h>
#include <configstream/publisher.h>
#include <configstream/reader.h>
#include <pthread.h>
#include <time.h>

/* Waits look again at least this often, whatever happened to their wake-up. */
#define WAIT_BOUND_MS 1000
/* How often an arena that is not there is looked for. */
#define ABSENT_POLL_MS 50
/* A superseded arena whose successor is not there yet is looked past at most this often by point reads. */
#define SUPERSEDED_POLL_NS (UINT64_C(10) * 1000000)

/* The event cursor; one thread's. */
struct cursor {
    const struct attachment *attachment; /* the arena that `sequence` counts in */
    uint64_t sequence;                   /* last delivered ID */
    uint64_t snapshot_route;             /* bank of the last snapshot event */
    cfgs_snapshot_reason due;            /* a snapshot is to be delivered, and why; NONE: take updates */
    bool started, at_snapshot;
    const struct attachment *closed_attachment; /* whose end was reported last, and which producer's */
    uint64_t closed_epoch;
    struct buffer now, before;
};

/* The helper thread behind cfgs_reader_fd(). */
struct notifier {
    bool running;
    int event_fd;
    cfgs_word32 stop; /* private futex word */
    pthread_t thread;
};

struct cfgs_reader {
    _Atomic(struct attachment *) current;
    pthread_mutex_t lock; /* attaching, growing, retiring */
    cfgs_word superseded_ns;
    cfgs_publisher *publisher; /* of an arena in memory: it knows which one that is now; else NULL */
    struct arena_name name;
    struct attach_request request;
    struct fork_guard guard;
    cfgs_word32 interrupted; /* private futex word */
    struct cursor cursor;
    struct notifier notifier;
    cfgs_error_detail detail;
};

/*
 * The arena to read: the one attached, or, if there is none or it was superseded, the one that has its name now.
 * @return CFGS_OK; CFGS_ERR_NOT_READY: there is none; or an attach error.  Fast unless something has to be done.
 */
int reader_attach(cfgs_reader *reader, cfgs_error_detail *detail);

static inline bool attachment_is_superseded(const struct attachment *attachment)
{
    /* [state] relaxed: a late look costs one more read of the old arena, whose state stays readable. */
    return word_load_relaxed(&attachment->header->state) == ARENA_STATE_SUPERSEDED;
}

static inline int reader_attachment(cfgs_reader *reader, const struct attachment **out)
{
    /* [attach] acquire: the attachment's fields; pairs with the release in attach_anew(). */
    struct attachment *attachment = atomic_load_explicit(&reader->current, memory_order_acquire);

    if (attachment == NULL || attachment_is_superseded(attachment)) {
        int err = reader_attach(reader, NULL);
        /* [attach] acquire: as above. */
        attachment = atomic_load_explicit(&reader->current, memory_order_acquire);
        if (attachment == NULL)
            return err != CFGS_OK ? err : CFGS_ERR_NOT_READY;
    }
    *out = attachment;
    return CFGS_OK;
}

/*
 * May more be touched than `used` bytes, because the file grew (or another arena is attached)?  Then what looked out of
 * bounds was not, and is worth another look.
 */
bool reader_grow(cfgs_reader *reader, const struct attachment *attachment, uint64_t used);

/* Has the attached arena lost its name (unlinked, or replaced without a word)?  Then attach to the name's holder. */
void reader_check_orphan(cfgs_reader *reader);

/* Deadlines: CLOCK_MONOTONIC nanoseconds; UINT64_MAX: none. */
uint64_t clock_ns(clockid_t clock);
uint64_t deadline_after_ms(int timeout_ms);

/*
 * Sleep until the arena's futex word differs from `seen`, `stop` is not 0, the deadline passes, or WAIT_BOUND_MS is over;
 * spurious returns are normal.  word may be NULL: ABSENT_POLL_MS at most.
 */
void wait_for_change(const cfgs_word32 *word, uint32_t seen, cfgs_word32 *stop, uint64_t deadline);

/* A reader of an arena without a name. */
int reader_open_memory(cfgs_publisher *publisher, cfgs_reader **out);

/* Attach to what is this publisher's arena in memory now.  Any thread. */
int publisher_attach(cfgs_publisher *publisher, struct attachment **out);

void notifier_stop(cfgs_reader *reader);
void notifier_drain(cfgs_reader *reader);
/* Make the descriptor readable: there is something to do besides what the arena says.  The event cursor's thread. */
void notifier_raise(cfgs_reader *reader);

/* Let the next event be a snapshot, whatever was delivered before.  The event cursor's thread. */
void reader_resync(cfgs_reader *reader);

#endif
