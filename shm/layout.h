/*
 * layout.h: the bytes of an arena, layout 1.0.  Structs, offsets and states, no behaviour; shared by publisher, reader,
 * tests and tools.  docs/arena-format.md describes the same for readers in other languages; keep both in step.
 *
 *     0         header (4 KiB, the rest of the first 64 KiB is reserved)
 *     ring_at   ring: ring_slots slots
 *     ...       two banks, each an index and a heap, anywhere behind the ring
 *
 * Sections start at multiples of 64 KiB, so that no page size of any machine we run on splits them.  Words that
 * different parties touch, or at different rates, lie on separate 128-byte lines (pair prefetch on x86, 128-byte lines on
 * some Arm parts).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_LAYOUT_H
#define CFGS_LAYOUT_H

#include "words.h"
#include <stddef.h>

#define ARENA_MAGIC UINT64_C(0x314d525453474643) /* the bytes "CFGSTRM1" on a little-endian host */
#define ARENA_BYTE_ORDER 0x01020304u
#define ARENA_HASH_XXH3 1u /* XXH3, 64 bits, seeded */
#define ARENA_HEADER_BYTES 4096u
#define ARENA_SECTION_BYTES UINT64_C(65536)
#define ARENA_MAX_SIZE_LIMIT (UINT64_C(1) << 42) /* cells hold offsets of 40 bits in units of 8 bytes */

/* IDs above this are damage: no producer counts that far, and the next ones must not wrap to 0. */
#define SEQUENCE_MAX (UINT64_MAX - (UINT64_C(1) << 40))

/* header.state */
#define ARENA_STATE_RUNNING 1u
#define ARENA_STATE_CLOSED 2u
#define ARENA_STATE_SUPERSEDED 3u

#define HEARTBEAT_INTERVAL_MS 500u
#define HEARTBEAT_STALE_MS 3000

/* ---- index and heap ---------------------------------------------------------------------------------------------- */

/* A cell is one word: 24 bits of tag, 40 bits of record offset in units of 8 bytes from the arena's start; 0 is empty. */
#define CELL_OFFSET_BITS 40
#define CELL_OFFSET_MASK ((UINT64_C(1) << CELL_OFFSET_BITS) - 1)

/*
 * A record: this head, the key padded with 1 to 8 NUL bytes, the setting as protobuf (ConfigSetting) padded with NUL
 * to 8.  Immutable once a cell points to it.  The encoding is: 1 source, 2 key, 3 value, and 4 unset_source last, so that
 * its first setting_length bytes are the setting as a snapshot carries it, and all of it is what an update carries.
 */
struct record_head {
    uint64_t sequence; /* ID of the update that wrote it */
    uint64_t prev;     /* the record it replaced, in units of 8 bytes, always lower than its own offset; 0: none */
    uint64_t hash;     /* XXH3 of the key with the header's seed */
    uint16_t key_length;
    uint8_t kind;         /* enum cfgs_kind */
    uint8_t flags;        /* RECORD_* */
    uint8_t source;       /* enum cfgs_source */
    uint8_t unset_source; /* enum cfgs_source; 0: an ordinary set */
    uint16_t source_at;   /* of the source's text in the encoding */
    uint64_t scalar;      /* bool, int64, or the bits of a double; else 0 */
    uint32_t setting_length;
    uint32_t encoded_length;
    uint32_t value_at; /* of a string's text, or a list's or struct's message, in the encoding */
    uint32_t value_length;
    uint16_t source_length;
    uint16_t unset_source_length; /* its text ends the encoding */
    uint32_t reserved;
};

#define RECORD_SECRET 0x01u     /* CFGS_SETTING_SECRET */
#define RECORD_UNDECLARED 0x02u /* CFGS_SETTING_UNDECLARED */
#define RECORD_LOCAL 0x04u      /* CFGS_SETTING_LOCAL */
#define RECORD_TOMBSTONE 0x80u  /* the key is gone */
#define RECORD_SETTING_FLAGS (RECORD_SECRET | RECORD_UNDECLARED | RECORD_LOCAL)

_Static_assert(sizeof(struct record_head) == 64, "record head");
_Static_assert(offsetof(struct record_head, hash) == 16, "record hash");
_Static_assert(offsetof(struct record_head, key_length) == 24, "record key length");
_Static_assert(offsetof(struct record_head, source_at) == 30, "record source place");
_Static_assert(offsetof(struct record_head, scalar) == 32, "record scalar");
_Static_assert(offsetof(struct record_head, setting_length) == 40, "record lengths");
_Static_assert(offsetof(struct record_head, value_at) == 48, "record value");
_Static_assert(offsetof(struct record_head, source_length) == 56, "record source");

/* ---- ring -------------------------------------------------------------------------------------------------------- */

/* Slot s & (slots - 1) carries update s.  0 is "empty" and never an ID. */
struct ring_slot {
    cfgs_word sequence;
    cfgs_word route;  /* generation << 1 | bank of the record */
    cfgs_word offset; /* of the record, in units of 8 bytes */
    cfgs_word length; /* of the record, in bytes */
};
_Static_assert(sizeof(struct ring_slot) == 32, "ring slot");

/* ---- header ------------------------------------------------------------------------------------------------------ */

struct bank_words {
    _Alignas(128) cfgs_word version; /* odd: being rebuilt; even: the bank's generation, never twice the same */
    /* Data under the version, as all of index and heap: */
    cfgs_word index_at;       /* byte offset */
    cfgs_word index_capacity; /* cells, a power of two */
    cfgs_word heap_at;        /* byte offset */
    cfgs_word heap_bytes;
    cfgs_word loaded; /* 0: no producer has committed a first state yet */
    _Alignas(128) cfgs_word sequence; /* the last committed ID: the commit word of updates */
};
_Static_assert(sizeof(struct bank_words) == 256, "bank words");

#define INFO_ORIGIN_BYTES 256 /* NUL included */
#define INFO_CONTROL_BYTES 112
#define INFO_PATH_MAX 8
#define INFO_ADDRESS_BYTES 128 /* NUL included */

/* Whose configuration it is. */
enum info_relayed {
    INFO_OWN = 0,
    INFO_RELAYED = 1,      /* the producer passes on what it receives */
    INFO_RELAYED_LATER = 2 /* so it will, but what is there was left by a producer that died: its own */
};

/* Who produces and where it comes from: changes rarely, under a seqlock of its own (info_version). */
struct arena_info {
    char origin[INFO_ORIGIN_BYTES];
    char control_path[INFO_CONTROL_BYTES];
    /* Upstream; all of it 0 where the configuration is the producer's own. */
    uint64_t relayed; /* enum info_relayed */
    uint64_t relay_path_length;
    uint8_t relay_path[INFO_PATH_MAX][16]; /* instance ids of the arenas it came through, nearest first */
    uint64_t relay_wire_base;
    char relay_address[INFO_ADDRESS_BYTES];
};
_Static_assert(sizeof(struct arena_info) == 648, "info block");

struct arena_counters {
    cfgs_word updates, batches, rebuilds, loads, reloads_ok, reloads_failed, last_failure_ns, lapped_hints;
    cfgs_word settings, heap_used, index_used; /* live settings; bytes and cells taken in the live bank */
};

struct arena_header {
    /* Immutable once the file has its name; magic is stored last. */
    cfgs_word magic;
    uint16_t layout_major, layout_minor;
    uint32_t header_bytes;
    uint64_t features_ignore, features_read, features_write; /* unknown bit: ignore, refuse to read, refuse to write */
    uint64_t max_size;
    uint32_t hash_id, byte_order;
    uint64_t hash_seed;
    uint8_t boot_id[16];
    uint8_t instance_id[16];
    uint64_t ring_at, ring_slots;
    uint64_t base_sequence; /* IDs of this arena are greater */

    _Alignas(128) cfgs_word current; /* generation << 1 | live bank: the commit word of bulk loads */
    cfgs_word state;                 /* ARENA_STATE_* */

    struct bank_words bank[2];

    _Alignas(128) cfgs_word32 wake; /* futex word: changes with every commit */

    _Alignas(128) cfgs_word beat; /* heartbeats, all epochs */
    cfgs_word beat_ns;            /* CLOCK_BOOTTIME of the last one */
    cfgs_word beat_interval_ms;

    _Alignas(128) cfgs_word epoch; /* producer incarnations */
    cfgs_word pid, started_ns;     /* for people */
    cfgs_word signal_lock;         /* 1: the producer holds a write lock on this file, so a free one means death */
    cfgs_word relay_contact_ns;    /* CLOCK_BOOTTIME of the last sign of life from upstream; 0: none, or none upstream */
    cfgs_word runtime_void;        /* 1: a clean end voided runtime settings, and nothing was committed since */
    cfgs_word relay_connected;     /* 1: the producer follows upstream; means nothing once it is dead */

    _Alignas(128) struct arena_counters counters;

    _Alignas(128) cfgs_word info_version;
    cfgs_word info[sizeof(struct arena_info) / 8];
};

_Static_assert(offsetof(struct arena_header, layout_major) == 8, "header");
_Static_assert(offsetof(struct arena_header, features_ignore) == 16, "header");
_Static_assert(offsetof(struct arena_header, max_size) == 40, "header");
_Static_assert(offsetof(struct arena_header, hash_seed) == 56, "header");
_Static_assert(offsetof(struct arena_header, boot_id) == 64, "header");
_Static_assert(offsetof(struct arena_header, ring_at) == 96, "header");
_Static_assert(offsetof(struct arena_header, base_sequence) == 112, "header");
_Static_assert(offsetof(struct arena_header, current) == 128, "header");
_Static_assert(offsetof(struct arena_header, bank) == 256, "header");
_Static_assert(offsetof(struct arena_header, wake) == 768, "header");
_Static_assert(offsetof(struct arena_header, beat) == 896, "header");
_Static_assert(offsetof(struct arena_header, epoch) == 1024, "header");
_Static_assert(offsetof(struct arena_header, counters) == 1152, "header");
_Static_assert(offsetof(struct arena_header, info_version) == 1280, "header");
_Static_assert(sizeof(struct arena_header) <= ARENA_HEADER_BYTES, "header");

/* ---- routes ------------------------------------------------------------------------------------------------------ */

/* No arena has this route, as a live bank's generation is at least 2; a retired mapping reads as zeros. */
#define ROUTE_RETIRED 0

static inline unsigned route_bank(uint64_t route)
{
    return (unsigned)(route & 1);
}

static inline uint64_t route_generation(uint64_t route)
{
    return route >> 1;
}

static inline uint64_t route_make(uint64_t generation, unsigned bank)
{
    return generation << 1 | bank;
}

#endif
