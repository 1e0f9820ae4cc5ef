/* base/host_port.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/host_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool host_port_split(const char *text, char host[HOST_PORT_HOST_BYTES], const char **port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) || atol(colon + 1) > 65535)
        return false;
    bool bracketed = text[0] == '[' && colon > text + 2 && colon[-1] == ']';
    const char *from = bracketed ? text + 1 : text, *to = bracketed ? colon - 1 : colon;
    size_t length = (size_t)(to - from);
    if (!length || length >= HOST_PORT_HOST_BYTES)
        return false;
    memcpy(host, from, length);
    host[length] = '\0';
    if (!bracketed && strpbrk(host, ":[]"))
        return false;
    *port = colon + 1;
    return true;
}

void host_port_name(const struct sockaddr_storage *address, char to[HOST_PORT_NAME_BYTES])
{
    char text[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    bool old = address->ss_family == AF_INET;
    inet_ntop(old ? AF_INET : AF_INET6, old ? (const void *)&v4->sin_addr : &v6->sin6_addr, text, sizeof text);
    snprintf(to, HOST_PORT_NAME_BYTES, old ? "%s:%u" : "[%s]:%u", text, ntohs(old ? v4->sin_port : v6->sin6_port));
}
