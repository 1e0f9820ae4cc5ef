/**
 * @file base/notify.h  Tell the service manager how we are: sd_notify(3) by a plain datagram.
 *
 * Without NOTIFY_SOCKET, and where nobody listens there, every call does nothing.  None ever waits or fails.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody to tell */
    struct sockaddr_un address;
    socklen_t length;
};

/** Take NOTIFY_SOCKET, a path or an abstract name after '@', out of the environment. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/** Up and serving, also after a reload; the status is one line for people. */
void notify_ready(const struct notify *notify, const char *status);
/** The line for people alone: not up yet, or up and something else to tell. */
void notify_status(const struct notify *notify, const char *status);
void notify_reloading(const struct notify *notify);
void notify_stopping(const struct notify *notify);

#endif
