/* What a request is answered (grpc-wire 1.1 to 1.4; checklist 1 to 13, 15).  SPDX-License-Identifier: Apache-2.0 */
#include "client.h"
#include "server.h"

#include <criterion/criterion.h>
#include <string.h>

static struct server server;
static struct client client;
static struct reply reply;

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

TestSuite(http2_requests, .init = start, .fini = stop, .timeout = 240);

Test(http2_requests, a_unary_call_is_answered_with_a_message_and_trailers)
{
    client_unary(&client, 1, "/test.S/Echo", "hello", 5);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.http, "200");
    cr_expect_str_eq(reply.type, "application/grpc");
    cr_expect_str_eq(reply.status, "0");
    cr_expect_eq(reply.data_length, 10);
    cr_expect_arr_eq(reply.data, "\0\0\0\0\5hello", 10);
    cr_expect_eq(reply.header_frames, 2);
}

/* ---- header fields ----------------------------------------------------------------------------------------------- */

/* A request whose fields are the usual ones but for these; "": left out. */
static void send_fields(int32_t stream, const char *method, const char *path, const char *type, struct field more)
{
    struct field fields[10] = {NO_FIELD}, all[] = {{"authorization", "Bearer good"}, {"te", "trailers"}, more};
    size_t count = 0;
    const struct field first[] = {{":path", path}, {":authority", "localhost"}, {":method", method}, {":scheme", "http"}};
    for (size_t i = 0; i < 4; i++)
        if (first[i].value[0])
            fields[count++] = first[i];
    if (type[0])
        fields[count++] = (struct field){"content-type", type};
    for (size_t i = 0; i < 3 && all[i].name; i++)
        fields[count++] = all[i];
    fields[count] = NO_FIELD;
    client_headers(&client, stream, 0, fields);
}

static void expect_http(int32_t stream, const char *http)
{
    client_reply(&client, stream, &reply, 0);
    cr_expect_str_eq(reply.http, http);
    cr_expect_str_eq(reply.status, "", "an answer that is not gRPC has no field of gRPC");
    cr_expect_eq(reply.header_frames, 1);
}

/* In one HEADERS frame. */
static void expect_status(int32_t stream, const char *status, const char *message_part)
{
    client_reply(&client, stream, &reply, 0);
    cr_expect_str_eq(reply.http, "200");
    cr_expect_str_eq(reply.status, status);
    cr_expect_not_null(strstr(reply.message, message_part), "'%s' is not in '%s'", message_part, reply.message);
    cr_expect_eq(reply.header_frames, 1);
    cr_expect_eq(reply.data_frames, 0);
}

Test(http2_requests, a_method_other_than_post_is_answered_405)
{
    send_fields(1, "GET", "/test.S/Echo", "application/grpc", NO_FIELD);
    expect_http(1, "405");
    send_fields(3, "post", "/test.S/Echo", "application/grpc", NO_FIELD);
    expect_http(3, "405");
}

Test(http2_requests, connect_without_path_and_scheme_is_answered_405)
{
    client_headers(&client, 1, 0, (struct field[]){{":method", "CONNECT"}, {":authority", "localhost"}, NO_FIELD});
    expect_http(1, "405");
}

Test(http2_requests, a_content_type_that_is_not_grpc_is_answered_415)
{
    const char *const types[] = {"", "application/grpc-web", "application/grpc+json", "application/grpc+protox",
                                 "application/json", "application/grpcx"};
    for (int32_t i = 0; i < 6; i++) {
        send_fields(2 * i + 1, "POST", "/test.S/Echo", types[i], NO_FIELD);
        expect_http(2 * i + 1, "415");
    }
}

Test(http2_requests, content_types_of_grpc_are_taken)
{
    const char *const types[] = {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8",
                                 "application/grpc+proto; x=y", "Application/gRPC"};
    for (int32_t i = 0; i < 5; i++) {
        send_fields(2 * i + 1, "POST", "/test.S/Echo", types[i], NO_FIELD);
        client_message(&client, 2 * i + 1, "a", 1, true);
        client_reply(&client, 2 * i + 1, &reply, 0);
        cr_expect_str_eq(reply.status, "0", "%s", types[i]);
    }
}

Test(http2_requests, an_unknown_path_is_unimplemented)
{
    const char *const paths[] = {"/test.S/Nothing", "/test.S/Echo/", "/", "/test.S/Ech", "/test.S/Echo?x=1", "//"};
    for (int32_t i = 0; i < 6; i++) {
        send_fields(2 * i + 1, "POST", paths[i], "application/grpc", NO_FIELD);
        expect_status(2 * i + 1, "12", "unknown service or method");
    }
}

Test(http2_requests, an_encoding_is_refused_with_those_we_accept)
{
    send_fields(1, "POST", "/test.S/Echo", "application/grpc", (struct field){"grpc-encoding", "gzip"});
    expect_status(1, "12", "identity");
    cr_expect_str_eq(reply.accept, "identity");
    send_fields(3, "POST", "/test.S/Echo", "application/grpc", (struct field){"grpc-encoding", "identity"});
    client_message(&client, 3, "", 0, true);
    client_reply(&client, 3, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
}

Test(http2_requests, a_malformed_timeout_is_an_internal_error)
{
    send_fields(1, "POST", "/test.S/Echo", "application/grpc", (struct field){"grpc-timeout", "1s"});
    expect_status(1, "13", "grpc-timeout");
}

Test(http2_requests, a_timeout_of_zero_is_over_at_once)
{
    send_fields(1, "POST", "/test.S/Echo", "application/grpc", (struct field){"grpc-timeout", "0S"});
    expect_status(1, "4", "deadline");
}

Test(http2_requests, a_call_without_token_is_unauthenticated)
{
    const struct field usual[] = {{":method", "POST"}, {":path", "/test.S/Echo"}, {":scheme", "https"},
                                  {":authority", "a"}, {"te", "trailers"}, {"content-type", "application/grpc"},
                                  NO_FIELD};
    client_headers(&client, 1, 0, usual);
    expect_status(1, "16", "Request unauthenticated with Bearer");
    cr_expect(server_counts(&server, authorization_errors, 1));
    cr_expect_eq(atomic_load(&server.worker.counters.malformed_requests), 0, "nothing is wrong with its form");
}

Test(http2_requests, a_wrong_token_is_unauthenticated)
{
    const struct field wrong[] = {{":method", "POST"}, {":path", "/test.S/Echo"}, {":scheme", "https"},
                                  {":authority", "a"}, {"te", "trailers"}, {"content-type", "application/grpc"},
                                  {"authorization", "Bearer bad"}, {"authorization", "Bearer good"}, NO_FIELD};
    client_headers(&client, 1, 0, wrong);
    expect_status(1, "16", "invalid auth token: invalid session token");
}

Test(http2_requests, a_method_that_is_open_on_loopback_needs_no_token)
{
    client_headers(&client, 1, 0, (struct field[]){{":method", "POST"}, {":path", "/test.S/Open"}, {":scheme", "https"},
                                  {":authority", "a"}, {"content-type", "application/grpc"}, NO_FIELD});
    client_message(&client, 1, "x", 1, true);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
    cr_expect(strncmp(reply.peer, "127.0.0.1:", 10) == 0, "%s", reply.peer);
}

Test(http2_requests, the_first_session_id_counts)
{
    client_call(&client, 1, "/test.S/Echo", (struct field){"session_id", "one"}, (struct field){"session_id", "two"});
    client_message(&client, 1, "", 0, true);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.session, "one");
    cr_expect_str_eq(reply.broken, "", "metadata that cannot travel is not sent");
}

Test(http2_requests, a_header_list_beyond_the_limit_is_refused_with_an_answer)
{
    static char large[17000];
    memset(large, 'a', sizeof large - 1);
    client_call(&client, 1, "/test.S/Echo", (struct field){"x-large", large}, NO_FIELD);
    expect_status(1, "8", "16384 bytes");
}

Test(http2_requests, too_many_fields_are_refused_with_an_answer)
{
    struct field fields[80] = {{":method", "POST"}, {":path", "/test.S/Echo"}, {":scheme", "https"}, {":authority", "a"}};
    for (int i = 4; i < 70; i++)
        fields[i] = (struct field){"x", "y"};
    fields[70] = NO_FIELD;
    client_headers(&client, 1, 0, fields);
    expect_status(1, "8", "64 fields");
}

Test(http2_requests, a_header_bomb_costs_its_stream_only)
{
    struct field fields[300] = {{":method", "POST"}, {":path", "/test.S/Echo"}, {":scheme", "https"}, {":authority", "a"}};
    static char large[2000];
    memset(large, 'a', sizeof large - 1);
    for (int i = 4; i < 290; i++) /* one byte each, once the table holds it */
        fields[i] = (struct field){"x", large};
    fields[290] = NO_FIELD;
    client_headers(&client, 1, 0, fields);
    client_reply(&client, 1, &reply, 0);
    cr_expect(reply.reset);
    client_unary(&client, 3, "/test.S/Echo", "a", 1);
    client_reply(&client, 3, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void begin_echo(int32_t stream)
{
    client_call(&client, stream, "/test.S/Echo", NO_FIELD, NO_FIELD);
}

static void expect_failed(int32_t stream, const char *status, const char *message_part)
{
    expect_status(stream, status, message_part);
    begin_echo(stream + 2);
    client_message(&client, stream + 2, "a", 1, true);
    client_reply(&client, stream + 2, &reply, 0);
    cr_expect_str_eq(reply.status, "0", "the connection is as good as before");
}

Test(http2_requests, a_message_may_be_split_at_every_byte)
{
    static const char framed[] = "\0\0\0\0\3abc";
    int32_t stream = 1;
    for (size_t first = 0; first <= 8; first++)
        for (size_t second = first; second <= 8; second++, stream += 2) {
            begin_echo(stream);
            client_frame(&client, NGHTTP2_DATA, 0, stream, framed, first);
            client_frame(&client, NGHTTP2_DATA, 0, stream, framed + first, second - first);
            client_frame(&client, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream, framed + second, 8 - second);
            client_reply(&client, stream, &reply, 0);
            cr_assert_str_eq(reply.status, "0", "split after %zu and %zu", first, second);
            cr_assert_arr_eq(reply.data, framed, 8);
        }
}

Test(http2_requests, padding_is_no_part_of_a_message)
{
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_END_STREAM, 1, "\3\0\0\0\0\1a\0\0\0", 10);
    client_reply(&client, 1, &reply, 0);
    cr_expect_arr_eq(reply.data, "\0\0\0\0\1a", 6);
}

Test(http2_requests, trailers_of_the_client_end_its_request)
{
    begin_echo(1);
    client_message(&client, 1, "a", 1, false);
    client_headers(&client, 1, NGHTTP2_FLAG_END_STREAM, (struct field[]){{"x", "y"}, NO_FIELD});
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
}

Test(http2_requests, no_message_is_an_internal_error)
{
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, NULL, 0);
    expect_failed(1, "13", "without a whole message");
}

Test(http2_requests, headers_that_end_the_stream_are_no_message)
{
    client_headers(&client, 1, NGHTTP2_FLAG_END_STREAM,
                   (struct field[]){{":method", "POST"}, {":path", "/test.S/Echo"}, {":scheme", "https"},
                                    {":authority", "a"}, {"content-type", "application/grpc"},
                                    {"authorization", "Bearer good"}, NO_FIELD});
    expect_failed(1, "13", "without a whole message");
}

Test(http2_requests, an_end_within_a_message_is_an_internal_error)
{
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "\0\0\0\0\5abc", 8);
    expect_failed(1, "13", "without a whole message");
}

Test(http2_requests, a_second_message_is_an_internal_error)
{
    begin_echo(1);
    client_message(&client, 1, "a", 1, false);
    client_message(&client, 1, "b", 1, true);
    expect_failed(1, "13", "more than one");
}

Test(http2_requests, bytes_after_the_message_are_an_internal_error)
{
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, 0, 1, "\0\0\0\0\1ab", 7);
    expect_failed(1, "13", "more than one");
}

Test(http2_requests, a_compressed_message_is_an_internal_error)
{
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, 0, 1, "\1\0\0\0\1a", 6);
    expect_failed(1, "13", "compressed");
}

Test(http2_requests, another_flag_is_an_internal_error)
{
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, 0, 1, "\2\0\0\0\1a", 6);
    expect_failed(1, "13", "neither 0 nor 1");
}

Test(http2_requests, a_message_too_long_is_refused_from_its_prefix_alone)
{
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, 0, 1, "\0\xff\xff\xff\xff", 5);
    expect_failed(1, "8", "4294967295 bytes");
}

Test(http2_requests, a_client_that_still_sends_is_asked_to_stop_after_the_trailers)
{
    static struct frame frame;
    begin_echo(1);
    client_frame(&client, NGHTTP2_DATA, 0, 1, "\2\0\0\0\1a", 6);
    client_reply(&client, 1, &reply, 0);
    cr_expect(reply.ended);
    cr_assert(client_await(&client, NGHTTP2_RST_STREAM, &frame));
    cr_expect_eq(frame.stream, 1);
    cr_expect_arr_eq(frame.payload, "\0\0\0\0", 4);
}

Test(http2_requests, a_failed_call_carries_its_message_encoded)
{
    client_unary(&client, 1, "/test.S/Fail", "\5 100 % caf\xc3\xa9\n ", 15);
    expect_status(1, "5", "%20100 %25 caf%C3%A9%0A%20");
}

/* ---- interactive ------------------------------------------------------------------------------------------------- */

Test(http2_requests, an_interactive_call_answers_each_message_and_ends_with_the_client)
{
    client_call(&client, 1, "/test.S/Chat", NO_FIELD, NO_FIELD);
    for (size_t i = 1; i <= 3; i++) {
        client_message(&client, 1, "abc", 3, false);
        static struct reply part;
        client_reply(&client, 1, &part, 8);
        cr_expect_arr_eq(part.data, "\0\0\0\0\3abc", 8);
    }
    client_frame(&client, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, NULL, 0);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
}

Test(http2_requests, an_interactive_call_takes_many_messages_in_one_frame)
{
    client_call(&client, 1, "/test.S/Chat", NO_FIELD, NO_FIELD);
    client_frame(&client, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\1b", 17);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
    cr_expect_eq(reply.data_length, 17);
}

Test(http2_requests, an_interactive_call_without_a_message_ends_well)
{
    client_call(&client, 1, "/test.S/Chat", NO_FIELD, NO_FIELD);
    client_frame(&client, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, NULL, 0);
    client_reply(&client, 1, &reply, 0);
    cr_expect_str_eq(reply.status, "0");
}

/* Read until the server gave so much window for the stream; false: it ended the stream. */
static bool await_window(int32_t stream, int64_t *window, int64_t wanted)
{
    static struct frame frame;
    while (*window < wanted && !reply.ended) {
        cr_assert(client_next(&client, &frame));
        if (frame.stream != stream)
            continue;
        if (frame.type == NGHTTP2_WINDOW_UPDATE)
            *window += frame.payload[1] << 16 | frame.payload[2] << 8 | frame.payload[3];
        else
            client_note(&client, &frame, &reply);
    }
    return !reply.ended;
}

Test(http2_requests, an_interactive_client_that_takes_no_answers_is_ended)
{
    static const uint8_t framed[15005] = {0, 0, 0, 15000 >> 8, 15000 & 0xff};
    int64_t window = 65535;
    client_frame(&client, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    client_call(&client, 1, "/test.S/Chat", NO_FIELD, NO_FIELD);
    for (int i = 0; i < 300 && await_window(1, &window, sizeof framed); i++, window -= sizeof framed)
        client_frame(&client, NGHTTP2_DATA, 0, 1, framed, sizeof framed);
    cr_expect(reply.ended);
    cr_expect_str_eq(reply.status, "8");
    cr_expect_eq(reply.data_length, 0);
}

/* Each call may have 4 MiB, but a thousand calls not a thousand times that. */
Test(http2_requests, a_client_that_takes_no_answers_of_many_calls_is_bounded_by_connection)
{
    enum { CALLS = 16, MESSAGES = 200 }; /* 3 MB each */
    static const uint8_t framed[15005] = {0, 0, 0, 15000 >> 8, 15000 & 0xff};
    client_frame(&client, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    int32_t stream = 1;
    for (; stream < 2 * CALLS && !reply.ended; stream += 2) {
        int64_t window = 65535;
        client_call(&client, stream, "/test.S/Chat", NO_FIELD, NO_FIELD);
        for (int i = 0; i < MESSAGES && await_window(stream, &window, sizeof framed); i++, window -= sizeof framed)
            client_frame(&client, NGHTTP2_DATA, 0, stream, framed, sizeof framed);
    }
    cr_expect(reply.ended);
    cr_expect_str_eq(reply.status, "8");
    cr_expect_geq(stream, 2 * 4, "four times 4 MiB are allowed");
}

/* ---- the beginning, and the end by others ------------------------------------------------------------------------ */

/* A handshake begins with the client's first byte; here, without TLS, it is over with that. */
Test(http2_requests, settings_come_before_the_client_has_said_more_than_hello)
{
    static struct client quiet;
    static struct frame frame;
    client_connect(&quiet, server.port);
    client_write(&quiet, "P", 1); /* of a preface that does not follow */
    cr_assert(client_next(&quiet, &frame));
    cr_expect_eq(frame.type, NGHTTP2_SETTINGS);
    client_close(&quiet);
}

Test(http2_requests, a_deadline_resets_the_stream)
{
    client_call(&client, 1, "/test.S/Follow", (struct field){"grpc-timeout", "30m"}, NO_FIELD);
    client_message(&client, 1, "\0\0\0\1\0\0\0\0", 8, true);
    client_reply(&client, 1, &reply, 0);
    cr_expect(reply.reset);
    cr_expect_eq(reply.reset_code, NGHTTP2_CANCEL);
    cr_expect(server_counts(&server, calls_failed, 1));
}

Test(http2_requests, a_cancelled_stream_is_told_of_its_end)
{
    client_unary(&client, 1, "/test.S/Follow", "\0\0\0\1\0\0\0\1", 8);
    client_reply(&client, 1, &reply, 6);
    cr_expect_eq(server_open_calls, 1);
    client_frame(&client, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\10", 4);
    client_unary(&client, 3, "/test.S/Echo", "", 0);
    client_reply(&client, 3, &reply, 0);
    cr_expect_eq(server_open_calls, 0);
}
