/**
 * @file bridge/settings.h  Our own settings (decision 9): a flag wins over what the arena says, that over the default.
 *
 * The arena is looked at once a second, and read when it changed.  A setting that makes no sense is told once, and the
 * value before it stays.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_SETTINGS_H
#define BRIDGE_SETTINGS_H

#include "bridge/bridge.h"
#include "bridge/options.h"

struct settings {
    const struct options *options;
    struct bridge *bridge;
    cfgs_reader *reader; /* NULL until the arena could be opened */
    cfgs_reader_info info; /* as last looked at */
    uint64_t sequence;   /* as last read */
    char instance_id[37];
    bool read;
    bool uncertain; /* something could not be read just now: all is read again at the next tick */
    struct log_followed log_followed;
    uint64_t bad[LIMIT_COUNT_OF_ALL + 3]; /* the ID of the value that was complained about */
};

/** What flags and defaults say; the arena is looked at from the first tick on. */
void settings_init(struct settings *settings, struct bridge *bridge, const struct options *options);

/** Of the registry before the arena said anything. */
struct registry_settings settings_registry(const struct options *options, const struct bridge *bridge);

/** Main thread, about once a second. */
void settings_follow(struct settings *settings);
void settings_close(struct settings *settings);

#endif
