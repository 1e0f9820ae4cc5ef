/* base/stdio.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void keep_standard_fds(void)
{
    /* All below fd are open by then, so open() can only return fd. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) != fd)
            _exit(1);
}

bool flush_standard_output(void)
{
    errno = EIO; /* for an earlier failure, whose reason is gone */
    return fflush(stdout) == 0 && !ferror(stdout);
}
