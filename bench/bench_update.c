/*
 * bench_update.c: one update after the other, with nobody asleep, over 350 hot keys round robin.
 *
 * Chunks of 50 updates; a chunk in which the bank was rebuilt is told by the view's route and counted apart: what it
 * took longer than others is the rebuild's time.  With more than 350 settings an arena of 350 is updated in turns with
 * the large one, and the ratio is that of the round.  The last values are read back at the end.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "report.h"
#include "rig.h"
#include <inttypes.h>
#include <stdio.h>

#define CHUNK 50
#define CHUNKS_PER_ROUND 20
#define WARM_UP 20000

struct updater {
    struct corpus corpus;
    cfgs_publisher *publisher;
    const char *name;
    cfgs_setting hot[2][BENCH_HOT_KEYS];
    size_t keys, next;
    unsigned revision; /* to be given to hot[next] */
    uint64_t route;
    struct samples calm, rebuilding; /* ns per update; ns per chunk */
};

static uint64_t route_of(cfgs_publisher *publisher)
{
    cfgs_view view;

    rig_check(cfgs_publisher_view(publisher, &view), "looking at the arena");
    return view.route;
}

static void begin(struct updater *updater, const struct bench_options *options, const char *name, size_t settings)
{
    *updater = (struct updater){.name = name,
                                .keys = settings < BENCH_HOT_KEYS ? settings : BENCH_HOT_KEYS,
                                .revision = 1};
    corpus_make(settings, &updater->corpus);
    updater->publisher = rig_publish(options, name, &updater->corpus);
    for (size_t i = 0; i < updater->keys; i++)
        for (unsigned revision = 0; revision < 2; revision++)
            updater->hot[revision][i] = corpus_setting(corpus_hot(&updater->corpus, i, updater->keys), revision);
    updater->route = route_of(updater->publisher);
}

/* Nanoseconds of one chunk. */
static double chunk(struct updater *updater, bool *rebuilt)
{
    uint64_t before = cfgs_publisher_sequence(updater->publisher), start = rig_now();

    for (size_t i = 0; i < CHUNK; i++) {
        int err = cfgs_publisher_set(updater->publisher, &updater->hot[updater->revision][updater->next],
                                     CFGS_SOURCE_NONE, NULL);
        if (err != CFGS_OK)
            rig_die("updating: %s", cfgs_publisher_error(updater->publisher)->message);
        if (++updater->next == updater->keys) {
            updater->next = 0;
            updater->revision = 1 - updater->revision;
        }
    }
    double took = (double)(rig_now() - start);
    if (cfgs_publisher_sequence(updater->publisher) != before + CHUNK)
        rig_die("wrong result: %d changes took %" PRIu64 " IDs", CHUNK,
                cfgs_publisher_sequence(updater->publisher) - before);
    uint64_t route = route_of(updater->publisher);
    *rebuilt = route != updater->route;
    updater->route = route;
    return took;
}

/* The mean of a round's calm chunks, in nanoseconds per update. */
static double round_of(struct updater *updater)
{
    double sum = 0;
    size_t calm = 0;

    for (size_t i = 0; i < CHUNKS_PER_ROUND; i++) {
        bool rebuilt;
        double took = chunk(updater, &rebuilt);
        if (rebuilt) {
            samples_add(&updater->rebuilding, took);
            continue;
        }
        samples_add(&updater->calm, took / CHUNK);
        sum += took / CHUNK;
        calm++;
    }
    return calm > 0 ? sum / (double)calm : 0;
}

static void warm_up(struct updater *updater, bool quick)
{
    bool rebuilt;

    for (size_t i = 0; i < (quick ? WARM_UP / 10 : WARM_UP) / CHUNK; i++)
        (void)chunk(updater, &rebuilt);
}

/* Every hot key must have the revision it was given last. */
static void verify(const struct updater *updater, const struct bench_options *options)
{
    cfgs_reader *reader = rig_reader(options, updater->name);
    cfgs_view view;
    cfgs_setting found;

    rig_check(cfgs_view_begin(reader, &view), "beginning a view");
    for (size_t i = 0; i < updater->keys; i++) {
        unsigned last = i < updater->next ? updater->revision : 1 - updater->revision;
        int err = cfgs_view_get(&view, updater->hot[last][i].key.data, &found);
        if (err != CFGS_OK || !cfgs_value_equal(&found.value, &updater->hot[last][i].value))
            rig_die("wrong result: '%s' does not have the value it was given last", updater->hot[last][i].key.data);
    }
    cfgs_reader_close(reader);
}

static void end(struct updater *updater)
{
    cfgs_publisher_close(updater->publisher, true);
    corpus_free(&updater->corpus);
    samples_free(&updater->calm);
    samples_free(&updater->rebuilding);
}

static void report_rebuilds(const struct updater *updater, double calm_ns)
{
    struct spread spread = samples_spread(&(struct samples){updater->rebuilding.at, updater->rebuilding.count, 0});
    double rest = calm_ns * CHUNK;

    if (spread.count == 0) {
        report_note("%-7s %-28s %9zu          none: the bank did not fill up in this time", "update", "rebuild",
                    updater->corpus.count);
        return;
    }
    struct spread own = {(spread.p10 - rest) / 1000, (spread.median - rest) / 1000, (spread.p90 - rest) / 1000,
                         spread.count};
    report_result(&(struct result){.bench = "update", .what = "rebuild", .settings = updater->corpus.count,
                                   .sleepers = -1, .unit = "us", .ours = own});
}

void bench_update(const struct bench_options *options, size_t settings)
{
    static struct updater subject, baseline;
    struct samples ratios = {0};
    bool compare = settings > BENCH_HOT_KEYS;
    size_t round = 0;

    /* Publishers first: their helper threads must not be bound to the processor of the measured one. */
    begin(&subject, options, "update", settings);
    if (compare)
        begin(&baseline, options, "update-350", BENCH_HOT_KEYS);
    rig_pin(options);
    warm_up(&subject, options->quick);
    if (compare)
        warm_up(&baseline, options->quick);
    uint64_t until = rig_now() + (uint64_t)(options->seconds * 1e9);
    for (; rig_now() < until || round < 4; round++) {
        double b = compare && round % 2 == 1 ? round_of(&baseline) : 0, a = round_of(&subject);
        if (compare && round % 2 == 0)
            b = round_of(&baseline);
        if (a > 0 && b > 0)
            samples_add(&ratios, a / b);
    }
    struct result result = {.bench = "update",
                            .what = options->no_wake_thread ? "one update, no wake thread" : "one update",
                            .settings = settings, .sleepers = 0, .unit = "ns", .ours = samples_spread(&subject.calm)};
    report_result(&result);
    report_rebuilds(&subject, result.ours.median);
    if (settings == BENCH_HOT_KEYS)
        report_target(&(struct target){"one update, 350 settings", "ns", result.ours.median, 1000, false, false});
    if (compare) {
        struct spread ratio = samples_spread(&ratios);
        static char names[BENCH_LIST_MAX][64];
        static size_t used;
        char *name = names[used++ % BENCH_LIST_MAX];
        snprintf(name, sizeof names[0], "one update, 350 of %zu settings / 350", settings);
        report_result(&(struct result){.bench = "update", .what = "as many times that of 350", .settings = settings,
                                       .sleepers = 0, .unit = "x", .ours = ratio});
        report_target(&(struct target){name, "x", ratio.median, 2, false, true});
        verify(&baseline, options);
        end(&baseline);
    }
    verify(&subject, options);
    end(&subject);
    samples_free(&ratios);
    rig_unpin();
}
