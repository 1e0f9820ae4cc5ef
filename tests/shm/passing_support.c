/* passing_support.c  SPDX-License-Identifier: Apache-2.0 */
#include "passing_support.h"

void message_free(struct message *message)
{
    free(message->bytes);
    *message = (struct message){NULL, 0, 0};
}

void put_raw(struct message *message, const void *bytes, size_t length)
{
    if (length > message->capacity - message->length) {
        message->capacity = 2 * (message->length + length) + 64;
        message->bytes = realloc(message->bytes, message->capacity);
        cr_assert_not_null(message->bytes);
    }
    if (length > 0)
        memcpy(message->bytes + message->length, bytes, length);
    message->length += length;
}

void put_byte(struct message *message, unsigned byte)
{
    put_raw(message, &(uint8_t){(uint8_t)byte}, 1);
}

void put_varint(struct message *message, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        put_byte(message, (unsigned)(number & 0x7F) | 0x80);
    put_byte(message, (unsigned)number);
}

void put_field(struct message *message, unsigned number, const void *bytes, size_t length)
{
    put_varint(message, (uint64_t)number << 3 | 2);
    put_varint(message, length);
    put_raw(message, bytes, length);
}

void put_text(struct message *message, unsigned number, const char *text)
{
    put_field(message, number, text, strlen(text));
}

void put_number(struct message *message, double number)
{
    put_byte(message, 2 << 3 | 1);
    put_raw(message, &number, 8); /* little-endian hosts only, as are the tests' machines */
}

void put_setting(struct message *message, const char *source, const char *key, const struct message *value,
                 const char *unset)
{
    if (source != NULL)
        put_text(message, 1, source);
    put_text(message, 2, key);
    if (value != NULL)
        put_field(message, 3, value->bytes, value->length);
    if (unset != NULL)
        put_text(message, 4, unset);
}

static struct message int_setting(const char *key, int64_t number)
{
    struct message value = {0}, setting = {0};

    put_number(&value, (double)number);
    put_setting(&setting, "file", key, &value, NULL);
    message_free(&value);
    return setting;
}

void stage_int(cfgs_batch *batch, const char *key, int64_t value)
{
    struct message setting = int_setting(key, value);

    ok(cfgs_batch_set_encoded(batch, setting.bytes, setting.length));
    message_free(&setting);
}

void snapshot(cfgs_publisher *publisher, uint64_t sequence, const char *key_a, int64_t a, const char *key_b, int64_t b)
{
    cfgs_batch *batch;

    ok(cfgs_batch_begin(publisher, &batch));
    cfgs_batch_snapshot(batch, sequence);
    stage_int(batch, key_a, a);
    if (key_b != NULL)
        stage_int(batch, key_b, b);
    ok(cfgs_batch_commit(batch, NULL));
}

void update_int(cfgs_publisher *publisher, uint64_t sequence, const char *key, int64_t value)
{
    struct message setting = int_setting(key, value);

    ok(cfgs_publisher_set_encoded(publisher, sequence, setting.bytes, setting.length));
    message_free(&setting);
}
