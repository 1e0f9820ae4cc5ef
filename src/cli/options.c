/* cli/options.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "base/text.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/say.h"
#include "shm/number_text.h"

#include <configstream/configstream.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool find_user(const char *said_by, const char *text, uid_t *out)
{
    char *end;
    const struct passwd *found = getpwnam(text);
    unsigned long number = strtoul(text, &end, 10);
    *out = found ? found->pw_uid : (uid_t)number;
    if (found || (text[0] >= '0' && text[0] <= '9' && !*end && number < (uid_t)-1))
        return true;
    cli_complain("%s: there is no user '%s'; a name or a number is needed", said_by, text);
    return false;
}

static bool take_user(struct cli *cli, const char *text)
{
    return find_user("--producer-user", text, &cli->producer_user);
}

static bool take_count(struct cli *cli, const char *text)
{
    char *end;
    errno = 0;
    cli->count = strtoull(text, &end, 10);
    if (!errno && text[0] >= '0' && text[0] <= '9' && !*end && cli->count)
        return true;
    cli_complain("--count: '%s' is not a number from 1", text);
    return false;
}

static bool take_timeout(struct cli *cli, const char *text)
{
    double seconds;
    if (number_double(text, strlen(text), &seconds) != CFGS_OK || !(seconds >= 0 && seconds <= 1e9)) {
        cli_complain("--timeout: '%s' is not a number of seconds, such as 2.5", text);
        return false;
    }
    cli->timeout_ms = (int64_t)ceil(seconds * 1000);
    return true;
}

static bool append_source(struct buffer *names, int source)
{
    const char *name = cfgs_source_name(source);
    return (source == 1 || buffer_append(names, ", ", 2)) && buffer_append(names, name, strlen(name));
}

static bool take_source(struct cli *cli, const char *text)
{
    struct buffer names = {0};
    cli->source = cfgs_source_parse(text, strlen(text));
    if (cli->source > CFGS_SOURCE_NONE && cli->source <= CFGS_SOURCE_COUNT)
        return true;
    for (int source = 1; source <= CFGS_SOURCE_COUNT; source++)
        if (!append_source(&names, source))
            break;
    cli_complain("--source: '%s' is none of %s", text, names.data ? names.data : "the sources");
    free(names.data);
    return false;
}

static bool take_log_level(struct cli *cli, const char *text)
{
    enum log_level level;
    (void)cli;
    if (!log_level_parse(text, strlen(text), &level)) {
        cli_complain("--log-level: '%s' is none of trace, debug, info, warn, error, critical, off", text);
        return false;
    }
    say_from(level);
    return true;
}

static bool take_colour(struct cli *cli, const char *text)
{
    static const char *const names[] = {"auto", "always", "never"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        cli->colour = (enum cli_colour)i;
        return true;
    }
    cli_complain("--color: '%s' is none of auto, always, never", text);
    return false;
}

/* A path of no characters names nothing; an unset variable of a script often becomes one. */
static bool take_path(const char *option, const char *text, const char **out)
{
    *out = text;
    if (*text)
        return true;
    cli_complain("%s: '' is no path; leave the option out for the default", option);
    return false;
}

static bool take_arena(struct cli *cli, const char *text) { return take_path("--arena-path", text, &cli->arena_path); }
static bool take_control(struct cli *cli, const char *text) { return take_path("--control", text, &cli->control); }
static bool take_bridge(struct cli *cli, const char *text) { return take_path("--bridge", text, &cli->bridge); }
static bool take_file(struct cli *cli, const char *text) { return take_path("--file", text, &cli->file); }
static bool take_json(struct cli *cli, const char *text) { (void)text; return cli->json = true; }
static bool take_source_flag(struct cli *cli, const char *text) { (void)text; return cli->show_source = true; }
static bool take_all_sources(struct cli *cli, const char *text) { (void)text; return cli->all_sources = true; }
static bool take_live(struct cli *cli, const char *text) { (void)text; return cli->live = true; }
static bool take_show_secrets(struct cli *cli, const char *text) { (void)text; return cli->show_secrets = true; }
static bool take_keys(struct cli *cli, const char *text) { (void)text; return cli->only_keys = true; }
static bool take_value_json(struct cli *cli, const char *text) { cli->value_json = text; return true; }
static bool take_prefix(struct cli *cli, const char *text) { cli->prefix = text; return true; }

struct option {
    const char *name;
    unsigned bit; /* 0: global */
    bool has_value;
    bool (*take)(struct cli *cli, const char *text);
};

static const struct option known[] = {
    {"instance", 0, true, take_instance},
    {"arena-path", 0, true, take_arena},
    {"producer-user", 0, true, take_user},
    {"control", 0, true, take_control},
    {"log-level", 0, true, take_log_level},
    {"color", 0, true, take_colour},
    {"json", 0, false, take_json},
    {"source", OPTION_SOURCE_FLAG, false, take_source_flag},
    {"source", OPTION_SOURCE_NAME, true, take_source},
    {"all-sources", OPTION_ALL_SOURCES, false, take_all_sources},
    {"live", OPTION_LIVE, false, take_live},
    {"show-secrets", OPTION_SHOW_SECRETS, false, take_show_secrets},
    {"keys", OPTION_KEYS, false, take_keys},
    {"bridge", OPTION_BRIDGE, true, take_bridge},
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
        cli_complain("%s takes no option '%s'; see configstream help %s, or put -- before a value that starts with '-'",
                     cli->command->name, word, cli->command->name);
        return false;
    }
    if (!option->has_value) {
        if (!equals)
            return option->take(cli, NULL);
        cli_complain("--%s takes no value, and '%s' is one", option->name, equals + 1);
        return false;
    }
    if (equals)
        return option->take(cli, equals + 1);
    if (words->at == words->argc) {
        cli_complain("--%s needs a value; see configstream help %s", option->name, cli->command->name);
        return false;
    }
    return option->take(cli, words->argv[words->at++]);
}

/* Letters to add, take away, change or swap to make one word of the other (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
    enum { MOST = 32 };
    unsigned cost[MOST + 1][MOST + 1];
    const size_t a_length = strnlen(a, MOST), b_length = strnlen(b, MOST);
    for (unsigned i = 0; i <= a_length; i++) {
        for (unsigned j = 0; j <= b_length; j++) {
            cost[i][j] = i ? i : j;
            if (!i || !j)
                continue;
            const unsigned changed = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            const unsigned moved = 1 + (cost[i - 1][j] < cost[i][j - 1] ? cost[i - 1][j] : cost[i][j - 1]);
            cost[i][j] = changed < moved ? changed : moved;
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && cost[i - 2][j - 2] + 1 < cost[i][j])
                cost[i][j] = cost[i - 2][j - 2] + 1;
        }
    }
    return cost[a_length][b_length];
}

/* What somebody meant who wrote this, unless it is like none. */
static const struct command *nearest_command(const char *name)
{
    const struct command *nearest = NULL;
    unsigned least = strlen(name) > 3 ? 3 : 2;
    for (const struct command *command = cli_commands; command->name; command++) {
        const unsigned far = distance(name, command->name);
        if (far >= least)
            continue;
        nearest = command;
        least = far;
    }
    return nearest;
}

const struct command *cli_find_command(const char *name)
{
    for (const struct command *command = cli_commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    const struct command *nearest = nearest_command(name);
    if (nearest)
        cli_complain("there is no command '%s'; is it '%s'? See configstream --help", name, nearest->name);
    else
        cli_complain("there is no command '%s'; see configstream --help", name);
    return NULL;
}

static bool take_operand(struct cli *cli, const char *word)
{
    if (cli->operand_count == cli->command->most) {
        cli_complain("%s: '%s' is one word too many; see configstream help %s", cli->command->name, word,
                     cli->command->name);
        return false;
    }
    cli->operands[cli->operand_count++] = word;
    return true;
}

/* The command is the first word that is neither an option nor an option's value; options before it may be its own. */
static const char *command_word(const struct cli *cli, int argc, char **argv)
{
    struct words words = {.argc = argc, .at = 1, .argv = argv};
    while (words.at < argc) {
        const char *word = argv[words.at++];
        if (strcmp(word, "--") == 0)
            words.options_ended = true;
        else if (!is_option(&words, word))
            return word;
        else {
            const struct option *option = word[1] == '-' ? find_option(cli, word + 2) : NULL;
            if (option && option->has_value && !strchr(word, '='))
                words.at++;
        }
    }
    return NULL;
}

static bool scan_command(struct cli *cli, int argc, char **argv)
{
    const char *word = command_word(cli, argc, argv);
    if (word)
        return (cli->command = cli_find_command(word)) != NULL;
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
    if (cli->show_source && cli->all_sources) {
        cli_complain("get takes one of --source and --all-sources, not both; see configstream help get");
        return false;
    }
    if (is_set && values != 2) {
        cli_complain("set takes KEY and one of VALUE, --value-json J, --file F; see configstream help set");
        return false;
    }
    if (!is_set && cli->operand_count < command->least) {
        cli_complain("%s: which KEY? See configstream help %s", command->name, command->name);
        return false;
    }
    if (is_set && !cli->operand_count) {
        cli_complain("set: which KEY? See configstream help set");
        return false;
    }
    return true;
}

/* Whether one of two words is there, wherever it stands before "--". */
static bool has_word(int argc, char **argv, const char *name, const char *letter)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], name) == 0 || strcmp(argv[i], letter) == 0)
            return true;
    return false;
}

/* Of the command, if one is named. */
static enum exit_code give_help(struct cli *cli, int argc, char **argv)
{
    if (command_word(cli, argc, argv) && !scan_command(cli, argc, argv))
        return EXIT_USAGE;
    help_print(cli->command);
    return output_finish() ? EXIT_OK : EXIT_OTHER;
}

static enum exit_code give_version(void)
{
    printf("configstream %s (arena layout %d.%d)\n", cfgs_version(), CFGS_LAYOUT_MAJOR, CFGS_LAYOUT_MINOR);
    return output_finish() ? EXIT_OK : EXIT_OTHER;
}

/* What the environment says holds where no option does. */
static bool take_environment(struct cli *cli)
{
    const char *user = getenv("CONFIGSTREAM_PRODUCER_USER");
    return cli->producer_user != (uid_t)-1 || !user || !*user ||
           find_user("CONFIGSTREAM_PRODUCER_USER", user, &cli->producer_user);
}

/* How many words are ours: with a command that another program carries out, those up to its name. */
static int count_own(const struct cli *cli, int argc, char **argv)
{
    const char *word = command_word(cli, argc, argv);
    const struct command *command = cli_commands;
    int at = 1;
    while (word && command->name && strcmp(command->name, word) != 0)
        command++;
    if (!word || !command->name || !(command->options & OPTION_OTHERS))
        return argc;
    while (argv[at] != word)
        at++;
    return at + 1;
}

bool cli_parse(struct cli *cli, int argc, char **argv, enum exit_code *status)
{
    *cli = (struct cli){
        .instance = "default", .producer_user = (uid_t)-1, .source = CFGS_SOURCE_CLI, .timeout_ms = -1};
    argc = count_own(cli, argc, argv);
    struct words words = {.argc = argc, .at = 1, .argv = argv};
    cli->others = argv + argc;
    const bool help = has_word(argc, argv, "--help", "-h");
    if (help || has_word(argc, argv, "--version", "-V")) {
        *status = help ? give_help(cli, argc, argv) : give_version();
        return false;
    }
    *status = EXIT_USAGE;
    return scan_command(cli, argc, argv) && take_words(cli, &words) && check_whole(cli) && take_environment(cli);
}
