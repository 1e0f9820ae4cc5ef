/*
 * recovery.c: what a producer finds that starts where another one ended, well or badly.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

TestSuite(recovery, .fini = names_clean);

static ino_t inode_of(const char *instance)
{
    struct stat st;
    cr_assert_eq(stat(arena_path(instance), &st), 0);
    return st.st_ino;
}

/* The header of an instance's arena, to be damaged by hand. */
static struct arena_header *map_header(const char *instance)
{
    int fd = open(arena_path(instance), O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    void *base = mmap(NULL, ARENA_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(base, MAP_FAILED);
    close(fd);
    return base;
}

Test(recovery, a_closed_arena_goes_on_with_its_settings_ids_and_identity)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    char id[37];

    set_int(p, "a", 1);
    set_int(p, "b", 2);
    cfgs_reader *r = reader_of(p);
    memcpy(id, status_of(r).instance_id, sizeof id);
    cfgs_publisher_close(p, false);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_CLOSED);
    cr_assert_eq(int_of(r, "b"), 2);
    ino_t inode = inode_of(instance);

    p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CLOSED);
    cr_assert_eq(cfgs_publisher_sequence(p), 2);
    cr_assert_eq(inode_of(instance), inode, "a restart reuses the file (shm-pitfalls 3, 5)");
    cr_assert_str_eq(status_of(r).instance_id, id);
    cr_assert_eq(status_of(r).epoch, 2);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    cr_assert_eq(status_of(r).settings, 2);
    cr_assert_not(set_int(p, "a", 1), "only differences are published");
    cr_assert(set_int(p, "a", 3));
    cr_assert_eq(cfgs_publisher_sequence(p), 3);
    cr_assert_eq(int_of(r, "a"), 3);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(recovery, a_killed_producers_last_commit_is_where_the_next_goes_on)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_body, instance);

    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    child_kill(&child);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD, "a kill is seen at once");
    cr_assert_eq(int_of(r, "b"), 2);
    no_event(r);

    cfgs_publisher *p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CRASHED);
    cr_assert_eq(cfgs_publisher_sequence(p), 2);
    no_event(r); /* recovery is no change */
    set_int(p, "a", 9);
    cr_assert_eq(next_update(r, "a").sequence, 3);
    cr_assert_eq(setting_in(r, "b").source, CFGS_SOURCE_CLI, "what a runtime source set is there to be taken back");
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

static void exit_without_close(const char *instance)
{
    cfgs_publisher *publisher;
    cfgs_publisher_options options = {.instance = instance, .max_size = 64u << 20};
    cfgs_setting a = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);
    CHECK(cfgs_publisher_open(&options, &publisher) == CFGS_OK);
    CHECK(cfgs_publisher_set(publisher, &a, CFGS_SOURCE_NONE, NULL) == CFGS_OK);
    _exit(0);
}

Test(recovery, an_exit_without_close_is_a_crash)
{
    const char *instance = new_instance();
    for (int i = 0; i < 3; i++) {
        struct child child = child_start(exit_without_close, instance);
        cr_assert_eq(child_end(&child), 0);
        cfgs_reader *r = open_reader(instance);
        cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD);
        cr_assert_eq(status_of(r).epoch, i + 1);
        cr_assert_eq(status_of(r).sequence, 1);
        cfgs_reader_close(r);
    }
    cfgs_publisher *p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CRASHED);
    cfgs_publisher_close(p, true);
}

/* Asked for another ring or size: a new file, with the settings, their IDs and sources; readers move on by
   themselves. */
static void replaced_with_content(cfgs_publisher_options first, cfgs_publisher_options second)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish_with(instance, first);
    char id[37];

    load_ints(p, "k", 300, false);
    cfgs_setting flagged = setting_of("cli", text_value("x"), CFGS_SOURCE_CLI);
    flagged.flags = CFGS_SETTING_UNDECLARED | CFGS_SETTING_LOCAL;
    ok(cfgs_publisher_set(p, &flagged, CFGS_SOURCE_NONE, NULL));
    remove_key(p, "k7");
    cfgs_reader *r = reader_of(p);
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    memcpy(id, status_of(r).instance_id, sizeof id);
    uint64_t sequence = cfgs_publisher_sequence(p);
    cr_assert_eq(event.sequence, sequence);
    cfgs_publisher_close(p, false);

    p = publish_with(instance, second);
    cr_assert_eq(cfgs_publisher_sequence(p), sequence);
    ok(cfgs_reader_wait_ready(r, 0));
    cr_assert_str_neq(status_of(r).instance_id, id);
    cr_assert_eq(status_of(r).settings, 300);
    cr_assert_eq(int_of(r, "k299"), 299);
    cr_assert_eq(setting_in(r, "k5").sequence, 6, "settings keep the ID of their update");
    cr_assert_eq(setting_in(r, "cli").source, CFGS_SOURCE_CLI);
    cr_assert_eq(setting_in(r, "cli").flags, flagged.flags);
    event = next_snapshot(r, CFGS_SNAPSHOT_REPLACED);
    cr_assert(event.sequence == sequence && event.previous == sequence);
    set_int(p, "k5", -5);
    cr_assert_eq(next_update(r, "k5").sequence, sequence + 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(recovery, another_ring_size_replaces_the_arena_and_keeps_its_content)
{
    replaced_with_content((cfgs_publisher_options){.ring_slots = 64}, (cfgs_publisher_options){.ring_slots = 128});
    replaced_with_content((cfgs_publisher_options){.ring_slots = 128}, (cfgs_publisher_options){.ring_slots = 16});
}

Test(recovery, another_max_size_replaces_the_arena_and_keeps_its_content)
{
    replaced_with_content((cfgs_publisher_options){.max_size = 32u << 20},
                          (cfgs_publisher_options){.max_size = 64u << 20});
}

Test(recovery, a_ring_or_size_not_asked_for_stays_as_it_was)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.ring_slots = 64, .max_size = 32u << 20});
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
    ino_t inode = inode_of(instance);
    p = publish_with(instance, (cfgs_publisher_options){0});
    cr_assert_eq(inode_of(instance), inode);
    cfgs_reader *r = reader_of(p);
    cr_assert(status_of(r).ring_slots == 64 && status_of(r).max_size_bytes == 32u << 20);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(recovery, a_smaller_max_size_that_cannot_hold_the_content_is_no_space_and_loses_nothing)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.ring_slots = 16}), *q = NULL;
    cfgs_error_detail detail = {0};
    load_ints(p, "k", 20000, false);
    cfgs_publisher_close(p, false);
    ino_t inode = inode_of(instance);
    fails(CFGS_ERR_NO_SPACE, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .ring_slots = 16,
                                                                           .max_size = 1u << 20, .detail = &detail},
                                                                           &q));
    cr_assert_gt(detail.bytes_needed, detail.bytes_available);
    cr_assert_eq(inode_of(instance), inode);
    p = publish_with(instance, (cfgs_publisher_options){0});
    cfgs_reader *r = reader_of(p);
    cr_assert_eq(int_of(r, "k19999"), 19999);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

/* Each kind of uselessness: replaced by a new arena, reason given, readers of the old one moved on. */
static void damaged(void (*damage)(struct arena_header *), bool keeps_ids)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    load_ints(p, "k", 100, false);
    cfgs_publisher_close(p, false);
    struct arena_header *header = map_header(instance);
    damage(header);
    munmap(header, ARENA_HEADER_BYTES);
    ino_t inode = inode_of(instance);

    p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_REPLACED);
    cr_assert_str_neq(cfgs_publisher_error(p)->message, "");
    cr_assert_neq(inode_of(instance), inode);
    cr_assert_eq(cfgs_publisher_sequence(p), keeps_ids ? 100 : 0);
    cfgs_reader *r = reader_of(p);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_STARTING);
    set_int(p, "a", 1);
    cr_assert_eq(int_of(r, "a"), 1);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

static void damage_magic(struct arena_header *header)
{
    header->magic = 0;
}

static void damage_layout(struct arena_header *header)
{
    header->layout_major = 7;
}

static void damage_order(struct arena_header *header)
{
    header->byte_order = 0x04030201;
}

static void damage_ring(struct arena_header *header)
{
    header->ring_slots = 3;
}

static void damage_version(struct arena_header *header)
{
    header->bank[header->current & 1].version += 2;
}

static void damage_place(struct arena_header *header)
{
    header->bank[header->current & 1].index_at = UINT64_MAX - 7;
}

static void damage_seed(struct arena_header *header)
{
    header->hash_seed ^= 1;
}

Test(recovery, an_arena_that_cannot_be_used_is_replaced_and_the_reason_kept)
{
    damaged(damage_magic, false);
    damaged(damage_layout, false);
    damaged(damage_order, false);
    damaged(damage_ring, false);
    damaged(damage_version, false);
}

Test(recovery, ids_go_on_above_those_of_a_damaged_arena_whose_last_id_is_known)
{
    damaged(damage_place, true);
    damaged(damage_seed, true);
}

/* A successor that died between marking and renaming left a superseded arena under the name. */
Test(recovery, a_superseded_arena_that_still_has_its_name_is_replaced_with_its_content)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    load_ints(p, "k", 100, false);
    cfgs_publisher_close(p, false);
    struct arena_header *header = map_header(instance);
    header->state = ARENA_STATE_SUPERSEDED;
    munmap(header, ARENA_HEADER_BYTES);
    ino_t inode = inode_of(instance);
    p = publish(instance);
    cr_assert_neq(inode_of(instance), inode);
    cr_assert_eq(cfgs_publisher_sequence(p), 100);
    cfgs_reader *r = reader_of(p);
    cr_assert_eq(int_of(r, "k99"), 99);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

/* Killed in the middle of a rebuild: an odd version in the bank that is not live (protocol-check, 8.5). */
Test(recovery, an_odd_other_bank_is_rebuilt_over)
{
    for (uint64_t odd = 1; odd < 8; odd += 2) {
        const char *instance = new_instance();
        cfgs_publisher *p = publish(instance);
        load_ints(p, "k", 100, false);
        cfgs_publisher_close(p, false);
        struct arena_header *header = map_header(instance);
        struct bank_words *other = &header->bank[1 - (header->current & 1)];
        other->version = odd;
        other->index_at = other->index_capacity = other->sequence = UINT64_MAX;
        munmap(header, ARENA_HEADER_BYTES);
        p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CLOSED);
        cfgs_reader *r = reader_of(p);
        cr_assert_eq(int_of(r, "k42"), 42);
        cr_assert_eq(cfgs_publisher_sequence(p), 100);
        cfgs_reader_close(r);
        cfgs_publisher_close(p, true);
    }
}

Test(recovery, a_new_mode_is_given_to_an_old_arena)
{
    const char *instance = new_instance();
    struct stat st;
    cfgs_publisher *p = publish(instance);
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
    p = publish_with(instance, (cfgs_publisher_options){.set_mode = true, .mode = 0604});
    cr_assert_eq(stat(arena_path(instance), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0604);
    cfgs_publisher_close(p, false);
    p = publish(instance);
    cr_assert_eq(stat(arena_path(instance), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0604, "a mode not asked for stays");
    cfgs_publisher_close(p, true);
}

Test(recovery, destroy_removes_a_quiet_arena_and_readers_let_go)
{
    const char *instance = new_instance();
    cfgs_publisher_options options = {.instance = instance};
    cfgs_publisher *p = publish(instance);

    set_int(p, "a", 1);
    cfgs_reader *r = reader_of(p);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    fails(CFGS_ERR_LOCKED, cfgs_arena_destroy(&options));
    cfgs_publisher_close(p, false);
    ok(cfgs_arena_destroy(&options));
    cr_assert_not(exists(arena_path(instance)));
    fails(CFGS_ERR_NOT_READY, cfgs_arena_destroy(&options));
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_SUPERSEDED);
    cr_assert_eq(int_of(r, "a"), 1, "reads go on giving the last state until there is another arena");
    p = publish(instance);
    set_int(p, "a", 2);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    cr_assert_eq(next_snapshot(r, CFGS_SNAPSHOT_REPLACED).sequence, cfgs_publisher_sequence(p));
    cr_assert_eq(int_of(r, "a"), 2);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(recovery, nothing_but_the_arena_is_left_after_a_close_and_nothing_after_an_unlink)
{
    const char *instance = new_instance();
    char lock[160], fresh[160];
    snprintf(lock, sizeof lock, "%s.lock", arena_path(instance));
    snprintf(fresh, sizeof fresh, "%s.new", arena_path(instance));
    cfgs_publisher *p = publish(instance);
    cr_assert(exists(lock));
    first_commit(p);
    cfgs_publisher_close(p, false);
    cr_assert(exists(arena_path(instance)) && !exists(lock) && !exists(fresh));
    p = publish_with(instance, (cfgs_publisher_options){.ring_slots = 16});
    cr_assert_not(exists(fresh));
    cfgs_publisher_close(p, true);
    cr_assert(!exists(arena_path(instance)) && !exists(lock) && !exists(fresh));
}

/* shm-pitfalls 18: a cleaner removed the files under a running producer. */
Test(recovery, a_producer_whose_arena_was_deleted_takes_its_name_back)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    bool moved = true;

    load_ints(p, "k", 50, false);
    cfgs_reader *r = open_reader(instance);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    ok(cfgs_publisher_keep_names(p, &moved));
    cr_assert_not(moved);
    cr_assert_eq(unlink(arena_path(instance)), 0);
    set_int(p, "k1", 11);
    cr_assert_eq(int_of(r, "k1"), 11, "who has the file mapped is still served");
    (void)next_update(r, "k1");
    ok(cfgs_publisher_keep_names(p, &moved));
    cr_assert(moved);
    cr_assert(exists(arena_path(instance)));
    cfgs_reader *late = open_reader(instance);
    cr_assert_eq(int_of(late, "k1"), 11);
    cfgs_event event = next_snapshot(r, CFGS_SNAPSHOT_REPLACED);
    cr_assert_eq(event.sequence, 51);
    set_int(p, "k2", 22);
    cr_assert_eq(next_update(r, "k2").sequence, 52);
    cr_assert_eq(int_of(late, "k2"), 22);
    await_state(r, CFGS_PRODUCER_RUNNING);
    cfgs_reader_close(late);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(recovery, a_producer_whose_lock_was_deleted_takes_it_anew)
{
    const char *instance = new_instance();
    char lock[160];
    cfgs_publisher *p = publish(instance), *second;
    bool moved = true;

    snprintf(lock, sizeof lock, "%s.lock", arena_path(instance));
    cr_assert_eq(unlink(lock), 0);
    ok(cfgs_publisher_keep_names(p, &moved));
    cr_assert_not(moved);
    cr_assert(exists(lock));
    fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &second));
    cfgs_publisher_close(p, true);
    cr_assert_not(exists(lock));
}
