/* yaml/build.c: nodes, keys, anchors and limits.  SPDX-License-Identifier: Apache-2.0 */
#include "yaml/build.h"

#include "base/text.h"
#include "yaml/merge.h"
#include "yaml/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool build_refuse(struct build *build, struct place place, const char *format, ...)
{
    char reason[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return problem_set(build->problem, "%s:%u:%u: %s", build->doc->file, place.line, place.column, reason);
}

static bool count_nodes(struct build *build, uint32_t more, struct place place)
{
    if (more > DOC_NODES_MAX - build->nodes)
        return build_refuse(build, place, "more than %u values, aliases expanded; is an alias nested in itself many times?",
                            DOC_NODES_MAX);
    build->nodes += more;
    return true;
}

static struct frame *top(struct build *build)
{
    return build->depth ? &build->frames[build->depth - 1] : NULL;
}

static bool expects_key(struct build *build)
{
    struct frame *frame = top(build);
    return frame && frame->container->kind == NODE_MAP && !frame->has_key;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* A key that is no string counts as the text of its value: 010 is "8", yes is "true". */
static bool key_text(struct build *build, struct node *key)
{
    char number[TEXT_NUMBER_BYTES];
    const char *text = key->text;
    switch (key->kind) {
    case NODE_NULL: text = "null"; break;
    case NODE_BOOL: text = key->as.boolean ? "true" : "false"; break;
    case NODE_INT:
        snprintf(number, sizeof number, "%lld", (long long)key->as.integer);
        text = number;
        break;
    case NODE_FLOAT:
        text_from_double(key->as.number, number);
        text = number;
        break;
    default: return true;
    }
    key->length = strlen(text);
    key->text = pool_copy(&build->doc->blocks, text, key->length);
    return key->text != NULL || problem_memory(build->problem);
}

static bool take_key(struct build *build, struct node *key, bool plain)
{
    struct frame *frame = top(build);
    struct place place = {key->line, key->column};
    frame->key_is_merge = plain && key->kind == NODE_STRING && strcmp(key->text, "<<") == 0;
    if (plain && key->kind == NODE_BOOL && !strchr("tTfF", key->text[0]))
        warnings_add(build->warnings, build->doc->file, place.line, place.column,
                     "the key %s is read as %s; put it in quotes to keep it", key->text,
                     key->as.boolean ? "true" : "false");
    if (!key_text(build, key))
        return false;
    if (key->length > DOC_KEY_MAX_BYTES)
        return build_refuse(build, place, "a key has %zu bytes, more than %u", key->length, DOC_KEY_MAX_BYTES);
    if (memchr(key->text, '\0', key->length))
        return build_refuse(build, place, "a key holds a NUL character");
    frame->key = *key;
    frame->has_key = true;
    return true;
}

/* ---- attaching --------------------------------------------------------------------------------------------------- */

static void append(struct frame *frame, struct node *node)
{
    if (frame->last)
        frame->last->next = node;
    else
        frame->container->as.first = node;
    frame->last = node;
}

static void attach_entry(struct frame *frame, struct node *node)
{
    node->key = frame->key.text;
    node->key_length = frame->key.length;
    node->key_line = frame->key.line;
    node->key_column = frame->key.column;
    frame->has_key = false;
    if (!frame->key_is_merge) {
        append(frame, node);
        return;
    }
    node->next = frame->merges;
    frame->merges = node;
}

static void attach(struct build *build, struct node *node)
{
    struct frame *frame = top(build);
    if (!frame)
        build->doc->root = node;
    else if (frame->container->kind == NODE_MAP)
        attach_entry(frame, node);
    else
        append(frame, node);
}

static bool remember_anchor(struct build *build, const char *anchor, struct node *node)
{
    if (!anchor)
        return true;
    void **slot = table_put(&build->anchors, anchor, strlen(anchor));
    if (!slot)
        return problem_memory(build->problem);
    *slot = node;
    return true;
}

static struct node *new_node(struct build *build, enum node_kind kind, struct place place)
{
    struct node *node = pool_alloc(&build->doc->blocks, sizeof *node);
    if (!node) {
        problem_memory(build->problem);
        return NULL;
    }
    node->kind = kind;
    node->line = place.line;
    node->column = place.column;
    return node;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static bool same_tag(const char *tag, const char *name)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    return strncmp(tag, prefix, sizeof prefix - 1) == 0 && strcmp(tag + sizeof prefix - 1, name) == 0;
}

static bool apply_tag(struct build *build, struct node *node, const char *tag, struct place place)
{
    static const struct { const char *name; enum node_kind kind; } tags[] = {
        {"null", NODE_NULL}, {"bool", NODE_BOOL}, {"int", NODE_INT}, {"float", NODE_FLOAT}};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!same_tag(tag, tags[i].name))
            continue;
        node_resolve_plain(node);
        if (tags[i].kind == NODE_FLOAT && node->kind == NODE_INT) {
            node->as.number = (double)node->as.integer;
            node->kind = NODE_FLOAT;
        }
        if (node->kind != tags[i].kind)
            return build_refuse(build, place, "the tag !!%s does not fit this text", tags[i].name);
        return true;
    }
    node->kind = NODE_STRING; /* !!str, !!binary (kept as it is written) and tags of others */
    return true;
}

bool build_scalar(struct build *build, const struct scalar *scalar, const char *anchor, struct place place)
{
    if (scalar->length > DOC_TEXT_MAX_BYTES)
        return build_refuse(build, place, "a value has %zu bytes, more than %zu", scalar->length, DOC_TEXT_MAX_BYTES);
    struct node *node = new_node(build, NODE_STRING, place);
    if (!node)
        return false;
    node->weight = 1;
    node->length = scalar->length;
    node->text = pool_copy(&build->doc->blocks, scalar->text, scalar->length);
    if (!node->text)
        return problem_memory(build->problem);
    if (scalar->tag) {
        if (!apply_tag(build, node, scalar->tag, place))
            return false;
    } else if (scalar->plain) {
        node_resolve_plain(node);
    }
    if (!remember_anchor(build, anchor, node))
        return false;
    if (expects_key(build))
        return take_key(build, node, scalar->plain);
    if (!count_nodes(build, 1, place))
        return false;
    attach(build, node);
    return true;
}

static bool is_container(const struct node *node)
{
    return node->kind == NODE_LIST || node->kind == NODE_MAP;
}

bool build_alias(struct build *build, const char *anchor, struct place place)
{
    struct node *target = table_get(&build->anchors, anchor, strlen(anchor));
    if (!target)
        return build_refuse(build, place, "the alias *%s names no anchor above it", anchor);
    if (!target->weight)
        return build_refuse(build, place, "the alias *%s stands inside the value it names", anchor);
    struct node *node = new_node(build, target->kind, place);
    if (!node)
        return false;
    node->text = target->text;
    node->length = target->length;
    node->as = target->as;
    node->weight = target->weight;
    node->height = target->height;
    if (expects_key(build)) {
        if (is_container(node))
            return build_refuse(build, place, "a key must be a single value, not a %s", node_kind_name(node->kind));
        return take_key(build, node, false);
    }
    if (build->depth + node->height > DOC_DEPTH_MAX)
        return build_refuse(build, place, "values are nested deeper than %u levels", DOC_DEPTH_MAX);
    if (!count_nodes(build, node->weight, place))
        return false;
    attach(build, node);
    return true;
}

bool build_begin(struct build *build, enum node_kind kind, const char *anchor, struct place place)
{
    if (expects_key(build))
        return build_refuse(build, place, "a key must be a single value, not a %s", node_kind_name(kind));
    if (build->depth == DOC_DEPTH_MAX)
        return build_refuse(build, place, "values are nested deeper than %u levels", DOC_DEPTH_MAX);
    struct node *node = new_node(build, kind, place);
    /* weight stays 0 until the end, which is how an alias to an enclosing value is noticed */
    if (!node || !remember_anchor(build, anchor, node) || !count_nodes(build, 1, place))
        return false;
    attach(build, node);
    build->frames[build->depth++] = (struct frame){.container = node};
    return true;
}

bool build_end(struct build *build)
{
    struct frame *frame = top(build);
    struct node *container = frame->container;
    if (container->kind == NODE_MAP && (!merge_drop_duplicates(build, container) || !merge_apply(build, frame)))
        return false;
    uint32_t weight = 1, height = 0;
    for (const struct node *child = container->as.first; child; child = child->next) {
        weight += child->weight;
        if (child->height > height)
            height = child->height;
    }
    container->weight = weight;
    container->height = height + 1;
    build->depth--;
    return true;
}

void build_free(struct build *build)
{
    table_clear(&build->anchors, NULL);
}
