/**
 * @file resolve/config.h  The configuration of one instance: files in, runtime changes in, one published state out.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RESOLVE_CONFIG_H
#define RESOLVE_CONFIG_H

#include "resolve/store.h"

struct config_files {
    const char *config;   /* NULL: none */
    const char *defaults; /* NULL: what the main file holds is what is declared */
    const char *fleet;    /* fleet policies; NULL: none */
    const char *env_prefix; /* of environment variables, without the underscore */
    bool strict;          /* whatever would warn is refused */
};

/** What files and environment say, not yet in force.  A zeroed one is empty. */
struct loaded {
    struct declarations declarations;
    struct layer defaults, file, environment, fleet;
};

/**
 * Read and resolve files and environment; touches nothing else.
 * With files->strict a warning is a failure, too; the problem tells the first, `warnings` holds all.
 */
bool loaded_read(struct loaded *loaded, const struct config_files *files, struct warnings *warnings,
                 struct problem *problem);
void loaded_clear(struct loaded *loaded);

/** What is in force.  A zeroed one is empty. */
struct config {
    struct declarations declarations;
    struct store store;
};

void config_clear(struct config *config);

/** How the value of a set is written. */
enum value_form {
    VALUE_TEXT, /* as on a command line */
    VALUE_JSON, /* one JSON document */
    VALUE_FILE  /* a file's content: a text whose last newline counts only for a string */
};

struct set_request {
    const char *key; /* any case */
    size_t key_length;
    int source;
    enum value_form form;
    const char *value;
    size_t value_length;
    bool converted; /* out: the value was of another kind than the declared one, for the first time for this key */
};

/**
 * Stage a runtime set.  Refused: undeclared keys, sections, values that cannot be converted to the declared kind.
 * On failure nothing was staged.
 */
bool config_stage_set(struct config *config, struct set_request *request, struct problem *problem);

/** Stage the clearing of a source for a key. */
bool config_stage_unset(struct config *config, const char *key, size_t length, int source, struct problem *problem);

/**
 * Stage, back in its layer, every setting of a crashed predecessor whose source is above fleet-policies; what was
 * staged before (from this start's command line) stays.
 */
bool config_stage_survivors(struct config *config, cfgs_publisher *publisher, uint64_t *count,
                            struct problem *problem);

/**
 * Stage the files' content in place of what was.  On success `loaded` holds what has to be cleared; on failure
 * everything is as before.
 */
bool config_stage_files(struct config *config, struct loaded *loaded, struct problem *problem);

/**
 * Publish what is staged.
 * @param replace  the first time: the result is the whole state.
 * On failure everything staged was put back.
 */
bool config_publish(struct config *config, cfgs_publisher *publisher, bool replace, uint64_t *changes,
                    struct problem *problem);

/** Both: put files in force.  On failure everything is as before; either way `loaded` is used up. */
bool config_reload(struct config *config, struct loaded *loaded, cfgs_publisher *publisher, uint64_t *changes,
                   struct problem *problem);

/** The winning value of a key, or NULL. */
const cfgs_value *config_value(const struct config *config, const char *key);

#endif
