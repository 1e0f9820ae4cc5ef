/* daemon/watch.c  SPDX-License-Identifier: Apache-2.0 */
#include "daemon/watch.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* File times move in steps of the kernel's tick, at most 10 ms: two changes within one look alike. */
enum { RACY_MS = 50, EVENT_BYTES = 16 * 1024, READS_PER_TURN = 16 };

static const uint32_t self_events = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;
static const uint32_t watched_events = IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                       IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

/* ---- identities -------------------------------------------------------------------------------------------------- */

static struct file_identity look(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return (struct file_identity){0};
    return (struct file_identity){status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct file_identity *a, const struct file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && same_time(a->modified, b->modified) &&
           same_time(a->changed, b->changed);
}

static bool is_young(const struct file_identity *identity)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ms = (int64_t)(now.tv_sec - identity->changed.tv_sec) * 1000 +
                     (now.tv_nsec - identity->changed.tv_nsec) / 1000000;
    return age_ms < RACY_MS;
}

/* ---- the way to a file ------------------------------------------------------------------------------------------- */

/* Where a walk along a path has come to.  `at` holds no symbolic links. */
struct walk {
    struct watch *watch;
    unsigned file, symlinks;
    char at[PATH_MAX], name[NAME_MAX + 1], rest[PATH_MAX];
};

static bool fits(int length, size_t size)
{
    return length >= 0 && (size_t)length < size;
}

/* The next name of the path; false at its end, or where it cannot be one. */
static bool next_name(struct walk *walk)
{
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(start, "/");
    if (!length || length > NAME_MAX)
        return false;
    memcpy(walk->name, start, length);
    walk->name[length] = '\0';
    start += length;
    start += strspn(start, "/");
    memmove(walk->rest, start, strlen(start) + 1);
    return true;
}

static bool whole_path(const struct walk *walk, char out[PATH_MAX])
{
    const char *slash = walk->at[strlen(walk->at) - 1] == '/' ? "" : "/";
    return fits(snprintf(out, PATH_MAX, "%s%s%s", walk->at, slash, walk->name), PATH_MAX);
}

static bool follow_link(struct walk *walk, const char *link)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length <= 0 || ++walk->symlinks > WATCH_SYMLINKS_MAX)
        return false;
    target[length] = '\0';
    if (!fits(snprintf(rest, sizeof rest, "%s/%s", target, walk->rest), sizeof rest))
        return false;
    strcpy(walk->rest, rest);
    if (target[0] == '/')
        strcpy(walk->at, "/");
    return true;
}

static void add_step(struct walk *walk, bool last)
{
    struct watch *watch = walk->watch;
    int wd = inotify_add_watch(watch->fd, walk->at, watched_events);
    if (wd < 0 && errno != ENOENT && errno != ENOTDIR && !watch->unwatchable) {
        watch->unwatchable = true;
        log_write(watch->log, LOG_WARN, "cannot watch %s: %s; the configuration files are looked at once a second instead",
                  walk->at, strerror(errno));
    }
    if (wd < 0 || watch->step_count == WATCH_STEPS_MAX)
        return;
    struct watch_step *step = &watch->steps[watch->step_count++];
    *step = (struct watch_step){.wd = wd, .file = walk->file, .last = last};
    strcpy(step->name, walk->name);
    if (last)
        watch->files[walk->file].wd = wd;
}

/* One name further; false where the way ends. */
static bool go_on(struct walk *walk)
{
    char whole[PATH_MAX];
    struct stat status;
    if (!next_name(walk) || !whole_path(walk, whole))
        return false;
    bool there = lstat(whole, &status) == 0;
    bool link = there && S_ISLNK(status.st_mode);
    bool last = !walk->rest[0] && !link;
    /* The watch comes before the reading of the link: a swap between the two is seen either way. */
    if (link || last || !there)
        add_step(walk, last);
    if (link)
        return follow_link(walk, whole);
    if (there && !last)
        strcpy(walk->at, whole);
    return there && !last;
}

static void walk_to(struct watch *watch, unsigned file)
{
    struct walk walk = {.watch = watch, .file = file};
    const char *path = watch->files[file].path;
    if (!fits(snprintf(walk.rest, sizeof walk.rest, "%s", path), sizeof walk.rest))
        return;
    strcpy(walk.at, path[0] == '/' ? "/" : ".");
    while (go_on(&walk))
        continue;
}

static bool is_used(const struct watch *watch, int wd)
{
    for (unsigned i = 0; i < watch->step_count; i++)
        if (watch->steps[i].wd == wd)
            return true;
    return false;
}

/* Adding a directory again gives the number it has, so no event is lost of those that stay. */
static void find_ways(struct watch *watch)
{
    int before[WATCH_STEPS_MAX], lay_in[WATCH_FILES_MAX];
    unsigned count = watch->step_count;
    watch->stale = false;
    if (watch->fd < 0)
        return;
    for (unsigned i = 0; i < count; i++)
        before[i] = watch->steps[i].wd;
    watch->step_count = 0;
    for (unsigned i = 0; i < watch->file_count; i++) {
        struct watched_file *file = &watch->files[i];
        lay_in[i] = file->wd;
        file->wd = -1;
        walk_to(watch, i);
        if (file->wd != lay_in[i])
            file->writing = false; /* its closing would not be heard of */
    }
    for (unsigned i = 0; i < count; i++)
        if (!is_used(watch, before[i]))
            inotify_rm_watch(watch->fd, before[i]);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void settle_later(struct watch *watch)
{
    int64_t now = now_ms();
    if (!watch->due_ms)
        watch->due_most_ms = now + WATCH_SETTLE_MOST_MS;
    watch->due_ms = now + WATCH_SETTLE_MS;
    if (watch->due_ms > watch->due_most_ms)
        watch->due_ms = watch->due_most_ms;
}

static void take_step_event(struct watch *watch, const struct watch_step *step, uint32_t mask)
{
    struct watched_file *file = &watch->files[step->file];
    if (step->last && (mask & IN_MODIFY)) {
        file->writing = true; /* settled only once it is closed */
        return;
    }
    file->writing = false;
    watch->stale = watch->stale || !(mask & IN_CLOSE_WRITE);
    file->doubtful = file->doubtful || file->racy;
    settle_later(watch);
}

/* Whatever was lost may have been a closing, or a change of the way: the ticks sort it out. */
static void take_overflow(struct watch *watch)
{
    watch->stale = true;
    for (unsigned i = 0; i < watch->file_count; i++)
        watch->files[i].writing = false;
}

static void take_event(struct watch *watch, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW)
        take_overflow(watch);
    for (unsigned i = 0; i < watch->step_count; i++) {
        const struct watch_step *step = &watch->steps[i];
        if (step->wd == event->wd &&
            ((event->mask & self_events) || (event->len && strcmp(event->name, step->name) == 0)))
            take_step_event(watch, step, event->mask);
    }
}

void watch_take_events(struct watch *watch)
{
    _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        ssize_t got = read(watch->fd, bytes, sizeof bytes);
        if (got <= 0)
            break;
        for (const char *next = bytes; next < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)next;
            take_event(watch, event);
            next += sizeof *event + event->len;
        }
    }
    if (watch->stale)
        find_ways(watch);
}

/* ---- when to reload ---------------------------------------------------------------------------------------------- */

static bool has_changed(const struct watched_file *file)
{
    return file->doubtful || !same(&file->now, &file->loaded);
}

/* Many editors and scripts empty or remove a file before they write it. */
static bool is_half_written(const struct watched_file *file)
{
    return has_changed(file) && (!file->now.inode || (file->filled && !file->now.size));
}

static bool look_at_all(struct watch *watch)
{
    bool ready = false, held = false;
    for (unsigned i = 0; i < watch->file_count; i++) {
        struct watched_file *file = &watch->files[i];
        file->now = look(file->path);
        ready = ready || has_changed(file);
        held = held || file->writing || is_half_written(file);
    }
    return ready && !held;
}

static void tell_changed(const struct watch *watch, const char *how)
{
    for (unsigned i = 0; i < watch->file_count; i++)
        if (has_changed(&watch->files[i]))
            log_write(watch->log, LOG_INFO, "reload: %s changed%s", watch->files[i].path, how);
}

int watch_timeout(const struct watch *watch)
{
    int64_t now = now_ms();
    if (!watch->due_ms)
        return -1;
    return watch->due_ms <= now ? 0 : (int)(watch->due_ms - now);
}

bool watch_is_due(struct watch *watch)
{
    if (watch_timeout(watch) != 0)
        return false;
    watch->due_ms = 0;
    if (!look_at_all(watch))
        return false;
    tell_changed(watch, "");
    return true;
}

/* Once for each time: a file that stays so is waiting for somebody. */
static void tell_held(const struct watch *watch, struct watched_file *file)
{
    if (!file->held && !file->now.inode)
        log_write(watch->log, LOG_WARN, "%s is missing: the last good configuration stays until it is back", file->path);
    else if (!file->held)
        log_write(watch->log, LOG_WARN, "%s %s: the last good configuration stays until it is whole; `configstream reload` "
                                        "or SIGHUP applies it as it is", file->path,
                  file->writing ? "is still open in whoever writes to it" : "has become empty");
    file->held = true;
}

/* True: nothing changed since the tick before. */
static bool compare_ticks(struct watch *watch)
{
    bool still = true;
    for (unsigned i = 0; i < watch->file_count; i++) {
        struct watched_file *file = &watch->files[i];
        if (!same(&file->now, &file->last_tick))
            still = false;
        else if (file->writing || is_half_written(file))
            tell_held(watch, file);
        else
            file->held = false;
        file->last_tick = file->now;
        watch->stale = watch->stale || file->wd < 0; /* what could not be watched may be so by now */
    }
    return still;
}

bool watch_tick(struct watch *watch)
{
    bool ready = look_at_all(watch), still = compare_ticks(watch);
    bool due = ready && still && !watch->due_ms && watch->retry_ms <= now_ms();
    if (due || watch->stale) /* no event told of a change: the way may lead elsewhere */
        find_ways(watch);
    if (due)
        tell_changed(watch, watch->retry_ms ? ", and could not be loaded before" : ", seen by looking once a second");
    return due;
}

/* ---- around a load ----------------------------------------------------------------------------------------------- */

void watch_loading(struct watch *watch)
{
    if (watch->fd >= 0)
        watch_take_events(watch); /* of what is about to be read: no reason to read again */
    watch->due_ms = 0;
    for (unsigned i = 0; i < watch->file_count; i++) {
        struct watched_file *file = &watch->files[i];
        file->loaded = look(file->path); /* before the reading: a change under way differs from it */
        file->racy = is_young(&file->loaded);
        file->doubtful = false;
    }
}

static void retry_later(struct watch *watch)
{
    int64_t longer = 2 * watch->retry_wait_ms;
    watch->retry_wait_ms = !longer ? WATCH_RETRY_MS : longer < WATCH_RETRY_MOST_MS ? longer : WATCH_RETRY_MOST_MS;
    watch->retry_ms = now_ms() + watch->retry_wait_ms;
}

void watch_loaded(struct watch *watch, enum watch_result result)
{
    for (unsigned i = 0; i < watch->file_count; i++) {
        struct watched_file *file = &watch->files[i];
        if (result == WATCH_IN_FORCE)
            file->filled = file->loaded.size != 0;
        file->doubtful = result == WATCH_PREVENTED;
    }
    if (result == WATCH_PREVENTED)
        retry_later(watch);
    else
        watch->retry_ms = watch->retry_wait_ms = 0;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static void add_file(struct watch *watch, const char *path)
{
    if (path)
        watch->files[watch->file_count++] = (struct watched_file){.path = path, .wd = -1};
}

void watch_open(struct watch *watch, const struct config_files *files, const struct log *log)
{
    *watch = (struct watch){.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .log = log};
    if (watch->fd < 0)
        log_write(log, LOG_WARN, "cannot use inotify: %s; the configuration files are looked at once a second instead",
                  strerror(errno));
    add_file(watch, files->defaults);
    add_file(watch, files->config);
    add_file(watch, files->fleet);
    find_ways(watch);
}

void watch_close(struct watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    *watch = (struct watch){.fd = -1};
}
