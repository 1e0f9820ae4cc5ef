/* resolve/env_parser.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/env_parser.h"

#include "base/text.h"
#include "resolve/json.h"
#include "shm/number_text.h"

#include <configstream/error.h>
#include <ctype.h>
#include <string.h>

static const char *const names[] = {
    [ENV_PARSER_NONE] = "",
    [ENV_PARSER_COMMA_SEPARATED] = "comma_separated",
    [ENV_PARSER_CSV_COMMA_SEPARATED] = "csv_comma_separated",
    [ENV_PARSER_COMMA_AND_SPACE_SEPARATED] = "comma_and_space_separated",
    [ENV_PARSER_COMMA_THEN_SPACE_SEPARATED] = "comma_then_space_separated",
    [ENV_PARSER_JSON_LIST_OR_COMMA_SEPARATED] = "json_list_or_comma_separated",
    [ENV_PARSER_JSON_LIST_OR_SPACE_SEPARATED] = "json_list_or_space_separated",
    [ENV_PARSER_JSON] = "json",
    [ENV_PARSER_NAME_RATE_PAIRS] = "name_rate_pairs",
};

const char env_parser_names[] = "comma_separated, csv_comma_separated, comma_and_space_separated, "
                                "comma_then_space_separated, json_list_or_comma_separated, "
                                "json_list_or_space_separated, json, name_rate_pairs";

bool env_parser_parse(const char *name, enum env_parser *out)
{
    for (enum env_parser parser = ENV_PARSER_COMMA_SEPARATED; parser <= ENV_PARSER_NAME_RATE_PAIRS; parser++) {
        if (strcmp(name, names[parser]) != 0)
            continue;
        *out = parser;
        return true;
    }
    return false;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* A list or map that grows at its end. */
struct growing {
    struct pool_block **pool;
    struct node *container, *last;
    struct problem *problem;
};

static bool start(struct growing *growing, enum node_kind kind, struct pool_block **pool, struct problem *problem)
{
    *growing = (struct growing){.pool = pool, .container = pool_alloc(pool, sizeof(struct node)), .problem = problem};
    if (!growing->container)
        return problem_memory(problem);
    growing->container->kind = kind;
    return true;
}

static struct node *append(struct growing *growing, enum node_kind kind)
{
    struct node *node = pool_alloc(growing->pool, sizeof *node);
    if (!node) {
        problem_memory(growing->problem);
        return NULL;
    }
    node->kind = kind;
    if (growing->last)
        growing->last->next = node;
    else
        growing->container->as.first = node;
    growing->last = node;
    return node;
}

static bool append_text(struct growing *growing, const char *text, size_t length)
{
    struct node *node = append(growing, NODE_STRING);
    if (!node)
        return false;
    node->text = pool_copy(growing->pool, text, length);
    node->length = length;
    return node->text != NULL || problem_memory(growing->problem);
}

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

enum parts { PARTS_AS_THEY_ARE, PARTS_TRIMMED, PARTS_NOT_EMPTY };

static bool append_part(struct growing *growing, const char *part, size_t length, enum parts parts)
{
    while (parts == PARTS_TRIMMED && length && isspace((unsigned char)part[length - 1]))
        length--;
    while (parts == PARTS_TRIMMED && length && isspace((unsigned char)*part)) {
        part++;
        length--;
    }
    if (parts == PARTS_NOT_EMPTY && !length)
        return true;
    return append_text(growing, part, length);
}

static const struct node *cut(const char *text, const char *separators, enum parts parts, struct pool_block **pool,
                              struct problem *problem)
{
    struct growing list;
    if (!start(&list, NODE_LIST, pool, problem))
        return NULL;
    for (;;) {
        size_t length = strcspn(text, separators);
        if (!append_part(&list, text, length, parts))
            return NULL;
        if (!text[length])
            return list.container;
        text += length + 1;
    }
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

/* A field that starts with a quote: "" inside is one quote.  Leaves *at behind the closing one. */
static bool quoted_field(struct growing *list, const char **at, struct buffer *field)
{
    const char *text = *at + 1;
    for (; *text; text++) {
        if (*text == '"' && text[1] != '"')
            break;
        if (!buffer_append(field, text, 1))
            return problem_memory(list->problem);
        text += *text == '"';
    }
    if (!*text)
        return problem_set(list->problem, "a quote is not closed");
    *at = text + 1;
    if (**at && !strchr(",\r\n", **at))
        return problem_set(list->problem, "something stands between a closing quote and the next comma");
    return append_text(list, field->length ? field->data : "", field->length);
}

static bool plain_field(struct growing *list, const char **at)
{
    size_t length = strcspn(*at, ",\r\n");
    if (memchr(*at, '"', length))
        return problem_set(list->problem, "a quote stands inside a field that does not start with one");
    const char *field = *at;
    *at += length;
    return append_text(list, field, length);
}

static bool csv_field(struct growing *list, const char **at)
{
    struct buffer field = {0};
    while (**at == ' ' || **at == '\t')
        ++*at;
    bool ok = **at == '"' ? quoted_field(list, at, &field) : plain_field(list, at);
    free(field.data);
    return ok;
}

static const struct node *read_csv(const char *text, struct pool_block **pool, struct problem *problem)
{
    struct growing list;
    if (!start(&list, NODE_LIST, pool, problem))
        return NULL;
    while (csv_field(&list, &text)) {
        if (*text != ',')
            return list.container; /* the end, or that of the first record */
        text++;
    }
    return NULL;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static bool all_are(const struct node *container, enum node_kind kind)
{
    for (const struct node *item = container->as.first; item; item = item->next)
        if (item->kind != kind && !(kind == NODE_FLOAT && item->kind == NODE_INT))
            return false;
    return true;
}

static bool all_are_string_lists(const struct node *map)
{
    for (const struct node *item = map->as.first; item; item = item->next)
        if (item->kind != NODE_LIST || !all_are(item, NODE_STRING))
            return false;
    return true;
}

static bool fits(const struct node *node, enum setting_kind kind)
{
    if (setting_kind_is_list(kind) && node->kind != NODE_LIST)
        return false;
    if (setting_kind_is_map(kind) && node->kind != NODE_MAP)
        return false;
    switch (kind) {
    case SETTING_STRING_LIST: return all_are(node, NODE_STRING);
    case SETTING_MAP_LIST: return all_are(node, NODE_MAP);
    case SETTING_STRING_MAP: return all_are(node, NODE_STRING);
    case SETTING_FLOAT_MAP: return all_are(node, NODE_FLOAT);
    case SETTING_LIST_MAP: return all_are_string_lists(node);
    default: return true;
    }
}

static const struct node *read_json(const char *text, enum setting_kind kind, struct pool_block **pool,
                                    struct problem *problem)
{
    const struct node *node = json_to_node(pool, text, strlen(text), problem);
    if (!node || fits(node, kind))
        return node;
    problem_set(problem, "the JSON is a %s of another shape than a %s", node_kind_name(node->kind),
                setting_kind_name(kind));
    return NULL;
}

static const struct node *read_json_list_or(const char *separator, const char *text, struct pool_block **pool,
                                            struct problem *problem)
{
    size_t blank = strspn(text, " \t\r\n"), length = strlen(text);
    while (length > blank && isspace((unsigned char)text[length - 1]))
        length--;
    if (length - blank >= 2 && text[blank] == '[' && text[length - 1] == ']')
        return read_json(text, SETTING_STRING_LIST, pool, problem);
    return cut(text, separator, PARTS_AS_THEY_ARE, pool, problem);
}

/* ---- name=rate --------------------------------------------------------------------------------------------------- */

static bool append_pair(struct growing *map, const char *pair, size_t length)
{
    const char *equals = memchr(pair, '=', length);
    size_t name = equals ? (size_t)(equals - pair) : 0;
    double rate;
    if (!name || number_double(equals + 1, length - name - 1, &rate) != CFGS_OK)
        return problem_set(map->problem, "a part is not name=rate with a number as rate");
    struct node *node = append(map, NODE_FLOAT);
    if (!node)
        return false;
    node->as.number = rate;
    node->key = pool_copy(map->pool, pair, name);
    node->key_length = name;
    return node->key != NULL || problem_memory(map->problem);
}

static const struct node *read_pairs(const char *text, struct pool_block **pool, struct problem *problem)
{
    struct growing map;
    if (!start(&map, NODE_MAP, pool, problem))
        return NULL;
    for (;;) {
        size_t length = strcspn(text, ",");
        if (!append_pair(&map, text, length))
            return NULL;
        if (!text[length])
            return map.container;
        text += length + 1;
    }
}

const struct node *env_parser_read(enum env_parser parser, enum setting_kind kind, const char *text,
                                   struct pool_block **pool, struct problem *problem)
{
    switch (parser) {
    case ENV_PARSER_COMMA_SEPARATED: return cut(text, ",", PARTS_AS_THEY_ARE, pool, problem);
    case ENV_PARSER_CSV_COMMA_SEPARATED: return read_csv(text, pool, problem);
    case ENV_PARSER_COMMA_AND_SPACE_SEPARATED: return cut(text, ", ", PARTS_NOT_EMPTY, pool, problem);
    case ENV_PARSER_COMMA_THEN_SPACE_SEPARATED:
        return cut(text, strchr(text, ',') ? "," : " ", PARTS_TRIMMED, pool, problem);
    case ENV_PARSER_JSON_LIST_OR_COMMA_SEPARATED: return read_json_list_or(",", text, pool, problem);
    case ENV_PARSER_JSON_LIST_OR_SPACE_SEPARATED: return read_json_list_or(" ", text, pool, problem);
    case ENV_PARSER_JSON: return read_json(text, kind, pool, problem);
    case ENV_PARSER_NAME_RATE_PAIRS: return read_pairs(text, pool, problem);
    case ENV_PARSER_NONE: break;
    }
    problem_set(problem, "no parser is declared");
    return NULL;
}
