/**
 * @file bridge/limits.h  Everything a peer could make grow, and how long anything may take.
 *
 * Each is a flag --<name with dashes>, and a setting remote_agent.configstream.<name> of the arena; the flag wins, and a
 * change of the setting counts from then on.  Times are in milliseconds here, durations (10s) for people.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_LIMITS_H
#define BRIDGE_LIMITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum limit_kind { LIMIT_COUNT, LIMIT_BYTES, LIMIT_MS };

/* name, kind, default, lowest, highest, what it bounds */
#define BRIDGE_LIMITS(X)                                                                                               \
    X(max_connections, LIMIT_COUNT, 10000, 1, 1000000, "Open connections")                                             \
    X(max_handshakes, LIMIT_COUNT, 256, 1, 100000, "TLS handshakes under way in one worker")                           \
    X(max_streams, LIMIT_COUNT, 1000, 1, 100000, "Streams at once on a connection")                                    \
    X(max_header_bytes, LIMIT_BYTES, 16384, 1024, 1048576, "Header list of a request; four times this resets it")      \
    X(max_request_bytes, LIMIT_BYTES, 65536, 1024, 4194304, "Request message")                                         \
    X(handshake_timeout, LIMIT_MS, 5000, 10, 600000, "Time for a TLS handshake")                                       \
    X(preface_timeout, LIMIT_MS, 5000, 10, 600000, "Time from the handshake to the client's first settings")           \
    X(request_timeout, LIMIT_MS, 10000, 10, 600000, "Time for a request to arrive whole")                              \
    X(keepalive_time, LIMIT_MS, 30000, 10, 86400000, "Silence after which a peer is asked for a sign of life")         \
    X(keepalive_timeout, LIMIT_MS, 20000, 10, 600000, "Time to give that sign")                                        \
    X(min_ping_interval, LIMIT_MS, 10000, 0, 600000, "A peer's pings may come this often; 0: ever")                    \
    X(idle_timeout, LIMIT_MS, 900000, 10, 86400000, "Time a connection may stay without a call")                       \
    X(stall_timeout, LIMIT_MS, 600000, 10, 86400000, "Time a stream may take no byte of what waits for it")            \
    X(output_high_water, LIMIT_BYTES, 262144, 16384, 16777216, "Output a connection holds before no more is made")     \
    X(max_snapshot_bytes, LIMIT_BYTES, 134217728, 1024, 2147483647, "A snapshot message")                              \
    X(max_snapshots, LIMIT_COUNT, 64, 1, 1000, "Snapshot frames alive at once")                                        \
    X(max_snapshot_memory, LIMIT_BYTES, 536870912, 1024, 1099511627776, "Memory of the snapshot frames alive")         \
    X(max_agents, LIMIT_COUNT, 4096, 1, 1000000, "Registered agents")                                                  \
    X(drain_timeout, LIMIT_MS, 10000, 10, 600000, "Time to end all connections at a stop")                             \
    X(credential_drain, LIMIT_MS, 300000, 10, 86400000, "Time that connections on replaced credentials go on")

/** Written by the main thread, read by workers: relaxed, since each number stands for itself. */
struct limits {
#define LIMIT_MEMBER(name, kind, initial, low, high, help) _Atomic int64_t name;
    BRIDGE_LIMITS(LIMIT_MEMBER)
#undef LIMIT_MEMBER
};

#define LIMIT(limits, name) atomic_load_explicit(&(limits)->name, memory_order_relaxed)

/** All at their defaults. */
void limits_init(struct limits *limits);

/* The same as a table, for command line, settings and help. */
struct limit_row {
    const char *name; /* with underscores */
    enum limit_kind kind;
    int64_t initial, low, high;
    const char *help;
    size_t offset; /* in struct limits */
};

#define LIMIT_ONE(name, kind, initial, low, high, help) +1
enum { LIMIT_COUNT_OF_ALL = 0 BRIDGE_LIMITS(LIMIT_ONE), LIMIT_TEXT_BYTES = 32 };
#undef LIMIT_ONE

extern const struct limit_row limit_rows[LIMIT_COUNT_OF_ALL];

int64_t limit_value(const struct limits *limits, const struct limit_row *row);
void limit_set(struct limits *limits, const struct limit_row *row, int64_t value);

/** As people write it: a number, a size such as 64kb, a duration such as 10s.  False: it is none, or out of range. */
bool limit_parse(const struct limit_row *row, const char *text, int64_t *out);
void limit_print(enum limit_kind kind, int64_t value, char to[LIMIT_TEXT_BYTES]);

#endif
