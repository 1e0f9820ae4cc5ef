/* The parts of the transport that need no socket.  SPDX-License-Identifier: Apache-2.0 */
#include "http2/abuse.h"
#include "http2/account.h"
#include "http2/framing.h"
#include "http2/request.h"
#include "http2/status.h"
#include "http2/timers.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- status messages (checklist 12) ------------------------------------------------------------------------------ */

static const char *encoded(const char *message)
{
    static char out[GRPC_MESSAGE_ENCODED_BYTES];
    size_t length = grpc_message_encode(message, out);
    cr_assert_eq(length, strlen(out));
    return out;
}

Test(http2_status, plain_text_travels_as_it_is)
{
    cr_expect_str_eq(encoded("session_id 'x' not found: ~!"), "session_id 'x' not found: ~!");
    cr_expect_str_eq(encoded(""), "");
}

Test(http2_status, percent_control_and_utf8_bytes_are_encoded)
{
    cr_expect_str_eq(encoded("100%\t\xc3\xa4\x7f"), "100%25%09%C3%A4%7F");
}

Test(http2_status, blanks_are_encoded_at_the_edges_only)
{
    cr_expect_str_eq(encoded(" a b "), "%20a b%20");
    cr_expect_str_eq(encoded(" "), "%20");
}

Test(http2_status, a_long_message_is_cut_at_a_character)
{
    char message[1100];
    memset(message, 'a', 1023);
    strcpy(message + 1023, "\xc3\xa4zzz");
    cr_expect_eq(strlen(encoded(message)), 1023, "the character that goes over the edge is left out whole");
    memset(message, 'b', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    cr_expect_eq(strlen(encoded(message)), GRPC_MESSAGE_MAX_BYTES);
    memset(message, '\x80', sizeof message - 1);
    cr_expect_eq(strlen(encoded(message)), 3 * GRPC_MESSAGE_MAX_BYTES, "what is no UTF-8 is cut as it comes");
}

/* ---- grpc-timeout (checklist 6) ---------------------------------------------------------------------------------- */

static int64_t timeout_ms(const char *value)
{
    int64_t ms;
    return grpc_timeout_parse(value, &ms) ? ms : -1;
}

Test(http2_timeout, each_unit_is_known)
{
    cr_expect_eq(timeout_ms("2H"), 7200000);
    cr_expect_eq(timeout_ms("3M"), 180000);
    cr_expect_eq(timeout_ms("4S"), 4000);
    cr_expect_eq(timeout_ms("5m"), 5);
    cr_expect_eq(timeout_ms("6000u"), 6);
    cr_expect_eq(timeout_ms("7000000n"), 7);
}

Test(http2_timeout, parts_of_a_millisecond_are_rounded_up)
{
    cr_expect_eq(timeout_ms("1n"), 1);
    cr_expect_eq(timeout_ms("1001u"), 2);
    cr_expect_eq(timeout_ms("0n"), 0);
    cr_expect_eq(timeout_ms("00000000H"), 0);
}

Test(http2_timeout, more_hours_than_fit_are_as_many_as_fit)
{
    cr_expect_eq(timeout_ms("2562047H"), INT64_C(2562047) * 3600000);
    cr_expect_eq(timeout_ms("99999999H"), INT64_MAX / 1000000 + 1);
}

Test(http2_timeout, anything_else_is_refused)
{
    const char *const bad[] = {"", "S", "1", "1s", "1h", "123456789S", "-1S", "+1S", " 1S", "1S ", "1 S", "1.5S", "0x1S", "1SS"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(timeout_ms(bad[i]), -1, "'%s'", bad[i]);
}

/* ---- framing (checklist 8, 9) ------------------------------------------------------------------------------------ */

static const uint8_t two_messages[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0};

Test(http2_framing, messages_come_out_however_the_bytes_are_split)
{
    for (size_t step = 1; step <= sizeof two_messages; step++) {
        struct framer framer = {0};
        unsigned messages = 0;
        for (size_t at = 0, used; at < sizeof two_messages; at += used) {
            size_t part = sizeof two_messages - at < step ? sizeof two_messages - at : step;
            enum framer_result result = framer_feed(&framer, two_messages + at, part, 3, &used);
            cr_assert(used > 0);
            if (result != FRAMER_MESSAGE)
                continue;
            cr_assert_eq(framer.length, messages == 0 ? 3 : 0);
            cr_assert(messages || memcmp(framer.body, "abc", 3) == 0);
            messages++;
            framer_next(&framer);
        }
        cr_expect_eq(messages, 2);
        cr_expect(framer_is_between(&framer));
    }
}

Test(http2_framing, a_length_beyond_the_limit_is_refused_before_any_of_it_came)
{
    struct framer framer = {0};
    size_t used;
    cr_expect_eq(framer_feed(&framer, (const uint8_t *)"\0\0\0\0\4", 5, 3, &used), FRAMER_TOO_LARGE);
    cr_expect_null(framer.body);
}

Test(http2_framing, an_announced_length_alone_costs_little_memory)
{
    struct framer framer = {0};
    size_t used;
    cr_expect_eq(framer_feed(&framer, (const uint8_t *)"\0\0\x40\0\0", 5, 1 << 22, &used), FRAMER_MORE);
    cr_expect_leq(framer.capacity, 1024);
    framer_next(&framer);
}

Test(http2_framing, flags_are_told_apart)
{
    struct framer compressed = {0}, odd = {0};
    size_t used;
    cr_expect_eq(framer_feed(&compressed, (const uint8_t *)"\1\0\0\0\1", 5, 9, &used), FRAMER_COMPRESSED);
    cr_expect_eq(framer_feed(&odd, (const uint8_t *)"\2\0\0\0\1", 5, 9, &used), FRAMER_BAD_FLAG);
}

Test(http2_framing, an_outgoing_stream_is_between_messages_exactly_at_their_ends)
{
    struct cut cut = {0};
    for (size_t i = 0; i < sizeof two_messages; i++) {
        cr_expect_eq(cut_is_between(&cut), i == 0 || i == 8, "before byte %zu", i);
        cut_follow(&cut, two_messages + i, 1);
    }
    cr_expect(cut_is_between(&cut));
    cut_follow(&cut, two_messages, sizeof two_messages);
    cr_expect(cut_is_between(&cut));
}

Test(http2_framing, a_prefix_holds_the_length_big_endian)
{
    uint8_t prefix[GRPC_PREFIX_BYTES];
    framing_write_prefix(prefix, 0x01020304);
    cr_expect_arr_eq(prefix, "\0\1\2\3\4", 5);
}

/* ---- the account of small frames --------------------------------------------------------------------------------- */

Test(http2_account, small_frames_cost_what_they_lack)
{
    struct account account = {0};
    uint32_t stream = 0;
    account_sent(&account, &stream, 56);
    account_sent(&account, &stream, 256);
    account_sent(&account, &stream, 16384);
    cr_expect_eq(account.spent, 200);
    account_give_back(&account, &stream);
    cr_expect_eq(account.spent, 0);
    cr_expect_eq(stream, 0);
}

Test(http2_account, it_is_tight_long_before_it_is_empty)
{
    struct account account = {0};
    uint32_t stream = 0;
    while (!account_is_tight(&account))
        account_sent(&account, &stream, 1);
    cr_expect_leq(account.spent, ACCOUNT_TIGHT);
    unsigned answers = 0;
    for (; account_allows(&account, 6); answers++)
        account_sent(&account, &stream, 6);
    cr_expect_leq(account.spent, ACCOUNT_MAX);
    cr_expect_geq(answers, 32);
    cr_expect(account_allows(&account, 256), "frames that cost nothing always go");
}

/* ---- floods ------------------------------------------------------------------------------------------------------ */

Test(http2_abuse, a_burst_is_borne_and_one_more_is_not)
{
    struct abuse abuse = {0};
    for (unsigned i = 0; i < 20; i++)
        cr_assert(abuse_note(&abuse, ABUSE_RESETS, 1000, 10));
    cr_expect_not(abuse_note(&abuse, ABUSE_RESETS, 1000, 10));
}

Test(http2_abuse, a_steady_rate_is_borne_for_ever)
{
    struct abuse abuse = {0};
    for (unsigned i = 0; i < 10000; i++)
        cr_assert(abuse_note(&abuse, ABUSE_RESETS, 1000 + i * 10, 10));
    for (unsigned i = 0; i < 1000; i++)
        cr_assert(abuse_note(&abuse, ABUSE_SETTINGS, 1000 + i * 1000, 10));
}

Test(http2_abuse, kinds_have_buckets_of_their_own)
{
    struct abuse abuse = {0};
    for (unsigned i = 0; i < 50; i++)
        cr_assert(abuse_note(&abuse, ABUSE_SETTINGS, 1000, 10));
    cr_expect_not(abuse_note(&abuse, ABUSE_SETTINGS, 1000, 10));
    cr_expect(abuse_note(&abuse, ABUSE_INVALID, 1000, 10));
    cr_expect(abuse_note(&abuse, ABUSE_FRAMES, 1000, 10));
}

Test(http2_abuse, windows_opened_for_what_was_sent_are_borne_at_any_rate)
{
    struct abuse abuse = {0};
    for (int i = 0; i < 100000; i++) {
        abuse_expect_windows(&abuse);
        cr_assert(abuse_note(&abuse, ABUSE_FRAMES, 1000, 10));
        cr_assert(abuse_note(&abuse, ABUSE_FRAMES, 1000, 10));
    }
    for (int i = 0; i < 20000 - 2; i++)
        cr_assert(abuse_note(&abuse, ABUSE_FRAMES, 1000, 10));
    cr_expect_not(abuse_note(&abuse, ABUSE_FRAMES, 1000, 10), "but what was sent earns nothing for later");
}

Test(http2_abuse, the_third_strike_of_pings_is_one_too_many)
{
    struct abuse abuse = {0};
    cr_expect(abuse_ping(&abuse, 1000, 10000));
    cr_expect(abuse_ping(&abuse, 2000, 10000));
    cr_expect(abuse_ping(&abuse, 3000, 10000));
    cr_expect_not(abuse_ping(&abuse, 4000, 10000));
}

Test(http2_abuse, pings_at_the_permitted_gap_less_a_tenth_are_good)
{
    struct abuse abuse = {0};
    for (int64_t i = 0; i < 100; i++)
        cr_assert(abuse_ping(&abuse, 1000 + i * 9000, 10000));
}

Test(http2_abuse, what_we_send_forgives_pings)
{
    struct abuse abuse = {0};
    for (int64_t i = 0; i < 100; i++) {
        cr_assert(abuse_ping(&abuse, 1000 + i, 10000));
        abuse_forgive_pings(&abuse);
    }
}

Test(http2_abuse, an_interval_of_zero_permits_all_pings)
{
    struct abuse abuse = {0};
    for (int64_t i = 0; i < 100; i++)
        cr_assert(abuse_ping(&abuse, 1000, 0));
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

Test(http2_timers, each_is_taken_when_it_is_due_and_not_before)
{
    static struct timers timers;
    static struct timer many[2000];
    timers_init(&timers, 5000);
    for (int64_t i = 0; i < 2000; i++) { /* several times around the wheel */
        timer_init(&many[i]);
        timers_add(&timers, &many[i], 5000 + 7 * i);
    }
    size_t taken = 0;
    for (int64_t now = 5000; now <= 5000 + 7 * 2001; now += 13) {
        for (struct timer *timer; (timer = timers_take_due(&timers, now)) != NULL; taken++)
            cr_assert(timer->due_ms <= now);
        cr_assert_eq(taken, (size_t)((now - 5000) / 7 + 1) < 2000 ? (size_t)((now - 5000) / 7 + 1) : 2000);
    }
    cr_expect_eq(taken, 2000);
}

Test(http2_timers, one_that_was_stopped_is_not_taken)
{
    static struct timers timers;
    struct timer timer;
    timers_init(&timers, 0);
    timer_init(&timer);
    timers_add(&timers, &timer, 10);
    timer_stop(&timer);
    cr_expect_null(timers_take_due(&timers, 100000));
    timer_stop(&timer);
}

Test(http2_timers, one_that_is_overdue_is_taken_at_once)
{
    static struct timers timers;
    struct timer timer;
    timers_init(&timers, 100000);
    timer_init(&timer);
    timers_add(&timers, &timer, 50);
    cr_expect_eq(timers_take_due(&timers, 100000), &timer);
}

Test(http2_timers, a_sleep_beyond_a_turn_of_the_wheel_loses_none)
{
    static struct timers timers;
    struct timer near, far;
    timers_init(&timers, 0);
    timer_init(&near), timer_init(&far);
    timers_add(&timers, &near, 3);
    timers_add(&timers, &far, INT64_MAX);
    cr_expect_eq(timers_take_due(&timers, 1000000), &near);
    cr_expect_null(timers_take_due(&timers, 1000000));
}

/* Looked at anew for each that is due, those that are not would hold up the worker for minutes. */
Test(http2_timers, many_are_taken_from_among_many_that_are_not_due_yet, .timeout = 240)
{
    enum { EACH = 200000 };
    static struct timers timers;
    static struct timer many[2 * EACH];
    size_t taken = 0;
    timers_init(&timers, 0);
    for (size_t i = 0; i < 2 * EACH; i++) {
        timer_init(&many[i]);
        timers_add(&timers, &many[i], i < EACH ? TIMERS_SLOTS * TIMERS_SLOT_MS : 0);
    }
    for (const struct timer *timer; (timer = timers_take_due(&timers, 0)) != NULL; taken++)
        cr_assert(timer->due_ms <= 0);
    cr_expect_eq(taken, EACH);
}

Test(http2_timers, one_that_was_stopped_while_others_were_taken_is_not_taken)
{
    static struct timers timers;
    struct timer first, second;
    timers_init(&timers, 0);
    timer_init(&first), timer_init(&second);
    timers_add(&timers, &first, 10);
    timers_add(&timers, &second, 10);
    cr_expect_eq(timers_take_due(&timers, 100), &first);
    timer_stop(&second); /* what became of the first may have ended it */
    cr_expect_null(timers_take_due(&timers, 100));
}

Test(http2_timers, the_wait_ends_with_the_first_and_lasts_no_longer_than_asked)
{
    static struct timers timers;
    struct timer timer;
    timers_init(&timers, 0);
    timer_init(&timer);
    cr_expect_eq(timers_wait_ms(&timers, 0, 1000), 1000);
    timers_add(&timers, &timer, 100);
    int64_t wait = timers_wait_ms(&timers, 0, 1000);
    cr_expect(wait >= 100 && wait <= 100 + TIMERS_SLOT_MS, "%lld", (long long)wait);
    cr_expect_eq(timers_wait_ms(&timers, 0, 50), 50);
    cr_expect_eq(timers_wait_ms(&timers, 500, 1000), 0);
}
