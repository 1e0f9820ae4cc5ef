/* client/client_options.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/client_options.h"

#include "base/arguments.h"
#include "client/consumer_options.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEY_ADDRESS = 1000,
    KEY_CERT,
    KEY_CA,
    KEY_KEY,
    KEY_TOKEN,
    KEY_TOKEN_FILE,
    KEY_VERIFY_NAME,
    KEY_SERVER_NAME,
    KEY_NAME,
    KEY_DURATION,
    KEY_SAMPLES,
    KEY_JSON,
    KEY_LOG_LEVEL
};

static const struct argp_option known[] = {
    {"ipc-address", KEY_ADDRESS, "HOST:PORT", 0, "The bridge, or a core agent (default: localhost:5001)", 1},
    {"agent-cert-file", KEY_CERT, "FILE", 0,
     "Certificate and key in one file, as the core has it (default: /etc/configstream/ipc_cert.pem)", 1},
    {"auth-token", KEY_TOKEN, "TOKEN", 0, "The token.  Every user can read it in /proc: better give a file", 1},
    {"agent-auth-token-file", KEY_TOKEN_FILE, "FILE", 0, "A file with the token (default: ./auth_token)", 1},
    {"ca", KEY_CA, "FILE", 0, "With --key: who signs the server's certificate; --agent-cert-file then holds our own "
     "chain alone, and the server's name is checked", 1},
    {"key", KEY_KEY, "FILE", 0, "With --ca: the private key of --agent-cert-file", 1},
    {"verify-name", KEY_VERIFY_NAME, 0, 0, "Check the server's name, too; without it the server has to show the very "
     "certificate of --agent-cert-file, for whatever name it is made", 1},
    {"server-name", KEY_SERVER_NAME, "NAME", 0, "Check this name instead of the host of --ipc-address", 1},
    {"name", KEY_NAME, "NAME", 0, "Name of the subscriber in the core's log (default: test-client)", 2},
    {"duration", KEY_DURATION, "DURATION", 0, "How long to watch the stream (default: 30s)", 2},
    {"max-samples", KEY_SAMPLES, "N", 0, "Settings of each snapshot, and updates, that are shown (default: 5)", 2},
    {"json", KEY_JSON, 0, 0, "Print JSON, one object a line", 2},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "What is said on standard error: trace, debug, info, warn (default), error, "
     "critical or off", 3},
    {0},
};

static const struct consumer_option names[] = {
    {"address", "ipc-address"},
    {"token", "auth-token"},
    {"server_name", "server-name"},
    {"display_name", "name"},
    {0},
};

/* What only one of both ways to trust a server has a use for. */
static void check_whole(struct argp_state *state, struct client_options *options)
{
    cfgs_remote_options *remote = &options->remote;
    argument_ca_and_key(state, "agent-cert-file", remote->ca_file, remote->key_file);
    if (remote->ca_file || remote->server_name)
        remote->verify = CFGS_VERIFY_NAME;
    if (!remote->token && !remote->token_file)
        remote->token_file = "auth_token";
    consumer_options_check(state, remote, names);
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct client_options *options = state->input;
    enum { DAY_MS = 86400000 };
    switch (key) {
    case KEY_ADDRESS: options->remote.address = text; break;
    case KEY_CERT: options->remote.cert_file = argument_path(state, "agent-cert-file", text); break;
    case KEY_CA: options->remote.ca_file = argument_path(state, "ca", text); break;
    case KEY_KEY: options->remote.key_file = argument_path(state, "key", text); break;
    case KEY_TOKEN: options->remote.token = text; break;
    case KEY_TOKEN_FILE: options->remote.token_file = argument_path(state, "agent-auth-token-file", text); break;
    case KEY_VERIFY_NAME: options->remote.verify = CFGS_VERIFY_NAME; break;
    case KEY_SERVER_NAME: options->remote.server_name = text; break;
    case KEY_NAME: options->remote.display_name = text; break;
    case KEY_DURATION: options->duration_ms = argument_duration(state, "duration", text, 1, 30LL * DAY_MS); break;
    case KEY_SAMPLES: options->samples = argument_number(state, "max-samples", text, 0, UINT32_MAX); break;
    case KEY_JSON: options->json = true; break;
    case KEY_LOG_LEVEL: argument_level(state, text, &options->log); break;
    case ARGP_KEY_ARG: argp_error(state, "'%s': configstream-client takes options only", text); break;
    case ARGP_KEY_END: check_whole(state, options); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

void client_options_parse(struct client_options *options, int argc, char **argv)
{
    static const struct argp argp = {
        .options = known,
        .parser = take,
        .doc = "Register with a core as a remote agent does, watch its stream for a while, and tell whether it is as it "
               "should be: a snapshot, and after it each update exactly one more than the one before."
               "\vSecrets are masked as configstream masks them.  Of several tokens --auth-token counts, then the file.  "
               "SIGINT and SIGTERM end the watching early; the verdict is about what was seen.\n"
               "Exit status: 0 pass, 1 fail, 2 usage, 6 refused by the server, 7 no snapshot in time.",
    };
    *options = (struct client_options){
        .remote = {.verify = CFGS_VERIFY_PINNED, .display_name = "test-client", .flavor = "config_stream_client"},
        .duration_ms = 30000,
        .samples = 5,
        .log.level = LOG_WARN,
    };
    arguments_parse(&argp, argc, argv, options);
}
