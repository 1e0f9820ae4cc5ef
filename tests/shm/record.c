/*
 * record.c: a setting as bytes: what is written is read again, and damaged heads are refused.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <shm/record.h>

TestSuite(record);

struct image {
    struct buffer buffer;
    struct record record;
};

static struct image make(const char *key, const cfgs_value *value, int source, int unset_source, unsigned flags)
{
    struct image image = {0};
    const char *name = source == CFGS_SOURCE_VERBATIM ? "somewhere-else" : cfgs_source_name(source);
    struct record_input input = {.key = {key, strlen(key)},
                                 .value = value,
                                 .source = source,
                                 .source_name = {name, strlen(name)},
                                 .unset_source = unset_source,
                                 .flags = flags,
                                 .hash = 42};
    ok(record_append(&image.buffer, &input));
    cr_assert(record_parse((const cfgs_word *)(void *)image.buffer.data, image.buffer.length, &image.record));
    return image;
}

static struct record_head head_of(const struct image *image)
{
    struct record_head head;
    memcpy(&head, image->buffer.data, sizeof head);
    return head;
}

Test(record, every_kind_survives_append_and_parse)
{
    const cfgs_value values[] = {cfgs_value_null(),
                                 cfgs_value_bool(true),
                                 cfgs_value_bool(false),
                                 cfgs_value_int(INT64_MAX),
                                 cfgs_value_int(INT64_MIN),
                                 cfgs_value_double(-0.0),
                                 cfgs_value_string("a\0z", 3),
                                 cfgs_value_string("", 0),
                                 {.kind = CFGS_KIND_LIST, .as.bytes = {"\x0a\x02\x20\x01", 4}},
                                 {.kind = CFGS_KIND_LIST},
                                 {.kind = CFGS_KIND_STRUCT, .as.bytes = {"\x0a\x07\x0a\x01k\x12\x02\x08\x00", 9}}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct image image = make("some.key", &values[i], CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, 0);
        cfgs_setting setting;
        record_setting(&image.record, &setting);
        cr_assert(cfgs_value_equal(&setting.value, &values[i]), "value %zu", i);
        cr_assert(bytes_are(setting.key, "some.key") && bytes_are(setting.source_name, "file"));
        cr_assert_eq(setting.source, CFGS_SOURCE_FILE);
        cr_assert_eq(image.record.bytes, image.buffer.length);
        cr_assert_eq(image.record.bytes % 8, 0);
        cr_assert_eq(record_unset_source(&image.record).length, 0);
        buffer_free(&image.buffer);
    }
}

/* ConfigSetting {source "file", key "k", value {bool true}, unset_source "cli"} as google.protobuf would write it. */
Test(record, the_encoding_is_the_protobuf_message)
{
    static const char expected[] = "\x0a\x04" "file" "\x12\x01" "k" "\x1a\x02\x20\x01" "\x22\x03" "cli";
    cfgs_value value = cfgs_value_bool(true);
    struct image image = make("k", &value, CFGS_SOURCE_FILE, CFGS_SOURCE_CLI, CFGS_SETTING_SECRET);

    cr_assert_eq(image.record.head.encoded_length, sizeof expected - 1);
    cr_assert_arr_eq(image.record.encoding, expected, sizeof expected - 1);
    cr_assert_eq(image.record.head.setting_length, sizeof expected - 1 - 5, "a snapshot carries no unset_source");
    cr_assert(bytes_are(record_unset_source(&image.record), "cli"));
    cfgs_setting setting;
    record_setting(&image.record, &setting);
    cr_assert_eq(setting.flags, CFGS_SETTING_SECRET);
    buffer_free(&image.buffer);
}

Test(record, a_tombstone_has_neither_source_nor_value)
{
    static const char expected[] = "\x12\x03" "a.b" "\x22\x04" "file";
    struct image image = make("a.b", NULL, CFGS_SOURCE_NONE, CFGS_SOURCE_FILE, 0);
    cr_assert(image.record.head.flags & RECORD_TOMBSTONE);
    cr_assert_eq(image.record.head.encoded_length, sizeof expected - 1);
    cr_assert_arr_eq(image.record.encoding, expected, sizeof expected - 1);
    cfgs_setting setting;
    record_setting(&image.record, &setting);
    cr_assert(setting.source == CFGS_SOURCE_NONE && setting.value.kind == CFGS_KIND_NULL);
    buffer_free(&image.buffer);
}

Test(record, same_setting_sees_every_difference_a_reader_would)
{
    cfgs_value one = cfgs_value_int(1), one_double = cfgs_value_double(1), text = text_value("1");
    cfgs_value big = cfgs_value_int(INT64_C(9007199254740993)), near = cfgs_value_int(INT64_C(9007199254740992));
    struct image base = make("k", &one, CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, 0);
    const struct {
        struct image image;
        bool same;
    } others[] = {
        {make("k", &one, CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, 0), true},
        {make("k", &one, CFGS_SOURCE_FILE, CFGS_SOURCE_CLI, 0), true}, /* unset_source aside */
        {make("k", &one, CFGS_SOURCE_CLI, CFGS_SOURCE_NONE, 0), false},
        {make("k", &one, CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, CFGS_SETTING_SECRET), false},
        {make("k", &one, CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, CFGS_SETTING_UNDECLARED), false},
        {make("k", &one, CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, CFGS_SETTING_LOCAL), false},
        {make("k", &one_double, CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, 0), false},
        {make("k", &text, CFGS_SOURCE_FILE, CFGS_SOURCE_NONE, 0), false},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        cr_assert_eq(record_same_setting(&base.record, others[i].image.buffer.data), others[i].same, "case %zu", i);
    struct image a = make("k", &big, CFGS_SOURCE_FILE, 0, 0), b = make("k", &near, CFGS_SOURCE_FILE, 0, 0);
    cr_assert_not(record_same_setting(&a.record, b.buffer.data), "two ints beyond 2^53 share their double");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        free(others[i].image.buffer.data);
    buffer_free(&base.buffer);
    buffer_free(&a.buffer);
    buffer_free(&b.buffer);
}

Test(record, keys_of_every_length_compare_whole)
{
    char key[CFGS_KEY_MAX_BYTES + 1] = {0};
    cfgs_value value = cfgs_value_null();
    for (size_t length = 1; length <= CFGS_KEY_MAX_BYTES; length = length < 40 ? length + 1 : length * 2) {
        memset(key, 'k', length);
        key[length] = '\0';
        struct image image = make(key, &value, CFGS_SOURCE_FILE, 0, 0);
        cr_assert(record_key_is(&image.record, key, length));
        cr_assert_not(record_key_is(&image.record, key, length - 1));
        for (size_t i = 0; i < length; i++) {
            key[i] = 'x';
            cr_assert_not(record_key_is(&image.record, key, length), "length %zu byte %zu", length, i);
            key[i] = 'k';
        }
        cr_assert_eq(record_key_text(&image.record)[length], '\0', "a NUL follows every key");
        buffer_free(&image.buffer);
    }
}

Test(record, what_cannot_be_a_setting_is_refused_and_leaves_the_buffer_alone)
{
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    cfgs_value good = cfgs_value_int(1), bad_text = cfgs_value_string("\xFF", 1);
    cfgs_value bad_list = {.kind = CFGS_KIND_LIST, .as.bytes = {"\x0a\x05", 2}}, bad_kind = {.kind = (cfgs_kind)9};
    const struct {
        struct record_input input;
        int result;
    } cases[] = {
        {{.key = {"", 0}, .value = &good, .source_name = {"file", 4}}, CFGS_ERR_INVALID},
        {{.key = {long_text, CFGS_KEY_MAX_BYTES + 1}, .value = &good, .source_name = {"file", 4}}, CFGS_ERR_TOO_LARGE},
        {{.key = {"a\0b", 3}, .value = &good, .source_name = {"file", 4}}, CFGS_ERR_ENCODING},
        {{.key = {"\x80", 1}, .value = &good, .source_name = {"file", 4}}, CFGS_ERR_ENCODING},
        {{.key = {"k", 1}, .value = &good, .source_name = {long_text, 256}}, CFGS_ERR_TOO_LARGE},
        {{.key = {"k", 1}, .value = &good, .source_name = {"\xC3", 1}}, CFGS_ERR_ENCODING},
        {{.key = {"k", 1}, .value = &good, .source_name = {"file", 4}, .unset_source = 99}, CFGS_ERR_INVALID},
        {{.key = {"k", 1}, .value = &bad_text, .source_name = {"file", 4}}, CFGS_ERR_ENCODING},
        {{.key = {"k", 1}, .value = &bad_list, .source_name = {"file", 4}}, CFGS_ERR_CORRUPT},
        {{.key = {"k", 1}, .value = &bad_kind, .source_name = {"file", 4}}, CFGS_ERR_CORRUPT},
        {{.key = {long_text, CFGS_KEY_MAX_BYTES}, .value = &good, .source_name = {long_text, 255}}, CFGS_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer buffer = {0};
        cr_assert_eq(record_append(&buffer, &cases[i].input), cases[i].result, "case %zu", i);
        cr_assert_eq(buffer.length == 0, cases[i].result != CFGS_OK, "case %zu", i);
        buffer_free(&buffer);
    }
}

/* Each length and place of the head pushed out of bounds; the parts are checked against each other (shm-pitfalls
   22, 38). */
Test(record, a_head_whose_parts_lie_outside_is_refused)
{
    cfgs_value value = text_value("some text");
    struct image image = make("key.of.it", &value, CFGS_SOURCE_FILE, CFGS_SOURCE_CLI, 0);
    struct record_head good = head_of(&image), bad[12];
    struct record out;
    size_t n = 0;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        bad[i] = good;
    bad[n++].key_length = 0;
    bad[n++].key_length = CFGS_KEY_MAX_BYTES + 1;
    bad[n++].kind = CFGS_KIND_STRUCT + 1;
    bad[n++].setting_length = good.encoded_length + 1;
    bad[n++].encoded_length = RECORD_MAX_BYTES + 1;
    bad[n++].encoded_length = UINT32_MAX;
    bad[n++].value_at = good.setting_length - good.value_length + 1;
    bad[n++].value_at = UINT32_MAX;
    bad[n++].value_length = UINT32_MAX;
    bad[n++].source_at = UINT16_MAX;
    bad[n++].source_length = (uint16_t)(good.setting_length + 1);
    bad[n++].unset_source_length = (uint16_t)(good.encoded_length - good.setting_length + 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(image.buffer.data, &bad[i], sizeof bad[i]);
        cr_assert_not(record_parse((const cfgs_word *)(void *)image.buffer.data, image.buffer.length, &out),
                      "case %zu", i);
    }
    memcpy(image.buffer.data, &good, sizeof good);
    cr_assert(record_parse((const cfgs_word *)(void *)image.buffer.data, image.buffer.length, &out));
    for (size_t available = 0; available < image.buffer.length; available++)
        cr_assert_not(record_parse((const cfgs_word *)(void *)image.buffer.data, available, &out), "%zu bytes",
                      available);
    buffer_free(&image.buffer);
}

Test(record, an_offset_outside_the_mapping_is_refused)
{
    _Alignas(8) char arena[512] = {0};
    cfgs_value value = cfgs_value_int(5);
    struct image image = make("k", &value, CFGS_SOURCE_FILE, 0, 0);
    struct record out;

    memcpy(arena + 64, image.buffer.data, image.buffer.length);
    cr_assert(record_open(arena, sizeof arena, 8, &out));
    cr_assert_eq(out.offset, 8);
    cr_assert(record_open(arena, 64 + image.buffer.length, 8, &out));
    cr_assert_not(record_open(arena, 64 + image.buffer.length - 1, 8, &out));
    cr_assert_not(record_open(arena, sizeof arena, 0, &out));
    cr_assert_not(record_open(arena, sizeof arena, 64, &out));
    cr_assert_not(record_open(arena, sizeof arena, 65, &out));
    cr_assert_not(record_open(arena, sizeof arena, CELL_OFFSET_MASK, &out));
    cr_assert_not(record_open(arena, sizeof arena, CELL_OFFSET_MASK + 9, &out));
    cr_assert_not(record_open(arena, sizeof arena, UINT64_MAX, &out));
    cr_assert_not(record_open(arena, sizeof arena, UINT64_C(1) << 61, &out), "times eight it is zero");
    buffer_free(&image.buffer);
}

/* Heads of random bytes, at the end of an exact allocation: no part may reach outside (shm-pitfalls 22). */
Test(record, random_heads_never_reach_outside)
{
    uint64_t seed = 7;
    cfgs_value value = text_value("0123456789");
    struct image image = make("a.key", &value, CFGS_SOURCE_FILE, CFGS_SOURCE_CLI, 0);
    size_t accepted = 0;

    for (int round = 0; round < 100000; round++) {
        char *copy = malloc(image.buffer.length);
        struct record out;
        memcpy(copy, image.buffer.data, image.buffer.length);
        for (uint64_t flips = random_next(&seed) % 3 + 1; flips > 0; flips--)
            copy[24 + random_next(&seed) % 40] = (char)random_next(&seed);
        if (record_parse((const cfgs_word *)(void *)copy, image.buffer.length, &out)) {
            const char *end = copy + image.buffer.length;
            cfgs_setting setting;
            record_setting(&out, &setting);
            cfgs_bytes parts[] = {setting.key, setting.source_name, record_unset_source(&out),
                                  setting.value.kind >= CFGS_KIND_STRING ? setting.value.as.bytes : setting.key};
            for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
                cr_assert(parts[i].data >= copy && parts[i].data <= end &&
                          parts[i].length <= (size_t)(end - parts[i].data));
            accepted++;
        }
        free(copy);
    }
    cr_assert_gt(accepted, 1000, "the rounds must reach the far side of the gate too");
    buffer_free(&image.buffer);
}
