/*
 * reads.c: loops over keys of one kind, as a call site in a program has one kind: no switch inside the loop.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reads.h"
#include "rig.h"
#include <stdlib.h>

const cfgs_kind read_kinds[READ_KINDS] = {CFGS_KIND_BOOL, CFGS_KIND_INT, CFGS_KIND_DOUBLE, CFGS_KIND_STRING};

static void failed(const char *key, int err)
{
    rig_die("wrong result: reading '%s': %s", key, cfgs_strerror(err));
}

uint64_t read_by_key(cfgs_reader *reader, cfgs_kind kind, const struct entry *const *at, size_t count)
{
    uint64_t sum = 0;
    int err = CFGS_OK;
    size_t i;

    if (kind == CFGS_KIND_BOOL) {
        bool value = false;
        for (i = 0; i < count && (err = cfgs_get_bool(reader, at[i]->key, &value)) == CFGS_OK; i++)
            sum += value;
    } else if (kind == CFGS_KIND_INT) {
        int64_t value = 0;
        for (i = 0; i < count && (err = cfgs_get_int(reader, at[i]->key, &value)) == CFGS_OK; i++)
            sum += (uint64_t)value;
    } else if (kind == CFGS_KIND_DOUBLE) {
        double value = 0;
        for (i = 0; i < count && (err = cfgs_get_double(reader, at[i]->key, &value)) == CFGS_OK; i++)
            sum += fold_double(value);
    } else {
        char text[128];
        size_t length = 0;
        for (i = 0; i < count; i++) {
            if ((err = cfgs_get_string(reader, at[i]->key, text, sizeof text, &length)) != CFGS_OK)
                break;
            sum += fold_bytes(text, length);
        }
    }
    if (err != CFGS_OK)
        failed(at[i]->key, err);
    return sum;
}

uint64_t read_by_handle(cfgs_kind kind, const struct handle_list *handles)
{
    cfgs_handle *const *at = handles->at;
    size_t count = handles->count, i;
    uint64_t sum = 0;
    int err = CFGS_OK;

    if (kind == CFGS_KIND_BOOL) {
        bool value = false;
        for (i = 0; i < count && (err = cfgs_handle_get_bool(at[i], &value)) == CFGS_OK; i++)
            sum += value;
    } else if (kind == CFGS_KIND_INT) {
        int64_t value = 0;
        for (i = 0; i < count && (err = cfgs_handle_get_int(at[i], &value)) == CFGS_OK; i++)
            sum += (uint64_t)value;
    } else if (kind == CFGS_KIND_DOUBLE) {
        double value = 0;
        for (i = 0; i < count && (err = cfgs_handle_get_double(at[i], &value)) == CFGS_OK; i++)
            sum += fold_double(value);
    } else {
        char text[128];
        size_t length = 0;
        for (i = 0; i < count && (err = cfgs_handle_get_string(at[i], text, sizeof text, &length)) == CFGS_OK; i++)
            sum += fold_bytes(text, length);
    }
    if (err != CFGS_OK)
        failed("(a handle)", err);
    return sum;
}

struct handle_list handles_new(cfgs_reader *reader, const struct entry_list *entries)
{
    struct handle_list list = {.at = calloc(entries->count + 1, sizeof *list.at), .count = entries->count};

    if (list.at == NULL)
        rig_die("out of memory");
    for (size_t i = 0; i < list.count; i++)
        rig_check(cfgs_handle_new(reader, entries->at[i]->key, &list.at[i]), "making a handle");
    return list;
}

void handles_free(struct handle_list *handles)
{
    for (size_t i = 0; i < handles->count; i++)
        cfgs_handle_free(handles->at[i]);
    free(handles->at);
    *handles = (struct handle_list){0};
}

uint64_t read_expected(const struct entry *const *at, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += fold_value(&at[i]->value[0]);
    return sum;
}

static int view_read(cfgs_view *view, const struct entry *entry, uint64_t *fold)
{
    int err;

    switch (entry->value[0].kind) {
    case CFGS_KIND_BOOL: {
        bool value = false;
        err = cfgs_view_get_bool(view, entry->key, &value);
        *fold = value;
        return err;
    }
    case CFGS_KIND_INT: {
        int64_t value = 0;
        err = cfgs_view_get_int(view, entry->key, &value);
        *fold = (uint64_t)value;
        return err;
    }
    case CFGS_KIND_DOUBLE: {
        double value = 0;
        err = cfgs_view_get_double(view, entry->key, &value);
        *fold = fold_double(value);
        return err;
    }
    default: {
        cfgs_bytes value = {"", 0};
        err = cfgs_view_get_string(view, entry->key, &value);
        *fold = fold_bytes(value.data, value.length);
        return err;
    }
    }
}

uint64_t read_view(cfgs_reader *reader, const struct view_keys *keys)
{
    uint64_t sum, fold = 0;
    cfgs_view view;
    int err = cfgs_view_begin(reader, &view);

    if (err != CFGS_OK)
        failed("(a view)", err);
    do {
        sum = 0;
        err = CFGS_OK;
        for (size_t i = 0; i < VIEW_KEYS && err == CFGS_OK; i++) {
            err = view_read(&view, keys->at[i], &fold);
            sum += fold;
        }
    } while (cfgs_view_retry(&view));
    if (err != CFGS_OK || (err = cfgs_view_error(&view)) != CFGS_OK)
        failed("(in a view)", err);
    return sum;
}
