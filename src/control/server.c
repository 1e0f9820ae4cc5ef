/* control/server.c: clients in and out.  The socket itself is made in listen.c.  SPDX-License-Identifier: Apache-2.0 */
#include "control/server.h"

#include "base/clock.h"
#include "control/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    READS_PER_TURN = 16,
    EVENTS = CONTROL_CLIENTS_MAX + 1, /* everybody and the listener: none is left out of a turn */
    LISTENER = CONTROL_CLIENTS_MAX,
    RETRY_MS = 1000 /* after accept4() failed for want of something that others may give back */
};

static void drop(struct control_server *server, struct control_client *client, const char *reason)
{
    if (reason)
        log_write(server->log, LOG_WARN, "control: dropped the client of uid=%u pid=%d: %s", (unsigned)client->peer.uid,
                  (int)client->peer.pid, reason);
    close(client->fd); /* also takes it out of the epoll set */
    free(client->in.data);
    free(client->out.data);
    *client = (struct control_client){.fd = -1};
    server->count--;
    server->resume_ms = 0; /* there is a place again, and a descriptor */
}

/* ---- accepting --------------------------------------------------------------------------------------------------- */

/* Without a newcomer to take, the listener would be ready without end: it is not looked at for a while. */
static void pause_listener(struct control_server *server, int64_t until_ms)
{
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, server->listen_fd, NULL) != 0)
        return;
    server->paused = true;
    server->resume_ms = until_ms;
}

static bool watch_listener(struct control_server *server)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = LISTENER};
    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listen_fd, &event) == 0;
}

static void resume_listener(struct control_server *server)
{
    int64_t now = now_ms();
    if (!server->paused || now < server->resume_ms)
        return;
    server->paused = !watch_listener(server);
    server->resume_ms = now + RETRY_MS;
}

/* A free place, or that of the client that has been idle longest. */
static struct control_client *find_place(struct control_server *server)
{
    struct control_client *idle = &server->clients[0];
    for (struct control_client *client = server->clients; client < server->clients + CONTROL_CLIENTS_MAX; client++) {
        if (client->fd < 0)
            return client;
        if (client->active_ms < idle->active_ms)
            idle = client;
    }
    return idle;
}

/* Of the group in its supplementary groups, as they were when it connected. */
static bool is_member(int fd, gid_t group)
{
    socklen_t size = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
        return false; /* it has none, or there is no telling */
    gid_t *groups = malloc(size);
    bool found = false;
    if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
        for (size_t i = 0; i < size / sizeof *groups; i++)
            found = found || groups[i] == group;
    free(groups);
    return found;
}

/* The socket's mode lets the right ones in; it is checked again here because anybody can have changed it. */
static bool is_allowed(const struct control_server *server, int fd, const struct ucred *peer)
{
    if (peer->uid == 0 || peer->uid == geteuid())
        return true;
    return server->set_group && (peer->gid == server->group || is_member(fd, server->group));
}

static bool identify(const struct control_server *server, int fd, struct ucred *peer)
{
    socklen_t size = sizeof *peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &size) != 0) {
        log_write(server->log, LOG_WARN, "control: dropped a client that cannot be told: %s", strerror(errno));
        return false;
    }
    if (is_allowed(server, fd, peer))
        return true;
    log_write(server->log, LOG_WARN, "control: dropped the client of uid=%u pid=%d: it is neither root, nor our user%s",
              (unsigned)peer->uid, (int)peer->pid, server->set_group ? ", nor in the control group" : "");
    return false;
}

static void take_client(struct control_server *server, struct control_client *client, int fd, const struct ucred *peer)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(client - server->clients)};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        log_write(server->log, LOG_WARN, "control: cannot watch a client: %s", strerror(errno));
        close(fd);
        return;
    }
    *client = (struct control_client){
        .fd = fd,
        .peer = {peer->uid, peer->pid},
        .deadline_ms = now_ms() + CONTROL_PATIENCE_MS,
        .active_ms = now_ms(),
    };
    server->count++;
}

static void take_newcomer(struct control_server *server, struct control_client *place, int fd)
{
    struct ucred peer;
    if (!identify(server, fd, &peer)) {
        close(fd);
        return;
    }
    if (place->fd >= 0)
        drop(server, place, "all places are taken, and it has been idle longest");
    take_client(server, place, fd, &peer);
}

/* False: that was all for now. */
static bool accept_one(struct control_server *server)
{
    struct control_client *place = find_place(server);
    if (place->fd >= 0 && now_ms() - place->active_ms < CONTROL_IDLE_MS) {
        pause_listener(server, place->active_ms + CONTROL_IDLE_MS);
        return false;
    }
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        server->accept_error = 0;
        take_newcomer(server, place, fd);
        return true;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return false;
    int error = errno;
    if (error != server->accept_error)
        log_write(server->log, LOG_WARN, "control: cannot accept a client: %s; it waits until we can", strerror(error));
    server->accept_error = error;
    pause_listener(server, now_ms() + RETRY_MS);
    return false;
}

static void accept_clients(struct control_server *server)
{
    for (int i = 0; i < CONTROL_CLIENTS_MAX && accept_one(server); i++)
        continue;
}

/* ---- one client: read, answer, write ----------------------------------------------------------------------------- */

static void watch(struct control_server *server, struct control_client *client, bool writing)
{
    if (client->writing == writing)
        return;
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN,
                                .data.u32 = (uint32_t)(client - server->clients)};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, client->fd, &event) != 0) {
        drop(server, client, strerror(errno));
        return;
    }
    client->writing = writing;
}

static void write_out(struct control_server *server, struct control_client *client)
{
    while (client->sent < client->out.length) {
        ssize_t sent = send(client->fd, client->out.data + client->sent, client->out.length - client->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            watch(server, client, true);
            return;
        }
        if (sent < 0) {
            drop(server, client, errno == EPIPE ? NULL : strerror(errno));
            return;
        }
        client->sent += (size_t)sent;
        client->active_ms = now_ms();
    }
    client->out.length = client->sent = 0;
    client->deadline_ms = now_ms() + CONTROL_PATIENCE_MS;
    watch(server, client, false);
}

/* Answers the frame at the start of the client's input and takes it out; false when the client was dropped. */
static bool answer(struct control_server *server, struct control_client *client, size_t length)
{
    control_request *request = configstream__control__request__unpack(
        NULL, length, (const uint8_t *)client->in.data + CONTROL_HEAD_BYTES);
    if (!request) {
        drop(server, client, "it sent something that is no request");
        return false;
    }
    bool ok = server->handler(server->context, &client->peer, request, &client->out);
    configstream__control__request__free_unpacked(request, NULL);
    if (!ok) {
        drop(server, client, "its request could not be answered: out of memory, or the answer is too large");
        return false;
    }
    size_t frame = CONTROL_HEAD_BYTES + length;
    client->in.length -= frame;
    memmove(client->in.data, client->in.data + frame, client->in.length);
    return true;
}

/* One answer at a time: the next request waits until the last answer went out. */
static void answer_next(struct control_server *server, struct control_client *client)
{
    size_t length;
    while (client->fd >= 0 && !client->writing) {
        switch (frame_look(client->in.data, client->in.length, &length)) {
        case FRAME_PARTIAL: return;
        case FRAME_TOO_LARGE: drop(server, client, "it announced a message beyond the limit of 17 MiB"); return;
        case FRAME_COMPLETE: break;
        }
        if (answer(server, client, length))
            write_out(server, client);
    }
}

static void read_in(struct control_server *server, struct control_client *client)
{
    for (int i = 0; i < READS_PER_TURN && client->fd >= 0 && !client->writing; i++) {
        if (!buffer_reserve(&client->in, READ_BYTES)) {
            drop(server, client, "out of memory");
            return;
        }
        ssize_t got = recv(client->fd, client->in.data + client->in.length, READ_BYTES, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            drop(server, client, got < 0 ? strerror(errno) : client->in.length ? "it left in mid-message" : NULL);
            return;
        }
        client->in.length += (size_t)got;
        client->active_ms = now_ms();
        answer_next(server, client);
    }
}

static void serve(struct control_server *server, struct control_client *client)
{
    if (client->writing) {
        write_out(server, client);
        if (client->fd >= 0)
            answer_next(server, client);
    } else {
        read_in(server, client);
    }
}

/* ---- the loop's side --------------------------------------------------------------------------------------------- */

static void drop_impatient(struct control_server *server)
{
    int64_t now = now_ms();
    for (struct control_client *client = server->clients; client < server->clients + CONTROL_CLIENTS_MAX; client++)
        if (client->fd >= 0 && client->deadline_ms <= now)
            drop(server, client, client->writing ? "it does not take its answer" : "it sent no request for too long");
}

void control_server_run(struct control_server *server)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(server->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        uint32_t place = events[i].data.u32;
        if (place < LISTENER && server->clients[place].fd >= 0)
            serve(server, &server->clients[place]);
    }
    drop_impatient(server);
    /* Last: a place that is given away anew must not meet an event of its former client. */
    for (int i = 0; i < count; i++)
        if (events[i].data.u32 == LISTENER)
            accept_clients(server);
    resume_listener(server);
}

int control_server_timeout(const struct control_server *server)
{
    int64_t first = server->paused ? server->resume_ms : -1, now = now_ms();
    for (const struct control_client *client = server->clients; client < server->clients + CONTROL_CLIENTS_MAX; client++)
        if (client->fd >= 0 && (first < 0 || client->deadline_ms < first))
            first = client->deadline_ms;
    return first < 0 ? -1 : first <= now ? 0 : (int)(first - now);
}

bool control_server_open(struct control_server *server, const struct control_server_options *options,
                         struct problem *problem)
{
    *server = (struct control_server){
        .set_group = options->set_group,
        .group = options->group,
        .handler = options->handler,
        .context = options->context,
        .log = options->log,
        .epoll_fd = -1,
    };
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
        server->clients[i].fd = -1;
    server->listen_fd = control_listen(options->path, options->set_group, options->group, problem);
    if (server->listen_fd < 0)
        return false;
    strcpy(server->path, options->path); /* control_listen() checked its length */
    struct stat status;
    if (lstat(server->path, &status) == 0) {
        server->device = status.st_dev;
        server->inode = status.st_ino;
    }
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd >= 0 && watch_listener(server))
        return true;
    problem_set(problem, "%s: cannot watch the control socket: %s", options->path, strerror(errno));
    control_server_close(server);
    return false;
}

void control_server_close(struct control_server *server)
{
    for (struct control_client *client = server->clients; client < server->clients + CONTROL_CLIENTS_MAX; client++)
        if (client->fd >= 0)
            drop(server, client, NULL);
    struct stat status;
    if (server->path[0] && lstat(server->path, &status) == 0 && status.st_dev == server->device &&
        status.st_ino == server->inode)
        unlink(server->path);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    *server = (struct control_server){.listen_fd = -1, .epoll_fd = -1};
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
        server->clients[i].fd = -1;
}
