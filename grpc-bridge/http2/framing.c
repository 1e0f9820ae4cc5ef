/* http2/framing.c: grpc-wire 1.2.  SPDX-License-Identifier: Apache-2.0 */
#include "http2/framing.h"

#include <stdlib.h>
#include <string.h>

/* What a message gets before its bytes are there: an announced length alone must not cost memory. */
enum { FIRST_BYTES = 1024 };

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static uint32_t prefix_length(const uint8_t prefix[GRPC_PREFIX_BYTES])
{
    return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 | prefix[4];
}

void framing_write_prefix(uint8_t to[GRPC_PREFIX_BYTES], size_t length)
{
    to[0] = 0;
    to[1] = (uint8_t)(length >> 24);
    to[2] = (uint8_t)(length >> 16);
    to[3] = (uint8_t)(length >> 8);
    to[4] = (uint8_t)length;
}

/* Returns how many bytes it took. */
static size_t fill_prefix(uint8_t prefix[GRPC_PREFIX_BYTES], uint8_t *got, const uint8_t *data, size_t length)
{
    size_t taken = min_size(length, (size_t)(GRPC_PREFIX_BYTES - *got));
    memcpy(prefix + *got, data, taken);
    *got = (uint8_t)(*got + taken);
    return taken;
}

static enum framer_result check_prefix(struct framer *framer, size_t message_max)
{
    if (framer->prefix[0] > 1)
        return FRAMER_BAD_FLAG;
    if (framer->prefix[0] == 1)
        return FRAMER_COMPRESSED;
    framer->length = prefix_length(framer->prefix);
    return framer->length > message_max ? FRAMER_TOO_LARGE : FRAMER_MORE;
}

static bool grow(struct framer *framer, size_t wanted)
{
    if (wanted <= framer->capacity)
        return true;
    size_t doubled = 2 * (size_t)framer->capacity;
    size_t capacity = min_size(framer->length, wanted > doubled ? wanted : doubled);
    uint8_t *body = realloc(framer->body, capacity);
    if (!body)
        return false;
    framer->body = body;
    framer->capacity = (uint32_t)capacity;
    return true;
}

enum framer_result framer_feed(struct framer *framer, const uint8_t *data, size_t length, size_t message_max,
                               size_t *used)
{
    *used = 0;
    if (framer->prefix_got < GRPC_PREFIX_BYTES) {
        *used = fill_prefix(framer->prefix, &framer->prefix_got, data, length);
        if (framer->prefix_got < GRPC_PREFIX_BYTES)
            return FRAMER_MORE;
        enum framer_result result = check_prefix(framer, message_max);
        if (result != FRAMER_MORE)
            return result;
        if (!grow(framer, min_size(framer->length, FIRST_BYTES)))
            return FRAMER_MEMORY;
    }
    size_t taken = min_size(length - *used, framer->length - framer->got);
    if (!grow(framer, framer->got + taken))
        return FRAMER_MEMORY;
    if (taken)
        memcpy(framer->body + framer->got, data + *used, taken);
    framer->got += (uint32_t)taken;
    *used += taken;
    return framer->got == framer->length ? FRAMER_MESSAGE : FRAMER_MORE;
}

bool framer_is_between(const struct framer *framer)
{
    return framer->prefix_got == 0;
}

void framer_next(struct framer *framer)
{
    free(framer->body);
    *framer = (struct framer){0};
}

void cut_follow(struct cut *cut, const uint8_t *data, size_t length)
{
    while (length > 0) {
        size_t taken;
        if (cut->left) {
            taken = min_size(length, cut->left);
            cut->left -= (uint32_t)taken;
        } else {
            taken = fill_prefix(cut->prefix, &cut->prefix_got, data, length);
            if (cut->prefix_got == GRPC_PREFIX_BYTES) {
                cut->left = prefix_length(cut->prefix);
                cut->prefix_got = 0;
            }
        }
        data += taken;
        length -= taken;
    }
}

bool cut_is_between(const struct cut *cut)
{
    return cut->left == 0 && cut->prefix_got == 0;
}
