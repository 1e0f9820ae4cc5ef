/* base/signals.h: the signals a program is ended by, as a descriptor to poll.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include "base/problem.h"

/** SIGTERM, SIGINT and SIGHUP: a signalfd that never blocks.  Before any thread, so that all inherit the mask. */
bool signals_open(int *fd, struct problem *problem);

/** Those that came are taken; from now on one ends the process at once.  The thread that called signals_open(). */
void signals_let_through(int fd);

#endif
