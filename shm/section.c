/*
 * section.c: the settings below a section, as one nested map.
 *
 * One pass of a view collects copies of what lies below; sorted by key, the nesting can be built front to back.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "section.h"
#include "buffer.h"
#include <configstream/error.h>
#include <configstream/view.h>
#include <stdlib.h>
#include <string.h>

struct leaf {
    size_t key_at, key_length; /* in bytes, behind the section's prefix */
    size_t value_at;           /* of the value's bytes; its other parts stand in value */
    cfgs_value value;
};

struct section {
    char prefix[CFGS_KEY_MAX_BYTES + 1]; /* with its '.' */
    size_t prefix_length;
    enum section_part part;
    struct section_facts facts;
    struct buffer bytes, leaves; /* texts, and struct leaf */
};

static size_t leaf_count(const struct section *section)
{
    return section->leaves.length / sizeof(struct leaf);
}

static bool remember_leaf(struct section *section, const cfgs_setting *setting)
{
    size_t skip = section->prefix_length;
    struct leaf leaf = {.key_at = section->bytes.length, .key_length = setting->key.length - skip,
                        .value = setting->value};
    bool has_bytes = setting->value.kind >= CFGS_KIND_STRING;
    size_t value_length = has_bytes ? setting->value.as.bytes.length : 0;

    if (!buffer_reserve(&section->bytes, leaf.key_length + value_length + 1) ||
        !buffer_reserve(&section->leaves, sizeof leaf))
        return false;
    memcpy(section->bytes.data + leaf.key_at, setting->key.data + skip, leaf.key_length);
    leaf.value_at = leaf.key_at + leaf.key_length;
    if (value_length > 0)
        memcpy(section->bytes.data + leaf.value_at, setting->value.as.bytes.data, value_length);
    section->bytes.length = leaf.value_at + value_length;
    memcpy(section->leaves.data + section->leaves.length, &leaf, sizeof leaf);
    section->leaves.length += sizeof leaf;
    return true;
}

static int take_leaf(struct section *section, const cfgs_setting *setting)
{
    bool configured = setting->source > CFGS_SOURCE_DEFAULT;

    section->facts.any = true;
    section->facts.configured |= configured;
    section->facts.declared |= (setting->flags & CFGS_SETTING_UNDECLARED) == 0;
    if (section->part == SECTION_FACTS || (section->part == SECTION_CONFIGURED && !configured))
        return CFGS_OK;
    return remember_leaf(section, setting) ? CFGS_OK : CFGS_ERR_MEMORY;
}

static int collect(cfgs_view *view, struct section *section)
{
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    int err = CFGS_OK;

    section->bytes.length = section->leaves.length = 0;
    section->facts = (struct section_facts){0};
    /* A negative result is the view's to judge. */
    while (err == CFGS_OK &&
           cfgs_view_next(view, &iterator, section->prefix, section->prefix_length, &setting) == 1)
        if (setting.key.length > section->prefix_length)
            err = take_leaf(section, &setting);
    return err;
}

/* By path: '.' sorts before every other character, so that a section's leaves stay together. */
static int compare_leaves(const void *left, const void *right, void *context)
{
    const struct leaf *a = left, *b = right;
    const struct section *section = context;
    const char *ka = section->bytes.data + a->key_at, *kb = section->bytes.data + b->key_at;
    size_t common = a->key_length < b->key_length ? a->key_length : b->key_length;

    for (size_t i = 0; i < common; i++) {
        if (ka[i] == kb[i])
            continue;
        if (ka[i] == '.' || kb[i] == '.')
            return ka[i] == '.' ? -1 : 1;
        return (unsigned char)ka[i] < (unsigned char)kb[i] ? -1 : 1;
    }
    return a->key_length < b->key_length ? -1 : a->key_length > b->key_length;
}

/* Is leaf i also the name of a section, because a later key goes on below it? */
static bool is_shadowed(const struct section *section, const struct leaf *leaves, size_t i)
{
    if (i + 1 == leaf_count(section) || leaves[i + 1].key_length <= leaves[i].key_length)
        return false;
    const char *next = section->bytes.data + leaves[i + 1].key_at;
    return next[leaves[i].key_length] == '.' &&
           memcmp(next, section->bytes.data + leaves[i].key_at, leaves[i].key_length) == 0;
}

/* Length of the longest run of whole path elements that both keys start with, its last '.' included. */
static size_t common_path(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t common = 0;
    for (size_t i = 0; i < a_length && i < b_length && a[i] == b[i]; i++)
        if (a[i] == '.')
            common = i + 1;
    return common;
}

static size_t count_dots(const char *text, size_t length)
{
    size_t dots = 0;
    for (size_t i = 0; i < length; i++)
        dots += text[i] == '.';
    return dots;
}

static void add_leaf(cfgs_builder *builder, const struct section *section, const struct leaf *leaf, const char *key,
                     size_t from)
{
    cfgs_value value = leaf->value;

    for (size_t i = from; i < leaf->key_length; i++) {
        if (key[i] != '.')
            continue;
        cfgs_builder_key(builder, key + from, i - from);
        cfgs_builder_begin_struct(builder);
        from = i + 1;
    }
    cfgs_builder_key(builder, key + from, leaf->key_length - from);
    if (value.kind >= CFGS_KIND_STRING)
        value.as.bytes.data = section->bytes.data + leaf->value_at;
    cfgs_builder_add(builder, &value);
}

static void build(cfgs_builder *builder, struct section *section)
{
    struct leaf *leaves = (struct leaf *)(void *)section->leaves.data;
    const char *path = ""; /* the key of the leaf before: its sections are open */
    size_t path_length = 0;

    if (leaves != NULL)
        qsort_r(leaves, leaf_count(section), sizeof *leaves, compare_leaves, section);
    cfgs_builder_begin_struct(builder);
    for (size_t i = 0; i < leaf_count(section); i++) {
        const char *key = section->bytes.data + leaves[i].key_at;
        if (is_shadowed(section, leaves, i))
            continue;
        size_t common = common_path(path, path_length, key, leaves[i].key_length);
        for (size_t dots = count_dots(path + common, path_length - common); dots > 0; dots--)
            cfgs_builder_end_struct(builder);
        add_leaf(builder, section, &leaves[i], key, common);
        path = key;
        path_length = leaves[i].key_length;
    }
    for (size_t dots = count_dots(path, path_length); dots > 0; dots--)
        cfgs_builder_end_struct(builder);
    cfgs_builder_end_struct(builder);
}

static int build_copy(struct section *section, cfgs_copy **out)
{
    cfgs_builder *builder;
    cfgs_value value;

    int err = cfgs_builder_new(&builder);
    if (err != CFGS_OK)
        return err;
    build(builder, section);
    err = cfgs_builder_finish(builder, &value);
    if (err == CFGS_OK)
        err = cfgs_value_copy(&value, out);
    cfgs_builder_free(builder);
    return err;
}

/* The leaves as of one point in time. */
static int read_leaves(cfgs_reader *reader, struct section *section)
{
    cfgs_view view;
    int err = cfgs_view_begin(reader, &view);

    if (err != CFGS_OK)
        return err;
    do {
        err = collect(&view, section);
    } while (cfgs_view_retry(&view));
    return err == CFGS_OK ? cfgs_view_error(&view) : err;
}

int section_read(cfgs_reader *reader, const char *key, enum section_part part, struct section_facts *facts,
                 cfgs_copy **out)
{
    struct section section = {.part = part, .prefix_length = strnlen(key, CFGS_KEY_MAX_BYTES + 1)};

    if (section.prefix_length > CFGS_KEY_MAX_BYTES)
        return CFGS_ERR_INVALID;
    memcpy(section.prefix, key, section.prefix_length);
    if (section.prefix_length > 0)
        section.prefix[section.prefix_length++] = '.';
    int err = read_leaves(reader, &section);
    *facts = section.facts;
    if (err == CFGS_OK && !facts->any)
        err = CFGS_ERR_NOT_FOUND;
    if (err == CFGS_OK && part != SECTION_FACTS)
        err = build_copy(&section, out);
    buffer_free(&section.bytes);
    buffer_free(&section.leaves);
    return err;
}

int cfgs_get_section(cfgs_reader *reader, const char *section, cfgs_copy **out)
{
    struct section_facts facts;
    return section_read(reader, section, SECTION_ALL, &facts, out);
}

int cfgs_get_configured_section(cfgs_reader *reader, const char *section, cfgs_copy **out)
{
    struct section_facts facts;
    return section_read(reader, section, SECTION_CONFIGURED, &facts, out);
}
