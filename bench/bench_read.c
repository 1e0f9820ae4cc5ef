/*
 * bench_read.c: point reads by key and by handle, and views of ten keys; the peer in turns (A B, B A, ...).
 *
 * Keys come in random order, drawn anew so often that no branch predictor learns it by heart: 350 keys in a fixed order
 * it does learn, which no program's reads are like, and which flatters a binary search (LMDB's) the most.
 *
 * A slice is some 300 us of one side; both sides of a round read the same keys.  The result is the median slice, the
 * ratio that of the round, so whatever disturbs the machine for longer than a round hits both sides, or is an outlier.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "peer.h"
#include "reads.h"
#include "report.h"
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>

#define SLICE_NS 300000.0
#define DRAWS 100000 /* a list of fewer keys is drawn from until it has so many */

struct reading {
    const struct bench_options *options;
    struct corpus corpus;
    cfgs_publisher *publisher;
    cfgs_reader *reader;
    struct peer *peer;
    struct entry_list lists[READ_KINDS];
    size_t position[READ_KINDS];
    size_t share[READ_KINDS]; /* reads of each kind in a slice */
    struct handle_list handles[READ_KINDS];
    struct view_keys *views;
    size_t view_count, view_position;
    uint64_t expected; /* of the slice in hand */
};

/* A side of a contest: does one slice of n operations and gives its nanoseconds; checks what it read. */
typedef double slice_fn(struct reading *reading, size_t n);

struct contest {
    const char *what;
    slice_fn *ours, *theirs; /* theirs may be NULL */
    void (*next)(struct reading *reading, size_t n); /* on to the keys of the next round; may be NULL */
    size_t step;                                     /* n is a multiple */
};

static void check_sum(const struct reading *reading, uint64_t sum, const char *side)
{
    if (sum != reading->expected)
        rig_die("wrong result: %s read other values than were published", side);
}

/* ---- by key ------------------------------------------------------------------------------------------------------ */

static uint64_t run_ours(struct reading *reading, size_t kind, size_t from, size_t count)
{
    return read_by_key(reading->reader, read_kinds[kind], reading->lists[kind].at + from, count);
}

static uint64_t run_theirs(struct reading *reading, size_t kind, size_t from, size_t count)
{
    return peer_read(reading->peer, read_kinds[kind], reading->lists[kind].at + from, count);
}

static uint64_t run_expected(struct reading *reading, size_t kind, size_t from, size_t count)
{
    return read_expected(reading->lists[kind].at + from, count);
}

/* Each kind's share, from its position on, around the end of the list as often as it takes. */
static inline uint64_t all_runs(struct reading *reading, size_t n,
                                uint64_t (*run)(struct reading *, size_t, size_t, size_t))
{
    uint64_t sum = 0;
    size_t total = 0;

    for (size_t kind = 0; kind < READ_KINDS; kind++)
        total += reading->lists[kind].count;
    for (size_t kind = 0; kind < READ_KINDS; kind++) {
        size_t count = reading->lists[kind].count, left = n * count / total, from = reading->position[kind];
        reading->share[kind] = left;
        while (left > 0) {
            size_t now = left < count - from ? left : count - from;
            sum += run(reading, kind, from, now);
            left -= now;
            from = 0;
        }
    }
    return sum;
}

static size_t reads_of(const struct reading *reading)
{
    size_t reads = 0;
    for (size_t kind = 0; kind < READ_KINDS; kind++)
        reads += reading->share[kind];
    return reads;
}

static double key_slice_ours(struct reading *reading, size_t n)
{
    uint64_t start = rig_now(), sum = all_runs(reading, n, run_ours);
    double took = (double)(rig_now() - start);

    check_sum(reading, sum, "a point read");
    return took / (double)reads_of(reading);
}

static double key_slice_theirs(struct reading *reading, size_t n)
{
    uint64_t start = rig_now(), sum = all_runs(reading, n, run_theirs);
    double took = (double)(rig_now() - start);

    check_sum(reading, sum, peer_name());
    return took / (double)reads_of(reading);
}

static void key_next(struct reading *reading, size_t n)
{
    for (size_t kind = 0; kind < READ_KINDS; kind++)
        if (reading->lists[kind].count > 0)
            reading->position[kind] = (reading->position[kind] + reading->share[kind]) % reading->lists[kind].count;
    reading->expected = all_runs(reading, n, run_expected);
}

/* ---- by handle --------------------------------------------------------------------------------------------------- */

static size_t scalar_handles(const struct reading *reading)
{
    return reading->handles[0].count + reading->handles[1].count + reading->handles[2].count;
}

static double handle_slice(struct reading *reading, size_t n)
{
    size_t passes = n / scalar_handles(reading);
    uint64_t sum = 0, start = rig_now();

    for (size_t pass = 0; pass < passes; pass++)
        for (size_t kind = 0; kind < READ_KINDS - 1; kind++)
            sum += read_by_handle(read_kinds[kind], &reading->handles[kind]);
    double took = (double)(rig_now() - start);
    check_sum(reading, sum, "a handle");
    return took / (double)(passes * scalar_handles(reading));
}

static void handle_expect(struct reading *reading, size_t n)
{
    reading->expected = 0;
    for (size_t kind = 0; kind < READ_KINDS - 1; kind++)
        reading->expected += read_expected(reading->lists[kind].at, reading->lists[kind].count);
    reading->expected *= n / scalar_handles(reading);
}

static double text_slice(struct reading *reading, size_t n)
{
    size_t passes = n / reading->handles[READ_KINDS - 1].count;
    uint64_t sum = 0, start = rig_now();

    for (size_t pass = 0; pass < passes; pass++)
        sum += read_by_handle(CFGS_KIND_STRING, &reading->handles[READ_KINDS - 1]);
    double took = (double)(rig_now() - start);
    check_sum(reading, sum, "a handle of a text");
    return took / (double)(passes * reading->handles[READ_KINDS - 1].count);
}

static void text_expect(struct reading *reading, size_t n)
{
    const struct entry_list *list = &reading->lists[READ_KINDS - 1];
    reading->expected = read_expected(list->at, list->count) * (n / list->count);
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

static double view_slice_ours(struct reading *reading, size_t n)
{
    size_t at = reading->view_position;
    uint64_t sum = 0, start = rig_now();

    for (size_t i = 0; i < n; i++, at = at + 1 < reading->view_count ? at + 1 : 0)
        sum += read_view(reading->reader, &reading->views[at]);
    double took = (double)(rig_now() - start);
    check_sum(reading, sum, "a view");
    return took / (double)n;
}

static double view_slice_theirs(struct reading *reading, size_t n)
{
    size_t at = reading->view_position;
    uint64_t sum = 0, start = rig_now();

    for (size_t i = 0; i < n; i++, at = at + 1 < reading->view_count ? at + 1 : 0) {
        peer_renew(reading->peer);
        for (size_t key = 0; key < VIEW_KEYS; key++)
            sum += peer_read(reading->peer, reading->views[at].at[key]->value[0].kind, &reading->views[at].at[key], 1);
    }
    double took = (double)(rig_now() - start);
    check_sum(reading, sum, peer_name());
    return took / (double)n;
}

static void view_next(struct reading *reading, size_t n)
{
    size_t at = reading->view_position = (reading->view_position + n) % reading->view_count;

    reading->expected = 0;
    for (size_t i = 0; i < n; i++, at = (at + 1) % reading->view_count)
        reading->expected += read_expected(reading->views[at].at, VIEW_KEYS);
}

static void make_views(struct reading *reading)
{
    static const size_t of_kind[READ_KINDS] = {3, 3, 1, 3};
    size_t next[READ_KINDS] = {0};

    reading->view_count = 5000;
    reading->views = calloc(reading->view_count, sizeof *reading->views);
    if (reading->views == NULL)
        rig_die("out of memory");
    for (size_t i = 0; i < reading->view_count; i++) {
        size_t key = 0;
        for (size_t kind = 0; kind < READ_KINDS; kind++)
            for (size_t j = 0; j < of_kind[kind]; j++)
                reading->views[i].at[key++] = reading->lists[kind].at[next[kind]++ % reading->lists[kind].count];
    }
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

/* How many operations make a slice; warms up as well. */
static size_t calibrate(struct reading *reading, const struct contest *contest)
{
    for (size_t n = contest->step;; n *= 2) {
        if (contest->next != NULL)
            contest->next(reading, n);
        (void)contest->ours(reading, n); /* cold: a handle looks its key up, pages are mapped */
        double each = contest->ours(reading, n);
        if (each * (double)n >= SLICE_NS / 2)
            return n;
    }
}

static void hold(struct reading *reading, const struct contest *contest, double *median, double *ratio)
{
    struct samples ours = {0}, theirs = {0}, ratios = {0};
    size_t n = calibrate(reading, contest), round = 0;
    bool duel = contest->theirs != NULL && reading->peer != NULL;

    uint64_t until = rig_now() + (uint64_t)(reading->options->seconds * 1e9);
    for (; rig_now() < until || round < 6; round++) {
        double a, b = 0;
        if (contest->next != NULL)
            contest->next(reading, n);
        if (duel && round % 2 == 1)
            b = contest->theirs(reading, n);
        a = contest->ours(reading, n);
        if (duel && round % 2 == 0)
            b = contest->theirs(reading, n);
        if (round < 2)
            continue; /* the peer's warm-up */
        samples_add(&ours, a);
        samples_add(&theirs, b);
        samples_add(&ratios, b / a);
    }
    struct result result = {.bench = "read", .what = contest->what, .settings = reading->corpus.count, .sleepers = -1,
                            .unit = "ns", .ours = samples_spread(&ours), .peer = duel ? peer_name() : NULL,
                            .theirs = samples_spread(&theirs), .ratio = samples_spread(&ratios)};
    report_result(&result);
    *median = result.ours.median;
    *ratio = duel ? result.ratio.median : 0;
    samples_free(&ours);
    samples_free(&theirs);
    samples_free(&ratios);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static void set_lists(struct reading *reading, size_t hot)
{
    for (size_t kind = 0; kind < READ_KINDS; kind++) {
        entry_list_free(&reading->lists[kind]);
        reading->lists[kind] = corpus_of_kind(&reading->corpus, read_kinds[kind], hot);
        reading->position[kind] = reading->share[kind] = 0;
        if (reading->lists[kind].count == 0)
            rig_die("%zu settings are too few to have one of each kind", reading->corpus.count);
    }
}

static void draw_lists(struct reading *reading)
{
    if (reading->corpus.count < DRAWS)
        for (size_t kind = 0; kind < READ_KINDS; kind++)
            entry_list_draw(&reading->lists[kind], DRAWS / reading->corpus.count);
}

static void begin(struct reading *reading, size_t settings)
{
    char path[PATH_MAX];

    corpus_make(settings, &reading->corpus);
    rig_pin(reading->options);
    reading->publisher = rig_publish(reading->options, "read", &reading->corpus);
    reading->reader = rig_reader(reading->options, "read");
    rig_verify(reading->reader, &reading->corpus, 0);
    rig_path(reading->options, "read.lmdb", path);
    reading->peer = peer_open(path, &reading->corpus);
}

static void end(struct reading *reading)
{
    char path[PATH_MAX];

    for (size_t kind = 0; kind < READ_KINDS; kind++) {
        handles_free(&reading->handles[kind]);
        entry_list_free(&reading->lists[kind]);
    }
    free(reading->views);
    peer_close(reading->peer);
    rig_path(reading->options, "read.lmdb", path);
    (void)remove(path);
    cfgs_reader_close(reading->reader);
    cfgs_publisher_close(reading->publisher, true);
    corpus_free(&reading->corpus);
    rig_unpin();
}

void bench_read(const struct bench_options *options, size_t settings)
{
    struct reading reading = {.options = options};
    double key, ratio, handle, other;

    begin(&reading, settings);
    set_lists(&reading, settings);
    draw_lists(&reading);
    make_views(&reading);
    hold(&reading, &(struct contest){"by key", key_slice_ours, key_slice_theirs, key_next, 64}, &key, &ratio);
    hold(&reading, &(struct contest){"view of 10 keys", view_slice_ours, view_slice_theirs, view_next, 8}, &other,
         &other);
    set_lists(&reading, settings < BENCH_HOT_KEYS ? settings : BENCH_HOT_KEYS);
    for (size_t kind = 0; kind < READ_KINDS; kind++)
        reading.handles[kind] = handles_new(reading.reader, &reading.lists[kind]);
    hold(&reading, &(struct contest){"by handle", handle_slice, NULL, handle_expect, scalar_handles(&reading)}, &handle,
         &other);
    hold(&reading,
         &(struct contest){"by handle, text", text_slice, NULL, text_expect, reading.handles[READ_KINDS - 1].count},
         &other, &other);
    if (settings == BENCH_HOT_KEYS) {
        report_target(&(struct target){"read by key, 350 settings", "ns", key, 30, false, false});
        report_target(&(struct target){"read by handle, 350 settings", "ns", handle, 5, false, false});
        if (ratio > 0)
            report_target(&(struct target){"lmdb read / read by key, 350 settings", "x", ratio, 3, true, true});
    }
    end(&reading);
}
