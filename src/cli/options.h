/* cli/options.h: the command line of `configstream`.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What every command may end with. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_NO_INSTANCE = 4,
    EXIT_PRODUCER_DOWN = 5,
    EXIT_REFUSED = 6,
    EXIT_TIMEOUT = 7
};

struct cli;

struct command {
    const char *name;
    unsigned options;          /* OPTION_* bits beyond the global ones */
    unsigned least, most;      /* operands */
    enum exit_code (*run)(struct cli *cli);
};

enum {
    OPTION_SOURCE_FLAG = 1u << 0, /* get --source */
    OPTION_SOURCE_NAME = 1u << 1, /* set, unset --source S */
    OPTION_ALL_SOURCES = 1u << 2,
    OPTION_LIVE = 1u << 3,
    OPTION_SHOW_SECRETS = 1u << 4,
    OPTION_VALUE_JSON = 1u << 5,
    OPTION_FILE = 1u << 6,
    OPTION_PREFIX = 1u << 7,
    OPTION_COUNT = 1u << 8,
    OPTION_TIMEOUT = 1u << 9,
    OPTION_KEYS = 1u << 10,
    OPTION_BRIDGE = 1u << 11,
    OPTION_OTHERS = 1u << 12 /* client: all words after it are another program's */
};

/* --color */
enum cli_colour { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

enum { OPERANDS_MAX = 2 };

struct cli {
    const struct command *command;
    const char *instance, *arena_path, *control, *bridge;
    uid_t producer_user; /* (uid_t)-1: none */
    bool json, show_source, all_sources, live, show_secrets, only_keys;
    enum cli_colour colour;
    const char *value_json, *file, *prefix;
    int source;          /* enum cfgs_source */
    uint64_t count;      /* 0: no end */
    int64_t timeout_ms;  /* -1: no end */
    const char *operands[OPERANDS_MAX];
    size_t operand_count;
    char **others; /* the words after a command with OPTION_OTHERS, and a NULL */
};

/** All commands; ends with one without a name. */
extern const struct command cli_commands[];

/**
 * Parse.  Options may stand before or after the command; "--" ends them; a word such as -5 is a value, not an option.
 * @return false when the program should end with *status: after --help and --version, or a mistake that was reported.
 */
bool cli_parse(struct cli *cli, int argc, char **argv, enum exit_code *status);

/** The command of that name; NULL, with a complaint that names the nearest one, if there is none. */
const struct command *cli_find_command(const char *name);

#endif
