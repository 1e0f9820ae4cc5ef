/**
 * @file client/apply.h  From the messages of one stream to the publisher: sequence rules, path, whole or not at all.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_APPLY_H
#define CLIENT_APPLY_H

#include "client/config_event.h"
#include "client/engine.h"
#include "client/failure.h"
#include "client/path.h"

struct apply {
    /* Set once. */
    cfgs_publisher *publisher;
    bool relay;
    const struct engine_hooks *hooks;
    cfgs_remote_info *info; /* whose sequence and counters are kept */
    void (*say)(void *context, uint64_t sequence, size_t settings); /* before a snapshot is applied */
    void *context;
    /* Of the stream. */
    struct path path;
    uint64_t wire_base, last;
    bool has_snapshot;
    unsigned restarts; /* snapshots after the first that had to become a new arena */
    char address[128];
    char origin[CONFIG_EVENT_ORIGIN_MAX_BYTES + 1];
};

/** A stream was accepted; base and path are its metadata, "" where there was none.  CFGS_ERR_PROTOCOL, CFGS_ERR_LOOP. */
int apply_begin(struct apply *apply, const char *address, const char *base, const char *path, struct failure *failure);

/** One message.  Nothing was applied of one that fails. */
int apply_message(struct apply *apply, const uint8_t *message, size_t length, struct failure *failure);

#endif
