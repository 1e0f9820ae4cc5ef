/*
 * publisher_replace.c: a new arena in the place of the publisher's own.
 *
 * For an arena that lost its name, and for a state that has no ID left in the old one (a republisher whose source began
 * anew).  The new arena is built where nobody sees it, with everything in it; then it takes the name, or, of an arena in
 * memory, the place that readers ask for; the old one is marked superseded and its sleepers are woken.  So a reader goes
 * from the old state straight to the new one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "publisher_private.h"
#include <configstream/error.h>
#include <sys/stat.h>
#include <unistd.h>

/* Mode and group are what they are now, whoever changed them. */
static void take_permissions(const cfgs_publisher *publisher, struct arena_geometry *geometry)
{
    struct stat st;

    if (fstat(publisher->file.fd, &st) != 0)
        return;
    geometry->mode = st.st_mode & 0777;
    geometry->set_group = st.st_gid != getegid();
    geometry->group = st.st_gid;
}

/*
 * Everything that describes the arena and its live bank; threads, batches and lock stay where they are.  The lock: neither
 * a helper thread nor the opening of a reader may be in the middle of the old file.
 */
static void take_arena(cfgs_publisher *to, const cfgs_publisher *from)
{
    pthread_mutex_lock(&to->lock);
    to->file = from->file;
    /* The old arena's word counted otherwise. */
    to->helpers.woken = word32_load_acquire(&from->file.header->wake); /* [private] acquire: a plain look would do. */
    pthread_mutex_unlock(&to->lock);
    to->bank = from->bank;
    to->generation = from->generation;
    to->sequence = from->sequence;
    to->heap_at = from->heap_at;
    to->heap_end = from->heap_end;
    to->bump = from->bump;
    to->index = from->index;
    to->cells_used = from->cells_used;
    to->settings = from->settings;
    to->live_bytes = from->live_bytes;
    to->loaded = from->loaded;
    to->info = from->info;
    to->contact_ns = from->contact_ns;
    to->connected = from->connected;
    publisher_set_own(to);
}

static int build(cfgs_publisher *fresh, const struct replacement *replacement)
{
    int err = publisher_create(fresh);

    if (err == CFGS_OK)
        err = replacement->fill(fresh, replacement->context);
    if (err == CFGS_OK)
        publisher_announce(fresh);
    return err;
}

int publisher_replace(cfgs_publisher *publisher, const struct replacement *replacement)
{
    cfgs_publisher fresh = {.name = publisher->name,
                            .named = publisher->named,
                            .info = publisher->info,
                            .contact_ns = publisher->contact_ns,
                            .connected = publisher->connected,
                            .file = {.fd = -1},
                            .geometry = publisher->geometry};
    struct arena_file old = publisher->file;
    /* The name is taken over whoever has it: nobody else may. */
    int err = publisher->named ? publisher_keep_lock(publisher) : CFGS_OK;

    if (err != CFGS_OK)
        return err;
    fresh.geometry.base_sequence = replacement->base_sequence;
    take_permissions(publisher, &fresh.geometry);
    err = build(&fresh, replacement);
    if (err == CFGS_OK && publisher->named)
        err = arena_link(&publisher->name, &fresh.file, &old, &fresh.detail);
    if (err != CFGS_OK) {
        publisher->detail = fresh.detail;
        arena_file_close(&fresh.file);
        return err;
    }
    take_arena(publisher, &fresh);
    if (!publisher->named)
        arena_supersede_and_wake(&old); /* after take_arena(): whom it sends to us finds the new one */
    arena_file_close(&old);
    publisher_wake(publisher);
    return CFGS_OK;
}
