/* workload.c: the producer of the concurrent programs, and readers that check it.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include <inttypes.h>


/* ---- producer ---------------------------------------------------------------------------------------------------- */

int producer_options_open(const struct workload *workload, const char *instance, cfgs_publisher **out,
                          cfgs_error_detail *detail)
{
    cfgs_publisher_options options = {.instance = instance,
                                      .ring_slots = workload->ring_slots,
                                      .max_size = workload->max_size,
                                      .no_wake_thread = workload->no_wake_thread,
                                      .detail = detail};
    return cfgs_publisher_open(&options, out);
}

struct producer *producer_open(const struct workload *workload, const char *instance, uint64_t seed)
{
    struct producer *producer = calloc(1, sizeof *producer);
    struct reader_stats ignored = {0};
    cfgs_error_detail detail;
    cfgs_view view;

    REQUIRE(producer != NULL, "out of memory");
    producer->workload = *workload;
    producer->scratch = scratch_new();
    producer->random = seed;
    if (workload->big_bytes != 0)
        workload_set_big(workload->big_bytes);
    int err = producer_options_open(workload, instance, &producer->publisher, &detail);
    REQUIRE(err == CFGS_OK, "opening the producer: %s: %s", cfgs_strerror(err), detail.message);
    REQUIRE(cfgs_publisher_view(producer->publisher, &view) == CFGS_OK, "no view of our own");
    if (cfgs_view_sequence(&view) > 0)
        REQUIRE(state_read(&view, &producer->model, producer->scratch, &ignored, "recovered state") == CFGS_OK,
                "the recovered state cannot be read");
    return producer;
}

void producer_free(struct producer *producer, bool unlink_arena)
{
    cfgs_publisher_close(producer->publisher, unlink_arena);
    scratch_free(producer->scratch);
    free(producer);
}

static void stage(struct producer *producer, unsigned key, bool remove)
{
    if (producer->list.count == 0)
        producer->stamps++;
    if (producer->stamp[key] == producer->stamps)
        return; /* once per batch */
    producer->stamp[key] = producer->stamps;
    producer->list.item[producer->list.count].key = key;
    producer->list.item[producer->list.count++].remove = remove;
}

void stage_set(struct producer *producer, unsigned key)
{
    stage(producer, key, false);
}

void stage_remove(struct producer *producer, unsigned key)
{
    if (producer->model.sequence[key] != 0)
        stage(producer, key, true);
}

void stage_group(struct producer *producer, unsigned group, bool remove)
{
    unsigned first = GROUP_FIRST + group * GROUP_KEYS;

    if (producer->list.count > 0 && producer->stamp[first] == producer->stamps)
        return;
    for (unsigned i = 0; i < GROUP_KEYS; i++)
        (remove ? stage_remove : stage_set)(producer, first + i);
}

static void note(const struct model *model, uint64_t sequence, bool known)
{
    struct oracle_entry *entry = &control->oracle[sequence % ORACLE_ENTRIES];

    atomic_store(&entry->sequence, 0);
    atomic_store(&entry->digest, model->digest);
    atomic_store(&entry->count, known ? model->count : COUNT_UNKNOWN);
    atomic_store(&entry->sequence, sequence);
}

static void put_setting(cfgs_batch *batch, struct producer *producer, unsigned key, uint64_t sequence)
{
    cfgs_setting setting = {.key = {key_name(key), strlen(key_name(key))},
                            .value = value_of(key, sequence, producer->scratch),
                            .source = key_source(key)};
    int err = batch != NULL ? cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE)
                            : cfgs_publisher_set(producer->publisher, &setting, CFGS_SOURCE_NONE, NULL);
    REQUIRE(err == CFGS_OK, "setting %s: %s", key_name(key), cfgs_publisher_error(producer->publisher)->message);
}

static void put_removal(cfgs_batch *batch, struct producer *producer, unsigned key)
{
    const char *name = key_name(key);
    int err = batch != NULL ? cfgs_batch_remove(batch, name, strlen(name), key_source(key))
                            : cfgs_publisher_remove(producer->publisher, name, strlen(name), key_source(key), NULL);
    REQUIRE(err == CFGS_OK, "removing %s: %s", name, cfgs_publisher_error(producer->publisher)->message);
}

static void acknowledge(struct producer *producer, uint64_t expected)
{
    REQUIRE(cfgs_publisher_sequence(producer->publisher) == expected,
            "the producer stands at ID %" PRIu64 ", not at %" PRIu64, cfgs_publisher_sequence(producer->publisher),
            expected);
    atomic_store(&control->acknowledged, expected);
    control->commits++;
    producer->commits++;
    producer->list.count = 0;
}

enum style { ORDINARY, AT, REPLACE };

static void commit_as(struct producer *producer, enum style style, uint64_t last)
{
    const struct change_list *list = &producer->list;
    uint64_t sequence = cfgs_publisher_sequence(producer->publisher), changes = 0;
    cfgs_batch *batch = NULL;

    if (list->count != 1 || style != ORDINARY)
        REQUIRE(cfgs_batch_begin(producer->publisher, &batch) == CFGS_OK, "no batch");
    for (unsigned i = 0; i < list->count; i++) {
        unsigned key = list->item[i].key;
        uint64_t id = style == AT ? last : sequence + i + 1;
        /* A single set commits at once: the oracle must know first. */
        model_put(&producer->model, key, list->item[i].remove ? 0 : id);
        if (style != AT)
            note(&producer->model, id, true);
    }
    for (unsigned key = 0; style == REPLACE && key < KEYS; key++)
        if (producer->model.sequence[key] != 0 && producer->model.sequence[key] <= sequence) {
            model_put(&producer->model, key, 0);
            note(&producer->model, ++last, false);
        }
    note(&producer->model, last, true);
    atomic_store(&control->intent, last);
    for (unsigned i = 0; i < list->count; i++) {
        unsigned key = list->item[i].key;
        if (list->item[i].remove)
            put_removal(batch, producer, key);
        else
            put_setting(batch, producer, key, style == AT ? last : sequence + i + 1);
    }
    if (batch != NULL) {
        if (style == AT)
            cfgs_batch_at(batch, last);
        if (style == REPLACE)
            cfgs_batch_replace(batch);
        int err = cfgs_batch_commit(batch, &changes);
        REQUIRE(err == CFGS_OK, "commit: %s", cfgs_publisher_error(producer->publisher)->message);
        REQUIRE(changes == last - sequence, "the batch took %" PRIu64 " IDs instead of %" PRIu64, changes,
                last - sequence);
        control->batches++;
    }
    acknowledge(producer, last);
}

void produce_commit(struct producer *producer)
{
    commit_as(producer, ORDINARY, cfgs_publisher_sequence(producer->publisher) + producer->list.count);
}

void produce_at(struct producer *producer, uint64_t gap)
{
    commit_as(producer, AT, cfgs_publisher_sequence(producer->publisher) + producer->list.count + gap);
}

void produce_replace(struct producer *producer, unsigned one_in)
{
    producer->list.count = 0;
    for (unsigned g = 0; g < GROUPS; g++)
        if (random_below(&producer->random, one_in) != 0)
            stage_group(producer, g, false);
    for (unsigned key = 0; key < KEYS; key++)
        if (producer->model.sequence[key] != 0 && (key < GROUP_FIRST || key >= SCALAR_FIRST) &&
            (key < GROUP_FIRST || random_below(&producer->random, one_in) != 0))
            stage_set(producer, key);
    commit_as(producer, REPLACE, cfgs_publisher_sequence(producer->publisher) + producer->list.count);
}

void produce_first_load(struct producer *producer)
{
    for (unsigned g = 0; g < GROUPS; g++)
        stage_group(producer, g, false);
    for (unsigned key = 0; key < BULK_FIRST; key++)
        if (key < GROUP_FIRST || key >= SCALAR_FIRST)
            stage_set(producer, key);
    produce_commit(producer);
    atomic_store(&control->started, 1);
}

/* A key that stands alone; monos are never removed. */
static unsigned single_key(struct producer *producer)
{
    unsigned key = random_below(&producer->random, BIG_FIRST - (SCALAR_FIRST - GROUP_FIRST));
    return key < GROUP_FIRST ? key : key + (SCALAR_FIRST - GROUP_FIRST);
}

static void stage_single(struct producer *producer)
{
    unsigned key = single_key(producer);

    if (key >= GROUP_FIRST && producer->model.sequence[key] != 0 && random_below(&producer->random, 8) == 0)
        stage_remove(producer, key);
    else
        stage_set(producer, key);
}

static bool due(struct producer *producer, unsigned one_in)
{
    return one_in != 0 && random_below(&producer->random, one_in) == 0;
}

/* All bulk keys, or none of them. */
static void stage_bulk(struct producer *producer)
{
    bool remove = producer->model.sequence[BULK_FIRST] != 0;

    for (unsigned i = 0; i < producer->workload.bulk_keys; i++)
        (remove ? stage_remove : stage_set)(producer, BULK_FIRST + i);
}

void produce(struct producer *producer)
{
    const struct workload *workload = &producer->workload;
    unsigned pick = random_below(&producer->random, 100);

    if (due(producer, workload->one_replace_in)) {
        produce_replace(producer, 12);
        return;
    }
    if (due(producer, workload->one_load_in)) {
        stage_bulk(producer);
    } else if (due(producer, workload->one_at_in)) {
        for (int i = 0; i < 5; i++)
            stage_single(producer);
        produce_at(producer, random_below(&producer->random, 3));
        return;
    } else if (due(producer, workload->one_big_in)) {
        stage_set(producer, BIG_FIRST + random_below(&producer->random, BIGS));
    } else if (pick < 55) {
        stage_single(producer);
    } else if (pick < 70) {
        stage_set(producer, 0);
        stage_set(producer, 1);
    } else if (pick < 90) {
        unsigned group = random_below(&producer->random, GROUPS);
        bool there = producer->model.sequence[GROUP_FIRST + group * GROUP_KEYS] != 0;
        stage_group(producer, group, there && pick >= 88);
    } else {
        unsigned count = 2 + random_below(&producer->random, 4);
        for (unsigned i = 0; i < count; i++)
            stage_single(producer);
    }
    if (producer->list.count * 2 > workload->ring_slots && !producer->model.sequence[BULK_FIRST])
        control->loads++;
    produce_commit(producer);
}

/* ---- stream readers ---------------------------------------------------------------------------------------------- */

cfgs_reader *reader_open(const char *instance)
{
    cfgs_error_detail detail;
    cfgs_reader_options options = {.instance = instance, .detail = &detail};
    cfgs_reader *reader;
    int err = cfgs_reader_open(&options, &reader);

    REQUIRE(err == CFGS_OK, "opening a reader: %s", detail.message);
    return reader;
}

struct follower *follower_new(cfgs_reader *reader, struct reader_stats *stats)
{
    struct follower *follower = calloc(1, sizeof *follower);

    REQUIRE(follower != NULL, "out of memory");
    follower->model = calloc(1, sizeof *follower->model);
    REQUIRE(follower->model != NULL, "out of memory");
    follower->scratch = scratch_new();
    follower->reader = reader;
    follower->stats = stats;
    return follower;
}

void follower_free(struct follower *follower)
{
    scratch_free(follower->scratch);
    free(follower->model);
    free(follower);
}

static void take_snapshot(struct follower *follower, const cfgs_event *event)
{
    cfgs_view view;

    follower->stats->snapshots++;
    follower->stats->laps += event->reason == CFGS_SNAPSHOT_LAPPED;
    REQUIRE(event->sequence >= follower->last, "a snapshot leads back from ID %" PRIu64 " to %" PRIu64, follower->last,
            event->sequence);
    REQUIRE(event->previous == follower->last, "a snapshot's previous ID is %" PRIu64 " instead of %" PRIu64,
            event->previous, follower->last);
    follower->last = event->sequence;
    follower->have = false;
    int err = cfgs_view_at(follower->reader, event, &view);
    if (err == CFGS_OK)
        err = state_read(&view, follower->model, follower->scratch, follower->stats, "snapshot event");
    if (err == CFGS_ERR_LAPPED || err == CFGS_ERR_BUSY)
        return; /* the next event must be a snapshot */
    REQUIRE(err == CFGS_OK, "the view of a snapshot: %s", cfgs_strerror(err));
    REQUIRE(cfgs_view_sequence(&view) == event->sequence, "the view of a snapshot stands at another ID");
    follower->have = true;
}

static void take_update(struct follower *follower, const cfgs_event *event)
{
    struct model *model = follower->model;
    const char *wrong;
    int key;

    follower->stats->updates++;
    REQUIRE(follower->have, "ID %" PRIu64 ": an update without a state to build on", event->sequence);
    REQUIRE(event->sequence == follower->last + 1 && event->previous == follower->last,
            "ID %" PRIu64 " was delivered after %" PRIu64, event->sequence, follower->last);
    REQUIRE(event->setting.sequence == event->sequence, "the setting has another ID than its event");
    if (event->removed) {
        key = key_parse(event->setting.key);
        REQUIRE(key >= 0, "an unknown key was removed");
        REQUIRE(event->unset_source == key_source((unsigned)key), "a removal names another source than was cleared");
    } else {
        wrong = setting_wrong(&event->setting, follower->scratch, &key);
        REQUIRE(wrong == NULL, "ID %" PRIu64 ": %s", event->sequence, wrong);
    }
    uint64_t old = model->sequence[key];
    REQUIRE(event->has_old == (old != 0), "ID %" PRIu64 " of %s: has_old is %d, but this reader %s it",
            event->sequence, key_name((unsigned)key), event->has_old, old != 0 ? "has" : "does not have");
    if (old != 0) {
        cfgs_setting before = {.key = {key_name((unsigned)key), strlen(key_name((unsigned)key))},
                               .value = event->old,
                               .source = event->old_source,
                               .sequence = old};
        int same;
        wrong = setting_wrong(&before, follower->scratch, &same);
        REQUIRE(wrong == NULL, "ID %" PRIu64 " of %s: the old value is not this reader's: %s", event->sequence,
                key_name((unsigned)key), wrong);
    }
    model_put(model, (unsigned)key, event->removed ? 0 : event->sequence);
    follower->last = event->sequence;
    model_check(model, event->sequence, follower->stats, "update event");
}

int follow(struct follower *follower, int timeout_ms)
{
    cfgs_event event;
    int err = cfgs_reader_next(follower->reader, &event, timeout_ms);

    if (err == CFGS_ERR_TIMEOUT || err == CFGS_ERR_CLOSED || err == CFGS_ERR_INTERRUPTED)
        return err;
    if (err == CFGS_ERR_BUSY) {
        follower->stats->busy++;
        return CFGS_ERR_TIMEOUT;
    }
    REQUIRE(err == CFGS_OK, "the next event after ID %" PRIu64 ": %s", follower->last,
            cfgs_reader_error(follower->reader)->message);
    if (event.kind == CFGS_EVENT_SNAPSHOT)
        take_snapshot(follower, &event);
    else
        take_update(follower, &event);
    atomic_store(&follower->stats->cursor, follower->last);
    return CFGS_OK;
}

/* ---- views and point reads --------------------------------------------------------------------------------------- */

void mono_check(struct view_reader *reader, unsigned key, int64_t value, const char *how)
{
    REQUIRE((uint64_t)value >= reader->mono_last[key], "%s of mono.%u went back from ID %" PRIu64 " to %" PRId64, how,
            key, reader->mono_last[key], value);
    reader->mono_last[key] = (uint64_t)value;
}

/* Not an error: the producer recycled banks faster than we read. */
static bool was_busy(struct view_reader *reader, int err)
{
    if (err != CFGS_ERR_BUSY)
        return false;
    reader->stats->busy++;
    return true;
}

/* What one round of a view saw; judged once it is validated. */
struct group_seen {
    unsigned there;
    uint64_t first;
    int64_t sum;
    const char *wrong;
    int64_t mono[2];
};

static void group_read(struct view_reader *reader, cfgs_view *view, unsigned group, struct group_seen *seen)
{
    cfgs_setting setting;
    int key;

    *seen = (struct group_seen){0};
    for (unsigned i = 0; i < GROUP_KEYS; i++) {
        unsigned wanted = GROUP_FIRST + group * GROUP_KEYS + i;
        int err = cfgs_view_get(view, key_name(wanted), &setting);
        if (err == CFGS_ERR_NOT_FOUND)
            continue;
        const char *problem = err != CFGS_OK ? cfgs_strerror(err) : setting_wrong(&setting, reader->scratch, &key);
        if (problem == NULL && (unsigned)key != wanted)
            problem = "another key's setting";
        if (i == 0 && problem == NULL)
            seen->first = setting.sequence;
        if (problem == NULL && setting.sequence != seen->first + i)
            problem = "keys of one batch are of different batches";
        if (problem != NULL) {
            seen->wrong = problem;
            continue;
        }
        seen->there++;
        if (i < 2)
            seen->sum += setting.value.as.integer;
    }
    for (unsigned i = 0; i < 2; i++)
        if (cfgs_view_get_int(view, key_name(i), &seen->mono[i]) != CFGS_OK)
            seen->wrong = "a key that is never removed is missing";
}

void view_round(struct view_reader *reader)
{
    unsigned group = random_below(&reader->random, GROUPS);
    struct group_seen seen;
    cfgs_view view;
    int err = cfgs_view_begin(reader->reader, &view);

    if (was_busy(reader, err))
        return;
    REQUIRE(err == CFGS_OK, "beginning a view: %s", cfgs_strerror(err));
    do {
        group_read(reader, &view, group, &seen);
        reader->stats->retries++;
    } while (cfgs_view_retry(&view));
    reader->stats->retries--;
    err = cfgs_view_error(&view);
    if (was_busy(reader, err))
        return;
    uint64_t sequence = cfgs_view_sequence(&view);
    REQUIRE(err == CFGS_OK, "a view: %s", cfgs_strerror(err));
    REQUIRE(seen.wrong == NULL, "a view at ID %" PRIu64 ", group %u: %s", sequence, group, seen.wrong);
    REQUIRE(seen.there == 0 || seen.there == GROUP_KEYS, "a view at ID %" PRIu64 " has %u of the %d keys of a batch",
            sequence, seen.there, GROUP_KEYS);
    REQUIRE(seen.there == 0 || seen.sum == GROUP_TOTAL, "two keys of a batch do not add up");
    REQUIRE(sequence >= reader->last, "views went back from ID %" PRIu64 " to %" PRIu64, reader->last, sequence);
    reader->last = sequence;
    for (unsigned i = 0; i < 2; i++)
        mono_check(reader, i, seen.mono[i], "a view");
    reader->stats->views++;
}

void view_whole(struct view_reader *reader)
{
    cfgs_view view;
    int err = cfgs_view_begin(reader->reader, &view);

    if (err == CFGS_OK)
        err = state_read(&view, reader->model, reader->scratch, reader->stats, "whole view");
    if (was_busy(reader, err))
        return;
    REQUIRE(err == CFGS_OK, "a whole view: %s", cfgs_strerror(err));
    REQUIRE(cfgs_view_sequence(&view) >= reader->last, "views went back");
    reader->last = cfgs_view_sequence(&view);
    reader->stats->views++;
}

void point_round(struct view_reader *reader)
{
    unsigned key = random_below(&reader->random, MONOS);
    uint64_t sequence;
    int64_t value;
    int err = cfgs_get_int(reader->reader, key_name(key), &value);

    if (was_busy(reader, err))
        return;
    REQUIRE(err == CFGS_OK, "reading mono.%u: %s", key, cfgs_strerror(err));
    mono_check(reader, key, value, "a point read");
    err = cfgs_get_sequence(reader->reader, key_name(key), &sequence);
    if (!was_busy(reader, err)) {
        REQUIRE(err == CFGS_OK, "the ID of mono.%u: %s", key, cfgs_strerror(err));
        mono_check(reader, key, (int64_t)sequence, "the ID");
    }
    reader->stats->reads++;
}

static void text_round(struct view_reader *reader)
{
    unsigned key = TEXT_FIRST + random_below(&reader->random, TEXTS);
    char text[512];
    size_t length;
    int err = cfgs_get_string(reader->reader, key_name(key), text, sizeof text, &length);

    if (was_busy(reader, err) || err == CFGS_ERR_NOT_FOUND)
        return;
    REQUIRE(err == CFGS_OK, "reading %s: %s", key_name(key), cfgs_strerror(err));
    REQUIRE(text_sequence(key, text, length, reader->scratch) != 0, "%s is torn: %.40s...", key_name(key), text);
    reader->stats->reads++;
}

static void value_round(struct view_reader *reader, unsigned key)
{
    cfgs_copy *copy;
    int err = cfgs_get_value(reader->reader, key_name(key), &copy);

    if (was_busy(reader, err) || err == CFGS_ERR_NOT_FOUND)
        return;
    REQUIRE(err == CFGS_OK, "reading %s: %s", key_name(key), cfgs_strerror(err));
    const cfgs_value *value = cfgs_copy_value(copy);
    if (key >= BIG_FIRST) {
        REQUIRE(text_sequence(key, value->as.bytes.data, value->as.bytes.length, reader->scratch) != 0, "%s is torn",
                key_name(key));
    } else {
        cfgs_cursor cursor;
        cfgs_value item;
        REQUIRE(cfgs_cursor_init(&cursor, value) == CFGS_OK && cfgs_cursor_next(&cursor, NULL, &item) == 1,
                "%s is no list", key_name(key));
        char head[17] = {0};
        memcpy(head, item.as.bytes.data, 16);
        cfgs_value wanted = value_of(key, strtoull(head, NULL, 16), reader->scratch);
        REQUIRE(cfgs_value_equal(&wanted, value), "%s is torn", key_name(key));
    }
    cfgs_copy_free(copy);
    reader->stats->reads++;
}

void copy_round(struct view_reader *reader)
{
    text_round(reader);
    value_round(reader, LIST_FIRST + random_below(&reader->random, LISTS));
    if (random_below(&reader->random, 50) == 0)
        value_round(reader, BIG_FIRST + random_below(&reader->random, BIGS));
}

void map_round(struct view_reader *reader)
{
    cfgs_copy *copy;
    int err = cfgs_get_section(reader->reader, "mono", &copy);

    if (was_busy(reader, err))
        return;
    REQUIRE(err == CFGS_OK, "reading a section: %s", cfgs_strerror(err));
    REQUIRE(cfgs_value_count(cfgs_copy_value(copy)) == MONOS, "a section is not complete");
    cfgs_copy_free(copy);
}
