/*
 * creating.c: files that several processes make at once, and whose maker is killed at every single step (upstream-facts
 * 2.3: created atomically).  Both ways of making a file are tried: without a name until it is whole, and, as on file
 * systems that cannot do that, under a name of its own.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20, MAKERS = 8, STEPS_MAX = 20000 };

static bool unnamed_works = true;

/* The linker puts it in the place of open(). */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if ((flags & O_TMPFILE) == O_TMPFILE && !unnamed_works) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open(path, flags, mode);
}

static struct scene scene;

static struct credentials *open_credentials(bool create)
{
    struct problem problem;
    struct credentials_options options = scene_options(&scene);
    options.create = create;
    struct credentials *credentials = credentials_open(&options, &problem);
    if (!credentials)
        fprintf(stderr, "%s\n", problem.text);
    NEED(credentials);
    return credentials;
}

static unsigned files(void)
{
    unsigned count = 0;
    DIR *directory = opendir(scene.directory);
    NEED(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* ---- several at once --------------------------------------------------------------------------------------------- */

/* What is in force is what is in the files. */
static void agrees_with_files(struct credentials *credentials)
{
    struct test_identity own = identity_of_file(scene.cert);
    char *token = file_get(scene.token), *bearer = joined("bearer ", token);
    struct client client;
    int fd;
    client_open(&client, (struct client_options){.identity = &own}, &fd);
    struct channel *channel = channel_accept(credentials, fd);
    NEED(channel && handshake(&client, channel) == CHANNEL_OK);
    NEED(credentials_check(credentials, bearer) == TOKEN_OK);
    channel_free(channel);
    client_close(&client);
    close(fd);
    free(token), free(bearer);
    identity_free(&own);
}

/* Begins when everybody is there, and looks at the files when everybody has opened. */
static _Noreturn void make(int start, int opened, int look)
{
    char byte;
    NEED(read(start, &byte, 1) == 0);
    struct credentials *credentials = open_credentials(true);
    NEED(write(opened, "x", 1) == 1);
    close(opened);
    NEED(read(look, &byte, 1) == 0);
    agrees_with_files(credentials);
    credentials_close(credentials);
    _exit(0);
}

static void wait_for(pid_t child)
{
    int status;
    NEED(waitpid(child, &status, 0) == child);
    NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void all_use_what_the_first_one_made(void)
{
    int start[2], opened[2], look[2];
    pid_t makers[MAKERS];
    char byte;
    scene_make(&scene);
    NEED(pipe2(start, O_CLOEXEC) == 0 && pipe2(opened, O_CLOEXEC) == 0 && pipe2(look, O_CLOEXEC) == 0);
    for (int i = 0; i < MAKERS; i++) {
        makers[i] = fork();
        NEED(makers[i] >= 0);
        if (makers[i] == 0) {
            close(start[1]), close(look[1]), close(opened[0]);
            make(start[0], opened[1], look[0]);
        }
    }
    close(start[1]), close(opened[1]);
    for (int i = 0; i < MAKERS; i++)
        NEED(read(opened[0], &byte, 1) == 1);
    close(look[1]);
    for (int i = 0; i < MAKERS; i++)
        wait_for(makers[i]);
    close(start[0]), close(opened[0]), close(look[0]);
    NEED(files() == 2);
    scene_remove(&scene);
}

/* ---- killed ------------------------------------------------------------------------------------------------------ */

/* Let the child run to its step-th entry into or return from the kernel, and kill it there.  False: it was through. */
static bool kill_at(pid_t child, int step)
{
    int status;
    for (int i = 0; i <= step; i++) {
        NEED(waitpid(child, &status, 0) == child);
        if (WIFEXITED(status)) {
            NEED(WEXITSTATUS(status) == 0);
            return false;
        }
        NEED(WIFSTOPPED(status));
        int number = WSTOPSIG(status);
        NEED(ptrace(PTRACE_SYSCALL, child, 0, number == SIGTRAP || number == SIGSTOP ? 0 : number) == 0 || i == step);
    }
    kill(child, SIGKILL);
    NEED(waitpid(child, &status, 0) == child || errno == ECHILD);
    while (!WIFEXITED(status) && !WIFSIGNALED(status))
        NEED(waitpid(child, &status, 0) == child);
    return true;
}

static pid_t traced_maker(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child > 0)
        return child;
    NEED(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
    raise(SIGSTOP);
    credentials_close(open_credentials(true));
    _exit(0);
}

/* A file is there whole or not at all: the next one to come starts without complaint, and finds what was there. */
static void survives(void)
{
    bool certificate = access(scene.cert, F_OK) == 0, token = access(scene.token, F_OK) == 0;
    if (certificate && token)
        credentials_close(open_credentials(false));
    struct credentials *credentials = open_credentials(true);
    agrees_with_files(credentials);
    credentials_close(credentials);
    NEED(!unnamed_works || files() == 2);
}

static int die_at_every_step(void)
{
    int step = 0;
    for (bool killed = true; killed; step++) {
        NEED(step < STEPS_MAX);
        scene_make(&scene);
        scene.log.level = LOG_WARN;
        killed = kill_at(traced_maker(), step);
        survives();
        scene_remove(&scene);
    }
    return step;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    for (int way = 0; way < 2; way++) {
        unnamed_works = way == 0;
        for (int i = 0; i < ROUNDS; i++)
            all_use_what_the_first_one_made();
        int steps = die_at_every_step();
        printf("%s: %d rounds of %d makers agreed; killed at %d steps, no half file\n",
               unnamed_works ? "unnamed until whole" : "under a name of its own", ROUNDS, MAKERS, steps - 1);
        fflush(stdout); /* before more children are made, who would print it again */
    }
    return 0;
}
