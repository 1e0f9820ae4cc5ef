/* client/address.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool address_parse(const char *text, char host[HOST_PORT_HOST_BYTES], const char **port)
{
    return host_port_split(text, host, port) && atol(*port) > 0;
}

static int look_up(const char *host, const char *port, int flags, struct addrinfo **found)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | flags, .ai_socktype = SOCK_STREAM};
    *found = NULL;
    return getaddrinfo(host, port, &hints, found);
}

bool address_number(const char *host, char to[ADDRESS_NUMBER_BYTES])
{
    char text[NI_MAXHOST];
    struct addrinfo *found;
    if (look_up(host, NULL, AI_NUMERICHOST, &found) != 0)
        return false;
    bool known = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
    size_t length = known ? strcspn(text, "%") : ADDRESS_NUMBER_BYTES;
    if (length >= ADDRESS_NUMBER_BYTES)
        return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

static bool is_same(const struct address *a, const struct address *b)
{
    return a->length == b->length && memcmp(&a->storage, &b->storage, a->length) == 0;
}

static bool is_known(const struct addresses *addresses, const struct address *address)
{
    for (unsigned i = 0; i < addresses->count; i++)
        if (is_same(&addresses->all[i], address))
            return true;
    return false;
}

static void add_all(struct addresses *addresses, const struct addrinfo *found)
{
    for (; found && addresses->count < ADDRESSES_MAX; found = found->ai_next) {
        struct address address = {.length = found->ai_addrlen};
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
            continue;
        memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
        if (!is_known(addresses, &address))
            addresses->all[addresses->count++] = address;
    }
}

static int add(struct addresses *addresses, const char *host, const char *port, int flags)
{
    struct addrinfo *found;
    int error = look_up(host, port, flags, &found);
    if (error)
        return error;
    add_all(addresses, found);
    freeaddrinfo(found);
    return 0;
}

/* localhost is both families, whatever a host's files make of it (RFC 6761). */
static int add_name(struct addresses *addresses, const char *host, const char *port)
{
    if (strcasecmp(host, "localhost") != 0)
        return add(addresses, host, port, 0); /* which looks up no numbers */
    int error = add(addresses, "127.0.0.1", port, AI_NUMERICHOST);
    return error ? error : add(addresses, "::1", port, AI_NUMERICHOST);
}

int address_resolve(const char *host, const char *port, struct addresses *out, struct failure *failure)
{
    out->count = 0;
    int error = add_name(out, host, port);
    if (error == EAI_MEMORY)
        return failure_memory(failure);
    if (error)
        return failure_set(failure, CFGS_ERR_UNREACHABLE, "there is no address for '%s': %s", host,
                           error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    if (!out->count)
        return failure_set(failure, CFGS_ERR_UNREACHABLE, "there is no IPv4 or IPv6 address for '%s'", host);
    return CFGS_OK;
}

void address_prefer(struct addresses *addresses, const struct address *last)
{
    for (unsigned i = 1; i < addresses->count; i++)
        if (is_same(&addresses->all[i], last)) {
            const struct address found = addresses->all[i];
            addresses->all[i] = addresses->all[0];
            addresses->all[0] = found;
            return;
        }
}
