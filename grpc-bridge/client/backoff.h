/* client/backoff.h: growing pauses between attempts (grpc-wire 3).  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint32_t min_ms, max_ms;
    double next_ms;
    uint64_t random;
};

/** The seed is random, so that many clients of one core do not come back at the same moment. */
void backoff_init(struct backoff *backoff, uint32_t min_ms, uint32_t max_ms, uint64_t seed);

/** The pause after a failure, +-20 %; the one after the next is 1.6 times as long, up to the longest. */
int64_t backoff_pause(struct backoff *backoff);

/** The longest pause, +-20 %, for what seldom changes. */
int64_t backoff_longest(struct backoff *backoff);

/** All is well: the next failure gets the shortest pause. */
void backoff_reset(struct backoff *backoff);

#endif
