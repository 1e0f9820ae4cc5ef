/* client/relay_options.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/relay_options.h"

#include "base/arguments.h"
#include "client/consumer_options.h"

#include <string.h>

enum {
    KEY_CONNECT = 1000,
    KEY_CERT,
    KEY_CA,
    KEY_KEY,
    KEY_TOKEN_FILE,
    KEY_PIN,
    KEY_SERVER_NAME,
    KEY_FLAVOR,
    KEY_DISPLAY_NAME,
    KEY_INSTANCE,
    KEY_ARENA_PATH,
    KEY_MODE,
    KEY_GROUP,
    KEY_RING_SLOTS,
    KEY_MAX_SIZE,
    KEY_UNLINK,
    KEY_READY_TIMEOUT,
    KEY_BACKOFF_MIN,
    KEY_BACKOFF_MAX,
    KEY_CONNECT_TIMEOUT,
    KEY_CALL_TIMEOUT,
    KEY_KEEPALIVE_TIME,
    KEY_KEEPALIVE_TIMEOUT,
    KEY_MAX_MESSAGE,
    KEY_LOG_LEVEL
};

static const struct argp_option known[] = {
    {"connect", KEY_CONNECT, "HOST:PORT", 0, "The bridge, or core agent, whose configuration is passed on; needed", 1},
    {"cert", KEY_CERT, "FILE", 0, "CA, certificate and key in one file, as the core has it (default: "
     "/etc/configstream/ipc_cert.pem)", 1},
    {"auth-token-file", KEY_TOKEN_FILE, "FILE", 0, "The token (default: /etc/configstream/auth_token)", 1},
    {"ca", KEY_CA, "FILE", 0, "With --key: who signs the server's certificate; --cert then holds our own chain alone", 1},
    {"key", KEY_KEY, "FILE", 0, "With --ca: the private key of --cert", 1},
    {"pin", KEY_PIN, 0, 0, "The server has to show the very certificate of --cert, and may be called by any name", 1},
    {"server-name", KEY_SERVER_NAME, "NAME", 0, "Check this name in the server's certificate, not the host of --connect", 1},
    {"flavor", KEY_FLAVOR, "NAME", 0, "As what the core lists this relay (default: configstream_relay)", 1},
    {"display-name", KEY_DISPLAY_NAME, "NAME", 0, "Its name there (default: configstream-relay)", 1},
    {"instance", KEY_INSTANCE, "NAME", 0, "Name of the instance it publishes here (default: default)", 2},
    {"arena-path", KEY_ARENA_PATH, "FILE", 0, "Put the arena there, on a tmpfs, instead of in /dev/shm", 2},
    {"mode", KEY_MODE, "OCTAL", 0, "Permissions of the arena (default of a new one: 0640)", 2},
    {"group", KEY_GROUP, "NAME", 0, "Group of the arena: who may read it", 2},
    {"ring-slots", KEY_RING_SLOTS, "N", 0, "Updates of history before a slow reader gets a snapshot (default: 4096)", 2},
    {"max-size", KEY_MAX_SIZE, "BYTES", 0, "Size the arena may grow to, such as 256mb (default: 1gb)", 2},
    {"unlink", KEY_UNLINK, 0, 0, "Remove the arena at a clean stop", 2},
    {"backoff-min", KEY_BACKOFF_MIN, "DURATION", 0, "Pause after a first failure (default: 1s)", 3},
    {"backoff-max", KEY_BACKOFF_MAX, "DURATION", 0, "Longest pause (default: 2m)", 3},
    {"connect-timeout", KEY_CONNECT_TIMEOUT, "DURATION", 0, "For one attempt to connect, TLS included (default: 20s)", 3},
    {"call-timeout", KEY_CALL_TIMEOUT, "DURATION", 0, "For a registration or refresh (default: 30s)", 3},
    {"keepalive-time", KEY_KEEPALIVE_TIME, "DURATION", 0, "Silence after which the core is asked for a sign of life "
     "(default: 30s)", 3},
    {"keepalive-timeout", KEY_KEEPALIVE_TIMEOUT, "DURATION", 0, "Time to give that sign (default: 20s)", 3},
    {"max-message-bytes", KEY_MAX_MESSAGE, "BYTES", 0, "Larger snapshots are refused (default: 128mb)", 3},
    {"ready-timeout", KEY_READY_TIMEOUT, "DURATION", 0, "Be ready for the service manager after so long without a "
     "configuration, too (default: 30s)", 4},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0,
     "trace, debug, info, warn, error, critical or off; without it the published log_level counts", 4},
    {0},
};

/* Of a time option; no pause or time-out makes sense beyond an hour, nor below what a busy machine takes by itself. */
static uint32_t take_time(struct argp_state *state, const char *option, const char *text)
{
    enum { LEAST_MS = 10, MOST_MS = 3600000 };
    return (uint32_t)argument_duration(state, option, text, LEAST_MS, MOST_MS);
}

static const struct consumer_option names[] = {
    {"address", "connect"},
    {"server_name", "server-name"},
    {"flavor", "flavor"},
    {"display_name", "display-name"},
    {"max_message_bytes", "max-message-bytes"},
    {0},
};

static void check_whole(struct argp_state *state, const struct relay_options *options)
{
    const cfgs_remote_options *remote = &options->remote;
    if (!remote->address)
        argp_error(state, "--connect HOST:PORT is needed: there is nothing to pass on");
    if (strncmp(remote->address, "shm:", 4) == 0)
        argp_error(state, "--connect: '%s' is on this host already; name the HOST:PORT of a bridge", remote->address);
    argument_ca_and_key(state, "cert", remote->ca_file, remote->key_file);
    if (remote->verify == CFGS_VERIFY_PINNED && (remote->ca_file || remote->server_name))
        argp_error(state, "--pin goes neither with --ca and --key nor with --server-name: it compares with the "
                          "certificate in --cert, whoever signed it");
    if (remote->backoff_max_ms && remote->backoff_max_ms < remote->backoff_min_ms)
        argp_error(state, "--backoff-max: it is shorter than --backoff-min");
    consumer_options_check(state, remote, names);
}

static bool take_of_remote(cfgs_remote_options *remote, int key, char *text, struct argp_state *state)
{
    switch (key) {
    case KEY_CONNECT: remote->address = text; break;
    case KEY_CERT: remote->cert_file = argument_path(state, "cert", text); break;
    case KEY_CA: remote->ca_file = argument_path(state, "ca", text); break;
    case KEY_KEY: remote->key_file = argument_path(state, "key", text); break;
    case KEY_TOKEN_FILE: remote->token_file = argument_path(state, "auth-token-file", text); break;
    case KEY_PIN: remote->verify = CFGS_VERIFY_PINNED; break;
    case KEY_SERVER_NAME: remote->server_name = text; break;
    case KEY_FLAVOR: remote->flavor = text; break;
    case KEY_DISPLAY_NAME: remote->display_name = text; break;
    case KEY_BACKOFF_MIN: remote->backoff_min_ms = take_time(state, "backoff-min", text); break;
    case KEY_BACKOFF_MAX: remote->backoff_max_ms = take_time(state, "backoff-max", text); break;
    case KEY_CONNECT_TIMEOUT: remote->connect_timeout_ms = take_time(state, "connect-timeout", text); break;
    case KEY_CALL_TIMEOUT: remote->call_timeout_ms = take_time(state, "call-timeout", text); break;
    case KEY_KEEPALIVE_TIME: remote->keepalive_ms = take_time(state, "keepalive-time", text); break;
    case KEY_KEEPALIVE_TIMEOUT: remote->keepalive_timeout_ms = take_time(state, "keepalive-timeout", text); break;
    case KEY_MAX_MESSAGE: remote->max_message_bytes = argument_size(state, "max-message-bytes", text); break;
    default: return false;
    }
    return true;
}

static bool take_of_arena(cfgs_publisher_options *arena, int key, char *text, struct argp_state *state)
{
    switch (key) {
    case KEY_INSTANCE: arena->instance = argument_instance(state, text); break;
    case KEY_ARENA_PATH: arena->arena_path = argument_path(state, "arena-path", text); break;
    case KEY_MODE:
        arena->mode = argument_mode(state, text);
        arena->set_mode = true;
        break;
    case KEY_GROUP:
        arena->group = argument_group(state, "group", text);
        arena->set_group = true;
        break;
    case KEY_RING_SLOTS:
        arena->ring_slots = (uint32_t)argument_number(state, "ring-slots", text, CFGS_RING_SLOTS_MIN, CFGS_RING_SLOTS_MAX);
        break;
    case KEY_MAX_SIZE: arena->max_size = argument_size(state, "max-size", text); break;
    default: return false;
    }
    return true;
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct relay_options *options = state->input;
    if (take_of_remote(&options->remote, key, text, state) || take_of_arena(&options->arena, key, text, state))
        return 0;
    switch (key) {
    case KEY_UNLINK: options->unlink = true; break;
    case KEY_READY_TIMEOUT: options->ready_timeout_ms = take_time(state, "ready-timeout", text); break;
    case KEY_LOG_LEVEL: argument_level(state, text, &options->log); break;
    case ARGP_KEY_ARG: argp_error(state, "'%s': configstream-relay takes options only", text); break;
    case ARGP_KEY_END: check_whole(state, options); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

void relay_options_parse(struct relay_options *options, int argc, char **argv)
{
    static const struct argp argp = {
        .options = known,
        .parser = take,
        .doc = "Publish another host's configuration on this one: one stream from a core, for all agents of the host."
               "\vRuns in the foreground and logs to standard error.  While the core is away the last state stays "
               "published, and configstream status tells how old it is.  SIGTERM and SIGINT end it cleanly; the arena "
               "stays, so that the next relay goes on where this one ended.\n"
               "Exit status: 0 ok, 1 failure, 2 usage, 6 refused: by the core for good, or because this instance has a "
               "producer already.",
    };
    *options = (struct relay_options){
        .remote = {.flavor = "configstream_relay", .display_name = "configstream-relay"},
        .arena = {.instance = "default", .keep_upstream = true},
        .log.level = LOG_INFO,
    };
    arguments_parse(&argp, argc, argv, options);
}
