/* base/signals.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void fill(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
}

bool signals_open(int *fd, struct problem *problem)
{
    sigset_t signals;
    fill(&signals);
    *fd = sigprocmask(SIG_BLOCK, &signals, NULL) == 0 ? signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
    return *fd >= 0 || problem_set(problem, "cannot receive signals: %s", strerror(errno));
}

void signals_let_through(int fd)
{
    struct signalfd_siginfo info;
    sigset_t signals;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        continue;
    fill(&signals);
    sigprocmask(SIG_UNBLOCK, &signals, NULL);
}
