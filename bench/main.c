/* main.c: the command line.  SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"
#include "peer.h"
#include "report.h"
#include "rig.h"
#include "sleepers.h"
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_SETTINGS 's'
#define OPTION_SLEEPERS 'w'
#define OPTION_SECONDS 't'
#define OPTION_COMMITS 'n'
#define OPTION_QUICK 'q'
#define OPTION_JSON 'j'
#define OPTION_CHECK 'c'
#define OPTION_CPU 'p'
#define OPTION_DIRECTORY 'd'
#define OPTION_NO_WAKE 0x100
#define OPTION_INSTRUCTIONS 0x101
#define OPTION_SLEEPER 0x102

const char *argp_program_version = "configstream-bench " CFGS_VERSION;

static const struct argp_option options_known[] = {
    {"settings", OPTION_SETTINGS, "N,...", 0, "numbers of settings (default 350,10000,1000000)", 0},
    {"sleepers", OPTION_SLEEPERS, "N,...", 0, "numbers of sleeping readers (default 0,1,64,350)", 0},
    {"seconds", OPTION_SECONDS, "S", 0, "time for each measurement (default 1)", 0},
    {"commits", OPTION_COMMITS, "N", 0, "commits for each number of sleepers (default 200, and 100 from 200 on)", 0},
    {"quick", OPTION_QUICK, NULL, 0, "small and short: does everything work?", 0},
    {"json", OPTION_JSON, NULL, 0, "one JSON object a line", 0},
    {"check", OPTION_CHECK, NULL, 0, "exit 1 if a target that is a ratio was missed", 0},
    {"cpu", OPTION_CPU, "N", 0, "measure on this processor (default: the last one allowed)", 0},
    {"directory", OPTION_DIRECTORY, "DIR", 0, "where arenas and peers are put: a tmpfs (default /dev/shm)", 0},
    {"no-wake-thread", OPTION_NO_WAKE, NULL, 0, "let commits wake the readers themselves", 0},
    {"instructions", OPTION_INSTRUCTIONS, NULL, 0, "print how to count instructions, and exit", 0},
    {"sleeper", OPTION_SLEEPER, "WHERE", OPTION_HIDDEN, NULL, 0},
    {0}};

static const char documentation[] =
    "Measure configstream.\vread: point reads by key (with LMDB in turns) and by handle, views of ten keys.  update: "
    "one update after the other.  load: whole configurations.  commit: an update while readers sleep, at the smallest "
    "number of settings.  all, the default: all of them.\n\nExit status: 0; 1 if a result was wrong, something "
    "failed, or --check found a target missed; 64 for a wrong command line.";

static const char how_to_count[] =
    "Instructions per operation: run a fixed number of operations twice and divide the difference.\n\n"
    "  for n in 100000 200000; do\n"
    "    valgrind --tool=callgrind --callgrind-out-file=/dev/null configstream-bench-ops read-key $n\n"
    "  done\n\n"
    "Operations: read-key read-handle read-view update lmdb.  For a profile keep the output file and read it with\n"
    "callgrind_annotate.\n";

struct bench {
    struct bench_options options;
    const char *what;
};

static void parse_list(struct argp_state *state, const char *text, size_t least, struct bench_list *list)
{
    char *end = NULL;

    list->count = 0;
    for (const char *at = text; list->count < BENCH_LIST_MAX; at = end + 1) {
        unsigned long long number = strtoull(at, &end, 10);
        if (end == at || (*end != ',' && *end != '\0') || number < least || number > 10000000)
            argp_error(state, "'%s' is not a list of numbers from %zu to 10000000", text, least);
        if (list->count > 0 && number <= list->at[list->count - 1])
            argp_error(state, "'%s' is not in ascending order", text);
        list->at[list->count++] = (size_t)number;
        if (*end == '\0')
            return;
    }
    argp_error(state, "at most %d numbers in a list", BENCH_LIST_MAX);
}

static double parse_number(struct argp_state *state, const char *text, double least, double most)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end != '\0' || !(number >= least && number <= most))
        argp_error(state, "'%s' is not a number from %g to %g", text, least, most);
    return number;
}

static void be_quick(struct bench_options *options)
{
    options->quick = true;
    options->seconds = 0.02;
    options->commits = 10;
    options->settings = (struct bench_list){{350, 2000}, 2};
    options->sleepers = (struct bench_list){{0, 1, 4}, 3};
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct bench *bench = state->input;
    struct bench_options *options = &bench->options;

    switch (key) {
    case OPTION_SETTINGS:
        parse_list(state, argument, 20, &options->settings);
        return 0;
    case OPTION_SLEEPERS:
        parse_list(state, argument, 0, &options->sleepers);
        return 0;
    case OPTION_SECONDS:
        options->seconds = parse_number(state, argument, 0, 3600);
        return 0;
    case OPTION_COMMITS:
        options->commits = (size_t)parse_number(state, argument, 1, 1e6);
        return 0;
    case OPTION_QUICK:
        be_quick(options);
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case OPTION_CHECK:
        options->check = true;
        return 0;
    case OPTION_CPU:
        options->cpu = (int)parse_number(state, argument, 0, 1023);
        return 0;
    case OPTION_DIRECTORY:
        options->directory = argument;
        return 0;
    case OPTION_NO_WAKE:
        options->no_wake_thread = true;
        return 0;
    case OPTION_INSTRUCTIONS:
        fputs(how_to_count, stdout);
        exit(0);
    case OPTION_SLEEPER:
        exit(sleeper_main(argument));
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            return ARGP_ERR_UNKNOWN;
        bench->what = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

typedef void bench_fn(const struct bench_options *options, size_t settings);

static const struct {
    const char *name;
    bench_fn *run;
    bool smallest_only;
} benches[] = {{"read", bench_read, false},
               {"update", bench_update, false},
               {"load", bench_load, false},
               {"commit", bench_commit, true}};

#define BENCHES (sizeof benches / sizeof benches[0])

static bool is_known(const char *what)
{
    for (size_t i = 0; i < BENCHES; i++)
        if (strcmp(what, benches[i].name) == 0)
            return true;
    return strcmp(what, "all") == 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options_known, parse, "[read|update|load|commit|all]", documentation, NULL, NULL,
                                     NULL};
    struct bench bench = {.options = {.settings = {{350, 10000, 1000000}, 3},
                                      .sleepers = {{0, 1, 64, 350}, 4},
                                      .seconds = 1,
                                      .cpu = -1,
                                      .directory = "/dev/shm"},
                          .what = "all"};
    const struct bench_list *settings = &bench.options.settings;

    argp_parse(&argp, argc, argv, 0, NULL, &bench);
    if (!is_known(bench.what)) {
        fprintf(stderr, "configstream-bench: there is no benchmark '%s': read, update, load, commit or all\n",
                bench.what);
        return 64;
    }
    report_start(bench.options.json);
    if (peer_name() == NULL)
        report_note("built without LMDB: reads have no peer");
    for (size_t i = 0; i < BENCHES; i++)
        for (size_t n = 0; n < (benches[i].smallest_only ? 1 : settings->count); n++)
            if ((strcmp(bench.what, benches[i].name) == 0 || strcmp(bench.what, "all") == 0) &&
                rig_has_room(&bench.options, settings->at[n]))
                benches[i].run(&bench.options, settings->at[n]);
    return report_finish() || !bench.options.check ? 0 : 1;
}
