/* record.c  SPDX-License-Identifier: Apache-2.0 */
#include "record.h"
#include "utf8.h"
#include "wire.h"
#include <configstream/error.h>

_Static_assert(RECORD_SECRET == CFGS_SETTING_SECRET && RECORD_UNDECLARED == CFGS_SETTING_UNDECLARED &&
                   RECORD_LOCAL == CFGS_SETTING_LOCAL,
               "a setting's flags are stored as they are");

/* ---- reading ----------------------------------------------------------------------------------------------------- */

void record_setting(const struct record *record, cfgs_setting *out)
{
    const struct record_head *head = &record->head;

    out->key = (cfgs_bytes){record_key_text(record), head->key_length};
    out->value = record_value(record);
    out->source_name = (cfgs_bytes){record->encoding + head->source_at, head->source_length};
    out->source = head->source;
    out->flags = head->flags & RECORD_SETTING_FLAGS;
    out->sequence = head->sequence;
}

cfgs_bytes record_unset_source(const struct record *record)
{
    const struct record_head *head = &record->head;
    return (cfgs_bytes){record->encoding + head->encoded_length - head->unset_source_length,
                        head->unset_source_length};
}

/* Eight bytes of the encoding from byte `at` on, out of the one or two words they lie in. */
static uint64_t eight_bytes(const cfgs_word *words, size_t at)
{
    unsigned shift = (unsigned)(at % 8 * 8);
    /* [commit V4] relaxed: immutable under the cell's acquire; [recycle V5] checks for reuse. */
    uint64_t first = word_load_relaxed(&words[at / 8]);

    if (shift == 0)
        return first;
    /* [commit V4] relaxed: as above. */
    uint64_t second = word_load_relaxed(&words[at / 8 + 1]);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return first >> shift | second << (64 - shift);
#else
    return first << shift | second >> (64 - shift);
#endif
}

void record_copy_out(const struct record *record, size_t at, size_t length, char *to)
{
    const cfgs_word *words = record->key + record->head.key_length / 8 + 1;
    uint64_t word;

    for (size_t done = 0; done + 8 < length; done += 8) {
        word = eight_bytes(words, at + done);
        memcpy(to + done, &word, 8);
    }
    if (length >= 8) {
        /* The last eight bytes, some of them for the second time: no loop over single ones. */
        word = eight_bytes(words, at + length - 8);
        memcpy(to + length - 8, &word, 8);
        return;
    }
    for (size_t i = 0; i < length; i++) {
        /* [commit V4] relaxed: as above. */
        word = word_load_relaxed(&words[(at + i) / 8]);
        to[i] = ((const char *)&word)[(at + i) % 8];
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static size_t exact_size(int64_t integer)
{
    return wire_varint_size(VALUE_TAG_INTEGER) + wire_varint_size((uint64_t)integer);
}

static size_t value_size(const cfgs_value *value)
{
    switch (value->kind) {
    case CFGS_KIND_NULL:
    case CFGS_KIND_BOOL:
        return 2;
    case CFGS_KIND_INT:
        return 9 + (wire_int_is_rounded(value->as.integer) ? exact_size(value->as.integer) : 0);
    case CFGS_KIND_DOUBLE:
        return 9;
    default:
        return wire_bytes_size(value->as.bytes.length);
    }
}

static char *put_number(char *to, double number)
{
    *to++ = (char)VALUE_TAG_NUMBER;
    memcpy(to, &number, 8);
    return to + 8;
}

/* For republishers, whose readers are to see the same integer as ours. */
static char *put_exact(char *to, int64_t integer)
{
    return wire_put_varint(wire_put_varint(to, VALUE_TAG_INTEGER), (uint64_t)integer);
}

/* A google.protobuf.Value; *payload is where a text or message ended up. */
static char *put_value(char *to, const cfgs_value *value, char **payload)
{
    unsigned char tag = value->kind == CFGS_KIND_STRING ? VALUE_TAG_STRING
                        : value->kind == CFGS_KIND_LIST ? VALUE_TAG_LIST
                                                        : VALUE_TAG_STRUCT;
    switch (value->kind) {
    case CFGS_KIND_NULL:
    case CFGS_KIND_BOOL:
        *to++ = (char)(value->kind == CFGS_KIND_NULL ? VALUE_TAG_NULL : VALUE_TAG_BOOL);
        *to++ = value->kind == CFGS_KIND_BOOL && value->as.boolean;
        return to;
    case CFGS_KIND_INT:
        to = put_number(to, (double)value->as.integer);
        return wire_int_is_rounded(value->as.integer) ? put_exact(to, value->as.integer) : to;
    case CFGS_KIND_DOUBLE:
        return put_number(to, value->as.number);
    default:
        to = wire_put_bytes(to, tag, value->as.bytes.data, value->as.bytes.length);
        *payload = to - value->as.bytes.length;
        return to;
    }
}

static int check_source(const cfgs_bytes *name)
{
    if (name->length > CFGS_SOURCE_NAME_MAX_BYTES)
        return CFGS_ERR_TOO_LARGE;
    return utf8_valid(name->data, name->length) ? CFGS_OK : CFGS_ERR_ENCODING;
}

static int take_unset_source(const struct record_input *input, cfgs_bytes *name)
{
    const char *known = cfgs_source_name(input->unset_source);

    if (known != NULL) {
        *name = (cfgs_bytes){known, strlen(known)};
        return CFGS_OK;
    }
    *name = input->unset_source_name;
    return input->unset_source == CFGS_SOURCE_VERBATIM && name->length > 0 ? check_source(name) : CFGS_ERR_INVALID;
}

static int check_input(const struct record_input *input, cfgs_bytes *unset_name)
{
    const cfgs_bytes *key = &input->key;

    if (key->length == 0 || key->length > CFGS_KEY_MAX_BYTES)
        return key->length == 0 ? CFGS_ERR_INVALID : CFGS_ERR_TOO_LARGE;
    if (memchr(key->data, '\0', key->length) != NULL || !utf8_valid(key->data, key->length))
        return CFGS_ERR_ENCODING;
    int err = check_source(&input->source_name);
    if (err == CFGS_OK)
        err = take_unset_source(input, unset_name);
    return err == CFGS_OK && input->value != NULL ? cfgs_value_check(input->value) : err;
}

static void set_scalar(struct record_head *head, const cfgs_value *value)
{
    if (value->kind == CFGS_KIND_BOOL)
        head->scalar = value->as.boolean;
    else if (value->kind == CFGS_KIND_INT)
        memcpy(&head->scalar, &value->as.integer, 8);
    else if (value->kind == CFGS_KIND_DOUBLE)
        memcpy(&head->scalar, &value->as.number, 8);
}

/* The encoding's fields, at `to`; fills the head's places. */
static void put_setting(char *to, struct record_head *head, const struct record_input *input, cfgs_bytes unset_name)
{
    char *start = to, *payload = NULL;

    if (input->source_name.length > 0) {
        to = wire_put_bytes(to, WIRE_TAG(1, WIRE_BYTES), input->source_name.data, input->source_name.length);
        head->source_length = (uint16_t)input->source_name.length;
        head->source_at = (uint16_t)(to - start - head->source_length);
    }
    to = wire_put_bytes(to, WIRE_TAG(2, WIRE_BYTES), input->key.data, input->key.length);
    if (input->value != NULL) {
        *to++ = (char)WIRE_TAG(3, WIRE_BYTES);
        to = wire_put_varint(to, value_size(input->value));
        to = put_value(to, input->value, &payload);
        set_scalar(head, input->value);
        if (payload != NULL) {
            head->value_at = (uint32_t)(payload - start);
            head->value_length = (uint32_t)input->value->as.bytes.length;
        }
    }
    head->setting_length = (uint32_t)(to - start);
    if (unset_name.length > 0) {
        to = wire_put_bytes(to, WIRE_TAG(WIRE_SETTING_UNSET_SOURCE, WIRE_BYTES), unset_name.data, unset_name.length);
        head->unset_source_length = (uint16_t)unset_name.length;
    }
    head->encoded_length = (uint32_t)(to - start);
}

static size_t encoding_bound(const struct record_input *input, cfgs_bytes unset_name)
{
    size_t size = wire_bytes_size(input->source_name.length) + wire_bytes_size(input->key.length) +
                  wire_bytes_size(unset_name.length);
    if (input->value != NULL)
        size += wire_bytes_size(value_size(input->value));
    return size;
}

int record_append(struct buffer *buffer, const struct record_input *input)
{
    cfgs_bytes unset_name;
    int err = check_input(input, &unset_name);
    if (err != CFGS_OK)
        return err;
    size_t room = record_bytes(input->key.length, encoding_bound(input, unset_name));
    if (!buffer_reserve(buffer, room))
        return CFGS_ERR_MEMORY;
    char *image = buffer->data + buffer->length;
    memset(image, 0, room);
    struct record_head head = {.hash = input->hash,
                               .key_length = (uint16_t)input->key.length,
                               .kind = input->value != NULL ? (uint8_t)input->value->kind : CFGS_KIND_NULL,
                               .flags = (uint8_t)((input->flags & RECORD_SETTING_FLAGS) |
                                                  (input->value == NULL ? RECORD_TOMBSTONE : 0)),
                               .source = (uint8_t)input->source,
                               .unset_source = (uint8_t)input->unset_source};
    char *key = image + sizeof head;
    memcpy(key, input->key.data, input->key.length);
    put_setting(key + (input->key.length / 8 + 1) * 8, &head, input, unset_name);
    memcpy(image, &head, sizeof head);
    buffer->length += record_bytes(head.key_length, head.encoded_length);
    return CFGS_OK;
}

bool record_same_setting(const struct record *record, const char *image)
{
    struct record_head head;
    memcpy(&head, image, sizeof head);
    const char *encoding = image + sizeof head + (head.key_length / 8 + 1) * 8;

    /* The scalar too: two ints beyond 2^53 may share their double. */
    return head.kind == record->head.kind && head.flags == record->head.flags && head.source == record->head.source &&
           head.scalar == record->head.scalar && head.setting_length == record->head.setting_length &&
           memcmp(encoding, record->encoding, head.setting_length) == 0;
}
