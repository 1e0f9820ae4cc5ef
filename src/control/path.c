/* control/path.c  SPDX-License-Identifier: Apache-2.0 */
#include "control/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool control_path_default(const char *instance, char out[CONTROL_PATH_MAX_BYTES + 1], struct problem *problem)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int length;
    if (geteuid() == 0)
        length = snprintf(out, CONTROL_PATH_MAX_BYTES + 1, "/run/configstream/%s.sock", instance);
    else if (runtime && runtime[0] == '/')
        length = snprintf(out, CONTROL_PATH_MAX_BYTES + 1, "%s/configstream/%s.sock", runtime, instance);
    else
        length = snprintf(out, CONTROL_PATH_MAX_BYTES + 1, "/tmp/configstream-%u/%s.sock", (unsigned)geteuid(), instance);
    if (length <= CONTROL_PATH_MAX_BYTES)
        return true;
    return problem_set(problem, "the path of the control socket has %d bytes, more than %d: name a shorter one with "
                                "--control", length, CONTROL_PATH_MAX_BYTES);
}

bool control_path_prepare(const char *path, struct problem *problem)
{
    char directory[CONTROL_PATH_MAX_BYTES + 1];
    struct stat status;
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    bool root = geteuid() == 0;
    bool made = mkdir(directory, root ? 0755 : 0700) == 0;
    if (!made && errno != EEXIST)
        return problem_set(problem, "%s: cannot make the directory of the control socket: %s; %sname a socket with --control",
                           directory, strerror(errno), root ? "" : "set XDG_RUNTIME_DIR to a directory of yours, or ");
    if (made && root && chmod(directory, 0755) != 0) /* whatever the umask took away */
        return problem_set(problem, "%s: cannot let others enter: %s", directory, strerror(errno));
    if (lstat(directory, &status) != 0)
        return problem_set(problem, "%s: cannot look at it: %s", directory, strerror(errno));
    /* In /tmp anybody can make this directory before us, or put a link there. */
    mode_t foreign = root ? 0022 : 0077;
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & foreign))
        return problem_set(problem, "%s: must be a directory of user %u that others cannot %s; remove it, or name a "
                                    "socket elsewhere with --control", directory, (unsigned)geteuid(),
                           root ? "write to" : "enter");
    return true;
}
