/* resolve/convert.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/convert.h"

#include "resolve/json.h"
#include "shm/number_text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool converter_init(struct converter *converter, struct problem *problem)
{
    *converter = (struct converter){0};
    return cfgs_builder_new(&converter->builder) == CFGS_OK || problem_memory(problem);
}

void converter_free(struct converter *converter)
{
    cfgs_builder_free(converter->builder);
    pool_free(&converter->pool);
    *converter = (struct converter){0};
}

static void add_raw(cfgs_builder *builder, const struct node *node)
{
    switch (node->kind) {
    case NODE_NULL: cfgs_builder_add_null(builder); return;
    case NODE_BOOL: cfgs_builder_add_bool(builder, node->as.boolean); return;
    case NODE_INT: cfgs_builder_add_int(builder, node->as.integer); return;
    case NODE_FLOAT: cfgs_builder_add_double(builder, node->as.number); return;
    case NODE_STRING: cfgs_builder_add_string(builder, node->text, node->length); return;
    case NODE_LIST:
        cfgs_builder_begin_list(builder);
        for (const struct node *item = node->as.first; item; item = item->next)
            add_raw(builder, item);
        cfgs_builder_end_list(builder);
        return;
    case NODE_MAP:
        cfgs_builder_begin_struct(builder);
        for (const struct node *item = node->as.first; item; item = item->next) {
            cfgs_builder_key(builder, item->key, item->key_length);
            add_raw(builder, item);
        }
        cfgs_builder_end_struct(builder);
        return;
    }
}

/* ---- scalars: each returns what happened, and adds to the builder unless that is IMPOSSIBLE ---------------------- */

/* The spellings of Go's strconv.ParseBool: a quoted "yes" is no bool, a plain yes already is one. */
static bool text_to_bool(const char *text, size_t length, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        bool is_yes = strlen(yes[i]) == length && memcmp(text, yes[i], length) == 0;
        bool is_no = strlen(no[i]) == length && memcmp(text, no[i], length) == 0;
        if (is_yes || is_no) {
            *out = is_yes;
            return true;
        }
    }
    return false;
}

static enum convert_result to_bool(cfgs_builder *builder, const struct node *node)
{
    bool boolean;
    switch (node->kind) {
    case NODE_BOOL: cfgs_builder_add_bool(builder, node->as.boolean); return CONVERT_SAME;
    case NODE_INT: boolean = node->as.integer != 0; break;
    case NODE_FLOAT: boolean = node->as.number != 0; break;
    case NODE_STRING:
        if (text_to_bool(node->text, node->length, &boolean))
            break;
        return CONVERT_IMPOSSIBLE;
    default: return CONVERT_IMPOSSIBLE;
    }
    cfgs_builder_add_bool(builder, boolean);
    return CONVERT_CHANGED;
}

static bool double_to_int(double number, int64_t *out)
{
    if (!(number >= -9223372036854775808.0 && number < 9223372036854775808.0) || number != floor(number))
        return false;
    *out = (int64_t)number;
    return true;
}

static enum convert_result to_int(cfgs_builder *builder, const struct node *node)
{
    int64_t integer = 0;
    bool ok = false;
    switch (node->kind) {
    case NODE_INT: cfgs_builder_add_int(builder, node->as.integer); return CONVERT_SAME;
    case NODE_FLOAT: ok = double_to_int(node->as.number, &integer); break;
    case NODE_BOOL: integer = node->as.boolean; ok = true; break;
    case NODE_STRING: ok = number_int64(node->text, node->length, &integer) == CFGS_OK; break;
    default: break;
    }
    if (!ok)
        return CONVERT_IMPOSSIBLE;
    cfgs_builder_add_int(builder, integer);
    return CONVERT_CHANGED;
}

static enum convert_result to_float(cfgs_builder *builder, const struct node *node)
{
    double number = 0;
    bool ok = true;
    switch (node->kind) {
    case NODE_FLOAT: cfgs_builder_add_double(builder, node->as.number); return CONVERT_SAME;
    case NODE_INT: number = (double)node->as.integer; break;
    case NODE_BOOL: number = node->as.boolean; break;
    case NODE_STRING: ok = number_double(node->text, node->length, &number) == CFGS_OK; break;
    default: ok = false;
    }
    if (!ok)
        return CONVERT_IMPOSSIBLE;
    cfgs_builder_add_double(builder, number);
    /* 10 for a float setting is how people write 10.0 */
    return node->kind == NODE_INT ? CONVERT_SAME : CONVERT_CHANGED;
}

static enum convert_result to_string(cfgs_builder *builder, const struct node *node)
{
    char number[NUMBER_TEXT_BYTES];
    switch (node->kind) {
    case NODE_STRING: cfgs_builder_add_string(builder, node->text, node->length); return CONVERT_SAME;
    case NODE_BOOL: snprintf(number, sizeof number, "%s", node->as.boolean ? "true" : "false"); break;
    case NODE_INT: snprintf(number, sizeof number, "%lld", (long long)node->as.integer); break;
    case NODE_FLOAT: number_from_double(node->as.number, number); break;
    default: return CONVERT_IMPOSSIBLE;
    }
    cfgs_builder_add_string(builder, number, strlen(number));
    return CONVERT_CHANGED;
}

/* Text such as 30s is how a duration is written, so it needs no warning; a bare number is nanoseconds. */
static enum convert_result to_duration(cfgs_builder *builder, const struct node *node)
{
    int64_t nanoseconds = 0;
    bool ok = false;
    switch (node->kind) {
    case NODE_INT: nanoseconds = node->as.integer; ok = true; break;
    case NODE_FLOAT: ok = double_to_int(node->as.number, &nanoseconds); break;
    case NODE_STRING: ok = number_duration(node->text, node->length, &nanoseconds) == CFGS_OK; break;
    default: break;
    }
    if (!ok)
        return CONVERT_IMPOSSIBLE;
    cfgs_builder_add_int(builder, nanoseconds);
    return CONVERT_SAME;
}

/* ---- lists and maps ---------------------------------------------------------------------------------------------- */

/* A text where a list of strings belongs is cut at white space. */
static enum convert_result fields_to_list(cfgs_builder *builder, const struct node *node)
{
    const char *at = node->text, *end = node->text + node->length;
    cfgs_builder_begin_list(builder);
    while (at < end) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        const char *start = at;
        while (at < end && !isspace((unsigned char)*at))
            at++;
        if (at > start)
            cfgs_builder_add_string(builder, start, (size_t)(at - start));
    }
    cfgs_builder_end_list(builder);
    return CONVERT_CHANGED;
}

static enum convert_result to_string_list(cfgs_builder *builder, const struct node *node)
{
    if (node->kind == NODE_STRING)
        return fields_to_list(builder, node);
    if (node->kind != NODE_LIST)
        return CONVERT_IMPOSSIBLE;
    enum convert_result result = CONVERT_SAME;
    cfgs_builder_begin_list(builder);
    for (const struct node *item = node->as.first; item; item = item->next) {
        enum convert_result got = to_string(builder, item);
        if (got == CONVERT_IMPOSSIBLE)
            return got;
        if (got == CONVERT_CHANGED)
            result = got;
    }
    cfgs_builder_end_list(builder);
    return result;
}

/* The shape of what lies inside is not looked at, as in the existing agents. */
static enum convert_result to_container(cfgs_builder *builder, const struct node *node, enum node_kind kind)
{
    if (node->kind != kind)
        return CONVERT_IMPOSSIBLE;
    add_raw(builder, node);
    return CONVERT_SAME;
}

static const struct node *unwrap_json(struct converter *converter, const struct node *node, enum setting_kind kind)
{
    struct problem ignored;
    char opening = setting_kind_is_map(kind) ? '{' : setting_kind_is_list(kind) ? '[' : '\0';
    if (!converter->json_text || !opening || node->kind != NODE_STRING)
        return node;
    size_t blank = 0;
    while (blank < node->length && isspace((unsigned char)node->text[blank]))
        blank++;
    if (blank == node->length || node->text[blank] != opening)
        return node;
    const struct node *parsed = json_to_node(&converter->pool, node->text, node->length, &ignored);
    return parsed ? parsed : node;
}

static enum convert_result add_as(cfgs_builder *builder, const struct node *node, enum setting_kind kind)
{
    switch (kind) {
    case SETTING_ANY: add_raw(builder, node); return CONVERT_SAME;
    case SETTING_BOOL: return to_bool(builder, node);
    case SETTING_INT: return to_int(builder, node);
    case SETTING_FLOAT: return to_float(builder, node);
    case SETTING_STRING: return to_string(builder, node);
    case SETTING_DURATION: return to_duration(builder, node);
    case SETTING_STRING_LIST: return to_string_list(builder, node);
    case SETTING_LIST:
    case SETTING_MAP_LIST: return to_container(builder, node, NODE_LIST);
    case SETTING_STRING_MAP:
    case SETTING_LIST_MAP:
    case SETTING_FLOAT_MAP:
    case SETTING_MAP: return to_container(builder, node, NODE_MAP);
    }
    return CONVERT_IMPOSSIBLE;
}

static enum convert_result finish(struct converter *converter, enum convert_result result, cfgs_copy **out,
                                  bool *inexact, struct problem *problem)
{
    cfgs_value value;
    int error = cfgs_builder_finish(converter->builder, &value);
    if (error == CFGS_OK)
        error = cfgs_value_copy(&value, out);
    if (error == CFGS_OK) {
        if (inexact)
            *inexact = cfgs_builder_inexact(converter->builder);
        return result;
    }
    if (error == CFGS_ERR_TOO_LARGE)
        problem_set(problem, "the value is beyond %u bytes or %d levels; shorten it", CFGS_VALUE_MAX_BYTES,
                    CFGS_VALUE_MAX_DEPTH);
    else
        problem_set(problem, "the value cannot be published: %s", cfgs_strerror(error));
    return CONVERT_FAILED;
}

enum convert_result convert_node(struct converter *converter, const struct node *node, enum setting_kind kind,
                                 cfgs_copy **out, bool *inexact, struct problem *problem)
{
    pool_free(&converter->pool);
    cfgs_builder_reset(converter->builder);
    const struct node *meant = unwrap_json(converter, node, kind);
    enum convert_result result = add_as(converter->builder, meant, kind);
    if (result == CONVERT_IMPOSSIBLE)
        return result;
    return finish(converter, meant == node ? result : CONVERT_CHANGED, out, inexact, problem);
}

enum convert_result convert_raw(struct converter *converter, const struct node *node, cfgs_copy **out, bool *inexact,
                                struct problem *problem)
{
    cfgs_builder_reset(converter->builder);
    add_raw(converter->builder, node);
    return finish(converter, CONVERT_SAME, out, inexact, problem);
}
