/* http2/timers.c  SPDX-License-Identifier: Apache-2.0 */
#include "http2/timers.h"

void timers_init(struct timers *timers, int64_t now_ms)
{
    for (size_t i = 0; i < TIMERS_SLOTS; i++)
        list_init(&timers->slots[i]);
    list_init(&timers->due);
    timers->turned = now_ms / TIMERS_SLOT_MS;
}

/* What is overdue goes where the next look begins. */
void timers_add(struct timers *timers, struct timer *timer, int64_t due_ms)
{
    int64_t slot = due_ms / TIMERS_SLOT_MS;
    timer->due_ms = due_ms;
    list_append(&timers->slots[(slot > timers->turned ? slot : timers->turned) % TIMERS_SLOTS], &timer->link);
}

static void move_due(struct list *slot, int64_t now_ms, struct list *due)
{
    for (struct list *link = slot->next, *next; link != slot; link = next) {
        next = link->next;
        if (LIST_MEMBER(link, struct timer, link)->due_ms <= now_ms)
            list_append(due, link);
    }
}

/* All that are due at once: with a look for each, those of later turns in the same slots would be passed again and again. */
static void look(struct timers *timers, int64_t now_ms)
{
    int64_t current = now_ms / TIMERS_SLOT_MS;
    if (current - timers->turned > TIMERS_SLOTS)
        timers->turned = current - TIMERS_SLOTS; /* once around sees every slot */
    for (;; timers->turned++) {
        move_due(&timers->slots[timers->turned % TIMERS_SLOTS], now_ms, &timers->due);
        if (timers->turned >= current)
            return;
    }
}

struct timer *timers_take_due(struct timers *timers, int64_t now_ms)
{
    if (list_empty(&timers->due))
        look(timers, now_ms);
    if (list_empty(&timers->due))
        return NULL;
    struct timer *due = LIST_MEMBER(timers->due.next, struct timer, link);
    list_remove(&due->link);
    return due;
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
