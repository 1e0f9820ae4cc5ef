/*
 * wire.h: the few lines of protobuf wire format that ConfigSetting and google.protobuf.Value need.
 *
 * ConfigSetting {1 source, 2 key, 3 value, 4 unset_source}; Value {1 null, 2 double, 3 string, 4 bool, 5 Struct,
 * 6 ListValue, 1000 int64}; Struct {1 entries {1 key, 2 Value}}; ListValue {1 Values}.  Numbers: upstream's model.proto and
 * google/protobuf/struct.proto; unset_source is number 4 (docs/architecture.md, "Wire form").
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_WIRE_H
#define CFGS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_SETTING_UNSET_SOURCE 4

#define WIRE_VARINT 0
#define WIRE_FIXED64 1
#define WIRE_BYTES 2
#define WIRE_FIXED32 5
#define WIRE_TAG(number, type) ((unsigned char)((number) << 3 | (type)))

#define VALUE_TAG_NULL WIRE_TAG(1, WIRE_VARINT)
#define VALUE_TAG_NUMBER WIRE_TAG(2, WIRE_FIXED64)
#define VALUE_TAG_STRING WIRE_TAG(3, WIRE_BYTES)
#define VALUE_TAG_BOOL WIRE_TAG(4, WIRE_VARINT)
#define VALUE_TAG_STRUCT WIRE_TAG(5, WIRE_BYTES)
#define VALUE_TAG_LIST WIRE_TAG(6, WIRE_BYTES)
/* Ours, behind the number: the integer that the number rounds.  Two bytes; readers of google.protobuf pass over it. */
#define VALUE_TAG_INTEGER (1000u << 3 | WIRE_VARINT)

/* Is this what a double makes of the integer no more?  2^63 itself is no int64: compare before converting back. */
static inline bool wire_int_is_rounded(int64_t integer)
{
    double number = (double)integer;
    return number >= 0x1p63 || (int64_t)number != integer;
}

static inline size_t wire_varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

static inline char *wire_put_varint(char *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (char)(value | 0x80);
    *to++ = (char)value;
    return to;
}

static inline char *wire_put_bytes(char *to, unsigned char tag, const char *data, size_t length)
{
    *to++ = (char)tag;
    to = wire_put_varint(to, length);
    if (length > 0)
        memcpy(to, data, length);
    return to + length;
}

/* Size of a length-delimited field with a one-byte tag. */
static inline size_t wire_bytes_size(size_t length)
{
    return 1 + wire_varint_size(length) + length;
}

/* A varint of at most ten bytes; false at the end of input or beyond 64 bits.  Moves *at only on success. */
static inline bool wire_get_varint(const char **at, const char *end, uint64_t *value)
{
    const char *p = *at;
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && p < end; shift += 7) {
        unsigned char byte = (unsigned char)*p++;
        if (shift == 63 && byte > 1)
            return false;
        result |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *at = p;
            *value = result;
            return true;
        }
    }
    return false;
}

/* A length and that many bytes. */
static inline bool wire_get_bytes(const char **at, const char *end, const char **data, size_t *length)
{
    const char *p = *at;
    uint64_t n;
    if (!wire_get_varint(&p, end, &n) || n > (uint64_t)(end - p))
        return false;
    *data = p;
    *length = (size_t)n;
    *at = p + n;
    return true;
}

/* A field of any message: its number, its wire type, and what it holds. */
struct wire_field {
    uint64_t number;
    unsigned type;
    uint64_t integer; /* WIRE_VARINT; of WIRE_FIXED64 the bits */
    const char *data; /* WIRE_BYTES */
    size_t length;
};

static inline bool wire_get_fixed(const char **at, const char *end, size_t bytes, uint64_t *bits)
{
    *bits = 0;
    if ((size_t)(end - *at) < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        *bits |= (uint64_t)(unsigned char)(*at)[i] << (8 * i);
    *at += bytes;
    return true;
}

/* The next field, known or not; *at < end.  False: cut off, number 0 or beyond 29 bits, a group, or an unknown wire type. */
static inline bool wire_get_field(const char **at, const char *end, struct wire_field *out)
{
    uint64_t tag;

    if (!wire_get_varint(at, end, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    out->number = tag >> 3;
    out->type = (unsigned)(tag & 7);
    switch (out->type) {
    case WIRE_VARINT:
        return wire_get_varint(at, end, &out->integer);
    case WIRE_FIXED64:
        return wire_get_fixed(at, end, 8, &out->integer);
    case WIRE_BYTES:
        return wire_get_bytes(at, end, &out->data, &out->length);
    case WIRE_FIXED32:
        return wire_get_fixed(at, end, 4, &out->integer);
    default:
        return false;
    }
}

#endif
