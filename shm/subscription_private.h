/* subscription_private.h: what the parts of a subscription share.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_SUBSCRIPTION_PRIVATE_H
#define CFGS_SUBSCRIPTION_PRIVATE_H

#include "watched.h"
#include <configstream/subscription.h>
#include <string.h>

/* Watches are numbered in the order they were added, are never removed, and are chained by what they watch. */
struct watch {
    cfgs_change_callback callback;
    void *context;
    unsigned flags;
    size_t next;  /* of the same key; of a prefix: the next prefix, any */
    char *prefix; /* NULL: its key is that of the entry it is chained to */
    size_t prefix_length;
};

struct cfgs_subscription {
    cfgs_reader *reader;
    struct watched watched;
    struct watch *watches;
    size_t count, room;
    size_t started; /* watches below this number know the state as of `sequence`; the others begin with a snapshot */
    size_t first_prefix, last_prefix;
    uint64_t sequence;
    bool dispatching;
    bool pending;     /* `event` is an update that memory did not suffice for */
    cfgs_event event; /* the reader's last */
    size_t calls;     /* callbacks made by this dispatch */
};

/* Does the watch, one of a prefix, match the key? */
static inline bool watch_matches(const struct watch *watch, const char *key, size_t length)
{
    return length >= watch->prefix_length &&
           (watch->prefix_length == 0 || memcmp(key, watch->prefix, watch->prefix_length) == 0);
}

#endif
