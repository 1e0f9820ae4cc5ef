/* client/setup.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/setup.h"

#include "base/printable.h"
#include "shm/detail.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_ADDRESS "localhost:5001"
#define DEFAULT_CERT_FILE "/etc/configstream/ipc_cert.pem"
#define DEFAULT_TOKEN_FILE "/etc/configstream/auth_token"

enum {
    DEFAULT_BACKOFF_MIN_MS = 1000,
    DEFAULT_BACKOFF_MAX_MS = 120 * 1000,
    DEFAULT_CONNECT_TIMEOUT_MS = 20 * 1000,
    DEFAULT_CALL_TIMEOUT_MS = 30 * 1000,
    DEFAULT_KEEPALIVE_MS = 30 * 1000,
    DEFAULT_KEEPALIVE_TIMEOUT_MS = 20 * 1000,
    FLAVOR_MAX_BYTES = 200, /* so that the endpoint made of it stays within what a core takes */
    MILLISECONDS_MAX = 24 * 60 * 60 * 1000
};
#define DEFAULT_MESSAGE_BYTES (UINT64_C(128) << 20)

#define INVALID(options, ...) detail_set((options)->detail, CFGS_ERR_INVALID, 0, __VA_ARGS__)

static int no_memory(const cfgs_remote_options *options)
{
    return detail_set(options->detail, CFGS_ERR_MEMORY, 0, "out of memory");
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

/* What could not stand in a header, or be asked of a resolver. */
static bool is_host(const char *host)
{
    for (; *host; host++)
        if ((unsigned char)*host <= 0x20 || *host == 0x7f || *host == '/')
            return false;
    return true;
}

/* The server is spoken to by the name it is to have. */
static bool set_authority(struct setup *setup, const char *server_name)
{
    if (!server_name)
        setup->authority = strdup(setup->address);
    else if (asprintf(&setup->authority, strchr(server_name, ':') ? "[%s]:%s" : "%s:%s", server_name, setup->port) < 0)
        setup->authority = NULL; /* it says nothing of what it leaves there */
    return setup->authority;
}

static int set_address(struct setup *setup, const cfgs_remote_options *options)
{
    const char *text = options->address ? options->address : DEFAULT_ADDRESS;
    setup->address = strdup(text);
    if (!setup->address)
        return no_memory(options);
    if (!address_parse(setup->address, setup->host, &setup->port))
        return INVALID(options, "address: '%.300s' is not HOST:PORT, such as localhost:5001, 192.0.2.1:5001 or "
                                "[2001:db8::1]:5001", text);
    if (!is_host(setup->host))
        return INVALID(options, "address: '%.300s' names no host that could be", text);
    if (options->server_name && !is_host(options->server_name))
        return INVALID(options, "server_name: '%.300s' is no name of a host", options->server_name);
    if (!set_authority(setup, options->server_name))
        return no_memory(options);
    char *scope = strchr(setup->authority, '%'), *end = strrchr(setup->authority, ']');
    if (scope && end && scope < end) /* it means something on this host only */
        memmove(scope, end, strlen(end) + 1);
    return CFGS_OK;
}

/* ---- what lets us in --------------------------------------------------------------------------------------------- */

static int set_copy(struct setup *setup, const cfgs_remote_options *options, const char *name, const char *from,
                    const char **to)
{
    size_t at = 0;
    if (!from)
        return CFGS_OK;
    if (!*from)
        return INVALID(options, "%s: it is empty", name);
    while (setup->owned[at])
        at++;
    *to = setup->owned[at] = OPENSSL_strdup(from);
    return *to ? CFGS_OK : no_memory(options);
}

static int check_access(const cfgs_remote_options *options)
{
    if (!options->ca_file != !options->key_file)
        return INVALID(options, "%s: CA and key are either both separate or both in cert_file; set %s, too",
                       options->ca_file ? "ca_file" : "key_file", options->ca_file ? "key_file" : "ca_file");
    if (options->verify != CFGS_VERIFY_NAME && options->verify != CFGS_VERIFY_PINNED)
        return INVALID(options, "verify: there is no such way (%d)", (int)options->verify);
    if (options->token && !access_token_is_valid(options->token, strlen(options->token)))
        return INVALID(options, "token: it must be 1 to %d visible ASCII characters", ACCESS_TOKEN_MAX_BYTES);
    if (options->server_name && strlen(options->server_name) >= HOST_PORT_HOST_BYTES)
        return INVALID(options, "server_name: it is longer than %d bytes", HOST_PORT_HOST_BYTES - 1);
    return CFGS_OK;
}

static int set_access(struct setup *setup, const cfgs_remote_options *options)
{
    struct access_options *access = &setup->access;
    int error = check_access(options);
    if (error != CFGS_OK)
        return error;
    const char *token_file = options->token_file ? options->token_file : DEFAULT_TOKEN_FILE;
    access->verify = options->verify;
    access->name = setup->host;
    if ((error = set_copy(setup, options, "cert_file", options->cert_file ? options->cert_file : DEFAULT_CERT_FILE,
                          &access->cert_file)) != CFGS_OK ||
        (error = set_copy(setup, options, "ca_file", options->ca_file, &access->ca_file)) != CFGS_OK ||
        (error = set_copy(setup, options, "key_file", options->key_file, &access->key_file)) != CFGS_OK ||
        (error = set_copy(setup, options, "token", options->token, &access->token)) != CFGS_OK ||
        (error = set_copy(setup, options, "token_file", options->token ? NULL : token_file, &access->token_file)) !=
            CFGS_OK)
        return error;
    return set_copy(setup, options, "server_name", options->server_name, &access->name);
}

/* ---- who we are -------------------------------------------------------------------------------------------------- */

/* A core refuses a blank name, which no further attempt could mend. */
static int set_label(const cfgs_remote_options *options, const char *name, const char *from, char to[SETUP_LABEL_BYTES])
{
    size_t length = strlen(from);
    if (length && strspn(from, " ") == length)
        return INVALID(options, "%s: it is blank", name);
    if (!length || length >= SETUP_LABEL_BYTES)
        return INVALID(options, "%s: it must have 1 to %d bytes", name, SETUP_LABEL_BYTES - 1);
    for (size_t at = 0; at < length;) {
        size_t step = printable_length((const unsigned char *)from + at, length - at);
        if (!step)
            return INVALID(options, "%s: it must be UTF-8 without control characters", name);
        at += step;
    }
    memcpy(to, from, length + 1);
    return CFGS_OK;
}

static void make_flavor(const char *name, char to[SETUP_LABEL_BYTES])
{
    size_t at = 0;
    for (; name[at] && at < SETUP_LABEL_BYTES - 1; at++)
        to[at] = isalnum((unsigned char)name[at]) ? (char)tolower((unsigned char)name[at]) : '_';
    to[at] = '\0';
}

static int set_identity(struct setup *setup, const cfgs_remote_options *options)
{
    const char *program = program_invocation_short_name && *program_invocation_short_name ? program_invocation_short_name
                                                                                          : "configstream";
    char flavor[SETUP_LABEL_BYTES];
    make_flavor(program, flavor);
    int error = set_label(options, "flavor", options->flavor ? options->flavor : flavor, setup->flavor);
    if (error == CFGS_OK)
        error = set_label(options, "display_name", options->display_name ? options->display_name : program,
                          setup->display_name);
    if (error == CFGS_OK)
        error = set_label(options, "stream_name", options->stream_name ? options->stream_name : setup->display_name,
                          setup->stream_name);
    if (error != CFGS_OK)
        return error;
    if (strlen(setup->flavor) > FLAVOR_MAX_BYTES)
        return INVALID(options, "flavor: it must have at most %d bytes", FLAVOR_MAX_BYTES);
    if (options->pid < 0)
        return INVALID(options, "pid: it is negative");
    snprintf(setup->pid, sizeof setup->pid, "%" PRId64, options->pid ? options->pid : (int64_t)getpid());
    /* Nobody calls back; the form is the existing consumers', which every core takes. */
    snprintf(setup->endpoint, sizeof setup->endpoint, "https://configstream-consumer/%s", setup->flavor);
    return CFGS_OK;
}

/* ---- times and sizes --------------------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t by_default)
{
    return value ? value : by_default;
}

static int set_times(struct setup *setup, const cfgs_remote_options *options)
{
    const uint32_t all[] = {options->backoff_min_ms, options->backoff_max_ms, options->connect_timeout_ms,
                            options->call_timeout_ms, options->keepalive_ms, options->keepalive_timeout_ms};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] > MILLISECONDS_MAX)
            return INVALID(options, "a time of %" PRIu32 " ms is longer than a day", all[i]);
    setup->backoff_min_ms = or_default(options->backoff_min_ms, DEFAULT_BACKOFF_MIN_MS);
    setup->backoff_max_ms = or_default(options->backoff_max_ms, DEFAULT_BACKOFF_MAX_MS);
    if (!options->backoff_max_ms && setup->backoff_max_ms < setup->backoff_min_ms)
        setup->backoff_max_ms = setup->backoff_min_ms;
    if (setup->backoff_max_ms < setup->backoff_min_ms && !options->backoff_min_ms)
        setup->backoff_min_ms = setup->backoff_max_ms;
    if (setup->backoff_max_ms < setup->backoff_min_ms)
        return INVALID(options, "backoff_max_ms: it is shorter than backoff_min_ms");
    setup->connect_timeout_ms = or_default(options->connect_timeout_ms, DEFAULT_CONNECT_TIMEOUT_MS);
    setup->call_timeout_ms = or_default(options->call_timeout_ms, DEFAULT_CALL_TIMEOUT_MS);
    setup->keepalive_ms = or_default(options->keepalive_ms, DEFAULT_KEEPALIVE_MS);
    setup->keepalive_timeout_ms = or_default(options->keepalive_timeout_ms, DEFAULT_KEEPALIVE_TIMEOUT_MS);
    return CFGS_OK;
}

static int set_sizes(struct setup *setup, const cfgs_remote_options *options)
{
    setup->max_message_bytes = options->max_message_bytes ? options->max_message_bytes : DEFAULT_MESSAGE_BYTES;
    if (setup->max_message_bytes > UINT32_MAX)
        return INVALID(options, "max_message_bytes: a gRPC message has at most 4 GiB");
    return CFGS_OK;
}

int setup_fill(struct setup *setup, const cfgs_remote_options *options)
{
    int error = set_address(setup, options);
    if (error == CFGS_OK)
        error = set_access(setup, options);
    if (error == CFGS_OK)
        error = set_identity(setup, options);
    if (error == CFGS_OK)
        error = set_times(setup, options);
    return error == CFGS_OK ? set_sizes(setup, options) : error;
}

void setup_clear(struct setup *setup)
{
    free(setup->address);
    free(setup->authority);
    for (size_t i = 0; i < sizeof setup->owned / sizeof *setup->owned; i++)
        if (setup->owned[i])
            OPENSSL_clear_free(setup->owned[i], strlen(setup->owned[i]));
    *setup = (struct setup){0};
}
