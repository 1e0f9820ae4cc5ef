/* arena_lock.c  SPDX-License-Identifier: Apache-2.0 */
#include "arena_lock.h"
#include "detail.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * Open without O_CREAT first: with it, protected_regular refuses another user's file in a sticky directory, or (switched
 * off) opens whatever somebody has put there.
 */
static int open_lock(const char *path)
{
    for (int tries = 0; tries < 100; tries++) {
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 || errno != ENOENT)
            return fd;
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static int check_lock_file(const struct arena_name *name, int fd, struct stat *st, cfgs_error_detail *detail)
{
    if (fstat(fd, st) != 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "%s: fstat", name->lock);
    if (!S_ISREG(st->st_mode) || st->st_uid != geteuid())
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0,
                          "lock file %s belongs to uid %u, not to uid %u: stop its producer or remove the file",
                          name->lock, (unsigned)st->st_uid, (unsigned)geteuid());
    return CFGS_OK;
}

static int say_holder(const struct arena_name *name, int fd, cfgs_error_detail *detail)
{
    char text[32] = {0};
    long long pid = 0;

    if (pread(fd, text, sizeof text - 1, 0) > 0)
        pid = strtoll(text, NULL, 10);
    detail_set(detail, CFGS_ERR_LOCKED, 0, "another producer, pid %lld, holds %s", pid, name->lock);
    if (detail != NULL)
        detail->holder_pid = pid;
    return CFGS_ERR_LOCKED;
}

/* Is the file we locked still the one that has the name?  Its last holder may have removed it meanwhile. */
static bool still_named(const char *path, const struct stat *ours)
{
    struct stat named;
    return lstat(path, &named) == 0 && named.st_dev == ours->st_dev && named.st_ino == ours->st_ino;
}

static bool write_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result;

    do {
        result = fcntl(fd, F_OFD_SETLK, &lock);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

static void write_pid(int fd)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%lld\n", (long long)getpid());

    /* For the message of who comes second; the lock itself needs no content, so that failing to clear it matters not. */
    bool written = ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length;
    int cleared = written ? 0 : ftruncate(fd, 0);
    (void)cleared;
}

int arena_lock_take(const struct arena_name *name, int *out, cfgs_error_detail *detail)
{
    for (int tries = 0; tries < 100; tries++) {
        struct stat st;
        int fd = open_lock(name->lock);
        if (fd < 0 && (errno == EISDIR || errno == ELOOP || errno == ENXIO))
            return detail_set(detail, CFGS_ERR_UNTRUSTED, 0, "lock file %s is not a regular file: remove it",
                              name->lock);
        if (fd < 0)
            return detail_set(detail, errno == EACCES || errno == EPERM ? CFGS_ERR_PERMISSION : CFGS_ERR_SYSTEM, errno,
                              "lock file %s", name->lock);
        int err = check_lock_file(name, fd, &st, detail);
        if (err == CFGS_OK && !write_lock(fd))
            err = errno == EAGAIN || errno == EACCES
                      ? say_holder(name, fd, detail)
                      : detail_set(detail, CFGS_ERR_SYSTEM, errno, "locking %s", name->lock);
        if (err == CFGS_OK && still_named(name->lock, &st)) {
            write_pid(fd);
            *out = fd;
            return CFGS_OK;
        }
        close(fd);
        if (err != CFGS_OK)
            return err;
    }
    return detail_set(detail, CFGS_ERR_SYSTEM, 0, "lock file %s keeps being removed", name->lock);
}

bool arena_lock_is_named(const struct arena_name *name, int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && still_named(name->lock, &st);
}

void arena_lock_drop(const struct arena_name *name, int fd)
{
    if (fd < 0)
        return;
    /* Before the close, so that nobody can lock a file that is about to lose its name and not notice.  Not the file of
     * somebody who took the name after ours was removed. */
    if (arena_lock_is_named(name, fd))
        (void)unlink(name->lock);
    close(fd);
}

bool arena_signal_lock(int arena_fd)
{
    return write_lock(arena_fd);
}

bool arena_signal_is_held(int arena_fd)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};

    for (int tries = 0; tries < 200; tries++) {
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
        if (fcntl(arena_fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_WRLCK)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}
