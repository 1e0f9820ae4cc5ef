/* base/host_port.h: HOST:PORT, and addresses as text.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HOST_PORT_H
#define BASE_HOST_PORT_H

#include <stdbool.h>
#include <sys/socket.h>

enum {
    HOST_PORT_HOST_BYTES = 256,
    HOST_PORT_NAME_BYTES = 64 /* "[ADDRESS]:PORT" */
};

/** The host without the brackets of an IPv6 address, and where the port begins in the text: digits, at most 65535.
 *  False: it is not of that form. */
bool host_port_split(const char *text, char host[HOST_PORT_HOST_BYTES], const char **port);

/** For people and logs, of AF_INET or AF_INET6: 127.0.0.1:5001, [::1]:5001. */
void host_port_name(const struct sockaddr_storage *address, char to[HOST_PORT_NAME_BYTES]);

#endif
