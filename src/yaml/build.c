/* yaml/build.c: nodes, keys, anchors and limits.  SPDX-License-Identifier: Apache-2.0 */
#include "yaml/build.h"

#include "shm/number_text.h"
#include "yaml/merge.h"
#include "yaml/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SHOWN_BYTES = 304 };

/* "a.b: " for the value that is being built, "" at the top. */
static const char *path_so_far(const struct build *build, char path[PATH_SHOWN_BYTES])
{
    size_t length = 0;
    for (unsigned i = 0; i < build->depth && length < PATH_SHOWN_BYTES - 3; i++) {
        const struct frame *frame = &build->frames[i];
        if (frame->container->kind == NODE_MAP && (i + 1 < build->depth || frame->has_key))
            length += (size_t)snprintf(path + length, PATH_SHOWN_BYTES - 2 - length, "%s%s", length ? "." : "",
                                       frame->key.text);
    }
    if (length > PATH_SHOWN_BYTES - 3)
        length = PATH_SHOWN_BYTES - 3; /* what snprintf() found room for */
    strcpy(path + length, length ? ": " : "");
    return path;
}

bool build_refuse(struct build *build, struct place place, const char *format, ...)
{
    char reason[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    char path[PATH_SHOWN_BYTES];
    return problem_set(build->problem, "%s:%u:%u: %s%s", build->doc->file, place.line, place.column,
                       path_so_far(build, path), reason);
}

static bool count(struct build *build, uint32_t nodes, size_t bytes, struct place place)
{
    if (nodes > DOC_NODES_MAX - build->nodes)
        return build_refuse(build, place, "more than %u values, aliases expanded; take settings or aliases out",
                            DOC_NODES_MAX);
    if (bytes > DOC_EXPANDED_MAX_BYTES - build->bytes)
        return build_refuse(build, place, "more than %zu bytes of text, aliases expanded; take settings or aliases out",
                            DOC_EXPANDED_MAX_BYTES);
    build->nodes += nodes;
    build->bytes += bytes;
    return true;
}

/* The curve of the existing agents' YAML reader: the larger a document, the less of it may come out of aliases. */
static double aliased_share(uint32_t nodes)
{
    if (nodes <= DOC_ALIASED_FREE)
        return 0.99;
    return 0.99 - 0.89 * (double)(nodes - DOC_ALIASED_FREE) / (DOC_NODES_MAX - DOC_ALIASED_FREE);
}

static bool count_aliased(struct build *build, const struct node *node, struct place place)
{
    enum { NEVER_TOO_MANY = 1000 };
    if (!count(build, node->weight, node->bytes, place))
        return false;
    build->aliased += node->weight;
    if (build->nodes > NEVER_TOO_MANY && build->aliased > aliased_share(build->nodes) * build->nodes)
        return build_refuse(build, place, "aliases bring in %u of the %u values so far, which is how alias bombs look; "
                                          "write some of these values out", build->aliased, build->nodes);
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
    char number[NUMBER_TEXT_BYTES];
    const char *text = key->text;
    switch (key->kind) {
    case NODE_NULL: text = "null"; break;
    case NODE_BOOL: text = key->as.boolean ? "true" : "false"; break;
    case NODE_INT:
        snprintf(number, sizeof number, "%lld", (long long)key->as.integer);
        text = number;
        break;
    case NODE_FLOAT:
        number_from_double(key->as.number, number);
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
        return build_refuse(build, place, "a key has %zu bytes, more than %u; shorten it", key->length,
                            DOC_KEY_MAX_BYTES);
    if (memchr(key->text, '\0', key->length))
        return build_refuse(build, place, "a key holds a NUL character; take the \\0 out");
    if (!count(build, 0, key->length, place))
        return false;
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

static void warn_tag(struct build *build, const char *tag, const char *what, struct place place)
{
    char path[PATH_SHOWN_BYTES];
    warnings_add(build->warnings, build->doc->file, place.line, place.column,
                 "%sthe tag %.200s is not heeded; the value %s", path_so_far(build, path), tag, what);
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
            return build_refuse(build, place, "the tag !!%s does not fit this %s; mend the value or take the tag away",
                                tags[i].name, node_kind_name(node->kind));
        return true;
    }
    if (strcmp(tag, "!") != 0 && !same_tag(tag, "str"))
        warn_tag(build, tag, "is a string as it is written", place);
    return true;
}

bool build_scalar(struct build *build, const struct scalar *scalar, const char *anchor, struct place place)
{
    if (scalar->length > DOC_TEXT_MAX_BYTES)
        return build_refuse(build, place, "a string of %zu bytes, more than %zu; shorten it", scalar->length,
                            DOC_TEXT_MAX_BYTES);
    struct node *node = new_node(build, NODE_STRING, place);
    if (!node)
        return false;
    node->weight = 1;
    node->length = scalar->length;
    node->bytes = (uint32_t)scalar->length;
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
    if (!count(build, 1, node->length, place))
        return false;
    attach(build, node);
    return true;
}

static bool is_container(const struct node *node)
{
    return node->kind == NODE_LIST || node->kind == NODE_MAP;
}

static bool refuse_key(struct build *build, enum node_kind kind, struct place place)
{
    return build_refuse(build, place, "a key must be a single value, not a %s; put it in quotes if it is a text",
                        node_kind_name(kind));
}

static bool refuse_depth(struct build *build, enum node_kind kind, struct place place)
{
    return build_refuse(build, place, "a %s nested deeper than %u levels; flatten it", node_kind_name(kind),
                        DOC_DEPTH_MAX);
}

bool build_alias(struct build *build, const char *anchor, struct place place)
{
    struct node *target = table_get(&build->anchors, anchor, strlen(anchor));
    if (!target)
        return build_refuse(build, place, "the alias *%.200s names no anchor above it; is &%.200s misspelt, or does it "
                                          "stand below?", anchor, anchor);
    if (!target->weight)
        return build_refuse(build, place, "the alias *%.200s stands inside the value it names; write the value out",
                            anchor);
    struct node *node = new_node(build, target->kind, place);
    if (!node)
        return false;
    node->text = target->text;
    node->length = target->length;
    node->as = target->as;
    node->weight = target->weight;
    node->height = target->height;
    node->bytes = target->bytes;
    if (expects_key(build))
        return is_container(node) ? refuse_key(build, node->kind, place) : take_key(build, node, false);
    if (build->depth + node->height > DOC_DEPTH_MAX)
        return refuse_depth(build, node->kind, place);
    if (!count_aliased(build, node, place))
        return false;
    attach(build, node);
    return true;
}

bool build_begin(struct build *build, enum node_kind kind, const char *tag, const char *anchor, struct place place)
{
    if (expects_key(build))
        return refuse_key(build, kind, place);
    if (build->depth == DOC_DEPTH_MAX)
        return refuse_depth(build, kind, place);
    if (tag && strcmp(tag, "!") != 0 && !same_tag(tag, kind == NODE_MAP ? "map" : "seq"))
        warn_tag(build, tag, kind == NODE_MAP ? "counts as a map" : "counts as a list", place);
    struct node *node = new_node(build, kind, place);
    /* weight stays 0 until the end, which is how an alias to an enclosing value is noticed */
    if (!node || !remember_anchor(build, anchor, node) || !count(build, 1, 0, place))
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
    uint32_t weight = 1, height = 0, bytes = 0;
    for (const struct node *child = container->as.first; child; child = child->next) {
        weight += child->weight;
        bytes += child->bytes + (uint32_t)child->key_length;
        if (child->height > height)
            height = child->height;
    }
    container->weight = weight;
    container->height = height + 1;
    container->bytes = bytes;
    build->depth--;
    return true;
}

void build_free(struct build *build)
{
    table_clear(&build->anchors, NULL);
}
