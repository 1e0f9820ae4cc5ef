/**
 * @file daemon/watch.h  Which of the configuration files changed, and when it is time to read them again.
 *
 * Two ways lead to a reload that nobody asked for.  The quick one is inotify: every directory in which a step of a
 * file's path can change (where the file itself lies, every symbolic link on the way, whatever is missing) is watched,
 * and once nothing happened for WATCH_SETTLE_MS the files are compared with what was last loaded.  The sure one is the
 * comparison at each of the caller's ticks, which also sees what inotify cannot (a network file system, a bind mount, no
 * watches left); it believes a file that is the same for two ticks.
 *
 * A file that is being written, is missing, or became empty holds up both; a reload that somebody asks for is never held
 * up.  One thread, no waiting, no allocation.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include "base/log.h"
#include "resolve/config.h"

#include <limits.h>
#include <sys/types.h>
#include <time.h>

enum {
    WATCH_FILES_MAX = 3,
    WATCH_SETTLE_MS = 50,
    WATCH_SETTLE_MOST_MS = 1000, /* from the first change on, however many follow */
    WATCH_RETRY_MS = 1000,
    WATCH_RETRY_MOST_MS = 64 * 1000,
    WATCH_SYMLINKS_MAX = 40,     /* in one path: the kernel's own limit */
    WATCH_STEPS_MAX = WATCH_FILES_MAX * (WATCH_SYMLINKS_MAX + 1),
};

/** What tells one content of a file from another without reading it.  A zeroed one is that of a missing file. */
struct file_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct watched_file {
    const char *path; /* borrowed */
    int wd;           /* of the directory in which it lies; -1: not watched */
    struct file_identity loaded, now, last_tick;
    bool filled;   /* the content in force is not empty */
    bool racy;     /* so young when it was loaded that a later change may look the same ... */
    bool doubtful; /* ... and an event tells that there was one; or it could not be loaded for no fault of its own */
    bool writing;  /* modified, and not closed since */
    bool held;     /* it was said that it holds up the reload */
};

/** A name in a watched directory, on the way to a file. */
struct watch_step {
    int wd;
    unsigned file;
    bool last; /* the file itself, not a link to it */
    char name[NAME_MAX + 1];
};

/** What became of files that were read. */
enum watch_result {
    WATCH_IN_FORCE,
    WATCH_REFUSED,  /* for their content: they are read again when they change */
    WATCH_PREVENTED /* for want of descriptors, memory or room: the ticks try again, each time after a longer wait */
};

struct watch {
    int fd; /* poll for reading; -1: there is no inotify, or nothing to watch */
    const struct log *log;
    struct watched_file files[WATCH_FILES_MAX];
    unsigned file_count;
    struct watch_step steps[WATCH_STEPS_MAX];
    unsigned step_count;
    bool stale;       /* the ways to the files may lead elsewhere now */
    bool unwatchable; /* it was said that something cannot be watched */
    int64_t due_ms, due_most_ms; /* of the next comparison after events; 0: none */
    int64_t retry_ms, retry_wait_ms; /* of the next try after one that was prevented; 0: it was not */
};

/** Start watching, before the files are read for the first time.  Where inotify fails the ticks still work. */
void watch_open(struct watch *watch, const struct config_files *files, const struct log *log);
void watch_close(struct watch *watch);

/** To be called right before the files are read, and after that. */
void watch_loading(struct watch *watch);
void watch_loaded(struct watch *watch, enum watch_result result);

/** Milliseconds until watch_is_due() may say yes, -1: not before the next event. */
int watch_timeout(const struct watch *watch);

/** Take the events: to be called when fd polls readable. */
void watch_take_events(struct watch *watch);

/** Whether events ask for a reload now; the log says which files changed. */
bool watch_is_due(struct watch *watch);

/** The same by comparison, to be called about once a second. */
bool watch_tick(struct watch *watch);

#endif
