/* get.c: point reads by key.  SPDX-License-Identifier: Apache-2.0 */
#include "point_read.h"
#include "section.h"
#include "value_copy.h"
#include <stdlib.h>

/* ---- one key ------------------------------------------------------------------------------------------------------- */

/* drop: what to do with a result that does not count; NULL: nothing. */
static int point_read(cfgs_reader *reader, const char *key, take_fn *take, void (*drop)(union taken *),
                             union taken *out)
{
    struct lookup lookup = {.key = key};

    if (!key_is_valid(key, &lookup.length))
        return CFGS_ERR_INVALID;
    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        const struct attachment *attachment;
        struct record record;
        cfgs_view view;
        int err = reader_attachment(reader, &attachment);
        if (err == CFGS_OK && (err = bank_view_begin(attachment, &view)) == CFGS_ERR_LAPPED)
            continue;
        if (err != CFGS_OK)
            return err;
        lookup.hash = index_hash(key, lookup.length, attachment->hash_seed);
        err = bank_view_find(&view, &lookup, &record);
        if (err == CFGS_OK)
            err = take(&record, out);
        if (look_counts(reader, &view, err))
            return err;
        if (err == CFGS_OK && drop != NULL)
            drop(out);
    }
    return CFGS_ERR_BUSY;
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

int take_bool(const struct record *record, union taken *out)
{
    cfgs_value value = record_value(record);
    return cfgs_value_get_bool(&value, &out->boolean);
}

int take_int(const struct record *record, union taken *out)
{
    cfgs_value value = record_value(record);
    return cfgs_value_get_int(&value, &out->integer);
}

int take_double(const struct record *record, union taken *out)
{
    cfgs_value value = record_value(record);
    return cfgs_value_get_double(&value, &out->number);
}

/* The value with a short text copied to private memory, for parsing; a longer text is no duration or size. */
#define UNITS_TEXT_BYTES 128

static int stable_value(const struct record *record, char text[UNITS_TEXT_BYTES], cfgs_value *out)
{
    *out = record_value(record);
    if (out->kind != CFGS_KIND_STRING)
        return CFGS_OK;
    if (out->as.bytes.length > UNITS_TEXT_BYTES)
        return CFGS_ERR_SYNTAX;
    record_copy_out(record, record->head.value_at, out->as.bytes.length, text);
    out->as.bytes.data = text;
    return CFGS_OK;
}

int take_duration(const struct record *record, union taken *out)
{
    char text[UNITS_TEXT_BYTES];
    cfgs_value value;
    int err = stable_value(record, text, &value);
    return err == CFGS_OK ? cfgs_value_get_duration(&value, &out->integer) : err;
}

int take_size(const struct record *record, union taken *out)
{
    char text[UNITS_TEXT_BYTES];
    cfgs_value value;
    int err = stable_value(record, text, &value);
    return err == CFGS_OK ? cfgs_value_get_size(&value, &out->bytes) : err;
}

/* Copy a text out, with its NUL; it is in the union what goes in. */
int take_text(const struct record *record, union taken *out)
{
    const struct text_target *target = &out->text;
    size_t length = record->head.value_length;

    if (record->head.kind != CFGS_KIND_STRING)
        return CFGS_ERR_KIND;
    if (target->length != NULL)
        *target->length = length;
    if (length >= target->capacity)
        return CFGS_ERR_BUFFER;
    record_copy_out(record, record->head.value_at, length, target->buffer);
    target->buffer[length] = '\0';
    return CFGS_OK;
}

static int take_source(const struct record *record, union taken *out)
{
    out->source = record->head.source;
    return CFGS_OK;
}

static int take_sequence(const struct record *record, union taken *out)
{
    out->bytes = record->head.sequence;
    return CFGS_OK;
}

/* One try of what nearly always succeeds; false: the long way gives the result. */
static inline bool quick(cfgs_reader *reader, const char *key, cfgs_kind kind, uint64_t *bits)
{
    const struct attachment *attachment;
    size_t length;

    return key_is_valid(key, &length) && reader_attachment(reader, &attachment) == CFGS_OK &&
           bank_view_quick(attachment, key, length, kind, bits);
}

int cfgs_get_bool(cfgs_reader *reader, const char *key, bool *out)
{
    union taken taken;
    uint64_t bits;

    if (quick(reader, key, CFGS_KIND_BOOL, &bits)) {
        *out = bits != 0;
        return CFGS_OK;
    }
    int err = point_read(reader, key, take_bool, NULL, &taken);
    if (err == CFGS_OK)
        *out = taken.boolean;
    return err;
}

int cfgs_get_int(cfgs_reader *reader, const char *key, int64_t *out)
{
    union taken taken;
    uint64_t bits;

    if (quick(reader, key, CFGS_KIND_INT, &bits)) {
        memcpy(out, &bits, sizeof bits);
        return CFGS_OK;
    }
    int err = point_read(reader, key, take_int, NULL, &taken);
    if (err == CFGS_OK)
        *out = taken.integer;
    return err;
}

int cfgs_get_double(cfgs_reader *reader, const char *key, double *out)
{
    union taken taken;
    uint64_t bits;

    if (quick(reader, key, CFGS_KIND_DOUBLE, &bits)) {
        memcpy(out, &bits, sizeof bits);
        return CFGS_OK;
    }
    int err = point_read(reader, key, take_double, NULL, &taken);
    if (err == CFGS_OK)
        *out = taken.number;
    return err;
}

int cfgs_get_duration(cfgs_reader *reader, const char *key, int64_t *nanoseconds)
{
    union taken taken;
    int err = point_read(reader, key, take_duration, NULL, &taken);
    if (err == CFGS_OK)
        *nanoseconds = taken.integer;
    return err;
}

int cfgs_get_size(cfgs_reader *reader, const char *key, uint64_t *bytes)
{
    union taken taken;
    int err = point_read(reader, key, take_size, NULL, &taken);
    if (err == CFGS_OK)
        *bytes = taken.bytes;
    return err;
}

int cfgs_get_source(cfgs_reader *reader, const char *key, int *source)
{
    union taken taken = {.bytes = 0};
    int err = point_read(reader, key, take_source, NULL, &taken);
    if (err == CFGS_OK)
        *source = taken.source;
    return err;
}

int cfgs_get_configured(cfgs_reader *reader, const char *key, bool *configured)
{
    int source;
    int err = cfgs_get_source(reader, key, &source);
    if (err == CFGS_OK)
        *configured = source > CFGS_SOURCE_DEFAULT;
    if (err != CFGS_ERR_NOT_FOUND)
        return err;
    struct section_facts facts;
    err = section_read(reader, key, SECTION_FACTS, &facts, NULL);
    if (err == CFGS_OK)
        *configured = facts.configured;
    return err;
}

int cfgs_get_sequence(cfgs_reader *reader, const char *key, uint64_t *sequence)
{
    union taken taken = {.bytes = 0};
    int err = point_read(reader, key, take_sequence, NULL, &taken);
    if (err == CFGS_OK)
        *sequence = taken.bytes;
    return err;
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

static int take_copy(const struct record *record, union taken *out)
{
    cfgs_value value = record_value(record);
    char *bytes;

    int err = value_copy_frame(&value, &out->copy, &bytes);
    if (err == CFGS_OK && bytes != NULL)
        record_copy_out(record, record->head.value_at, record->head.value_length, bytes);
    return err;
}

static void drop_copy(union taken *taken)
{
    cfgs_copy_free(taken->copy);
}

int cfgs_get_value(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    union taken taken;
    int err = point_read(reader, key, take_copy, drop_copy, &taken);
    if (err == CFGS_OK)
        *out = taken.copy;
    return err;
}

/* The text is copied straight into the caller's buffer; a round that does not count is overwritten by the next. */
int cfgs_get_string(cfgs_reader *reader, const char *key, char *buffer, size_t capacity, size_t *length)
{
    union taken taken = {.text = {buffer, capacity, length}};
    return point_read(reader, key, take_text, NULL, &taken);
}

int cfgs_get_string_list(cfgs_reader *reader, const char *key, char ***items, size_t *count)
{
    cfgs_copy *copy;
    int err = cfgs_get_value(reader, key, &copy);
    if (err != CFGS_OK)
        return err;
    err = cfgs_value_string_list(cfgs_copy_value(copy), items, count);
    cfgs_copy_free(copy);
    return err;
}

int cfgs_get_float_list(cfgs_reader *reader, const char *key, double **items, size_t *count)
{
    cfgs_copy *copy;
    int err = cfgs_get_value(reader, key, &copy);
    if (err != CFGS_OK)
        return err;
    err = cfgs_value_float_list(cfgs_copy_value(copy), items, count);
    cfgs_copy_free(copy);
    return err;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* CFGS_OK if every element of the container satisfies the check. */
static int each_element(const cfgs_value *container, int (*check)(const cfgs_value *item))
{
    cfgs_cursor cursor;
    cfgs_value item;
    int err = cfgs_cursor_init(&cursor, container);

    while (err == CFGS_OK && (err = cfgs_cursor_next(&cursor, NULL, &item)) == 1)
        err = check(&item);
    return err;
}

static int is_struct(const cfgs_value *value)
{
    return value->kind == CFGS_KIND_STRUCT ? CFGS_OK : CFGS_ERR_KIND;
}

static int is_string(const cfgs_value *value)
{
    return value->kind == CFGS_KIND_STRING ? CFGS_OK : CFGS_ERR_KIND;
}

static int is_list(const cfgs_value *value)
{
    return value->kind == CFGS_KIND_LIST ? CFGS_OK : CFGS_ERR_KIND;
}

static int is_string_list(const cfgs_value *value)
{
    int err = is_list(value);
    return err == CFGS_OK ? each_element(value, is_string) : err;
}

static int is_map_list(const cfgs_value *value)
{
    int err = is_list(value);
    return err == CFGS_OK ? each_element(value, is_struct) : err;
}

static int is_list_map(const cfgs_value *value)
{
    int err = is_struct(value);
    return err == CFGS_OK ? each_element(value, is_string_list) : err;
}

static int get_shape(cfgs_reader *reader, const char *key, int (*check)(const cfgs_value *value), cfgs_copy **out)
{
    cfgs_copy *copy;
    int err = cfgs_get_value(reader, key, &copy);

    if (err != CFGS_OK)
        return err;
    err = check(cfgs_copy_value(copy));
    if (err == CFGS_OK)
        *out = copy;
    else
        cfgs_copy_free(copy);
    return err;
}

int cfgs_get_list(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    return get_shape(reader, key, is_list, out);
}

int cfgs_get_map(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    return get_shape(reader, key, is_struct, out);
}

int cfgs_get_map_list(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    return get_shape(reader, key, is_map_list, out);
}

int cfgs_get_list_map(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    return get_shape(reader, key, is_list_map, out);
}
