/*
 * remote.c: from the call that sets to the reader that sees it: on this host, through bridge and remote consumer, and
 * through bridge and relay; beside a bare TLS round trip in the same run.
 *
 * Everything runs on this machine.  In each round every path has its turn with an update of its own; the other readers
 * take it too, and are awaited before the next one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "echo.h"
#include "report.h"
#include "rig.h"
#include <argp.h>
#include <arpa/inet.h>
#include <configstream/remote.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SETTINGS = 350, READY_MS = 30 * 1000, PATHS = 3, ARGUMENTS = 24 };

const char *argp_program_version = "configstream-bench-remote " CFGS_VERSION;

struct remote_bench {
    struct bench_options options;
    unsigned rounds;
    const char *bridge_program, *relay_program;
    struct corpus corpus;
    cfgs_publisher *publisher;
    cfgs_remote *remote;
    cfgs_reader *readers[PATHS];
    struct samples samples[PATHS], echoes, ratios[PATHS];
    uint64_t updates;
    char address[32], arena[PATH_MAX], relay_arena[PATH_MAX], cert[PATH_MAX], token[PATH_MAX];
};

static const char *const paths[PATHS] = {"set to near reader", "set to far reader", "set to relay's reader"};

/* ---- the other processes ----------------------------------------------------------------------------------------- */

extern char **environ;

static pid_t launch(const char *program, const char *const arguments[])
{
    char *copies[ARGUMENTS] = {0};
    pid_t pid;

    copies[0] = strdup(program);
    for (int i = 0; arguments[i] != NULL; i++)
        copies[i + 1] = strdup(arguments[i]);
    int err = posix_spawn(&pid, program, NULL, NULL, copies, environ);
    for (int i = 0; i < ARGUMENTS; i++)
        free(copies[i]);
    if (err != 0)
        rig_die("%s: %s", program, strerror(err));
    return pid;
}

static pid_t bridge, relay; /* of the process, so that they end with it */

static void end_processes(void)
{
    pid_t *const all[] = {&relay, &bridge};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] > 0 && kill(*all[i], SIGTERM) == 0)
            (void)waitpid(*all[i], NULL, 0);
        *all[i] = 0;
    }
}

/* Nobody else takes it in the moment between. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        rig_die("a free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

static void start(struct remote_bench *bench)
{
    char status[PATH_MAX];

    snprintf(bench->address, sizeof bench->address, "127.0.0.1:%u", free_port());
    rig_path(&bench->options, "remote", bench->arena);
    rig_path(&bench->options, "relay", bench->relay_arena);
    rig_path(&bench->options, "ipc_cert.pem", bench->cert);
    rig_path(&bench->options, "auth_token", bench->token);
    rig_path(&bench->options, "bridge.sock", status);
    (void)atexit(end_processes);
    bridge = launch(bench->bridge_program,
                    (const char *[]){"--arena-path", bench->arena, "--listen", bench->address, "--metrics", "off",
                                     "--cert", bench->cert, "--auth-token-file", bench->token, "--control", status,
                                     "--log-level", "error", NULL});
    relay = launch(bench->relay_program,
                   (const char *[]){"--connect", bench->address, "--arena-path", bench->relay_arena, "--cert", bench->cert,
                                    "--auth-token-file", bench->token, "--log-level", "error", "--unlink", NULL});
}

static void open_readers(struct remote_bench *bench)
{
    cfgs_error_detail detail = {0};
    cfgs_remote_options options = {.address = bench->address, .cert_file = bench->cert, .token_file = bench->token,
                                   .display_name = "bench", .backoff_min_ms = 20, .backoff_max_ms = 200,
                                   .detail = &detail};

    if (cfgs_remote_open(&options, &bench->remote) != CFGS_OK)
        rig_die("the remote consumer: %s", detail.message);
    bench->readers[0] = rig_reader(&bench->options, "remote");
    rig_check(cfgs_remote_reader(bench->remote, &bench->readers[1]), "a far reader");
    bench->readers[2] = rig_reader(&bench->options, "relay");
    for (int i = 0; i < PATHS; i++)
        rig_check(cfgs_reader_wait_ready(bench->readers[i], READY_MS), paths[i]);
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

/* Until the reader has delivered this ID. */
static void follow(cfgs_reader *reader, uint64_t sequence)
{
    cfgs_event event;

    do {
        rig_check(cfgs_reader_next(reader, &event, READY_MS), "following");
    } while (event.sequence < sequence);
}

/* Microseconds from the call to the reader of this path. */
static double once(struct remote_bench *bench, int path)
{
    size_t key = bench->updates % bench->corpus.count;
    unsigned revision = 1 - (unsigned)(bench->updates / bench->corpus.count % 2);
    cfgs_setting setting = corpus_setting(&bench->corpus.entries[key], revision);
    bool changed = false;

    bench->updates++;
    uint64_t begun = rig_now();
    rig_check(cfgs_publisher_set(bench->publisher, &setting, CFGS_SOURCE_NONE, &changed), "setting");
    uint64_t sequence = cfgs_publisher_sequence(bench->publisher);
    follow(bench->readers[path], sequence);
    double took = (double)(rig_now() - begun) / 1000;
    if (!changed)
        rig_die("wrong result: an update was not published");
    for (int i = 0; i < PATHS; i++)
        if (i != path)
            follow(bench->readers[i], sequence);
    return took;
}

static void one_round(struct remote_bench *bench, struct echo *echo)
{
    double echoed = echo_round_trip(echo);

    samples_add(&bench->echoes, echoed);
    for (int path = 0; path < PATHS; path++) {
        double took = once(bench, path);
        samples_add(&bench->samples[path], took);
        samples_add(&bench->ratios[path], took / echoed);
    }
}

static double at(const struct samples *sorted, double part)
{
    size_t index = (size_t)((double)sorted->count * part);
    return sorted->at[index < sorted->count ? index : sorted->count - 1];
}

static void report(struct remote_bench *bench)
{
    struct spread echo = samples_spread(&bench->echoes);

    for (int path = 0; path < PATHS; path++) {
        struct spread ours = samples_spread(&bench->samples[path]), ratio = samples_spread(&bench->ratios[path]);
        report_result(&(struct result){.bench = "remote", .what = paths[path], .settings = bench->corpus.count,
                                       .sleepers = -1, .unit = "us", .ours = ours});
        report_note("        p50 %.0f  p90 %.0f  p99 %.0f  max %.0f us; %.2f times a TLS round trip [%.2f .. %.2f]",
                    ours.median, ours.p90, at(&bench->samples[path], 0.99), at(&bench->samples[path], 1), ratio.median,
                    ratio.p10, ratio.p90);
    }
    report_result(&(struct result){.bench = "remote", .what = "bare TLS round trip", .settings = bench->corpus.count,
                                   .sleepers = -1, .unit = "us", .ours = echo});
    report_note("        p50 %.0f  p90 %.0f  p99 %.0f  max %.0f us", echo.median, echo.p90, at(&bench->echoes, 0.99),
                at(&bench->echoes, 1));
}

static void finish(struct remote_bench *bench)
{
    for (int i = 0; i < PATHS; i++) {
        cfgs_reader_close(bench->readers[i]);
        samples_free(&bench->samples[i]);
        samples_free(&bench->ratios[i]);
    }
    samples_free(&bench->echoes);
    cfgs_remote_close(bench->remote);
    end_processes();
    cfgs_publisher_close(bench->publisher, true);
    corpus_free(&bench->corpus);
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static const struct argp_option options_known[] = {
    {"rounds", 'r', "N", 0, "updates on each path (default 2000)", 0},
    {"json", 'j', NULL, 0, "one JSON object a line", 0},
    {"directory", 'd', "DIR", 0, "where arenas are put: a tmpfs (default /dev/shm)", 0},
    {"bridge", 'b', "FILE", 0, "the program configstream-bridge", 0},
    {"relay", 'R', "FILE", 0, "the program configstream-relay", 0},
    {0}};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct remote_bench *bench = state->input;
    char *rest;

    switch (key) {
    case 'r':
        bench->rounds = (unsigned)strtoul(argument, &rest, 10);
        if (*rest != '\0' || bench->rounds < 1 || bench->rounds > 1000000)
            argp_error(state, "'%s' is not a number from 1 to 1000000", argument);
        return 0;
    case 'j':
        bench->options.json = true;
        return 0;
    case 'd':
        bench->options.directory = argument;
        return 0;
    case 'b':
        bench->bridge_program = argument;
        return 0;
    case 'R':
        bench->relay_program = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options_known, parse, NULL,
                                     "Measure from set to seen: near, far, and behind a relay.", NULL, NULL, NULL};
    struct remote_bench bench = {.options = {.cpu = -1, .directory = "/dev/shm"},
                                 .rounds = 2000,
                                 .bridge_program = BRIDGE_PROGRAM,
                                 .relay_program = RELAY_PROGRAM};

    argp_parse(&argp, argc, argv, 0, NULL, &bench);
    report_start(bench.options.json);
    corpus_make(SETTINGS, &bench.corpus);
    bench.publisher = rig_publish(&bench.options, "remote", &bench.corpus);
    start(&bench);
    open_readers(&bench);
    struct echo *echo = echo_open(bench.cert);
    for (int i = 0; i < PATHS; i++)
        follow(bench.readers[i], cfgs_publisher_sequence(bench.publisher));
    for (unsigned i = 0; i < bench.rounds; i++)
        one_round(&bench, echo);
    report(&bench);
    echo_close(echo);
    finish(&bench);
    return 0;
}
