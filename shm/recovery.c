/*
 * recovery.c: rows C1 to C5 of the protocol.
 *
 * A producer that died left a live bank that is complete up to its committed ID, and on top of that anything: records,
 * cells and slots of an update that was never committed, a half-rebuilt other bank.  A rebuild of the committed state into
 * the other bank leaves all of that behind; readers keep their bank meanwhile.  Killed in the middle, the next producer
 * starts over.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "recovery.h"
#include "detail.h"
#include <configstream/error.h>

static int damaged(cfgs_publisher *publisher, const char *what)
{
    return detail_set(&publisher->detail, CFGS_ERR_CORRUPT, 0, "%s is damaged: %s", publisher->name.path, what);
}

/* The bank words and the place, as this producer will use them. */
static int take_bank(cfgs_publisher *publisher)
{
    struct arena_header *header = publisher->file.header;
    /* [flip C1] acquire: the bank behind the flip, as for any reader. */
    uint64_t route = word_load_acquire(&header->current);

    publisher->bank = route_bank(route);
    publisher->generation = route_generation(route);
    struct bank_words *bank = live_bank(publisher);
    /* [recycle C1] acquire: the live bank has the even version that `current` names, whatever instruction a producer died
     * at; anything else is damage. */
    if (word_load_acquire(&bank->version) != publisher->generation || (publisher->generation & 1) != 0)
        return damaged(publisher, "the live bank's version is not the one the header names");
    /* [commit C1] acquire: the committed state, as for any reader. */
    publisher->sequence = word_load_acquire(&bank->sequence);
    /* [commit C1] relaxed: data of the live bank; no producer is writing. */
    publisher->index = (struct index_place){header, publisher->file.bytes, word_load_relaxed(&bank->index_at),
                                            word_load_relaxed(&bank->index_capacity)};
    publisher->heap_at = word_load_relaxed(&bank->heap_at);
    uint64_t heap_bytes = word_load_relaxed(&bank->heap_bytes);
    publisher->loaded = word_load_relaxed(&bank->loaded) != 0;
    if (!index_place_is_sound(&publisher->index) || publisher->index.at < ring_end(header) ||
        publisher->heap_at != publisher->index.at + publisher->index.capacity * 8 ||
        heap_bytes > publisher->file.bytes - publisher->heap_at)
        return damaged(publisher, "the live bank's place is out of bounds");
    publisher->heap_end = publisher->bump = publisher->heap_at + heap_bytes; /* full: only a rebuild may follow */
    return CFGS_OK;
}

/* A record must be found under its key, in its cell: a damaged index could hold a key twice, or where no probe leads. */
static bool is_reachable(const cfgs_publisher *publisher, const struct record *record, uint64_t cell)
{
    struct lookup key = {record_key_text(record), record->head.key_length, 0};
    struct record head;

    key.hash = index_hash(key.key, key.length, publisher->geometry.hash_seed);
    uint64_t number = key.hash & (publisher->index.capacity - 1);
    return index_find(&publisher->index, &key, &number, &head) == 1 && number == cell;
}

int recovery_survey(cfgs_publisher *publisher)
{
    struct record record;
    uint64_t number = 0;
    cfgs_view view;
    int more, err = take_bank(publisher);

    if (err != CFGS_OK)
        return err;
    publisher->settings = publisher->live_bytes = 0;
    publisher_own_view(publisher, &view);
    while ((more = bank_view_next(&view, &number, &record)) == 1) {
        if (!is_reachable(publisher, &record, number - 1))
            return damaged(publisher, "a record is not where its key leads");
        publisher->settings++;
        publisher->live_bytes += record.bytes;
    }
    if (more < 0)
        return damaged(publisher, "a record is out of bounds");
    if (publisher->sequence < publisher->file.header->base_sequence)
        return damaged(publisher, "its sequence is below its first");
    if (publisher->sequence > SEQUENCE_MAX)
        return damaged(publisher, "its sequence is beyond all that can be counted");
    return CFGS_OK;
}

static int rebuild_from(cfgs_publisher *publisher, const cfgs_view *source)
{
    struct rebuild rebuild = {.source = source,
                              .sequence = source->sequence,
                              .settings = publisher->settings,
                              .live_bytes = publisher->live_bytes,
                              .loaded = publisher->loaded};
    return publisher_rebuild(publisher, &rebuild);
}

int recovery_finish(cfgs_publisher *publisher)
{
    cfgs_view view;

    publisher_own_view(publisher, &view);
    return rebuild_from(publisher, &view);
}

int recovery_adopt(cfgs_publisher *publisher, cfgs_publisher *old)
{
    cfgs_view view;

    publisher_own_view(old, &view);
    publisher->settings = old->settings;
    publisher->live_bytes = old->live_bytes;
    publisher->loaded = old->loaded;
    publisher->sequence = old->sequence;
    return rebuild_from(publisher, &view);
}
