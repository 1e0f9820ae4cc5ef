/**
 * @file bridge/listen.h  The listening sockets: one per worker and address, sharing the port by SO_REUSEPORT.
 *
 * SO_REUSEPORT would let a second bridge of the same user take half of the connections unnoticed.  So each address is
 * first taken alone; only while that socket listens do the workers' sockets join it, and then it goes.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_LISTEN_H
#define BRIDGE_LISTEN_H

#include "base/host_port.h"
#include "base/problem.h"

#include <stdbool.h>
#include <sys/socket.h>

enum {
    LISTEN_ADDRESSES_MAX = 32,
    LISTEN_HOST_BYTES = HOST_PORT_HOST_BYTES,
    LISTEN_NAME_BYTES = HOST_PORT_NAME_BYTES
};

struct listen_address {
    struct sockaddr_storage address;
    socklen_t length;
    unsigned name; /* the same for the addresses of one name: they have one port, and not all need be there */
};

struct listen_addresses {
    struct listen_address all[LISTEN_ADDRESSES_MAX];
    unsigned count, names;
};

/** The host of HOST:PORT, without the brackets of an IPv6 address.  False: it is not of that form. */
bool listen_host(const char *text, char host[LISTEN_HOST_BYTES]);

/** Add the addresses of HOST:PORT.  The problem begins with `option`. */
bool listen_resolve(struct listen_addresses *addresses, const char *option, const char *text, struct problem *problem);

bool listen_is_loopback(const struct listen_address *address);

/** For people and logs: 127.0.0.1:5001, [::1]:5001. */
void listen_name(const struct listen_address *address, char to[LISTEN_NAME_BYTES]);

/**
 * A listening socket for each worker and address: (*fds)[worker * addresses->count + address], freed by the caller.
 * Port 0 becomes the one that the kernel gave; an address that the host does not have is left out where its name has
 * others.  The problem's way out names the option.
 */
bool listen_open(struct listen_addresses *addresses, const char *option, unsigned workers, int **fds,
                 struct problem *problem);

#endif
