/*
 * deaths.h: a process that dies before a chosen store to the arena.  For programs that are built with the library's store
 * hook (configstream_hooked).  SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_TESTS_DEATHS_H
#define CFGS_TESTS_DEATHS_H

#include <stdint.h>
#include <sys/types.h>

/* From here on the calling thread's stores are counted; before this one the process is killed (0: before none).  The
 * library's helper threads store too, and are not counted. */
void death_arm(uint64_t before_store);
/* How many stores so far. */
uint64_t death_stores(void);
/* No more are counted; returns how many there were. */
uint64_t death_disarm(void);

/* Wait for a child of child_start(), which must have been killed. */
void death_reap(pid_t pid);

/* control->word[]: set before the child that reads it starts, or read after the one that set it was reaped. */
uint64_t death_word(unsigned word);
void death_set_word(unsigned word, uint64_t value);

#endif
