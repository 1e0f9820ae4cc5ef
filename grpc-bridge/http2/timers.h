/**
 * @file http2/timers.h  Deadlines of calls: one wheel for each worker.
 *
 * Adding and removing cost the same however many there are; a peer that sets many deadlines costs nobody a scan.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_TIMERS_H
#define HTTP2_TIMERS_H

#include "base/list.h"

#include <stdint.h>

enum { TIMERS_SLOTS = 256, TIMERS_SLOT_MS = 8 };

struct timer {
    struct list link;
    int64_t due_ms;
};

struct timers {
    struct list slots[TIMERS_SLOTS];
    struct list due; /* found by the last look, and not taken yet */
    int64_t turned; /* slots before this one (counted from the clock's zero) have been looked at */
};

void timers_init(struct timers *timers, int64_t now_ms);

static inline void timer_init(struct timer *timer) { list_init(&timer->link); }

void timers_add(struct timers *timers, struct timer *timer, int64_t due_ms);

/** Harmless when it is not set. */
static inline void timer_stop(struct timer *timer) { list_remove(&timer->link); }

/** Take out one that is due; NULL: none is. */
struct timer *timers_take_due(struct timers *timers, int64_t now_ms);

/** Milliseconds until one may be due, at most `most`. */
int64_t timers_wait_ms(const struct timers *timers, int64_t now_ms, int64_t most);

#endif
