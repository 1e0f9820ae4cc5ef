/* value_typed.c: a value as int, double, duration, size, list.  SPDX-License-Identifier: Apache-2.0 */
#include <configstream/error.h>
#include <configstream/value.h>
#include <stdlib.h>
#include <string.h>

int cfgs_value_get_bool(const cfgs_value *value, bool *out)
{
    if (value->kind != CFGS_KIND_BOOL)
        return CFGS_ERR_KIND;
    *out = value->as.boolean;
    return CFGS_OK;
}

int cfgs_value_get_int(const cfgs_value *value, int64_t *out)
{
    if (value->kind == CFGS_KIND_INT) {
        *out = value->as.integer;
        return CFGS_OK;
    }
    if (value->kind != CFGS_KIND_DOUBLE)
        return CFGS_ERR_KIND;
    double d = value->as.number;
    /* Both bounds are exact doubles; NaN fails the comparison. */
    if (!(d >= -0x1p63 && d < 0x1p63) || d != (double)(int64_t)d)
        return CFGS_ERR_RANGE;
    *out = (int64_t)d;
    return CFGS_OK;
}

int cfgs_value_get_double(const cfgs_value *value, double *out)
{
    if (value->kind == CFGS_KIND_DOUBLE)
        *out = value->as.number;
    else if (value->kind == CFGS_KIND_INT)
        *out = (double)value->as.integer;
    else
        return CFGS_ERR_KIND;
    return CFGS_OK;
}

int cfgs_value_get_string(const cfgs_value *value, cfgs_bytes *out)
{
    if (value->kind != CFGS_KIND_STRING)
        return CFGS_ERR_KIND;
    *out = value->as.bytes;
    return CFGS_OK;
}

int cfgs_value_get_duration(const cfgs_value *value, int64_t *nanoseconds)
{
    if (value->kind == CFGS_KIND_STRING)
        return cfgs_duration_parse(value->as.bytes.data, value->as.bytes.length, nanoseconds);
    return cfgs_value_get_int(value, nanoseconds);
}

int cfgs_value_get_size(const cfgs_value *value, uint64_t *bytes)
{
    int64_t number;

    if (value->kind == CFGS_KIND_STRING)
        return cfgs_size_parse(value->as.bytes.data, value->as.bytes.length, bytes);
    int err = cfgs_value_get_int(value, &number);
    if (err != CFGS_OK)
        return err;
    if (number < 0)
        return CFGS_ERR_RANGE;
    *bytes = (uint64_t)number;
    return CFGS_OK;
}

/* Number of elements and the room their texts need, NULs included; checks that each is a string without NUL. */
static int measure_strings(const cfgs_value *value, size_t *count, size_t *bytes)
{
    cfgs_cursor cursor;
    cfgs_value item;
    int err = cfgs_cursor_init(&cursor, value);

    *count = *bytes = 0;
    while (err == CFGS_OK && (err = cfgs_cursor_next(&cursor, NULL, &item)) == 1) {
        if (item.kind != CFGS_KIND_STRING)
            return CFGS_ERR_KIND;
        if (memchr(item.as.bytes.data, '\0', item.as.bytes.length) != NULL)
            return CFGS_ERR_ENCODING;
        ++*count;
        *bytes += item.as.bytes.length + 1;
        err = CFGS_OK;
    }
    return err;
}

int cfgs_value_string_list(const cfgs_value *value, char ***items, size_t *count)
{
    cfgs_cursor cursor;
    cfgs_value item;
    size_t n, bytes, i = 0;

    if (value->kind != CFGS_KIND_LIST)
        return CFGS_ERR_KIND;
    int err = measure_strings(value, &n, &bytes);
    if (err != CFGS_OK)
        return err;
    char **block = malloc((n + 1) * sizeof *block + bytes);
    if (block == NULL)
        return CFGS_ERR_MEMORY;
    char *text = (char *)(block + n + 1), *end = text + bytes;
    err = cfgs_cursor_init(&cursor, value);
    /* A view's bytes may have changed since they were measured: the block's bounds are what counts. */
    while (err == CFGS_OK && i < n && cfgs_cursor_next(&cursor, NULL, &item) == 1 &&
           item.kind == CFGS_KIND_STRING && item.as.bytes.length < (size_t)(end - text)) {
        block[i++] = memcpy(text, item.as.bytes.data, item.as.bytes.length);
        text[item.as.bytes.length] = '\0';
        text += item.as.bytes.length + 1;
    }
    block[i] = NULL;
    *items = block;
    *count = i;
    return CFGS_OK;
}

int cfgs_value_float_list(const cfgs_value *value, double **items, size_t *count)
{
    cfgs_cursor cursor;
    cfgs_value item;
    size_t i = 0;

    if (value->kind != CFGS_KIND_LIST)
        return CFGS_ERR_KIND;
    int64_t n = cfgs_value_count(value);
    if (n < 0)
        return (int)n;
    double *block = malloc(((size_t)n + 1) * sizeof *block);
    if (block == NULL)
        return CFGS_ERR_MEMORY;
    int err = cfgs_cursor_init(&cursor, value);
    while (err == CFGS_OK && i < (size_t)n && (err = cfgs_cursor_next(&cursor, NULL, &item)) == 1)
        err = cfgs_value_get_double(&item, &block[i++]);
    if (err < 0) {
        free(block);
        return err;
    }
    *items = block;
    *count = i;
    return CFGS_OK;
}
