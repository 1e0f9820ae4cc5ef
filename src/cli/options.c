/* cli/options.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "cli/help.h"
#include "cli/output.h"

#include <configstream/configstream.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cli_complain(const char *format, ...)
{
    va_list arguments;
    char *message;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    fputs("configstream: ", stderr);
    /* Keys come from others: what one holds must not reach the terminal as commands. */
    for (const char *at = message ? message : "out of memory"; *at; at++)
        fprintf(stderr, (unsigned char)*at < 0x20 || *at == 0x7f ? "\\x%02x" : "%c", (unsigned char)*at);
    fputc('\n', stderr);
    free(message);
}

/* ---- values of options ------------------------------------------------------------------------------------------- */

static bool take_instance(struct cli *cli, const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t length = strlen(text);
    cli->instance = text;
    if (length && length <= CFGS_INSTANCE_MAX_BYTES && strspn(text, allowed) == length)
        return true;
    cli_complain("--instance: '%s' is not 1 to 64 of the characters A-Z a-z 0-9 _ -", text);
    return false;
}

static bool take_user(struct cli *cli, const char *text)
{
    char *end;
    const struct passwd *found = getpwnam(text);
    unsigned long number = strtoul(text, &end, 10);
    cli->producer_user = found ? found->pw_uid : (uid_t)number;
    if (found || (end != text && !*end && *text != '-' && number < (uid_t)-1))
        return true;
    cli_complain("--producer-user: there is no user '%s'", text);
    return false;
}

static bool take_count(struct cli *cli, const char *text)
{
    char *end;
    errno = 0;
    cli->count = strtoull(text, &end, 10);
    if (!errno && end != text && !*end && *text != '-' && cli->count)
        return true;
    cli_complain("--count: '%s' is not a number from 1", text);
    return false;
}

static bool take_timeout(struct cli *cli, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 0 && seconds <= 1e9)) {
        cli_complain("--timeout: '%s' is not a number of seconds", text);
        return false;
    }
    cli->timeout_ms = (int64_t)ceil(seconds * 1000);
    return true;
}

static bool take_source(struct cli *cli, const char *text)
{
    cli->source = cfgs_source_parse(text, strlen(text));
    if (cli->source > CFGS_SOURCE_NONE && cli->source <= CFGS_SOURCE_COUNT)
        return true;
    fprintf(stderr, "configstream: --source: '%s' is none of", text);
    for (int source = 1; source <= CFGS_SOURCE_COUNT; source++)
        fprintf(stderr, "%s %s", source > 1 ? "," : "", cfgs_source_name(source));
    fputc('\n', stderr);
    return false;
}

static bool take_arena_path(struct cli *cli, const char *text) { cli->arena_path = text; return true; }
static bool take_control(struct cli *cli, const char *text) { cli->control = text; return true; }
static bool take_json(struct cli *cli, const char *text) { (void)text; return cli->json = true; }
static bool take_source_flag(struct cli *cli, const char *text) { (void)text; return cli->show_source = true; }
static bool take_all_sources(struct cli *cli, const char *text) { (void)text; return cli->all_sources = true; }
static bool take_live(struct cli *cli, const char *text) { (void)text; return cli->live = true; }
static bool take_show_secrets(struct cli *cli, const char *text) { (void)text; return cli->show_secrets = true; }
static bool take_value_json(struct cli *cli, const char *text) { cli->value_json = text; return true; }
static bool take_file(struct cli *cli, const char *text) { cli->file = text; return true; }
static bool take_prefix(struct cli *cli, const char *text) { cli->prefix = text; return true; }

struct option {
    const char *name;
    unsigned bit; /* 0: global */
    bool has_value;
    bool (*take)(struct cli *cli, const char *text);
};

static const struct option known[] = {
    {"instance", 0, true, take_instance},
    {"arena-path", 0, true, take_arena_path},
    {"producer-user", 0, true, take_user},
    {"control", 0, true, take_control},
    {"json", 0, false, take_json},
    {"source", OPTION_SOURCE_FLAG, false, take_source_flag},
    {"source", OPTION_SOURCE_NAME, true, take_source},
    {"all-sources", OPTION_ALL_SOURCES, false, take_all_sources},
    {"live", OPTION_LIVE, false, take_live},
    {"show-secrets", OPTION_SHOW_SECRETS, false, take_show_secrets},
    {"value-json", OPTION_VALUE_JSON, true, take_value_json},
    {"file", OPTION_FILE, true, take_file},
    {"prefix", OPTION_PREFIX, true, take_prefix},
    {"count", OPTION_COUNT, true, take_count},
    {"timeout", OPTION_TIMEOUT, true, take_timeout},
};

/* ---- words ------------------------------------------------------------------------------------------------------- */

struct words {
    int argc, at;
    char **argv;
    bool options_ended;
};

/* "-5" and "-" are values; so is everything after "--". */
static bool is_option(const struct words *words, const char *word)
{
    return !words->options_ended && word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9') && word[1] != '.';
}

static bool name_is(const char *word, const char *name)
{
    size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && (!word[length] || word[length] == '=');
}

/* Which option takes a value depends on the command only for --source: one that may stand before the command is found
 * among all. */
static const struct option *find_option(const struct cli *cli, const char *name)
{
    const struct option *found = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!name_is(name, known[i].name))
            continue;
        if (!known[i].bit || (cli->command && (cli->command->options & known[i].bit)))
            return &known[i];
        found = &known[i];
    }
    return cli->command ? NULL : found;
}

static bool take_option(struct cli *cli, struct words *words, const char *word)
{
    const struct option *option = word[1] == '-' ? find_option(cli, word + 2) : NULL;
    const char *equals = strchr(word, '=');
    if (!option) {
        cli_complain("%s takes no option '%s'; see configstream --help, or put -- before a value that starts with '-'",
                     cli->command->name, word);
        return false;
    }
    if (!option->has_value) {
        if (!equals)
            return option->take(cli, NULL);
        cli_complain("--%s takes no value", option->name);
        return false;
    }
    if (equals)
        return option->take(cli, equals + 1);
    if (words->at == words->argc) {
        cli_complain("--%s needs a value", option->name);
        return false;
    }
    return option->take(cli, words->argv[words->at++]);
}

static const struct command *find_command(const char *name)
{
    for (const struct command *command = cli_commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    cli_complain("there is no command '%s'; see configstream --help", name);
    return NULL;
}

static bool take_operand(struct cli *cli, const char *word)
{
    if (cli->operand_count == cli->command->most) {
        cli_complain("%s: '%s' is one word too many; see configstream --help", cli->command->name, word);
        return false;
    }
    cli->operands[cli->operand_count++] = word;
    return true;
}

/* The command is the first word that is neither an option nor an option's value; options before it may be its own. */
static bool scan_command(struct cli *cli, int argc, char **argv)
{
    struct words words = {.argc = argc, .at = 1, .argv = argv};
    while (words.at < argc) {
        const char *word = argv[words.at++];
        if (strcmp(word, "--") == 0)
            words.options_ended = true;
        else if (!is_option(&words, word))
            return (cli->command = find_command(word)) != NULL;
        else {
            const struct option *option = word[1] == '-' ? find_option(cli, word + 2) : NULL;
            if (option && option->has_value && !strchr(word, '='))
                words.at++;
        }
    }
    cli_complain("a command is needed; see configstream --help");
    return false;
}

static bool take_words(struct cli *cli, struct words *words)
{
    bool command_seen = false;
    while (words->at < words->argc) {
        const char *word = words->argv[words->at++];
        bool ok = true;
        if (!words->options_ended && strcmp(word, "--") == 0)
            words->options_ended = true;
        else if (is_option(words, word))
            ok = take_option(cli, words, word);
        else if (command_seen)
            ok = take_operand(cli, word);
        else
            command_seen = true;
        if (!ok)
            return false;
    }
    return true;
}

static bool check_whole(const struct cli *cli)
{
    const struct command *command = cli->command;
    bool is_set = (command->options & OPTION_VALUE_JSON) != 0;
    size_t values = cli->operand_count + (cli->value_json != NULL) + (cli->file != NULL);
    if (is_set && values != 2) {
        cli_complain("set takes KEY and one of VALUE, --value-json J, --file F");
        return false;
    }
    if (!is_set && cli->operand_count < command->least) {
        cli_complain("%s: too few words; see configstream --help", command->name);
        return false;
    }
    if (is_set && !cli->operand_count) {
        cli_complain("set: which KEY?");
        return false;
    }
    return true;
}

/* Told by any word, wherever it stands before "--". */
static bool answered(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(cli_help, stdout);
            return true;
        }
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            printf("configstream %s (arena layout %d.%d)\n", cfgs_version(), CFGS_LAYOUT_MAJOR, CFGS_LAYOUT_MINOR);
            return true;
        }
    }
    return false;
}

bool cli_parse(struct cli *cli, int argc, char **argv, enum exit_code *status)
{
    *cli = (struct cli){
        .instance = "default", .producer_user = (uid_t)-1, .source = CFGS_SOURCE_CLI, .timeout_ms = -1};
    *status = EXIT_OK;
    if (answered(argc, argv)) {
        *status = output_finish() ? EXIT_OK : EXIT_OTHER;
        return false;
    }
    *status = EXIT_USAGE;
    const char *user = getenv("CONFIGSTREAM_PRODUCER_USER");
    if (user && *user && !take_user(cli, user))
        return false;
    struct words words = {.argc = argc, .at = 1, .argv = argv};
    return scan_command(cli, argc, argv) && take_words(cli, &words) && check_whole(cli);
}
