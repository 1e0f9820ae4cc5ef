/*
 * point_read.h: one key, now: a view of one key, tried again while banks are recycled under it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_POINT_READ_H
#define CFGS_POINT_READ_H

#include "reader_private.h"
#include <configstream/error.h>
#include <configstream/get.h>

/* Where a text goes; point reads of text copy it before validation. */
struct text_target {
    char *buffer;
    size_t capacity, *length;
};

/* What a point read can bring back; taken before validation, handed out after it. */
union taken {
    bool boolean;
    int64_t integer;
    double number;
    uint64_t bytes;
    int source;
    cfgs_copy *copy;
    struct text_target text;
};

typedef int take_fn(const struct record *record, union taken *out);
take_fn take_bool, take_int, take_double, take_duration, take_size, take_text;

static inline bool key_is_valid(const char *key, size_t *length)
{
    *length = strlen(key);
    return *length >= 1 && *length <= CFGS_KEY_MAX_BYTES;
}

/*
 * What a finished look means: true: take err as the result; false: look again.  err as bank_view_find() or a take
 * function gave it.
 */
static inline bool look_counts(cfgs_reader *reader, const cfgs_view *view, int err)
{
    if (!bank_view_valid(view))
        return false;
    /* Out of bounds in a valid bank: the file grew since we looked, or it is damaged. */
    return err != CFGS_ERR_CORRUPT || !reader_grow(reader, view_attachment(view), view->mapped);
}

#endif
