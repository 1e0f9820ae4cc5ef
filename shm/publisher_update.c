/*
 * publisher_update.c: committing a batch: rows U0 to U5 of the protocol.
 *
 * Everything that can fail happens before the first shared store: changes that change nothing are dropped, and heap and
 * index room for the whole batch is there (by a rebuild, if need be).  Then records, ring slots, cells, and the commit: one
 * store of bank.sequence, which makes state and events visible together.  From the first cell on there is no way back,
 * and nothing left that could fail.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "detail.h"
#include "publisher_private.h"
#include <configstream/error.h>

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static struct lookup image_lookup(const char *image, uint64_t hash)
{
    struct record_head head;
    memcpy(&head, image, sizeof head);
    return (struct lookup){image + sizeof head, head.key_length, hash};
}

int change_locate(cfgs_publisher *publisher, const cfgs_batch *batch, struct change *change, struct record *found)
{
    struct lookup lookup = image_lookup(change_image(batch, change), change->hash);

    change->cell = change->hash & (publisher->index.capacity - 1);
    int result = index_find(&publisher->index, &lookup, &change->cell, found);
    change->prev = result == 1 ? found->offset : 0;
    change->old_bytes = result == 1 && !(found->head.flags & RECORD_TOMBSTONE) ? found->bytes : 0;
    return result;
}

/* Where it belongs, and whether it would change the merged view. */
static int place_change(cfgs_publisher *publisher, const cfgs_batch *batch, struct change *change)
{
    struct record found;
    int result = change_locate(publisher, batch, change, &found);

    if (result < 0)
        return result;
    if (batch->always)
        change->dropped = false;
    else if (change->removes)
        change->dropped = change->old_bytes == 0;
    else
        change->dropped = change->old_bytes != 0 && record_same_setting(&found, change_image(batch, change));
    return CFGS_OK;
}

/* ---- one change per key ------------------------------------------------------------------------------------------ */

static bool same_key(const cfgs_batch *batch, const struct change *a, const struct change *b)
{
    struct lookup ka = image_lookup(change_image(batch, a), a->hash), kb = image_lookup(change_image(batch, b), b->hash);
    return a->hash == b->hash && ka.length == kb.length && memcmp(ka.key, kb.key, ka.length) == 0;
}

/* A table of the batch's keys: slot = number of the change + 1, open addressing. */
struct key_table {
    uint32_t *slots;
    uint64_t mask;
};

static int key_table_make(cfgs_publisher *publisher, size_t count, struct key_table *table)
{
    uint64_t capacity = 16;

    if (count >= UINT32_MAX / 2)
        return detail_set(&publisher->detail, CFGS_ERR_TOO_LARGE, 0, "a batch of %zu changes is too large", count);
    while (capacity < 2 * count)
        capacity *= 2;
    table->slots = calloc(capacity, sizeof *table->slots);
    table->mask = capacity - 1;
    if (table->slots == NULL)
        return detail_set(&publisher->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    return CFGS_OK;
}

/* Priority of a change in a snapshot: sources we cannot rank are below those we can, and above none. */
static unsigned rank(const cfgs_batch *batch, const struct change *change)
{
    struct record_head head;

    memcpy(&head, change_image(batch, change), sizeof head);
    return head.source == CFGS_SOURCE_NONE ? 0 : head.source == CFGS_SOURCE_VERBATIM ? 1 : head.source + 1u;
}

/* Which of two changes to one key counts: the later; of settings in a snapshot the one of the higher source. */
static bool counts_before(const cfgs_batch *batch, const struct change *earlier, const struct change *later)
{
    return batch->snapshot && rank(batch, earlier) > rank(batch, later);
}

static void drop_outdone(cfgs_batch *batch, struct key_table *table)
{
    struct change *changes = batch_changes(batch);

    for (size_t i = 0; i < batch_count(batch); i++) {
        uint64_t at = changes[i].hash & table->mask;
        while (table->slots[at] != 0 && !same_key(batch, &changes[table->slots[at] - 1], &changes[i]))
            at = (at + 1) & table->mask;
        struct change *earlier = table->slots[at] != 0 ? &changes[table->slots[at] - 1] : NULL;
        if (earlier != NULL && counts_before(batch, earlier, &changes[i])) {
            changes[i].outdone = true;
            continue;
        }
        if (earlier != NULL)
            earlier->outdone = true;
        table->slots[at] = (uint32_t)(i + 1);
    }
}

static bool table_has(const struct key_table *table, const cfgs_batch *batch, const struct record *record)
{
    for (uint64_t at = record->head.hash & table->mask; table->slots[at] != 0; at = (at + 1) & table->mask) {
        const struct change *change = &batch_changes(batch)[table->slots[at] - 1];
        struct lookup key = image_lookup(change_image(batch, change), change->hash);
        if (change->hash == record->head.hash && record_key_is(record, key.key, key.length))
            return true;
    }
    return false;
}

/* A batch that is the whole state removes every key it does not name. */
static int stage_removals(cfgs_publisher *publisher, cfgs_batch *batch, const struct key_table *table)
{
    struct record record;
    uint64_t number = 0;
    cfgs_view view;
    int more;

    publisher_own_view(publisher, &view);
    while ((more = bank_view_next(&view, &number, &record)) == 1) {
        struct record_input removal = {.key = {record_key_text(&record), record.head.key_length},
                                       .unset_source = record.head.source <= CFGS_SOURCE_COUNT ? record.head.source
                                                                                              : CFGS_SOURCE_UNKNOWN,
                                       .hash = record.head.hash};
        int err = table_has(table, batch, &record) ? CFGS_OK : batch_stage(batch, &removal);
        if (err != CFGS_OK)
            return err;
    }
    return more;
}

static int settle_keys(cfgs_publisher *publisher, cfgs_batch *batch)
{
    struct key_table table = {NULL, 0};

    if (batch_count(batch) < 2 && !batch->replace)
        return CFGS_OK;
    int err = key_table_make(publisher, batch_count(batch), &table);
    if (err != CFGS_OK)
        return err;
    drop_outdone(batch, &table);
    if (batch->replace)
        err = stage_removals(publisher, batch, &table);
    free(table.slots);
    return err;
}

/* ---- the sum of a batch ------------------------------------------------------------------------------------------ */

static int damaged(cfgs_publisher *publisher)
{
    return detail_set(&publisher->detail, CFGS_ERR_CORRUPT, 0, "the arena %s is damaged", publisher->name.path);
}

struct sum {
    uint64_t changes, new_keys, bytes; /* IDs, cells and heap bytes the batch needs */
    uint64_t new_settings;             /* records of keys that are not live before it */
    uint64_t settings, live_bytes;     /* of the state after it */
};

static int sum_up(cfgs_publisher *publisher, cfgs_batch *batch, struct sum *sum)
{
    *sum = (struct sum){.settings = publisher->settings, .live_bytes = publisher->live_bytes};
    for (size_t i = 0; i < batch_count(batch); i++) {
        struct change *change = &batch_changes(batch)[i];
        change->dropped = change->outdone;
        int err = change->outdone ? CFGS_OK : place_change(publisher, batch, change);
        if (err != CFGS_OK)
            return damaged(publisher);
        if (change->dropped)
            continue;
        sum->changes++;
        sum->bytes += change->bytes;
        sum->new_keys += change->prev == 0;
        sum->new_settings += change->old_bytes == 0;
        sum->settings += !change->removes;
        sum->settings -= change->old_bytes != 0;
        sum->live_bytes += change->removes ? 0 : change->bytes;
        sum->live_bytes -= change->old_bytes;
    }
    return CFGS_OK;
}

/* ---- bulk -------------------------------------------------------------------------------------------------------- */

static int bulk_load(cfgs_publisher *publisher, cfgs_batch *batch, const struct sum *sum)
{
    struct arena_counters *counters = &publisher->file.header->counters;
    cfgs_view view;

    publisher_own_view(publisher, &view);
    struct rebuild rebuild = {.source = &view,
                              .load = batch,
                              .sequence = batch->has_at ? batch->at : publisher->sequence + sum->changes,
                              .settings = sum->settings,
                              .live_bytes = sum->live_bytes,
                              .loaded = true};
    int err = publisher_rebuild(publisher, &rebuild);
    if (err != CFGS_OK)
        return err;
    count(&counters->loads, 1);
    count(&counters->lapped_hints, 1);
    return CFGS_OK;
}

/* ---- updates ----------------------------------------------------------------------------------------------------- */

/* Row U0: room for the whole batch. */
static int make_room(cfgs_publisher *publisher, cfgs_batch *batch, struct sum *sum)
{
    struct record found;
    cfgs_view view;

    if (sum->bytes <= publisher->heap_end - publisher->bump &&
        publisher->cells_used + sum->new_keys <= publisher->index.capacity / 10 * 7)
        return CFGS_OK;
    publisher_own_view(publisher, &view);
    struct rebuild rebuild = {.source = &view,
                              .sequence = publisher->sequence,
                              .settings = publisher->settings,
                              .live_bytes = publisher->live_bytes,
                              .extra_settings = sum->new_settings,
                              .extra_bytes = sum->bytes,
                              .loaded = publisher->loaded};
    int err = publisher_rebuild(publisher, &rebuild);
    sum->new_keys = 0; /* a removed key that comes back needs a new cell: the rebuild forgot its tombstone */
    for (size_t i = 0; err == CFGS_OK && i < batch_count(batch); i++) {
        struct change *change = &batch_changes(batch)[i];
        if (!change->dropped && change_locate(publisher, batch, change, &found) < 0)
            err = damaged(publisher);
        sum->new_keys += !change->dropped && change->prev == 0;
    }
    return err;
}

/* Row U1. */
static void write_records(cfgs_publisher *publisher, cfgs_batch *batch)
{
    uint64_t sequence = publisher->sequence;

    for (size_t i = 0; i < batch_count(batch); i++) {
        struct change *change = &batch_changes(batch)[i];
        char *image = change_image(batch, change);
        struct record_head head;
        if (change->dropped)
            continue;
        memcpy(&head, image, sizeof head);
        head.sequence = ++sequence;
        head.prev = change->prev;
        memcpy(image, &head, sizeof head);
        /* [commit U1] relaxed: unreachable until the cell's release in update_cells(). */
        words_store(arena_words(publisher, publisher->bump), image, change->bytes);
        change->offset = publisher->bump / 8;
        publisher->bump += change->bytes;
    }
}

/* Row U2: before the commit, or a slot left by a dead update would be taken as this ID. */
static void write_slots(cfgs_publisher *publisher, const cfgs_batch *batch)
{
    struct arena_header *header = publisher->file.header;
    struct ring_slot *slots = (struct ring_slot *)(void *)((char *)header + header->ring_at);
    uint64_t sequence = publisher->sequence;

    for (size_t i = 0; i < batch_count(batch); i++) {
        const struct change *change = &batch_changes(batch)[i];
        struct ring_entry entry = {route_make(publisher->generation, publisher->bank), change->offset, change->bytes};
        if (change->dropped)
            continue;
        sequence++;
        ring_publish(&slots[sequence & (header->ring_slots - 1)], sequence, &entry);
    }
}

/* Row U3.  A new key's cell may have been taken by another new key of this batch: probe on. */
static void update_cells(cfgs_publisher *publisher, cfgs_batch *batch)
{
    uint64_t mask = publisher->index.capacity - 1;

    for (size_t i = 0; i < batch_count(batch); i++) {
        struct change *change = &batch_changes(batch)[i];
        if (change->dropped)
            continue;
        /* [commit U3] relaxed: our own words. */
        while (change->prev == 0 && word_load_relaxed(index_cell(&publisher->index, change->cell)) != 0)
            change->cell = (change->cell + 1) & mask;
        /* [commit U3] release: a reader may follow the cell before the commit; the record's sequence and prev must be
         * there, or a stale 0 passes its filter.  Pairs with the acquire in index_find(). */
        word_store_release(arena_words(publisher, publisher->index.at) + change->cell,
                           cell_make(change->hash, change->offset));
    }
}

/* Row U4. */
static void update_commit(cfgs_publisher *publisher, const struct sum *sum)
{
    publisher->sequence += sum->changes;
    publisher->cells_used += sum->new_keys;
    publisher->settings = sum->settings;
    publisher->live_bytes = sum->live_bytes;
    /* [commit U4] release: the commit point.  Brings records, slots and cells along for whoever acquires this ID. */
    word_store_release(&live_bank(publisher)->sequence, publisher->sequence);
}

static int update(cfgs_publisher *publisher, cfgs_batch *batch, struct sum *sum)
{
    int err = make_room(publisher, batch, sum);
    if (err != CFGS_OK)
        return err;
    upstream_commit(publisher, batch);
    write_records(publisher, batch);
    write_slots(publisher, batch);
    update_cells(publisher, batch);
    update_commit(publisher, sum);
    return CFGS_OK;
}

/* ---- commit ------------------------------------------------------------------------------------------------------ */

static void show_numbers(cfgs_publisher *publisher, uint64_t changes)
{
    struct arena_counters *counters = &publisher->file.header->counters;

    count(&counters->updates, changes);
    count(&counters->batches, 1);
    publisher_show_bank(publisher);
}

/*
 * A clean end voids what runtime sources had set, until the next producer has committed its own state.  After that commit,
 * so that a kill in between voids them still; before the call returns, so that nothing acknowledged is voided.
 */
static void publisher_own_runtime(cfgs_publisher *publisher)
{
    cfgs_word *runtime_void = &publisher->file.header->runtime_void;

    /* [state] release: after the commit, for the next producer, which reads it when we are dead. */
    if (word_load_relaxed(runtime_void) != 0)
        word_store_release(runtime_void, 0);
}

/* Each ID means one state: a batch must come with one above the last, but for the very first state of an arena. */
static int check_at(cfgs_publisher *publisher, const cfgs_batch *batch)
{
    bool first = batch->snapshot && !publisher->loaded;

    if (batch->at <= SEQUENCE_MAX && (batch->at > publisher->sequence || (first && batch->at == publisher->sequence)))
        return CFGS_OK;
    return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0,
                      "sequence %llu is not above the last one, %llu, or above all that can be counted",
                      (unsigned long long)batch->at, (unsigned long long)publisher->sequence);
}

/* Publish what settle_keys() and sum_up() prepared. */
static int publish(cfgs_publisher *publisher, cfgs_batch *batch, struct sum *sum, uint64_t *changes)
{
    uint64_t before = publisher->sequence;
    bool bulk = !publisher->loaded || batch->has_at || sum->changes > publisher->geometry.ring_slots / 2;
    int err = CFGS_OK;

    *changes = 0;
    if (!bulk && sum->changes == 0) {
        upstream_commit(publisher, batch);
        publisher_own_runtime(publisher);
        return CFGS_OK;
    }
    err = bulk ? bulk_load(publisher, batch, sum) : update(publisher, batch, sum);
    if (err != CFGS_OK)
        return err;
    publisher_own_runtime(publisher);
    *changes = publisher->sequence - before;
    show_numbers(publisher, *changes);
    publisher_wake(publisher);
    return CFGS_OK;
}

/* ---- snapshots from elsewhere ------------------------------------------------------------------------------------ */

static int fill_with_snapshot(cfgs_publisher *fresh, void *context)
{
    cfgs_batch *batch = context;
    uint64_t changes;
    struct sum sum;
    int err = sum_up(fresh, batch, &sum);

    return err == CFGS_OK ? publish(fresh, batch, &sum, &changes) : err;
}

/* The keys were settled against the old arena: removals it needed change nothing in an empty one, and are dropped. */
static int replace_with_snapshot(cfgs_publisher *publisher, cfgs_batch *batch)
{
    struct replacement replacement = {.base_sequence = batch->at, .fill = fill_with_snapshot, .context = batch};

    return publisher_replace(publisher, &replacement);
}

static int commit(cfgs_publisher *publisher, cfgs_batch *batch, uint64_t *changes)
{
    bool restarts = batch->snapshot && batch->at <= SEQUENCE_MAX &&
                    (batch->at < publisher->sequence || (batch->at == publisher->sequence && publisher->loaded));
    struct sum sum;
    int err = batch->has_at && !restarts ? check_at(publisher, batch) : CFGS_OK;

    if (err == CFGS_OK)
        err = settle_keys(publisher, batch);
    if (err == CFGS_OK)
        err = sum_up(publisher, batch, &sum);
    if (err != CFGS_OK)
        return err;
    if (!restarts)
        return publish(publisher, batch, &sum, changes);
    *changes = 0;
    if (batch->at < publisher->sequence || sum.changes > 0)
        return replace_with_snapshot(publisher, batch);
    upstream_commit(publisher, batch);
    publisher_own_runtime(publisher);
    return CFGS_OK;
}

/* Before the commit: killed in between, a republisher's settings must not seem the dead producer's own. */
int publisher_commit(cfgs_publisher *publisher, cfgs_batch *batch, uint64_t *changes)
{
    bool inherits = publisher->inherits;

    if (inherits)
        upstream_inherit(publisher, false);
    int err = commit(publisher, batch, changes);
    if (inherits && err != CFGS_OK)
        upstream_inherit(publisher, true);
    return err;
}
