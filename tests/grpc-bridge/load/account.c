/*
 * account.c: unread small DATA frames stay within what newer HTTP/2 stacks allow.
 *
 * h2 from 0.4.16 on closes a connection whose unread DATA frames under 256 bytes cost more than 25,600 bytes, each 256
 * less its length (grpc-wire 6).  Here clients keep that account frame by frame, over all streams of their connection,
 * while a producer commits small updates one at a time.  Nothing may stand still over it either: at the end everything is
 * read, and each stream must come to the producer's state.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/publish.h"
#include "support/subscriber.h"

#include <inttypes.h>

enum { SMALL = 256, BUDGET = 25600, STREAMS_MAX = 400, RING_SLOTS = 4096, REFRESHES = 1000 };

struct scenario {
    const char *name;
    unsigned streams, rounds, least, spread; /* updates of each round: one and `least`, and up to `spread` more */
    bool reads; /* now and then, a few frames of some streams; otherwise nothing before the end */
    struct peer_options options;
};

#define WINDOW(...) {.set_window = true, .window = __VA_ARGS__}

static const struct scenario scenarios[] = {
    {.name = "one stream, nothing read", .streams = 1, .rounds = 1200},
    {.name = "one stream, read now and then", .streams = 1, .rounds = 1200, .reads = true},
    {.name = "a hundred streams, nothing read", .streams = 100, .rounds = 300},
    {.name = "a hundred streams, read now and then", .streams = 100, .rounds = 300, .reads = true},
    {.name = "windows of 1,024 bytes, nothing read", .streams = 100, .rounds = 300, .options = WINDOW(1024)},
    {.name = "windows of 1,024 bytes, read now and then", .streams = 100, .rounds = 300, .reads = true,
     .options = WINDOW(1024)},
    /* Smaller ones cannot be spared small frames, but nothing may stand still. */
    {.name = "windows of 1,000 bytes (not spared), read now and then", .streams = 100, .rounds = 300, .reads = true,
     .options = WINDOW(1000)},
    {.name = "windows of 255 bytes (not spared), read now and then", .streams = 50, .rounds = 300, .reads = true,
     .options = WINDOW(255)},
    {.name = "windows of 100 bytes (not spared), nothing read", .streams = STREAMS_MAX, .rounds = 50, .options = WINDOW(100)},
    {.name = "a connection window of 64 KiB, nothing read", .streams = 20, .rounds = 300,
     .options = {.keep_connection_window = true}},
    {.name = "a connection window of 64 KiB, read now and then", .streams = 20, .rounds = 300, .reads = true,
     .options = {.keep_connection_window = true}},
    /* About as much as a frame holds: what ends it may be cut anywhere. */
    {.name = "bursts that fill a frame, nothing read", .streams = 1, .rounds = 6000, .least = 236, .spread = 16,
     .options = WINDOW(INT32_MAX)},
    {.name = "bursts that fill a frame, read now and then", .streams = 10, .rounds = 300, .least = 236, .spread = 16,
     .reads = true},
};

/* Frames of a stream that came and were not read, oldest first. */
struct ledger {
    struct subscriber *subscriber;
    size_t *lengths, count, room;
};

static struct ledger ledgers[STREAMS_MAX];
static size_t cost, worst, frames, small_frames;
static cfgs_publisher *publisher;
static uint64_t seed = 5;

/* ---- the account ------------------------------------------------------------------------------------------------- */

static size_t cost_of(size_t length)
{
    return length < SMALL ? SMALL - length : 0;
}

static bool is_tiny(const struct peer_options *options)
{
    return options->set_window && options->window < 4 * SMALL;
}

static struct ledger *ledger_of(const struct stream *stream)
{
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        if (ledgers[i].subscriber != NULL && ledgers[i].subscriber->stream == stream)
            return &ledgers[i];
    return NULL;
}

static void on_data_frame(struct stream *stream, size_t length)
{
    struct ledger *ledger = ledger_of(stream);
    frames++;
    small_frames += length < SMALL;
    if (!stream->holding || ledger == NULL)
        return;
    REQUIRE(length > 0, "an empty DATA frame");
    if (ledger->count == ledger->room) {
        ledger->room = ledger->room * 2 + 16;
        ledger->lengths = need(realloc(ledger->lengths, ledger->room * sizeof *ledger->lengths));
    }
    ledger->lengths[ledger->count++] = length;
    cost += cost_of(length);
    worst = cost > worst ? cost : worst;
    REQUIRE(cost <= BUDGET || is_tiny(&stream->peer->options),
            "unread small frames cost %zu bytes: a newer h2 closes the connection", cost);
}

static void read_frames(struct ledger *ledger, size_t count)
{
    size_t bytes = 0;
    count = count < ledger->count ? count : ledger->count;
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        bytes += ledger->lengths[i];
        cost -= cost_of(ledger->lengths[i]);
    }
    ledger->count -= count;
    memmove(ledger->lengths, ledger->lengths + count, ledger->count * sizeof *ledger->lengths);
    stream_grant(ledger->subscriber->stream, bytes);
}

/* ---- one scenario ------------------------------------------------------------------------------------------------ */

static void publish_small(unsigned count)
{
    cfgs_batch *batch;
    OK(cfgs_batch_begin(publisher, &batch));
    for (unsigned i = 0; i < count; i++) {
        char key[32], text[32];
        snprintf(key, sizeof key, "account.%u", i);
        int length = snprintf(text, sizeof text, "%" PRIu64, random_next(&seed));
        cfgs_setting setting = setting_of(key, cfgs_value_string(text, (size_t)length), CFGS_SOURCE_CLI);
        OK(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
    }
    OK(cfgs_batch_commit(batch, NULL));
}

static void read_some(const struct scenario *scenario)
{
    for (unsigned i = 0; i < scenario->streams; i++)
        if (ledgers[i].subscriber->stream != NULL && random_next(&seed) % 3 == 0)
            read_frames(&ledgers[i], random_next(&seed) % 8);
}

static void open_streams(const struct scenario *scenario, struct swarm *swarm, uint16_t port)
{
    struct peer *peer = peer_connect(swarm, port, &scenario->options);
    peer->on_data_frame = on_data_frame;
    for (unsigned i = 0; i < scenario->streams; i++) {
        ledgers[i].subscriber = subscriber_new(peer, true, "account-%u", i);
        ledgers[i].subscriber->holding = true;
    }
    for (unsigned i = 0; i < scenario->streams; i++)
        SWARM_UNTIL(swarm, ledgers[i].subscriber->stream != NULL && ledgers[i].subscriber->stream->began);
}

/* Read all that came, and see whether that was all. */
static bool all_read(const struct scenario *scenario, uint64_t sequence)
{
    unsigned there = 0;
    for (unsigned i = 0; i < scenario->streams; i++) {
        subscriber_well(ledgers[i].subscriber);
        read_frames(&ledgers[i], ledgers[i].count);
        there += subscriber_at(ledgers[i].subscriber, sequence);
    }
    return there == scenario->streams;
}

static void close_streams(const struct scenario *scenario)
{
    peer_close(ledgers[0].subscriber->peer, "the scenario is over");
    for (unsigned i = 0; i < scenario->streams; i++) {
        subscriber_free(ledgers[i].subscriber);
        free(ledgers[i].lengths);
        ledgers[i] = (struct ledger){0};
    }
}

/* The neighbour reads everything; once it has an update the others had their turn, too. */
static void play(const struct scenario *scenario, struct swarm *swarm, uint16_t port, struct subscriber *neighbour)
{
    cost = worst = frames = small_frames = 0;
    open_streams(scenario, swarm, port);
    for (unsigned i = 0; i < scenario->rounds; i++) {
        publish_small(1 + scenario->least + (unsigned)(random_next(&seed) % (1 + scenario->spread)));
        SWARM_UNTIL(swarm, subscriber_at(neighbour, cfgs_publisher_sequence(publisher)));
        if (scenario->reads)
            read_some(scenario);
    }
    SWARM_UNTIL(swarm, all_read(scenario, cfgs_publisher_sequence(publisher)));
    REQUIRE(worst > 0, "%s: no small frame came: this shows nothing", scenario->name);
    printf("%s: at most %zu of %d bytes, %zu frames of which %zu small\n", scenario->name, worst, BUDGET, frames,
           small_frames);
    close_streams(scenario);
}

/* Answers that were read must not count for ever, or calls on a connection that lives long would come to a stop. */
static void many_calls(struct swarm *swarm, uint16_t port)
{
    struct subscriber *subscriber = subscriber_new(peer_connect(swarm, port, NULL), true, "refreshing");
    SWARM_UNTIL(swarm, subscriber_began(subscriber));
    uint8_t request[64];
    size_t length = wire_put_text(request, 0, 1, subscriber->session);
    for (unsigned i = 0; i < REFRESHES; i++) {
        struct stream *call = stream_open(subscriber->peer, METHOD_REFRESH, request, length, NULL);
        SWARM_UNTIL(swarm, call->ended);
        REQUIRE(call->status == 0, "refresh %u: status %d %s", i, call->status, call->message);
    }
    publish_small(1);
    SWARM_UNTIL(swarm, subscriber_at(subscriber, cfgs_publisher_sequence(publisher)));
    printf("%d calls beside a stream: all answered\n", REFRESHES);
    peer_close(subscriber->peer, "the scenario is over");
    subscriber_free(subscriber);
}

int main(void)
{
    struct bridge_process bridge;
    setvbuf(stdout, NULL, _IOLBF, 0);
    publisher = producer_open(RING_SLOTS);
    publish_load(publisher, 3, 10);
    bridge_start(&bridge, &(struct bridge_options){.instance = test_instance()});
    struct swarm *swarm = swarm_new(bridge.certificate, bridge.token);
    struct subscriber *neighbour = subscriber_new(peer_connect(swarm, bridge.port, NULL), true, "neighbour");
    SWARM_UNTIL(swarm, subscriber_began(neighbour));

    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        play(&scenarios[i], swarm, bridge.port, neighbour);
    many_calls(swarm, bridge.port);

    subscriber_free(neighbour);
    swarm_free(swarm);
    bridge_stop(&bridge);
    cfgs_publisher_close(publisher, true);
    return 0;
}
