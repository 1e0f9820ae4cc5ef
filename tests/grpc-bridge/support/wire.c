/* wire.c: see wire.h.  SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"
#include "check.h"

static uint64_t take_varint(struct bytes *message)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        REQUIRE(message->length > 0 && shift < 64, "malformed protobuf: varint");
        uint8_t byte = *message->data++;
        message->length--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
}

static struct bytes take_bytes(struct bytes *message, uint64_t length)
{
    REQUIRE(length <= message->length, "malformed protobuf: %llu bytes of %zu", (unsigned long long)length,
            message->length);
    struct bytes taken = {message->data, (size_t)length};
    message->data += length;
    message->length -= (size_t)length;
    return taken;
}

bool wire_next(struct bytes *message, struct wire_field *out)
{
    if (message->length == 0)
        return false;
    uint64_t tag = take_varint(message);
    *out = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = tag & 7};
    if (out->type == 0) {
        out->integer = take_varint(message);
    } else if (out->type == 2) {
        out->bytes = take_bytes(message, take_varint(message));
    } else {
        REQUIRE(out->type == 1 || out->type == 5, "malformed protobuf: type %u", (unsigned)out->type);
        size_t size = out->type == 1 ? 8 : 4;
        memcpy(&out->integer, take_bytes(message, size).data, size);
    }
    return true;
}

struct bytes wire_bytes(struct bytes message, uint32_t number)
{
    struct bytes last = {0};
    for (struct wire_field field; wire_next(&message, &field);)
        if (field.number == number && field.type == 2)
            last = field.bytes;
    return last;
}

uint64_t wire_integer(struct bytes message, uint32_t number)
{
    uint64_t last = 0;
    for (struct wire_field field; wire_next(&message, &field);)
        if (field.number == number && field.type == 0)
            last = field.integer;
    return last;
}

size_t wire_put_text(uint8_t *to, size_t at, uint32_t number, const char *text)
{
    size_t length = strlen(text);
    REQUIRE(number < 16 && length < 128, "wire_put_text writes short fields only");
    to[at++] = (uint8_t)(number << 3 | 2);
    to[at++] = (uint8_t)length;
    memcpy(to + at, text, length);
    return at + length;
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}
