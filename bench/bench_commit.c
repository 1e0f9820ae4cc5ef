/*
 * bench_commit.c: what one update costs its publisher while others sleep: only the publishing call is timed, and before
 * each every sleeper has taken the update before and sleeps again.
 *
 * The publisher's thread is pinned; its helper threads and the sleepers are not.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "report.h"
#include "rig.h"
#include "sleepers.h"
#include <stdio.h>

#define MANY_SLEEPERS 200

struct committing {
    struct corpus corpus;
    cfgs_publisher *publisher;
    struct sleepers *sleepers;
    uint64_t updates;
};

/* Microseconds of one commit. */
static double commit(struct committing *committing)
{
    size_t key = committing->updates % committing->corpus.count;
    unsigned revision = 1 - (unsigned)(committing->updates / committing->corpus.count % 2);
    cfgs_setting setting = corpus_setting(&committing->corpus.entries[key], revision);
    bool changed = false;

    uint64_t start = rig_now();
    int err = cfgs_publisher_set(committing->publisher, &setting, CFGS_SOURCE_NONE, &changed);
    double took = (double)(rig_now() - start) / 1000;
    if (err != CFGS_OK || !changed)
        rig_die("wrong result: an update was not published: %s", cfgs_strerror(err));
    committing->updates++;
    return took;
}

static struct spread commits(struct committing *committing, const struct bench_options *options, size_t sleepers)
{
    size_t count = options->commits != 0 ? options->commits : sleepers >= MANY_SLEEPERS ? 100 : 200;
    size_t warm_up = options->quick ? 2 : 10;
    struct samples all = {0}, settled = {0};

    sleepers_grow(committing->sleepers, sleepers, cfgs_publisher_sequence(committing->publisher));
    for (size_t i = 0; i < count + warm_up; i++) {
        double took = commit(committing);
        uint64_t start = rig_now();
        sleepers_settle(committing->sleepers, cfgs_publisher_sequence(committing->publisher));
        if (i >= warm_up) {
            samples_add(&all, took);
            samples_add(&settled, (double)(rig_now() - start) / 1000);
        }
    }
    struct spread spread = samples_spread(&all);
    report_result(&(struct result){.bench = "commit",
                                   .what = options->no_wake_thread ? "one commit, no wake thread" : "one commit",
                                   .settings = committing->corpus.count, .sleepers = (long)sleepers, .unit = "us",
                                   .ours = spread});
    report_result(&(struct result){.bench = "commit", .what = "until all sleep again",
                                   .settings = committing->corpus.count, .sleepers = (long)sleepers, .unit = "us",
                                   .ours = samples_spread(&settled)});
    samples_free(&all);
    samples_free(&settled);
    return spread;
}

void bench_commit(const struct bench_options *options, size_t settings)
{
    const struct bench_list *sleepers = &options->sleepers;
    struct committing committing = {0};
    double one = 0, many = 0;

    corpus_make(settings, &committing.corpus);
    committing.publisher = rig_publish(options, "commit", &committing.corpus);
    committing.sleepers = sleepers_new(options, "commit", sleepers->at[sleepers->count - 1]);
    rig_pin(options);
    for (size_t i = 0; i < sleepers->count; i++) {
        static char names[BENCH_LIST_MAX][64];
        struct spread spread = commits(&committing, options, sleepers->at[i]);
        snprintf(names[i], sizeof names[i], "median commit, %zu asleep", sleepers->at[i]);
        report_target(&(struct target){names[i], "us", spread.median, 20, false, false});
        if (sleepers->at[i] == 1)
            one = spread.median;
        many = spread.median;
    }
    if (one > 0 && sleepers->at[sleepers->count - 1] >= BENCH_HOT_KEYS)
        report_target(&(struct target){"median commit, 350 asleep / 1 asleep", "x", many / one, 3, false, true});
    sleepers_free(committing.sleepers);
    cfgs_publisher_close(committing.publisher, true);
    corpus_free(&committing.corpus);
    rig_unpin();
}
