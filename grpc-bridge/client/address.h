/* client/address.h: where a core may be.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_ADDRESS_H
#define CLIENT_ADDRESS_H

#include "base/host_port.h"
#include "client/failure.h"

#include <netinet/in.h>
#include <stdbool.h>

enum { ADDRESSES_MAX = 16, ADDRESS_NUMBER_BYTES = INET6_ADDRSTRLEN };

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

struct addresses {
    struct address all[ADDRESSES_MAX];
    unsigned count;
};

/** HOST:PORT with a port to dial; false: it is not of that form. */
bool address_parse(const char *text, char host[HOST_PORT_HOST_BYTES], const char **port);

/** An address as a number: nothing to look up, and no name to check.  Its usual notation, without a scope. */
bool address_number(const char *host, char to[ADDRESS_NUMBER_BYTES]);

/** Of numbers and "localhost" (both families) without a look-up; else by getaddrinfo(), which may take its time.
 *  Of more than there is room for the first. */
int address_resolve(const char *host, const char *port, struct addresses *out, struct failure *failure);

/** Put the one that worked last to the front, if it is still there. */
void address_prefer(struct addresses *addresses, const struct address *last);

#endif
