/*
 * attachment.h: one arena, mapped read-only by a reader.
 *
 * Attaching checks the file from the outside in: name, type, owner, mode, file system, size, holes, then magic, byte
 * order, version, features, and every place the header names.  What never changes is copied out of the header once;
 * only those copies are used afterwards.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_ATTACHMENT_H
#define CFGS_ATTACHMENT_H

#include "index.h"
#include "layout.h"
#include <configstream/error.h>
#include <stdbool.h>
#include <sys/types.h>

struct attachment {
    const struct arena_header *header;
    cfgs_word mapped;   /* private: bytes the file is known to hold, so that may be touched */
    uint64_t map_bytes; /* address space */
    uint64_t max_size, hash_seed, ring_at, ring_slots, base_sequence;
    uint8_t instance_id[16];
    uint16_t layout_major, layout_minor;
    uint64_t number; /* of this reader's arenas, counted from 1 */
    int fd;
    dev_t device;
    ino_t inode;
    struct attachment *older; /* retired before this one */
    bool retired;
};

struct attach_request {
    const char *path;
    bool trust_producer_user;
    uid_t producer_user;
};

/*
 * @return CFGS_OK; CFGS_ERR_NOT_READY: there is no file of this name; or what is wrong with it, as cfgs_reader_open().
 */
int attachment_open(const struct attach_request *request, struct attachment **out, cfgs_error_detail *detail);

/* From a descriptor of ours (duplicated), for arenas without a name. */
int attachment_open_fd(int fd, struct attachment **out, cfgs_error_detail *detail);

void attachment_close(struct attachment *attachment);

/*
 * Let go of the file but keep the addresses: readers in the middle of a view find zeros there, fail their validation, and
 * go on with the arena that took its place.  (Unmapping would crash them.)
 */
void attachment_retire(struct attachment *attachment);

/* Ask the file whether it grew, and remember how far it may be touched.  Not beside attachment_retire(). */
void attachment_grow(struct attachment *attachment);

/*
 * Is this header, copied from a file of this size, one we can read (and write, if for_writing)?  CFGS_OK, or _NOT_ARENA,
 * _LAYOUT, _FEATURE, _TRUNCATED, _CORRUPT with words in detail.
 */
int header_check(const struct arena_header *header, uint64_t file_bytes, bool for_writing, const char *path,
                 cfgs_error_detail *detail);

static inline const struct ring_slot *attachment_slot(const struct attachment *attachment, uint64_t sequence)
{
    const struct ring_slot *slots = (const struct ring_slot *)((const char *)attachment->header + attachment->ring_at);
    return &slots[sequence & (attachment->ring_slots - 1)];
}

#endif
