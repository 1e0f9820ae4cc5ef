/*
 * point_read.h: one key, now: a view of one key, tried again while banks are recycled under it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_POINT_READ_H
#define CFGS_POINT_READ_H

#include "reader_private.h"
#include <configstream/error.h>
#include <configstream/get.h>

/* What a point read can bring back; taken before validation, handed out after it. */
union taken {
    bool boolean;
    int64_t integer;
    double number;
    uint64_t bytes;
    int source;
    cfgs_copy *copy;
};

typedef int take_fn(const struct record *record, union taken *out);
take_fn take_bool, take_int, take_double, take_duration, take_size;

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

/* Where a text goes; point reads of text copy it before validation. */
struct text_target {
    char *buffer;
    size_t capacity, *length;
};

/* Copy a text out, with its NUL.  CFGS_ERR_BUFFER if it does not fit; *length is written in both cases. */
static inline int take_text(const struct record *record, const struct text_target *target)
{
    size_t length = record->head.value_length;

    if (record->head.kind != CFGS_KIND_STRING)
        return CFGS_ERR_KIND;
    if (target->length != NULL)
        *target->length = length;
    if (length >= target->capacity)
        return CFGS_ERR_BUFFER;
    record_copy_out(record, record->head.value_at, length, target->buffer);
    target->buffer[length] = '\0';
    return CFGS_OK;
}

#endif
