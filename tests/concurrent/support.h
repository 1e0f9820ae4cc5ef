/*
 * support.h: what the concurrent programs share: a workload whose every state can be checked, its producer, and children.
 *
 * Values are a pure function of (key, ID).  Before each commit the producer notes, for each ID, the digest and the number of
 * settings of the whole state at that ID in an oracle that all processes share.  So a reader can check every value alone,
 * every old value against its own copy, and after each event or view that its whole state is the producer's, without
 * asking it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_TESTS_SUPPORT_H
#define CFGS_TESTS_SUPPORT_H

#include <configstream/configstream.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* "mono.N": int, the ID itself; "group.G.N": always written in one batch, in order; the others as their names say. */
enum {
    MONOS = 8,
    GROUPS = 8,
    GROUP_KEYS = 10,
    SCALARS = 128,
    TEXTS = 128,
    LISTS = 16,
    BIGS = 6,
    BULKS_MAX = 12000,

    GROUP_FIRST = MONOS,
    SCALAR_FIRST = GROUP_FIRST + GROUPS * GROUP_KEYS,
    TEXT_FIRST = SCALAR_FIRST + SCALARS,
    LIST_FIRST = TEXT_FIRST + TEXTS,
    BIG_FIRST = LIST_FIRST + LISTS,
    BULK_FIRST = BIG_FIRST + BIGS,
    KEYS = BULK_FIRST + BULKS_MAX
};
#define GROUP_TOTAL INT64_C(1000000007) /* of the first two keys of a group, always */
#define BIG_BYTES_MAX (512u << 10)

struct scratch {
    char text[BIG_BYTES_MAX];
    cfgs_builder *builder;
};
struct scratch *scratch_new(void);
void scratch_free(struct scratch *scratch);

uint64_t mix(uint64_t a, uint64_t b);
const char *key_name(unsigned key); /* static storage, made once by control_new() */
int key_parse(cfgs_bytes name);     /* -1: none of ours */
int key_source(unsigned key);
void workload_set_big(unsigned bytes); /* the bound of big texts in this process */
/* The value of a key at the ID of its update; borrows scratch. */
cfgs_value value_of(unsigned key, uint64_t sequence, struct scratch *scratch);
/* NULL, or what is wrong with a setting; *key: its number. */
const char *setting_wrong(const cfgs_setting *setting, struct scratch *scratch, int *key);
/* The same for a text alone, which says its ID itself; 0: it is none of ours. */
uint64_t text_sequence(unsigned key, const char *text, size_t length, struct scratch *scratch);

/* ---- the whole state --------------------------------------------------------------------------------------------- */

struct model {
    uint64_t sequence[KEYS]; /* 0: absent */
    uint64_t digest, count;
};
void model_put(struct model *model, unsigned key, uint64_t sequence); /* 0: remove */

#define ORACLE_ENTRIES (UINT64_C(1) << 21)
struct oracle_entry {
    _Atomic uint64_t sequence, digest, count;
};
#define COUNT_UNKNOWN UINT64_MAX /* an ID inside a batch whose order only the library knows */

#define READERS_MAX 24
struct reader_stats {
    const char *kind;
    _Atomic uint64_t views, reads, updates, snapshots, laps, retries, busy, joins, unverified, cursor;
};

/* One page range that all processes of a test share. */
struct control {
    _Atomic uint64_t started; /* a first state was published */
    _Atomic uint64_t intent, acknowledged; /* last ID of the commit under way, of the last commit that returned */
    _Atomic uint64_t final;   /* the producer's last ID, known before it is committed; 0: not yet */
    _Atomic uint64_t commits, rebuilds, growth, loads, batches;
    _Atomic uint64_t life;    /* producer incarnations */
    _Atomic uint64_t word[8]; /* of the single programs */
    struct reader_stats readers[READERS_MAX];
    struct oracle_entry oracle[ORACLE_ENTRIES];
};
extern struct control *control;
void control_new(void);

/* Fails the test unless the model is the producer's state at this ID.  Counts what the oracle no longer knows. */
void model_check(const struct model *model, uint64_t sequence, struct reader_stats *stats, const char *where);

/*
 * Read all settings of a view into the model.  CFGS_OK, or the view's error (LAPPED, BUSY).  Only what was validated is
 * judged.
 */
int state_read(cfgs_view *view, struct model *model, struct scratch *scratch, struct reader_stats *stats,
               const char *where);

/* ---- the producer ------------------------------------------------------------------------------------------------ */

struct workload {
    uint32_t ring_slots;
    uint64_t max_size;
    unsigned bulk_keys;              /* loaded and removed at once now and then; must exceed half the ring */
    unsigned big_bytes;              /* up to so many in a big value */
    unsigned one_big_in, one_load_in, one_at_in, one_replace_in; /* commits; 0: never */
    bool no_wake_thread;
};

struct change_list {
    unsigned count;
    struct {
        unsigned key;
        bool remove;
    } item[KEYS];
};

struct producer {
    cfgs_publisher *publisher;
    struct workload workload;
    struct model model;
    struct change_list list;
    struct scratch *scratch;
    uint64_t random, stamp[KEYS], stamps, commits;
};
/* Open, and take back the model from what is there. */
struct producer *producer_open(const struct workload *workload, const char *instance, uint64_t seed);
int producer_options_open(const struct workload *workload, const char *instance, cfgs_publisher **out,
                          cfgs_error_detail *detail);
void producer_free(struct producer *producer, bool unlink_arena);
void produce_first_load(struct producer *producer);
void produce(struct producer *producer); /* one commit, of the workload's mix */

/* Build a commit by hand. */
void stage_set(struct producer *producer, unsigned key);
void stage_remove(struct producer *producer, unsigned key);
void stage_group(struct producer *producer, unsigned group, bool remove);
void produce_commit(struct producer *producer);                    /* what was staged */
void produce_at(struct producer *producer, uint64_t gap);          /* the same, by cfgs_batch_at() */
void produce_replace(struct producer *producer, unsigned one_in);  /* all live keys, without one in so many */

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* A stream reader with its own copy of the state. */
struct follower {
    cfgs_reader *reader;
    struct model *model;
    struct scratch *scratch;
    struct reader_stats *stats;
    uint64_t last;
    bool have; /* the model is that at `last` */
};
struct follower *follower_new(cfgs_reader *reader, struct reader_stats *stats);
void follower_free(struct follower *follower); /* not the reader */
/* Take one event and check it; CFGS_OK, TIMEOUT, CLOSED, INTERRUPTED; anything else fails the test. */
int follow(struct follower *follower, int timeout_ms);

/* One view of a group and a point read between: whole or absent, in order, and never back. */
struct view_reader {
    cfgs_reader *reader;
    struct reader_stats *stats;
    struct scratch *scratch;
    struct model *model;
    uint64_t last, mono_last[MONOS], random;
};
void view_round(struct view_reader *reader); /* a group and some keys */
void view_whole(struct view_reader *reader); /* all settings */
void point_round(struct view_reader *reader);
void copy_round(struct view_reader *reader); /* strings, lists, big values */
void map_round(struct view_reader *reader);
void mono_check(struct view_reader *reader, unsigned key, int64_t value, const char *how);

cfgs_reader *reader_open(const char *instance);

/* ---- children ---------------------------------------------------------------------------------------------------- */

uint64_t random_next(uint64_t *state);
static inline unsigned random_below(uint64_t *state, unsigned n)
{
    return (unsigned)(random_next(state) >> 33) % n;
}
uint64_t now_ns(void);

/* Print, and end this process with 1 (its parent then ends the others). */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail(__VA_ARGS__);                                                                                         \
    } while (0)

/* A child that dies with its parent; runs body(argument) and exits 0. */
pid_t child_start(void (*body)(void *argument), void *argument);
/* The child was reaped: it must have ended well. */
void child_judge(pid_t pid, int status);
void child_forget(pid_t pid);       /* reaped by the caller */
void children_wait(void);           /* all of them, each must exit 0 */
bool children_poll(void);           /* has one ended?  Fails the test if it ended badly */
void test_begin(const char *instance); /* the arena to remove when the test ends, whichever way */
void test_end(void);

#endif
