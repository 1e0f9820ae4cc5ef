/* cli/held.h: settings copied out of a view, to be used after it.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELD_H
#define CLI_HELD_H

#include <configstream/configstream.h>

/** A setting with memory of its own. */
struct held {
    cfgs_copy *value;
    char *texts; /* key, source name */
    cfgs_setting setting;
};

/** Growing array.  A zeroed one is empty. */
struct held_list {
    struct held *items;
    size_t count, capacity;
};

/** False when memory ran out, or the value is no value (a view whose bank is being recycled may show such). */
bool held_add(struct held_list *list, const cfgs_setting *setting);
void held_clear(struct held_list *list);
void held_sort(struct held_list *list); /* by key, bytewise */

/** All settings below a prefix, as of one point in time; *sequence says which.  A cfgs_error. */
int held_read_all(cfgs_reader *reader, const char *prefix, struct held_list *list, uint64_t *sequence);

/** One setting.  A cfgs_error. */
int held_read(cfgs_reader *reader, const char *key, struct held_list *list);

#endif
