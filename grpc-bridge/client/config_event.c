/* client/config_event.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/config_event.h"

#include "shm/wire.h"

enum {
    EVENT_SNAPSHOT = 1,
    EVENT_UPDATE = 2,
    /* Of both. */
    BODY_ORIGIN = 1,
    BODY_SEQUENCE = 2,
    BODY_SETTING = 3,
    FIXED32 = 5
};

struct field {
    uint64_t number, integer;
    unsigned type;
    const char *data;
    size_t length;
};

static bool skip(const char **at, const char *end, size_t length)
{
    if ((size_t)(end - *at) < length)
        return false;
    *at += length;
    return true;
}

/* Groups are long gone from protobuf: malformed. */
static bool next_field(const char **at, const char *end, struct field *out)
{
    uint64_t tag;
    *out = (struct field){0};
    if (!wire_get_varint(at, end, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    out->number = tag >> 3;
    out->type = tag & 7;
    switch (out->type) {
    case WIRE_VARINT: return wire_get_varint(at, end, &out->integer);
    case WIRE_BYTES: return wire_get_bytes(at, end, &out->data, &out->length);
    case WIRE_FIXED64: return skip(at, end, 8);
    case FIXED32: return skip(at, end, 4);
    default: return false;
    }
}

static bool is(const struct field *field, unsigned number, unsigned type)
{
    return field->number == number && field->type == type;
}

static const char *take_origin(const struct field *field, struct config_event *out)
{
    if (field->length > CONFIG_EVENT_ORIGIN_MAX_BYTES)
        return "names an origin of more than 255 bytes";
    if (field->length && memchr(field->data, '\0', field->length))
        return "names an origin with a NUL in it";
    if (field->length)
        memcpy(out->origin, field->data, field->length);
    out->origin[field->length] = '\0';
    return NULL;
}

static const char *read_body(struct config_event *out)
{
    const char *at = (const char *)out->body, *end = (const char *)out->end;
    while (at < end) {
        struct field field;
        const char *wrong = NULL;
        if (!next_field(&at, end, &field))
            return "is no valid ConfigEvent";
        if (is(&field, BODY_ORIGIN, WIRE_BYTES))
            wrong = take_origin(&field, out);
        else if (is(&field, BODY_SEQUENCE, WIRE_VARINT))
            out->sequence = (uint32_t)field.integer;
        else if (is(&field, BODY_SETTING, WIRE_BYTES))
            out->settings++;
        if (wrong)
            return wrong;
    }
    return out->is_snapshot || out->settings == 1 ? NULL : "is an update without a setting, or with several";
}

const char *config_event_read(const uint8_t *message, size_t length, struct config_event *out)
{
    const char *at = (const char *)message, *end = at + length;
    *out = (struct config_event){0};
    while (at < end) {
        struct field field;
        if (!next_field(&at, end, &field))
            return "is no valid ConfigEvent";
        if (!is(&field, EVENT_SNAPSHOT, WIRE_BYTES) && !is(&field, EVENT_UPDATE, WIRE_BYTES))
            continue;
        if (out->body)
            return "holds more than one snapshot or update";
        out->is_snapshot = field.number == EVENT_SNAPSHOT;
        out->body = (const uint8_t *)field.data;
        out->end = out->body + field.length;
    }
    return out->body ? read_body(out) : "is neither a snapshot nor an update";
}

bool config_event_next(const struct config_event *event, const uint8_t **at, const uint8_t **setting, size_t *length)
{
    const char *p = (const char *)*at, *end = (const char *)event->end;
    struct field field;
    while (p < end && next_field(&p, end, &field))
        if (is(&field, BODY_SETTING, WIRE_BYTES)) {
            *at = (const uint8_t *)p;
            *setting = (const uint8_t *)field.data;
            *length = field.length;
            return true;
        }
    return false;
}
