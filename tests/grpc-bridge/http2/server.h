/**
 * @file server.h  A worker on a loopback port, with methods made for tests.
 *
 *     /test.S/Echo   unary: answers with the request
 *     /test.S/Fail   unary: the first byte is the status, the rest the message
 *     /test.S/Feed   unary: so many more messages (4 bytes, big-endian) for every stream of Follow
 *     /test.S/End    unary: all streams of Follow end OK (empty request) or as Fail says
 *     /test.S/Follow streaming: the first 4 bytes are the size of a message, the next 4 how many there are at first
 *     /test.S/Chat   interactive: every message comes back, until the client is done
 *     /test.S/Open   as Echo, and needs no token on loopback
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TEST_SERVER_H
#define TEST_SERVER_H

#include "bridge/bridge.h"

struct server {
    struct bridge bridge;
    struct worker worker;
    uint16_t port;
    bool joined;
};

/** Started with these limits; all others at their defaults. */
void server_start(struct server *server, void (*set)(struct limits *limits));
void server_drain(struct server *server);
/** Waits for its thread. */
void server_join(struct server *server);
void server_stop(struct server *server);

#define SET_LIMIT(limits, name, value) atomic_store(&(limits)->name, value)

/** Counters, once they are what they should be; false after ten seconds. */
#define server_counts(server, name, value) server_reaches(&(server)->worker.counters.name, value)
bool server_reaches(const _Atomic uint64_t *counter, uint64_t value);

/** Calls of Follow and Chat that are open; how many pull() were made in the process. */
extern _Atomic unsigned server_open_calls;

void plain_channel_replace_credentials(int64_t now_ms);
/** No handshake comes to an end. */
extern _Atomic bool plain_channel_stuck;

#endif
