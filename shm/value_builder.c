/*
 * value_builder.c: build lists and structs in their protobuf form.
 *
 * The innermost open container's payload always ends the buffer.  When it is closed, the header that makes it an element of
 * its parent (whose size depends on the payload's) is inserted before it, so the encoding is minimal and equal values
 * have equal bytes.  A struct's entries are sorted when it is closed.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "buffer.h"
#include "utf8.h"
#include "wire.h"
#include <configstream/error.h>
#include <configstream/value.h>

struct frame {
    int kind;
    size_t start;         /* of the payload in bytes */
    size_t first_entry;   /* of the struct's entries in entries */
    size_t key_at;        /* this container's own key in its parent, in keys */
    size_t key_length;
    bool has_key;         /* a struct: the key of the next entry was given, and ends keys */
    size_t next_key_at;
};

struct entry {
    size_t at, length; /* in bytes, from the payload's start */
    size_t key_at, key_length;
    size_t order;
};

struct cfgs_builder {
    struct buffer bytes, keys;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct frame frames[CFGS_VALUE_MAX_DEPTH];
    int depth, error;
    bool finished, inexact;
    cfgs_value root;
};

int cfgs_builder_new(cfgs_builder **out)
{
    cfgs_builder *builder = calloc(1, sizeof *builder);
    if (builder == NULL)
        return CFGS_ERR_MEMORY;
    *out = builder;
    return CFGS_OK;
}

void cfgs_builder_free(cfgs_builder *builder)
{
    if (builder == NULL)
        return;
    buffer_free(&builder->bytes);
    buffer_free(&builder->keys);
    free(builder->entries);
    free(builder);
}

void cfgs_builder_reset(cfgs_builder *builder)
{
    builder->bytes.length = builder->keys.length = builder->entry_count = 0;
    builder->depth = 0;
    builder->error = CFGS_OK;
    builder->finished = builder->inexact = false;
}

static bool fail(cfgs_builder *builder, int error)
{
    if (builder->error == CFGS_OK)
        builder->error = error;
    return false;
}

static bool reserve(cfgs_builder *builder, size_t more)
{
    if (builder->bytes.length + more > CFGS_VALUE_MAX_BYTES + 64 + 2 * (size_t)CFGS_VALUE_MAX_DEPTH)
        return fail(builder, CFGS_ERR_TOO_LARGE);
    return buffer_reserve(&builder->bytes, more) || fail(builder, CFGS_ERR_MEMORY);
}

static struct frame *top(cfgs_builder *builder)
{
    return builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
}

void cfgs_builder_key(cfgs_builder *builder, const char *key, size_t length)
{
    struct frame *frame = top(builder);

    if (builder->error != CFGS_OK)
        return;
    if (frame == NULL || frame->kind != CFGS_KIND_STRUCT || frame->has_key) {
        fail(builder, CFGS_ERR_INVALID);
    } else if (length > CFGS_VALUE_MAX_BYTES) {
        fail(builder, CFGS_ERR_TOO_LARGE);
    } else if (!utf8_valid(key, length)) {
        fail(builder, CFGS_ERR_ENCODING);
    } else if (!buffer_reserve(&builder->keys, length + 1)) {
        fail(builder, CFGS_ERR_MEMORY);
    } else {
        frame->has_key = true;
        frame->next_key_at = builder->keys.length;
        memcpy(builder->keys.data + builder->keys.length, key, length);
        builder->keys.length += length;
    }
}

/* May a value come here?  In a struct only after a key; at the top only one. */
static bool place_is_free(cfgs_builder *builder)
{
    struct frame *frame = top(builder);
    if (builder->error != CFGS_OK)
        return false;
    if (frame == NULL ? builder->finished : frame->kind == CFGS_KIND_STRUCT && !frame->has_key)
        return fail(builder, CFGS_ERR_INVALID);
    return true;
}

static bool remember_entry(cfgs_builder *builder, struct entry entry)
{
    if (builder->entry_count == builder->entry_capacity) {
        size_t capacity = builder->entry_capacity == 0 ? 16 : 2 * builder->entry_capacity;
        struct entry *entries = realloc(builder->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return fail(builder, CFGS_ERR_MEMORY);
        builder->entries = entries;
        builder->entry_capacity = capacity;
    }
    entry.order = builder->entry_count;
    builder->entries[builder->entry_count++] = entry;
    return true;
}

/*
 * Turn the last `value_length` bytes of the buffer (a Value without its wrapping: `prefix`, then a payload) into the next
 * element of the open container: open up room before them for the headers and the prefix.
 */
static bool wrap(cfgs_builder *builder, size_t payload_at, unsigned char value_tag, bool delimited)
{
    struct frame *frame = top(builder);
    size_t payload = builder->bytes.length - payload_at;
    size_t value = 1 + payload + (delimited ? wire_varint_size(payload) : 0);
    size_t key_length = frame->kind == CFGS_KIND_STRUCT ? builder->keys.length - frame->next_key_at : 0;
    size_t inner = frame->kind == CFGS_KIND_STRUCT ? wire_bytes_size(key_length) + wire_bytes_size(value) : value;
    size_t header = wire_bytes_size(inner) - payload;

    if (!reserve(builder, header))
        return false;
    char *to = builder->bytes.data + payload_at;
    memmove(to + header, to, payload);
    *to++ = (char)WIRE_TAG(1, WIRE_BYTES);
    to = wire_put_varint(to, inner);
    if (frame->kind == CFGS_KIND_STRUCT) {
        to = wire_put_bytes(to, WIRE_TAG(1, WIRE_BYTES), builder->keys.data + frame->next_key_at, key_length);
        struct entry entry = {payload_at - frame->start, wire_bytes_size(inner),
                              (size_t)(to - builder->bytes.data) - key_length - frame->start, key_length, 0};
        if (!remember_entry(builder, entry))
            return false;
        *to++ = (char)WIRE_TAG(2, WIRE_BYTES);
        to = wire_put_varint(to, value);
        builder->keys.length = frame->next_key_at;
        frame->has_key = false;
    }
    *to++ = (char)value_tag;
    if (delimited)
        wire_put_varint(to, payload);
    builder->bytes.length += header;
    return true;
}

/* Append a payload and wrap it; at the top level it becomes the root's bytes. */
static void add_payload(cfgs_builder *builder, int kind, unsigned char tag, bool delimited, const char *data,
                        size_t length)
{
    size_t at = builder->bytes.length;

    if (length > CFGS_VALUE_MAX_BYTES) {
        fail(builder, CFGS_ERR_TOO_LARGE);
        return;
    }
    if (!reserve(builder, length))
        return;
    if (length > 0)
        memcpy(builder->bytes.data + at, data, length);
    builder->bytes.length += length;
    if (builder->depth > 0) {
        wrap(builder, at, tag, delimited);
    } else {
        builder->root = (cfgs_value){.kind = (cfgs_kind)kind};
        builder->finished = true;
    }
}

/* The number, and behind it the integer if the number is only its rounding. */
static void add_int(cfgs_builder *builder, int64_t integer)
{
    char payload[8 + 2 + 10], *end = payload + 8;
    double number = (double)integer;

    memcpy(payload, &number, 8);
    if (wire_int_is_rounded(integer)) {
        builder->inexact = true;
        end = wire_put_varint(end, VALUE_TAG_INTEGER);
        end = wire_put_varint(end, (uint64_t)integer);
    }
    add_payload(builder, CFGS_KIND_INT, VALUE_TAG_NUMBER, false, payload, (size_t)(end - payload));
}

static void add_scalar(cfgs_builder *builder, const cfgs_value *value)
{
    char payload[8];

    if (builder->depth == 0) {
        builder->root = *value;
        builder->finished = true;
        return;
    }
    switch (value->kind) {
    case CFGS_KIND_NULL:
        add_payload(builder, value->kind, VALUE_TAG_NULL, false, "\0", 1);
        break;
    case CFGS_KIND_BOOL:
        add_payload(builder, value->kind, VALUE_TAG_BOOL, false, value->as.boolean ? "\1" : "\0", 1);
        break;
    case CFGS_KIND_INT:
        add_int(builder, value->as.integer);
        break;
    default:
        memcpy(payload, &value->as.number, 8);
        add_payload(builder, value->kind, VALUE_TAG_NUMBER, false, payload, 8);
    }
}

void cfgs_builder_add(cfgs_builder *builder, const cfgs_value *value)
{
    if (!place_is_free(builder))
        return;
    switch (value->kind) {
    case CFGS_KIND_STRING:
        if (!utf8_valid(value->as.bytes.data, value->as.bytes.length))
            fail(builder, CFGS_ERR_ENCODING);
        else
            add_payload(builder, value->kind, VALUE_TAG_STRING, true, value->as.bytes.data, value->as.bytes.length);
        break;
    case CFGS_KIND_LIST:
    case CFGS_KIND_STRUCT:
        add_payload(builder, value->kind, value->kind == CFGS_KIND_LIST ? VALUE_TAG_LIST : VALUE_TAG_STRUCT, true,
                    value->as.bytes.data, value->as.bytes.length);
        break;
    case CFGS_KIND_NULL:
    case CFGS_KIND_BOOL:
    case CFGS_KIND_INT:
    case CFGS_KIND_DOUBLE:
        add_scalar(builder, value);
        break;
    default:
        fail(builder, CFGS_ERR_INVALID);
    }
}

void cfgs_builder_add_null(cfgs_builder *builder)
{
    cfgs_value value = cfgs_value_null();
    cfgs_builder_add(builder, &value);
}

void cfgs_builder_add_bool(cfgs_builder *builder, bool boolean)
{
    cfgs_value value = cfgs_value_bool(boolean);
    cfgs_builder_add(builder, &value);
}

void cfgs_builder_add_int(cfgs_builder *builder, int64_t integer)
{
    cfgs_value value = cfgs_value_int(integer);
    cfgs_builder_add(builder, &value);
}

void cfgs_builder_add_double(cfgs_builder *builder, double number)
{
    cfgs_value value = cfgs_value_double(number);
    cfgs_builder_add(builder, &value);
}

void cfgs_builder_add_string(cfgs_builder *builder, const char *text, size_t length)
{
    cfgs_value value = cfgs_value_string(text, length);
    cfgs_builder_add(builder, &value);
}

static void begin(cfgs_builder *builder, int kind)
{
    if (!place_is_free(builder))
        return;
    if (builder->depth == CFGS_VALUE_MAX_DEPTH) {
        fail(builder, CFGS_ERR_TOO_LARGE);
        return;
    }
    builder->frames[builder->depth++] =
        (struct frame){.kind = kind, .start = builder->bytes.length, .first_entry = builder->entry_count};
}

/* By key; equal keys by age, so that the last of them is the latest. */
static int compare_entries(const void *left, const void *right, void *context)
{
    const struct entry *a = left, *b = right;
    const char *base = context;
    size_t common = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = common > 0 ? memcmp(base + a->key_at, base + b->key_at, common) : 0;

    if (order != 0)
        return order;
    if (a->key_length != b->key_length)
        return a->key_length < b->key_length ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static bool same_key(const struct entry *a, const struct entry *b, const char *base)
{
    return a->key_length == b->key_length && memcmp(base + a->key_at, base + b->key_at, a->key_length) == 0;
}

static bool in_order(const struct entry *entries, size_t count, char *base)
{
    for (size_t i = 1; i < count; i++)
        if (same_key(&entries[i - 1], &entries[i], base) || compare_entries(&entries[i - 1], &entries[i], base) > 0)
            return false;
    return true;
}

/* Sort the entries of the struct that is being closed, and keep the latest of equal keys. */
static bool sort_entries(cfgs_builder *builder, const struct frame *frame)
{
    struct entry *entries = builder->entries + frame->first_entry;
    size_t count = builder->entry_count - frame->first_entry;
    size_t length = builder->bytes.length - frame->start, used = 0;
    char *base = builder->bytes.data + frame->start;

    if (count < 2 || in_order(entries, count, base))
        return true;
    char *sorted = malloc(length);
    if (sorted == NULL)
        return fail(builder, CFGS_ERR_MEMORY);
    qsort_r(entries, count, sizeof *entries, compare_entries, base);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && same_key(&entries[i], &entries[i + 1], base))
            continue;
        memcpy(sorted + used, base + entries[i].at, entries[i].length);
        used += entries[i].length;
    }
    memcpy(base, sorted, used);
    builder->bytes.length = frame->start + used;
    free(sorted);
    return true;
}

static void end(cfgs_builder *builder, int kind)
{
    struct frame *frame = top(builder);

    if (builder->error != CFGS_OK)
        return;
    if (frame == NULL || frame->kind != kind || frame->has_key) {
        fail(builder, CFGS_ERR_INVALID);
        return;
    }
    if (kind == CFGS_KIND_STRUCT && !sort_entries(builder, frame))
        return;
    builder->entry_count = frame->first_entry;
    builder->depth--;
    if (builder->depth > 0) {
        wrap(builder, frame->start, kind == CFGS_KIND_LIST ? VALUE_TAG_LIST : VALUE_TAG_STRUCT, true);
    } else {
        builder->root = (cfgs_value){.kind = (cfgs_kind)kind};
        builder->finished = true;
    }
}

void cfgs_builder_begin_list(cfgs_builder *builder)
{
    begin(builder, CFGS_KIND_LIST);
}

void cfgs_builder_end_list(cfgs_builder *builder)
{
    end(builder, CFGS_KIND_LIST);
}

void cfgs_builder_begin_struct(cfgs_builder *builder)
{
    begin(builder, CFGS_KIND_STRUCT);
}

void cfgs_builder_end_struct(cfgs_builder *builder)
{
    end(builder, CFGS_KIND_STRUCT);
}

bool cfgs_builder_inexact(const cfgs_builder *builder)
{
    return builder->inexact;
}

int cfgs_builder_finish(cfgs_builder *builder, cfgs_value *out)
{
    if (builder->error != CFGS_OK)
        return builder->error;
    if (!builder->finished || builder->depth > 0)
        return CFGS_ERR_INVALID;
    if (builder->bytes.length > CFGS_VALUE_MAX_BYTES)
        return CFGS_ERR_TOO_LARGE;
    if (builder->root.kind >= CFGS_KIND_STRING)
        builder->root.as.bytes = (cfgs_bytes){builder->bytes.data, builder->bytes.length};
    *out = builder->root;
    return CFGS_OK;
}
