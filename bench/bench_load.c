/*
 * bench_load.c: the first load of a new arena, and loads that replace every value of a full one: staging and commit
 * together, and the commit alone.  Every load is read back.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "report.h"
#include "rig.h"
#include <inttypes.h>

struct load {
    struct samples all, commit; /* us */
};

static void one_load(struct load *load, cfgs_publisher *publisher, const struct corpus *corpus, unsigned revision)
{
    uint64_t changes = 0, start = rig_now();
    cfgs_batch *batch = rig_stage(publisher, corpus, revision);
    uint64_t staged = rig_now();

    if (cfgs_batch_commit(batch, &changes) != CFGS_OK)
        rig_die("loading: %s", cfgs_publisher_error(publisher)->message);
    uint64_t done = rig_now();
    if (changes != corpus->count)
        rig_die("wrong result: a load of %zu changes took %" PRIu64 " IDs", corpus->count, changes);
    samples_add(&load->all, (double)(done - start) / 1e3);
    samples_add(&load->commit, (double)(done - staged) / 1e3);
}

static void report_load(struct load *load, const char *all, const char *commit, size_t settings)
{
    report_result(&(struct result){.bench = "load", .what = all, .settings = settings, .sleepers = -1, .unit = "us",
                                   .ours = samples_spread(&load->all)});
    report_result(&(struct result){.bench = "load", .what = commit, .settings = settings, .sleepers = -1, .unit = "us",
                                   .ours = samples_spread(&load->commit)});
    samples_free(&load->all);
    samples_free(&load->commit);
}

static bool goes_on(const struct load *load, uint64_t until)
{
    return load->all.count < 3 || (rig_now() < until && load->all.count < 1000);
}

static void first_loads(const struct bench_options *options, const struct corpus *corpus)
{
    uint64_t until = rig_now() + (uint64_t)(options->seconds * 1e9);
    struct load load = {0};

    while (goes_on(&load, until)) {
        cfgs_publisher *publisher = rig_open(options, "load", corpus->count);
        one_load(&load, publisher, corpus, 0);
        cfgs_publisher_close(publisher, true);
    }
    report_load(&load, "first load", "first load, commit alone", corpus->count);
}

static void replacing_loads(const struct bench_options *options, const struct corpus *corpus)
{
    uint64_t until = rig_now() + (uint64_t)(options->seconds * 1e9);
    cfgs_publisher *publisher = rig_publish(options, "load", corpus);
    cfgs_reader *reader = rig_reader(options, "load");
    struct load load = {0};

    for (unsigned revision = 1; goes_on(&load, until); revision = 1 - revision) {
        one_load(&load, publisher, corpus, revision);
        rig_verify(reader, corpus, revision);
    }
    report_load(&load, "replacing load", "replacing load, commit alone", corpus->count);
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, true);
}

void bench_load(const struct bench_options *options, size_t settings)
{
    struct corpus corpus;

    corpus_make(settings, &corpus);
    rig_pin(options);
    first_loads(options, &corpus);
    replacing_loads(options, &corpus);
    rig_unpin();
    corpus_free(&corpus);
}
