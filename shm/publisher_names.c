/*
 * publisher_names.c: a running producer whose files were removed.
 *
 * An unlinked arena still works for whoever has it mapped, but nobody new finds it, and an inode without a name cannot get
 * one again: its contents move to a new arena.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arena_lock.h"
#include "detail.h"
#include "publisher_private.h"
#include "recovery.h"
#include <configstream/error.h>
#include <sys/stat.h>
#include <unistd.h>

bool publisher_has_name(const cfgs_publisher *publisher)
{
    struct stat st;
    return lstat(publisher->name.path, &st) == 0 && st.st_dev == publisher->file.device &&
           st.st_ino == publisher->file.inode;
}

static int keep_lock(cfgs_publisher *publisher)
{
    int fd;

    if (arena_lock_is_named(&publisher->name, publisher->lock_fd))
        return CFGS_OK;
    int err = arena_lock_take(&publisher->name, &fd, &publisher->detail);
    publisher->lost = err == CFGS_ERR_LOCKED;
    if (err != CFGS_OK)
        return err;
    close(publisher->lock_fd);
    publisher->lock_fd = fd;
    return CFGS_OK;
}

/* Everything that describes the arena and its live bank; threads, batches and lock stay where they are. */
static void take_arena(cfgs_publisher *to, const cfgs_publisher *from)
{
    to->file = from->file;
    to->bank = from->bank;
    to->generation = from->generation;
    to->heap_at = from->heap_at;
    to->heap_end = from->heap_end;
    to->bump = from->bump;
    to->index = from->index;
    to->cells_used = from->cells_used;
    publisher_set_own(to);
}

static int move_arena(cfgs_publisher *publisher, bool *moved)
{
    cfgs_publisher fresh = {.name = publisher->name,
                            .named = true,
                            .info = publisher->info,
                            .file = {.fd = -1},
                            .geometry = publisher->geometry};
    struct arena_file old = publisher->file;
    struct stat st;

    if (fstat(old.fd, &st) == 0) {
        fresh.geometry.mode = st.st_mode & 0777;
        fresh.geometry.set_group = st.st_gid != getegid();
        fresh.geometry.group = st.st_gid;
    }
    fresh.geometry.base_sequence = publisher->sequence;
    int err = publisher_create(&fresh);
    if (err == CFGS_OK)
        err = recovery_adopt(&fresh, publisher);
    if (err == CFGS_OK)
        publisher_announce(&fresh);
    if (err == CFGS_OK)
        err = arena_link(&publisher->name, &fresh.file, &old, &fresh.detail);
    if (err != CFGS_OK) {
        publisher->detail = fresh.detail;
        arena_file_close(&fresh.file);
        return err;
    }
    helpers_stop(publisher);
    take_arena(publisher, &fresh);
    arena_file_close(&old);
    *moved = true;
    err = helpers_start(publisher);
    publisher_wake(publisher);
    return err;
}

int cfgs_publisher_keep_names(cfgs_publisher *publisher, bool *moved)
{
    bool ignored;

    if (moved == NULL)
        moved = &ignored;
    *moved = false;
    if (fork_guard_forked(&publisher->guard))
        return CFGS_ERR_FORKED;
    if (publisher->batch.open)
        return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0, "a batch is open: commit or abort it first");
    if (!publisher->named)
        return CFGS_OK;
    if (publisher->lost)
        return CFGS_ERR_LOCKED;
    int err = keep_lock(publisher);
    if (err != CFGS_OK || publisher_has_name(publisher))
        return err;
    return move_arena(publisher, moved);
}
