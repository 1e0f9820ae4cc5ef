/* control/listen.h: make the control socket, or connect to it.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_LISTEN_H
#define CONTROL_LISTEN_H

#include "base/problem.h"

#include <sys/types.h>

/** A listening, non-blocking socket at the path; -1 with the problem set.  For its owner, or also for a group. */
int control_listen(const char *path, bool set_group, gid_t group, struct problem *problem);

/**
 * What can be told without touching anything: the directory is there and lets us in, and what lies at the path, if
 * anything, is a socket.  Whether somebody serves it shows in control_listen().
 */
bool control_listen_check(const char *path, struct problem *problem);

/** Longest a connecting process waits for a place in the backlog, unless it has less time. */
enum { CONTROL_CONNECT_SECONDS = 5 };

/**
 * Connect, close-on-exec and blocking; -1 with errno set: ENAMETOOLONG for a path beyond the limit, EAGAIN when whoever
 * listens took nobody in so many seconds.
 */
int control_connect(const char *path, int seconds);

#endif
