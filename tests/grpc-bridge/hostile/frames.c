/* frames.c: HTTP/2 that breaks the rules, or keeps them without end.  SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <criterion/criterion.h>

/* ---- illegal frames ---------------------------------------------------------------------------------------------- */

struct frame {
    const char *name;
    uint8_t type, flags;
    int32_t stream;
    const char *payload;
    size_t length;
};

static const struct frame illegal[] = {
    {"DATA on no stream", NGHTTP2_DATA, 0, 0, "x", 1},
    {"DATA on a stream that never was", NGHTTP2_DATA, 0, 1, "x", 1},
    {"HEADERS on no stream", NGHTTP2_HEADERS, 4, 0, "\x82", 1},
    {"HEADERS on a stream of the server's", NGHTTP2_HEADERS, 4, 2, "\x82", 1},
    {"HEADERS that HPACK cannot read", NGHTTP2_HEADERS, 4, 1, "\xff\xff\xff\xff\xff\xff", 6},
    {"HEADERS with more padding than frame", NGHTTP2_HEADERS, 4 | 8, 1, "\xff\x82", 2},
    {"CONTINUATION of nothing", NGHTTP2_CONTINUATION, 4, 1, "\x82", 1},
    {"RST_STREAM on no stream", NGHTTP2_RST_STREAM, 0, 0, "\0\0\0\x8", 4},
    {"RST_STREAM of a stream that never was", NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x8", 4},
    {"RST_STREAM of three bytes", NGHTTP2_RST_STREAM, 0, 1, "\0\0\0", 3},
    {"SETTINGS on a stream", NGHTTP2_SETTINGS, 0, 1, "", 0},
    {"SETTINGS of five bytes", NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0", 5},
    {"SETTINGS with a window beyond 2^31", NGHTTP2_SETTINGS, 0, 0, "\0\4\x80\0\0\0", 6},
    {"SETTINGS with a frame size below 16 KiB", NGHTTP2_SETTINGS, 0, 0, "\0\5\0\0\0\1", 6},
    {"SETTINGS acknowledged with a payload", NGHTTP2_SETTINGS, 1, 0, "\0\4\0\0\0\1", 6},
    {"PUSH_PROMISE of a client", NGHTTP2_PUSH_PROMISE, 4, 1, "\0\0\0\2\x82", 5},
    {"PING of seven bytes", NGHTTP2_PING, 0, 0, "1234567", 7},
    {"PING on a stream", NGHTTP2_PING, 0, 1, "12345678", 8},
    {"GOAWAY on a stream", NGHTTP2_GOAWAY, 0, 1, "\0\0\0\0\0\0\0\0", 8},
    {"GOAWAY of four bytes", NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0", 4},
    {"WINDOW_UPDATE of nothing", NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4},
    {"WINDOW_UPDATE beyond 2^31", NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4},
};
enum { ILLEGAL = sizeof illegal / sizeof illegal[0] };

Test(frames, each_illegal_frame_ends_its_connection_and_is_counted)
{
    SCENE(NULL);
    for (unsigned i = 0; i < ILLEGAL; i++) {
        struct raw *raw = http2();
        fprintf(stderr, "%s\n", illegal[i].name);
        raw_frame(raw, illegal[i].type, illegal[i].flags, illegal[i].stream, illegal[i].payload, illegal[i].length);
        is_closed(raw);
        counts("abuse_closed", i + 1);
    }
    scene_end();
}

Test(frames, a_frame_above_16_KiB_ends_its_connection)
{
    SCENE(NULL);
    static uint8_t large[20000];
    struct raw *raw = http2();
    raw_frame(raw, 0xbb, 0, 0, large, sizeof large); /* of a type nobody knows, which alone is allowed */
    is_closed(raw);
    counts("abuse_closed", 1);
    scene_end();
}

Test(frames, unknown_frames_and_settings_are_ignored)
{
    SCENE(NULL);
    struct raw *raw = http2();
    raw_frame(raw, 0xbb, 0xff, 0, "whatever", 8);
    raw_frame(raw, NGHTTP2_SETTINGS, 0, 0, "\xfe\x03\0\0\0\1", 6);
    raw_frame(raw, NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0\7", 5);
    raw_frame(raw, NGHTTP2_PING, 0, 0, "12345678", 8);
    EVENTUALLY((raw_read(raw), raw->closed || raw->frames[NGHTTP2_PING] > 0));
    cr_assert(!raw->closed);
    raw_free(raw);
    scene_end();
}

/* ---- floods ------------------------------------------------------------------------------------------------------ */

static int32_t next_stream;
static uint8_t request[1024];
static size_t request_length;

static void prepare_request(const char *path)
{
    char authorization[80];
    snprintf(authorization, sizeof authorization, "Bearer %s", scene.bridge.token);
    request_length = raw_request_headers(request, path, authorization, NULL);
    next_stream = 1;
}

static void ping(struct raw *raw)
{
    raw_frame(raw, NGHTTP2_PING, 0, 0, "12345678", 8);
}

static void settings(struct raw *raw)
{
    raw_frame(raw, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\xff\xff", 6);
}

static void begin_and_reset(struct raw *raw)
{
    raw_frame(raw, NGHTTP2_HEADERS, 4, next_stream, request, request_length);
    raw_frame(raw, NGHTTP2_RST_STREAM, 0, next_stream, "\0\0\0\x8", 4);
    next_stream += 2;
}

static void begin_and_provoke(struct raw *raw)
{
    raw_frame(raw, NGHTTP2_HEADERS, 4, next_stream, request, request_length);
    raw_frame(raw, NGHTTP2_WINDOW_UPDATE, 0, next_stream, "\0\0\0\0", 4);
    next_stream += 2;
}

static void begin_malformed(struct raw *raw)
{
    uint8_t headers[32];
    size_t length = raw_header(headers, "UPPER-CASE", "x", 1);
    raw_frame(raw, NGHTTP2_HEADERS, 4 | 1, next_stream, headers, length);
    next_stream += 2;
}

static void continue_without_end(struct raw *raw)
{
    uint8_t header[64];
    size_t length = raw_header(header, "x-more", "and more", 8);
    raw_frame(raw, NGHTTP2_CONTINUATION, 0, 1, header, length);
}

static void empty_data(struct raw *raw)
{
    raw_frame(raw, NGHTTP2_DATA, 0, 1, NULL, 0);
}

static void window_update(struct raw *raw)
{
    raw_frame(raw, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
}

static void priority(struct raw *raw)
{
    raw_frame(raw, NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0\7", 5);
}

static void unknown(struct raw *raw)
{
    raw_frame(raw, 0xbb, 0, 0, "x", 1);
}

Test(frames, a_flood_of_pings_ends_the_connection)
{
    SCENE(NULL);
    floods_until_closed(http2(), ping);
    counts("abuse_closed", 1);
    scene_end();
}

Test(frames, the_goaway_of_a_ping_flood_says_so)
{
    SCENE(NULL);
    struct raw *raw = http2();
    for (unsigned i = 0; i < 5; i++)
        ping(raw);
    EVENTUALLY((raw_read(raw), raw->closed));
    cr_assert_eq(raw->goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    raw_free(raw);
    scene_end();
}

/* Without reading the answers: what waits to go out must be bounded, too. */
Test(frames, a_flood_of_pings_that_are_allowed_ends_when_nobody_reads_the_answers)
{
    SCENE("--min-ping-interval", "0s");
    struct raw *raw = http2();
    static uint8_t pings[17 * 1000];
    for (unsigned i = 0; i < 1000; i++)
        memcpy(pings + 17 * i, "\0\0\x08\6\0\0\0\0\0" "12345678", 17);
    while (!raw->closed && raw->unwritten_length < (1 << 20)) {
        raw_write(raw, pings, sizeof pings);
        swarm_turn(scene.swarm, 0);
    }
    is_closed(raw);
    counts("abuse_closed", 1);
    scene_end();
}

Test(frames, a_flood_of_settings_ends_the_connection)
{
    SCENE(NULL);
    floods_until_closed(http2(), settings);
    counts("abuse_closed", 1);
    scene_end();
}

Test(frames, streams_begun_and_reset_in_haste_end_the_connection)
{
    SCENE(NULL);
    prepare_request(METHOD_STREAM);
    floods_until_closed(http2(), begin_and_reset);
    counts("abuse_closed", 1);
    scene_end();
}

Test(frames, resets_provoked_from_the_server_end_the_connection)
{
    SCENE(NULL);
    prepare_request(METHOD_STREAM);
    floods_until_closed(http2(), begin_and_provoke);
    counts("abuse_closed", 1);
    scene_end();
}

Test(frames, malformed_requests_without_end_end_the_connection)
{
    SCENE(NULL);
    prepare_request(METHOD_STREAM);
    floods_until_closed(http2(), begin_malformed);
    counts("abuse_closed", 1);
    counts("malformed_requests", 1);
    scene_end();
}

Test(frames, continuations_without_end_end_the_connection)
{
    SCENE(NULL);
    prepare_request(METHOD_STREAM);
    struct raw *raw = http2();
    raw_frame(raw, NGHTTP2_HEADERS, 0, 1, request, request_length);
    floods_until_closed(raw, continue_without_end);
    counts("abuse_closed", 1);
    scene_end();
}

Test(frames, empty_data_without_end_ends_the_connection)
{
    SCENE(NULL);
    prepare_request(METHOD_STREAM);
    struct raw *raw = http2();
    raw_frame(raw, NGHTTP2_HEADERS, 4, 1, request, request_length);
    floods_until_closed(raw, empty_data);
    counts("abuse_closed", 1);
    scene_end();
}

/* These cost next to nothing each and are no fault; only their rate is. */
Test(frames, frames_that_say_nothing_end_the_connection_when_they_come_too_fast)
{
    SCENE(NULL);
    static void (*const kinds[])(struct raw *raw) = {window_update, priority, unknown};
    prepare_request(METHOD_STREAM);
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct raw *raw = http2();
        raw_frame(raw, NGHTTP2_HEADERS, 4, 1, request, request_length);
        floods_until_closed(raw, kinds[i]);
        counts("abuse_closed", i + 1);
    }
    scene_end();
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

/* One entry of 4,000 bytes in HPACK's table, then a byte each to name it again: 64 MB of header list in 16 KB. */
static void send_bomb(struct raw *raw, int32_t stream)
{
    static uint8_t bomb[16000];
    static char value[3990];
    size_t length = 0;
    memset(value, 'v', sizeof value);
    bomb[length++] = 0x40; /* literal with indexing, new name */
    bomb[length++] = 1;
    bomb[length++] = 'x';
    bomb[length++] = 0x7f; /* length 127 + 3863 */
    bomb[length++] = 0x80 | (3863 & 0x7f);
    bomb[length++] = 3863 >> 7;
    memcpy(bomb + length, value, sizeof value);
    length += sizeof value;
    memset(bomb + length, 0xbe, sizeof bomb - length); /* index 62 */
    raw_frame(raw, NGHTTP2_HEADERS, 4 | 1, stream, bomb, sizeof bomb);
}

Test(frames, a_header_bomb_ends_its_stream_and_many_end_the_connection)
{
    SCENE(NULL);
    struct raw *raw = http2();
    send_bomb(raw, 1);
    EVENTUALLY((raw_read(raw), raw->closed || raw->frames[NGHTTP2_RST_STREAM] > 0));
    cr_assert(!raw->closed, "one is no reason to end the others on the connection");
    for (int32_t stream = 3; !raw->closed && stream < 20000; stream += 2) {
        send_bomb(raw, stream);
        raw_read(raw);
        swarm_turn(scene.swarm, 0);
    }
    is_closed(raw);
    counts("abuse_closed", 1);
    scene_end();
}
