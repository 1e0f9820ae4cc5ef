/* subscriber.h: a remote agent as the tests want it: registers, subscribes, keeps a mirror of what it is told.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_SUBSCRIBER_H
#define BRIDGE_TESTS_SUBSCRIBER_H

#include "client.h"
#include "mirror.h"

struct subscriber {
    char name[32], session[40];
    struct peer *peer;
    struct stream *registering, *stream; /* stream: NULL until it is registered */
    struct mirror *mirror;               /* NULL: messages are only counted */
    bool holding;                        /* the stream gives no window from its first byte on */
    void *context;                       /* the test's own */
    /** After the mirror took it. */
    void (*on_event)(struct subscriber *subscriber, const struct event *event, const uint8_t *message, size_t length);
};

/** Begin to register over this peer; when that is answered the stream is opened.  The name is a printf() format. */
struct subscriber *subscriber_new(struct peer *peer, bool mirrored, const char *name, ...)
    __attribute__((format(printf, 3, 4)));
/** Before the swarm is; its stream goes on, unheard. */
void subscriber_free(struct subscriber *subscriber);

/** Has it got a snapshot?  And does it stand at this ID? */
bool subscriber_began(const struct subscriber *subscriber);
bool subscriber_at(const struct subscriber *subscriber, uint64_t sequence);

/** Fails the test unless the stream is up. */
void subscriber_well(const struct subscriber *subscriber);

#define METHOD_REGISTER "/datadog.remoteagent.v1.RemoteAgent/RegisterRemoteAgent"
#define METHOD_REFRESH "/datadog.remoteagent.v1.RemoteAgent/RefreshRemoteAgent"
#define METHOD_STREAM "/datadog.api.v1.AgentSecure/StreamConfigEvents"

#endif
