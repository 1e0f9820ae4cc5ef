/**
 * @file client/config_event.h  A ConfigEvent, walked where it lies: a snapshot of 100 MiB becomes no tree of objects.
 *
 * What is inside a ConfigSetting is for the publisher to judge, which has to look at all of it anyway.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_CONFIG_EVENT_H
#define CLIENT_CONFIG_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONFIG_EVENT_ORIGIN_MAX_BYTES = 255 };

struct config_event {
    bool is_snapshot;
    uint32_t sequence; /* an int32 on the wire, which real agents cast down from 64 bits */
    char origin[CONFIG_EVENT_ORIGIN_MAX_BYTES + 1];
    size_t settings; /* 1 of an update */
    const uint8_t *body, *end;
};

/** NULL, or what is wrong with the message: the static end of "the event ...". */
const char *config_event_read(const uint8_t *message, size_t length, struct config_event *out);

/** The next setting; start with *at = event->body.  False at the end. */
bool config_event_next(const struct config_event *event, const uint8_t **at, const uint8_t **setting, size_t *length);

#endif
