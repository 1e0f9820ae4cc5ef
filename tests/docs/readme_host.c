/*
 * readme_host.c: run the program of README.md against an arena and look at what it prints.
 *
 *     readme_host EXAMPLE_PROGRAM
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <configstream/configstream.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;
static cfgs_publisher *publisher;

static void fail(const char *what, const char *more)
{
    fprintf(stderr, "%s: %s\n", what, more);
    if (child > 0)
        kill(child, SIGKILL);
    cfgs_publisher_close(publisher, true);
    exit(1);
}

static void check(int err, const char *what)
{
    if (err != CFGS_OK)
        fail(what, cfgs_strerror(err));
}

static void set(const char *key, cfgs_value value)
{
    cfgs_setting setting = {.key = {key, strlen(key)}, .value = value, .source = CFGS_SOURCE_FILE};
    check(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL), key);
}

static FILE *start(const char *program, const char *instance)
{
    int ends[2];

    if (pipe(ends) != 0)
        fail("pipe", "failed");
    child = fork();
    if (child < 0)
        fail("fork", "failed");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl(program, program, instance, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

static void expect(FILE *from, const char *line)
{
    char got[256] = "";

    if (fgets(got, sizeof got, from) == NULL)
        fail("the example ended before it said", line);
    got[strcspn(got, "\n")] = '\0';
    printf("%s\n", got);
    if (strcmp(got, line) != 0)
        fail("the example should have said", line);
}

int main(int argc, char **argv)
{
    char instance[64];
    int status;

    if (argc != 2)
        return 2;
    alarm(60);
    snprintf(instance, sizeof instance, "readme-%ld", (long)getpid());
    check(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &publisher), "open");
    FILE *from = start(argv[1], instance); /* before there is anything to read: it waits */
    cfgs_batch *batch;
    check(cfgs_batch_begin(publisher, &batch), "begin");
    cfgs_setting settings[] = {
        {.key = {"cmd_port", 8}, .value = cfgs_value_int(5001), .source = CFGS_SOURCE_DEFAULT},
        {.key = {"log_level", 9}, .value = cfgs_value_string("info", 4), .source = CFGS_SOURCE_DEFAULT},
        {.key = {"log_file_max_size", 17}, .value = cfgs_value_string("10Mb", 4), .source = CFGS_SOURCE_DEFAULT},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check(cfgs_batch_set(batch, &settings[i], CFGS_SOURCE_NONE), settings[i].key.data);
    check(cfgs_batch_commit(batch, NULL), "commit");
    expect(from, "cmd_port is 5001");
    expect(from, "log_level is info, log files of 10485760 bytes");
    expect(from, "snapshot as of #3");
    set("cmd_port", cfgs_value_int(5002));
    expect(from, "update #4: cmd_port");
    check(cfgs_publisher_remove(publisher, "log_level", 9, CFGS_SOURCE_FILE, NULL), "remove");
    expect(from, "update #5: log_level is gone");
    cfgs_publisher_close(publisher, false);
    publisher = NULL;
    expect(from, cfgs_strerror(CFGS_ERR_CLOSED));
    fclose(from);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("the example", "did not exit 0");
    check(cfgs_arena_destroy(&(cfgs_publisher_options){.instance = instance}), "destroy");
    return 0;
}
