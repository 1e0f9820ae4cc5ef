/* client/backoff.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/backoff.h"

#define GROWTH 1.6
#define JITTER 0.2

void backoff_init(struct backoff *backoff, uint32_t min_ms, uint32_t max_ms, uint64_t seed)
{
    *backoff = (struct backoff){.min_ms = min_ms, .max_ms = max_ms, .random = seed | 1};
    backoff_reset(backoff);
}

/* xorshift: chance, not secrecy. */
static double jitter(struct backoff *backoff, double pause)
{
    uint64_t x = backoff->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    backoff->random = x;
    return pause * (1 - JITTER + 2 * JITTER * (double)(x >> 11) * 0x1p-53);
}

int64_t backoff_pause(struct backoff *backoff)
{
    double pause = backoff->next_ms;
    backoff->next_ms = pause * GROWTH < backoff->max_ms ? pause * GROWTH : backoff->max_ms;
    return (int64_t)jitter(backoff, pause) + 1;
}

int64_t backoff_longest(struct backoff *backoff)
{
    backoff->next_ms = backoff->max_ms;
    return backoff_pause(backoff);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = backoff->min_ms;
}
