/*
 * cast.c: lenient point reads.
 *
 * What is held (a setting, or the map of a section) is copied first; all conversion is of the copy.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "json_text.h"
#include "number_text.h"
#include "section.h"
#include <configstream/cast.h>
#include <configstream/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- scalars: each writes only what it could convert ------------------------------------------------------------- */

static bool bytes_in(const cfgs_bytes *bytes, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes->length == strlen(texts[i]) && memcmp(bytes->data, texts[i], bytes->length) == 0)
            return true;
    return false;
}

static int to_bool(const cfgs_value *value, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

    switch (value->kind) {
    case CFGS_KIND_NULL:
        return CFGS_OK;
    case CFGS_KIND_BOOL:
        *out = value->as.boolean;
        return CFGS_OK;
    case CFGS_KIND_INT:
        *out = value->as.integer != 0;
        return CFGS_OK;
    case CFGS_KIND_DOUBLE:
        *out = value->as.number != 0;
        return CFGS_OK;
    case CFGS_KIND_STRING:
        *out = bytes_in(&value->as.bytes, yes, sizeof yes / sizeof *yes);
        return *out || bytes_in(&value->as.bytes, no, sizeof no / sizeof *no) ? CFGS_OK : CFGS_ERR_CAST_FAILED;
    default:
        return CFGS_ERR_CAST_FAILED;
    }
}

/* Cut off behind the point; both bounds are exact doubles, and NaN fails the comparison. */
static int cut_off(double number, int64_t *out)
{
    if (!(number >= -0x1p63 && number < 0x1p63))
        return CFGS_ERR_CAST_FAILED;
    *out = (int64_t)number;
    return CFGS_OK;
}

static int to_int(const cfgs_value *value, int64_t *out)
{
    switch (value->kind) {
    case CFGS_KIND_NULL:
        return CFGS_OK;
    case CFGS_KIND_BOOL:
        *out = value->as.boolean;
        return CFGS_OK;
    case CFGS_KIND_INT:
        *out = value->as.integer;
        return CFGS_OK;
    case CFGS_KIND_DOUBLE:
        return cut_off(value->as.number, out);
    case CFGS_KIND_STRING:
        return number_int64(value->as.bytes.data, value->as.bytes.length, out) == CFGS_OK ? CFGS_OK
                                                                                          : CFGS_ERR_CAST_FAILED;
    default:
        return CFGS_ERR_CAST_FAILED;
    }
}

static int text_to_double(cfgs_bytes text, double *out)
{
    int err = number_double(text.data, text.length, out);
    return err == CFGS_ERR_SYNTAX || err == CFGS_ERR_RANGE ? CFGS_ERR_CAST_FAILED : err;
}

static int to_double(const cfgs_value *value, double *out)
{
    switch (value->kind) {
    case CFGS_KIND_NULL:
        return CFGS_OK;
    case CFGS_KIND_BOOL:
        *out = value->as.boolean;
        return CFGS_OK;
    case CFGS_KIND_STRING:
        return text_to_double(value->as.bytes, out);
    default:
        return cfgs_value_get_double(value, out) == CFGS_OK ? CFGS_OK : CFGS_ERR_CAST_FAILED;
    }
}

static int to_duration(const cfgs_value *value, int64_t *nanoseconds)
{
    switch (value->kind) {
    case CFGS_KIND_INT:
    case CFGS_KIND_DOUBLE:
        return to_int(value, nanoseconds);
    case CFGS_KIND_STRING:
        return number_duration(value->as.bytes.data, value->as.bytes.length, nanoseconds) == CFGS_OK
                   ? CFGS_OK
                   : CFGS_ERR_CAST_FAILED;
    default:
        return CFGS_ERR_CAST_FAILED;
    }
}

/* The value as text; *out borrows the scratch, the value, or nothing.  "" if it cannot be converted. */
static int to_text(const cfgs_value *value, char scratch[NUMBER_TEXT_BYTES], cfgs_bytes *out)
{
    *out = (cfgs_bytes){"", 0};
    switch (value->kind) {
    case CFGS_KIND_NULL:
        return CFGS_OK;
    case CFGS_KIND_BOOL:
        *out = value->as.boolean ? (cfgs_bytes){"true", 4} : (cfgs_bytes){"false", 5};
        return CFGS_OK;
    case CFGS_KIND_INT:
        *out = (cfgs_bytes){scratch, (size_t)snprintf(scratch, NUMBER_TEXT_BYTES, "%" PRId64, value->as.integer)};
        return CFGS_OK;
    case CFGS_KIND_DOUBLE:
        *out = (cfgs_bytes){scratch, number_from_double(value->as.number, scratch)};
        return CFGS_OK;
    case CFGS_KIND_STRING:
        *out = value->as.bytes;
        return CFGS_OK;
    default:
        return CFGS_ERR_CAST_FAILED;
    }
}

static int to_size(const cfgs_value *value, uint64_t *bytes)
{
    char scratch[NUMBER_TEXT_BYTES];
    cfgs_bytes text;

    if (value->kind == CFGS_KIND_NULL)
        return CFGS_OK;
    int err = to_text(value, scratch, &text);
    if (err != CFGS_OK)
        return err;
    return cfgs_size_parse(text.data, text.length, bytes) == CFGS_OK ? CFGS_OK : CFGS_ERR_CAST_FAILED;
}

/* ---- what is held ------------------------------------------------------------------------------------------------ */

static int copy_empty(cfgs_kind kind, cfgs_copy **out)
{
    cfgs_value empty = {.kind = kind};
    return cfgs_value_copy(&empty, out);
}

/*
 * The setting of this name, or the map of the section, or null.  CFGS_OK, or CFGS_ERR_UNKNOWN_KEY where nobody declared
 * what was asked for: both with a copy.  Other errors: without one.
 */
static int hold(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    struct section_facts facts;
    int err = cfgs_get_value(reader, key, out);

    if (err != CFGS_ERR_NOT_FOUND)
        return err;
    err = section_read(reader, key, SECTION_ALL, &facts, out);
    if (err == CFGS_OK)
        return facts.declared ? CFGS_OK : CFGS_ERR_UNKNOWN_KEY;
    if (err == CFGS_ERR_NOT_FOUND && (err = copy_empty(CFGS_KIND_NULL, out)) == CFGS_OK)
        err = CFGS_ERR_UNKNOWN_KEY;
    return err;
}

static bool is_held(int err)
{
    return err == CFGS_OK || err == CFGS_ERR_UNKNOWN_KEY;
}

/* A conversion's own failure says more than that nobody declared the key. */
static int worse(int conversion, int held)
{
    return conversion != CFGS_OK ? conversion : held;
}

/* The strict getter reads most settings; what it refuses is converted. */
#define CAST_SCALAR(name, type, strict, convert)                                                                       \
    int name(cfgs_reader *reader, const char *key, type *out)                                                          \
    {                                                                                                                  \
        cfgs_copy *held;                                                                                               \
        *out = 0;                                                                                                      \
        if (strict(reader, key, out) == CFGS_OK)                                                                       \
            return CFGS_OK;                                                                                            \
        int err = hold(reader, key, &held);                                                                            \
        if (!is_held(err))                                                                                             \
            return err;                                                                                                \
        err = worse(convert(cfgs_copy_value(held), out), err);                                                         \
        cfgs_copy_free(held);                                                                                          \
        return err;                                                                                                    \
    }

CAST_SCALAR(cfgs_cast_bool, bool, cfgs_get_bool, to_bool)
CAST_SCALAR(cfgs_cast_int, int64_t, cfgs_get_int, to_int)
CAST_SCALAR(cfgs_cast_double, double, cfgs_get_double, to_double)
CAST_SCALAR(cfgs_cast_duration, int64_t, cfgs_get_duration, to_duration)
CAST_SCALAR(cfgs_cast_size, uint64_t, cfgs_get_size, to_size)

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* A text with a NUL byte has no C string: "" and CFGS_ERR_CAST_FAILED, as for all that cannot be converted. */
static int to_c_string(const cfgs_value *value, char **out)
{
    char scratch[NUMBER_TEXT_BYTES];
    cfgs_bytes text;
    int err = to_text(value, scratch, &text);

    if (memchr(text.data, '\0', text.length) != NULL) {
        text.length = 0;
        err = CFGS_ERR_CAST_FAILED;
    }
    *out = malloc(text.length + 1);
    if (*out == NULL)
        return CFGS_ERR_MEMORY;
    memcpy(*out, text.data, text.length);
    (*out)[text.length] = '\0';
    return err;
}

int cfgs_cast_string(cfgs_reader *reader, const char *key, char **out)
{
    cfgs_copy *held;

    *out = NULL;
    int err = hold(reader, key, &held);
    if (!is_held(err))
        return err;
    err = worse(to_c_string(cfgs_copy_value(held), out), err);
    cfgs_copy_free(held);
    return err;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

typedef int build_fn(cfgs_builder *builder, const cfgs_value *value);

/* Inside a list or map the agents take "" for what cannot be converted, and say nothing. */
static int add_text(cfgs_builder *builder, const cfgs_value *value)
{
    char scratch[NUMBER_TEXT_BYTES];
    cfgs_bytes text;

    (void)to_text(value, scratch, &text);
    cfgs_builder_add_string(builder, text.data, text.length);
    return CFGS_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_words(cfgs_builder *builder, cfgs_bytes text)
{
    for (size_t at = 0, start; at < text.length;) {
        for (start = at; at < text.length && !is_blank(text.data[at]);)
            at++;
        if (at > start)
            cfgs_builder_add_string(builder, text.data + start, at - start);
        else
            at++;
    }
}

static int add_elements(cfgs_builder *builder, const cfgs_value *list)
{
    cfgs_cursor cursor;
    cfgs_value item;
    int more, err = cfgs_cursor_init(&cursor, list);

    if (err != CFGS_OK)
        return err;
    while ((more = cfgs_cursor_next(&cursor, NULL, &item)) == 1)
        (void)add_text(builder, &item);
    return more;
}

/* As a list of texts into the builder. */
static int add_text_list(cfgs_builder *builder, const cfgs_value *value)
{
    int err = CFGS_OK;

    if (value->kind == CFGS_KIND_STRUCT)
        return CFGS_ERR_CAST_FAILED;
    cfgs_builder_begin_list(builder);
    if (value->kind == CFGS_KIND_LIST)
        err = add_elements(builder, value);
    else if (value->kind == CFGS_KIND_STRING)
        add_words(builder, value->as.bytes);
    else if (value->kind != CFGS_KIND_NULL)
        err = add_text(builder, value);
    cfgs_builder_end_list(builder);
    return err;
}

/* Run a conversion with a builder: what it built, as a copy.  CFGS_OK, CFGS_ERR_CAST_FAILED, CFGS_ERR_MEMORY. */
static int build(build_fn *add, const cfgs_value *value, cfgs_copy **out)
{
    cfgs_builder *builder;
    cfgs_value built;
    int err = cfgs_builder_new(&builder);

    if (err != CFGS_OK)
        return err;
    err = add(builder, value);
    if (err == CFGS_OK)
        err = cfgs_builder_finish(builder, &built);
    if (err == CFGS_OK)
        err = cfgs_value_copy(&built, out);
    cfgs_builder_free(builder);
    return err == CFGS_OK || err == CFGS_ERR_MEMORY ? err : CFGS_ERR_CAST_FAILED;
}

/* A null is no list at all. */
static int to_string_list(const cfgs_value *value, char ***items, size_t *count)
{
    cfgs_copy *texts;

    if (value->kind == CFGS_KIND_NULL)
        return CFGS_OK;
    int err = build(add_text_list, value, &texts);
    if (err != CFGS_OK)
        return err;
    err = cfgs_value_string_list(cfgs_copy_value(texts), items, count);
    cfgs_copy_free(texts);
    return err == CFGS_ERR_ENCODING ? CFGS_ERR_BAD_ELEMENT : err;
}

int cfgs_cast_string_list(cfgs_reader *reader, const char *key, char ***items, size_t *count)
{
    cfgs_copy *held;

    *items = NULL;
    *count = 0;
    int err = hold(reader, key, &held);
    if (!is_held(err))
        return err;
    err = worse(to_string_list(cfgs_copy_value(held), items, count), err);
    cfgs_copy_free(held);
    return err;
}

static int to_doubles(char *const *texts, size_t count, double *items)
{
    int err = CFGS_OK;

    for (size_t i = 0; i < count && err == CFGS_OK; i++)
        err = text_to_double((cfgs_bytes){texts[i], strlen(texts[i])}, &items[i]);
    return err == CFGS_ERR_CAST_FAILED ? CFGS_ERR_BAD_ELEMENT : err;
}

static int to_float_list(char *const *texts, size_t count, double **items)
{
    *items = malloc((count + 1) * sizeof **items);
    if (*items == NULL)
        return CFGS_ERR_MEMORY;
    int err = to_doubles(texts, count, *items);
    if (err != CFGS_OK) {
        free(*items);
        *items = NULL;
    }
    return err;
}

/* By way of texts, as the agents do it. */
int cfgs_cast_float_list(cfgs_reader *reader, const char *key, double **items, size_t *count)
{
    char **texts;
    size_t length;

    *items = NULL;
    *count = 0;
    int err = cfgs_cast_string_list(reader, key, &texts, &length);
    if (texts == NULL)
        return err;
    err = worse(to_float_list(texts, length, items), err);
    if (*items != NULL)
        *count = length;
    free(texts);
    return err;
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

static int add_json(cfgs_builder *builder, const cfgs_value *text)
{
    return json_text_build(builder, text->as.bytes.data, text->as.bytes.length);
}

static int add_entries(cfgs_builder *builder, const cfgs_value *map, build_fn *add)
{
    cfgs_cursor cursor;
    cfgs_bytes key;
    cfgs_value item;
    int more, err = cfgs_cursor_init(&cursor, map);

    cfgs_builder_begin_struct(builder);
    while (err == CFGS_OK && (more = cfgs_cursor_next(&cursor, &key, &item)) != 0) {
        if (more < 0)
            return more;
        cfgs_builder_key(builder, key.data, key.length);
        err = add(builder, &item);
    }
    cfgs_builder_end_struct(builder);
    return err;
}

static int add_map(cfgs_builder *builder, const cfgs_value *map)
{
    cfgs_builder_add(builder, map);
    return CFGS_OK;
}

static int add_string_map(cfgs_builder *builder, const cfgs_value *map)
{
    return add_entries(builder, map, add_text);
}

static int add_list_map(cfgs_builder *builder, const cfgs_value *map)
{
    return add_entries(builder, map, add_text_list);
}

/* A map, or the JSON text of one, by way of `add`. */
static int to_map(const cfgs_value *value, build_fn *add, cfgs_copy **out)
{
    cfgs_copy *parsed = NULL;
    int err = CFGS_OK;

    if (value->kind == CFGS_KIND_STRING && (err = build(add_json, value, &parsed)) == CFGS_OK)
        value = cfgs_copy_value(parsed);
    if (err == CFGS_OK && value->kind == CFGS_KIND_NULL)
        err = copy_empty(CFGS_KIND_STRUCT, out);
    else if (err == CFGS_OK)
        err = value->kind == CFGS_KIND_STRUCT ? build(add, value, out) : CFGS_ERR_CAST_FAILED;
    cfgs_copy_free(parsed);
    return err;
}

static int cast_map(cfgs_reader *reader, const char *key, build_fn *add, cfgs_copy **out)
{
    cfgs_copy *held;

    *out = NULL;
    int err = hold(reader, key, &held);
    if (!is_held(err))
        return err;
    err = worse(to_map(cfgs_copy_value(held), add, out), err);
    if (err == CFGS_ERR_CAST_FAILED && copy_empty(CFGS_KIND_STRUCT, out) != CFGS_OK)
        err = CFGS_ERR_MEMORY;
    cfgs_copy_free(held);
    return err;
}

int cfgs_cast_map(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    return cast_map(reader, key, add_map, out);
}

int cfgs_cast_string_map(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    return cast_map(reader, key, add_string_map, out);
}

int cfgs_cast_list_map(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    return cast_map(reader, key, add_list_map, out);
}

/* ---- as held ----------------------------------------------------------------------------------------------------- */

int cfgs_cast_value(cfgs_reader *reader, const char *key, cfgs_copy **out)
{
    *out = NULL;
    return hold(reader, key, out);
}

int cfgs_cast_source(cfgs_reader *reader, const char *key, int *source)
{
    *source = CFGS_SOURCE_UNKNOWN;
    int err = cfgs_get_source(reader, key, source);
    return err == CFGS_ERR_NOT_FOUND ? CFGS_OK : err;
}
