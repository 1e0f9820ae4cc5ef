/* cli/held.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/held.h"

#include <stdlib.h>
#include <string.h>

static bool make_room(struct held_list *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity ? list->capacity * 2 : 16;
    struct held *items = reallocarray(list->items, capacity, sizeof *items);
    if (!items)
        return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

bool held_add(struct held_list *list, const cfgs_setting *setting)
{
    size_t key = setting->key.length, source = setting->source_name.length;
    if (!make_room(list))
        return false;
    struct held *held = &list->items[list->count];
    *held = (struct held){.setting = *setting, .texts = malloc(key + source + 1)};
    if (!held->texts || cfgs_value_copy(&setting->value, &held->value) != CFGS_OK) {
        free(held->texts);
        return false;
    }
    memcpy(held->texts, setting->key.data, key);
    if (source)
        memcpy(held->texts + key, setting->source_name.data, source);
    held->setting.key.data = held->texts;
    held->setting.source_name.data = held->texts + key;
    held->setting.value = *cfgs_copy_value(held->value);
    list->count++;
    return true;
}

void held_clear(struct held_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        cfgs_copy_free(list->items[i].value);
        free(list->items[i].texts);
    }
    free(list->items);
    *list = (struct held_list){0};
}

static int compare(const void *left, const void *right)
{
    const struct held *a = left, *b = right;
    size_t shorter = a->setting.key.length < b->setting.key.length ? a->setting.key.length : b->setting.key.length;
    int order = memcmp(a->setting.key.data, b->setting.key.data, shorter);
    if (order)
        return order;
    return a->setting.key.length < b->setting.key.length ? -1 : a->setting.key.length > b->setting.key.length;
}

void held_sort(struct held_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare);
}

static int read_round(cfgs_view *view, const char *prefix, struct held_list *list)
{
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    int got;
    held_clear(list);
    while ((got = cfgs_view_next(view, &iterator, prefix, strlen(prefix), &setting)) == 1)
        if (!held_add(list, &setting))
            return CFGS_ERR_MEMORY;
    return got;
}

int held_read_all(cfgs_reader *reader, const char *prefix, struct held_list *list, uint64_t *sequence)
{
    cfgs_view view;
    int error = cfgs_view_begin(reader, &view);
    if (error != CFGS_OK)
        return error;
    do {
        error = read_round(&view, prefix, list);
    } while (cfgs_view_retry(&view));
    *sequence = cfgs_view_sequence(&view);
    return cfgs_view_error(&view) != CFGS_OK ? cfgs_view_error(&view) : error;
}

static int read_one(cfgs_view *view, const char *key, struct held_list *list)
{
    cfgs_setting setting;
    held_clear(list);
    int error = cfgs_view_get(view, key, &setting);
    if (error == CFGS_OK && !held_add(list, &setting))
        error = CFGS_ERR_MEMORY;
    return error;
}

int held_read(cfgs_reader *reader, const char *key, struct held_list *list)
{
    cfgs_view view;
    int error = cfgs_view_begin(reader, &view);
    if (error != CFGS_OK)
        return error;
    do {
        error = read_one(&view, key, list);
    } while (cfgs_view_retry(&view));
    return cfgs_view_error(&view) != CFGS_OK ? cfgs_view_error(&view) : error;
}
