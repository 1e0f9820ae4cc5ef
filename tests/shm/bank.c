/*
 * bank.c: one bank at one point in time, with every word set by hand, as a producer stopped between two stores leaves
 * it.  Rows V1 to V5 of the protocol.  SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <shm/bank_view.h>

TestSuite(bank);

#define BYTES 65536u
#define INDEX_AT 8192u
#define CELLS 16u

static _Alignas(128) char memory[BYTES];
static struct attachment attachment;
static uint64_t bump;

static struct arena_header *header(void)
{
    return (struct arena_header *)(void *)memory;
}

static cfgs_word *cell(uint64_t number)
{
    return (cfgs_word *)(void *)(memory + INDEX_AT) + number;
}

/* Bank 1 is live, generation 4, committed ID 10, empty. */
static void reset(void)
{
    memset(memory, 0, sizeof memory);
    attachment = (struct attachment){.header = header(), .mapped = BYTES, .map_bytes = BYTES, .ring_slots = 16};
    header()->current = route_make(4, 1);
    header()->bank[1].version = 4;
    header()->bank[1].sequence = 10;
    header()->bank[1].index_at = INDEX_AT;
    header()->bank[1].index_capacity = CELLS;
    header()->bank[1].loaded = 1;
    bump = INDEX_AT + CELLS * 8;
}

static uint64_t record(uint64_t sequence, uint64_t prev, const cfgs_value *value)
{
    struct buffer buffer = {0};
    struct record_input input = {.key = {"k", 1}, .value = value, .source = CFGS_SOURCE_FILE,
                                 .source_name = {"file", 4}, .hash = 3};
    struct record_head head;
    uint64_t offset = bump / 8;
    ok(record_append(&buffer, &input));
    memcpy(&head, buffer.data, sizeof head);
    head.sequence = sequence;
    head.prev = prev;
    memcpy(memory + bump, buffer.data, buffer.length);
    memcpy(memory + bump, &head, sizeof head);
    bump += buffer.length;
    buffer_free(&buffer);
    return offset;
}

static uint64_t value_record(uint64_t sequence, uint64_t prev, int64_t integer)
{
    cfgs_value value = cfgs_value_int(integer);
    return record(sequence, prev, &value);
}

static int find(const cfgs_view *view, int64_t *integer)
{
    struct lookup lookup = {"k", 1, 3};
    struct record out;
    int err = bank_view_find(view, &lookup, &out);
    if (err == CFGS_OK)
        *integer = record_value(&out).as.integer;
    return err;
}

Test(bank, a_view_sees_the_bank_that_current_names)
{
    cfgs_view view = {0};
    int64_t integer = 0;
    reset();
    *cell(3) = cell_make(3, value_record(10, 0, 7));
    ok(bank_view_begin(&attachment, &view));
    cr_assert_eq(view.sequence, 10);
    ok(find(&view, &integer));
    cr_assert_eq(integer, 7);
    cr_assert(bank_view_valid(&view));
}

/* An even bank that is not current may hold an uncommitted bulk load: only equality will do (protocol-check, 8.1). */
Test(bank, an_odd_or_another_even_version_is_busy_after_bounded_rounds)
{
    static const uint64_t versions[] = {0, 3, 5, 6, 2, UINT64_MAX};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        cfgs_view view = {0};
        reset();
        header()->bank[1].version = versions[i];
        fails(CFGS_ERR_BUSY, bank_view_begin(&attachment, &view));
    }
}

Test(bank, a_bank_that_was_never_loaded_is_not_ready)
{
    cfgs_view view = {0};
    reset();
    header()->bank[1].loaded = 0;
    fails(CFGS_ERR_NOT_READY, bank_view_begin(&attachment, &view));
}

Test(bank, recycling_after_begin_voids_hits_and_misses_alike)
{
    cfgs_view view = {0};
    int64_t integer;
    reset();
    ok(bank_view_begin(&attachment, &view));
    fails(CFGS_ERR_NOT_FOUND, find(&view, &integer));
    cr_assert(bank_view_valid(&view));
    header()->bank[1].version = 5;
    cr_assert_not(bank_view_valid(&view));
    header()->bank[1].version = 6;
    cr_assert_not(bank_view_valid(&view));
}

/* A flip alone recycles nothing: the old bank stays readable until the next rebuild. */
Test(bank, a_flip_to_the_other_bank_leaves_a_view_valid)
{
    cfgs_view view = {0};
    reset();
    ok(bank_view_begin(&attachment, &view));
    header()->current = route_make(2, 0);
    header()->bank[0].version = 2;
    cr_assert(bank_view_valid(&view));
}

Test(bank, records_above_the_committed_id_are_passed_over_along_prev)
{
    cfgs_view view = {0};
    int64_t integer = 0;
    reset();
    uint64_t committed = value_record(9, 0, 1);
    uint64_t ghost = value_record(11, committed, 2);
    *cell(3) = cell_make(3, value_record(12, ghost, 3));
    ok(bank_view_begin(&attachment, &view));
    ok(find(&view, &integer));
    cr_assert_eq(integer, 1);
    /* The commit makes them count; a view that began before keeps its point in time. */
    header()->bank[1].sequence = 12;
    ok(find(&view, &integer));
    cr_assert_eq(integer, 1);
    ok(bank_view_begin(&attachment, &view));
    ok(find(&view, &integer));
    cr_assert_eq(integer, 3);
}

Test(bank, an_uncommitted_new_key_is_not_found)
{
    cfgs_view view = {0};
    struct record out;
    uint64_t number = 0;
    int64_t integer;
    reset();
    *cell(3) = cell_make(3, value_record(11, 0, 1));
    ok(bank_view_begin(&attachment, &view));
    fails(CFGS_ERR_NOT_FOUND, find(&view, &integer));
    cr_assert_eq(bank_view_next(&view, &number, &out), 0);
}

Test(bank, a_tombstone_hides_the_key_from_its_id_on)
{
    cfgs_view view = {0};
    struct record out;
    uint64_t number = 0;
    int64_t integer = 0;
    reset();
    uint64_t live = value_record(9, 0, 1);
    *cell(3) = cell_make(3, record(10, live, NULL));
    ok(bank_view_begin(&attachment, &view));
    fails(CFGS_ERR_NOT_FOUND, find(&view, &integer));
    cr_assert_eq(bank_view_next(&view, &number, &out), 0);
    header()->bank[1].sequence = 9;
    ok(bank_view_begin(&attachment, &view));
    ok(find(&view, &integer));
    cr_assert_eq(integer, 1);
}

/* prev only leads down, or a damaged chain could go round for ever (shm-pitfalls 22). */
Test(bank, a_prev_that_is_not_lower_is_corrupt)
{
    cfgs_view view = {0};
    int64_t integer;
    reset();
    uint64_t low = value_record(11, 0, 1);
    uint64_t high = value_record(12, low, 2);
    struct record_head head;
    *cell(3) = cell_make(3, high);
    const uint64_t bad[] = {high, high + 1, low + 1, BYTES / 8, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memcpy(&head, memory + high * 8, sizeof head);
        head.prev = bad[i];
        memcpy(memory + high * 8, &head, sizeof head);
        ok(bank_view_begin(&attachment, &view));
        fails(CFGS_ERR_CORRUPT, find(&view, &integer));
    }
}

Test(bank, iteration_shows_each_live_record_once)
{
    cfgs_view view = {0};
    struct record out;
    uint64_t number = 0, seen = 0;
    reset();
    for (uint64_t i = 0; i < CELLS; i += 3)
        *cell(i) = cell_make(i, value_record(5, 0, (int64_t)i));
    ok(bank_view_begin(&attachment, &view));
    while (bank_view_next(&view, &number, &out) == 1)
        seen |= UINT64_C(1) << record_value(&out).as.integer;
    cr_assert_eq(seen, UINT64_C(0x9249));
    cr_assert_eq(bank_view_next(&view, &number, &out), 0);
}

Test(bank, a_place_outside_the_mapping_is_corrupt_not_touched)
{
    static const uint64_t places[][2] = {
        {BYTES, CELLS}, {INDEX_AT, BYTES}, {INDEX_AT, 0}, {INDEX_AT, 3}, {UINT64_MAX, CELLS}, {INDEX_AT, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        cfgs_view view = {0};
        struct record out;
        uint64_t number = 0;
        int64_t integer;
        reset();
        header()->bank[1].index_at = places[i][0];
        header()->bank[1].index_capacity = places[i][1];
        ok(bank_view_begin(&attachment, &view));
        fails(CFGS_ERR_CORRUPT, find(&view, &integer));
        cr_assert_eq(bank_view_next(&view, &number, &out), CFGS_ERR_CORRUPT);
    }
}

Test(bank, a_pinned_view_needs_its_bank_not_to_be_current_but_unrecycled)
{
    cfgs_view view = {0};
    int64_t integer = 0;
    reset();
    *cell(3) = cell_make(3, value_record(10, value_record(9, 0, 1), 2));
    header()->current = route_make(2, 0);
    ok(bank_view_pin(&attachment, route_make(4, 1), 10, &view));
    ok(find(&view, &integer));
    cr_assert_eq(integer, 2);
    header()->bank[1].version = 5;
    fails(CFGS_ERR_LAPPED, bank_view_pin(&attachment, route_make(4, 1), 10, &view));
}
