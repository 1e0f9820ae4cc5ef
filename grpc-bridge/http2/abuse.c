/* http2/abuse.c  SPDX-License-Identifier: Apache-2.0 */
#include "http2/abuse.h"

enum { PING_STRIKES_MAX = 2 };

struct rate {
    uint32_t burst, per_second;
};

static struct rate rate_of(enum abuse_kind kind, uint32_t streams_max)
{
    switch (kind) {
    case ABUSE_FRAMES: return (struct rate){20000, 10000};
    case ABUSE_SETTINGS: return (struct rate){50, 1};      /* grpc-go grows its window by them */
    case ABUSE_RESETS: return (struct rate){2 * streams_max, 100}; /* a proxy that loses all its clients at once */
    default: return (struct rate){100, 10};
    }
}

bool abuse_note(struct abuse *abuse, enum abuse_kind kind, int64_t now_ms, uint32_t streams_max)
{
    struct rate rate = rate_of(kind, streams_max);
    int64_t leaked = (now_ms - abuse->buckets[kind].looked_ms) * rate.per_second; /* ms x 1/s = thousandths */
    uint32_t level = abuse->buckets[kind].thousandths;
    level = leaked >= level ? 0 : level - (uint32_t)leaked;
    abuse->buckets[kind].looked_ms = now_ms;
    abuse->buckets[kind].thousandths = level + 1000;
    return level + 1000 <= rate.burst * 1000;
}

void abuse_expect_windows(struct abuse *abuse)
{
    uint32_t *level = &abuse->buckets[ABUSE_FRAMES].thousandths;
    *level -= *level < 2000 ? *level : 2000;
}

bool abuse_ping(struct abuse *abuse, int64_t now_ms, int64_t interval_ms)
{
    int64_t gap = interval_ms - interval_ms / 10; /* the peer's clock and the network are not ours */
    if (abuse->ping_ms == 0 || now_ms - abuse->ping_ms >= gap) {
        abuse->ping_ms = now_ms;
        return true;
    }
    return ++abuse->ping_strikes <= PING_STRIKES_MAX;
}

void abuse_forgive_pings(struct abuse *abuse)
{
    abuse->ping_ms = 0;
    abuse->ping_strikes = 0;
}

const char *abuse_name(enum abuse_kind kind)
{
    switch (kind) {
    case ABUSE_FRAMES: return "too_many_frames";
    case ABUSE_SETTINGS: return "too_many_settings";
    case ABUSE_RESETS: return "too_many_resets";
    default: return "too_many_errors";
    }
}
