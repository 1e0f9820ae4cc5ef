/* Streams: pulled by flow control, fair to each other, careful with small frames (grpc-wire 4.2, 4.3, 6; checklist 16 to
 * 22).  SPDX-License-Identifier: Apache-2.0 */
#include "client.h"
#include "server.h"

#include <criterion/criterion.h>
#include <string.h>

static struct server server;
static struct client client;
static struct reply reply;
static struct frame frame;

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

TestSuite(http2_streams, .init = start, .fini = stop, .timeout = 240);

static void write_number(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> (24 - 8 * i));
}

static void follow(int32_t stream, uint32_t size, uint32_t count)
{
    uint8_t request[8];
    write_number(request, size);
    write_number(request + 4, count);
    client_unary(&client, stream, "/test.S/Follow", request, sizeof request);
}

/* So many more messages for every stream. */
static void feed(int32_t stream, uint32_t count)
{
    uint8_t request[4];
    write_number(request, count);
    client_unary(&client, stream, "/test.S/Feed", request, sizeof request);
}

/* Feed stream 1, and note what comes of it until the answer and so many frames of it are there. */
static void feed_and_note(int32_t stream, struct reply *first, unsigned frames)
{
    static struct reply answer;
    unsigned wanted = first->data_frames + frames;
    answer.ended = false;
    feed(stream, 1);
    while (!answer.ended || first->data_frames < wanted) {
        cr_assert(client_next(&client, &frame));
        client_note(&client, &frame, frame.stream == 1 ? first : &answer);
        answer.data_length = 0;
    }
}

/* Of all streams. */
static void set_windows(uint32_t bytes)
{
    uint8_t setting[6] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE};
    write_number(setting + 2, bytes);
    client_frame(&client, NGHTTP2_SETTINGS, 0, 0, setting, sizeof setting);
}

static void open_windows(void)
{
    set_windows(1 << 21);
    client_window(&client, 0, 1 << 21);
}

/* Everything but DATA and HEADERS of the stream is dropped, until so many bytes have come or the stream ended. */
static void read_stream(int32_t stream, size_t bytes)
{
    client_reply(&client, stream, &reply, bytes);
}

Test(http2_streams, response_headers_come_before_there_is_any_message)
{
    follow(1, 10, 0);
    cr_assert(client_await(&client, NGHTTP2_HEADERS, &frame));
    cr_expect_eq(frame.stream, 1);
    cr_expect_not(frame.flags & NGHTTP2_FLAG_END_STREAM);
}

Test(http2_streams, messages_are_packed_into_few_frames)
{
    follow(1, 95, 163);
    read_stream(1, 16300);
    cr_expect_eq(reply.data_frames, 1);
}

Test(http2_streams, an_idle_stream_sends_nothing_until_it_is_resumed)
{
    follow(1, 95, 1);
    read_stream(1, 100);
    cr_expect_eq(reply.data_frames, 1);
    feed(3, 2);
    read_stream(1, 200);
    cr_expect_eq(reply.data_frames, 1, "both in one frame, and no empty one");
}

Test(http2_streams, all_messages_go_out_before_the_trailers)
{
    follow(1, 1000, 60);
    client_unary(&client, 3, "/test.S/End", "", 0);
    read_stream(1, 0);
    cr_expect_str_eq(reply.status, "0");
    cr_expect_eq(reply.header_frames, 2);
    cr_expect(reply.ended);
    cr_expect_eq(reply.data_length % 1005, 0);
}

Test(http2_streams, a_stream_stops_at_its_window_and_goes_on_when_it_opens)
{
    follow(1, 95, 1000);
    read_stream(1, 65535);
    client_unary(&client, 3, "/test.S/Follow", "\0\0\0\1\0\0\0\0", 8);
    client_window(&client, 0, 20000);
    client_window(&client, 1, 20000);
    read_stream(1, 20000);
    cr_expect_eq(reply.data_length, 20000);
    client_window(&client, 0, 1 << 20);
    client_window(&client, 1, 1 << 20);
    read_stream(1, 100000 - 85535);
    cr_expect_eq(reply.data_length, 100000 - 85535);
}

Test(http2_streams, a_stream_that_fails_at_a_closed_window_ends_at_once_all_the_same)
{
    follow(1, 65530, 2); /* the first fills the window to its last byte */
    read_stream(1, 65535);
    client_unary(&client, 3, "/test.S/End", "\7gone", 5);
    read_stream(1, 0);
    cr_expect_str_eq(reply.status, "7");
    cr_expect_str_eq(reply.message, "gone");
    cr_expect(reply.ended);
}

Test(http2_streams, a_stream_that_fails_amid_a_message_is_reset_with_a_code_that_says_the_same)
{
    const struct {
        const char *request;
        uint32_t code;
    } cases[] = {{"\16", NGHTTP2_REFUSED_STREAM},
                 {"\7", NGHTTP2_INADEQUATE_SECURITY},
                 {"\10", NGHTTP2_ENHANCE_YOUR_CALM},
                 {"\15", NGHTTP2_INTERNAL_ERROR},
                 {"\5", NGHTTP2_CANCEL}};
    for (int32_t i = 0; i < 5; i++) {
        client_window(&client, 0, 65535);
        follow(4 * i + 1, 100000, 1);
        read_stream(4 * i + 1, 65535);
        client_window(&client, 0, 1000);
        client_unary(&client, 4 * i + 3, "/test.S/End", cases[i].request, 1);
        read_stream(4 * i + 1, 0);
        cr_expect(reply.reset);
        cr_expect_eq(reply.reset_code, cases[i].code);
    }
}

Test(http2_streams, many_streams_that_fail_amid_a_message_are_no_fault_of_the_peers)
{
    set_windows(300);
    for (int32_t i = 0; i < 150; i++) {
        follow(2 * i + 1, 1000, 1);
        read_stream(2 * i + 1, 300);
    }
    client_unary(&client, 301, "/test.S/End", "\16", 1);
    read_stream(301, 0);
    client_unary(&client, 303, "/test.S/Echo", "a", 1);
    read_stream(303, 0);
    cr_expect_str_eq(reply.status, "0");
    cr_expect_eq(atomic_load(&server.worker.counters.abuse_closed), 0);
}

Test(http2_streams, an_older_stream_with_much_to_send_does_not_hold_up_a_younger_one)
{
    open_windows();
    follow(1, 95, 0);
    follow(3, 1000000, 1);
    follow(5, 95, 0);
    feed(7, 1); /* a message for each, at one moment */
    unsigned between = 0, young = 0;
    while (young < 1) {
        cr_assert(client_next(&client, &frame));
        between += frame.type == NGHTTP2_DATA && frame.stream == 3;
        young += frame.type == NGHTTP2_DATA && frame.stream == 5;
    }
    cr_expect_leq(between, 61, "of 123 frames of the old stream: %u before the young one's", between);
}

/* ---- small frames ------------------------------------------------------------------------------------------------ */

Test(http2_streams, unread_small_frames_never_cost_more_than_newer_stacks_allow)
{
    static struct reply first;
    open_windows();
    follow(1, 10, 0);
    for (int32_t i = 0; i < 600; i++)
        feed_and_note(3 + 2 * i, &first, 1);
    cr_expect_eq(first.data_frames, 600, "each message came at its time");
    cr_expect_leq(first.small_cost, 25600);
    cr_expect_geq(first.small_cost, 10000, "and at first they came as they were");
}

Test(http2_streams, a_window_that_is_whole_again_gives_back_what_was_spent)
{
    static struct reply first;
    follow(1, 10, 0);
    for (int32_t i = 0; i < 300; i++) {
        feed_and_note(3 + 2 * i, &first, 1);
        client_window(&client, 0, 15 + 9); /* the answer's as well */
        client_window(&client, 1, 15);
    }
    cr_expect_eq(first.data_length, 300 * 15, "none was filled up");
}

Test(http2_streams, streams_that_ended_give_back_what_was_spent)
{
    open_windows();
    for (int32_t i = 0; i < 300; i++) {
        follow(4 * i + 1, 10, 1);
        read_stream(4 * i + 1, 15);
        cr_assert_eq(reply.data_length, 15, "not filled up");
        client_unary(&client, 4 * i + 3, "/test.S/End", "", 0);
        read_stream(4 * i + 1, 0);
    }
}

/* Stream 1, whose frames are small, has spent what is spent freely, and has so much of its window left. */
static void leave_a_tight_account_100_bytes(struct reply *first)
{
    open_windows();
    follow(1, 10, 0);
    for (int32_t i = 0; i < 80; i++)
        feed_and_note(3 + 2 * i, first, 1);
    set_windows((uint32_t)first->data_length + 100);
}

Test(http2_streams, a_window_too_small_for_a_large_frame_is_waited_for_when_the_account_is_tight)
{
    static struct reply first;
    leave_a_tight_account_100_bytes(&first);
    size_t frames = first.data_frames;
    feed_and_note(163, &first, 0);
    cr_expect_eq(first.data_frames, frames, "100 bytes are no room for it");
    client_window(&client, 1, 1000);
    client_await(&client, NGHTTP2_DATA, &frame);
    cr_expect_eq(frame.stream, 1);
    cr_expect_geq(frame.length, 256);
}

/* Most clients tell what they read once that is half a window: what is left of one may be all there is until then. */
Test(http2_streams, a_small_window_is_used_to_its_end_beside_streams_that_are_not_read)
{
    enum { WINDOW = 1000, MESSAGES = 100, BYTES = 495 };
    static struct reply first;
    set_windows(WINDOW);
    client_window(&client, 0, 1 << 21);
    follow(1, BYTES - 5, 0);
    follow(3, 10, 0);
    follow(5, 10, 0);
    size_t told = 0;
    for (int32_t i = 0; i < MESSAGES; i++) {
        feed_and_note(7 + 2 * i, &first, 0);
        while (first.data_length < (size_t)(i + 1) * BYTES) {
            cr_assert(client_next(&client, &frame));
            if (frame.stream == 1)
                client_note(&client, &frame, &first);
        }
        if (first.data_length - told < WINDOW / 2)
            continue;
        client_window(&client, 1, (uint32_t)(first.data_length - told));
        told = first.data_length;
    }
}

/* A stream that is not read: its window is 1,100 bytes.  Returns how many of the connection's it keeps. */
static size_t leave_unread(int32_t stream, size_t bytes)
{
    follow(stream, (uint32_t)bytes - 5, 1);
    read_stream(stream, bytes);
    return bytes;
}

/* As most clients do: what was read of the connection is told once it is half of the window. */
static void read_next(int32_t reading, size_t *got, size_t *untold)
{
    cr_assert(client_next(&client, &frame));
    if (frame.type != NGHTTP2_DATA)
        return;
    if (frame.stream == reading) {
        *got += frame.length;
        client_window(&client, reading, frame.length);
    }
    *untold += frame.length;
    if (*untold < 32768)
        return;
    client_window(&client, 0, (uint32_t)*untold);
    *untold = 0;
}

/* What is not read takes a little less than half of the connection's window: the rest is just enough to read half. */
Test(http2_streams, a_connection_window_is_used_to_its_end_beside_streams_that_are_not_read)
{
    enum { WINDOW = 1100, SMALL = 15, UNTIL_TIGHT = 68, FIRST = 3, HELD = 32766, READING = 1001, MESSAGES = 300 };
    size_t held = 0, got = 0, untold = 0;
    static struct reply small;
    set_windows(WINDOW);
    follow(1, SMALL - 5, 0);
    for (int32_t i = 0; i < UNTIL_TIGHT; i++) {
        feed_and_note(FIRST + 2 * i, &small, 1);
        untold += 4 + 5; /* the answer */
    }
    held = small.data_length;
    for (int32_t stream = FIRST + 2 * UNTIL_TIGHT; held < HELD; stream += 2)
        held += leave_unread(stream, HELD - held < WINDOW ? HELD - held : WINDOW);
    follow(READING, SMALL - 5, 0);
    for (int32_t i = 0; i < MESSAGES; i++) {
        size_t before = got;
        feed(READING + 2 + 2 * i, 1);
        while (got == before)
            read_next(READING, &got, &untold);
    }
}

/* Some clients give a window once it is used up, and until then would be waited for in vain. */
Test(http2_streams, what_is_left_of_a_window_is_used_when_it_does_not_become_more)
{
    static struct reply first;
    leave_a_tight_account_100_bytes(&first);
    size_t before = first.data_length;
    feed(163, 20);
    while (first.data_length < before + 100) {
        cr_assert(client_next(&client, &frame));
        if (frame.stream == 1)
            client_note(&client, &frame, &first);
    }
}

Test(http2_streams, pings_beside_the_data_of_a_stream_are_welcome)
{
    follow(1, 95, 1000);
    read_stream(1, 65535);
    for (int i = 0; i < 50; i++) { /* as clients do that measure bandwidth: at each DATA frame */
        client_window(&client, 0, 100);
        client_window(&client, 1, 100);
        cr_assert(client_await(&client, NGHTTP2_DATA, &frame));
        client_frame(&client, NGHTTP2_PING, 0, 0, "12345678", 8);
        cr_assert(client_await(&client, NGHTTP2_PING, &frame));
    }
}

/* ---- stalls ------------------------------------------------------------------------------------------------------ */

static void short_stall(struct limits *limits)
{
    SET_LIMIT(limits, stall_timeout, 100);
    SET_LIMIT(limits, request_timeout, 100);
}

static void start_short(void)
{
    server_start(&server, short_stall);
    client_open(&client, server.port);
}

TestSuite(http2_stalls, .init = start_short, .fini = stop, .timeout = 240);

Test(http2_stalls, a_stream_that_takes_no_byte_for_too_long_ends_unavailable)
{
    follow(1, 65530, 2);
    read_stream(1, 65535);
    read_stream(1, 0);
    cr_expect_str_eq(reply.status, "14");
    cr_expect(server_counts(&server, stalled_streams, 1));
}

Test(http2_stalls, a_stream_that_has_nothing_to_send_is_not_stalled)
{
    follow(1, 10, 1);
    read_stream(1, 15);
    client_window(&client, 0, 15);
    follow(3, 65530, 2);
    read_stream(3, 65535);
    read_stream(3, 0);
    cr_expect_str_eq(reply.status, "14");
    client_window(&client, 0, 1000);
    feed(5, 1);
    read_stream(1, 15);
    cr_expect_eq(reply.data_length, 15, "still there, after the other was ended");
}

Test(http2_stalls, a_request_that_does_not_arrive_whole_is_over)
{
    client_call(&client, 1, "/test.S/Echo", NO_FIELD, NO_FIELD);
    client_frame(&client, NGHTTP2_DATA, 0, 1, "\0\0\0\0\5a", 6);
    client_call(&client, 3, "/test.S/Chat", NO_FIELD, NO_FIELD);
    client_frame(&client, NGHTTP2_DATA, 0, 3, "\0\0\0\0\1a\0", 7);
    static struct reply first, second;
    while (!first.ended || !second.ended) {
        cr_assert(client_next(&client, &frame));
        client_note(&client, &frame, frame.stream == 1 ? &first : &second);
    }
    cr_expect_str_eq(first.status, "4");
    cr_expect_str_eq(second.status, "4");
}

Test(http2_stalls, an_interactive_call_may_think_between_messages)
{
    client_call(&client, 1, "/test.S/Chat", NO_FIELD, NO_FIELD);
    client_message(&client, 1, "a", 1, false);
    read_stream(1, 6);
    client_call(&client, 3, "/test.S/Echo", NO_FIELD, NO_FIELD);
    read_stream(3, 0); /* this one is over: so a tick was made */
    client_message(&client, 1, "b", 1, true);
    read_stream(1, 0);
    cr_expect_str_eq(reply.status, "0");
}
