/*
 * encoded.c: the stream as bytes, for cursors that are only a number: rows S2, S4 to S6 of the protocol as in stream.c,
 * with the caller's buffer in place of the cursor's.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arena_info.h"
#include "reader_private.h"
#include "wire.h"
#include <configstream/encoded.h>

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static uint64_t oldest_in_ring(const struct attachment *attachment, uint64_t sequence)
{
    uint64_t first = attachment->base_sequence + 1;

    if (sequence - attachment->base_sequence < attachment->ring_slots)
        return first;
    return sequence - attachment->ring_slots + 1;
}

/* Another number with each store to the info block, and with each arena, whose instance id begins the path. */
static uint64_t origin_version(const struct attachment *attachment)
{
    /* [info] acquire: who then loads the block sees it as of this version or later; odd is another number, too. */
    return attachment->number << 40 ^ word_load_acquire(&attachment->header->info_version);
}

int cfgs_encoded_look(cfgs_reader *reader, cfgs_encoded_head *out)
{
    if (fork_guard_forked(&reader->guard))
        return CFGS_ERR_FORKED;
    notifier_drain(reader);
    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        const struct attachment *attachment;
        cfgs_view view;
        int err = reader_attachment(reader, &attachment);
        if (err == CFGS_OK)
            err = bank_view_begin(attachment, &view);
        if (err == CFGS_ERR_LAPPED || (err == CFGS_OK && !bank_view_valid(&view)))
            continue;
        if (err == CFGS_OK)
            *out = (cfgs_encoded_head){.arena = attachment->number,
                                       .sequence = view.sequence,
                                       .oldest = oldest_in_ring(attachment, view.sequence),
                                       .origin_version = origin_version(attachment)};
        return err;
    }
    return CFGS_ERR_BUSY;
}

/* The attached arena's info block.  CFGS_ERR_NOT_READY: a producer is writing it, or died while it did. */
static int load_info(cfgs_reader *reader, const struct attachment **attachment, struct arena_info *info)
{
    *attachment = NULL;
    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        const struct attachment *now;
        int err = reader_attachment(reader, attachment);
        if (err != CFGS_OK)
            return err;
        if (info_load((*attachment)->header, info))
            return CFGS_OK;
        /* Retired under us, it reads as nothing: what has its place now is there by then. */
        if (reader_attachment(reader, &now) != CFGS_OK || now == *attachment)
            break;
    }
    return CFGS_ERR_NOT_READY;
}

int cfgs_encoded_origin(cfgs_reader *reader, char origin[256])
{
    const struct attachment *attachment;
    struct arena_info info;
    int err = load_info(reader, &attachment, &info);

    if (err == CFGS_ERR_NOT_READY && attachment != NULL)
        err = CFGS_OK; /* while a producer writes it, it reads as empty */
    if (err == CFGS_OK)
        memcpy(origin, info.origin, sizeof info.origin);
    return err;
}

int cfgs_encoded_path(cfgs_reader *reader, uint8_t path[1 + CFGS_UPSTREAM_PATH_MAX][16], uint64_t *wire_base)
{
    const struct attachment *attachment;
    struct arena_info info;
    int err = load_info(reader, &attachment, &info);

    if (err != CFGS_OK)
        return err;
    if (info.relay_path_length > CFGS_UPSTREAM_PATH_MAX)
        return CFGS_ERR_CORRUPT;
    memcpy(path[0], attachment->instance_id, sizeof path[0]);
    memcpy(path[1], info.relay_path, sizeof path[0] * info.relay_path_length);
    if (wire_base != NULL)
        *wire_base = info.relay_wire_base;
    return 1 + (int)info.relay_path_length;
}

/* ---- one update -------------------------------------------------------------------------------------------------- */

/* Where field 3 of a ConfigSetting lies, by the bytes.  False: they are not such a message. */
static bool find_value(const char *setting, size_t length, cfgs_encoded_update *out)
{
    const char *at = setting, *end = setting + length, *data;
    size_t bytes;

    while (at < end) {
        const char *field = at++;
        if (!wire_get_bytes(&at, end, &data, &bytes))
            return false;
        if (*field == (char)WIRE_TAG(3, WIRE_BYTES)) {
            out->value_at = (size_t)(field - setting);
            out->value_length = (size_t)(at - field);
        }
    }
    return true;
}

/* Row S5: the encoding of the record at the slot's offset.  CFGS_ERR_CORRUPT: out of bounds (which S6 may overrule). */
static int copy_encoding(const struct attachment *attachment, uint64_t mapped, const struct ring_entry *entry,
                         uint64_t sequence, void *buffer, size_t capacity, cfgs_encoded_update *out)
{
    struct record record;

    if (!record_open(attachment->header, mapped, entry->offset, &record) || record.head.sequence != sequence ||
        record.bytes != entry->length)
        return CFGS_ERR_CORRUPT;
    *out = (cfgs_encoded_update){.length = record.head.encoded_length,
                                 .flags = record.head.flags & RECORD_SETTING_FLAGS,
                                 .removed = (record.head.flags & RECORD_TOMBSTONE) != 0};
    if (out->length > capacity)
        return CFGS_ERR_BUFFER;
    record_copy_out(&record, 0, out->length, buffer);
    return CFGS_OK;
}

/* Rows S4 to S6 for an ID that is committed.  CFGS_ERR_BUSY: look once more, the file grew. */
static int take(cfgs_reader *reader, const struct attachment *attachment, uint64_t sequence, void *buffer,
                size_t capacity, cfgs_encoded_update *out)
{
    const struct ring_slot *slot = attachment_slot(attachment, sequence);
    struct ring_entry entry;

    if (!ring_take(slot, sequence, &entry))
        return CFGS_ERR_LAPPED;
    /* [private] relaxed: monotonic, of this process. */
    uint64_t mapped = word_load_relaxed(&attachment->mapped);
    int err = copy_encoding(attachment, mapped, &entry, sequence, buffer, capacity, out);
    if (!ring_still(slot, sequence, &attachment->header->bank[route_bank(entry.route)].version, entry.route))
        return CFGS_ERR_LAPPED;
    if (err == CFGS_OK && !out->removed && !find_value(buffer, out->length, out))
        return CFGS_ERR_CORRUPT;
    return err == CFGS_ERR_CORRUPT && reader_grow(reader, attachment, mapped) ? CFGS_ERR_BUSY : err;
}

int cfgs_encoded_take(cfgs_reader *reader, uint64_t arena, uint64_t sequence, void *buffer, size_t capacity,
                      cfgs_encoded_update *out)
{
    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        const struct attachment *attachment;
        uint64_t committed;
        int err = reader_attachment(reader, &attachment);
        if (err != CFGS_OK)
            return err;
        if (attachment->number != arena || sequence <= attachment->base_sequence)
            return CFGS_ERR_LAPPED;
        if (!bank_view_committed(attachment->header, &committed))
            continue;
        if (sequence > committed)
            return CFGS_ERR_NOT_FOUND;
        err = take(reader, attachment, sequence, buffer, capacity, out);
        if (err != CFGS_ERR_BUSY)
            return err;
    }
    return CFGS_ERR_BUSY;
}

/* ---- a view ------------------------------------------------------------------------------------------------------ */

uint64_t cfgs_view_arena(const cfgs_view *view, uint8_t instance_id[16])
{
    const struct attachment *attachment = view_attachment(view);

    if (attachment == NULL)
        return 0;
    memcpy(instance_id, attachment->instance_id, sizeof attachment->instance_id);
    return attachment->number;
}

int cfgs_view_next_encoded(cfgs_view *view, cfgs_iterator *iterator, cfgs_bytes *setting, unsigned *flags)
{
    struct record record;

    if (view->attachment == NULL)
        return view->error;
    int more = bank_view_next(view, &iterator->cell, &record);
    if (more < 0)
        view->error = more;
    if (more != 1)
        return more;
    *setting = (cfgs_bytes){record.encoding, record.head.setting_length};
    *flags = record.head.flags & RECORD_SETTING_FLAGS;
    return 1;
}
