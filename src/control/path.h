/* control/path.h: where an instance's control socket lies.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_PATH_H
#define CONTROL_PATH_H

#include "base/problem.h"

/** Longest path of a unix socket, without the NUL. */
enum { CONTROL_PATH_MAX_BYTES = 107 };

/**
 * The socket of an instance when nothing names another: root /run/configstream/<instance>.sock, else
 * $XDG_RUNTIME_DIR/configstream/<instance>.sock, else /tmp/configstream-<uid>/<instance>.sock.
 */
bool control_path_default(const char *instance, char out[CONTROL_PATH_MAX_BYTES + 1], struct problem *problem);

/**
 * Make the directory of control_path_default() and check that it is ours alone.  root: 0755, others: 0700.
 */
bool control_path_prepare(const char *path, struct problem *problem);

#endif
