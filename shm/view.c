/* view.c: the public face of bank_view.h.  SPDX-License-Identifier: Apache-2.0 */
#include "bank_view.h"
#include "reader_private.h"
#include <configstream/error.h>

static int begin_round(cfgs_view *view)
{
    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        const struct attachment *attachment;
        int err = reader_attachment(view->reader, &attachment);
        if (err == CFGS_OK)
            err = bank_view_begin(attachment, view);
        if (err != CFGS_ERR_LAPPED)
            return err;
    }
    return CFGS_ERR_BUSY;
}

int cfgs_view_begin(cfgs_reader *reader, cfgs_view *view)
{
    *view = (cfgs_view){.reader = reader};
    view->error = begin_round(view);
    if (view->error != CFGS_OK)
        view->attachment = NULL;
    return view->error;
}

int cfgs_view_at(cfgs_reader *reader, const cfgs_event *event, cfgs_view *view)
{
    struct cursor *cursor = &reader->cursor;

    if (event->kind != CFGS_EVENT_SNAPSHOT || !cursor->at_snapshot || event->sequence != cursor->sequence)
        return CFGS_ERR_INVALID;
    *view = (cfgs_view){.reader = reader};
    int err = bank_view_pin(cursor->attachment, cursor->snapshot_route, cursor->sequence, view);
    if (err == CFGS_ERR_LAPPED)
        cursor->due = CFGS_SNAPSHOT_LAPPED;
    return err;
}

/* The view's bank is gone: begin anew, or, if it stood for a snapshot event, make another snapshot due. */
static bool start_over(cfgs_view *view)
{
    if (view->reader == NULL) { /* a publisher's own view, used beyond its next publishing call */
        view->error = CFGS_ERR_LAPPED;
        return false;
    }
    if (view->pinned) {
        view->reader->cursor.due = CFGS_SNAPSHOT_LAPPED;
        view->error = CFGS_ERR_LAPPED;
        return false;
    }
    if (++view->rounds >= CFGS_VIEW_ROUNDS) {
        view->error = CFGS_ERR_BUSY;
        return false;
    }
    view->error = begin_round(view);
    return view->error == CFGS_OK;
}

bool cfgs_view_retry(cfgs_view *view)
{
    int err = view->error;

    if (view->attachment == NULL)
        return false; /* it never began; cfgs_view_error() says why */
    if (!bank_view_valid(view))
        return start_over(view);
    if (err == CFGS_ERR_CORRUPT && view->reader != NULL &&
        reader_grow(view->reader, view_attachment(view), view->mapped) &&
        ++view->rounds < CFGS_VIEW_ROUNDS) {
        /* The file grew since the view began; the bank is still there. */
        if (!view->pinned)
            return start_over(view);
        /* [private] relaxed: monotonic, of this process. */
        view->mapped = word_load_relaxed(&view_attachment(view)->mapped);
        view->error = CFGS_OK;
        return true;
    }
    return false;
}

int cfgs_view_error(const cfgs_view *view)
{
    return view->error;
}

uint64_t cfgs_view_sequence(const cfgs_view *view)
{
    return view->sequence;
}

static int find(cfgs_view *view, const char *key, struct record *record)
{
    struct lookup lookup = {.key = key, .length = strnlen(key, CFGS_KEY_MAX_BYTES + 1)};

    if (lookup.length < 1 || lookup.length > CFGS_KEY_MAX_BYTES)
        return CFGS_ERR_INVALID;
    if (view->attachment == NULL)
        return view->error;
    lookup.hash = index_hash(key, lookup.length, view_attachment(view)->hash_seed);
    int err = bank_view_find(view, &lookup, record);
    if (err == CFGS_ERR_CORRUPT)
        view->error = err; /* for cfgs_view_retry(), which knows whether it counts */
    return err;
}

int cfgs_view_get(cfgs_view *view, const char *key, cfgs_setting *out)
{
    struct record record;
    int err = find(view, key, &record);

    if (err == CFGS_OK)
        record_setting(&record, out);
    return err;
}

#define VIEW_GETTER(name, type, from_value)                                                                            \
    int name(cfgs_view *view, const char *key, type *out)                                                              \
    {                                                                                                                  \
        struct record record;                                                                                          \
        int err = find(view, key, &record);                                                                            \
        if (err != CFGS_OK)                                                                                            \
            return err;                                                                                                \
        cfgs_value value = record_value(&record);                                                                      \
        return from_value(&value, out);                                                                                \
    }

VIEW_GETTER(cfgs_view_get_bool, bool, cfgs_value_get_bool)
VIEW_GETTER(cfgs_view_get_int, int64_t, cfgs_value_get_int)
VIEW_GETTER(cfgs_view_get_double, double, cfgs_value_get_double)
VIEW_GETTER(cfgs_view_get_string, cfgs_bytes, cfgs_value_get_string)
VIEW_GETTER(cfgs_view_get_duration, int64_t, cfgs_value_get_duration)
VIEW_GETTER(cfgs_view_get_size, uint64_t, cfgs_value_get_size)

int cfgs_view_next(cfgs_view *view, cfgs_iterator *iterator, const char *prefix, size_t length, cfgs_setting *out)
{
    struct record record;
    int more;

    if (view->attachment == NULL)
        return view->error;
    while ((more = bank_view_next(view, &iterator->cell, &record)) == 1) {
        if (record.head.key_length < length || (length > 0 && memcmp(record.key, prefix, length) != 0))
            continue;
        record_setting(&record, out);
        return 1;
    }
    if (more < 0)
        view->error = more;
    return more;
}
