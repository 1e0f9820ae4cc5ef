/* resolve/json.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/json.h"

#include "base/text.h"
#include "shm/number_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct node *from_json(struct pool_block **pool, const json_t *json);

static bool set_text(struct pool_block **pool, struct node *node, const char *text, size_t length)
{
    node->text = pool_copy(pool, text, length);
    node->length = length;
    return node->text != NULL;
}

static bool fill_list(struct pool_block **pool, struct node *node, const json_t *json)
{
    struct node **link = &node->as.first;
    for (size_t i = 0; i < json_array_size(json); i++) {
        *link = from_json(pool, json_array_get(json, i));
        if (!*link)
            return false;
        link = &(*link)->next;
    }
    return true;
}

static bool fill_map(struct pool_block **pool, struct node *node, const json_t *json)
{
    struct node **link = &node->as.first;
    /* jansson's iterator takes a non-const object but changes nothing in it */
    json_t *object = (json_t *)(uintptr_t)json;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        *link = from_json(pool, json_object_iter_value(at));
        if (!*link)
            return false;
        (*link)->key_length = json_object_iter_key_len(at);
        (*link)->key = pool_copy(pool, key, (*link)->key_length);
        if (!(*link)->key)
            return false;
        link = &(*link)->next;
    }
    return true;
}

static bool fill(struct pool_block **pool, struct node *node, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_NULL: node->kind = NODE_NULL; return true;
    case JSON_TRUE:
    case JSON_FALSE:
        node->kind = NODE_BOOL;
        node->as.boolean = json_is_true(json);
        return true;
    case JSON_INTEGER:
        node->kind = NODE_INT;
        node->as.integer = json_integer_value(json);
        return true;
    case JSON_REAL:
        node->kind = NODE_FLOAT;
        node->as.number = json_real_value(json);
        return true;
    case JSON_STRING:
        node->kind = NODE_STRING;
        return set_text(pool, node, json_string_value(json), json_string_length(json));
    case JSON_ARRAY: node->kind = NODE_LIST; return fill_list(pool, node, json);
    case JSON_OBJECT: node->kind = NODE_MAP; return fill_map(pool, node, json);
    }
    return false;
}

static struct node *from_json(struct pool_block **pool, const json_t *json)
{
    struct node *node = pool_alloc(pool, sizeof *node);
    return node && fill(pool, node, json) ? node : NULL;
}

/* jansson's own text quotes what it read, which may be a secret. */
static const char *reason_of(enum json_error_code code)
{
    switch (code) {
    case json_error_out_of_memory: return "out of memory";
    case json_error_numeric_overflow: return "a number that is too large";
    default: return "syntax error";
    }
}

struct node *json_to_node(struct pool_block **pool, const char *text, size_t length, struct problem *problem)
{
    json_error_t error;
    if (memchr(text, '\0', length)) { /* jansson takes one behind the document for its end */
        problem_set(problem, "not valid JSON: it holds a NUL byte");
        return NULL;
    }
    json_t *json = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!json) {
        problem_set(problem, "not valid JSON: line %d, column %d: %s", error.line, error.column,
                    reason_of(json_error_code(&error)));
        return NULL;
    }
    struct node *node = from_json(pool, json);
    json_decref(json);
    if (!node)
        problem_memory(problem);
    return node;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static json_t *number_to_json(double number, bool nested)
{
    const double exact = 9007199254740992.0; /* 2^53 */
    if (isnan(number) || isinf(number))
        return json_string(isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
    if (nested && fabs(number) <= exact && number == floor(number) && !(number == 0 && signbit(number)))
        return json_integer((json_int_t)number);
    return json_real(number);
}

static json_t *to_json(const cfgs_value *value, bool nested);

static json_t *list_to_json(const cfgs_value *value)
{
    json_t *list = json_array();
    cfgs_cursor cursor;
    cfgs_value item;
    int got = cfgs_cursor_init(&cursor, value);
    while (list && got >= 0 && (got = cfgs_cursor_next(&cursor, NULL, &item)) == 1)
        if (json_array_append_new(list, to_json(&item, true)) != 0)
            got = CFGS_ERR_CORRUPT;
    if (list && got == 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *map_to_json(const cfgs_value *value)
{
    json_t *map = json_object();
    cfgs_cursor cursor;
    cfgs_bytes key;
    cfgs_value item;
    int got = cfgs_cursor_init(&cursor, value);
    while (map && got >= 0 && (got = cfgs_cursor_next(&cursor, &key, &item)) == 1)
        if (json_object_setn_new(map, key.data, key.length, to_json(&item, true)) != 0)
            got = CFGS_ERR_CORRUPT;
    if (map && got == 0)
        return map;
    json_decref(map);
    return NULL;
}

static json_t *to_json(const cfgs_value *value, bool nested)
{
    switch (value->kind) {
    case CFGS_KIND_NULL: return json_null();
    case CFGS_KIND_BOOL: return json_boolean(value->as.boolean);
    case CFGS_KIND_INT: return json_integer(value->as.integer);
    case CFGS_KIND_DOUBLE: return number_to_json(value->as.number, nested);
    case CFGS_KIND_STRING: return json_stringn(value->as.bytes.data, value->as.bytes.length);
    case CFGS_KIND_LIST: return list_to_json(value);
    case CFGS_KIND_STRUCT: return map_to_json(value);
    }
    return NULL;
}

json_t *json_from_value(const cfgs_value *value)
{
    return to_json(value, false);
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

static int append(const char *data, size_t length, void *buffer)
{
    return buffer_append(buffer, data, length) ? 0 : -1;
}

/* Bytes of a control character that jansson leaves as it is (U+007F to U+009F); 0: none.  Text ends with a NUL. */
static size_t control_length(const char *text)
{
    const unsigned char first = (unsigned char)text[0], second = first ? (unsigned char)text[1] : 0;
    return first == 0x7f ? 1 : first == 0xc2 && second >= 0x80 && second <= 0x9f ? 2 : 0;
}

static bool append_escaped(struct buffer *out, const char *text, size_t length)
{
    bool ok = true;
    for (size_t from = 0, to = 0; ok && from < length; from = to) {
        char escape[sizeof "\\u0000"];
        size_t control = 0;
        while (to < length && (control = control_length(text + to)) == 0)
            to++;
        ok = buffer_append(out, text + from, to - from);
        if (!control)
            continue;
        snprintf(escape, sizeof escape, "\\u%04X", (unsigned)(unsigned char)text[to + control - 1]);
        ok = ok && buffer_append(out, escape, sizeof escape - 1);
        to += control;
    }
    return ok;
}

static bool append_string(struct buffer *out, const json_t *json)
{
    struct buffer text = {0};
    bool ok = json_dump_callback(json, append, &text, JSON_ENCODE_ANY) == 0 &&
              append_escaped(out, text.data, text.length);
    free(text.data);
    return ok;
}

static bool append_real(struct buffer *out, double number)
{
    char text[NUMBER_TEXT_BYTES];
    size_t length = number_from_double(number, text);
    return buffer_append(out, text, length) && (strchr(text, '.') || buffer_append(out, ".0", 2));
}

static bool append_json(struct buffer *out, const json_t *json);

static bool append_list(struct buffer *out, const json_t *list)
{
    bool ok = buffer_append(out, "[", 1);
    for (size_t i = 0; ok && i < json_array_size(list); i++)
        ok = (!i || buffer_append(out, ",", 1)) && append_json(out, json_array_get(list, i));
    return ok && buffer_append(out, "]", 1);
}

static bool append_member(struct buffer *out, void *at)
{
    json_t *key = json_stringn(json_object_iter_key(at), json_object_iter_key_len(at));
    bool ok = key && append_string(out, key) && buffer_append(out, ":", 1) &&
              append_json(out, json_object_iter_value(at));
    json_decref(key);
    return ok;
}

static bool append_map(struct buffer *out, const json_t *json)
{
    json_t *map = (json_t *)(uintptr_t)json; /* as in fill_map() */
    bool ok = buffer_append(out, "{", 1), first = true;
    for (void *at = json_object_iter(map); ok && at; at = json_object_iter_next(map, at), first = false)
        ok = (first || buffer_append(out, ",", 1)) && append_member(out, at);
    return ok && buffer_append(out, "}", 1);
}

static bool append_json(struct buffer *out, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT: return append_map(out, json);
    case JSON_ARRAY: return append_list(out, json);
    case JSON_STRING: return append_string(out, json);
    case JSON_REAL: return append_real(out, json_real_value(json));
    default: return json_dump_callback(json, append, out, JSON_ENCODE_ANY) == 0; /* exact as jansson writes it */
    }
}

char *json_to_text(const json_t *json)
{
    struct buffer out = {0};
    if (append_json(&out, json))
        return out.data;
    free(out.data);
    return NULL;
}
