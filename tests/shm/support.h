/*
 * support.h: what the suites of tests/shm and tests/faults share: unique instances, short ways to publish and read, and
 * child processes that report through their exit status.
 *
 * Every helper asserts; a test that goes on has what it asked for.  In a child (no test framework there) use CHECK().
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SHM_SUPPORT_H
#define TESTS_SHM_SUPPORT_H

#include <configstream/configstream.h>
#include <criterion/criterion.h>
#include <shm/layout.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- results ----------------------------------------------------------------------------------------------------- */

#define ok(call)                                                                                                       \
    do {                                                                                                               \
        int ok_result_ = (call);                                                                                       \
        cr_assert(ok_result_ == CFGS_OK, "%s:%d: %s: %s (%d)", __FILE__, __LINE__, #call, cfgs_strerror(ok_result_),   \
                  ok_result_);                                                                                         \
    } while (0)

#define fails(expected, call)                                                                                          \
    do {                                                                                                               \
        int fails_result_ = (call);                                                                                    \
        cr_assert(fails_result_ == (expected), "%s:%d: %s: got %s (%d), want %d", __FILE__, __LINE__, #call,           \
                  cfgs_strerror(fails_result_), fails_result_, (expected));                                            \
    } while (0)

/* In a child: end it with the line as exit status, so that the parent's assertion names the place. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            child_failed(__LINE__, #condition);                                                                        \
    } while (0)
_Noreturn void child_failed(int line, const char *condition);

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* A name no other test and no other run uses; whatever carries it in /dev/shm is removed by names_clean(). */
const char *new_instance(void);
/* Path of an instance's arena; static storage, one of four. */
const char *arena_path(const char *instance);
/* The fixture of every suite that makes instances: .fini = names_clean. */
void names_clean(void);
bool exists(const char *path);

/* ---- publishing -------------------------------------------------------------------------------------------------- */

cfgs_publisher *publish(const char *instance);
cfgs_publisher *publish_with(const char *instance, cfgs_publisher_options options);
/* A publisher in memory, with the reader that belongs to it. */
cfgs_publisher *publish_in_memory(uint32_t ring_slots);
cfgs_reader *reader_of(cfgs_publisher *publisher);

cfgs_setting setting_of(const char *key, cfgs_value value, int source);
cfgs_value text_value(const char *text);
bool set_value(cfgs_publisher *publisher, const char *key, cfgs_value value, int source);
bool set_int(cfgs_publisher *publisher, const char *key, int64_t value);
bool set_text(cfgs_publisher *publisher, const char *key, const char *text);
bool remove_key(cfgs_publisher *publisher, const char *key);
/* A batch of ints "<prefix><from>" ... with the values 0, 1, ...; returns the IDs it took. */
uint64_t load_ints(cfgs_publisher *publisher, const char *prefix, size_t count, bool replace);
/* Make the publisher ready without settings. */
void first_commit(cfgs_publisher *publisher);
/* Rebuild: fill the bank by updates of one key until its generation changes. */
void force_rebuild(cfgs_publisher *publisher, cfgs_reader *reader);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

cfgs_reader *open_reader(const char *instance);
int64_t int_of(cfgs_reader *reader, const char *key);
/* One setting by a validated view; borrowed, so before the next change only. */
cfgs_setting setting_in(cfgs_reader *reader, const char *key);
/* The next event, which must come at once. */
cfgs_event next_event(cfgs_reader *reader);
cfgs_event next_snapshot(cfgs_reader *reader, cfgs_snapshot_reason reason);
cfgs_event next_update(cfgs_reader *reader, const char *key);
void no_event(cfgs_reader *reader);
cfgs_reader_info status_of(cfgs_reader *reader);
/* Wait (bounded) until the status is the expected one. */
void await_state(cfgs_reader *reader, cfgs_producer_state state);
bool bytes_are(cfgs_bytes bytes, const char *text);

/* ---- processes --------------------------------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int to_child, from_child; /* a byte each way */
};

/* Run body in a child; it may say child_ready() and wait for child_go(); its return ends it with status 0. */
struct child child_start(void (*body)(const char *instance), const char *instance);
void child_ready(void);
void child_go(void);
void await_ready(const struct child *child);
void let_go(const struct child *child);
/* Wait for its end: 0, or the line of the CHECK that failed, or 1000 + the signal that killed it. */
int child_end(struct child *child);
void child_kill(struct child *child);
/* A body: publish "a" = 1 and "b" = 2, say ready, stay. */
void producer_body(const char *instance);

/* ---- deterministic pseudo-random numbers
   -------------------------------------------------------------------------- */

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#endif
