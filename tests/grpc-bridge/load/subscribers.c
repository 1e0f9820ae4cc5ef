/*
 * subscribers.c: 2,000 subscribers over mTLS on one machine.
 *
 * One update reaches all.  What a subscriber costs in memory, what a delivery costs in CPU time, and whether a tenth
 * that does not read slows the others down.  Memory and CPU time stand beside those of bare.c, which serves as many
 * connections with the same libraries in the same run.  Rounds that are compared alternate, so that both meet the same
 * machine.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bare.h"
#include "statistics.h"
#include "support/publish.h"
#include "support/subscriber.h"

#include <inttypes.h>

enum {
    SUBSCRIBERS = 2000,
    FEW = 200,          /* memory is what the others add to these */
    SLOW_ONE_IN = 10,
    READING = SUBSCRIBERS - SUBSCRIBERS / SLOW_ONE_IN,
    SLOW_WINDOW = 1024, /* so that a few updates bring them to a stand */
    SETTINGS = 350,
    AT_ONCE = 40,       /* handshakes */
    REPETITIONS = 7,
    ROUNDS = 20,        /* updates in a repetition */
    TRIES = 3,          /* what exceeds its bound is measured again: the machine may be busy otherwise */
    CPU_REPETITIONS = 41,
    CPU_ROUNDS = 4,     /* few, so that a busy moment of the machine meets both sides */
    STALLING = 12,      /* updates that fill a window of the slow */
    VALUE_BYTES = 120,
    MEMORY_MAX = 56 * 1024,
    DESCRIPTORS = 5000,
    SKIPPED = 77 /* to CTest, which counts it */
};
#define CPU_RATIO_MAX 1.5

/* Who serves, and the streams to it. */
struct side {
    const char *name;
    pid_t pid;
    uint16_t port;
    struct peer *peers[SUBSCRIBERS];
    struct stream *streams[SUBSCRIBERS]; /* of the bare server */
    struct subscriber *subscribers[SUBSCRIBERS];
    uint64_t resident_few, resident_all;
};

static struct side bridge_side = {.name = "bridge"}, bare_side = {.name = "bare"};
static struct bridge_process bridge;
static struct bare_server bare;
static struct swarm *swarm;
static cfgs_publisher *publisher;

/* The round under way. */
static uint64_t sent_ns;
static size_t arrived;
static double delays[ROUNDS * SUBSCRIBERS];
static size_t delay_count;
static bool timing;
static uint8_t update_bytes[1024]; /* the last update as it came, with its prefix */
static size_t update_length;

/* ---- arrivals ---------------------------------------------------------------------------------------------------- */

static bool is_slow(unsigned i)
{
    return i % SLOW_ONE_IN == SLOW_ONE_IN - 1;
}

static void on_arrival(struct stream *stream, const uint8_t *message, size_t length)
{
    unsigned i = *(unsigned *)stream->peer->context;
    if (length > 5000) /* the snapshot */
        return;
    arrived++;
    if (timing && !is_slow(i) && delay_count < sizeof delays / sizeof delays[0])
        delays[delay_count++] = (double)(now_ns() - sent_ns) / 1e6;
    REQUIRE(length + 5 <= sizeof update_bytes, "an update of %zu bytes", length);
    update_bytes[3] = (uint8_t)(length >> 8), update_bytes[4] = (uint8_t)length;
    memcpy(update_bytes + 5, message, length);
    update_length = length + 5;
}

static void publish_one(void)
{
    static unsigned count;
    char key[32], text[VALUE_BYTES + 1];
    snprintf(key, sizeof key, "load.%u", count % SETTINGS);
    snprintf(text, sizeof text, "%0*u", VALUE_BYTES, count++);
    arrived = 0;
    sent_ns = now_ns();
    publish_text(publisher, key, text, CFGS_SOURCE_CLI);
}

static void send_one(struct side *side)
{
    if (side == &bridge_side) {
        publish_one();
        return;
    }
    arrived = 0;
    sent_ns = now_ns();
    bare_send(&bare, update_bytes, update_length);
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static bool all_ready(const struct side *side, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        REQUIRE(!side->peers[i]->closed, "%s: connection %u: %s", side->name, i, side->peers[i]->reason);
        if (!side->peers[i]->ready)
            return false;
    }
    return true;
}

static bool all_open(const struct side *side, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        if (side == &bridge_side && !subscriber_began(side->subscribers[i]))
            return false;
        if (side == &bare_side && !side->streams[i]->began)
            return false;
    }
    return true;
}

static void open_stream(struct side *side, unsigned i)
{
    if (side == &bridge_side)
        side->subscribers[i] = subscriber_new(side->peers[i], false, "subscriber-%u", i);
    else
        side->streams[i] = stream_open(side->peers[i], METHOD_STREAM, NULL, 0, NULL);
}

static void listen_for_updates(struct side *side, unsigned i)
{
    struct stream *stream = side == &bridge_side ? side->subscribers[i]->stream : side->streams[i];
    stream->on_message = on_arrival;
}

static void connect_some(struct side *side, unsigned from, unsigned to)
{
    static unsigned numbers[SUBSCRIBERS];
    const struct peer_options slow = {.set_window = true, .window = SLOW_WINDOW};
    for (unsigned i = from; i < to; i++) {
        numbers[i] = i;
        side->peers[i] = peer_connect(swarm, side->port, is_slow(i) ? &slow : NULL);
        side->peers[i]->context = &numbers[i];
    }
    SWARM_UNTIL(swarm, all_ready(side, from, to));
    for (unsigned i = from; i < to; i++)
        open_stream(side, i);
    SWARM_UNTIL(swarm, all_open(side, from, to));
    for (unsigned i = from; i < to; i++)
        listen_for_updates(side, i);
}

static void connect_up_to(struct side *side, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i += AT_ONCE)
        connect_some(side, i, i + AT_ONCE < to ? i + AT_ONCE : to);
}

/* Each was in use once when its memory is looked at. */
static void connect_side(struct side *side)
{
    connect_up_to(side, 0, FEW);
    send_one(side);
    SWARM_UNTIL(swarm, arrived == FEW);
    side->resident_few = process_resident_bytes(side->pid);
    connect_up_to(side, FEW, SUBSCRIBERS);
    send_one(side);
    SWARM_UNTIL(swarm, arrived == SUBSCRIBERS);
    side->resident_all = process_resident_bytes(side->pid);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static double memory_of(const struct side *side)
{
    return ((double)side->resident_all - (double)side->resident_few) / (SUBSCRIBERS - FEW);
}

/* CPU microseconds of the server for one update to one subscriber. */
static double cpu_of_delivery(struct side *side)
{
    uint64_t before = process_cpu_ns(side->pid);
    for (unsigned i = 0; i < CPU_ROUNDS; i++) {
        send_one(side);
        SWARM_UNTIL(swarm, arrived == SUBSCRIBERS);
    }
    return (double)(process_cpu_ns(side->pid) - before) / CPU_ROUNDS / SUBSCRIBERS / 1000;
}

static double measure_cpu_once(void)
{
    double ratios[CPU_REPETITIONS], ours[CPU_REPETITIONS], floor[CPU_REPETITIONS];
    for (unsigned i = 0; i < CPU_REPETITIONS; i++) {
        ours[i] = cpu_of_delivery(&bridge_side);
        floor[i] = cpu_of_delivery(&bare_side);
        ratios[i] = ours[i] / floor[i];
    }
    double ratio = quantile(ratios, CPU_REPETITIONS, 0.5);
    printf("CPU time of a delivery: %.2f us, bare SSL_write loop %.2f us, ratio %.2f (at most %.1f)\n",
           quantile(ours, CPU_REPETITIONS, 0.5), quantile(floor, CPU_REPETITIONS, 0.5), ratio, CPU_RATIO_MAX);
    return ratio;
}

/* Two threads suffer more from a machine that is busy otherwise than one. */
static void measure_cpu(void)
{
    unsigned tries = 0;
    while (measure_cpu_once() > CPU_RATIO_MAX)
        REQUIRE(++tries < TRIES, "a delivery costs too much CPU time");
}

static void deafen_slow(bool deaf)
{
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        if (is_slow(i))
            peer_deafen(bridge_side.peers[i], deaf);
}

/* Median and 99th percentile of the delays of those that read, in milliseconds. */
static void measure_delays(double *median, double *high)
{
    delay_count = 0;
    timing = true;
    for (unsigned i = 0; i < ROUNDS; i++) {
        publish_one();
        SWARM_UNTIL(swarm, arrived == READING);
    }
    timing = false;
    *median = quantile(delays, delay_count, 0.5);
    *high = quantile(delays, delay_count, 0.99);
}

static uint64_t messages_before[SUBSCRIBERS];

static void stall_slow(void)
{
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        messages_before[i] = bridge_side.subscribers[i]->stream->messages;
    deafen_slow(true);
    for (unsigned i = 0; i < STALLING; i++) {
        publish_one();
        SWARM_UNTIL(swarm, arrived == READING);
    }
}

/* What the slow are compared with is their absence: reading, they would take a share of the work. */
static void send_slow_away(void)
{
    for (unsigned i = SLOW_ONE_IN - 1; i < SUBSCRIBERS; i += SLOW_ONE_IN) {
        stream_cancel(bridge_side.subscribers[i]->stream);
        subscriber_free(bridge_side.subscribers[i]);
    }
    SWARM_UNTIL(swarm, bridge_metric(&bridge, "configstream_subscribers") == READING);
}

static bool slow_are_back(void)
{
    for (unsigned i = SLOW_ONE_IN - 1; i < SUBSCRIBERS; i += SLOW_ONE_IN)
        if (!subscriber_at(bridge_side.subscribers[i], cfgs_publisher_sequence(publisher)))
            return false;
    return true;
}

static void fetch_slow_back(void)
{
    for (unsigned i = SLOW_ONE_IN - 1; i < SUBSCRIBERS; i += SLOW_ONE_IN)
        bridge_side.subscribers[i] = subscriber_new(bridge_side.peers[i], true, "slow-%u", i);
    SWARM_UNTIL(swarm, slow_are_back());
    for (unsigned i = SLOW_ONE_IN - 1; i < SUBSCRIBERS; i += SLOW_ONE_IN)
        listen_for_updates(&bridge_side, i);
}

static bool slow_caught_up(void)
{
    for (unsigned i = SLOW_ONE_IN - 1; i < SUBSCRIBERS; i += SLOW_ONE_IN)
        if (bridge_side.subscribers[i]->stream->messages != messages_before[i] + STALLING + ROUNDS)
            return false;
    return true;
}

/* True: they slow the others down. */
static bool measure_slow_tenth_once(void)
{
    double median[2][REPETITIONS], high[2][REPETITIONS];
    for (unsigned i = 0; i < REPETITIONS; i++) {
        send_slow_away();
        measure_delays(&median[0][i], &high[0][i]);
        fetch_slow_back();
        stall_slow();
        measure_delays(&median[1][i], &high[1][i]);
        deafen_slow(false);
        SWARM_UNTIL(swarm, slow_caught_up());
    }
    bool slower = lies_above(median[1], median[0], REPETITIONS) || lies_above(high[1], high[0], REPETITIONS);
    printf("delay of %d that read, alone: median %.1f ms, p99 %.1f ms; ", READING,
           quantile(median[0], REPETITIONS, 0.5), quantile(high[0], REPETITIONS, 0.5));
    printf("beside %d that do not: median %.1f ms, p99 %.1f ms\n", SUBSCRIBERS - READING,
           quantile(median[1], REPETITIONS, 0.5), quantile(high[1], REPETITIONS, 0.5));
    return slower;
}

/* Of some thousand runs one finds a difference where there is none. */
static void measure_slow_tenth(void)
{
    unsigned tries = 0;
    while (measure_slow_tenth_once())
        REQUIRE(++tries < TRIES, "a tenth that does not read slows the others down");
}

static void show_memory(void)
{
    printf("resident memory per subscriber: %.1f KiB, bare libraries %.1f KiB (at most %d KiB); of the bridge %.1f MiB "
           "with %d subscribers\n",
           memory_of(&bridge_side) / 1024, memory_of(&bare_side) / 1024, MEMORY_MAX / 1024,
           (double)bridge_side.resident_all / 1048576, SUBSCRIBERS);
    REQUIRE(memory_of(&bridge_side) <= MEMORY_MAX, "a subscriber costs too much memory");
}

int main(int count, char **arguments)
{
    if (count == 5 && strcmp(arguments[1], BARE_ARGUMENT) == 0)
        return bare_main(arguments + 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!raise_descriptors(DESCRIPTORS))
        return SKIPPED;
    publisher = producer_open(0);
    publish_load(publisher, SETTINGS, 40);
    bridge_start(&bridge, &(struct bridge_options){.instance = test_instance()});
    bare = bare_start(bridge.certificate);
    swarm = swarm_new(bridge.certificate, bridge.token);
    bridge_side.pid = bridge.pid, bridge_side.port = bridge.port;
    bare_side.pid = bare.pid, bare_side.port = bare.port;

    connect_side(&bridge_side);
    REQUIRE(bridge_metric(&bridge, "configstream_subscribers") == SUBSCRIBERS, "the bridge counts other subscribers");
    connect_side(&bare_side);
    printf("one update reached %d subscribers\n", SUBSCRIBERS);
    show_memory();
    measure_cpu();
    measure_slow_tenth();

    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        subscriber_free(bridge_side.subscribers[i]);
    swarm_free(swarm);
    bridge_stop(&bridge);
    cfgs_publisher_close(publisher, true);
    return 0;
}
