/* control/listen.h: make the control socket, or connect to it.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_LISTEN_H
#define CONTROL_LISTEN_H

#include "base/problem.h"

#include <sys/types.h>

/** A listening, non-blocking socket at the path; -1 with the problem set.  For its owner, or also for a group. */
int control_listen(const char *path, bool set_group, gid_t group, struct problem *problem);

/** Connect, close-on-exec and blocking; -1 with errno set (ENAMETOOLONG for a path beyond the limit). */
int control_connect(const char *path);

#endif
