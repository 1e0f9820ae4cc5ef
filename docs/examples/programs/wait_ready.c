/*
 * wait_ready.c: an agent's start: wait for the configuration, but not for ever; read what is needed, typed; say what is
 * wrong, and where.  Near or far is a matter of one string.
 *
 *     wait_ready shm:default                     the configuration of this host, from shared memory
 *     wait_ready core.example.com:5001           that of another one, from its configstream-bridge
 *     cc -std=c17 wait_ready.c $(pkg-config --cflags --libs configstream-remote) -o wait_ready
 *
 * Far: $CONFIGSTREAM_CERT and $CONFIGSTREAM_TOKEN_FILE name the files of certificate and token, if not the usual ones.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <configstream/configstream.h>
#include <configstream/remote.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Longer, and a supervisor that restarts us is the better judge. */
#define READY_TIMEOUT_MS (5 * 1000)

/* ---- where the configuration is: only these functions know ------------------------------------------------------- */

struct configuration {
    cfgs_remote *remote;
    cfgs_reader *reader;
};

static void close_configuration(struct configuration *configuration)
{
    cfgs_reader_close(configuration->reader); /* before what it is a reader of */
    cfgs_remote_close(configuration->remote);
}

static int open_configuration(const char *address, struct configuration *out)
{
    cfgs_error_detail detail = {0};
    const cfgs_remote_options options = {.address = address,
                                         .cert_file = getenv("CONFIGSTREAM_CERT"), /* NULL: the usual one */
                                         .token_file = getenv("CONFIGSTREAM_TOKEN_FILE"),
                                         .display_name = "wait_ready",
                                         .detail = &detail};

    *out = (struct configuration){0};
    int err = cfgs_remote_open(&options, &out->remote);
    if (err == CFGS_OK)
        err = cfgs_remote_reader(out->remote, &out->reader);
    if (err != CFGS_OK) {
        fprintf(stderr, "%s: %s%s%s\n", address, cfgs_strerror(err), detail.message[0] ? ": " : "", detail.message);
        close_configuration(out);
    }
    return err;
}

/* ---- the start-up gate ------------------------------------------------------------------------------------------- */

/* What stands in the way: what the connection met last; where there is no such thing, how the producer is. */
static void complain(const struct configuration *from, const char *address, int err)
{
    cfgs_remote_info connection = {0};
    cfgs_reader_info arena = {0};

    if (cfgs_remote_status(from->remote, &connection, sizeof connection) == CFGS_OK && connection.message[0] != '\0')
        fprintf(stderr, "%s: no configuration: %s (%s)\n", address, cfgs_strerror(err), connection.message);
    else if (cfgs_reader_status(from->reader, &arena, sizeof arena) == CFGS_OK)
        fprintf(stderr, "%s: no configuration: %s (the producer is %s)\n", address, cfgs_strerror(err),
                cfgs_producer_state_name(arena.state));
    else
        fprintf(stderr, "%s: no configuration: %s\n", address, cfgs_strerror(err));
}

/* The producer may start after us; it must not come too late.  What no waiting can mend is not waited for. */
static int wait_until_ready(const struct configuration *from, const char *address)
{
    int err = cfgs_remote_wait_ready(from->remote, READY_TIMEOUT_MS);

    if (err != CFGS_OK)
        complain(from, address, err);
    return err;
}

/* ---- typed reads ------------------------------------------------------------------------------------------------- */

struct settings {
    int64_t cmd_port;
    int64_t cancel_timeout_ns;
    uint64_t log_file_bytes;
    char **tags; /* one block: free(tags) */
    size_t tag_count;
};

/* Say which key it was.  The value is not said: it may be a secret. */
static int check(int err, const char *key)
{
    if (err != CFGS_OK)
        fprintf(stderr, "cannot read %s: %s\n", key, cfgs_strerror(err));
    return err;
}

static int read_settings(cfgs_reader *reader, struct settings *out)
{
    int err;

    if ((err = check(cfgs_get_int(reader, "cmd_port", &out->cmd_port), "cmd_port")) != CFGS_OK)
        return err;
    /* Text such as "500ms", or a number of nanoseconds. */
    err = check(cfgs_get_duration(reader, "check_cancel_timeout", &out->cancel_timeout_ns), "check_cancel_timeout");
    if (err != CFGS_OK)
        return err;
    /* Text such as "10Mb", or a number of bytes. */
    err = check(cfgs_get_size(reader, "log_file_max_size", &out->log_file_bytes), "log_file_max_size");
    if (err != CFGS_OK)
        return err;
    /* Kinds do not tell which numbers make sense: that is ours to say. */
    if (out->cmd_port < 1 || out->cmd_port > 65535)
        return check(CFGS_ERR_RANGE, "cmd_port");
    return check(cfgs_get_string_list(reader, "tags", &out->tags, &out->tag_count), "tags");
}

static void print_settings(const struct settings *settings)
{
    printf("cmd_port: %" PRId64 "\n", settings->cmd_port);
    printf("check_cancel_timeout: %" PRId64 " ms\n", settings->cancel_timeout_ns / 1000000);
    printf("log_file_max_size: %" PRIu64 " bytes\n", settings->log_file_bytes);
    for (size_t i = 0; i < settings->tag_count; i++)
        printf("tag: %s\n", settings->tags[i]);
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct configuration configuration;

    if (argc != 2) {
        fprintf(stderr, "usage: wait_ready ADDRESS\n");
        return 2;
    }
    int err = open_configuration(argv[1], &configuration);
    if (err != CFGS_OK)
        return 1;
    err = wait_until_ready(&configuration, argv[1]);
    if (err == CFGS_OK)
        err = read_settings(configuration.reader, &settings);
    if (err == CFGS_OK)
        print_settings(&settings);
    free(settings.tags);
    close_configuration(&configuration);
    return err == CFGS_OK ? 0 : 1;
}
