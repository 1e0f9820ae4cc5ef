/* daemon/notify.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void send_text(const struct notify *notify, const char *text)
{
    if (notify->fd >= 0) /* lost where nobody takes it: that is the manager's loss, not ours */
        (void)sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                     (const struct sockaddr *)&notify->address, notify->length);
}

void notify_open(struct notify *notify)
{
    *notify = (struct notify){.fd = -1, .address.sun_family = AF_UNIX};
    const char *name = getenv("NOTIFY_SOCKET");
    size_t length = name ? strlen(name) : 0;
    if (length < 2 || length >= sizeof notify->address.sun_path || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(notify->address.sun_path, name, length);
    notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (name[0] == '@')
        notify->address.sun_path[0] = '\0';
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsetenv("NOTIFY_SOCKET"); /* a program that anything of ours starts must not speak for us */
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

static void send_status(const struct notify *notify, const char *before, const char *status)
{
    char text[2048];
    int head = snprintf(text, sizeof text, "%sSTATUS=", before);
    snprintf(text + head, sizeof text - (size_t)head, "%s", status);
    for (char *at = text + head; *at; at++)
        if (*at == '\n') /* the rest would be taken for a variable of its own */
            *at = ' ';
    send_text(notify, text);
}

void notify_ready(const struct notify *notify, const char *status)
{
    send_status(notify, "READY=1\n", status);
}

void notify_status(const struct notify *notify, const char *status)
{
    send_status(notify, "", status);
}

void notify_reloading(const struct notify *notify)
{
    char text[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
             (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    send_text(notify, text);
}

void notify_stopping(const struct notify *notify)
{
    send_text(notify, "STOPPING=1");
}
