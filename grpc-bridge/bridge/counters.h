/**
 * @file bridge/counters.h  What the bridge counts.  Each worker has its own set, written by it alone; readers add them up.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_COUNTERS_H
#define BRIDGE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* name, help; each becomes the metric configstream_<name> */
#define BRIDGE_COUNTERS(X)                                                                                             \
    X(snapshots_sent, "Snapshots sent to subscribers")                                                                 \
    X(updates_sent, "Updates sent to subscribers")                                                                     \
    X(discontinuities, "Subscribers that missed updates, or whose arena was replaced")                                 \
    X(dropped_updates, "Updates that were replaced by a snapshot")                                                     \
    X(bytes_sent, "Bytes written to connections")                                                                      \
    X(bytes_received, "Bytes read from connections")                                                                   \
    X(connections_accepted, "Connections accepted")                                                                    \
    X(connections_refused, "Connections refused for want of room")                                                     \
    X(handshake_failures, "TLS handshakes that failed")                                                                \
    X(handshake_timeouts, "TLS handshakes and prefaces that took too long")                                            \
    X(authorization_errors, "Calls refused for want of a valid token or session")                                      \
    X(calls, "Calls of all methods")                                                                                   \
    X(calls_failed, "Calls that ended with a status other than OK")                                                    \
    X(malformed_requests, "Requests against the gRPC wire rules")                                                      \
    X(abuse_closed, "Connections closed for floods, resets or invalid frames")                                         \
    X(dead_peers, "Connections closed because the peer did not answer")                                                \
    X(stalled_streams, "Streams ended because they took no byte for too long")                                         \
    X(sessions_expired_streams, "Streams ended because their session expired")

/* gauges of the same kind: up and down */
#define BRIDGE_GAUGES(X)                                                                                               \
    X(connections, "Open connections")                                                                                 \
    X(subscribers, "Open configuration streams")

/* gauges that mean nothing added up */
#define BRIDGE_WORKER_GAUGES(X) X(lag, "Updates that the stream which is behind most has still to take")

struct counters {
#define MEMBER(name, help) _Atomic uint64_t name;
    BRIDGE_COUNTERS(MEMBER)
    BRIDGE_GAUGES(MEMBER)
    BRIDGE_WORKER_GAUGES(MEMBER)
#undef MEMBER
};

/** relaxed: monotonic numbers for people, in no order with anything; one writer each, so a plain add would do. */
#define COUNT(counters, name, by) atomic_fetch_add_explicit(&(counters)->name, (uint64_t)(by), memory_order_relaxed)

#endif
