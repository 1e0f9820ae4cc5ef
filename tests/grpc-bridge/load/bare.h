/* bare.h: what the libraries alone cost: a server of OpenSSL and nghttp2 that keeps one open stream on each connection
 * and, told so, writes the same bytes to all of them in a loop of SSL_write().
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_BARE_H
#define BRIDGE_TESTS_BARE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** The program's main() hands over to this when its first argument is BARE_ARGUMENT. */
#define BARE_ARGUMENT "--bare-server"
int bare_main(char **arguments);

struct bare_server {
    pid_t pid;
    int control;
    uint16_t port;
};

/** Start this program again as the bare server.  It ends with this process. */
struct bare_server bare_start(const char *certificate);

/** Let it write one DATA frame with these bytes to every connection. */
void bare_send(const struct bare_server *server, const uint8_t *bytes, size_t length);

#endif
