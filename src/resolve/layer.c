/* resolve/layer.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/layer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void free_value(void *memory)
{
    struct layer_value *value = memory;
    cfgs_copy_free(value->value);
    free(value);
}

void layer_clear(struct layer *layer)
{
    table_clear(&layer->values, free_value);
}

static struct layer_value *make_value(struct layer *layer, const char *key, size_t length)
{
    void **slot = table_put(&layer->values, key, length);
    if (slot && !*slot)
        *slot = calloc(1, sizeof(struct layer_value));
    if (slot && *slot)
        return *slot;
    table_remove(&layer->values, key, length);
    return NULL;
}

bool layer_put(struct layer *layer, const char *key, size_t length, cfgs_copy *copy)
{
    struct layer_value *value = make_value(layer, key, length);
    if (!value) {
        cfgs_copy_free(copy);
        return false;
    }
    cfgs_copy_free(value->value);
    value->value = copy;
    return true;
}

struct walk {
    struct layer *layer;
    struct declarations *declarations;
    const struct doc *doc;
    struct warnings *warnings;
    struct problem *problem;
    struct converter converter;
    struct pool_block *nested; /* nodes made by nest() */
    bool declaring;
    char key[DOC_KEY_MAX_BYTES + 1]; /* the path so far, canonical */
    size_t length;
};

static void warn(struct walk *walk, const struct node *node, const char *what)
{
    warnings_add(walk->warnings, walk->doc->file, node->line, node->column, "%.300s: %s", walk->key, what);
}

static bool refuse(struct walk *walk, const struct node *node, const char *what)
{
    return problem_set(walk->problem, "%s:%u:%u: %.300s: %s", walk->doc->file, node->line, node->column, walk->key, what);
}

#define INEXACT "holds an integer beyond 2^53, which readers of this host get exactly and remote ones rounded"

/* ---- one leaf ---------------------------------------------------------------------------------------------------- */

/* Takes over the copy. */
static bool keep(struct walk *walk, const struct node *node, cfgs_copy *copy)
{
    const struct layer_value *before = table_get(&walk->layer->values, walk->key, walk->length);
    if (before)
        warnings_add(walk->warnings, walk->doc->file, node->key_line, node->key_column,
                     "%.300s: is given twice; this one counts, not the one in line %u", walk->key, before->line);
    if (value_is_local(cfgs_copy_value(copy)))
        warnings_add_error(walk->warnings, walk->doc->file, node->line, node->column,
                           "%.300s: " VALUE_IS_LOCAL, walk->key);
    if (!layer_put(walk->layer, walk->key, walk->length, copy))
        return problem_memory(walk->problem);
    struct layer_value *value = table_get(&walk->layer->values, walk->key, walk->length);
    value->line = node->line;
    value->column = node->column;
    return true;
}

/* A problem of a value gets its place in front. */
static bool refuse_value(struct walk *walk, const struct node *node)
{
    struct problem reason = *walk->problem;
    return refuse(walk, node, reason.text);
}

static bool keep_raw(struct walk *walk, const struct node *node)
{
    cfgs_copy *copy;
    bool inexact = false;
    if (convert_raw(&walk->converter, node, &copy, &inexact, walk->problem) == CONVERT_FAILED)
        return refuse_value(walk, node);
    if (inexact)
        warn(walk, node, INEXACT);
    return keep(walk, node, copy);
}

static bool keep_impossible(struct walk *walk, const struct node *node, enum setting_kind kind)
{
    warnings_add(walk->warnings, walk->doc->file, node->line, node->column,
                 "%.300s: a %s cannot be converted to the declared kind %s; it is kept as it is", walk->key,
                 node_kind_name(node->kind), setting_kind_name(kind));
    return keep_raw(walk, node);
}

static bool keep_as(struct walk *walk, const struct node *node, enum setting_kind kind)
{
    cfgs_copy *copy;
    bool inexact = false;
    switch (convert_node(&walk->converter, node, kind, &copy, &inexact, walk->problem)) {
    case CONVERT_IMPOSSIBLE: return keep_impossible(walk, node, kind);
    case CONVERT_FAILED: return refuse_value(walk, node);
    case CONVERT_CHANGED:
        warnings_add_strict(walk->warnings, walk->doc->file, node->line, node->column,
                            "%.300s: a %s stands where the declared kind is %s", walk->key, node_kind_name(node->kind),
                            setting_kind_name(kind));
        break;
    case CONVERT_SAME: break;
    }
    if (inexact)
        warn(walk, node, INEXACT);
    return keep(walk, node, copy);
}

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

static bool walk_map(struct walk *walk, const struct node *map);

static bool is_empty_map(const struct node *node)
{
    return node->kind == NODE_MAP && !node->as.first;
}

static bool declare_leaf(struct walk *walk, const struct node *node)
{
    const struct declaration *declaration = declarations_add(walk->declarations, walk->key, walk->length, node);
    if (!declaration)
        return problem_memory(walk->problem);
    if (node->kind == NODE_NULL)
        return keep_raw(walk, node);
    return keep_as(walk, node, declaration->kind);
}

static bool take_declaring(struct walk *walk, const struct node *node)
{
    const struct declaration *declaration = declarations_find(walk->declarations, walk->key, walk->length);
    bool map_kind = declaration && declaration->has_kind && setting_kind_is_map(declaration->kind);
    if (node->kind == NODE_MAP && !is_empty_map(node) && !map_kind)
        return walk_map(walk, node);
    return declare_leaf(walk, node);
}

static bool take_undeclared(struct walk *walk, const struct node *node)
{
    if (declarations_is_section(walk->declarations, walk->key, walk->length)) {
        if (node->kind != NODE_NULL && !is_empty_map(node))
            warnings_add(walk->warnings, walk->doc->file, node->line, node->column,
                         "%.300s: is a section, not a setting; the %s that stands here is ignored", walk->key,
                         node_kind_name(node->kind));
        return true;
    }
    warnings_add(walk->warnings, walk->doc->file, node->key_line, node->key_column,
                 "%.300s: no such setting is declared; it is kept as it is", walk->key);
    return keep_raw(walk, node);
}

static bool take_declared(struct walk *walk, const struct node *node)
{
    const struct declaration *declaration = declarations_find(walk->declarations, walk->key, walk->length);
    if (declaration && node->kind == NODE_NULL)
        return true;
    if (declaration)
        return keep_as(walk, node, declaration->kind);
    if (node->kind == NODE_MAP && !is_empty_map(node))
        return walk_map(walk, node);
    return take_undeclared(walk, node);
}

/* Dots in a key are part of the path, so each segment must hold something. */
static bool is_path(const char *key, size_t length)
{
    if (!length || key[0] == '.' || key[length - 1] == '.')
        return false;
    return memmem(key, length, "..", 2) == NULL;
}

/* Length of the setting's key that the path goes on below; 0 if there is none.  Only a dotted key can lead there. */
static size_t setting_above(const struct walk *walk, size_t from)
{
    for (size_t i = from; i < walk->length; i++)
        if (walk->key[i] == '.' && declarations_find(walk->declarations, walk->key, i))
            return i;
    return 0;
}

/* The map that the rest of the path, behind the setting's key, and its value stand for; NULL when memory ran out. */
static const struct node *nest(struct walk *walk, const struct node *node, size_t setting)
{
    char *path = pool_copy(&walk->nested, walk->key + setting, walk->length - setting);
    struct node *value = pool_alloc(&walk->nested, sizeof *value);
    if (!path || !value)
        return NULL;
    *value = *node;
    for (char *dot; (dot = strrchr(path, '.'));) {
        struct node *map = pool_alloc(&walk->nested, sizeof *map);
        if (!map)
            return NULL;
        *dot = '\0';
        value->key = dot + 1;
        value->key_length = strlen(dot + 1);
        value->next = NULL;
        *map = *node;
        map->kind = NODE_MAP;
        map->as.first = value;
        value = map;
    }
    return value;
}

/* An entry whose path is complete. */
static bool take_value(struct walk *walk, const struct node *node, size_t from)
{
    size_t setting = walk->declaring ? 0 : setting_above(walk, from);
    if (!setting)
        return walk->declaring ? take_declaring(walk, node) : take_declared(walk, node);
    const struct node *map = nest(walk, node, setting);
    if (!map)
        return problem_memory(walk->problem);
    walk->length = setting;
    walk->key[setting] = '\0';
    return take_declared(walk, map);
}

static bool take_entry(struct walk *walk, const struct node *node)
{
    size_t before = walk->length, need = before + (before ? 1 : 0) + node->key_length;
    if (!is_path(node->key, node->key_length)) {
        warnings_add(walk->warnings, walk->doc->file, node->key_line, node->key_column,
                     "the key '%.300s' is no path (an empty part between dots); it is ignored", node->key);
        return true;
    }
    if (need > DOC_KEY_MAX_BYTES)
        return problem_set(walk->problem, "%s:%u:%u: the whole key has %zu bytes, more than %u; shorten it", walk->doc->file,
                           node->key_line, node->key_column, need, DOC_KEY_MAX_BYTES);
    if (before)
        walk->key[walk->length++] = '.';
    key_canonical(walk->key + walk->length, node->key, node->key_length);
    walk->length = need;
    walk->key[need] = '\0';
    bool ok = take_value(walk, node, before);
    walk->length = before;
    walk->key[before] = '\0';
    return ok;
}

/* However it is spelt, and also as the start of a path: nothing of it may be published. */
static bool is_reserved(const struct walk *walk, const struct node *entry)
{
    size_t length = sizeof DECLARATIONS_KEY - 1;
    return !walk->length && strncasecmp(entry->key, DECLARATIONS_KEY, length) == 0 &&
           (entry->key[length] == '\0' || entry->key[length] == '.');
}

static void pass_over_reserved(struct walk *walk, const struct node *entry)
{
    if (!walk->declaring || strcmp(entry->key, DECLARATIONS_KEY) != 0)
        warnings_add(walk->warnings, walk->doc->file, entry->key_line, entry->key_column,
                     "the key " DECLARATIONS_KEY " is reserved: it counts as one map, in lower case, in the file that declares; "
                     "here it is ignored");
}

static bool walk_map(struct walk *walk, const struct node *map)
{
    for (const struct node *entry = map->as.first; entry; entry = entry->next)
        if (is_reserved(walk, entry))
            pass_over_reserved(walk, entry);
        else if (!take_entry(walk, entry))
            return false;
    return true;
}

bool layer_read(struct layer *layer, struct declarations *declarations, bool declaring, const struct doc *doc,
                struct warnings *warnings, struct problem *problem)
{
    struct walk walk = {
        .layer = layer,
        .declarations = declarations,
        .doc = doc,
        .warnings = warnings,
        .problem = problem,
        .declaring = declaring,
    };
    bool ok = converter_init(&walk.converter, problem) && walk_map(&walk, doc->root);
    converter_free(&walk.converter);
    pool_free(&walk.nested);
    if (ok && declaring && !declarations_settle(declarations, doc->file, warnings))
        ok = problem_memory(problem);
    return ok;
}
