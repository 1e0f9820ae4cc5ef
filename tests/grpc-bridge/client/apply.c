/* Order, path, and whole or not at all.  SPDX-License-Identifier: Apache-2.0 */
#include "client/apply.h"

#include <configstream/configstream.h>
#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

static const struct engine_hooks NO_HOOKS;
static cfgs_publisher *publisher;
static cfgs_reader *reader;
static cfgs_remote_info info;
static struct apply apply;
static struct failure failure;
static unsigned said;
static atomic_bool stopping;

static void say(void *context, uint64_t sequence, size_t settings)
{
    (void)context, (void)sequence, (void)settings;
    said++;
}

static void setup(void)
{
    cr_assert_eq(cfgs_publisher_open(&(cfgs_publisher_options){.in_memory = true}, &publisher), CFGS_OK);
    cr_assert_eq(cfgs_publisher_reader(publisher, &reader), CFGS_OK);
    apply = (struct apply){
        .publisher = publisher, .hooks = &NO_HOOKS, .info = &info, .say = say, .stopping = &stopping};
    cr_assert_eq(apply_begin(&apply, "192.0.2.1:5001", "", "", &failure), CFGS_OK);
}

static void teardown(void)
{
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, true);
}

TestSuite(client_apply, .init = setup, .fini = teardown);

/* One setting of a text, as a field `number` of what holds it; short enough for lengths of one byte. */
static size_t put_setting(uint8_t *to, const char *key, const char *value)
{
    size_t key_length = strlen(key), value_length = value ? strlen(value) : 0, at = 2;
    memcpy(to + at, "\x0a\x04" "file\x12", 7);
    at += 7;
    to[at++] = (uint8_t)key_length;
    memcpy(to + at, key, key_length);
    at += key_length;
    if (value) {
        to[at++] = 0x1a;
        to[at++] = (uint8_t)(value_length + 2);
        to[at++] = 0x1a;
        to[at++] = (uint8_t)value_length;
        memcpy(to + at, value, value_length);
        at += value_length;
    }
    to[0] = 0x1a;
    to[1] = (uint8_t)(at - 2);
    return at;
}

/* Keys and values in turn, ended by NULL; `tag` is that of snapshot or update. */
static int event(uint8_t tag, uint8_t sequence, const char *const *settings)
{
    uint8_t message[256] = {tag, 0, 0x0a, 0x01, 'o', 0x10, sequence};
    size_t length = 7;
    for (; *settings; settings += 2)
        length += put_setting(message + length, settings[0], settings[1]);
    message[1] = (uint8_t)(length - 2);
    cr_assert_lt(length, 128);
    return apply_message(&apply, message, length, &failure);
}

#define SNAPSHOT(sequence, ...) event(0x0a, sequence, (const char *const[]){__VA_ARGS__, NULL})
#define UPDATE(sequence, key, value) event(0x12, sequence, (const char *const[]){key, value, NULL})

static bool has(const char *key, const char *value)
{
    char text[64];
    size_t length;
    int error = cfgs_get_string(reader, key, text, sizeof text, &length);
    return value ? error == CFGS_OK && strcmp(text, value) == 0 : error == CFGS_ERR_NOT_FOUND;
}

Test(client_apply, a_snapshot_and_then_updates)
{
    cr_assert_eq(SNAPSHOT(5, "a", "1", "b", "2"), CFGS_OK);
    cr_assert_eq(UPDATE(6, "a", "3"), CFGS_OK);
    cr_assert_eq(UPDATE(7, "b", NULL), CFGS_OK);
    cr_expect(has("a", "3") && has("b", NULL));
    cr_expect_eq(cfgs_publisher_sequence(publisher), 7);
    cr_expect(info.sequence == 7 && info.counters.snapshots == 1 && info.counters.updates == 2 && said == 1);
}

static void expect_refused(int error, const char *words)
{
    cr_expect_eq(error, CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, words), "'%s' does not say '%s'", failure.text, words);
    cr_expect(has("a", "1") && cfgs_publisher_sequence(publisher) == 5, "the last state is not kept");
}

Test(client_apply, an_update_before_any_snapshot_is_refused)
{
    cr_assert_eq(UPDATE(1, "a", "1"), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, "before any snapshot"));
    cr_expect_eq(info.counters.stale, 1);
    cr_expect_eq(cfgs_reader_wait_ready(reader, 0), CFGS_ERR_TIMEOUT);
}

Test(client_apply, a_gap_and_a_repeat_are_refused_and_counted)
{
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
    expect_refused(UPDATE(7, "a", "2"), "a gap");
    expect_refused(UPDATE(5, "a", "2"), "repeated");
    expect_refused(UPDATE(4, "a", "2"), "repeated");
    cr_expect(info.counters.gaps == 1 && info.counters.stale == 2 && info.counters.malformed == 0);
}

Test(client_apply, a_malformed_setting_refuses_the_whole_message)
{
    static const uint8_t bad[] = {0x0a, 0x0a, 0x10, 0x09, 0x1a, 0x00, 0x1a, 0x04, 0x12, 0x02, 'z', 'z'};
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
    expect_refused(apply_message(&apply, bad, sizeof bad, &failure), "a setting that is none");
    expect_refused(apply_message(&apply, bad, 3, &failure), "no valid ConfigEvent");
    expect_refused(apply_message(&apply, (const uint8_t *)"\x1a", 0, &failure), "neither");
    cr_expect(has("zz", NULL));
    cr_expect_eq(info.counters.malformed, 3);
}

Test(client_apply, a_snapshot_in_mid_stream_is_the_whole_state_whatever_its_id)
{
    cr_assert_eq(SNAPSHOT(5, "a", "1", "b", "2"), CFGS_OK);
    cr_assert_eq(SNAPSHOT(9, "a", "1"), CFGS_OK);
    cr_expect(has("a", "1") && has("b", NULL));
    cr_assert_eq(SNAPSHOT(2, "c", "1"), CFGS_OK);
    cr_expect(has("a", NULL) && has("c", "1"));
    cr_assert_eq(UPDATE(3, "c", "2"), CFGS_OK);
    cr_expect(has("c", "2"));
}

/* Each costs readers an arena's address space: a server that goes on like that is followed with pauses. */
Test(client_apply, restarts_without_end_in_one_stream_end_it)
{
    cr_assert_eq(SNAPSHOT(5, "a", "0"), CFGS_OK);
    for (int i = 1; i <= 16; i++)
        cr_assert_eq(SNAPSHOT(5, "a", i % 2 ? "2" : "1"), CFGS_OK);
    expect_refused(SNAPSHOT(5, "a", "2"), "began anew");
    cr_expect(failure.slow && !failure.permanent);
    expect_refused(SNAPSHOT(4, "a", "2"), "began anew");
    cr_assert_eq(SNAPSHOT(6, "a", "2"), CFGS_OK, "a resync is none");
    cr_assert_eq(apply_begin(&apply, "192.0.2.1:5001", "", "", &failure), CFGS_OK);
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK, "the next stream begins with any ID");
}

/* What is received can be made to take long, and whoever closes waits for the thread. */
Test(client_apply, a_snapshot_is_not_staged_to_its_end_for_one_who_closes)
{
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
    stopping = true;
    cr_expect_eq(SNAPSHOT(6, "a", "2"), CFGS_ERR_INTERRUPTED);
    cr_expect(has("a", "1") && cfgs_publisher_sequence(publisher) == 5);
}

Test(client_apply, a_wire_base_is_added_to_every_id)
{
    cr_assert_eq(apply_begin(&apply, "x", "4294967296", "", &failure), CFGS_OK);
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
    cr_assert_eq(UPDATE(6, "a", "2"), CFGS_OK);
    cr_expect_eq(cfgs_publisher_sequence(publisher), UINT64_C(4294967296) + 6);
    cr_assert_eq(apply_begin(&apply, "x", "18446744073709551615", "", &failure), CFGS_OK);
    cr_expect_eq(SNAPSHOT(5, "a", "1"), CFGS_ERR_PROTOCOL);
}

Test(client_apply, malformed_metadata_are_refused)
{
    cr_expect_eq(apply_begin(&apply, "x", "1a", "", &failure), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, "configstream-wire-base"));
    cr_expect_eq(apply_begin(&apply, "x", "", "me", &failure), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, "configstream-path"));
    cr_expect_eq(info.counters.malformed, 2);
}

static void own_id(char text[37])
{
    cfgs_reader_info arena;
    cr_assert_eq(cfgs_reader_status(reader, &arena, sizeof arena), CFGS_OK);
    memcpy(text, arena.instance_id, 37);
}

#define OTHER "00112233-4455-6677-8899-aabbccddeeff"

Test(client_apply, readers_are_told_where_it_comes_from_before_the_first_event)
{
    cfgs_reader_info arena;
    cr_assert_eq(apply_begin(&apply, "192.0.2.1:5001", "", OTHER, &failure), CFGS_OK);
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
    cr_assert_eq(cfgs_reader_status(reader, &arena, sizeof arena), CFGS_OK);
    cr_expect_str_eq(arena.origin, "o");
    cr_expect_str_eq(arena.upstream.address, "192.0.2.1:5001");
    cr_expect(arena.upstream.relayed && arena.upstream.path_length == 1);
    cr_expect_str_eq(arena.upstream.path[0], OTHER);
}

Test(client_apply, a_snapshot_that_is_refused_does_not_say_where_the_state_comes_from)
{
    cfgs_reader_info arena;
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
    cr_assert_eq(apply_begin(&apply, "192.0.2.2:5001", "", OTHER, &failure), CFGS_OK);
    cr_assert_eq(SNAPSHOT(6, "", "1"), CFGS_ERR_PROTOCOL);
    cr_assert_eq(cfgs_reader_status(reader, &arena, sizeof arena), CFGS_OK);
    cr_expect_str_eq(arena.upstream.address, "192.0.2.1:5001");
    cr_expect_eq(arena.upstream.path_length, 0);
    cr_expect(has("a", "1"));
}

Test(client_apply, a_relay_refuses_its_own_arena_and_a_path_without_room)
{
    char own[37], path[400];
    own_id(own);
    apply.relay = true;
    snprintf(path, sizeof path, "%s,%s", OTHER, own);
    cr_expect_eq(apply_begin(&apply, "x", "", path, &failure), CFGS_ERR_LOOP);
    cr_expect(failure.slow && strstr(failure.text, "2 steps up"));
    cr_expect_eq(apply_begin(&apply, "x", "", OTHER "," OTHER "," OTHER "," OTHER "," OTHER "," OTHER "," OTHER "," OTHER,
                             &failure), CFGS_OK);
    static const char nine[] = OTHER "," OTHER "," OTHER "," OTHER "," OTHER "," OTHER "," OTHER "," OTHER "," OTHER;
    cr_expect_eq(apply_begin(&apply, "x", "", nine, &failure), CFGS_ERR_LOOP);
    cr_expect(failure.slow && strstr(failure.text, "more than 8"));
    apply.relay = false; /* nobody reads on from there */
    cr_expect_eq(apply_begin(&apply, "x", "", nine, &failure), CFGS_OK);
    cr_expect_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
}

/* The bytes of a message, changed at random: a failure leaves the last state, whatever they are. */
Test(client_apply, mutated_messages_are_applied_whole_or_not_at_all)
{
    static const uint8_t whole[] = "\x0a\x26\x0a\x01o\x10\x06"
                                   "\x1a\x10\x0a\x04" "file\x12\x01" "a\x1a\x05\x1a\x03" "one"
                                   "\x1a\x0d\x0a\x04" "file\x12\x01" "b\x1a\x02\x20\x01";
    uint64_t random = 1;
    unsigned applied = 0;
    cr_assert_eq(apply_message(&apply, whole, sizeof whole - 1, &failure), CFGS_OK, "%s", failure.text);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t message[sizeof whole - 1];
        memcpy(message, whole, sizeof message);
        for (unsigned i = 0; i < 1 + round % 3; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            message[(random >> 33) % sizeof message] = (uint8_t)(random >> 56);
        }
        uint64_t before = cfgs_publisher_sequence(publisher);
        size_t length = sizeof message - (round % 4 == 3 ? (random >> 20) % sizeof message : 0);
        if (apply_message(&apply, message, length, &failure) == CFGS_OK)
            applied++;
        else
            cr_assert_eq(cfgs_publisher_sequence(publisher), before, "a failure has published something");
    }
    cr_expect(applied > 10 && applied < 1900, "%u of 2,000 were applied", applied);
}

static uint64_t hooked;
static void on_event(void *context, const struct engine_event *told)
{
    (void)context;
    hooked += told->sequence * (told->kind == ENGINE_UPDATE && told->setting_length > 0 ? 100 : 1);
}

Test(client_apply, the_hook_is_called_after_each_event)
{
    const struct engine_hooks hooks = {.event = on_event};
    apply.hooks = &hooks;
    cr_assert_eq(SNAPSHOT(5, "a", "1"), CFGS_OK);
    cr_assert_eq(UPDATE(6, "a", "2"), CFGS_OK);
    cr_expect_eq(hooked, 5 + 600, "%" PRIu64, hooked);
}
