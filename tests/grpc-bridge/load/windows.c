/*
 * windows.c: nothing stands still, whatever clients do with their windows.
 *
 * Connections of several streams, some of which are never read, tell what they read at once, at a quarter or a half of
 * the window, or when it is used up; those of the connection are raised or left at 65,535.  Phase by phase windows from
 * one byte to 1 MiB are set amid everything, also below what is under way, sockets and streams are not read for a while,
 * streams are reset and new ones opened, while a producer commits settings of one byte to 1 MiB.  At the end of each
 * phase every stream that is read must come to the producer's state, with consecutive IDs between snapshots.  Only where
 * streams that are not read hold all of a connection's window nothing more can come, until they are reset.
 * WINDOWS_SEED and WINDOWS_PHASES, for those who look for more.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/publish.h"
#include "support/subscriber.h"

#include <inttypes.h>

enum {
    PEERS = 24,
    STREAMS_MAX = 4, /* of a connection */
    PHASES = 10,
    RING_SLOTS = 128,
    KEYS = 6,
    VALUE_MAX = 1 << 20,
    FRAME_LEAST = 16384,
    FRAME_MOST = 1 << 20
};

/* What windows and values a phase has.  A stream that takes a byte at a time has to take a whole snapshot of them. */
static const struct kind {
    const char *name;
    uint32_t window_least, window_most, window_end; /* the least that a stream has for what is left at the end */
    uint32_t value_most, updates, bursts;
} kinds[] = {
    {.name = "bytes", .window_least = 1, .window_most = 64, .window_end = 1, .value_most = 40, .updates = 10, .bursts = 2},
    {.name = "drops", .window_least = 1024, .window_most = 65535, .window_end = 1024, .value_most = 30, .updates = 1,
     .bursts = 150},
    {.name = "cups", .window_least = 64, .window_most = 4096, .window_end = 64, .value_most = 400, .updates = 60,
     .bursts = 10},
    {.name = "buckets", .window_least = 200, .window_most = 65535, .window_end = 4096, .value_most = 30000, .updates = 30,
     .bursts = 8},
    {.name = "barrels", .window_least = 1, .window_most = 1 << 20, .window_end = 65535, .value_most = VALUE_MAX,
     .updates = 4, .bursts = 6},
};

struct place { /* of a stream */
    struct subscriber *subscriber; /* NULL: none just now */
    bool unread;
};

static struct {
    struct peer *peer;
    uint32_t window;
    struct place places[STREAMS_MAX];
    unsigned count;
} peers[PEERS];

static struct {
    uint64_t settings, lowered, resets, full, snapshots, updates;
} seen;

static cfgs_publisher *publisher;
static cfgs_reader *reader;
static struct swarm *swarm;
static struct subscriber *neighbour; /* reads everything at once, and has its connection for itself */
static uint64_t seed = 11;

/* ---- chance ------------------------------------------------------------------------------------------------------ */

static uint32_t below(uint32_t bound)
{
    return (uint32_t)(random_next(&seed) % bound);
}

static bool one_in(uint32_t count)
{
    return below(count) == 0;
}

/* Each power of two as often as the others. */
static uint32_t between(uint32_t least, uint32_t most)
{
    uint32_t powers = 0;
    while (least <= most >> (powers + 1))
        powers++;
    uint32_t high = least << below(powers + 1), end = high < most / 2 ? 2 * high : most;
    return high + below(end - high + 1);
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static void subscribe(unsigned p, struct place *place)
{
    static unsigned number;
    place->subscriber = subscriber_new(peers[p].peer, true, "stream-%u-of-%u", number++, p);
    place->subscriber->holding = place->unread;
}

static void connect_one(unsigned p, uint16_t port)
{
    const struct peer_options options = {.set_window = true, .window = between(1024, 65535),
                                         .keep_connection_window = p / 4 % 3 != 0, .updates = p % 4};
    peers[p].peer = peer_connect(swarm, port, &options);
    peers[p].window = options.window;
    peers[p].count = 1 + below(STREAMS_MAX);
    for (unsigned i = 0; i < peers[p].count; i++) {
        peers[p].places[i].unread = i > 0 && one_in(2);
        subscribe(p, &peers[p].places[i]);
    }
}

static void set_window(unsigned p, uint32_t window)
{
    seen.settings++;
    seen.lowered += window < peers[p].window;
    peers[p].window = window;
    peer_set(peers[p].peer, window, between(FRAME_LEAST, FRAME_MOST));
}

static struct stream *stream_of(const struct place *place)
{
    return place->subscriber != NULL ? place->subscriber->stream : NULL;
}

static void reset(struct place *place)
{
    const struct subscriber *subscriber = place->subscriber;
    struct stream *stream = subscriber->stream != NULL ? subscriber->stream : subscriber->registering;
    seen.resets++;
    seen.snapshots += subscriber->mirror->snapshots, seen.updates += subscriber->mirror->updates;
    subscriber_free(place->subscriber);
    place->subscriber = NULL;
    stream_cancel(stream);
}

/* Now and then: something else with the connection, and with its streams. */
static void turn_taps(unsigned p, const struct kind *kind)
{
    peer_deafen(peers[p].peer, one_in(4));
    for (unsigned i = 0; i < peers[p].count; i++) {
        const struct place *place = &peers[p].places[i];
        if (stream_of(place) == NULL || place->unread)
            continue;
        stream_hold(stream_of(place), one_in(3));
        if (one_in(3))
            stream_grant(stream_of(place), between(1, kind->window_most));
    }
}

/* Where a connection is full there is no room for the answer that a subscriber begins with either. */
static bool all_subscribed(void)
{
    for (unsigned p = 0; p < PEERS; p++)
        for (unsigned i = 0; i < peers[p].count; i++)
            if (stream_of(&peers[p].places[i]) == NULL && !peer_is_full(peers[p].peer))
                return false;
    return true;
}

/* ---- the producer ------------------------------------------------------------------------------------------------ */

static void stage(cfgs_batch *batch, unsigned number, size_t length)
{
    static char text[VALUE_MAX];
    char key[32];
    memset(text, 'a' + (int)below(26), length);
    snprintf(key, sizeof key, "windows.%u", number);
    cfgs_setting setting = setting_of(key, cfgs_value_string(text, length), CFGS_SOURCE_DEFAULT + (int)below(12));
    OK(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
}

static void publish(const struct kind *kind)
{
    cfgs_batch *batch;
    OK(cfgs_batch_begin(publisher, &batch));
    for (unsigned i = 0, count = 1 + below(kind->updates); i < count; i++)
        stage(batch, below(KEYS), between(1, kind->value_most));
    OK(cfgs_batch_commit(batch, NULL));
}

/* What comes next has small windows. */
static void shrink_all(void)
{
    cfgs_batch *batch;
    OK(cfgs_batch_begin(publisher, &batch));
    for (unsigned i = 0; i < KEYS; i++)
        stage(batch, i, 1 + below(20));
    OK(cfgs_batch_commit(batch, NULL));
}

/* ---- a phase ----------------------------------------------------------------------------------------------------- */

static bool is_there(const struct place *place, uint64_t sequence)
{
    if (stream_of(place) != NULL)
        subscriber_well(place->subscriber);
    return place->unread || (place->subscriber != NULL && subscriber_at(place->subscriber, sequence));
}

static const struct subscriber *first_missing(uint64_t sequence)
{
    for (unsigned p = 0; p < PEERS; p++)
        for (unsigned i = 0; i < peers[p].count; i++)
            if (!is_there(&peers[p].places[i], sequence) && !peer_is_full(peers[p].peer))
                return peers[p].places[i].subscriber;
    return NULL;
}

static void await_all(const char *name)
{
    const uint64_t until = now_ns() + PATIENCE_NS;
    for (const struct subscriber *missing; (missing = first_missing(cfgs_publisher_sequence(publisher))) != NULL;) {
        nghttp2_session *session = missing->peer->session;
        const struct stream *stream = missing->stream != NULL ? missing->stream : missing->registering;
        REQUIRE(now_ns() < until,
                "%s: %s stands still at %lld of %" PRIu64 ", with %d bytes of window, %d of its connection", name,
                missing->name, (long long)missing->mirror->last, cfgs_publisher_sequence(publisher),
                nghttp2_session_get_stream_local_window_size(session, stream->id),
                nghttp2_session_get_local_window_size(session));
        swarm_turn(swarm, 20);
    }
}

static void pour(const struct kind *kind)
{
    for (unsigned burst = 0; burst < kind->bursts; burst++) {
        publish(kind);
        for (unsigned p = 0; p < PEERS; p++)
            if (one_in(kind->bursts))
                turn_taps(p, kind);
        if (kind->updates == 1) /* one at a time, as small frames */
            SWARM_UNTIL(swarm, subscriber_at(neighbour, cfgs_publisher_sequence(publisher)));
        else
            swarm_turn(swarm, 0);
    }
}

static void open_all(const struct kind *kind)
{
    for (unsigned p = 0; p < PEERS; p++) {
        peer_deafen(peers[p].peer, false);
        for (unsigned i = 0; i < peers[p].count; i++)
            if (!peers[p].places[i].unread && stream_of(&peers[p].places[i]) != NULL)
                stream_hold(stream_of(&peers[p].places[i]), false);
        if (peers[p].window < kind->window_end)
            set_window(p, between(kind->window_end, kind->window_most));
    }
}

/* Streams that are not read make room. */
static void empty_the_full(void)
{
    for (unsigned p = 0; p < PEERS; p++) {
        bool full = peer_is_full(peers[p].peer);
        seen.full += full;
        for (unsigned i = 0; i < peers[p].count; i++)
            if (peers[p].places[i].unread && full && peers[p].places[i].subscriber != NULL)
                reset(&peers[p].places[i]);
    }
}

static void judge(void)
{
    struct mirror *local = mirror_new();
    mirror_read(local, reader);
    for (unsigned p = 0; p < PEERS; p++)
        for (unsigned i = 0; i < peers[p].count; i++)
            if (!peers[p].places[i].unread && !peer_is_full(peers[p].peer))
                mirror_same(peers[p].places[i].subscriber->mirror, local, peers[p].places[i].subscriber->name);
    mirror_free(local);
}

static void change_streams(unsigned p)
{
    struct place *chosen = &peers[p].places[below(peers[p].count)];
    if (one_in(3) && chosen->subscriber != NULL)
        reset(chosen);
    for (unsigned i = 0; i < peers[p].count; i++)
        if (peers[p].places[i].subscriber == NULL)
            subscribe(p, &peers[p].places[i]);
}

static void play(const struct kind *kind)
{
    for (unsigned p = 0; p < PEERS; p++) {
        if (one_in(2))
            set_window(p, between(kind->window_least, kind->window_most));
        change_streams(p);
    }
    SWARM_UNTIL(swarm, all_subscribed());
    pour(kind);
    for (unsigned p = 0; p < PEERS; p++)
        if (one_in(3)) /* what is under way may be more than that */
            set_window(p, between(kind->window_least, kind->window_most));
    pour(kind);
    open_all(kind);
    await_all(kind->name);
    judge();
    empty_the_full();
    await_all(kind->name);
    shrink_all();
    await_all(kind->name);
}

/* ---- the test ---------------------------------------------------------------------------------------------------- */

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void free_all(void)
{
    for (unsigned p = 0; p < PEERS; p++)
        for (unsigned i = 0; i < peers[p].count; i++)
            if (peers[p].places[i].subscriber != NULL)
                reset(&peers[p].places[i]);
    subscriber_free(neighbour);
}

int main(void)
{
    /* A snapshot that is not read keeps its memory; here none may be ended over it. */
    static const char *const flags[] = {"--max-snapshots", "1000", "--max-snapshot-memory", "4gb", NULL};
    struct bridge_process bridge;
    setvbuf(stdout, NULL, _IOLBF, 0);
    seed = from_environment("WINDOWS_SEED", seed);
    const unsigned phases = (unsigned)from_environment("WINDOWS_PHASES", PHASES);
    publisher = producer_open(RING_SLOTS);
    shrink_all();
    reader = reader_open(publisher);
    bridge_start(&bridge, &(struct bridge_options){.instance = test_instance(), .flags = flags});
    swarm = swarm_new(bridge.certificate, bridge.token);
    neighbour = subscriber_new(peer_connect(swarm, bridge.port, NULL), true, "neighbour");
    for (unsigned p = 0; p < PEERS; p++)
        connect_one(p, bridge.port);
    SWARM_UNTIL(swarm, all_subscribed() && subscriber_began(neighbour));

    for (unsigned i = 0; i < phases; i++) {
        const struct kind *kind = &kinds[i % (sizeof kinds / sizeof kinds[0])];
        uint64_t start = now_ns();
        play(kind);
        printf("phase %u, %s: %.2f s\n", i, kind->name, (double)(now_ns() - start) / 1e9);
    }
    free_all();
    printf("%" PRIu64 " changes of windows, %" PRIu64 " of them lower; %" PRIu64 " times a connection was full of what is "
           "not read; %" PRIu64 " resets; %" PRIu64 " snapshots and %" PRIu64 " updates received\n",
           seen.settings, seen.lowered, seen.full, seen.resets, seen.snapshots, seen.updates);
    REQUIRE(seen.full > 0, "no connection was full: this test shows less than it says");
    swarm_free(swarm);
    bridge_stop(&bridge);
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, true);
    return 0;
}
