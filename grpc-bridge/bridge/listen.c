/* bridge/listen.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* ---- addresses --------------------------------------------------------------------------------------------------- */

bool listen_host(const char *text, char host[LISTEN_HOST_BYTES])
{
    const char *port;
    return host_port_split(text, host, &port);
}

static bool is_known(const struct listen_addresses *addresses, const struct addrinfo *found)
{
    for (unsigned i = 0; i < addresses->count; i++)
        if (addresses->all[i].length == found->ai_addrlen &&
            memcmp(&addresses->all[i].address, found->ai_addr, found->ai_addrlen) == 0)
            return true;
    return false;
}

static bool add_all(struct listen_addresses *addresses, const struct addrinfo *found)
{
    for (; found; found = found->ai_next) {
        if ((found->ai_family != AF_INET && found->ai_family != AF_INET6) || is_known(addresses, found))
            continue;
        if (addresses->count == LISTEN_ADDRESSES_MAX)
            return false;
        struct listen_address *address = &addresses->all[addresses->count++];
        *address = (struct listen_address){.length = found->ai_addrlen, .name = addresses->names};
        memcpy(&address->address, found->ai_addr, found->ai_addrlen);
    }
    return true;
}

/* 0, or what getaddrinfo() says; `fits` is false when there are more addresses than places. */
static int look_up(struct listen_addresses *addresses, const char *host, const char *port, bool *fits)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error)
        return error;
    *fits = add_all(addresses, found) && *fits;
    freeaddrinfo(found);
    return 0;
}

/* localhost is both families, whatever a host's files make of it (RFC 6761). */
static int look_up_name(struct listen_addresses *addresses, const char *host, const char *port, bool *fits)
{
    addresses->names++;
    if (strcasecmp(host, "localhost") != 0)
        return look_up(addresses, host, port, fits);
    int error = look_up(addresses, "127.0.0.1", port, fits);
    return error ? error : look_up(addresses, "::1", port, fits);
}

bool listen_resolve(struct listen_addresses *addresses, const char *option, const char *text, struct problem *problem)
{
    char host[LISTEN_HOST_BYTES];
    const char *port;
    bool fits = true;
    if (!host_port_split(text, host, &port))
        return problem_set(problem, "%s: '%s' is not HOST:PORT, such as localhost:5001, 0.0.0.0:5001 or [::1]:5001",
                           option, text);
    int error = look_up_name(addresses, host, port, &fits);
    if (error)
        return problem_set(problem, "%s: there is no address for '%s': %s; give one as a number", option, host,
                           error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    return fits || problem_set(problem, "%s: '%s' makes more than %d addresses to listen on; name fewer", option, text,
                               LISTEN_ADDRESSES_MAX);
}

bool listen_is_loopback(const struct listen_address *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
    if (address->address.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

void listen_name(const struct listen_address *address, char to[LISTEN_NAME_BYTES])
{
    host_port_name(&address->address, to);
}

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

static bool set(int fd, int level, int option)
{
    const int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/* Reused is a port whose last owner's connections are still dying, never one that somebody listens on. */
static int open_socket(const struct listen_address *address, bool shared)
{
    int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (set(fd, SOL_SOCKET, SO_REUSEADDR) && (!shared || set(fd, SOL_SOCKET, SO_REUSEPORT)) &&
        (address->address.ss_family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
        bind(fd, (const struct sockaddr *)&address->address, address->length) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static const char *reason_of(int error)
{
    switch (error) {
    case EADDRINUSE: return "another process listens there, maybe another bridge: end it, or name another port";
    case EADDRNOTAVAIL: return "this host has no such address: name another one";
    case EACCES: return "ports below 1024 need CAP_NET_BIND_SERVICE: name another one";
    default: return "name another one";
    }
}

static bool complain(const struct listen_address *address, const char *option, struct problem *problem)
{
    char name[LISTEN_NAME_BYTES];
    int error = errno;
    listen_name(address, name);
    return problem_set(problem, "cannot listen on %s: %s; %s with %s", name, strerror(error), reason_of(error), option);
}

/* The guard's number, or -1. */
static int take_alone(struct listen_address *address)
{
    socklen_t length = address->length;
    int fd = open_socket(address, false);
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address->address, &length) == 0 &&
        set(fd, SOL_SOCKET, SO_REUSEPORT)) /* from now on others of ours may join */
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

static void close_all(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* One address, for all workers. */
static bool open_address(struct listen_address *address, unsigned workers, int fds[])
{
    int guard = take_alone(address);
    bool ok = guard >= 0;
    for (unsigned i = 0; ok && i < workers; i++)
        ok = (fds[i] = open_socket(address, true)) >= 0;
    int error = errno;
    if (guard >= 0)
        close(guard);
    errno = error;
    return ok;
}

static in_port_t *port_of(struct listen_address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->address;
    return address->address.ss_family == AF_INET ? &v4->sin_port : &v6->sin6_port;
}

static void leave_out(struct listen_addresses *addresses, unsigned at)
{
    addresses->count--;
    memmove(&addresses->all[at], &addresses->all[at + 1], (addresses->count - at) * sizeof addresses->all[0]);
}

/* Of those that are opened or still to be: whether another one has the name. */
static bool has_sibling(const struct listen_addresses *addresses, unsigned at)
{
    return (at > 0 && addresses->all[at - 1].name == addresses->all[at].name) ||
           (at + 1 < addresses->count && addresses->all[at + 1].name == addresses->all[at].name);
}

/* The rows of `by_address` are addresses, its columns workers. */
static bool open_each(struct listen_addresses *addresses, const char *option, unsigned workers, int *by_address,
                      struct problem *problem)
{
    for (unsigned i = 0; i < addresses->count;) {
        struct listen_address *address = &addresses->all[i];
        if (i > 0 && address[-1].name == address->name)
            *port_of(address) = *port_of(address - 1);
        if (open_address(address, workers, by_address + i * workers))
            i++;
        else if ((errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) && has_sibling(addresses, i))
            leave_out(addresses, i);
        else
            return complain(address, option, problem);
    }
    return true;
}

bool listen_open(struct listen_addresses *addresses, const char *option, unsigned workers, int **fds,
                 struct problem *problem)
{
    unsigned most = addresses->count * workers;
    int *by_address = malloc(most * sizeof *by_address), *by_worker = malloc(most * sizeof *by_worker);
    bool ok = (by_address && by_worker) || problem_memory(problem);
    if (ok) {
        memset(by_address, 0xff, most * sizeof *by_address); /* -1 */
        ok = open_each(addresses, option, workers, by_address, problem);
    }
    if (!ok && by_address && by_worker)
        close_all(by_address, most);
    for (unsigned i = 0; ok && i < addresses->count * workers; i++)
        by_worker[i % workers * addresses->count + i / workers] = by_address[i];
    free(by_address);
    if (ok)
        *fds = by_worker;
    else
        free(by_worker);
    return ok;
}
