/* The parts of the consumer that need no connection.  SPDX-License-Identifier: Apache-2.0 */
#include "client/address.h"
#include "client/backoff.h"
#include "client/config_event.h"
#include "client/path.h"
#include "client/report.h"
#include "client/text.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static bool parses(const char *text)
{
    char host[HOST_PORT_HOST_BYTES];
    const char *port;
    return address_parse(text, host, &port);
}

Test(client_address, host_and_port_are_taken_apart)
{
    char host[HOST_PORT_HOST_BYTES];
    const char *port;
    cr_assert(address_parse("core.example.com:5001", host, &port));
    cr_expect_str_eq(host, "core.example.com");
    cr_expect_str_eq(port, "5001");
    cr_assert(address_parse("[2001:db8::1]:65535", host, &port));
    cr_expect_str_eq(host, "2001:db8::1");
}

Test(client_address, what_cannot_be_dialled_is_none)
{
    static const char *const others[] = {"", ":", "a:", ":1", "a:0", "a:65536", "a:x", "a:-1", "::1:5001", "[::1]", "[]:1",
                                         "a"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect(!parses(others[i]), "'%s' is taken", others[i]);
}

Test(client_address, numbers_are_told_from_names)
{
    static const char *const numbers[][2] = {{"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"2001:DB8:0::1", "2001:db8::1"},
                                             {"127.1", "127.0.0.1"}, {"fe80::1%lo", "fe80::1"}};
    char number[ADDRESS_NUMBER_BYTES];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        cr_expect(address_number(numbers[i][0], number), "%s is no number", numbers[i][0]);
        cr_expect_str_eq(number, numbers[i][1]);
    }
    cr_expect(!address_number("localhost", number) && !address_number("core.example.com", number));
}

Test(client_address, localhost_is_both_families_without_a_look_up)
{
    struct addresses addresses;
    struct failure failure;
    char name[HOST_PORT_NAME_BYTES];
    cr_assert_eq(address_resolve("LocalHost", "5001", &addresses, &failure), CFGS_OK);
    cr_assert_eq(addresses.count, 2);
    host_port_name(&addresses.all[0].storage, name);
    cr_expect_str_eq(name, "127.0.0.1:5001");
    host_port_name(&addresses.all[1].storage, name);
    cr_expect_str_eq(name, "[::1]:5001");
}

Test(client_address, the_one_that_worked_last_comes_first)
{
    struct addresses addresses;
    struct failure failure;
    cr_assert_eq(address_resolve("localhost", "5001", &addresses, &failure), CFGS_OK);
    const struct address second = addresses.all[1], gone = {.length = 1};
    address_prefer(&addresses, &second);
    cr_expect_arr_eq(&addresses.all[0], &second, sizeof second);
    address_prefer(&addresses, &gone);
    cr_expect_arr_eq(&addresses.all[0], &second, sizeof second);
    cr_expect_eq(addresses.count, 2);
}

/* ---- backoff ----------------------------------------------------------------------------------------------------- */

static void expect_about(int64_t pause, double wanted)
{
    cr_expect((double)pause >= 0.8 * wanted && (double)pause <= 1.2 * wanted + 1, "%lld is not about %g", (long long)pause,
              wanted);
}

Test(client_backoff, pauses_grow_by_the_factor_up_to_the_longest)
{
    struct backoff backoff;
    backoff_init(&backoff, 1000, 120000, 7);
    double wanted = 1000;
    for (unsigned i = 0; i < 20; i++) {
        expect_about(backoff_pause(&backoff), wanted);
        wanted = wanted * 1.6 < 120000 ? wanted * 1.6 : 120000;
    }
    cr_expect_eq(wanted, 120000);
    backoff_reset(&backoff);
    expect_about(backoff_pause(&backoff), 1000);
    expect_about(backoff_longest(&backoff), 120000);
}

Test(client_backoff, pauses_are_spread)
{
    bool below = false, above = false;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct backoff backoff;
        backoff_init(&backoff, 1000, 1000, seed * UINT64_C(0x9e3779b97f4a7c15));
        for (unsigned i = 0; i < 10; i++) {
            int64_t pause = backoff_pause(&backoff);
            expect_about(pause, 1000);
            below = below || pause < 850;
            above = above || pause > 1150;
        }
    }
    cr_expect(below && above, "all pauses are about the same");
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static const char *decoded(const char *encoded)
{
    static char text[32];
    text_of_message(encoded, strlen(encoded), text, sizeof text);
    return text;
}

Test(client_text, messages_are_percent_decoded)
{
    cr_expect_str_eq(decoded("100%25 %C3%A4"), "100% \xc3\xa4");
    cr_expect_str_eq(decoded("%e2%82%ac"), "\xe2\x82\xac");
    cr_expect_str_eq(decoded(""), "");
}

Test(client_text, what_is_no_escape_stands_for_itself)
{
    cr_expect_str_eq(decoded("50% of %zz %4"), "50% of %zz %4");
}

Test(client_text, nothing_unprintable_gets_through)
{
    cr_expect_str_eq(decoded("a%0Ab%1B[31m%00%FFz%C3"), "a?b?[31m??z?");
}

Test(client_text, a_long_message_is_cut_at_a_character)
{
    char text[8];
    text_of_message("123456%C3%A4", 12, text, sizeof text);
    cr_expect_str_eq(text, "123456");
    text_of_message("12345%C3%A4z", 12, text, sizeof text);
    cr_expect_str_eq(text, "12345\xc3\xa4");
}

Test(client_text, secrets_are_cut_short)
{
    char text[128] = "session_id '0123456789abcdef' not found: 0123456789abcdef";
    text_hide(text, "0123456789abcdef", 8);
    cr_expect_str_eq(text, "session_id '01234567...' not found: 01234567...");
    text_hide(text, "", 8);
    char whole[64] = "Bearer secretsecret!";
    text_hide(whole, "secretsecret", 0);
    cr_expect_str_eq(whole, "Bearer ...!");
}

Test(client_text, a_secret_of_which_the_text_holds_but_the_beginning_is_cut_short_too)
{
    char text[64] = "no session '0123456789abcde";
    text_hide(text, "0123456789abcdef", 8);
    cr_expect_str_eq(text, "no session '01234567...");
    char short_text[64] = "no session '012345678";
    text_hide(short_text, "0123456789abcdef", 8);
    cr_expect_str_eq(short_text, "no session '01234567.");
    char whole[64] = "0123456789";
    text_hide(whole, "0123456789abcdef", 0);
    cr_expect_str_eq(whole, "...");
    char few[64] = "that is a";
    text_hide(few, "abcdefgh", 0);
    cr_expect_str_eq(few, "that is a");
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

#define ID "00112233-4455-6677-8899-aabbccddeeff"

Test(client_path, a_path_is_a_list_of_uuids)
{
    struct path path;
    static const uint8_t first[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                      0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    cr_assert(path_parse("", &path));
    cr_expect_eq(path.count, 0);
    cr_assert(path_parse("00112233-4455-6677-8899-AABBCCDDEEFF,ffffffff-ffff-ffff-ffff-ffffffffffff", &path));
    cr_expect_eq(path.count, 2);
    cr_expect_arr_eq(path.ids[0], first, 16);
    cr_expect_eq(path.ids[1][15], 0xff);
    cr_assert(path_parse(ID "," ID "," ID "," ID "," ID "," ID "," ID "," ID "," ID, &path));
    cr_expect_eq(path.count, 9);
}

Test(client_path, all_else_is_malformed)
{
    struct path path;
    static const char *const others[] = {"x", ID ",", "," ID, ID " " ID, "00112233-4455-6677-8899-aabbccddeef",
                                         "00112233-4455-6677-8899-aabbccddeefff", "00112233445566778899aabbccddeeff----",
                                         "g0112233-4455-6677-8899-aabbccddeeff",
                                         ID "," ID "," ID "," ID "," ID "," ID "," ID "," ID "," ID "," ID};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect(!path_parse(others[i], &path), "'%s' is taken", others[i]);
}

Test(client_path, a_base_is_a_decimal_number_of_64_bits)
{
    uint64_t base;
    cr_assert(path_parse_base("0", &base) && base == 0);
    cr_assert(path_parse_base("18446744073709551615", &base) && base == UINT64_MAX);
    cr_expect(!path_parse_base("18446744073709551616", &base));
    cr_expect(!path_parse_base("", &base) && !path_parse_base("-1", &base) && !path_parse_base("1x", &base) &&
              !path_parse_base(" 1", &base));
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

#define READ(bytes, event) config_event_read((const uint8_t *)(bytes), sizeof(bytes) - 1, event)

Test(client_event, a_snapshot_is_walked)
{
    struct config_event event;
    const uint8_t *at, *setting;
    size_t length;
    cr_assert_null(READ("\x0a\x0e\x0a\x01o\x10\x07\x1a\x03" "abc" "\x1a\x00\x20\x01", &event));
    cr_expect(event.is_snapshot);
    cr_expect_eq(event.sequence, 7);
    cr_expect_eq(event.settings, 2);
    cr_expect_str_eq(event.origin, "o");
    at = event.body;
    cr_assert(config_event_next(&event, &at, &setting, &length));
    cr_expect(length == 3 && memcmp(setting, "abc", 3) == 0);
    cr_assert(config_event_next(&event, &at, &setting, &length));
    cr_expect_eq(length, 0);
    cr_expect(!config_event_next(&event, &at, &setting, &length));
}

Test(client_event, an_empty_snapshot_is_one_of_nothing)
{
    struct config_event event;
    cr_assert_null(READ("\x0a\x00", &event));
    cr_expect(event.is_snapshot && event.settings == 0 && event.sequence == 0);
}

Test(client_event, a_negative_id_is_one_that_was_cast_down)
{
    struct config_event event;
    cr_assert_null(READ("\x12\x0d\x10\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x00", &event));
    cr_expect_eq(event.sequence, UINT32_C(0xfffffffe));
    cr_expect(!event.is_snapshot);
}

Test(client_event, unknown_fields_beside_are_passed_over)
{
    struct config_event event;
    cr_assert_null(READ("\x18\x01\x0a\x10\x25" "abcd" "\x29" "abcdefgh" "\x10\x05\x22\x01z", &event));
    cr_expect(event.is_snapshot && event.sequence == 5);
}

Test(client_event, what_is_malformed_is_refused_with_a_reason)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *words;
    } cases[] = {
#define CASE(bytes, words) {bytes, sizeof(bytes) - 1, words}
        CASE("", "neither"),
        CASE("\x1a\x00", "neither"),                      /* an unknown member */
        CASE("\x08\x01", "neither"),                      /* of another type */
        CASE("\x0a", "no valid"),
        CASE("\x0a\x05", "no valid"),
        CASE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "no valid"),
        CASE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "no valid"),
        CASE("\x00\x00", "no valid"),                     /* field 0 */
        CASE("\x0b\x0c", "no valid"),                     /* a group */
        CASE("\x0a\x02\x10\xff", "no valid"),             /* within */
        CASE("\x0a\x00\x0a\x00", "more than one"),
        CASE("\x0a\x00\x12\x02\x1a\x00", "more than one"),
        CASE("\x12\x02\x10\x01", "without a setting"),
        CASE("\x12\x04\x1a\x00\x1a\x00", "several"),
        CASE("\x0a\x03\x0a\x01\x00", "NUL"),
    };
    struct config_event event;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *wrong = config_event_read((const uint8_t *)cases[i].bytes, cases[i].length, &event);
        cr_expect(wrong && strstr(wrong, cases[i].words), "case %zu: %s", i, wrong ? wrong : "taken");
    }
}

Test(client_event, every_cut_of_a_message_is_refused)
{
    static const char whole[] = "\x0a\x0d\x0a\x01o\x10\x07\x1a\x06" "abcdef";
    struct config_event event;
    cr_assert_null(READ(whole, &event));
    for (size_t length = 0; length < sizeof whole - 1; length++)
        cr_expect_not_null(config_event_read((const uint8_t *)whole, length, &event), "cut to %zu bytes", length);
}

Test(client_event, an_origin_has_at_most_255_bytes)
{
    unsigned char message[300] = {0x0a, 0x82, 0x02, 0x0a, 0xff, 0x01};
    struct config_event event;
    memset(message + 6, 'o', 255);
    cr_assert_null(config_event_read(message, 6 + 255, &event));
    cr_expect_eq(strlen(event.origin), 255);
    message[1] = 0x83;
    message[4] = 0x80;
    message[5] = 0x02;
    memset(message + 6, 'o', 256);
    cr_expect_not_null(config_event_read(message, 6 + 256, &event));
}

/* ---- log lines --------------------------------------------------------------------------------------------------- */

static unsigned lines;
static char last_line[1024];

static void keep(void *context, cfgs_remote_severity severity, const char *line)
{
    (void)context, (void)severity;
    lines++;
    snprintf(last_line, sizeof last_line, "%s", line);
}

Test(client_report, the_same_error_is_told_once)
{
    struct report report = {.log = keep};
    for (unsigned i = 0; i < 1000; i++)
        report_error(&report, "stream error", "no way", "again soon");
    cr_expect_eq(lines, 1);
    cr_expect_str_eq(last_line, "stream error: no way; again soon");
    cr_expect_eq(report.error_repeats, 999);
    report.error_ms -= 60 * 1000;
    report_error(&report, "stream error", "no way", "again soon");
    cr_expect_eq(lines, 2);
    cr_expect_str_eq(last_line, "stream error: no way (1000 times in the last minute); again soon");
}

Test(client_report, a_kind_of_line_has_so_many_a_minute)
{
    struct report report = {.log = keep};
    for (unsigned i = 0; i < 1000; i++)
        report_line(&report, REPORT_SNAPSHOT, CFGS_REMOTE_INFO, "line %u", i);
    cr_expect_eq(lines, 6);
    report_line(&report, REPORT_STREAM, CFGS_REMOTE_INFO, "another kind");
    cr_expect_eq(lines, 7);
    report.accounts[REPORT_SNAPSHOT].since_ms -= 60 * 1000;
    report_line(&report, REPORT_SNAPSHOT, CFGS_REMOTE_INFO, "line");
    cr_expect_str_eq(last_line, "line (994 such lines before it were left out)");
}
