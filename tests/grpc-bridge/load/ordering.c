/*
 * ordering.c: 20,000 updates in bursts to 50 streams of mixed speed.
 *
 * Each must see a snapshot first, then only consecutive IDs between snapshots, and end with exactly the producer's state.
 * The producer waits for half of them between bursts: these get one snapshot and every update.  The others are held up by
 * windows that stay shut or by sockets that are not read, and are lapped: for each further snapshot the ring must really
 * have lost the update that came next.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/publish.h"
#include "support/subscriber.h"

#include <inttypes.h>

enum { UPDATES = 20000, KEYS = 400, RING_SLOTS = 1024, BURST_MAX = 900, PAIRS = 20, DEAF = 10 };
enum { STREAMS = 2 * PAIRS + DEAF, GRANT_BYTES = 4096 };

/* What a stream does with its window after its first snapshot. */
enum pace { KEEPS_UP, SHUT_TO_THE_END, OPENS_NOW_AND_THEN, TRICKLES, NOT_READ };

static struct {
    struct subscriber *subscriber;
    enum pace pace;
    int64_t last;
    uint64_t laps;
} streams[STREAMS];

static cfgs_publisher *publisher;
static cfgs_reader *reader;
static uint64_t seed = 7;

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static void on_event(struct subscriber *subscriber, const struct event *event, const uint8_t *message, size_t length)
{
    (void)message, (void)length;
    unsigned i = *(unsigned *)subscriber->context;
    if (event->snapshot && subscriber->mirror->snapshots > 1) {
        cfgs_reader_info info;
        OK(cfgs_reader_status(reader, &info, sizeof info));
        REQUIRE(info.ring_oldest > (uint64_t)streams[i].last + 1,
                "%s: got snapshot %d although the ring still held update %" PRId64 " (its oldest is %" PRIu64 ")",
                subscriber->name, event->sequence, streams[i].last + 1, info.ring_oldest);
        streams[i].laps++;
    }
    streams[i].last = event->sequence;
}

static void add_stream(struct peer *peer, unsigned i, enum pace pace)
{
    static unsigned numbers[STREAMS];
    numbers[i] = i;
    streams[i].pace = pace;
    streams[i].subscriber = subscriber_new(peer, true, "stream-%u", i);
    streams[i].subscriber->context = &numbers[i];
    streams[i].subscriber->on_event = on_event;
}

/* A stream that keeps up and one that does not share each connection of the first kind. */
static void connect_all(struct swarm *swarm, uint16_t port)
{
    static const enum pace slow[] = {SHUT_TO_THE_END, OPENS_NOW_AND_THEN, TRICKLES};
    static const struct peer_options tiny = {.set_window = true, .window = 1000};
    for (unsigned i = 0; i < PAIRS; i++) {
        struct peer *peer = peer_connect(swarm, port, i % 4 == 3 ? &tiny : NULL);
        add_stream(peer, 2 * i, KEEPS_UP);
        add_stream(peer, 2 * i + 1, slow[i % 3]);
    }
    for (unsigned i = 2 * PAIRS; i < STREAMS; i++)
        add_stream(peer_connect(swarm, port, NULL), i, NOT_READ);
}

static bool all_began(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        if (!subscriber_began(streams[i].subscriber))
            return false;
    return true;
}

static bool all_at(uint64_t sequence, bool only_those_that_keep_up)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        subscriber_well(streams[i].subscriber);
        if (only_those_that_keep_up && streams[i].pace != KEEPS_UP)
            continue;
        if (!subscriber_at(streams[i].subscriber, sequence))
            return false;
    }
    return true;
}

static void set_pace(unsigned burst)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        struct stream *stream = streams[i].subscriber->stream;
        if (streams[i].pace == NOT_READ)
            peer_deafen(stream->peer, burst % 5 != 4);
        else if (streams[i].pace == OPENS_NOW_AND_THEN)
            stream_hold(stream, burst % 4 != 3);
        else if (streams[i].pace != KEEPS_UP)
            stream_hold(stream, true);
        if (streams[i].pace == TRICKLES)
            stream_grant(stream, GRANT_BYTES);
    }
}

static void release_all(void)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        stream_hold(streams[i].subscriber->stream, false);
        peer_deafen(streams[i].subscriber->peer, false);
    }
}

/* ---- the producer ------------------------------------------------------------------------------------------------ */

static void stage(cfgs_batch *batch, unsigned key_number, uint64_t stamp)
{
    char key[32], text[96];
    snprintf(key, sizeof key, "ordering.key.%u", key_number);
    int length = snprintf(text, sizeof text, "%" PRIu64 " and some more bytes, so that windows of 64 KiB fill up", stamp);
    cfgs_setting setting =
        setting_of(key, cfgs_value_string(text, (size_t)length), CFGS_SOURCE_DEFAULT + (int)(stamp % 12));
    OK(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
}

static void first_load(void)
{
    cfgs_batch *batch;
    OK(cfgs_batch_begin(publisher, &batch));
    for (unsigned i = 0; i < KEYS; i++)
        stage(batch, i, i);
    OK(cfgs_batch_commit(batch, NULL));
}

/* One key in thirty is removed; setting it again makes an update, too. */
static void publish_batch(unsigned size)
{
    static uint64_t stamp = KEYS;
    cfgs_batch *batch;
    unsigned first = (unsigned)(random_next(&seed) % KEYS);
    OK(cfgs_batch_begin(publisher, &batch));
    for (unsigned i = 0; i < size; i++, stamp++) {
        unsigned number = (first + i) % KEYS;
        char key[32];
        int length = snprintf(key, sizeof key, "ordering.key.%u", number);
        if (random_next(&seed) % 30 == 0)
            OK(cfgs_batch_remove(batch, key, (size_t)length, CFGS_SOURCE_FILE));
        else
            stage(batch, number, stamp);
    }
    OK(cfgs_batch_commit(batch, NULL));
}

static void publish_burst(uint64_t end)
{
    uint64_t burst_end = cfgs_publisher_sequence(publisher) + 1 + random_next(&seed) % BURST_MAX;
    burst_end = burst_end < end ? burst_end : end;
    for (uint64_t at; (at = cfgs_publisher_sequence(publisher)) < burst_end;) {
        uint64_t left = burst_end - at, size = random_next(&seed) % 3 == 0 ? 1 + random_next(&seed) % 200 : 1;
        publish_batch((unsigned)(size < left ? size : left));
    }
}

/* ---- the test ---------------------------------------------------------------------------------------------------- */

static void judge(uint64_t first, const struct bridge_process *bridge)
{
    uint64_t snapshots = 0, updates = 0, laps = 0, lapped = 0;
    struct mirror *local = mirror_new();
    mirror_read(local, reader);
    for (unsigned i = 0; i < STREAMS; i++) {
        const struct mirror *mirror = streams[i].subscriber->mirror;
        mirror_same(mirror, local, streams[i].subscriber->name);
        REQUIRE(streams[i].pace != KEEPS_UP || (mirror->snapshots == 1 && mirror->updates == UPDATES),
                "%s keeps up: %" PRIu64 " snapshots, %" PRIu64 " updates", streams[i].subscriber->name,
                mirror->snapshots, mirror->updates);
        REQUIRE(mirror->snapshots <= streams[i].laps + 1, "%s: %" PRIu64 " snapshots, %" PRIu64 " laps",
                streams[i].subscriber->name, mirror->snapshots, streams[i].laps);
        snapshots += mirror->snapshots, updates += mirror->updates;
        laps += streams[i].laps, lapped += streams[i].laps > 0;
    }
    mirror_free(local);
    REQUIRE(cfgs_publisher_sequence(publisher) == first + UPDATES, "the producer miscounted");
    REQUIRE(lapped >= 10, "only %" PRIu64 " streams were lapped: this test shows nothing", lapped);
    REQUIRE(bridge_metric(bridge, "configstream_snapshots_sent") == snapshots, "the bridge counts other snapshots");
    REQUIRE(bridge_metric(bridge, "configstream_updates_sent") == updates, "the bridge counts other updates");
    REQUIRE(bridge_metric(bridge, "configstream_discontinuities") == laps, "the bridge counts other discontinuities");
    printf("%d streams, %d updates: %" PRIu64 " streams lapped %" PRIu64 " times, %" PRIu64 " snapshots and %" PRIu64
           " updates received\n",
           STREAMS, UPDATES, lapped, laps, snapshots, updates);
}

int main(void)
{
    struct bridge_process bridge;
    publisher = producer_open(RING_SLOTS);
    first_load();
    reader = reader_open(publisher);
    bridge_start(&bridge, &(struct bridge_options){.instance = test_instance()});
    struct swarm *swarm = swarm_new(bridge.certificate, bridge.token);

    connect_all(swarm, bridge.port);
    SWARM_UNTIL(swarm, all_began());
    uint64_t first = cfgs_publisher_sequence(publisher);
    for (unsigned burst = 0; cfgs_publisher_sequence(publisher) < first + UPDATES; burst++) {
        set_pace(burst);
        publish_burst(first + UPDATES);
        SWARM_UNTIL(swarm, all_at(cfgs_publisher_sequence(publisher), true));
    }
    release_all();
    SWARM_UNTIL(swarm, all_at(first + UPDATES, false));
    judge(first, &bridge);

    for (unsigned i = 0; i < STREAMS; i++)
        subscriber_free(streams[i].subscriber);
    swarm_free(swarm);
    bridge_stop(&bridge);
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, true);
    return 0;
}
