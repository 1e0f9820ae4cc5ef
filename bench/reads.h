/* reads.h: the read operations that are measured, in runs of one kind.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_READS_H
#define BENCH_READS_H

#include "corpus.h"
#include <configstream/configstream.h>

#define READ_KINDS 4 /* bool, int, double, string: what has a getter that copies nothing to the heap */
extern const cfgs_kind read_kinds[READ_KINDS];

/* Point reads by key; the sum of the folds.  Dies on an error. */
uint64_t read_by_key(cfgs_reader *reader, cfgs_kind kind, const struct entry *const *at, size_t count);

/* Handles of entries of one kind. */
struct handle_list {
    cfgs_handle **at;
    size_t count;
};
struct handle_list handles_new(cfgs_reader *reader, const struct entry_list *entries);
void handles_free(struct handle_list *handles);
uint64_t read_by_handle(cfgs_kind kind, const struct handle_list *handles);

/* What either must bring. */
uint64_t read_expected(const struct entry *const *at, size_t count);

/* Ten keys of one point in time: 3 bool, 3 int, 1 double, 3 string, where there are that many. */
#define VIEW_KEYS 10
struct view_keys {
    const struct entry *at[VIEW_KEYS];
};
uint64_t read_view(cfgs_reader *reader, const struct view_keys *keys);

#endif
