/* index_ring.c: probing and slots, on plain memory with every word set by hand.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include <shm/index.h>
#include <shm/ring.h>

TestSuite(index);
TestSuite(ring);

#define CELLS 8u
#define PLACE_AT 8192u
#define TABLE_BYTES 65536u

/* An index of 8 cells at 8192, records behind it. */
struct table {
    _Alignas(64) char bytes[TABLE_BYTES];
    uint64_t bump;
};

static struct table table;

static struct index_place place_of(void)
{
    return (struct index_place){table.bytes, TABLE_BYTES, PLACE_AT, CELLS};
}

static cfgs_word *cell_at(uint64_t number)
{
    return (cfgs_word *)(void *)(table.bytes + PLACE_AT) + number;
}

static void reset(void)
{
    memset(&table, 0, sizeof table);
    table.bump = PLACE_AT + CELLS * 8;
}

/* A record with a hash of our choice, in no cell yet; its offset. */
static uint64_t put_record(const char *key, uint64_t hash)
{
    struct buffer buffer = {0};
    cfgs_value value = cfgs_value_int(1);
    struct record_input input = {.key = {key, strlen(key)}, .value = &value, .source = CFGS_SOURCE_FILE,
                                 .source_name = {"file", 4}, .hash = hash};
    uint64_t offset = table.bump / 8;
    ok(record_append(&buffer, &input));
    memcpy(table.bytes + table.bump, buffer.data, buffer.length);
    table.bump += buffer.length;
    buffer_free(&buffer);
    return offset;
}

static int find(const char *key, uint64_t hash, uint64_t *number, struct record *record)
{
    struct index_place place = place_of();
    struct lookup lookup = {key, strlen(key), hash};
    *number = hash & (CELLS - 1);
    return index_find(&place, &lookup, number, record);
}

Test(index, an_empty_cell_at_home_proves_absence)
{
    struct record record;
    uint64_t number;
    reset();
    cr_assert_eq(find("a", 5, &number, &record), 0);
    cr_assert_eq(number, 5);
}

Test(index, probing_passes_other_keys_and_wraps_around_the_end)
{
    struct record record;
    uint64_t number;
    reset();
    *cell_at(6) = cell_make(6, put_record("x", 6));
    *cell_at(7) = cell_make(14, put_record("y", 14));
    *cell_at(0) = cell_make(22, put_record("z", 22));
    cr_assert_eq(find("z", 22, &number, &record), 1);
    cr_assert_eq(number, 0);
    cr_assert(record_key_is(&record, "z", 1));
    cr_assert_eq(find("w", 30, &number, &record), 0);
    cr_assert_eq(number, 1, "the empty cell behind the wrap");
}

/* Same 24-bit tag, other hash; same whole hash, other key: the key itself decides. */
Test(index, equal_tags_and_equal_hashes_are_told_apart_by_the_key)
{
    struct record record;
    uint64_t number, tag = UINT64_C(0xABCDEF) << CELL_OFFSET_BITS;
    reset();
    *cell_at(0) = cell_make(tag, put_record("one", tag));
    *cell_at(1) = cell_make(tag | 8, put_record("two", tag | 8));
    *cell_at(2) = cell_make(tag | 8, put_record("six", tag | 8));
    cr_assert_eq(find("two", tag | 8, &number, &record), 1);
    cr_assert_eq(number, 1);
    cr_assert_eq(find("six", tag | 8, &number, &record), 1);
    cr_assert_eq(number, 2);
    cr_assert_eq(find("ten", tag | 8, &number, &record), 0);
    cr_assert_eq(number, 3);
}

Test(index, a_full_table_without_the_key_is_corrupt_and_not_endless)
{
    struct record record;
    uint64_t number;
    reset();
    for (uint64_t i = 0; i < CELLS; i++) {
        char key[4];
        snprintf(key, sizeof key, "k%d", (int)i);
        *cell_at(i) = cell_make(i, put_record(key, i));
    }
    cr_assert_eq(find("k7", 7, &number, &record), 1);
    cr_assert_eq(find("none", 3, &number, &record), CFGS_ERR_CORRUPT);
}

Test(index, a_cell_that_points_outside_is_corrupt)
{
    struct record record;
    uint64_t number;
    reset();
    *cell_at(2) = cell_make(2, TABLE_BYTES / 8);
    cr_assert_eq(find("a", 2, &number, &record), CFGS_ERR_CORRUPT);
    *cell_at(2) = cell_make(2, CELL_OFFSET_MASK);
    cr_assert_eq(find("a", 2, &number, &record), CFGS_ERR_CORRUPT);
    /* A tag without an offset. */
    *cell_at(2) = UINT64_C(1) << CELL_OFFSET_BITS;
    cr_assert_eq(find("a", (UINT64_C(1) << CELL_OFFSET_BITS) | 2, &number, &record), CFGS_ERR_CORRUPT);
}

Test(index, only_a_place_inside_the_mapping_is_sound)
{
    static const struct {
        uint64_t mapped, at, capacity;
        bool sound;
    } cases[] = {
        {65536, 8192, 8, true},        {65536, 65536 - 64, 8, true},  {65536, 65536 - 56, 8, false},
        {65536, 8192, 0, false},       {65536, 8192, 7, false},       {65536, 8193, 8, false},
        {65536, 65544, 8, false},      {65536, 0, 8, false},          {65536, 8192, UINT64_C(1) << 63, false},
        {65536, UINT64_MAX - 7, 8, false}, {65536, 8192, UINT64_C(1) << 61, false}, {0, 8192, 8, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct index_place place = {table.bytes, cases[i].mapped, cases[i].at, cases[i].capacity};
        cr_assert_eq(index_place_is_sound(&place), cases[i].sound, "case %zu", i);
    }
}

Test(index, the_seed_changes_every_hash)
{
    int same = 0;
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key.%d", i);
        same += index_hash(key, strlen(key), 1) == index_hash(key, strlen(key), 2);
        cr_assert_eq(index_hash(key, strlen(key), 1), index_hash(key, strlen(key), 1));
    }
    cr_assert_eq(same, 0);
}

/* ---- ring -------------------------------------------------------------------------------------------------------- */

#define SLOTS 16u

Test(ring, a_published_slot_is_taken_as_its_own_id_only)
{
    struct ring_slot slots[SLOTS] = {0};
    struct ring_entry in = {route_make(4, 1), 77, 128}, out = {0};
    cfgs_word version = 4;

    ring_publish(&slots[5], 21, &in);
    cr_assert_not(ring_take(&slots[5], 5, &out));
    cr_assert_not(ring_take(&slots[5], 37, &out));
    cr_assert(ring_take(&slots[5], 21, &out));
    cr_assert(out.route == in.route && out.offset == 77 && out.length == 128);
    cr_assert(ring_still(&slots[5], 21, &version, out.route));
}

Test(ring, a_reused_slot_is_not_what_it_was)
{
    struct ring_slot slot = {0};
    struct ring_entry first = {route_make(2, 0), 10, 64}, second = {route_make(2, 0), 20, 64}, out;
    cfgs_word version = 2;

    ring_publish(&slot, 3, &first);
    cr_assert(ring_take(&slot, 3, &out));
    ring_publish(&slot, 3 + SLOTS, &second);
    cr_assert_not(ring_still(&slot, 3, &version, out.route));
    cr_assert_not(ring_take(&slot, 3, &out));
    cr_assert(ring_take(&slot, 3 + SLOTS, &out));
    cr_assert_eq(out.offset, 20);
}

/* In the middle of a reuse the slot is empty: neither the old nor the new ID, whatever its fields say. */
Test(ring, a_slot_in_reuse_is_empty)
{
    struct ring_slot slot = {0};
    struct ring_entry entry = {route_make(2, 0), 10, 64}, out;
    cfgs_word version = 2;

    ring_publish(&slot, 3, &entry);
    cr_assert(ring_take(&slot, 3, &out));
    slot.sequence = 0;
    slot.offset = 999;
    cr_assert_not(ring_take(&slot, 3, &out));
    cr_assert_not(ring_take(&slot, 19, &out));
    cr_assert_not(ring_still(&slot, 3, &version, entry.route));
}

/* The bank is compared with the slot's own generation: recycled before the look is recycled (protocol-check, 8.7). */
Test(ring, a_recycled_bank_voids_the_slot_even_if_it_was_recycled_before_the_look)
{
    struct ring_slot slot = {0};
    struct ring_entry entry = {route_make(2, 0), 10, 64}, out;
    cfgs_word version = 4;

    ring_publish(&slot, 3, &entry);
    cr_assert(ring_take(&slot, 3, &out));
    cr_assert_not(ring_still(&slot, 3, &version, out.route));
    version = 3;
    cr_assert_not(ring_still(&slot, 3, &version, out.route));
    version = 2;
    cr_assert(ring_still(&slot, 3, &version, out.route));
}

Test(ring, an_emptied_slot_is_no_update)
{
    struct ring_slot slot = {0};
    struct ring_entry entry = {route_make(2, 0), 10, 64}, out;
    ring_publish(&slot, UINT64_MAX, &entry);
    cr_assert(ring_take(&slot, UINT64_MAX, &out));
    ring_empty(&slot);
    cr_assert_not(ring_take(&slot, UINT64_MAX, &out));
}

Test(ring, routes_carry_generation_and_bank)
{
    for (uint64_t generation = 2; generation < UINT64_C(1) << 62; generation *= 3)
        for (unsigned bank = 0; bank < 2; bank++) {
            cr_assert_eq(route_generation(route_make(generation, bank)), generation);
            cr_assert_eq(route_bank(route_make(generation, bank)), bank);
        }
}
