/*
 * shared.c: threads that get, read and give back snapshots while the arena changes.
 *
 * Each checks that the frames it holds stay the bytes they were, are as long as they announce, and never go back in time.
 * At the end all memory but that of the current frame is given back.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bridge/rcu.h"
#include "event/snapshots.h"

#include <configstream/publisher.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, CHANGES = 30000, KEYS = 50, HELD = 3 };

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static cfgs_publisher *publisher;
static struct snapshots *snapshots;
static atomic_bool stop; /* relaxed would do: the threads are joined */
static atomic_uint ready;

static uint64_t sum_of(const struct snapshot *snapshot)
{
    const uint8_t *at = snapshot->bytes;
    size_t announced = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
    uint64_t sum = 0;
    REQUIRE(announced + 5 == snapshot->length && snapshot->settings == KEYS);
    for (size_t i = 0; i < snapshot->length; i++)
        sum = sum * 31 + at[i];
    return sum;
}

struct tally {
    uint64_t got, refused;
};

static void *hold_and_give_back(void *context)
{
    struct tally *tally = context;
    const struct snapshot *held[HELD] = {NULL};
    uint64_t sums[HELD], last = 0;
    cfgs_reader *reader;
    REQUIRE(cfgs_publisher_reader(publisher, &reader) == CFGS_OK);
    atomic_fetch_add(&ready, 1);
    for (unsigned turn = 0; !atomic_load(&stop); turn = (turn + 1) % HELD) {
        if (held[turn])
            snapshots_release(snapshots, held[turn]);
        held[turn] = NULL;
        enum snapshot_result result = snapshots_get(snapshots, reader, 1, last, &held[turn]);
        REQUIRE(result == SNAPSHOT_OK || result == SNAPSHOT_NO_ROOM);
        tally->refused += result == SNAPSHOT_NO_ROOM;
        if (result != SNAPSHOT_OK)
            continue;
        REQUIRE(held[turn]->sequence >= last);
        last = held[turn]->sequence;
        sums[turn] = sum_of(held[turn]);
        for (unsigned i = 0; i < HELD; i++)
            REQUIRE(!held[i] || sum_of(held[i]) == sums[i]);
        tally->got++;
    }
    for (unsigned i = 0; i < HELD; i++)
        if (held[i])
            snapshots_release(snapshots, held[i]);
    cfgs_reader_close(reader);
    return NULL;
}

static void change(unsigned number)
{
    char key[16];
    int length = snprintf(key, sizeof key, "key.%u", number % KEYS);
    cfgs_setting setting = {.key = {key, (size_t)length}, .value = cfgs_value_int(number), .source = CFGS_SOURCE_FILE};
    REQUIRE(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL) == CFGS_OK);
}

int main(void)
{
    static struct limits limits;
    static struct log quiet = {.level = LOG_OFF};
    struct tally tallies[THREADS] = {{0, 0}}, all = {0, 0};
    pthread_t threads[THREADS];
    struct snapshots_info info;
    limits_init(&limits);
    atomic_store(&limits.max_snapshots, 6);
    snapshots = snapshots_new(&limits, &quiet);
    REQUIRE(snapshots != NULL);
    cfgs_publisher_options options = {.in_memory = true, .ring_slots = 64, .max_size = 64u << 20};
    REQUIRE(cfgs_publisher_open(&options, &publisher) == CFGS_OK);
    for (unsigned i = 0; i < KEYS; i++)
        change(i);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, hold_and_give_back, &tallies[i]) == 0);
    while (atomic_load(&ready) < THREADS)
        continue;
    for (unsigned i = 0; i < CHANGES; i++)
        change(KEYS + i);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
        all.got += tallies[i].got;
        all.refused += tallies[i].refused;
    }
    snapshots_info(snapshots, &info);
    printf("%" PRIu64 " snapshots for %d threads, %" PRIu64 " built, %" PRIu64 " times no room\n", all.got, THREADS,
           info.built, all.refused);
    REQUIRE(info.alive <= 1 && all.got > 0 && info.built > 1);
    REQUIRE(info.alive == 0 || info.bytes_alive == info.last_bytes);
    snapshots_free(snapshots);
    rcu_settle();
    cfgs_publisher_close(publisher, false);
    return 0;
}
