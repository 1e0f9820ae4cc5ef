/* daemon/options.c  SPDX-License-Identifier: Apache-2.0 */
#include "daemon/options.h"

#include "base/arguments.h"
#include "resolve/environment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_CONFIG = 1000,
    KEY_DEFAULTS,
    KEY_FLEET_POLICIES,
    KEY_ENV_PREFIX,
    KEY_STRICT,
    KEY_NO_WATCH,
    KEY_INSTANCE,
    KEY_ARENA_PATH,
    KEY_CONTROL,
    KEY_CONTROL_GROUP,
    KEY_MODE,
    KEY_GROUP,
    KEY_RING_SLOTS,
    KEY_MAX_SIZE,
    KEY_SET,
    KEY_CHECK,
    KEY_PRINT_SIZE,
    KEY_SETTINGS,
    KEY_FORGET_RUNTIME,
    KEY_UNLINK,
    KEY_LOG_LEVEL
};

static const struct argp_option known[] = {
    {"config", KEY_CONFIG, "FILE", 0, "Main configuration file (YAML)", 1},
    {"defaults", KEY_DEFAULTS, "FILE", 0, "Declares all settings with their defaults (YAML); without it the main file does", 1},
    {"fleet-policies", KEY_FLEET_POLICIES, "FILE", 0, "Fleet policies (YAML); they win over file and environment", 1},
    {"env-prefix", KEY_ENV_PREFIX, "PREFIX", 0, "Environment variables are PREFIX_LOG_LEVEL and so on (default: DD)", 1},
    {"strict", KEY_STRICT, 0, 0, "Refuse whatever would be converted, kept as it is, or ignored with a warning", 1},
    {"no-watch", KEY_NO_WATCH, 0, 0, "Reload only when asked to, not whenever a file changes", 1},
    {"set", KEY_SET, "KEY=VALUE", 0, "Set a setting, source cli, before the first snapshot; may be repeated.  "
     "Every user can read it in /proc: give secrets in a file", 1},
    {"instance", KEY_INSTANCE, "NAME", 0, "Name of the instance (default: default)", 2},
    {"arena-path", KEY_ARENA_PATH, "FILE", 0, "Put the arena there, on a tmpfs, instead of in /dev/shm", 2},
    {"mode", KEY_MODE, "OCTAL", 0, "Permissions of a new arena (default: 0640)", 2},
    {"group", KEY_GROUP, "NAME", 0, "Group of a new arena: who may read it", 2},
    {"ring-slots", KEY_RING_SLOTS, "N", 0, "Updates of history before a slow reader gets a snapshot (default: 4096)", 2},
    {"max-size", KEY_MAX_SIZE, "BYTES", 0, "Size the arena may grow to, such as 256mb (default: 1gb)", 2},
    {"unlink", KEY_UNLINK, 0, 0, "Remove the arena at a clean stop", 2},
    {"forget-runtime", KEY_FORGET_RUNTIME, 0, 0, "After a crash, start without what runtime sources had set", 2},
    {"control", KEY_CONTROL, "SOCKET", 0, "Path of the control socket", 3},
    {"control-group", KEY_CONTROL_GROUP, "NAME", 0, "Group whose members may use the control socket", 3},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0,
     "trace, debug, info, warn, error, critical or off; without it the published log_level counts", 4},
    {"check", KEY_CHECK, 0, 0, "Read and resolve the files, print warnings with their place, and exit: 0 or 1", 5},
    {"print-size", KEY_PRINT_SIZE, 0, 0, "Print the size of an arena for --settings N, and exit", 5},
    {"settings", KEY_SETTINGS, "N", 0, "With --print-size: number of settings", 5},
    {0},
};

static void take_set(struct argp_state *state, struct options *options, char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        argp_error(state, "--set: '%s' is not KEY=VALUE", text);
    char **sets = reallocarray(options->sets, options->set_count + 1, sizeof *sets);
    if (!sets)
        argp_failure(state, 1, ENOMEM, "--set");
    options->sets = sets;
    options->sets[options->set_count++] = text;
}

static void take_env_prefix(struct argp_state *state, struct options *options, const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t length = strlen(text);
    if (!length || length > ENVIRONMENT_PREFIX_MAX_BYTES || strspn(text, allowed) != length ||
        (*text >= '0' && *text <= '9'))
        argp_error(state, "--env-prefix: '%s' is not 1 to %d of the characters A-Z 0-9 _, the first of them no digit",
                   text, ENVIRONMENT_PREFIX_MAX_BYTES);
    options->files.env_prefix = text;
}

static void check_whole(struct argp_state *state, const struct options *options)
{
    if (options->print_size && !options->settings)
        argp_error(state, "--print-size needs --settings N");
    if (!options->print_size && !options->files.config && !options->files.defaults)
        argp_error(state, "--config FILE (or --defaults FILE) is needed: there is nothing to publish");
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_CONFIG: options->files.config = argument_path(state, "config", text); break;
    case KEY_DEFAULTS: options->files.defaults = argument_path(state, "defaults", text); break;
    case KEY_FLEET_POLICIES: options->files.fleet = argument_path(state, "fleet-policies", text); break;
    case KEY_ENV_PREFIX: take_env_prefix(state, options, text); break;
    case KEY_STRICT: options->files.strict = true; break;
    case KEY_NO_WATCH: options->no_watch = true; break;
    case KEY_INSTANCE: options->instance = argument_instance(state, text); break;
    case KEY_ARENA_PATH: options->arena_path = argument_path(state, "arena-path", text); break;
    case KEY_CONTROL: options->control = argument_path(state, "control", text); break;
    case KEY_CONTROL_GROUP:
        options->control_group = argument_group(state, "control-group", text);
        options->set_control_group = true;
        break;
    case KEY_MODE:
        options->mode = argument_mode(state, text);
        options->set_mode = true;
        break;
    case KEY_GROUP:
        options->group = argument_group(state, "group", text);
        options->set_group = true;
        break;
    case KEY_RING_SLOTS:
        options->ring_slots =
            (uint32_t)argument_number(state, "ring-slots", text, CFGS_RING_SLOTS_MIN, CFGS_RING_SLOTS_MAX);
        break;
    case KEY_MAX_SIZE: options->max_size = argument_size(state, "max-size", text); break;
    case KEY_SET: take_set(state, options, text); break;
    case KEY_CHECK: options->check = true; break;
    case KEY_PRINT_SIZE: options->print_size = true; break;
    case KEY_SETTINGS: options->settings = argument_number(state, "settings", text, 1, 1000000000); break;
    case KEY_FORGET_RUNTIME: options->forget_runtime = true; break;
    case KEY_UNLINK: options->unlink = true; break;
    case KEY_LOG_LEVEL: argument_level(state, text, &options->log); break;
    case ARGP_KEY_ARG: argp_error(state, "'%s': configstreamd takes options only", text); break;
    case ARGP_KEY_END: check_whole(state, options); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

void options_parse(struct options *options, int argc, char **argv)
{
    static const struct argp argp = {
        .options = known,
        .parser = take,
        .doc = "Resolve configuration and publish it to every process of this host, in shared memory."
               "\vRuns in the foreground and logs to standard error.  The files are read again when one of them "
               "changes, and on SIGHUP; one that does not parse leaves the last good configuration published.  "
               "SIGTERM and SIGINT end it cleanly.\n"
               "Exit status: 0 ok, 1 failure, 2 usage.",
    };
    *options = (struct options){.instance = "default", .files.env_prefix = "DD", .log.level = LOG_INFO};
    arguments_parse(&argp, argc, argv, options);
}

void options_clear(struct options *options)
{
    free(options->sets);
}
