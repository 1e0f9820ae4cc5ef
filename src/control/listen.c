/* control/listen.c  SPDX-License-Identifier: Apache-2.0 */
#include "control/listen.h"

#include "base/clock.h"
#include "control/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Those who find no place at the server wait here. */
enum { BACKLOG = 256 };

static bool set_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (!length || length > CONTROL_PATH_MAX_BYTES)
        return false;
    memcpy(address->sun_path, path, length + 1);
    return true;
}

/* A wait for a place in the backlog that has a time-out is broken off by a stop and its end, too; it goes on for the rest of
 * its time, or is at least tried once more. */
static bool connect_in_time(int fd, const struct sockaddr_un *address, int seconds)
{
    const int64_t until_ms = now_ms() + 1000 * (int64_t)seconds;
    int result;
    do {
        const int64_t left_ms = until_ms - now_ms(), wait_ms = left_ms > 0 ? left_ms : 1;
        const struct timeval patience = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
            return false;
        result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

int control_connect(const char *path, int seconds)
{
    struct sockaddr_un address;
    if (!set_address(&address, path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect_in_time(fd, &address, seconds))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

bool control_listen_check(const char *path, struct problem *problem)
{
    char directory[CONTROL_PATH_MAX_BYTES + 1];
    struct stat status;
    size_t length = strlen(path);
    const char *slash = strrchr(path, '/');
    if (!length || length > CONTROL_PATH_MAX_BYTES)
        return problem_set(problem, "%s: the path of a control socket has 1 to %d bytes", path, CONTROL_PATH_MAX_BYTES);
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) != 0)
        return problem_set(problem, "%s: cannot make the control socket: %s: %s", path, directory, strerror(errno));
    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        return problem_set(problem, "%s: is there already, and is no socket; name another one with --control", path);
    return true;
}

/* What a killed daemon left is removed; a socket somebody listens on, or a file that is no socket, is not ours. */
static bool clear_path(const char *path, struct problem *problem)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || problem_set(problem, "%s: cannot look at it: %s", path, strerror(errno));
    if (!control_listen_check(path, problem))
        return false;
    int fd = control_connect(path, CONTROL_CONNECT_SECONDS);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || errno == EAGAIN) /* a full backlog is somebody's too */
        return problem_set(problem, "%s: another process serves this control socket; name another one with --control",
                           path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return problem_set(problem, "%s: cannot tell whether somebody serves it: %s; name another one with --control",
                           path, strerror(errno));
    if (unlink(path) == 0 || errno == ENOENT)
        return true;
    return problem_set(problem, "%s: cannot remove the stale control socket: %s", path, strerror(errno));
}

static bool open_to(const char *path, bool set_group, gid_t group, struct problem *problem)
{
    if (!set_group)
        return true;
    if (chown(path, (uid_t)-1, group) == 0 && chmod(path, 0660) == 0)
        return true;
    return problem_set(problem, "%s: cannot give the control socket to group %u: %s", path, (unsigned)group,
                       strerror(errno));
}

static bool bind_private(int fd, const struct sockaddr_un *address)
{
    /* From the first moment on only the owner gets in; the group is let in later. */
    mode_t mask = umask(0177);
    bool ok = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    umask(mask);
    return ok;
}

int control_listen(const char *path, bool set_group, gid_t group, struct problem *problem)
{
    struct sockaddr_un address;
    if (!set_address(&address, path)) {
        problem_set(problem, "%s: the path of a control socket has 1 to %d bytes", path, CONTROL_PATH_MAX_BYTES);
        return -1;
    }
    if (!clear_path(path, problem))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !bind_private(fd, &address)) {
        problem_set(problem, "%s: cannot make the control socket: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (open_to(path, set_group, group, problem)) {
        if (listen(fd, BACKLOG) == 0)
            return fd;
        problem_set(problem, "%s: cannot listen: %s", path, strerror(errno));
    }
    unlink(path);
    close(fd);
    return -1;
}
