/* mirror.h: the state a client holds, built from the messages of a stream, and checked as it is built.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_MIRROR_H
#define BRIDGE_TESTS_MIRROR_H

#include "wire.h"

#include <configstream/encoded.h>

/** One message of StreamConfigEvents, borrowed. */
struct event {
    bool snapshot;
    int32_t sequence;
    struct bytes origin, body; /* of the ConfigSnapshot or ConfigUpdate */
};
struct event event_parse(const uint8_t *message, size_t length);

/** A ConfigSetting, borrowed. */
struct parts {
    struct bytes source, key, value, unset_source; /* value: encoded, without its tag */
    bool has_value;
};
struct parts parts_of(struct bytes setting);

enum { MIRROR_BUCKETS = 1024 };
struct mirror_entry;
struct mirror {
    struct mirror_entry *buckets[MIRROR_BUCKETS];
    size_t count;
    int64_t last; /* ID of the last event; -1: none */
    uint64_t snapshots, updates;
};

struct mirror *mirror_new(void);
void mirror_free(struct mirror *mirror);

/** Take a message as a client would: a snapshot first, then only the ID that follows; after that a snapshot above it. */
struct event mirror_take(struct mirror *mirror, const uint8_t *message, size_t length, const char *who);

/** The newest state, read as an agent on the same host reads it.  The producer must be quiet. */
void mirror_read(struct mirror *mirror, cfgs_reader *reader);

/** Fails the test unless both hold the same keys, sources and encoded values. */
void mirror_same(const struct mirror *remote, const struct mirror *local, const char *who);

#endif
