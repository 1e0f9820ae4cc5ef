/* daemon/options.h: configstreamd's command line.  SPDX-License-Identifier: Apache-2.0 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include "base/log.h"
#include "resolve/config.h"

#include <sys/types.h>

struct options {
    struct config_files files;
    const char *instance, *arena_path, *control;
    bool set_control_group, set_mode, set_group;
    gid_t control_group, group;
    mode_t mode;
    uint32_t ring_slots; /* 0: default */
    uint64_t max_size;   /* 0: default */
    char **sets;         /* KEY=VALUE, as given; set_count of them */
    size_t set_count;
    bool check, print_size, forget_runtime, unlink, no_watch;
    uint64_t settings; /* of --print-size */
    struct log log;
};

/** Parse; on a mistake says what is wrong and exits 2. */
void options_parse(struct options *options, int argc, char **argv);
void options_clear(struct options *options);

#endif
