/*
 * corpus.h: settings as an agent has them: dotted keys of about 30 characters, values of every kind.
 *
 * Each setting has two revisions, so that every update can be a change.  The same number always gives the same corpus.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_CORPUS_H
#define BENCH_CORPUS_H

#include <configstream/setting.h>
#include <stdint.h>

struct entry {
    const char *key; /* NUL-terminated */
    size_t key_length;
    cfgs_value value[2];
};

struct corpus {
    struct entry *entries;
    size_t count;
    struct corpus_block *blocks; /* memory of keys and texts */
};

/* 30 % bool, 25 % int, 10 % double, 25 % string (8 to 40 bytes), 5 % list, 5 % struct. */
void corpus_make(size_t count, struct corpus *out);
void corpus_free(struct corpus *corpus);

cfgs_setting corpus_setting(const struct entry *entry, unsigned revision);

/* The number'th of `hot` settings that lie evenly over the corpus. */
const struct entry *corpus_hot(const struct corpus *corpus, size_t number, size_t hot);

/* A list of entries in an order of its own. */
struct entry_list {
    const struct entry **at;
    size_t count;
};

/* Entries of one kind among `hot` ones (all: hot = corpus->count), shuffled, always in the same way. */
struct entry_list corpus_of_kind(const struct corpus *corpus, cfgs_kind kind, size_t hot);

/* Instead of each entry once: `times` as many random draws from the list. */
void entry_list_draw(struct entry_list *list, size_t times);
void entry_list_free(struct entry_list *list);

/* What a reader makes of a value, to be summed up and compared. */
uint64_t fold_bytes(const char *data, size_t length);
uint64_t fold_double(double number);
uint64_t fold_value(const cfgs_value *value);

#endif
