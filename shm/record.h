/*
 * record.h: one setting as bytes: written by the publisher into private memory, read from the arena.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_RECORD_H
#define CFGS_RECORD_H

#include "buffer.h"
#include "layout.h"
#include <configstream/setting.h>

#define RECORD_MAX_BYTES (CFGS_VALUE_MAX_BYTES + 8192u)

/* A record found in (or copied from) an arena: its head by value, its checked parts by pointer. */
struct record {
    struct record_head head;
    uint64_t offset; /* in the arena, units of 8 bytes; 0 for a private copy */
    const cfgs_word *key;
    const char *encoding;
    uint64_t bytes; /* all of it */
};

/* The key's bytes as text. (_Atomic counts as a qualifier; through the integer the cast is quiet.) */
static inline const char *record_key_text(const struct record *record)
{
    return (const char *)(uintptr_t)record->key;
}

/* What a record with these lengths takes; the lengths are within their limits. */
static inline uint64_t record_bytes(uint64_t key_length, uint64_t encoded_length)
{
    return sizeof(struct record_head) + (key_length / 8 + 1) * 8 + (encoded_length + 7) / 8 * 8;
}

/* ---- the hot path of every read: inline ---------------------------------------------------------------------------- */

/* Do the parts lie where the head says, inside the encoding?  Sums of 32-bit lengths cannot wrap in 64 bits. */
static inline bool record_head_is_sound(const struct record_head *head)
{
    bool wrong = head->key_length - 1u >= CFGS_KEY_MAX_BYTES;

    wrong |= head->kind > CFGS_KIND_STRUCT;
    wrong |= head->encoded_length > RECORD_MAX_BYTES;
    wrong |= (uint64_t)head->value_at + head->value_length > head->setting_length;
    wrong |= (uint64_t)head->source_at + head->source_length > head->setting_length;
    wrong |= (uint64_t)head->setting_length + head->unset_source_length > head->encoded_length;
    return !wrong;
}

/* A record that starts at words, with so many bytes behind it; leaves out->offset alone.  False: not a record. */
static inline bool record_parse(const cfgs_word *words, uint64_t available, struct record *out)
{
    if (available < sizeof out->head)
        return false;
    /* [commit V4] relaxed: the cell's acquire brought the record; [recycle V5] a recycled word is thrown away there. */
    words_load(&out->head, words, sizeof out->head);
    if (!record_head_is_sound(&out->head))
        return false;
    out->bytes = record_bytes(out->head.key_length, out->head.encoded_length);
    if (out->bytes > available)
        return false;
    out->key = words + sizeof(struct record_head) / 8;
    out->encoding = record_key_text(out) + ((size_t)out->head.key_length / 8 + 1) * 8;
    return true;
}

/*
 * The gate from offset to record: order, extent and alignment are checked, and every length inside.  mapped: bytes that
 * may be touched at base.  False: outside, or not a record.
 */
static inline bool record_open(const void *base, uint64_t mapped, uint64_t offset, struct record *out)
{
    /* Nothing here can wrap, whatever the bytes say: an offset has 40 bits. */
    if (offset == 0 || offset > CELL_OFFSET_MASK || offset * 8 > mapped)
        return false;
    out->offset = offset;
    return record_parse((const cfgs_word *)base + offset, mapped - offset * 8, out);
}

/* The last 1 to 7 bytes of a key as the word they make with NUL padding; without a call where eight bytes can be read. */
static inline uint64_t key_tail(const char *key, size_t length)
{
    size_t rest = length % 8;
    uint64_t word = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (length > 8) {
        memcpy(&word, key + length - 8, 8);
        return word >> (64 - 8 * rest);
    }
#endif
    memcpy(&word, key + length - rest, rest);
    return word;
}

/* Key equality by words, which may be changing under us; lengths are equal. The padding is NUL: the last compares whole. */
static inline bool record_key_words_are(const cfgs_word *words, const char *key, size_t length)
{
    uint64_t differ = 0, word;
    size_t i = 0;

    for (; i < length / 8; i++) {
        memcpy(&word, key + 8 * i, 8);
        /* [commit V4] relaxed: immutable under the cell's acquire; [recycle V5] checks for reuse. */
        differ |= word_load_relaxed(&words[i]) ^ word;
    }
    if (length % 8 != 0) {
        /* [commit V4] relaxed: as above. */
        differ |= word_load_relaxed(&words[i]) ^ key_tail(key, length);
    }
    return differ == 0;
}

static inline bool record_key_is(const struct record *record, const char *key, size_t length)
{
    return record->head.key_length == length && record_key_words_are(record->key, key, length);
}

static inline cfgs_value record_value(const struct record *record)
{
    const struct record_head *head = &record->head;
    cfgs_value value = {.kind = (cfgs_kind)head->kind};

    switch (value.kind) {
    case CFGS_KIND_BOOL:
        value.as.boolean = head->scalar != 0;
        break;
    case CFGS_KIND_INT:
        memcpy(&value.as.integer, &head->scalar, 8);
        break;
    case CFGS_KIND_DOUBLE:
        memcpy(&value.as.number, &head->scalar, 8);
        break;
    case CFGS_KIND_STRING:
    case CFGS_KIND_LIST:
    case CFGS_KIND_STRUCT:
        value.as.bytes = (cfgs_bytes){record->encoding + head->value_at, head->value_length};
        break;
    default:
        break;
    }
    return value;
}

/* ---- the rest ------------------------------------------------------------------------------------------------------ */

/* What the API shows; borrowed from the record.  Text pointers were checked by record_open(). */
void record_setting(const struct record *record, cfgs_setting *out);
cfgs_bytes record_unset_source(const struct record *record);

/*
 * Copy `length` bytes of the encoding from `at` on, by relaxed words: defined behaviour also while the bank is recycled
 * under the copy (which validation then throws away).  The range was checked by record_open().
 */
void record_copy_out(const struct record *record, size_t at, size_t length, char *to);

/*
 * Append the record image of a setting to a private buffer (8-byte aligned), sequence and prev still 0.  A NULL value
 * makes a tombstone.  CFGS_OK, CFGS_ERR_MEMORY, or what is wrong: CFGS_ERR_INVALID, _TOO_LARGE, _ENCODING.
 */
struct record_input {
    cfgs_bytes key;
    const cfgs_value *value; /* NULL: the key is gone */
    int source;
    cfgs_bytes source_name;
    int unset_source;
    cfgs_bytes unset_source_name; /* of CFGS_SOURCE_VERBATIM; the others' names are known */
    unsigned flags;               /* CFGS_SETTING_* */
    uint64_t hash;
};
int record_append(struct buffer *buffer, const struct record_input *input);

/* Would a reader see any difference between the image and the record?  (IDs and unset_source aside.) */
bool record_same_setting(const struct record *record, const char *image);

#endif
