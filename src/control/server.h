/**
 * @file control/server.h  The control socket's serving end: many clients, one thread, nobody waits for anybody.
 *
 * Whoever connects must be root, our own user or a member of the group that was let in, whatever the socket's mode says
 * by now; anybody else is dropped unheard.  Each client is a small state machine over two buffers.  One that sends
 * garbage, stays silent for CONTROL_PATIENCE_MS or does not take its answer is dropped with a log line.  When all places
 * are taken the client that has been idle longest makes room, if it has been so for CONTROL_IDLE_MS; until then
 * newcomers wait in the socket's backlog, so that nobody's request is thrown away.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include "base/log.h"
#include "control/frame.h"
#include "control/path.h"

#include <sys/types.h>

enum { CONTROL_CLIENTS_MAX = 64, CONTROL_PATIENCE_MS = 30 * 1000, CONTROL_IDLE_MS = 5 * 1000 };

struct control_peer {
    uid_t uid;
    pid_t pid;
};

/** Append the framed response to a request.  False drops the client. */
typedef bool control_handler(void *context, const struct control_peer *peer, const control_request *request,
                             struct buffer *reply);

struct control_client {
    int fd; /* -1: free place */
    struct control_peer peer;
    struct buffer in, out;
    size_t sent; /* of out */
    int64_t deadline_ms;
    int64_t active_ms; /* of the last bytes in or out */
    bool writing; /* waits for room to write instead of for bytes to read */
};

struct control_server {
    int epoll_fd, listen_fd;
    struct control_client clients[CONTROL_CLIENTS_MAX];
    unsigned count;
    bool paused;       /* the listener is not watched: there is no place, or no descriptor, for a newcomer */
    int64_t resume_ms; /* when paused: until then */
    int accept_error;  /* of the last newcomer; said once */
    char path[CONTROL_PATH_MAX_BYTES + 1];
    dev_t device; /* of the socket's name, which a successor may have by the time we end */
    ino_t inode;
    bool set_group; /* who may use it, beside root and our own user */
    gid_t group;
    control_handler *handler;
    void *context;
    const struct log *log;
};

struct control_server_options {
    const char *path;
    bool set_group; /* let this group's members in: mode 0660 instead of 0600 */
    gid_t group;
    control_handler *handler;
    void *context;
    const struct log *log;
};

/** Bind and listen.  A socket nobody listens on is taken over; anything else at the path is refused. */
bool control_server_open(struct control_server *server, const struct control_server_options *options,
                         struct problem *problem);

/** Serve whoever is ready, without waiting: call when epoll_fd polls readable, or control_server_timeout() is over. */
void control_server_run(struct control_server *server);

/** Milliseconds until somebody's patience ends or newcomers are let in again; -1 when there is nothing to wait for. */
int control_server_timeout(const struct control_server *server);

/** Drop everybody and remove the socket. */
void control_server_close(struct control_server *server);

#endif
