/* resolve/environment.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/environment.h"

#include <stdio.h>
#include <string.h>

struct variable {
    const char *text;
    bool known; /* some setting is bound to it */
};

struct scan {
    struct layer *layer;
    const struct declarations *declarations;
    const char *prefix;
    struct table variables; /* name -> struct variable */
    struct warnings *warnings;
    struct problem *problem;
    struct converter converter;
    struct pool_block *kept, *passing; /* for the whole scan; for one setting */
};

/* ---- finding the variable of a setting --------------------------------------------------------------------------- */

static bool collect(struct scan *scan, const char *const *variables)
{
    for (; variables && *variables; variables++) {
        const char *equals = strchr(*variables, '=');
        if (!equals || equals == *variables)
            continue;
        struct variable *variable = pool_alloc(&scan->kept, sizeof *variable);
        void **slot = table_put(&scan->variables, *variables, (size_t)(equals - *variables));
        if (!slot || !variable)
            return problem_memory(scan->problem);
        variable->text = equals + 1;
        if (!*slot) /* of two with one name the first counts, as for getenv() */
            *slot = variable;
    }
    return true;
}

/* PREFIX_ and the key in upper case, dots as underscores. */
static size_t plain_name(const struct scan *scan, const struct table_entry *setting, char *out, size_t size)
{
    size_t length = (size_t)snprintf(out, size, "%s_", scan->prefix);
    for (size_t i = 0; i < setting->length && length < size - 1; i++, length++) {
        char c = setting->key[i];
        out[length] = c == '.' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c;
    }
    out[length] = '\0';
    return length;
}

/* The text of a variable; NULL if it is missing or empty. */
static const char *look(struct scan *scan, const char *key, const char *name, size_t length)
{
    struct variable *variable = table_get(&scan->variables, name, length);
    if (!variable)
        return NULL;
    variable->known = true;
    if (*variable->text)
        return variable->text;
    warnings_add_strict(scan->warnings, NULL, 0, 0, "environment variable %s: %.300s: is empty, which counts as not set",
                        name, key);
    return NULL;
}

struct found {
    const char *name, *text;
};

/* All names are looked at: one that is bound is known, also when another wins. */
static struct found find(struct scan *scan, const struct table_entry *setting, char *plain, size_t size)
{
    const struct declaration *declaration = setting->value;
    struct found found = {0};
    if (!declaration->env) {
        size_t length = plain_name(scan, setting, plain, size);
        return (struct found){plain, look(scan, setting->key, plain, length)};
    }
    for (char **name = declaration->env; *name; name++) {
        const char *text = look(scan, setting->key, *name, strlen(*name));
        if (text && !found.text)
            found = (struct found){*name, text};
    }
    return found;
}

/* ---- its value --------------------------------------------------------------------------------------------------- */

static bool keep(struct scan *scan, const struct table_entry *setting, const struct found *found, cfgs_copy *copy)
{
    if (value_is_local(cfgs_copy_value(copy)))
        warnings_add_error(scan->warnings, NULL, 0, 0, "environment variable %s: %.300s: " VALUE_IS_LOCAL, found->name,
                           setting->key);
    return layer_put(scan->layer, setting->key, setting->length, copy) || problem_memory(scan->problem);
}

/* A value that cannot be held at all is left out, so that a stray variable does not stop the daemon. */
static bool leave_out(struct scan *scan, const struct table_entry *setting, const struct found *found)
{
    warnings_add_error(scan->warnings, NULL, 0, 0, "environment variable %s: %.300s: is ignored: %s", found->name,
                       setting->key, scan->problem->text);
    return true;
}

static bool keep_raw(struct scan *scan, const struct table_entry *setting, const struct found *found,
                     const struct node *node)
{
    const struct declaration *declaration = setting->value;
    cfgs_copy *copy;
    if (convert_raw(&scan->converter, node, &copy, NULL, scan->problem) == CONVERT_FAILED)
        return leave_out(scan, setting, found);
    warnings_add(scan->warnings, NULL, 0, 0,
                 "environment variable %s: %.300s: the %s cannot be converted to the declared kind %s; it is kept as it is",
                 found->name, setting->key, declaration->parser != ENV_PARSER_NONE ? node_kind_name(node->kind) : "text",
                 setting_kind_name(declaration->kind));
    return keep(scan, setting, found, copy);
}

static bool convert(struct scan *scan, const struct table_entry *setting, const struct found *found)
{
    const struct declaration *declaration = setting->value;
    const struct node text = {.kind = NODE_STRING, .text = found->text, .length = strlen(found->text)};
    const struct node *node = &text;
    cfgs_copy *copy;
    if (declaration->parser != ENV_PARSER_NONE)
        node = env_parser_read(declaration->parser, declaration->kind, found->text, &scan->passing, scan->problem);
    if (!node)
        return leave_out(scan, setting, found);
    switch (convert_node(&scan->converter, node, declaration->kind, &copy, NULL, scan->problem)) {
    case CONVERT_IMPOSSIBLE: return keep_raw(scan, setting, found, node);
    case CONVERT_FAILED: return leave_out(scan, setting, found);
    default: return keep(scan, setting, found, copy);
    }
}

static bool read_settings(struct scan *scan)
{
    char plain[DOC_KEY_MAX_BYTES + ENVIRONMENT_PREFIX_MAX_BYTES + 2];
    size_t position = 0;
    for (struct table_entry *setting; (setting = table_next(&scan->declarations->settings, &position));) {
        struct found found = find(scan, setting, plain, sizeof plain);
        if (found.text && !convert(scan, setting, &found))
            return false;
        pool_free(&scan->passing);
    }
    return true;
}

static void warn_of_unknown(struct scan *scan)
{
    size_t position = 0, prefix = strlen(scan->prefix);
    for (struct table_entry *entry; (entry = table_next(&scan->variables, &position));) {
        const struct variable *variable = entry->value;
        if (!variable->known && strncmp(entry->key, scan->prefix, prefix) == 0 && entry->key[prefix] == '_')
            warnings_add(scan->warnings, NULL, 0, 0, "environment variable %.300s: no declared setting has it; it is ignored",
                         entry->key);
    }
}

bool environment_read(struct layer *layer, const struct declarations *declarations, const char *prefix,
                      const char *const *variables, struct warnings *warnings, struct problem *problem)
{
    struct scan scan = {
        .layer = layer, .declarations = declarations, .prefix = prefix, .warnings = warnings, .problem = problem};
    bool ok = converter_init(&scan.converter, problem) && collect(&scan, variables) && read_settings(&scan);
    if (ok)
        warn_of_unknown(&scan);
    pool_free(&scan.kept);
    pool_free(&scan.passing);
    converter_free(&scan.converter);
    table_clear(&scan.variables, NULL);
    return ok;
}
