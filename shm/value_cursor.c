/*
 * value_cursor.c: read lists and structs in their protobuf form, in place.
 *
 * The bytes are not trusted: they may come from an arena that is damaged, or recycled under a view.  Every step is
 * bounded by the container's end, moves forward, and never recurses.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wire.h"
#include <configstream/error.h>
#include <configstream/value.h>

int cfgs_cursor_init(cfgs_cursor *cursor, const cfgs_value *container)
{
    if (container->kind != CFGS_KIND_LIST && container->kind != CFGS_KIND_STRUCT)
        return CFGS_ERR_KIND;
    cursor->kind = container->kind;
    cursor->at = container->as.bytes.data;
    cursor->end = container->as.bytes.length > 0 ? cursor->at + container->as.bytes.length : cursor->at;
    return CFGS_OK;
}

/* Pass over a field that newer writers may have added. */
static bool skip_field(const char **at, const char *end, uint64_t tag)
{
    const char *data;
    uint64_t number;
    size_t length;
    size_t fixed = (tag & 7) == WIRE_FIXED64 ? 8 : 4;

    switch (tag & 7) {
    case WIRE_VARINT:
        return wire_get_varint(at, end, &number);
    case WIRE_BYTES:
        return wire_get_bytes(at, end, &data, &length);
    case WIRE_FIXED64:
    case 5:
        if ((size_t)(end - *at) < fixed)
            return false;
        *at += fixed;
        return true;
    default:
        return false;
    }
}

/* The integer behind a number, which must be its rounding: two forms of one value would not compare equal. */
static bool decode_integer(const char **at, const char *end, cfgs_value *out)
{
    uint64_t bits;
    int64_t integer;

    if (out->kind != CFGS_KIND_DOUBLE || !wire_get_varint(at, end, &bits))
        return false;
    memcpy(&integer, &bits, sizeof integer);
    if (!wire_int_is_rounded(integer) || (double)integer != out->as.number)
        return false;
    *out = cfgs_value_int(integer);
    return true;
}

static bool decode_field(const char **at, const char *end, uint64_t tag, cfgs_value *out)
{
    uint64_t number;
    cfgs_bytes bytes;

    switch (tag) {
    case VALUE_TAG_NULL:
        *out = cfgs_value_null();
        return wire_get_varint(at, end, &number);
    case VALUE_TAG_BOOL:
        if (!wire_get_varint(at, end, &number))
            return false;
        *out = cfgs_value_bool(number != 0);
        return true;
    case VALUE_TAG_NUMBER: {
        double d;
        if (end - *at < 8)
            return false;
        memcpy(&d, *at, 8);
        *at += 8;
        *out = cfgs_value_double(d);
        return true;
    }
    case VALUE_TAG_INTEGER:
        return decode_integer(at, end, out);
    case VALUE_TAG_STRING:
    case VALUE_TAG_STRUCT:
    case VALUE_TAG_LIST:
        if (!wire_get_bytes(at, end, &bytes.data, &bytes.length))
            return false;
        out->kind = tag == VALUE_TAG_STRING   ? CFGS_KIND_STRING
                    : tag == VALUE_TAG_STRUCT ? CFGS_KIND_STRUCT
                                              : CFGS_KIND_LIST;
        out->as.bytes = bytes;
        return true;
    default:
        return skip_field(at, end, tag);
    }
}

/* A google.protobuf.Value; without any known field it is null.  Of several the last counts, as in protobuf. */
static bool decode_value(const char *at, const char *end, cfgs_value *out)
{
    *out = cfgs_value_null();
    while (at < end) {
        uint64_t tag;
        if (!wire_get_varint(&at, end, &tag) || !decode_field(&at, end, tag, out))
            return false;
    }
    return true;
}

/* A map entry {1 key, 2 value}. */
static bool decode_entry(const char *at, const char *end, cfgs_bytes *key, cfgs_value *item)
{
    cfgs_bytes bytes;

    *key = (cfgs_bytes){"", 0};
    *item = cfgs_value_null();
    while (at < end) {
        uint64_t tag;
        if (!wire_get_varint(&at, end, &tag))
            return false;
        if (tag != WIRE_TAG(1, WIRE_BYTES) && tag != WIRE_TAG(2, WIRE_BYTES)) {
            if (!skip_field(&at, end, tag))
                return false;
            continue;
        }
        if (!wire_get_bytes(&at, end, &bytes.data, &bytes.length))
            return false;
        if (tag == WIRE_TAG(1, WIRE_BYTES))
            *key = bytes;
        else if (!decode_value(bytes.data, bytes.data + bytes.length, item))
            return false;
    }
    return true;
}

int cfgs_cursor_next(cfgs_cursor *cursor, cfgs_bytes *key, cfgs_value *item)
{
    cfgs_bytes bytes, entry_key;

    while (cursor->at < cursor->end) {
        uint64_t tag;
        if (!wire_get_varint(&cursor->at, cursor->end, &tag))
            return CFGS_ERR_CORRUPT;
        if (tag != WIRE_TAG(1, WIRE_BYTES)) {
            if (!skip_field(&cursor->at, cursor->end, tag))
                return CFGS_ERR_CORRUPT;
            continue;
        }
        if (!wire_get_bytes(&cursor->at, cursor->end, &bytes.data, &bytes.length))
            return CFGS_ERR_CORRUPT;
        if (cursor->kind == CFGS_KIND_LIST)
            return decode_value(bytes.data, bytes.data + bytes.length, item) ? 1 : CFGS_ERR_CORRUPT;
        if (!decode_entry(bytes.data, bytes.data + bytes.length, &entry_key, item))
            return CFGS_ERR_CORRUPT;
        if (key != NULL)
            *key = entry_key;
        return 1;
    }
    return 0;
}

int64_t cfgs_value_count(const cfgs_value *container)
{
    cfgs_cursor cursor;
    cfgs_value item;
    int64_t count = 0;
    int err = cfgs_cursor_init(&cursor, container);

    while (err == CFGS_OK && (err = cfgs_cursor_next(&cursor, NULL, &item)) == 1) {
        count++;
        err = CFGS_OK;
    }
    return err < 0 ? err : count;
}

int cfgs_value_field(const cfgs_value *container, const char *key, cfgs_value *out)
{
    cfgs_cursor cursor;
    cfgs_bytes name;
    cfgs_value item;
    size_t length = strlen(key);

    if (container->kind != CFGS_KIND_STRUCT)
        return CFGS_ERR_KIND;
    int err = cfgs_cursor_init(&cursor, container);
    while (err == CFGS_OK && (err = cfgs_cursor_next(&cursor, &name, &item)) == 1) {
        if (name.length == length && memcmp(name.data, key, length) == 0) {
            *out = item;
            return CFGS_OK;
        }
        err = CFGS_OK;
    }
    return err < 0 ? err : CFGS_ERR_NOT_FOUND;
}
