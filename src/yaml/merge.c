/* yaml/merge.c  SPDX-License-Identifier: Apache-2.0 */
#include "yaml/merge.h"

#include "yaml/pool.h"

#include <string.h>

/* Up to this many entries comparing all pairs is cheaper than a hash table. */
enum { SMALL_MAP = 24 };

static bool same_key(const struct node *a, const struct node *b)
{
    return a->key_length == b->key_length && memcmp(a->key, b->key, a->key_length) == 0;
}

static void warn_duplicate(struct build *build, const struct node *later, const struct node *earlier)
{
    warnings_add(build->warnings, build->doc->file, later->key_line, later->key_column,
                 "the key '%.200s' is given twice; this one counts, not the one in line %u", later->key,
                 earlier->key_line);
}

static void drop_in_small_map(struct build *build, struct node *map)
{
    for (struct node **link = &map->as.first; *link;) {
        const struct node *later = (*link)->next;
        while (later && !same_key(*link, later))
            later = later->next;
        if (!later) {
            link = &(*link)->next;
            continue;
        }
        warn_duplicate(build, later, *link);
        *link = (*link)->next;
    }
}

static bool drop_in_large_map(struct build *build, struct node *map)
{
    struct table last = {0};
    bool ok = true;
    for (struct node *child = map->as.first; child && ok; child = child->next) {
        void **slot = table_put(&last, child->key, child->key_length);
        if (!slot) {
            ok = problem_memory(build->problem);
            break;
        }
        if (*slot)
            warn_duplicate(build, child, *slot);
        *slot = child;
    }
    for (struct node **link = &map->as.first; *link && ok;) {
        if (table_get(&last, (*link)->key, (*link)->key_length) == *link)
            link = &(*link)->next;
        else
            *link = (*link)->next;
    }
    table_clear(&last, NULL);
    return ok;
}

bool merge_drop_duplicates(struct build *build, struct node *map)
{
    unsigned count = 0;
    for (const struct node *child = map->as.first; child && count <= SMALL_MAP; child = child->next)
        count++;
    if (count > SMALL_MAP)
        return drop_in_large_map(build, map);
    drop_in_small_map(build, map);
    return true;
}

struct merge {
    struct build *build;
    struct node *map, *last;
    struct table keys;
};

static bool note_key(struct merge *merge, struct node *child)
{
    void **slot = table_put(&merge->keys, child->key, child->key_length);
    if (!slot)
        return problem_memory(merge->build->problem);
    *slot = child;
    return true;
}

/* That the entry is within the limits was seen when the source was built. */
static bool add_entry(struct merge *merge, const struct node *entry)
{
    struct build *build = merge->build;
    if (table_get(&merge->keys, entry->key, entry->key_length))
        return true;
    struct node *copy = pool_alloc(&build->doc->blocks, sizeof *copy);
    if (!copy)
        return problem_memory(build->problem);
    *copy = *entry;
    copy->next = NULL;
    if (merge->last)
        merge->last->next = copy;
    else
        merge->map->as.first = copy;
    merge->last = copy;
    return note_key(merge, copy);
}

static bool add_map(struct merge *merge, const struct node *source)
{
    if (source->kind != NODE_MAP)
        return build_refuse(merge->build, (struct place){source->line, source->column},
                            "'<<' takes a map or a list of maps, not this %s; put the key in quotes if it is no merge",
                            node_kind_name(source->kind));
    for (const struct node *entry = source->as.first; entry; entry = entry->next)
        if (!add_entry(merge, entry))
            return false;
    return true;
}

static bool add_source(struct merge *merge, const struct node *source)
{
    if (source->kind == NODE_NULL)
        return true;
    if (source->kind != NODE_LIST)
        return add_map(merge, source);
    for (const struct node *item = source->as.first; item; item = item->next)
        if (!add_map(merge, item))
            return false;
    return true;
}

bool merge_apply(struct build *build, struct frame *frame)
{
    if (!frame->merges)
        return true;
    struct merge merge = {.build = build, .map = frame->container};
    bool ok = true;
    for (struct node *child = merge.map->as.first; child && ok; child = child->next) {
        ok = note_key(&merge, child);
        merge.last = child;
    }
    for (const struct node *source = frame->merges; source && ok; source = source->next)
        ok = add_source(&merge, source);
    table_clear(&merge.keys, NULL);
    return ok;
}
