/* bridge/status.h: the status socket, which `configstream status` asks.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_STATUS_H
#define BRIDGE_STATUS_H

#include "bridge/bridge.h"
#include "bridge/listen.h"
#include "control/server.h"

struct status {
    struct control_server server; /* its epoll_fd and timeout are the main loop's */
    const struct bridge *bridge;
    const struct listen_addresses *addresses;
};

/** Who may ask beside root and our own user is a group's. */
struct status_options {
    const char *instance, *path; /* path NULL: the default one */
    bool set_group;
    gid_t group;
};

bool status_open(struct status *status, const struct bridge *bridge, const struct listen_addresses *addresses,
                 const struct status_options *options, struct problem *problem);

#endif
