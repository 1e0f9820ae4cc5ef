/*
 * section.c: the settings below a section as one nested map.
 *
 * One pass of a view collects copies of what lies below; sorted by key, the nesting can be built front to back.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "buffer.h"
#include <configstream/error.h>
#include <configstream/get.h>
#include <configstream/view.h>
#include <stdlib.h>
#include <string.h>

struct leaf {
    size_t key_at, key_length; /* in bytes, behind the section's prefix */
    size_t value_at;           /* of the value's bytes; its other parts stand in value */
    cfgs_value value;
};

struct section {
    struct buffer bytes, leaves; /* texts, and struct leaf */
};

static size_t leaf_count(const struct section *section)
{
    return section->leaves.length / sizeof(struct leaf);
}

static bool remember_leaf(struct section *section, const cfgs_setting *setting, size_t skip)
{
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

static int collect(cfgs_view *view, const char *prefix, size_t length, struct section *section)
{
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    int more;

    section->bytes.length = section->leaves.length = 0;
    while ((more = cfgs_view_next(view, &iterator, prefix, length, &setting)) == 1)
        if (setting.key.length > length && !remember_leaf(section, &setting, length))
            return CFGS_ERR_MEMORY;
    return CFGS_OK; /* a negative `more` is the view's to judge */
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

    if (leaf_count(section) == 0)
        return CFGS_ERR_NOT_FOUND;
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

int cfgs_get_section(cfgs_reader *reader, const char *section_key, cfgs_copy **out)
{
    char prefix[CFGS_KEY_MAX_BYTES + 2];
    size_t length = strnlen(section_key, CFGS_KEY_MAX_BYTES + 1);
    struct section section = {0};
    cfgs_view view;

    if (length > CFGS_KEY_MAX_BYTES)
        return CFGS_ERR_INVALID;
    memcpy(prefix, section_key, length);
    if (length > 0)
        prefix[length++] = '.';
    int err = cfgs_view_begin(reader, &view);
    if (err == CFGS_OK) {
        do {
            err = collect(&view, prefix, length, &section);
        } while (cfgs_view_retry(&view));
        if (err == CFGS_OK)
            err = cfgs_view_error(&view);
    }
    if (err == CFGS_OK)
        err = build_copy(&section, out);
    buffer_free(&section.bytes);
    buffer_free(&section.leaves);
    return err;
}
