/* The ends of a connection that are nobody's fault (grpc-wire 1.5 and 3; checklist 24, 26, 33, 35).
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "client.h"
#include "server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct server server;
static struct client client;
static struct reply reply;
static struct frame frame;
static uint32_t code;
static char text[128];

static void start(void)
{
    server_start(&server, NULL);
    client_open(&client, server.port);
}

static void stop(void)
{
    client_close(&client);
    server_stop(&server);
}

TestSuite(http2_drain, .init = start, .fini = stop, .timeout = 240);

static void follow(int32_t stream)
{
    client_unary(&client, stream, "/test.S/Follow", "\0\0\0\1\0\0\0\1", 8);
    client_reply(&client, stream, &reply, 6);
    cr_assert_eq(reply.data_length, 6);
}

static void expect_goaway(const char *last, const char *with_text)
{
    cr_assert(client_await(&client, NGHTTP2_GOAWAY, &frame));
    cr_expect_arr_eq(frame.payload, last, 4);
    cr_expect_arr_eq(frame.payload + 4, "\0\0\0\0", 4);
    cr_expect_eq(frame.length, 8 + strlen(with_text));
    cr_expect_arr_eq(frame.payload + 8, with_text, strlen(with_text));
}

Test(http2_drain, a_stop_sends_goaway_ping_goaway_and_closes)
{
    client_unary(&client, 1, "/test.S/Echo", "", 0);
    client_reply(&client, 1, &reply, 0);
    server_drain(&server);
    expect_goaway("\x7f\xff\xff\xff", "");
    cr_assert(client_await(&client, NGHTTP2_PING, &frame));
    expect_goaway("\0\0\0\1", "shutdown");
    cr_assert(client_is_closed(&client, &code, text));
    server_join(&server);
}

Test(http2_drain, streams_end_unavailable_after_the_second_goaway)
{
    follow(1);
    server_drain(&server);
    expect_goaway("\x7f\xff\xff\xff", "");
    expect_goaway("\0\0\0\1", "shutdown");
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "14");
    cr_expect_not_null(strstr(reply.message, "shutdown"));
    server_join(&server);
}

Test(http2_drain, a_call_that_crosses_the_first_goaway_is_answered)
{
    follow(1);
    server_drain(&server);
    expect_goaway("\x7f\xff\xff\xff", "");
    client_unary(&client, 3, "/test.S/Echo", "a", 1); /* before the PING is answered */
    static struct reply late;
    while (!late.ended) {
        cr_assert(client_next(&client, &frame));
        client_note(&client, &frame, frame.stream == 3 ? &late : &reply);
    }
    cr_expect_str_eq(late.status, "0");
    server_join(&server);
}

Test(http2_drain, an_interactive_call_ends_unavailable_too)
{
    client_call(&client, 1, "/test.S/Chat", NO_FIELD, NO_FIELD);
    client_message(&client, 1, "a", 1, false);
    client_reply(&client, 1, &reply, 6);
    server_drain(&server);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "14");
}

Test(http2_drain, a_stream_whose_request_is_whole_only_after_the_second_goaway_ends_unavailable_too)
{
    client_call(&client, 1, "/test.S/Follow", NO_FIELD, NO_FIELD);
    client_call(&client, 3, "/test.S/Chat", NO_FIELD, NO_FIELD);
    client_call(&client, 5, "/test.S/Echo", NO_FIELD, NO_FIELD);
    cr_assert(server_counts(&server, calls, 3));
    server_drain(&server);
    expect_goaway("\x7f\xff\xff\xff", "");
    expect_goaway("\0\0\0\5", "shutdown");
    client_message(&client, 1, "\0\0\0\1\0\0\0\1", 8, true);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "14");
    client_message(&client, 3, "a", 1, false);
    client_reply(&client, 3, &reply, 0);
    cr_expect_str_eq(reply.status, "14");
    client_message(&client, 5, "a", 1, true);
    client_reply(&client, 5, &reply, 0);
    cr_expect_str_eq(reply.status, "0", "what can be answered at once, is");
    cr_assert(client_is_closed(&client, &code, text));
}

static void hold_back(int on)
{
    cr_assert_eq(setsockopt(client.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on), 0);
}

/* Clients are told by the second GOAWAY that nothing came of it, and call again elsewhere. */
Test(http2_drain, a_call_that_the_second_goaway_leaves_out_is_not_served)
{
    follow(1);
    server_drain(&server);
    expect_goaway("\x7f\xff\xff\xff", "");
    hold_back(1);
    client_frame(&client, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "draining", 8);
    client_unary(&client, 3, "/test.S/Echo", "a", 1);
    hold_back(0); /* now they come at once: the call is read before the second GOAWAY is written */
    expect_goaway("\0\0\0\1", "shutdown");
    cr_assert(client_is_closed(&client, &code, text));
    server_join(&server);
    cr_expect_eq(atomic_load(&server.worker.counters.calls), 1);
}

Test(http2_drain, a_client_that_answers_nothing_holds_up_a_stop_no_longer_than_the_limit)
{
    SET_LIMIT(&server.bridge.limits, drain_timeout, 1500);
    follow(1);
    server_drain(&server);
    server_join(&server); /* nothing was read of what it said */
    cr_expect(client_is_closed(&client, &code, text));
}

Test(http2_drain, no_one_is_let_in_any_more)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(server.port)};
    follow(1);
    server_drain(&server);
    expect_goaway("\x7f\xff\xff\xff", "");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_expect_neq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

Test(http2_drain, a_client_that_says_goodbye_is_closed_when_its_calls_are_over)
{
    client_unary(&client, 1, "/test.S/Echo", "", 0);
    client_frame(&client, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
    cr_assert(client_is_closed(&client, &code, text));
}

/* ---- idle, credentials ------------------------------------------------------------------------------------------- */

Test(http2_drain, a_connection_without_calls_is_ended_in_the_same_way)
{
    SET_LIMIT(&server.bridge.limits, idle_timeout, 100);
    expect_goaway("\x7f\xff\xff\xff", "");
    expect_goaway("\0\0\0\0", "max_idle");
    cr_assert(client_is_closed(&client, &code, text));
}

Test(http2_drain, a_connection_with_a_stream_is_not_idle)
{
    static struct client idle;
    SET_LIMIT(&server.bridge.limits, idle_timeout, 100);
    follow(1);
    client_open(&idle, server.port);
    cr_assert(client_is_closed(&idle, &code, text));
    cr_expect_str_eq(text, "max_idle");
    client_close(&idle);
    client_unary(&client, 3, "/test.S/Feed", "\0\0\0\1", 4);
    client_reply(&client, 1, &reply, 6);
    cr_expect_eq(reply.data_length, 6);
}

Test(http2_drain, connections_on_replaced_credentials_end_in_their_time_and_newer_ones_stay)
{
    static struct client newer;
    follow(1);
    plain_channel_replace_credentials(now_ms());
    client_open(&newer, server.port);
    client_unary(&newer, 1, "/test.S/Echo", "", 0);
    client_reply(&newer, 1, &reply, 0);
    follow(3); /* the limit is five minutes */
    SET_LIMIT(&server.bridge.limits, credential_drain, 100);
    expect_goaway("\x7f\xff\xff\xff", "");
    expect_goaway("\0\0\0\3", "max_age");
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "14");
    client_unary(&newer, 3, "/test.S/Echo", "", 0);
    client_reply(&newer, 3, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
    client_close(&newer);
}

/* ---- signs of life ----------------------------------------------------------------------------------------------- */

Test(http2_drain, a_silent_peer_that_answers_pings_stays)
{
    SET_LIMIT(&server.bridge.limits, keepalive_time, 10);
    follow(1);
    for (int i = 0; i < 3; i++)
        cr_assert(client_await(&client, NGHTTP2_PING, &frame));
    cr_expect_eq(atomic_load(&server.worker.counters.dead_peers), 0);
}

Test(http2_drain, a_peer_that_answers_no_ping_is_closed)
{
    SET_LIMIT(&server.bridge.limits, keepalive_time, 10);
    SET_LIMIT(&server.bridge.limits, keepalive_timeout, 10);
    follow(1);
    cr_expect(server_counts(&server, dead_peers, 1));
    cr_expect(server_counts(&server, connections, 0));
}
