/*
 * arena_file.h: the producer's side of the file: create it unnamed, reserve every page, give it its name when complete;
 * open what is there; grow; replace; remove.  SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_ARENA_FILE_H
#define CFGS_ARENA_FILE_H

#include "arena_name.h"
#include "layout.h"
#include <stdbool.h>
#include <sys/types.h>

/* A writable arena.  Zeroed (fd -1, header NULL) is a valid empty state for arena_file_close(). */
struct arena_file {
    int fd;
    struct arena_header *header;
    uint64_t map_bytes; /* address space: max_size */
    uint64_t bytes;     /* of the file */
    uint64_t populated; /* bytes that were touched by this process */
    dev_t device;
    ino_t inode;
};

struct arena_geometry {
    uint64_t max_size, ring_slots, base_sequence, hash_seed;
    mode_t mode;
    bool set_group;
    gid_t group;
};

#define BANK_CELLS_MIN 1024u

/* How much room a bank gets: as much as is good, or, where that does not fit, as little as works. */
enum bank_slack { SLACK_GOOD, SLACK_HISTORY, SLACK_NONE };
#define SLACK_LAST SLACK_NONE

/*
 * Cells and heap for this many live settings of so many bytes in all, with room for updates and for history, and spare_bytes
 * on top for what is about to be written.
 */
struct bank_size {
    uint64_t capacity, heap_bytes, bytes; /* bytes: of the whole section */
};
struct bank_size bank_size_for(uint64_t settings, uint64_t live_bytes, uint64_t spare_bytes, uint64_t ring_slots,
                               enum bank_slack slack);

static inline uint64_t section_round(uint64_t bytes)
{
    return (bytes + ARENA_SECTION_BYTES - 1) / ARENA_SECTION_BYTES * ARENA_SECTION_BYTES;
}

/* Where the banks may begin. */
static inline uint64_t ring_end(const struct arena_header *header)
{
    return section_round(header->ring_at + header->ring_slots * sizeof(struct ring_slot));
}

/*
 * A new arena with an empty bank, without a name (name NULL: a memfd that will never have one).
 * CFGS_OK, _NO_SPACE, _PERMISSION, _FILESYSTEM, _SYSTEM.
 */
int arena_create(const struct arena_name *name, const struct arena_geometry *geometry, struct arena_file *out,
                 cfgs_error_detail *detail);

/* Set mode and group of an arena's file, each if asked to. */
int arena_permit(int fd, bool set_mode, mode_t mode, bool set_group, gid_t group, cfgs_error_detail *detail);

/* Give it its name; old: the arena that has the name now (marked superseded and replaced), or NULL. */
int arena_link(const struct arena_name *name, struct arena_file *file, struct arena_file *old,
               cfgs_error_detail *detail);

/*
 * Open the arena that has the name for writing.  CFGS_OK; CFGS_ERR_NOT_READY: there is none; _UNTRUSTED, _FEATURE,
 * _PERMISSION, _SYSTEM: stop; _NOT_ARENA, _LAYOUT, _TRUNCATED, _CORRUPT: it is ours and useless.
 */
int arena_open(const struct arena_name *name, struct arena_file *out, cfgs_error_detail *detail);

/* Reserve pages up to bytes (not beyond max_size).  CFGS_OK or CFGS_ERR_NO_SPACE / _SYSTEM; then nothing changed. */
int arena_grow(struct arena_file *file, uint64_t bytes, cfgs_error_detail *detail);

/* Tell the arena's readers to look for another one under its name. */
void arena_supersede_and_wake(struct arena_file *file);

/* Change the futex word and wake whoever sleeps on it. */
void arena_wake_readers(struct arena_file *file);

void arena_file_close(struct arena_file *file);

/*
 * Touch the file's pages up to `to`, once: reserved pages are cleared and mapped at their first touch, which would make
 * every twentieth update in a large bank pay for a fault.  Best effort: what it misses (old kernels) faults later.
 */
void arena_populate(struct arena_file *file, uint64_t to);

#endif
