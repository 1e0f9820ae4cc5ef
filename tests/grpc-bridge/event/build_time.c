/*
 * build_time.c: the snapshot message of 350 settings takes at most 50 us to build.
 *
 * The shortest of many builds counts: what else the machine does only adds.  All of them together take a tenth of a second,
 * in which it may do something else all the time: then they are made again.  The median is printed beside it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bridge/rcu.h"
#include "event/snapshots.h"

#include <configstream/publisher.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SETTINGS = 350, BUILDS = 2000, TRIES = 50, TARGET_NS = 50000 };

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void set(cfgs_publisher *publisher, unsigned number, unsigned value)
{
    char key[64], text[96];
    int key_length = snprintf(key, sizeof key, "section_%u.subsection.setting_number_%u", number % 20, number);
    int length = snprintf(text, sizeof text, "/opt/agent/some/path/or/list/element-%u-%u", number, value);
    cfgs_setting setting = {.key = {key, (size_t)key_length},
                            .value = number % 2 ? cfgs_value_string(text, (size_t)length) : cfgs_value_int(value),
                            .source = CFGS_SOURCE_DEFAULT};
    REQUIRE(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL) == CFGS_OK);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The shortest, in nanoseconds. */
static uint64_t measure(struct snapshots *snapshots, cfgs_publisher *publisher, cfgs_reader *reader)
{
    static uint64_t took[BUILDS];
    struct snapshots_info before, info;
    snapshots_info(snapshots, &before);
    for (unsigned i = 0; i < BUILDS; i++) {
        const struct snapshot *snapshot;
        set(publisher, i % SETTINGS, (unsigned)(2 + before.built + i));
        /* From the last ID on: so that it cannot be the one built before. */
        REQUIRE(snapshots_get(snapshots, reader, 1, cfgs_publisher_sequence(publisher), &snapshot) == SNAPSHOT_OK);
        REQUIRE(snapshot->settings == SETTINGS);
        snapshots_release(snapshots, snapshot);
        snapshots_info(snapshots, &info);
        took[i] = info.last_build_ns;
    }
    REQUIRE(info.built == before.built + BUILDS);
    qsort(took, BUILDS, sizeof took[0], compare);
    printf("%d settings, %" PRIu64 " bytes: shortest %.1f us, median %.1f us, 99th of 100 %.1f us; the target is %.0f us\n",
           SETTINGS, info.last_bytes, (double)took[0] / 1e3, (double)took[BUILDS / 2] / 1e3,
           (double)took[BUILDS * 99 / 100] / 1e3, TARGET_NS / 1e3);
    return took[0];
}

int main(void)
{
    static struct limits limits;
    static struct log quiet = {.level = LOG_OFF};
    cfgs_publisher *publisher;
    cfgs_reader *reader;
    limits_init(&limits);
    struct snapshots *snapshots = snapshots_new(&limits, &quiet);
    cfgs_publisher_options options = {.in_memory = true, .max_size = 64u << 20};
    REQUIRE(snapshots != NULL);
    REQUIRE(cfgs_publisher_open(&options, &publisher) == CFGS_OK);
    REQUIRE(cfgs_publisher_reader(publisher, &reader) == CFGS_OK);
    for (unsigned i = 0; i < SETTINGS; i++)
        set(publisher, i, 1);
    unsigned tries = 0;
    while (measure(snapshots, publisher, reader) > TARGET_NS)
        REQUIRE(++tries < TRIES);
    snapshots_free(snapshots);
    rcu_settle();
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, false);
    return 0;
}
