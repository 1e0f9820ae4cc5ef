/*
 * rebuild.c: fill the other bank and make it current: rows R1 to R6 of the protocol, and row B for bulk loads.
 *
 * One operation for a full heap or index, growth, recovery, and loading many settings at once.  Everything that can fail
 * comes first (choosing a place, reserving pages); then the other bank's version becomes odd, its words are written, its
 * version becomes even, and `current` flips to it.  A kill anywhere before the flip leaves the live bank untouched; the
 * next rebuild starts over.  Readers of the bank that was live go on reading it until the rebuild after this one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "publisher_private.h"
#include "detail.h"
#include <configstream/error.h>

/* A place in the arena for the other bank. */
struct place {
    uint64_t at;
    struct bank_size size;
};

/* The bank while it is being filled. */
struct filler {
    cfgs_publisher *publisher;
    struct bank_words *bank;
    struct place place;
    uint64_t bump, heap_end, cells_used;
};

/* ---- a place ----------------------------------------------------------------------------------------------------- */

/*
 * Row R1: before the live bank if it fits there, else behind it.  The other bank's own old place counts as free.  The
 * file is grown so far that the next rebuild of this size fits as well, or, where there is no room for that, just enough.
 */
static int try_place(cfgs_publisher *publisher, struct place *place)
{
    uint64_t first = ring_end(publisher->file.header);
    uint64_t live_at = publisher->index.at;
    uint64_t live_end = live_at + section_round(publisher->heap_end - live_at);
    bool before = place->size.bytes <= live_at - first;
    place->at = before ? first : live_end;
    uint64_t end = place->at + place->size.bytes;
    bool next_fits_before = place->size.bytes <= place->at - first;
    uint64_t comfortable = next_fits_before ? end : end + place->size.bytes;

    if (comfortable > publisher->file.bytes && comfortable <= publisher->file.map_bytes &&
        arena_grow(&publisher->file, comfortable, NULL) == CFGS_OK)
        return CFGS_OK;
    return arena_grow(&publisher->file, end, &publisher->detail);
}

/* With all the room that is good for it, or with less: what is committed must always fit again, or nothing restarts. */
static int choose_place(cfgs_publisher *publisher, const struct rebuild *rebuild, struct place *place)
{
    int err = CFGS_ERR_NO_SPACE;

    for (enum bank_slack slack = SLACK_GOOD; slack <= SLACK_LAST && err == CFGS_ERR_NO_SPACE; slack++) {
        place->size = bank_size_for(rebuild->settings + rebuild->extra_settings, rebuild->live_bytes,
                                    rebuild->extra_bytes, publisher->geometry.ring_slots, slack);
        err = try_place(publisher, place);
    }
    return err;
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

static struct index_place filler_index(const struct filler *filler)
{
    return (struct index_place){filler->publisher->file.header, filler->publisher->file.bytes, filler->place.at,
                                filler->place.size.capacity};
}

/* Rows R2 and R3. */
static uint64_t rebuild_begin(struct bank_words *bank)
{
    /* [recycle R2] relaxed: our own word.  `| 1`, not + 1: a dead producer may have left it odd, and + 1 would make it
     * even during the copy. */
    uint64_t odd = word_load_relaxed(&bank->version) | 1;

    /* [odd-flip R2] release: whoever sees the odd value also sees the flip before it, and finds the live bank at the next
     * try instead of the old `current` again. */
    word_store_release(&bank->version, odd);
    /* [recycle R3] [s-check R3] release fence: no later store may be seen without the odd version.  The release store above
     * does not do it: it does not hold later stores back.  Pairs with the fence in bank_view_valid(). */
    words_fence_release();
    return odd;
}

static void write_place(struct filler *filler, const struct rebuild *rebuild)
{
    struct bank_words *bank = filler->bank;
    uint64_t heap_at = filler->place.at + filler->place.size.capacity * 8;
    cfgs_word *cells = arena_words(filler->publisher, filler->place.at);

    /* [recycle R4] relaxed: data under the version. */
    word_store_relaxed(&bank->index_at, filler->place.at);
    word_store_relaxed(&bank->index_capacity, filler->place.size.capacity);
    word_store_relaxed(&bank->heap_at, heap_at);
    word_store_relaxed(&bank->heap_bytes, filler->place.size.bytes - filler->place.size.capacity * 8);
    /* [recycle R4] relaxed: data under the version. */
    word_store_relaxed(&bank->loaded, rebuild->loaded);
    word_store_relaxed(&bank->sequence, rebuild->sequence);
    for (uint64_t i = 0; i < filler->place.size.capacity; i++) {
        /* [recycle R4] relaxed: data under the version. */
        word_store_relaxed(&cells[i], 0);
    }
    filler->bump = heap_at;
    filler->heap_end = filler->place.at + filler->place.size.bytes;
    filler->cells_used = 0;
}

/* The key is not in the bank yet: its cell is the first empty one from its home on. */
static void fill_cell(struct filler *filler, uint64_t hash, uint64_t offset)
{
    struct index_place index = filler_index(filler);
    uint64_t mask = index.capacity - 1, number = hash & mask;

    /* [recycle R4] relaxed: our own stores of a moment ago. */
    while (word_load_relaxed(index_cell(&index, number)) != 0)
        number = (number + 1) & mask;
    /* [recycle R4] relaxed: data under the version; the flip releases it. */
    word_store_relaxed(arena_words(filler->publisher, index.at) + number, cell_make(hash, offset));
    filler->cells_used++;
}

/* Copies keep their sequence; what they replaced stays behind. */
static void copy_live(struct filler *filler, const struct record *record)
{
    const cfgs_word *from = (const cfgs_word *)record->key - sizeof record->head / 8;
    cfgs_word *to = arena_words(filler->publisher, filler->bump);
    struct record_head head = record->head;

    head.prev = 0;
    /* [recycle R4] relaxed: data under the version. */
    words_store(to, &head, sizeof head);
    for (uint64_t i = sizeof head / 8; i < record->bytes / 8; i++) {
        /* [recycle R4] relaxed: data under the version, from an immutable record. */
        word_store_relaxed(&to[i], word_load_relaxed(&from[i]));
    }
    fill_cell(filler, head.hash, filler->bump / 8);
    filler->bump += record->bytes;
}

/* Is the live record overridden by the load?  Changes were located in the live bank: the same cell is the same key. */
static bool is_overridden(const uint64_t *overridden, uint64_t cell)
{
    return overridden != NULL && (overridden[cell / 64] >> (cell % 64) & 1) != 0;
}

/* One bit for each cell of the live bank whose key the load changes. */
static int mark_overridden(cfgs_publisher *publisher, const cfgs_batch *load, uint64_t **out)
{
    *out = NULL;
    if (load == NULL)
        return CFGS_OK;
    uint64_t *bits = calloc(publisher->index.capacity / 64 + 1, sizeof *bits);
    if (bits == NULL)
        return detail_set(&publisher->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    for (size_t i = 0; i < batch_count(load); i++) {
        const struct change *change = &batch_changes(load)[i];
        if (!change->dropped && change->prev != 0)
            bits[change->cell / 64] |= UINT64_C(1) << (change->cell % 64);
    }
    *out = bits;
    return CFGS_OK;
}

static void copy_source(struct filler *filler, const cfgs_view *source, const uint64_t *overridden)
{
    struct record record;
    uint64_t number = 0;

    /* The source was surveyed before: no error can come up. */
    while (bank_view_next(source, &number, &record) == 1)
        if (!is_overridden(overridden, number - 1))
            copy_live(filler, &record);
}

static void write_load(struct filler *filler, const cfgs_batch *load)
{
    uint64_t next = filler->publisher->sequence;

    for (size_t i = 0; i < batch_count(load); i++) {
        const struct change *change = &batch_changes(load)[i];
        char *image = change_image(load, change);
        struct record_head head;
        if (change->dropped)
            continue;
        next++;
        if (change->removes)
            continue; /* a key that is gone takes an ID and no record */
        memcpy(&head, image, sizeof head);
        head.sequence = load->has_at ? load->at : next;
        head.prev = 0;
        memcpy(image, &head, sizeof head);
        /* [recycle R4] relaxed: data under the version. */
        words_store(arena_words(filler->publisher, filler->bump), image, change->bytes);
        fill_cell(filler, head.hash, filler->bump / 8);
        filler->bump += change->bytes;
    }
}

/* Row B: the IDs of a bulk load have no descriptors; a slot left by an update that was given up must not pass for one. */
static void empty_slots(cfgs_publisher *publisher, uint64_t from, uint64_t to)
{
    struct arena_header *header = publisher->file.header;
    struct ring_slot *slots = (struct ring_slot *)(void *)((char *)header + header->ring_at);
    uint64_t first = to - from >= header->ring_slots ? to - header->ring_slots + 1 : from + 1;

    for (uint64_t sequence = first; sequence <= to; sequence++)
        ring_empty(&slots[sequence & (header->ring_slots - 1)]);
}

/* Rows R5 and R6. */
static void rebuild_flip(cfgs_publisher *publisher, struct bank_words *bank, uint64_t odd)
{
    /* [recycle R5] release: the bank's words are complete for readers that come upon the even version without the flip. */
    word_store_release(&bank->version, odd + 1);
    /* [flip R6] release: brings the whole bank along, and for a bulk load is the commit.  Never before R5: the live bank
     * must always have the version that `current` names, or a kill in between blocks every reader. */
    word_store_release(&publisher->file.header->current, route_make(odd + 1, 1 - publisher->bank));
}

static void adopt(cfgs_publisher *publisher, const struct filler *filler, const struct rebuild *rebuild, uint64_t odd)
{
    publisher->bank = 1 - publisher->bank;
    publisher->generation = odd + 1;
    publisher->sequence = rebuild->sequence;
    publisher->heap_at = filler->place.at + filler->place.size.capacity * 8;
    publisher->heap_end = filler->heap_end;
    publisher->bump = filler->bump;
    publisher->index = filler_index(filler);
    publisher->cells_used = filler->cells_used;
    publisher->settings = rebuild->settings;
    publisher->live_bytes = rebuild->live_bytes;
    publisher->loaded = rebuild->loaded;
    /* [private] relaxed: of this process, for the producer's own views. */
    word_store_relaxed(&publisher->own.mapped, publisher->file.bytes);
}

int publisher_rebuild(cfgs_publisher *publisher, const struct rebuild *rebuild)
{
    struct filler filler = {.publisher = publisher, .bank = &publisher->file.header->bank[1 - publisher->bank]};
    uint64_t *overridden;
    int err = choose_place(publisher, rebuild, &filler.place);

    if (err == CFGS_OK)
        err = mark_overridden(publisher, rebuild->load, &overridden);
    if (err != CFGS_OK)
        return err;
    if (rebuild->load != NULL)
        upstream_commit(publisher, rebuild->load);
    arena_populate(&publisher->file, filler.place.at + filler.place.size.bytes);
    uint64_t odd = rebuild_begin(filler.bank);
    write_place(&filler, rebuild);
    copy_source(&filler, rebuild->source, overridden);
    if (rebuild->load != NULL)
        write_load(&filler, rebuild->load);
    if (rebuild->sequence > publisher->sequence)
        empty_slots(publisher, publisher->sequence, rebuild->sequence);
    rebuild_flip(publisher, filler.bank, odd);
    adopt(publisher, &filler, rebuild, odd);
    free(overridden);
    count(&publisher->file.header->counters.rebuilds, 1);
    publisher_show_bank(publisher);
    return CFGS_OK;
}
