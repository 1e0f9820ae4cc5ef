/*
 * received.c: from somebody else's protobuf to the canonical form.
 *
 * Our own cursor (value_cursor.c) reads what our builder wrote and calls all else damage; here everything that protobuf
 * allows is read, and the builder writes it anew.  Nesting is followed with a stack of our own, as deep as a value may be:
 * the sender must not choose how much of the caller's stack is used.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "received.h"
#include "wire.h"
#include <configstream/error.h>
#include <math.h>

/* Above it a double stands for several integers, so that none of them was meant for sure. */
#define WHOLE_MAX 0x1p53

static double double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* ---- a Value ----------------------------------------------------------------------------------------------------- */

static bool take_value_field(const struct wire_field *field, cfgs_value *out)
{
    static const unsigned char types[] = {[1] = WIRE_VARINT, [2] = WIRE_FIXED64, [3] = WIRE_BYTES,
                                          [4] = WIRE_VARINT, [5] = WIRE_BYTES,   [6] = WIRE_BYTES};
    static const cfgs_kind kinds[] = {[1] = CFGS_KIND_NULL, [2] = CFGS_KIND_DOUBLE, [3] = CFGS_KIND_STRING,
                                      [4] = CFGS_KIND_BOOL, [5] = CFGS_KIND_STRUCT, [6] = CFGS_KIND_LIST};

    if (field->type != types[field->number])
        return false;
    *out = (cfgs_value){.kind = kinds[field->number]};
    if (out->kind == CFGS_KIND_BOOL)
        out->as.boolean = field->integer != 0;
    else if (out->kind == CFGS_KIND_DOUBLE)
        out->as.number = double_of(field->integer);
    else if (out->kind != CFGS_KIND_NULL)
        out->as.bytes = (cfgs_bytes){field->data, field->length};
    return true;
}

/*
 * A google.protobuf.Value, its list or struct as it came; without a known field it is null.  Our field 1000 counts only
 * beside the number that is its rounding: to everybody else it is an unknown field.
 */
static bool parse_value(cfgs_bytes message, cfgs_value *out)
{
    const char *at = message.data, *end = at + message.length;
    struct wire_field field;
    bool has_integer = false;
    int64_t integer = 0;

    *out = cfgs_value_null();
    while (at < end) {
        if (!wire_get_field(&at, end, &field))
            return false;
        if (field.number <= 6 && !take_value_field(&field, out))
            return false;
        if (field.number == VALUE_TAG_INTEGER >> 3 && field.type == WIRE_VARINT) {
            memcpy(&integer, &field.integer, sizeof integer);
            has_integer = true;
        }
    }
    if (has_integer && out->kind == CFGS_KIND_DOUBLE && wire_int_is_rounded(integer) &&
        (double)integer == out->as.number)
        *out = cfgs_value_int(integer);
    return true;
}

/* An entry of a Struct. */
static bool parse_entry(cfgs_bytes message, cfgs_bytes *key, cfgs_value *item)
{
    const char *at = message.data, *end = at + message.length;
    struct wire_field field;
    cfgs_bytes value = {"", 0};

    *key = (cfgs_bytes){"", 0};
    while (at < end) {
        if (!wire_get_field(&at, end, &field) || (field.number <= 2 && field.type != WIRE_BYTES))
            return false;
        if (field.number == 1)
            *key = (cfgs_bytes){field.data, field.length};
        else if (field.number == 2)
            value = (cfgs_bytes){field.data, field.length};
    }
    return parse_value(value, item);
}

/* ---- lists and structs ------------------------------------------------------------------------------------------- */

/* What is left of an open list or struct. */
struct level {
    const char *at, *end;
    bool is_struct;
};

/* The next element; 0 at the end. */
static int next_element(struct level *level, cfgs_builder *builder, cfgs_value *item)
{
    struct wire_field field;
    cfgs_bytes key;

    while (level->at < level->end) {
        if (!wire_get_field(&level->at, level->end, &field) || (field.number == 1 && field.type != WIRE_BYTES))
            return CFGS_ERR_CORRUPT;
        if (field.number != 1)
            continue;
        cfgs_bytes message = {field.data, field.length};
        if (!level->is_struct)
            return parse_value(message, item) ? 1 : CFGS_ERR_CORRUPT;
        if (!parse_entry(message, &key, item))
            return CFGS_ERR_CORRUPT;
        cfgs_builder_key(builder, key.data, key.length);
        return 1;
    }
    return 0;
}

static void open_level(struct level *level, const cfgs_value *container, cfgs_builder *builder)
{
    *level = (struct level){.at = container->as.bytes.data,
                            .end = container->as.bytes.data + container->as.bytes.length,
                            .is_struct = container->kind == CFGS_KIND_STRUCT};
    if (level->is_struct)
        cfgs_builder_begin_struct(builder);
    else
        cfgs_builder_begin_list(builder);
}

static void close_level(const struct level *level, cfgs_builder *builder)
{
    if (level->is_struct)
        cfgs_builder_end_struct(builder);
    else
        cfgs_builder_end_list(builder);
}

static bool is_local(const cfgs_value *value)
{
    return value->kind == CFGS_KIND_DOUBLE && !isfinite(value->as.number);
}

/* Of entries with one key the last counts: what was met on the way may be gone, so the result is asked. */
static bool holds_local(const cfgs_value *root)
{
    cfgs_cursor levels[CFGS_VALUE_MAX_DEPTH];
    int depth = cfgs_cursor_init(&levels[0], root) == CFGS_OK ? 1 : 0;

    while (depth > 0) {
        cfgs_bytes key;
        cfgs_value item;
        if (cfgs_cursor_next(&levels[depth - 1], &key, &item) != 1)
            depth--;
        else if (is_local(&item))
            return true;
        else if (depth < CFGS_VALUE_MAX_DEPTH && cfgs_cursor_init(&levels[depth], &item) == CFGS_OK)
            depth++;
    }
    return false;
}

static int rebuild_value(const cfgs_value *root, cfgs_builder *builder, struct received *out)
{
    struct level levels[CFGS_VALUE_MAX_DEPTH];
    int depth = 1;

    cfgs_builder_reset(builder);
    open_level(&levels[0], root, builder);
    while (depth > 0) {
        cfgs_value item;
        int more = next_element(&levels[depth - 1], builder, &item);
        if (more < 0)
            return more;
        if (more == 0) {
            close_level(&levels[--depth], builder);
        } else if (item.kind != CFGS_KIND_LIST && item.kind != CFGS_KIND_STRUCT) {
            out->local |= is_local(&item);
            cfgs_builder_add(builder, &item);
        } else if (depth == CFGS_VALUE_MAX_DEPTH) {
            return CFGS_ERR_TOO_LARGE;
        } else {
            open_level(&levels[depth++], &item, builder);
        }
    }
    int err = cfgs_builder_finish(builder, &out->value);
    out->local = out->local && err == CFGS_OK && holds_local(&out->value);
    return err;
}

/* ---- a ConfigSetting --------------------------------------------------------------------------------------------- */

/* -0.0 stays a double: as an int it would leave as 0, and no longer be the bytes that came. */
static bool is_whole(double number)
{
    return number >= -WHOLE_MAX && number <= WHOLE_MAX && (double)(int64_t)number == number &&
           !(number == 0 && signbit(number));
}

static int take_value(cfgs_bytes message, cfgs_builder *builder, struct received *out)
{
    cfgs_value value;

    if (!parse_value(message, &value))
        return CFGS_ERR_CORRUPT;
    if (value.kind == CFGS_KIND_LIST || value.kind == CFGS_KIND_STRUCT)
        return rebuild_value(&value, builder, out);
    out->local = is_local(&value);
    out->value = value.kind == CFGS_KIND_DOUBLE && is_whole(value.as.number)
                     ? cfgs_value_int((int64_t)value.as.number)
                     : value;
    return CFGS_OK;
}

int received_parse(const void *setting, size_t length, cfgs_builder *builder, struct received *out)
{
    const char *at = setting, *end = length > 0 ? at + length : at;
    cfgs_bytes fields[WIRE_SETTING_UNSET_SOURCE + 1] = {{"", 0}, {"", 0}, {"", 0}, {"", 0}, {"", 0}};
    struct wire_field field;

    *out = (struct received){.value = cfgs_value_null()};
    while (at < end) {
        if (!wire_get_field(&at, end, &field))
            return CFGS_ERR_CORRUPT;
        if (field.number > WIRE_SETTING_UNSET_SOURCE)
            continue;
        if (field.type != WIRE_BYTES)
            return CFGS_ERR_CORRUPT;
        fields[field.number] = (cfgs_bytes){field.data, field.length};
        out->has_value |= field.number == 3;
    }
    out->source = fields[1];
    out->key = fields[2];
    out->unset_source = fields[WIRE_SETTING_UNSET_SOURCE];
    return out->has_value ? take_value(fields[3], builder, out) : CFGS_OK;
}
