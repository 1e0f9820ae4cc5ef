/* bridge/options.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/options.h"

#include "base/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_INSTANCE = 1000,
    KEY_ARENA_PATH,
    KEY_PRODUCER_USER,
    KEY_LISTEN,
    KEY_METRICS,
    KEY_CONTROL,
    KEY_CONTROL_GROUP,
    KEY_WORKERS,
    KEY_CERT,
    KEY_CA,
    KEY_KEY,
    KEY_TOKEN_FILE,
    KEY_REQUIRE_CREDENTIALS,
    KEY_INSECURE_NO_AUTH,
    KEY_NO_UNSET_SOURCE,
    KEY_NO_REFLECTION,
    KEY_REGISTRY_IDLE_TIMEOUT,
    KEY_REGISTRY_REFRESH_INTERVAL,
    KEY_LOG_LEVEL,
    KEY_LIMIT /* the first; more follow */
};

static const struct argp_option own[] = {
    {"listen", KEY_LISTEN, "HOST:PORT", 0, "Serve there; may be repeated (default: localhost:5001, both families)", 1},
    {"cert", KEY_CERT, "FILE", 0, "Certificate and key in one file (default: /etc/configstream/ipc_cert.pem)", 1},
    {"auth-token-file", KEY_TOKEN_FILE, "FILE", 0, "The token (default: /etc/configstream/auth_token)", 1},
    {"ca", KEY_CA, "FILE", 0, "With --key: who signs clients' certificates; --cert then holds the chain alone", 1},
    {"key", KEY_KEY, "FILE", 0, "With --ca: the private key of --cert", 1},
    {"require-credentials", KEY_REQUIRE_CREDENTIALS, 0, 0, "Do not make certificate and token where they are missing",
     1},
    {"insecure-no-auth", KEY_INSECURE_NO_AUTH, 0, 0, "Serve every local user without certificate and token, and with "
     "it all secrets of the configuration; loopback addresses only", 1},
    {"instance", KEY_INSTANCE, "NAME", 0, "Name of the instance (default: default)", 2},
    {"arena-path", KEY_ARENA_PATH, "FILE", 0, "The arena, where it is not in /dev/shm", 2},
    {"producer-user", KEY_PRODUCER_USER, "NAME|UID", 0, "Trust this user's arena beside root's and our own "
     "(environment: CONFIGSTREAM_PRODUCER_USER)", 2},
    {"workers", KEY_WORKERS, "N", 0, "Threads that serve (default: one for each CPU, at most 8)", 3},
    {"metrics", KEY_METRICS, "HOST:PORT", 0, "Serve /metrics and /healthz by HTTP there (default: localhost:5002; off: "
     "not at all); loopback addresses only", 3},
    {"control", KEY_CONTROL, "SOCKET", 0, "Path of the status socket", 3},
    {"control-group", KEY_CONTROL_GROUP, "NAME", 0, "Group whose members may use the status socket", 3},
    {"no-unset-source", KEY_NO_UNSET_SOURCE, 0, 0, "Send a snapshot instead of an update that clears a source", 3},
    {"no-reflection", KEY_NO_REFLECTION, 0, 0, "Do not tell which methods there are (gRPC server reflection)", 3},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0,
     "trace, debug, info, warn, error, critical or off; without it the published log_level counts", 4},
    {"registry-idle-timeout", KEY_REGISTRY_IDLE_TIMEOUT, "DURATION", 0,
     "An agent that is not heard of for so long is forgotten (default: 30s)", 5},
    {"registry-refresh-interval", KEY_REGISTRY_REFRESH_INTERVAL, "DURATION", 0,
     "How often agents are told to refresh (default: 10s)", 5},
};

enum { OWN = sizeof own / sizeof *own };

/* The limits' names as options, made of limit_rows once. */
static struct argp_option known[OWN + LIMIT_COUNT_OF_ALL + 1];
static char limit_names[LIMIT_COUNT_OF_ALL][32], limit_help[LIMIT_COUNT_OF_ALL][128];

static void make_known(void)
{
    static const char *const kinds[] = {"N", "BYTES", "DURATION"};
    memcpy(known, own, sizeof own);
    for (int i = 0; i < LIMIT_COUNT_OF_ALL; i++) {
        const struct limit_row *row = &limit_rows[i];
        char initial[LIMIT_TEXT_BYTES];
        snprintf(limit_names[i], sizeof limit_names[i], "%s", row->name);
        for (char *at = limit_names[i]; *at; at++)
            *at = *at == '_' ? '-' : *at;
        limit_print(row->kind, row->initial, initial);
        snprintf(limit_help[i], sizeof limit_help[i], "%s (default: %s)", row->help, initial);
        known[OWN + i] = (struct argp_option){limit_names[i], KEY_LIMIT + i, kinds[row->kind], 0, limit_help[i], 5};
    }
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void take_listen(struct argp_state *state, struct options *options, const char *text)
{
    char host[LISTEN_HOST_BYTES];
    if (!listen_host(text, host))
        argp_error(state, "--listen: '%s' is not HOST:PORT, such as localhost:5001, 0.0.0.0:5001 or [::1]:5001", text);
    if (options->listen_count == LISTEN_ADDRESSES_MAX)
        argp_error(state, "--listen: more than %d addresses; name fewer", LISTEN_ADDRESSES_MAX);
    options->listen[options->listen_count++] = text;
}

static void take_metrics(struct argp_state *state, struct options *options, const char *text)
{
    char host[LISTEN_HOST_BYTES];
    bool off = strcmp(text, "off") == 0;
    if (!off && !listen_host(text, host))
        argp_error(state, "--metrics: '%s' is neither HOST:PORT, such as localhost:5002, nor off", text);
    options->metrics = off ? "" : text;
}

static void take_by_row(struct argp_state *state, const struct limit_row *row, const char *option, const char *text,
                        int64_t *out)
{
    static const char *const words[] = {"number", "size such as 64kb", "duration such as 10s"};
    char low[LIMIT_TEXT_BYTES], high[LIMIT_TEXT_BYTES];
    if (limit_parse(row, text, out))
        return;
    limit_print(row->kind, row->low, low);
    limit_print(row->kind, row->high, high);
    argp_error(state, "--%s: '%s' is not a %s, from %s to %s", option, text, words[row->kind], low, high);
}

static void take_limit(struct argp_state *state, struct options *options, int at, const char *text)
{
    take_by_row(state, &limit_rows[at], limit_names[at], text, &options->limits[at]);
    options->limit_given[at] = true;
}

static void take_registry_time(struct argp_state *state, const char *option, const char *text, int64_t *out)
{
    static const struct limit_row row = {
        .kind = LIMIT_MS, .low = REGISTRY_TIME_LEAST_MS, .high = REGISTRY_TIME_MOST_MS};
    take_by_row(state, &row, option, text, out);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void finish(struct argp_state *state, struct options *options)
{
    const char *user = getenv("CONFIGSTREAM_PRODUCER_USER");
    if (options->producer_user == (uid_t)-1 && user && *user)
        options->producer_user = argument_user(state, "CONFIGSTREAM_PRODUCER_USER", user);
    if (options->set_control_group && !options->control && geteuid() != 0)
        argp_error(state, "--control-group: the default status socket lies in a directory that only its owner enters; "
                          "name one elsewhere with --control");
    argument_ca_and_key(state, "cert", options->ca, options->key);
    if (!options->listen_count)
        options->listen[options->listen_count++] = "localhost:5001";
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    if (key >= KEY_LIMIT && key < KEY_LIMIT + LIMIT_COUNT_OF_ALL) {
        take_limit(state, options, key - KEY_LIMIT, text);
        return 0;
    }
    switch (key) {
    case KEY_INSTANCE: options->instance = argument_instance(state, text); break;
    case KEY_ARENA_PATH: options->arena_path = argument_path(state, "arena-path", text); break;
    case KEY_PRODUCER_USER: options->producer_user = argument_user(state, "--producer-user", text); break;
    case KEY_LISTEN: take_listen(state, options, text); break;
    case KEY_METRICS: take_metrics(state, options, text); break;
    case KEY_CONTROL: options->control = argument_path(state, "control", text); break;
    case KEY_CONTROL_GROUP:
        options->control_group = argument_group(state, "control-group", text);
        options->set_control_group = true;
        break;
    case KEY_WORKERS:
        options->workers = (unsigned)argument_number(state, "workers", text, 1, OPTIONS_WORKERS_MAX);
        break;
    case KEY_CERT: options->cert = argument_path(state, "cert", text); break;
    case KEY_CA: options->ca = argument_path(state, "ca", text); break;
    case KEY_KEY: options->key = argument_path(state, "key", text); break;
    case KEY_TOKEN_FILE: options->token = argument_path(state, "auth-token-file", text); break;
    case KEY_REQUIRE_CREDENTIALS: options->require_credentials = true; break;
    case KEY_INSECURE_NO_AUTH: options->no_auth = true; break;
    case KEY_NO_UNSET_SOURCE: options->no_unset_source = true; break;
    case KEY_NO_REFLECTION: options->no_reflection = true; break;
    case KEY_REGISTRY_IDLE_TIMEOUT:
        take_registry_time(state, "registry-idle-timeout", text, &options->registry_idle_ms);
        break;
    case KEY_REGISTRY_REFRESH_INTERVAL:
        take_registry_time(state, "registry-refresh-interval", text, &options->registry_refresh_ms);
        break;
    case KEY_LOG_LEVEL: argument_level(state, text, &options->log); break;
    case ARGP_KEY_ARG: argp_error(state, "'%s': configstream-bridge takes options only", text); break;
    case ARGP_KEY_END: finish(state, options); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static unsigned default_workers(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : cpus > 8 ? 8 : (unsigned)cpus;
}

void options_parse(struct options *options, int argc, char **argv)
{
    static const struct argp argp = {
        .options = known,
        .parser = take,
        .doc = "Serve the configuration of this host's arena to remote agents, by gRPC."
               "\vRuns in the foreground and logs to standard error.  Each limit is also a setting of the arena, "
               "remote_agent.configstream.max_connections and so on, which counts where the option is not given, and "
               "is followed while the bridge runs.  SIGTERM and SIGINT end it cleanly.\n"
               "Exit status: 0 ok, 1 failure, 2 usage.",
    };
    *options = (struct options){.instance = "default", .producer_user = (uid_t)-1, .metrics = "localhost:5002",
                                .workers = default_workers(), .cert = "/etc/configstream/ipc_cert.pem",
                                .token = "/etc/configstream/auth_token", .registry_idle_ms = -1,
                                .registry_refresh_ms = -1, .log.level = LOG_INFO};
    make_known();
    arguments_parse(&argp, argc, argv, options);
}
