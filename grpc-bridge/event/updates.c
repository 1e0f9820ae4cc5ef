/* event/updates.c  SPDX-License-Identifier: Apache-2.0 */
#include "event/updates.h"

#include "event/message.h"
#include "http2/framing.h"

#include <stdlib.h>

enum {
    KEPT = 64,                /* updates, by their IDs' last bits */
    KEPT_BYTES = 64 * 1024,   /* what is larger is kept one at a time */
    HELD_BYTES = 64 << 20,
    TAKE_BYTES = 4096,
    TAKE_ROUNDS = 16,
    ORIGIN_BYTES = 256
};

struct frame {
    struct update_frame shown;
    uint64_t arena, sequence;
    unsigned references, holders; /* one thread's: plain numbers */
    size_t message_length;        /* of the ConfigUpdate, which ends the bytes */
    uint8_t bytes[];
};

struct update_frames {
    struct frame *kept[KEPT], *large, *filled;
    size_t held_bytes;
    uint8_t *taken; /* ConfigUpdate under construction */
    size_t capacity;
};

struct update_frames *update_frames_new(void)
{
    return calloc(1, sizeof(struct update_frames));
}

static void let_go(struct frame *frame)
{
    if (frame && --frame->references == 0)
        free(frame);
}

void update_frames_free(struct update_frames *frames)
{
    if (!frames)
        return;
    for (size_t i = 0; i < KEPT; i++)
        let_go(frames->kept[i]);
    let_go(frames->large);
    let_go(frames->filled);
    free(frames->taken);
    free(frames);
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

static struct frame *make_frame(const uint8_t *message, size_t length, size_t filling)
{
    size_t update = length + filling_size(filling), event = field_size(update);
    struct frame *frame = malloc(sizeof *frame + GRPC_PREFIX_BYTES + event);
    if (!frame)
        return NULL;
    *frame = (struct frame){.references = 1, .message_length = length,
                            .shown = {.bytes = frame->bytes, .length = GRPC_PREFIX_BYTES + event}};
    framing_write_prefix(frame->bytes, event);
    uint8_t *to = put_head(frame->bytes + GRPC_PREFIX_BYTES, TAG_UPDATE, update);
    memcpy(put_filling(to, filling), message, length);
    return frame;
}

/* A value without a form in a stream stays on this host; that the key changed, and its source, is told. */
static void leave_value_out(uint8_t *setting, cfgs_encoded_update *update)
{
    size_t end = update->value_at + update->value_length;
    memmove(setting + update->value_at, setting + end, update->length - end);
    update->length -= update->value_length;
}

/* Room for a setting of this length, what stands before it included. */
static bool reserve(struct update_frames *frames, size_t setting_length)
{
    size_t wanted = ORIGIN_BYTES + 3 * MESSAGE_HEAD_MAX_BYTES + setting_length;
    if (wanted <= frames->capacity)
        return true;
    uint8_t *taken = realloc(frames->taken, wanted);
    if (!taken)
        return false;
    frames->taken = taken;
    frames->capacity = wanted;
    return true;
}

/* The setting, behind room for what stands before it. */
static int take(struct update_frames *frames, cfgs_reader *reader, uint64_t arena, uint64_t sequence,
                cfgs_encoded_update *update)
{
    int result = CFGS_ERR_BUFFER;
    update->length = TAKE_BYTES;
    for (int round = 0; round < TAKE_ROUNDS && result == CFGS_ERR_BUFFER; round++) {
        if (!reserve(frames, update->length))
            return CFGS_ERR_MEMORY;
        size_t before = ORIGIN_BYTES + 3 * MESSAGE_HEAD_MAX_BYTES;
        result = cfgs_encoded_take(reader, arena, sequence, frames->taken + before, frames->capacity - before, update);
    }
    return result == CFGS_ERR_BUFFER ? CFGS_ERR_BUSY : result;
}

static int build(struct update_frames *frames, cfgs_reader *reader, uint64_t arena, uint64_t sequence,
                 struct frame **out)
{
    char origin[ORIGIN_BYTES];
    uint8_t head[ORIGIN_BYTES + 3 * MESSAGE_HEAD_MAX_BYTES];
    cfgs_encoded_update update;
    int result = take(frames, reader, arena, sequence, &update);
    if (result == CFGS_OK)
        result = cfgs_encoded_origin(reader, origin);
    if (result != CFGS_OK)
        return result;
    uint8_t *setting = frames->taken + sizeof head;
    bool clears_source = update.removed || update.value_at + update.value_length < update.length;
    if (update.flags & CFGS_SETTING_LOCAL && !update.removed)
        leave_value_out(setting, &update);
    uint8_t *end = put_bytes(head, TAG_ORIGIN, origin, strnlen(origin, sizeof origin));
    end = put_head(end, TAG_SEQUENCE, (uint64_t)wire_id(sequence));
    end = put_head(end, TAG_SETTING, update.length);
    size_t head_length = (size_t)(end - head);
    memcpy(setting - head_length, head, head_length);
    struct frame *frame = make_frame(setting - head_length, head_length + update.length, 0);
    if (!frame)
        return CFGS_ERR_MEMORY;
    frame->arena = arena;
    frame->sequence = sequence;
    frame->shown.clears_source = clears_source;
    *out = frame;
    return CFGS_OK;
}

/* ---- finding one ------------------------------------------------------------------------------------------------- */

static void keep(struct frame **place, struct frame *frame)
{
    let_go(*place);
    *place = frame;
}

static bool is_it(const struct frame *frame, uint64_t arena, uint64_t sequence)
{
    return frame && frame->sequence == sequence && frame->arena == arena;
}

static void keep_built(struct update_frames *frames, struct frame *frame)
{
    bool large = frame->shown.length > KEPT_BYTES;
    keep(large ? &frames->large : &frames->kept[frame->sequence % KEPT], frame);
    if (large) { /* and so is what it was made in */
        free(frames->taken);
        frames->taken = NULL;
        frames->capacity = 0;
    }
}

static int find(struct update_frames *frames, cfgs_reader *reader, uint64_t arena, uint64_t sequence,
                struct frame **out)
{
    *out = frames->kept[sequence % KEPT];
    if (is_it(*out, arena, sequence))
        return CFGS_OK;
    *out = frames->large;
    if (is_it(*out, arena, sequence))
        return CFGS_OK;
    int result = build(frames, reader, arena, sequence, out);
    if (result == CFGS_OK)
        keep_built(frames, *out);
    return result;
}

/* The same message, longer. */
static struct frame *fill_up(struct update_frames *frames, const struct frame *frame, size_t at_least)
{
    const uint8_t *message = frame->bytes + frame->shown.length - frame->message_length;
    struct frame *filled = make_frame(message, frame->message_length, at_least - frame->shown.length);
    if (!filled)
        return NULL;
    filled->shown.clears_source = frame->shown.clears_source;
    keep(&frames->filled, filled);
    return filled;
}

int update_frames_get(struct update_frames *frames, cfgs_reader *reader, uint64_t arena, uint64_t sequence,
                      size_t at_least, const struct update_frame **out)
{
    struct frame *frame;
    int result = find(frames, reader, arena, sequence, &frame);
    if (result == CFGS_OK && frame->shown.length < at_least)
        frame = fill_up(frames, frame, at_least);
    if (result != CFGS_OK || !frame)
        return result != CFGS_OK ? result : CFGS_ERR_MEMORY;
    *out = &frame->shown;
    return CFGS_OK;
}

/* ---- holding one ------------------------------------------------------------------------------------------------- */

static struct frame *of_shown(const struct update_frame *shown)
{
    return (struct frame *)((uintptr_t)shown - offsetof(struct frame, shown));
}

bool update_frames_hold(struct update_frames *frames, const struct update_frame *shown)
{
    struct frame *frame = of_shown(shown);
    if (frame->holders == 0) {
        if (frames->held_bytes + shown->length > HELD_BYTES)
            return false;
        frames->held_bytes += shown->length;
    }
    frame->holders++;
    frame->references++;
    return true;
}

void update_frames_release(struct update_frames *frames, const struct update_frame *shown)
{
    struct frame *frame = of_shown(shown);
    if (--frame->holders == 0)
        frames->held_bytes -= shown->length;
    let_go(frame);
}

/* ---- IDs --------------------------------------------------------------------------------------------------------- */

static const uint64_t wire_ids = INT32_MAX; /* 1 to 2^31 - 1 */

int32_t wire_id(uint64_t sequence)
{
    return sequence ? (int32_t)((sequence - 1) % wire_ids + 1) : 0;
}

bool wire_id_starts_anew(uint64_t before, uint64_t after)
{
    return after > 0 && (before ? before - 1 : 0) / wire_ids != (after - 1) / wire_ids;
}
