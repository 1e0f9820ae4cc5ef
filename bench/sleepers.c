/*
 * sleepers.c: all processes are there from the start, whatever number takes part: the others sleep on the board.
 * So the machine, and the check before each commit, are the same for 1 and for 350, and only the readers are not.
 *
 * Asleep means: its last ID is on the board, and then the kernel shows it in futex or futex_waitv (/proc/PID/syscall;
 * where that cannot be read: state S in /proc/PID/stat).  In this order, because a sleeper that has not been woken yet
 * is in futex_waitv, too.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sleepers.h"
#include "rig.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SETTLE_LIMIT_NS UINT64_C(10000000000)
#define POLL_NS 50000
#define OWN_THREADS_MAX 8

extern char **environ;

/* A sleeper's line on the board. */
struct board_line {
    _Alignas(64) _Atomic(uint64_t) sequence;
    _Atomic(uint32_t) active; /* futex word: 1: follow the arena */
    _Atomic(uint32_t) failed; /* 1: an ID was missing or repeated; 2: an error */
};

struct sleepers {
    const struct bench_options *options;
    struct board_line *board;
    size_t capacity, started, active;
    pid_t *pids;
    int *watches; /* descriptors of the /proc files */
    bool by_state;
    char arena[64];
    int own[OWN_THREADS_MAX];
    size_t own_count;
};

/* ---- asleep? ----------------------------------------------------------------------------------------------------- */

static int watch_open(const char *folder, bool by_state)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/%s", folder, by_state ? "stat" : "syscall");
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool is_asleep(int watch, bool by_state)
{
    char text[256];
    ssize_t got = pread(watch, text, sizeof text - 1, 0);

    if (got <= 0)
        return false;
    text[got] = '\0';
    if (by_state) {
        const char *end = strrchr(text, ')');
        return end != NULL && strncmp(end, ") S", 3) == 0;
    }
    long number = strtol(text, NULL, 10);
#ifdef SYS_futex_waitv
    if (number == SYS_futex_waitv)
        return true;
#endif
    return number == SYS_futex;
}

static bool syscall_is_readable(void)
{
    char text[64];
    int fd = open("/proc/self/syscall", O_RDONLY | O_CLOEXEC);
    bool readable = fd >= 0 && read(fd, text, sizeof text) > 0;

    if (fd >= 0)
        close(fd);
    return readable;
}

/* The publisher's helper threads. */
static void watch_own_threads(struct sleepers *sleepers)
{
    char path[PATH_MAX], self[32];
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");

    snprintf(self, sizeof self, "%ld", syscall(SYS_gettid));
    while (tasks != NULL && (entry = readdir(tasks)) != NULL && sleepers->own_count < OWN_THREADS_MAX) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, self) == 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s", entry->d_name);
        sleepers->own[sleepers->own_count++] = watch_open(path, sleepers->by_state);
    }
    if (tasks != NULL)
        closedir(tasks);
}

static void pause_or_die(uint64_t start, const char *who, size_t number)
{
    const struct timespec moment = {.tv_nsec = POLL_NS};

    if (rig_now() - start > SETTLE_LIMIT_NS)
        rig_die("%s %zu does not go to sleep", who, number);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
}

void sleepers_settle(struct sleepers *sleepers, uint64_t sequence)
{
    uint64_t start = rig_now();

    for (size_t i = 0; i < sleepers->started; i++) {
        struct board_line *line = &sleepers->board[i];
        while ((i < sleepers->active && atomic_load_explicit(&line->sequence, memory_order_acquire) != sequence) ||
               !is_asleep(sleepers->watches[i], sleepers->by_state)) {
            if (atomic_load_explicit(&line->failed, memory_order_relaxed) != 0)
                rig_die("wrong result: sleeper %zu %s", i,
                        atomic_load_explicit(&line->failed, memory_order_relaxed) == 1 ? "missed an update"
                                                                                       : "met an error");
            pause_or_die(start, "sleeper", i);
        }
    }
    for (size_t i = 0; i < sleepers->own_count; i++)
        while (!is_asleep(sleepers->own[i], sleepers->by_state))
            pause_or_die(start, "helper thread", i);
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

struct sleepers *sleepers_new(const struct bench_options *options, const char *arena, size_t capacity)
{
    struct sleepers *sleepers = calloc(1, sizeof *sleepers);
    size_t bytes = (capacity + 1) * sizeof(struct board_line);
    char path[PATH_MAX];

    if (sleepers == NULL || (sleepers->pids = calloc(capacity + 1, sizeof(pid_t))) == NULL ||
        (sleepers->watches = calloc(capacity + 1, sizeof(int))) == NULL)
        rig_die("out of memory");
    sleepers->options = options;
    sleepers->capacity = capacity;
    sleepers->by_state = !syscall_is_readable();
    snprintf(sleepers->arena, sizeof sleepers->arena, "%s", arena);
    rig_path(options, "board", path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        rig_die("%s: %s", path, strerror(errno));
    sleepers->board = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (sleepers->board == MAP_FAILED)
        rig_die("mmap: %s", strerror(errno));
    close(fd);
    watch_own_threads(sleepers);
    return sleepers;
}

static void start_one(struct sleepers *sleepers)
{
    char folder[64], where[2 * PATH_MAX + 64], board[PATH_MAX], arena[PATH_MAX];
    size_t number = sleepers->started;

    rig_path(sleepers->options, "board", board);
    rig_path(sleepers->options, sleepers->arena, arena);
    snprintf(where, sizeof where, "--sleeper=%zu:%s:%s", number, board, arena);
    char name[] = "configstream-bench";
    char *const arguments[] = {name, where, NULL};
    int error = posix_spawn(&sleepers->pids[number], "/proc/self/exe", NULL, NULL, arguments, environ);
    if (error != 0)
        rig_die("starting sleeper %zu: %s", number, strerror(error));
    snprintf(folder, sizeof folder, "/proc/%d", (int)sleepers->pids[number]);
    sleepers->watches[number] = watch_open(folder, sleepers->by_state);
    if (sleepers->watches[number] < 0)
        rig_die("%s: %s", folder, strerror(errno));
    sleepers->started++;
}

void sleepers_grow(struct sleepers *sleepers, size_t count, uint64_t sequence)
{
    while (sleepers->started < sleepers->capacity)
        start_one(sleepers);
    for (; sleepers->active < count; sleepers->active++) {
        _Atomic(uint32_t) *active = &sleepers->board[sleepers->active].active;
        atomic_store_explicit(active, 1, memory_order_release);
        syscall(SYS_futex, active, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    sleepers_settle(sleepers, sequence);
}

void sleepers_free(struct sleepers *sleepers)
{
    for (size_t i = 0; i < sleepers->started; i++)
        kill(sleepers->pids[i], SIGKILL);
    for (size_t i = 0; i < sleepers->started; i++) {
        waitpid(sleepers->pids[i], NULL, 0);
        close(sleepers->watches[i]);
    }
    for (size_t i = 0; i < sleepers->own_count; i++)
        close(sleepers->own[i]);
    munmap(sleepers->board, (sleepers->capacity + 1) * sizeof(struct board_line));
    free(sleepers->pids);
    free(sleepers->watches);
    free(sleepers);
}

/* ---- a sleeper --------------------------------------------------------------------------------------------------- */

static void follow(cfgs_reader *reader, struct board_line *line)
{
    uint64_t last = 0;
    cfgs_event event;

    for (;;) {
        int err = cfgs_reader_next(reader, &event, CFGS_FOREVER);
        if (err != CFGS_OK) {
            atomic_store_explicit(&line->failed, 2, memory_order_relaxed);
            return;
        }
        if (event.kind == CFGS_EVENT_UPDATE && event.sequence != last + 1) {
            atomic_store_explicit(&line->failed, 1, memory_order_relaxed);
            return;
        }
        last = event.sequence;
        atomic_store_explicit(&line->sequence, last, memory_order_release);
    }
}

int sleeper_main(const char *where)
{
    char *end;
    unsigned long number = strtoul(where, &end, 10);
    char board[PATH_MAX];
    cfgs_reader *reader;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *arena = *end == ':' ? strchr(end + 1, ':') : NULL;
    if (arena == NULL || (size_t)snprintf(board, sizeof board, "%.*s", (int)(arena - end - 1), end + 1) >= sizeof board)
        return 1;
    int fd = open(board, O_RDWR | O_CLOEXEC);
    struct board_line *lines = mmap(NULL, (number + 1) * sizeof *lines, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || lines == MAP_FAILED)
        return 1;
    while (atomic_load_explicit(&lines[number].active, memory_order_acquire) == 0)
        syscall(SYS_futex, &lines[number].active, FUTEX_WAIT, 0, NULL, NULL, 0);
    cfgs_reader_options options = {.arena_path = arena + 1};
    if (cfgs_reader_open(&options, &reader) != CFGS_OK) {
        atomic_store_explicit(&lines[number].failed, 2, memory_order_relaxed);
        return 1;
    }
    follow(reader, &lines[number]);
    cfgs_reader_close(reader);
    return 1;
}
