/* event/message.h: the few lines of protobuf around what the arena holds encoded (grpc-bridge/proto, model.proto).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_MESSAGE_H
#define EVENT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    /* ConfigEvent */
    TAG_SNAPSHOT = 1 << 3 | 2,
    TAG_UPDATE = 2 << 3 | 2,
    /* ConfigSnapshot and ConfigUpdate alike */
    TAG_ORIGIN = 1 << 3 | 2,
    TAG_SEQUENCE = 2 << 3 | 0,
    TAG_SETTING = 3 << 3 | 2,
    MESSAGE_HEAD_MAX_BYTES = 1 + 10 /* a tag and a length, or a number */
};

static inline size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

static inline uint8_t *put_head(uint8_t *to, uint8_t tag, uint64_t number)
{
    *to++ = tag;
    for (; number >= 0x80; number >>= 7)
        *to++ = (uint8_t)(number | 0x80);
    *to++ = (uint8_t)number;
    return to;
}

static inline uint8_t *put_bytes(uint8_t *to, uint8_t tag, const void *bytes, size_t length)
{
    to = put_head(to, tag, length);
    memcpy(to, bytes, length);
    return to + length;
}

/** Of a field with a one-byte tag and a length. */
static inline size_t field_size(size_t length)
{
    return 1 + varint_size(length) + length;
}

/** What makes a message longer by at least so many bytes, and changes nothing: it goes in front of the true origin, and
 * of a field that is repeated the last counts.  0: nothing. */
static inline size_t filling_size(size_t length)
{
    return length ? field_size(length) : 0;
}

static inline uint8_t *put_filling(uint8_t *to, size_t length)
{
    if (length == 0)
        return to;
    to = put_head(to, TAG_ORIGIN, length);
    memset(to, ' ', length);
    return to + length;
}

#endif
