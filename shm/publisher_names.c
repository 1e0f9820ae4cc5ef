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

int publisher_keep_lock(cfgs_publisher *publisher)
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

static int fill_with_state(cfgs_publisher *fresh, void *context)
{
    return recovery_adopt(fresh, context);
}

static int move_arena(cfgs_publisher *publisher, bool *moved)
{
    struct replacement replacement = {.base_sequence = publisher->sequence, .fill = fill_with_state, .context = publisher};
    int err = publisher_replace(publisher, &replacement);

    *moved = err == CFGS_OK;
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
    int err = publisher_keep_lock(publisher);
    if (err != CFGS_OK || publisher_has_name(publisher))
        return err;
    return move_arena(publisher, moved);
}
