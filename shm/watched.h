/*
 * watched.h: the keys that a subscription watches or holds, with a private copy of what each was last said to be.
 *
 * Open addressing over pointers, linear probing, never more than half full.  Entries do not move, so a callback may add
 * watches (and with them entries) while some are being told of.  Copies may hold secrets and are wiped when freed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_WATCHED_H
#define CFGS_WATCHED_H

#include <configstream/setting.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No watch: the end of a chain. */
#define WATCH_NONE SIZE_MAX

/* A setting with bytes of its own; setting.key is not part of the copy. */
struct held {
    cfgs_setting setting;
    size_t size; /* of all, to wipe it */
    char bytes[];
};

struct entry {
    uint64_t hash;
    struct held *now;    /* what watches were told last; NULL: the key does not exist */
    struct held *staged; /* what a snapshot says instead, until that is validated */
    uint64_t pass;       /* the last pass over a snapshot that met the key */
    uint64_t sequence;   /* of a snapshot's unchanged setting, as of that pass */
    unsigned flags;
    size_t first_watch, last_watch; /* chain of the watches of this very key */
    size_t key_length;
    char key[]; /* ends with NUL */
};

struct watched {
    struct entry **slots;
    size_t capacity, count; /* capacity: 0 or a power of two */
    uint64_t pass;          /* number of the current pass over a snapshot */
};

/* A copy; NULL: no memory. */
struct held *held_new(const cfgs_setting *setting);
void held_free(struct held *held);
/* Is there no difference that a callback would be made for? */
bool held_is(const struct held *held, const cfgs_setting *setting);

/* The entry of a key; NULL if there is none. */
struct entry *watched_find(const struct watched *watched, const char *key, size_t length);
/* The same, made if there is none; NULL: no memory, and nothing has changed. */
struct entry *watched_need(struct watched *watched, const char *key, size_t length);
/* Take out and free an entry that is neither held nor watched by its key; false: it is one of these, and stays. */
bool watched_drop(struct watched *watched, struct entry *entry);
/* Forget what is staged, and the entries that were only made for it. */
void watched_unstage(struct watched *watched);
/* Wipe and free everything. */
void watched_free(struct watched *watched);

/* Note what a snapshot, not yet validated, says of a key (whose bytes are stable).  False: no memory. */
bool watched_stage(struct watched *watched, const cfgs_setting *setting);
/* Does the pass over the snapshot tell something else than the entry holds? */
bool watched_differs(const struct watched *watched, const struct entry *entry);
/* Hold what the pass told; returns what was held before, the caller's to free. Only if it differs. */
struct held *watched_settle(struct entry *entry);

#endif
