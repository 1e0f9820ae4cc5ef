/* value.c: making, comparing, copying and checking values.  SPDX-License-Identifier: Apache-2.0 */
#include "utf8.h"
#include "value_copy.h"
#include <configstream/error.h>
#include <configstream/value.h>
#include <stdlib.h>
#include <string.h>

struct cfgs_copy {
    cfgs_value value;
    char bytes[];
};

static const char *const kind_names[] = {"null", "bool", "int", "double", "string", "list", "struct"};

const char *cfgs_kind_name(int kind)
{
    return kind >= CFGS_KIND_NULL && kind <= CFGS_KIND_STRUCT ? kind_names[kind] : "?";
}

cfgs_value cfgs_value_null(void)
{
    return (cfgs_value){.kind = CFGS_KIND_NULL};
}

cfgs_value cfgs_value_bool(bool boolean)
{
    return (cfgs_value){.kind = CFGS_KIND_BOOL, .as.boolean = boolean};
}

cfgs_value cfgs_value_int(int64_t integer)
{
    return (cfgs_value){.kind = CFGS_KIND_INT, .as.integer = integer};
}

cfgs_value cfgs_value_double(double number)
{
    return (cfgs_value){.kind = CFGS_KIND_DOUBLE, .as.number = number};
}

cfgs_value cfgs_value_string(const char *text, size_t length)
{
    return (cfgs_value){.kind = CFGS_KIND_STRING, .as.bytes = {text, length}};
}

static bool has_bytes(const cfgs_value *value)
{
    return value->kind >= CFGS_KIND_STRING && value->kind <= CFGS_KIND_STRUCT;
}

bool cfgs_value_equal(const cfgs_value *a, const cfgs_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (has_bytes(a))
        return a->as.bytes.length == b->as.bytes.length &&
               (a->as.bytes.length == 0 || memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.length) == 0);
    switch (a->kind) {
    case CFGS_KIND_BOOL:
        return a->as.boolean == b->as.boolean;
    case CFGS_KIND_INT:
        return a->as.integer == b->as.integer;
    case CFGS_KIND_DOUBLE:
        return memcmp(&a->as.number, &b->as.number, sizeof a->as.number) == 0;
    default:
        return true;
    }
}

int value_copy_frame(const cfgs_value *value, cfgs_copy **out, char **bytes)
{
    size_t length = has_bytes(value) ? value->as.bytes.length : 0;
    if (length > SIZE_MAX - sizeof(cfgs_copy) - 1)
        return CFGS_ERR_MEMORY;
    cfgs_copy *copy = malloc(sizeof *copy + length + 1);
    if (copy == NULL)
        return CFGS_ERR_MEMORY;
    copy->value = *value;
    copy->bytes[length] = '\0';
    *bytes = NULL;
    if (has_bytes(value))
        copy->value.as.bytes.data = *bytes = copy->bytes;
    *out = copy;
    return CFGS_OK;
}

int cfgs_value_copy(const cfgs_value *value, cfgs_copy **out)
{
    char *bytes;
    int err = value_copy_frame(value, out, &bytes);

    if (err == CFGS_OK && bytes != NULL && value->as.bytes.length > 0)
        memcpy(bytes, value->as.bytes.data, value->as.bytes.length);
    return err;
}

const cfgs_value *cfgs_copy_value(const cfgs_copy *copy)
{
    return &copy->value;
}

void cfgs_copy_free(cfgs_copy *copy)
{
    free(copy);
}

/* Checked with a stack of our own: nesting comes from outside and must not use up the caller's. */
struct check_level {
    cfgs_cursor cursor;
    cfgs_bytes last_key;
};

static int check_leaf(const cfgs_value *value)
{
    if (value->kind < CFGS_KIND_NULL || value->kind > CFGS_KIND_STRUCT)
        return CFGS_ERR_CORRUPT;
    if (!has_bytes(value))
        return CFGS_OK;
    if (value->as.bytes.length > CFGS_VALUE_MAX_BYTES)
        return CFGS_ERR_TOO_LARGE;
    if (value->kind == CFGS_KIND_STRING && !utf8_valid(value->as.bytes.data, value->as.bytes.length))
        return CFGS_ERR_ENCODING;
    return CFGS_OK;
}

/* Struct keys must be UTF-8 and ascend, so that equal structs have equal bytes. */
static int check_key(struct check_level *level, cfgs_bytes key)
{
    if (level->cursor.kind != CFGS_KIND_STRUCT)
        return CFGS_OK;
    if (!utf8_valid(key.data, key.length))
        return CFGS_ERR_ENCODING;
    if (level->last_key.data != NULL) {
        size_t common = key.length < level->last_key.length ? key.length : level->last_key.length;
        int order = common > 0 ? memcmp(level->last_key.data, key.data, common) : 0;
        if (order > 0 || (order == 0 && level->last_key.length >= key.length))
            return CFGS_ERR_CORRUPT;
    }
    level->last_key = key;
    return CFGS_OK;
}

static int check_nested(struct check_level *levels)
{
    int depth = 1;

    while (depth > 0) {
        struct check_level *level = &levels[depth - 1];
        cfgs_bytes key = {NULL, 0};
        cfgs_value item;
        int err = cfgs_cursor_next(&level->cursor, &key, &item);
        if (err < 0)
            return err;
        if (err == 0) {
            depth--;
            continue;
        }
        if ((err = check_key(level, key)) != CFGS_OK || (err = check_leaf(&item)) != CFGS_OK)
            return err;
        if (item.kind != CFGS_KIND_LIST && item.kind != CFGS_KIND_STRUCT)
            continue;
        if (depth == CFGS_VALUE_MAX_DEPTH)
            return CFGS_ERR_TOO_LARGE;
        levels[depth].last_key = (cfgs_bytes){NULL, 0};
        if ((err = cfgs_cursor_init(&levels[depth++].cursor, &item)) != CFGS_OK)
            return err;
    }
    return CFGS_OK;
}

int cfgs_value_check(const cfgs_value *value)
{
    struct check_level levels[CFGS_VALUE_MAX_DEPTH];
    int err = check_leaf(value);

    if (err != CFGS_OK || (value->kind != CFGS_KIND_LIST && value->kind != CFGS_KIND_STRUCT))
        return err;
    levels[0].last_key = (cfgs_bytes){NULL, 0};
    err = cfgs_cursor_init(&levels[0].cursor, value);
    return err == CFGS_OK ? check_nested(levels) : err;
}
