/**
 * @file http2/abuse.h  How often a peer may do what costs us more than it costs the peer.
 *
 * nghttp2 bounds some of it by itself (grpc-wire 5), but its limiter of resets rests during a drain, it does not close
 * the connection, and it counts neither the resets a peer provokes from us nor SETTINGS, PING and empty frames.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_ABUSE_H
#define HTTP2_ABUSE_H

#include <stdbool.h>
#include <stdint.h>

enum abuse_kind {
    ABUSE_FRAMES,   /* of any type: they cost a look each */
    ABUSE_SETTINGS, /* each is to be answered */
    ABUSE_RESETS,   /* streams begun and taken back */
    ABUSE_INVALID,  /* frames, header fields and streams we had to refuse */
    ABUSE_KINDS
};

/** A bucket per kind that leaks at a rate. */
struct abuse {
    struct {
        int64_t looked_ms;
        uint32_t thousandths;
    } buckets[ABUSE_KINDS];
    int64_t ping_ms; /* the last good one; 0: any is good */
    uint8_t ping_strikes;
};

/** One more of a kind: is it still within what we bear? */
bool abuse_note(struct abuse *abuse, enum abuse_kind kind, int64_t now_ms, uint32_t streams_max);

/** One more PING (gRPC proposal A8): false when there were too many. */
bool abuse_ping(struct abuse *abuse, int64_t now_ms, int64_t interval_ms);

/** HEADERS or DATA went out: a client may ask for our pulse again, to measure bandwidth. */
void abuse_forgive_pings(struct abuse *abuse);

/** DATA went out: a client answers it by opening the windows of stream and connection, as fast as we send. */
void abuse_expect_windows(struct abuse *abuse);

/** For the GOAWAY's debug data and the log. */
const char *abuse_name(enum abuse_kind kind);

#endif
