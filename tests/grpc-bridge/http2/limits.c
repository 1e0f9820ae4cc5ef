/* What a peer may not do, and for how long (grpc-wire 3 and 5; checklist 22 to 27, 34).  SPDX-License-Identifier: Apache-2.0 */
#include "client.h"
#include "server.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct server server;
static struct client client;
static struct reply reply;
static uint32_t code;
static char text[128];

static void small_limits(struct limits *limits)
{
    SET_LIMIT(limits, max_connections, 2);
    SET_LIMIT(limits, max_streams, 10);
}

static void start(void)
{
    server_start(&server, small_limits);
}

static void stop(void)
{
    client_close(&client);
    server_stop(&server);
}

TestSuite(http2_limits, .init = start, .fini = stop, .timeout = 240);

/* For those whose time is to be up: others may be slow. */
static void be_hasty(void)
{
    SET_LIMIT(&server.bridge.limits, handshake_timeout, 100);
    SET_LIMIT(&server.bridge.limits, preface_timeout, 100);
}

static void expect_serving(struct client *by, int32_t stream)
{
    client_unary(by, stream, "/test.S/Echo", "a", 1);
    client_reply(by, stream, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
}

/* Closed as the peer's fault, and others are served as before. */
static void expect_blamed(uint32_t with_code, const char *with_text)
{
    static struct client other;
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect_eq(code, with_code, "%u", code);
    cr_expect_str_eq(text, with_text);
    cr_expect(server_counts(&server, abuse_closed, 1));
    client_open(&other, server.port);
    expect_serving(&other, 1);
    client_close(&other);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

Test(http2_limits, a_connection_beyond_the_limit_is_closed_and_the_next_one_after_a_leave_is_not)
{
    static struct client second, third, fourth;
    client_open(&client, server.port);
    expect_serving(&client, 1);
    client_open(&second, server.port);
    expect_serving(&second, 1);
    client_open(&third, server.port);
    cr_assert(client_is_closed(&third, &code, text));
    cr_expect(server_counts(&server, connections_refused, 1));
    client_close(&third);
    client_close(&second);
    cr_assert(server_counts(&server, connections, 1));
    client_open(&fourth, server.port);
    expect_serving(&fourth, 1);
    client_close(&fourth);
    expect_serving(&client, 3);
}

Test(http2_limits, a_handshake_that_takes_too_long_is_given_up)
{
    be_hasty();
    plain_channel_stuck = true;
    client_open(&client, server.port);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect(server_counts(&server, handshake_timeouts, 1));
}

Test(http2_limits, beyond_so_many_handshakes_newcomers_wait_their_turn)
{
    static struct client second;
    be_hasty();
    SET_LIMIT(&server.bridge.limits, max_handshakes, 1);
    plain_channel_stuck = true;
    client_open(&client, server.port);
    cr_assert(server_counts(&server, connections_accepted, 1));
    client_open(&second, server.port);
    cr_assert(server_counts(&server, handshake_timeouts, 1), "the first one blocks the door until its time is over");
    plain_channel_stuck = false;
    expect_serving(&second, 1);
    client_close(&second);
}

Test(http2_limits, a_peer_that_says_nothing_after_the_handshake_is_closed)
{
    be_hasty();
    client_connect(&client, server.port);
    cr_expect(server_counts(&server, handshake_timeouts, 1));
    cr_expect(server_counts(&server, connections, 0));
}

Test(http2_limits, what_is_not_http2_is_closed)
{
    client_connect(&client, server.port);
    client_write(&client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect(server_counts(&server, abuse_closed, 1));
}

/* Below this number there are no free descriptors: those that are open stay so. */
static void allow_descriptors(rlim_t number)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = number;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(http2_limits, without_descriptors_it_serves_whom_it_has_and_takes_newcomers_later)
{
    static struct client late;
    client_open(&client, server.port);
    expect_serving(&client, 1);
    client_prepare(&late);
    allow_descriptors(3);
    client_reach(&late, server.port);
    client_greet(&late);
    for (int32_t id = 3; !server.worker.paused; id += 2) /* or the newcomer would be tried without end */
        expect_serving(&client, id);
    cr_expect_eq(atomic_load(&server.worker.counters.connections_accepted), 1);
    allow_descriptors(64);
    expect_serving(&late, 1);
    client_close(&late);
}

/* ---- floods ------------------------------------------------------------------------------------------------------ */

Test(http2_limits, pings_that_come_too_fast_are_answered_with_the_text_clients_know)
{
    client_open(&client, server.port);
    for (int i = 0; i < 4; i++)
        client_frame(&client, NGHTTP2_PING, 0, 0, "12345678", 8);
    expect_blamed(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

Test(http2_limits, pings_beside_data_of_ours_are_welcome)
{
    client_open(&client, server.port);
    for (int32_t i = 0; i < 50; i++) {
        client_frame(&client, NGHTTP2_PING, 0, 0, "12345678", 8);
        expect_serving(&client, 2 * i + 1);
    }
}

Test(http2_limits, settings_in_a_flood_end_the_connection)
{
    client_open(&client, server.port);
    for (int i = 0; i < 60; i++)
        client_frame(&client, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    expect_blamed(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_settings");
}

static void reset_at_once(int32_t stream)
{
    client_call(&client, stream, "/test.S/Echo", NO_FIELD, NO_FIELD);
    client_frame(&client, NGHTTP2_RST_STREAM, 0, stream, "\0\0\0\10", 4);
}

Test(http2_limits, streams_begun_and_taken_back_in_a_flood_end_the_connection)
{
    client_open(&client, server.port);
    for (int32_t i = 0; i < 30; i++)
        reset_at_once(2 * i + 1);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect(server_counts(&server, abuse_closed, 1));
}

Test(http2_limits, they_do_so_during_a_drain_too)
{
    client_open(&client, server.port);
    client_unary(&client, 1, "/test.S/Follow", "\0\0\0\1\0\0\0\1", 8);
    client_reply(&client, 1, &reply, 6);
    server_drain(&server);
    static struct frame frame;
    do
        cr_assert(client_next(&client, &frame));
    while (frame.type != NGHTTP2_GOAWAY); /* the PING after it is not answered: calls are taken */
    for (int32_t i = 1; i < 31; i++)
        reset_at_once(2 * i + 1);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect(server_counts(&server, abuse_closed, 1));
    cr_expect_str_eq(text, "too_many_resets");
}

Test(http2_limits, a_hundred_resets_in_ten_seconds_are_no_flood_at_the_usual_limits)
{
    SET_LIMIT(&server.bridge.limits, max_streams, 1000);
    client_open(&client, server.port);
    for (int32_t i = 0; i < 100; i++)
        reset_at_once(2 * i + 1);
    expect_serving(&client, 201);
}

Test(http2_limits, resets_that_the_peer_provokes_from_us_end_the_connection)
{
    client_open(&client, server.port);
    for (int32_t i = 0; i < 150; i++) { /* a window beyond all bounds is an error of its stream */
        client_call(&client, 2 * i + 1, "/test.S/Follow", NO_FIELD, NO_FIELD);
        client_window(&client, 2 * i + 1, INT32_MAX);
    }
    expect_blamed(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_errors");
}

Test(http2_limits, malformed_requests_without_end_end_the_connection)
{
    client_open(&client, server.port);
    for (int32_t i = 0; i < 150; i++)
        client_headers(&client, 2 * i + 1, NGHTTP2_FLAG_END_STREAM,
                       (struct field[]){{":method", "POST"}, {":path", "/a"}, {"te", "gzip"}, NO_FIELD});
    expect_blamed(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_errors");
}

Test(http2_limits, continuations_without_end_end_the_connection)
{
    client_open(&client, server.port);
    client_frame(&client, NGHTTP2_HEADERS, 0, 1, "\x82", 1);
    for (int i = 0; i < 20; i++)
        client_frame(&client, NGHTTP2_CONTINUATION, 0, 1, "\x86", 1);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect(server_counts(&server, abuse_closed, 1));
}

Test(http2_limits, empty_data_frames_without_end_end_the_connection)
{
    client_open(&client, server.port);
    client_call(&client, 1, "/test.S/Echo", NO_FIELD, NO_FIELD);
    for (int i = 0; i < 120; i++)
        client_frame(&client, NGHTTP2_DATA, 0, 1, NULL, 0);
    expect_blamed(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_errors");
}

static void flood_with(uint8_t type, int32_t stream, const void *payload, size_t length)
{
    static uint8_t burst[9 * 2000 + 8 * 2000];
    size_t at = 0;
    for (int i = 0; i < 2000; i++) {
        const uint8_t head[9] = {0, 0, (uint8_t)length, type, 0, 0, 0, 0, (uint8_t)stream};
        memcpy(burst + at, head, 9);
        memcpy(burst + at + 9, payload, length);
        at += 9 + length;
    }
    for (int i = 0; i < 200; i++)
        client_write(&client, burst, at);
}

Test(http2_limits, frames_of_an_unknown_kind_in_a_flood_end_the_connection)
{
    client_open(&client, server.port);
    flood_with(0x42, 0, "abcd", 4);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect(server_counts(&server, abuse_closed, 1));
}

Test(http2_limits, priority_frames_in_a_flood_end_the_connection)
{
    client_open(&client, server.port);
    flood_with(NGHTTP2_PRIORITY, 1, "\0\0\0\3\1", 5);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect(server_counts(&server, abuse_closed, 1));
}

Test(http2_limits, an_error_of_the_protocol_ends_the_connection_although_streams_are_open)
{
    client_open(&client, server.port);
    client_unary(&client, 1, "/test.S/Follow", "\0\0\0\1\0\0\0\1", 8);
    client_reply(&client, 1, &reply, 6);
    client_frame(&client, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect_eq(code, NGHTTP2_PROTOCOL_ERROR);
    cr_expect(server_counts(&server, abuse_closed, 1));
    cr_expect(server_counts(&server, connections, 0));
}

Test(http2_limits, more_streams_than_were_permitted_end_the_connection)
{
    static struct frame frame;
    client_open(&client, server.port);
    cr_assert(client_await(&client, NGHTTP2_SETTINGS, &frame)); /* and it is answered */
    for (int32_t i = 0; i < 11; i++)
        client_call(&client, 2 * i + 1, "/test.S/Echo", NO_FIELD, NO_FIELD);
    cr_assert(client_is_closed(&client, &code, text));
    cr_expect_eq(code, NGHTTP2_PROTOCOL_ERROR);
}

Test(http2_limits, a_peer_that_floods_and_reads_nothing_is_closed_without_growing_us)
{
    client_open(&client, server.port);
    for (int32_t i = 0; i < 20000; i++)
        client_headers(&client, 2 * i + 1, NGHTTP2_FLAG_END_STREAM,
                       (struct field[]){{":method", "POST"}, {":path", "/unknown"}, {":scheme", "http"},
                                        {":authority", "a"}, {"content-type", "application/grpc"}, NO_FIELD});
    cr_assert(client_is_closed(&client, &code, text) || true);
    cr_expect(server_counts(&server, connections, 0));
}
