/* resolve/declarations.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/declarations.h"

#include <configstream/error.h>
#include <configstream/setting.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void key_canonical(char *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
}

static void free_declaration(void *memory)
{
    struct declaration *declaration = memory;
    for (char **name = declaration->env; name && *name; name++)
        free(*name);
    free(declaration->env);
    free(declaration);
}

void declarations_clear(struct declarations *declarations)
{
    table_clear(&declarations->settings, free_declaration);
    table_clear(&declarations->sections, NULL);
}

const struct declaration *declarations_find(const struct declarations *declarations, const char *key, size_t length)
{
    return table_get(&declarations->settings, key, length);
}

bool declarations_is_section(const struct declarations *declarations, const char *key, size_t length)
{
    return table_get(&declarations->sections, key, length) != NULL;
}

static bool is_secret(const struct declaration *declaration, const char *key, size_t length)
{
    if (declaration && declaration->secret)
        return true;
    if (declaration && declaration->kind == SETTING_BOOL)
        return false; /* whether something uses a token is none */
    return key_looks_secret(key, length);
}

bool value_is_local(const cfgs_value *value)
{
    cfgs_cursor cursor;
    cfgs_value item;
    if (value->kind == CFGS_KIND_DOUBLE)
        return !isfinite(value->as.number);
    if (cfgs_cursor_init(&cursor, value) != CFGS_OK)
        return false;
    while (cfgs_cursor_next(&cursor, NULL, &item) == 1)
        if (value_is_local(&item)) /* as deep as a value may be: see cfgs_value_check() */
            return true;
    return false;
}

unsigned declarations_flags(const struct declarations *declarations, const char *key, size_t length,
                            const cfgs_value *value)
{
    const struct declaration *declaration = declarations_find(declarations, key, length);
    return (is_secret(declaration, key, length) ? CFGS_SETTING_SECRET : 0) |
           (declaration ? 0 : CFGS_SETTING_UNDECLARED) | (value_is_local(value) ? CFGS_SETTING_LOCAL : 0);
}

static bool add_sections(struct declarations *declarations, const char *key, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (key[i] != '.')
            continue;
        void **slot = table_put(&declarations->sections, key, i);
        if (!slot)
            return false;
        *slot = declarations;
    }
    return true;
}

static struct declaration *make(struct declarations *declarations, const char *key, size_t length)
{
    void **slot = table_put(&declarations->settings, key, length);
    if (!slot)
        return NULL;
    if (!*slot)
        *slot = calloc(1, sizeof(struct declaration));
    if (!*slot) {
        table_remove(&declarations->settings, key, length);
        return NULL;
    }
    return *slot;
}

struct declaration *declarations_add(struct declarations *declarations, const char *key, size_t length,
                                     const struct node *node)
{
    struct declaration *declaration = make(declarations, key, length);
    if (!declaration || !add_sections(declarations, key, length))
        return NULL;
    declaration->has_default = true;
    if (!declaration->has_kind)
        declaration->kind = setting_kind_of(node);
    return declaration;
}

/* ---- x-configstream ---------------------------------------------------------------------------------------------- */

struct entry {
    const struct doc *doc;
    const char *key;
    struct declaration *declaration;
    struct problem *problem;
};

static bool refuse(const struct entry *entry, const struct node *node, const char *what)
{
    return problem_set(entry->problem, "%s:%u:%u: " DECLARATIONS_KEY ": %.300s: %s", entry->doc->file, node->line,
                       node->column, entry->key, what);
}

static bool read_kind(const struct entry *entry, const struct node *node)
{
    const char *text = node->kind == NODE_NULL ? "null" : node->kind == NODE_STRING ? node->text : "";
    if (!setting_kind_parse(text, strlen(text), &entry->declaration->kind))
        return refuse(entry, node, "kind must be one of bool, int, float, string, duration, string_list, list, map_list, "
                                   "string_map, list_map, float_map, map, null");
    entry->declaration->has_kind = true;
    return true;
}

static bool read_env(const struct entry *entry, const struct node *node)
{
    size_t count = 0;
    if (node->kind != NODE_LIST)
        return refuse(entry, node, "env must be a list of variable names");
    for (const struct node *item = node->as.first; item; item = item->next) {
        if (item->kind != NODE_STRING || !item->length)
            return refuse(entry, item, "env must be a list of variable names");
        count++;
    }
    char **names = calloc(count + 1, sizeof *names);
    entry->declaration->env = names;
    for (const struct node *item = node->as.first; names && item; item = item->next)
        if (!(*names++ = strdup(item->text)))
            names = NULL;
    return names != NULL || problem_memory(entry->problem);
}

static bool read_parser(const struct entry *entry, const struct node *node)
{
    char reason[512];
    if (node->kind == NODE_STRING && env_parser_parse(node->text, &entry->declaration->parser))
        return true;
    snprintf(reason, sizeof reason, "parser must be one of %s", env_parser_names);
    return refuse(entry, node, reason);
}

static bool read_secret(const struct entry *entry, const struct node *node)
{
    if (node->kind != NODE_BOOL)
        return refuse(entry, node, "secret must be true or false");
    entry->declaration->secret = node->as.boolean;
    return true;
}

static bool read_attribute(const struct entry *entry, const struct node *node)
{
    static const struct {
        const char *name;
        bool (*read)(const struct entry *entry, const struct node *node);
    } attributes[] = {{"kind", read_kind}, {"env", read_env}, {"parser", read_parser}, {"secret", read_secret}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (strcmp(node->key, attributes[i].name) == 0)
            return attributes[i].read(entry, node);
    return refuse(entry, node, "an attribute is none of kind, env, parser, secret");
}

static bool read_entry(struct declarations *declarations, const struct doc *doc, const struct node *node,
                       struct problem *problem)
{
    char key[DOC_KEY_MAX_BYTES + 1];
    key_canonical(key, node->key, node->key_length);
    key[node->key_length] = '\0';
    struct entry entry = {.doc = doc, .key = key, .problem = problem};
    if (node->kind != NODE_MAP)
        return refuse(&entry, node, "must be a map of kind, env, parser, secret");
    if (declarations_find(declarations, key, node->key_length))
        return refuse(&entry, node, "is declared twice");
    entry.declaration = make(declarations, key, node->key_length);
    if (!entry.declaration)
        return problem_memory(problem);
    entry.declaration->line = node->key_line;
    entry.declaration->column = node->key_column;
    for (const struct node *attribute = node->as.first; attribute; attribute = attribute->next)
        if (!read_attribute(&entry, attribute))
            return false;
    return true;
}

bool declarations_read(struct declarations *declarations, const struct doc *doc, struct problem *problem)
{
    const struct node *map = doc->root->as.first;
    while (map && strcmp(map->key, DECLARATIONS_KEY) != 0)
        map = map->next;
    if (!map || map->kind == NODE_NULL)
        return true;
    if (map->kind != NODE_MAP)
        return problem_set(problem, "%s:%u:%u: " DECLARATIONS_KEY " must be a map from keys to their declarations, not a %s",
                           doc->file, map->line, map->column, node_kind_name(map->kind));
    for (const struct node *entry = map->as.first; entry; entry = entry->next)
        if (!read_entry(declarations, doc, entry, problem))
            return false;
    return true;
}

bool declarations_settle(struct declarations *declarations, const char *file, struct warnings *warnings)
{
    size_t position = 0;
    for (struct table_entry *entry; (entry = table_next(&declarations->settings, &position));) {
        struct declaration *declaration = entry->value;
        if (declaration->has_kind && !add_sections(declarations, entry->key, entry->length))
            return false;
        if (declaration->has_default || declaration->has_kind)
            continue;
        warnings_add(warnings, file, declaration->line, declaration->column,
                     DECLARATIONS_KEY " names '%.300s', which has neither a default nor a kind: ignored", entry->key);
        free_declaration(table_remove(&declarations->settings, entry->key, entry->length));
    }
    return true;
}
