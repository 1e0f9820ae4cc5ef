/* json_text.c  SPDX-License-Identifier: Apache-2.0 */
#include "json_text.h"
#include "buffer.h"
#include "number_text.h"
#include <configstream/error.h>
#include <string.h>

struct json {
    const char *at, *end;
    cfgs_builder *builder;
    struct buffer text; /* of the last string with escapes */
    char closers[CFGS_VALUE_MAX_DEPTH]; /* of the open lists and structs */
    int depth;
    bool wants_value;
};

static void skip_blanks(struct json *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
}

static bool accept(struct json *json, char c)
{
    if (json->at == json->end || *json->at != c)
        return false;
    json->at++;
    return true;
}

static bool accept_word(struct json *json, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0)
        return false;
    json->at += length;
    return true;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* Past the closing quote; false: there is none, or a control character before it. */
static bool find_quote(struct json *json, bool *escapes)
{
    *escapes = false;
    for (; json->at < json->end && (unsigned char)*json->at >= ' '; json->at++) {
        if (accept(json, '"'))
            return true;
        if (*json->at != '\\')
            continue;
        *escapes = true;
        if (++json->at == json->end)
            return false;
    }
    return false;
}

/* Four hexadecimal digits; false: other characters. */
static bool read_unit(const char **at, const char *end, unsigned *unit)
{
    *unit = 0;
    if (end - *at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *(*at)++, lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            *unit = *unit << 4 | (unsigned)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *unit = *unit << 4 | (unsigned)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* A code point behind \u, of one escape or of a pair; one half alone is U+FFFD. */
static bool read_code_point(const char **at, const char *end, unsigned *point)
{
    unsigned low;

    if (!read_unit(at, end, point))
        return false;
    if (*point < 0xD800 || *point > 0xDFFF)
        return true;
    const char *ahead = *at + 2;
    if (*point < 0xDC00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' && read_unit(&ahead, end, &low) &&
        low >= 0xDC00 && low <= 0xDFFF) {
        *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
        *at = ahead;
    } else {
        *point = 0xFFFD;
    }
    return true;
}

static char *put_utf8(char *to, unsigned point)
{
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xC0 | point >> 6);
        *to++ = (char)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *to++ = (char)(0xE0 | point >> 12);
        *to++ = (char)(0x80 | (point >> 6 & 0x3F));
        *to++ = (char)(0x80 | (point & 0x3F));
    } else {
        *to++ = (char)(0xF0 | point >> 18);
        *to++ = (char)(0x80 | (point >> 12 & 0x3F));
        *to++ = (char)(0x80 | (point >> 6 & 0x3F));
        *to++ = (char)(0x80 | (point & 0x3F));
    }
    return to;
}

/* One escape behind its backslash, to *to. */
static bool decode_escape(const char **at, const char *end, char **to)
{
    static const char names[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    unsigned point;
    char c = *(*at)++;
    const char *name = memchr(names, c, sizeof names - 1);

    if (name != NULL) {
        *(*to)++ = characters[name - names];
        return true;
    }
    if (c != 'u' || !read_code_point(at, end, &point))
        return false;
    *to = put_utf8(*to, point);
    return true;
}

/* No escape is shorter than what it stands for. */
static int decode_string(struct json *json, const char *at, const char *end, cfgs_bytes *out)
{
    json->text.length = 0;
    if (!buffer_reserve(&json->text, (size_t)(end - at)))
        return CFGS_ERR_MEMORY;
    char *to = json->text.data;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        if (!decode_escape(&at, end, &to))
            return CFGS_ERR_SYNTAX;
    }
    *out = (cfgs_bytes){json->text.data, (size_t)(to - json->text.data)};
    return CFGS_OK;
}

/* Behind the opening quote; *out lives until the next string. */
static int read_string(struct json *json, cfgs_bytes *out)
{
    const char *start = json->at;
    bool escapes;

    if (!find_quote(json, &escapes))
        return CFGS_ERR_SYNTAX;
    *out = (cfgs_bytes){start, (size_t)(json->at - 1 - start)};
    return escapes ? decode_string(json, start, json->at - 1, out) : CFGS_OK;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static size_t skip_digits(struct json *json)
{
    const char *start = json->at;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
        json->at++;
    return (size_t)(json->at - start);
}

/* Stricter than the numbers of number_text.h: no prefix, and digits on both sides of a point. */
static bool find_number_end(struct json *json, bool *whole)
{
    accept(json, '-');
    if (!accept(json, '0') && skip_digits(json) == 0)
        return false;
    *whole = true;
    if (accept(json, '.')) {
        *whole = false;
        if (skip_digits(json) == 0)
            return false;
    }
    if (accept(json, 'e') || accept(json, 'E')) {
        *whole = false;
        if (!accept(json, '+'))
            accept(json, '-');
        return skip_digits(json) > 0;
    }
    return true;
}

static int add_number(struct json *json)
{
    const char *start = json->at;
    int64_t integer;
    double number;
    bool whole;

    if (!find_number_end(json, &whole))
        return CFGS_ERR_SYNTAX;
    size_t length = (size_t)(json->at - start);
    if (whole && number_int64(start, length, &integer) == CFGS_OK) {
        cfgs_builder_add_int(json->builder, integer);
        return CFGS_OK;
    }
    int err = number_double(start, length, &number);
    if (err == CFGS_OK)
        cfgs_builder_add_double(json->builder, number);
    return err;
}

/* ---- structure --------------------------------------------------------------------------------------------------- */

static int read_key(struct json *json)
{
    cfgs_bytes key;

    skip_blanks(json);
    int err = accept(json, '"') ? read_string(json, &key) : CFGS_ERR_SYNTAX;
    if (err != CFGS_OK)
        return err;
    cfgs_builder_key(json->builder, key.data, key.length);
    skip_blanks(json);
    json->wants_value = true;
    return accept(json, ':') ? CFGS_OK : CFGS_ERR_SYNTAX;
}

static void close_container(struct json *json)
{
    if (json->closers[--json->depth] == '}')
        cfgs_builder_end_struct(json->builder);
    else
        cfgs_builder_end_list(json->builder);
}

static int open_container(struct json *json, char closer)
{
    if (json->depth == CFGS_VALUE_MAX_DEPTH)
        return CFGS_ERR_TOO_LARGE;
    json->closers[json->depth++] = closer;
    if (closer == '}')
        cfgs_builder_begin_struct(json->builder);
    else
        cfgs_builder_begin_list(json->builder);
    skip_blanks(json);
    if (accept(json, closer)) {
        close_container(json);
        return CFGS_OK;
    }
    json->wants_value = true;
    return closer == '}' ? read_key(json) : CFGS_OK;
}

static int read_value(struct json *json)
{
    cfgs_bytes text;

    json->wants_value = false;
    skip_blanks(json);
    if (accept(json, '{'))
        return open_container(json, '}');
    if (accept(json, '['))
        return open_container(json, ']');
    if (accept(json, '"')) {
        int err = read_string(json, &text);
        if (err == CFGS_OK)
            cfgs_builder_add_string(json->builder, text.data, text.length);
        return err;
    }
    if (accept_word(json, "null"))
        cfgs_builder_add_null(json->builder);
    else if (accept_word(json, "true"))
        cfgs_builder_add_bool(json->builder, true);
    else if (accept_word(json, "false"))
        cfgs_builder_add_bool(json->builder, false);
    else
        return add_number(json);
    return CFGS_OK;
}

/* Behind a value: the container's end, or its next element. */
static int go_on(struct json *json)
{
    char closer = json->closers[json->depth - 1];

    skip_blanks(json);
    if (accept(json, closer)) {
        close_container(json);
        return CFGS_OK;
    }
    if (!accept(json, ','))
        return CFGS_ERR_SYNTAX;
    json->wants_value = true;
    return closer == '}' ? read_key(json) : CFGS_OK;
}

int json_text_build(cfgs_builder *builder, const char *text, size_t length)
{
    struct json json = {.at = text, .end = text + length, .builder = builder, .wants_value = true};
    int err = CFGS_OK;

    while (err == CFGS_OK && (json.wants_value || json.depth > 0))
        err = json.wants_value ? read_value(&json) : go_on(&json);
    skip_blanks(&json);
    if (err == CFGS_OK && json.at != json.end)
        err = CFGS_ERR_SYNTAX;
    buffer_free(&json.text);
    return err;
}
