/* calls.c: requests that never end, answers that nobody takes, peers that are gone.  SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <criterion/criterion.h>

enum { BIG = 200 * 1024, END_HEADERS = 4, END_STREAM = 1 };

static uint8_t request[1024];
static size_t request_length;

static void prepare_request(const char *path)
{
    char authorization[80];
    snprintf(authorization, sizeof authorization, "Bearer %s", scene.bridge.token);
    request_length = raw_request_headers(request, path, authorization, NULL);
}

static struct subscriber *another(const struct peer_options *options, const char *name)
{
    return subscriber_new(peer_connect(scene.swarm, scene.bridge.port, options), true, "%s", name);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

Test(calls, a_request_without_a_body_runs_into_the_timeout)
{
    SCENE("--request-timeout", "300ms");
    prepare_request(METHOD_REGISTER);
    struct raw *raw = http2();
    raw_frame(raw, NGHTTP2_HEADERS, END_HEADERS, 1, request, request_length);
    EVENTUALLY((raw_read(raw), raw->frames[NGHTTP2_RST_STREAM] > 0));
    cr_assert(!raw->closed);
    counts("calls_failed", 1);
    raw_free(raw);
    scene_end();
}

Test(calls, a_body_that_comes_byte_by_byte_runs_into_the_timeout)
{
    SCENE("--max-request-bytes", "4194304", "--request-timeout", "300ms");
    prepare_request(METHOD_REGISTER);
    struct raw *raw = http2();
    raw_frame(raw, NGHTTP2_HEADERS, END_HEADERS, 1, request, request_length);
    raw_frame(raw, NGHTTP2_DATA, 0, 1, "\0\0\1\0\0", 5);
    EVENTUALLY((raw_frame(raw, NGHTTP2_DATA, 0, 1, "x", 1), raw_read(raw),
                raw->closed || raw->frames[NGHTTP2_RST_STREAM] > 0));
    counts("calls_failed", 1);
    raw_free(raw);
    scene_end();
}

Test(calls, headers_that_never_end_run_into_a_timeout)
{
    SCENE("--keepalive-time", "300ms", "--keepalive-timeout", "300ms");
    scene.neighbour_may_go = true;
    prepare_request(METHOD_REGISTER);
    struct raw *raw = http2();
    raw_frame(raw, NGHTTP2_HEADERS, 0, 1, request, request_length);
    is_closed(raw);
    scene_end();
}

Test(calls, a_message_said_to_be_4_GiB_is_refused_at_once)
{
    SCENE(NULL);
    prepare_request(METHOD_REGISTER);
    struct raw *raw = http2();
    raw_frame(raw, NGHTTP2_HEADERS, END_HEADERS, 1, request, request_length);
    raw_frame(raw, NGHTTP2_DATA, 0, 1, "\0\xff\xff\xff\xff", 5);
    EVENTUALLY((raw_read(raw), raw->frames[NGHTTP2_HEADERS] > 0));
    counts("calls_failed", 1);
    raw_free(raw);
    scene_end();
}

Test(calls, more_streams_than_allowed_are_refused)
{
    enum { ALLOWED = 10, TRIED = 60 };
    SCENE("--max-streams", "10");
    prepare_request(METHOD_REGISTER);
    struct raw *raw = http2();
    for (int32_t i = 0; i < TRIED; i++)
        raw_frame(raw, NGHTTP2_HEADERS, END_HEADERS, 2 * i + 1, request, request_length);
    EVENTUALLY((raw_read(raw), raw->closed || raw->frames[NGHTTP2_RST_STREAM] >= TRIED - ALLOWED));
    raw_free(raw);
    scene_end();
}

static void ask_without_reading(struct raw *raw)
{
    static int32_t stream = 1;
    raw_frame(raw, NGHTTP2_HEADERS, END_HEADERS, stream, request, request_length);
    raw_frame(raw, NGHTTP2_DATA, END_STREAM, stream, "\0\0\0\0\0", 5);
    stream += 2;
}

Test(calls, answers_that_nobody_reads_do_not_pile_up)
{
    SCENE(NULL);
    prepare_request("/datadog.api.v1.AgentSecure/TaggerFetchEntity");
    struct raw *raw = http2();
    for (unsigned i = 0; i < 200000 && !raw->closed && raw->unwritten_length < (1 << 20); i++) {
        ask_without_reading(raw);
        if (i % 64 == 0)
            swarm_turn(scene.swarm, 0);
    }
    neighbour_is_served();
    raw_free(raw);
    scene_end();
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

Test(calls, a_window_that_stays_shut_ends_the_stream)
{
    SCENE("--stall-timeout", "500ms");
    struct subscriber *shut = another(&(struct peer_options){.set_window = true, .window = 60}, "shut");
    shut->holding = true;
    EVENTUALLY(shut->stream != NULL && shut->stream->ended);
    counts("stalled_streams", 1);
    subscriber_free(shut);
    scene_end();
}

Test(calls, a_window_that_opens_again_in_time_ends_nothing)
{
    SCENE("--stall-timeout", "600s");
    struct subscriber *slow = another(&(struct peer_options){.set_window = true, .window = 60}, "slow");
    slow->holding = true;
    EVENTUALLY(slow->stream != NULL && slow->stream->held > 0);
    neighbour_is_served();
    stream_hold(slow->stream, false);
    EVENTUALLY((subscriber_well(slow), subscriber_at(slow, cfgs_publisher_sequence(scene.publisher))));
    subscriber_free(slow);
    scene_end();
}

Test(calls, windows_of_one_byte_get_everything)
{
    SCENE(NULL);
    struct subscriber *tiny = another(&(struct peer_options){.set_window = true, .window = 1}, "tiny");
    EVENTUALLY((tiny->stream == NULL || (subscriber_well(tiny), true)) &&
               subscriber_at(tiny, cfgs_publisher_sequence(scene.publisher)));
    neighbour_is_served();
    EVENTUALLY(subscriber_at(tiny, cfgs_publisher_sequence(scene.publisher)));
    subscriber_free(tiny);
    scene_end();
}

/* One after the other, so that whoever reads is never lapped. */
static void publish_big(unsigned count)
{
    char *text = need(malloc(BIG + 1));
    memset(text, 'b', BIG);
    text[BIG] = '\0';
    for (unsigned i = 0; i < count; i++) {
        text[0] = (char)('a' + i % 26);
        publish_text(scene.publisher, "big", text, CFGS_SOURCE_CLI);
        neighbour_follows();
    }
    free(text);
}

/* Its windows are wide open, so only the socket's buffers and the output high water bound what is made for it. */
Test(calls, a_socket_that_is_not_read_holds_up_nobody_and_is_ended)
{
    SCENE("--stall-timeout", "500ms");
    scene.neighbour_may_go = true;
    struct subscriber *deaf = another(&(struct peer_options){.set_window = true, .window = INT32_MAX}, "deaf");
    EVENTUALLY(subscriber_began(deaf));
    peer_deafen(deaf->peer, true);
    /* However much of it is left out for a snapshot, in the end the socket is full. */
    EVENTUALLY((publish_big(50), bridge_metric(&scene.bridge, "configstream_stalled_streams") >= 1));
    neighbour_is_served();
    subscriber_free(deaf);
    scene_end();
}

Test(calls, streams_that_are_cancelled_amid_their_snapshot_leave_nothing)
{
    enum { TIMES = 60 };
    SCENE(NULL);
    struct peer *peer = peer_connect(scene.swarm, scene.bridge.port, &(struct peer_options){.set_window = true,
                                                                                           .window = 500});
    struct subscriber *fickle = subscriber_new(peer, false, "fickle");
    EVENTUALLY(subscriber_began(fickle) || (fickle->stream != NULL && fickle->stream->began));
    for (unsigned i = 0; i < TIMES; i++) {
        struct stream *stream = stream_open(peer, METHOD_STREAM, NULL, 0, fickle->session);
        stream->holding = true;
        EVENTUALLY(stream->held > 0 || stream->ended);
        stream_cancel(stream);
    }
    stream_cancel(fickle->stream);
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_subscribers") == 1);
    subscriber_free(fickle);
    scene_end();
}

/* ---- peers that are gone ----------------------------------------------------------------------------------------- */

Test(calls, a_peer_that_answers_no_ping_is_found_dead)
{
    SCENE("--keepalive-time", "300ms", "--keepalive-timeout", "300ms");
    scene.neighbour_may_go = true;
    is_closed(http2());
    counts("dead_peers", 1);
    struct subscriber *gone = newcomer("gone");
    peer_deafen(gone->peer, true);
    counts("dead_peers", 2);
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_subscribers") <= 1);
    subscriber_free(gone);
    scene_end();
}

Test(calls, a_connection_without_a_call_is_ended)
{
    SCENE("--idle-timeout", "300ms");
    struct peer *peer = peer_connect(scene.swarm, scene.bridge.port, NULL);
    EVENTUALLY(peer->closed);
    cr_assert_eq(peer->goaway, NGHTTP2_NO_ERROR);
    scene_end();
}
