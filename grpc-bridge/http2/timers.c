/* http2/timers.c  SPDX-License-Identifier: Apache-2.0 */
#include "http2/timers.h"

void timers_init(struct timers *timers, int64_t now_ms)
{
    for (size_t i = 0; i < TIMERS_SLOTS; i++)
        list_init(&timers->slots[i]);
    timers->turned = now_ms / TIMERS_SLOT_MS;
}

/* What is overdue goes where the next look begins. */
void timers_add(struct timers *timers, struct timer *timer, int64_t due_ms)
{
    int64_t slot = due_ms / TIMERS_SLOT_MS;
    timer->due_ms = due_ms;
    list_append(&timers->slots[(slot > timers->turned ? slot : timers->turned) % TIMERS_SLOTS], &timer->link);
}

static struct timer *find_due(struct list *slot, int64_t now_ms)
{
    for (struct list *link = slot->next; link != slot; link = link->next) {
        struct timer *timer = LIST_MEMBER(link, struct timer, link);
        if (timer->due_ms <= now_ms)
            return timer;
    }
    return NULL;
}

struct timer *timers_take_due(struct timers *timers, int64_t now_ms)
{
    int64_t current = now_ms / TIMERS_SLOT_MS;
    if (current - timers->turned > TIMERS_SLOTS)
        timers->turned = current - TIMERS_SLOTS; /* once around sees every slot */
    for (;; timers->turned++) {
        struct timer *due = find_due(&timers->slots[timers->turned % TIMERS_SLOTS], now_ms);
        if (due) {
            list_remove(&due->link);
            return due;
        }
        if (timers->turned >= current)
            return NULL;
    }
}

int64_t timers_wait_ms(const struct timers *timers, int64_t now_ms, int64_t most)
{
    for (int64_t slot = timers->turned; slot * TIMERS_SLOT_MS < now_ms + most; slot++)
        if (!list_empty(&timers->slots[slot % TIMERS_SLOTS])) {
            int64_t wait = (slot + 1) * TIMERS_SLOT_MS - now_ms; /* by then all of the slot is due */
            return wait < 0 ? 0 : wait < most ? wait : most;
        }
    return most;
}
