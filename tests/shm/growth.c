/* growth.c: how large an arena is, how it grows, and what happens at its limit.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include <shm/record.h>
#include <sys/stat.h>

TestSuite(growth, .fini = names_clean);

static uint64_t file_bytes(cfgs_publisher *p)
{
    struct stat st;
    cr_assert_eq(stat(cfgs_publisher_path(p), &st), 0);
    cr_assert_geq((uint64_t)st.st_blocks * 512, (uint64_t)st.st_size, "every page is reserved (shm-pitfalls 1, 2)");
    return (uint64_t)st.st_size;
}

/* What one setting of load_padded() takes. */
static uint64_t padded_record_bytes(void)
{
    struct buffer buffer = {0};
    cfgs_value value = cfgs_value_int(1);
    struct record_input input = {.key = {"padded.key.0000001", 18}, .value = &value, .source = CFGS_SOURCE_FILE,
                                 .source_name = {"file", 4}};
    ok(record_append(&buffer, &input));
    uint64_t bytes = buffer.length;
    buffer_free(&buffer);
    return bytes;
}

/* First load of so many settings of equal size. */
static void load_padded(cfgs_publisher *p, size_t count)
{
    cfgs_batch *batch;
    char key[32];
    ok(cfgs_batch_begin(p, &batch));
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "padded.key.%07zu", i);
        cfgs_setting setting = setting_of(key, cfgs_value_int((int64_t)i), CFGS_SOURCE_FILE);
        ok(cfgs_batch_set(batch, &setting, 0));
    }
    ok(cfgs_batch_commit(batch, NULL));
}

/* shm-pitfalls 6: predicted = allocated bytes. */
Test(growth, the_predicted_size_is_the_size)
{
    static const size_t counts[] = {1, 350, 10000, 100000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        cfgs_publisher *p = publish_with(new_instance(), (cfgs_publisher_options){0});
        load_padded(p, counts[i]);
        cr_assert_eq(file_bytes(p), cfgs_arena_size(counts[i], padded_record_bytes(), 0), "%zu settings", counts[i]);
        cfgs_publisher_close(p, true);
    }
}

Test(growth, arenas_of_350_settings_stay_under_4_mib)
{
    cr_assert_lt(cfgs_arena_size(350, 0, 0), UINT64_C(4) << 20);
    cfgs_publisher *p = publish_with(new_instance(), (cfgs_publisher_options){0});
    cfgs_reader *r = reader_of(p);
    load_padded(p, 350);
    for (int i = 0; i < 20000; i++)
        set_int(p, "padded.key.0000007", i);
    cr_assert_geq(status_of(r).counters.rebuilds, 2);
    cr_assert_lt(file_bytes(p), UINT64_C(4) << 20);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(growth, the_size_formula_is_total)
{
    cr_assert_eq(cfgs_arena_size(UINT64_MAX, 0, 0), UINT64_MAX);
    cr_assert_eq(cfgs_arena_size(UINT64_MAX, UINT64_MAX, UINT32_MAX), UINT64_MAX);
    cr_assert_eq(cfgs_arena_size(1, UINT64_MAX, 0), UINT64_MAX);
    cr_assert_gt(cfgs_arena_size(0, 0, 0), 0);
    cr_assert_lt(cfgs_arena_size(1000000, 0, 0), UINT64_C(1) << 30);
}

Test(growth, one_setting_becomes_a_hundred_thousand_under_readers)
{
    cfgs_publisher *p = publish_in_memory(1024);
    cfgs_reader *r = reader_of(p);
    cfgs_handle *handle;
    int64_t value;
    char key[32];

    set_int(p, "first", 42);
    ok(cfgs_handle_new(r, "first", &handle));
    for (size_t count = 1; count <= 100000; count *= 10) {
        load_ints(p, "k", count, false);
        cr_assert_eq(status_of(r).settings, count + 1);
        for (size_t i = 0; i < count; i += count / 97 + 1) {
            snprintf(key, sizeof key, "k%zu", i);
            cr_assert_eq(int_of(r, key), (int64_t)i);
        }
        ok(cfgs_handle_get_int(handle, &value));
        cr_assert_eq(value, 42);
        cr_assert_eq(int_of(r, "first"), 42);
    }
    cfgs_handle_free(handle);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* By single updates, so that index and heap fill and are rebuilt many times. */
Test(growth, keys_added_one_by_one_are_all_there_after_every_rebuild)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char key[32];

    for (int i = 0; i < 8000; i++) {
        snprintf(key, sizeof key, "key.%d", i);
        set_int(p, key, i);
        if (i % 3 == 0)
            remove_key(p, key);
    }
    cr_assert_gt(status_of(r).counters.rebuilds, 5);
    for (int i = 0; i < 8000; i++) {
        int64_t value = -1;
        snprintf(key, sizeof key, "key.%d", i);
        cr_assert_eq(cfgs_get_int(r, key, &value), i % 3 == 0 ? CFGS_ERR_NOT_FOUND : CFGS_OK, "%s", key);
        cr_assert(i % 3 == 0 || value == i);
    }
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(growth, values_grow_to_a_mebibyte)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    const size_t most = 1u << 20;
    char *in = malloc(most + 1), *out = malloc(most + 1);

    for (size_t length = 1; length <= most; length *= 4) {
        size_t got = 0;
        memset(in, 'a' + (int)(length % 7), length);
        set_value(p, "big", cfgs_value_string(in, length), CFGS_SOURCE_FILE);
        ok(cfgs_get_string(r, "big", out, most + 1, &got));
        cr_assert_eq(got, length);
        cr_assert_eq(memcmp(in, out, length), 0);
    }
    free(in);
    free(out);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

/* The room for a ring's worth of history must not keep out what would fit without it. */
Test(growth, a_large_value_alone_in_a_default_arena_is_published)
{
    cfgs_publisher *p = publish_with(new_instance(), (cfgs_publisher_options){0});
    cfgs_reader *r = reader_of(p);
    const size_t length = 1u << 20;
    char *text = malloc(length);
    cfgs_copy *copy;

    memset(text, 'x', length);
    cfgs_setting setting = setting_of("big", cfgs_value_string(text, length), CFGS_SOURCE_FILE);
    int err = cfgs_publisher_set(p, &setting, 0, NULL);
    cr_assert_eq(err, CFGS_OK, "%s", cfgs_publisher_error(p)->message);
    ok(cfgs_get_value(r, "big", &copy));
    cr_assert(cfgs_value_equal(cfgs_copy_value(copy), &setting.value));
    cfgs_copy_free(copy);
    free(text);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(growth, a_value_of_16_mib_is_published_and_one_byte_more_is_not)
{
    cfgs_publisher *p = publish_in_memory(16);
    cfgs_reader *r = reader_of(p);
    char *text = malloc(CFGS_VALUE_MAX_BYTES + 1);
    cfgs_setting setting;
    cfgs_copy *copy;

    memset(text, 'x', CFGS_VALUE_MAX_BYTES + 1);
    setting = setting_of("big", cfgs_value_string(text, CFGS_VALUE_MAX_BYTES + 1), CFGS_SOURCE_FILE);
    fails(CFGS_ERR_TOO_LARGE, cfgs_publisher_set(p, &setting, 0, NULL));
    setting.value.as.bytes.length--;
    ok(cfgs_publisher_set(p, &setting, 0, NULL));
    ok(cfgs_get_value(r, "big", &copy));
    cr_assert(cfgs_value_equal(cfgs_copy_value(copy), &setting.value));
    cfgs_copy_free(copy);
    free(text);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(growth, at_max_size_the_error_names_bytes_and_the_state_stays)
{
    cfgs_publisher *p = publish_with(new_instance(), (cfgs_publisher_options){.ring_slots = 16, .max_size = 1u << 20});
    cfgs_reader *r = reader_of(p);
    char *text = malloc(1u << 20), *out = malloc(1u << 20);
    cfgs_setting setting;
    size_t length = 1000, got;
    int err;

    set_int(p, "small", 7);
    for (;; length += 1000) {
        cr_assert_lt(length, 1u << 20, "max_size is never reached");
        memset(text, 'x', length);
        setting = setting_of("big", cfgs_value_string(text, length), CFGS_SOURCE_FILE);
        uint64_t before = cfgs_publisher_sequence(p);
        err = cfgs_publisher_set(p, &setting, 0, NULL);
        if (err != CFGS_OK) {
            cr_assert_eq(cfgs_publisher_sequence(p), before);
            break;
        }
    }
    cr_assert_eq(err, CFGS_ERR_NO_SPACE);
    const cfgs_error_detail *detail = cfgs_publisher_error(p);
    cr_assert_eq(detail->code, CFGS_ERR_NO_SPACE);
    cr_assert_gt(detail->bytes_needed, detail->bytes_available);
    cr_assert_eq(detail->bytes_available, 1u << 20);
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)detail->bytes_needed);
    cr_assert_not_null(strstr(detail->message, number), "%s", detail->message);
    cr_assert_leq(file_bytes(p), 1u << 20);
    cr_assert_eq(int_of(r, "small"), 7);
    ok(cfgs_get_string(r, "big", out, 1u << 20, &got));
    cr_assert_eq(got, length - 1000, "the last committed value stays");
    cr_assert(set_int(p, "small", 8), "what fits is still published");
    cr_assert_eq(int_of(r, "small"), 8);
    cr_assert(set_text(p, "big", "small again"));
    cr_assert(set_int(p, "another", 1));
    free(text);
    free(out);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(growth, a_max_size_too_small_for_the_ring_is_no_space)
{
    cfgs_error_detail detail = {0};
    cfgs_publisher *p;
    const char *instance = new_instance();
    fails(CFGS_ERR_NO_SPACE,
          cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .max_size = 65536, .detail = &detail},
                              &p));
    cr_assert_gt(detail.bytes_needed, detail.bytes_available);
    cr_assert_not(exists(arena_path(instance)));
}

/* shm-pitfalls 13: the mode is what was asked for, whatever the umask. */
static void mode_is(mode_t mask, cfgs_publisher_options options, mode_t expected)
{
    struct stat st;
    mode_t old = umask(mask);
    cfgs_publisher *p = publish_with(new_instance(), options);
    umask(old);
    cr_assert_eq(stat(cfgs_publisher_path(p), &st), 0);
    cr_assert_eq(st.st_mode & 07777, expected, "mode %04o under umask %03o", (unsigned)(st.st_mode & 07777),
                 (unsigned)mask);
    cfgs_publisher_close(p, true);
}

Test(growth, the_umask_does_not_narrow_the_mode)
{
    static const mode_t masks[] = {0000, 0022, 0027, 0077};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        mode_is(masks[i], (cfgs_publisher_options){0}, 0640);
        mode_is(masks[i], (cfgs_publisher_options){.set_mode = true, .mode = 0644}, 0644);
        mode_is(masks[i], (cfgs_publisher_options){.set_mode = true, .mode = 0600}, 0600);
    }
}

Test(growth, the_arena_is_given_to_the_group_that_was_asked_for)
{
    gid_t group = getuid() == 0 ? 12345 : getegid();
    struct stat st;
    cfgs_publisher *p = publish_with(new_instance(), (cfgs_publisher_options){.set_group = true, .group = group});
    cr_assert_eq(stat(cfgs_publisher_path(p), &st), 0);
    cr_assert_eq(st.st_gid, group);
    cr_assert_eq(st.st_mode & 07777, 0640);
    cfgs_publisher_close(p, true);
}
