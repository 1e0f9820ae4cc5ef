/* daemon/daemon.h: the running producer.  SPDX-License-Identifier: Apache-2.0 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "control/server.h"
#include "base/notify.h"
#include "daemon/options.h"
#include "daemon/watch.h"

struct daemon {
    struct options options;
    struct log log;
    struct config config;
    cfgs_publisher *publisher;
    struct control_server server;
    struct watch watch;
    struct notify notify;
    int signal_fd;
    struct log_followed log_followed;
    int names_error;             /* of the last look after the arena's name; said once */
    uint64_t warnings;           /* of the load in force */
    struct problem reload_error; /* of the last reload; empty text if it went well */
};

/** Read the files again and publish the differences; logs what came of it. */
bool daemon_reload(struct daemon *daemon, uint64_t *changes, struct problem *problem);

/** To be called after every publishing: the log follows the published log_level unless --log-level pinned it. */
void daemon_follow_log_level(struct daemon *daemon);

/** The control_handler of the daemon; context is the struct daemon. */
control_handler daemon_handle_request;

#endif
