/*
 * arena_lock.h: one producer per arena.
 *
 * The lock is an open-file-description lock on a file of mode 0600 beside the arena: readers cannot open it, and the
 * kernel drops it when the producer dies.  SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_ARENA_LOCK_H
#define CFGS_ARENA_LOCK_H

#include "arena_name.h"
#include <stdbool.h>

/* CFGS_OK and *fd; CFGS_ERR_LOCKED (detail names the holder), _PERMISSION, _UNTRUSTED, _SYSTEM. */
int arena_lock_take(const struct arena_name *name, int *fd, cfgs_error_detail *detail);

/* Does the lock's file still have its name?  If not, somebody else can take the lock beside us. */
bool arena_lock_is_named(const struct arena_name *name, int fd);

/* Remove the lock's file and release it. */
void arena_lock_drop(const struct arena_name *name, int fd);

/* Show on the arena itself that its producer lives: a write lock that readers may probe. False: a reader is in the way. */
bool arena_signal_lock(int arena_fd);

/* Does somebody else show that?  A dead producer's lock may outlive its lock file's by a moment: waits up to a second. */
bool arena_signal_is_held(int arena_fd);

#endif
