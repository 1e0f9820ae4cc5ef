/*
 * wait_ready.c: an agent's start: wait for the configuration, but not for ever; read what is needed, typed; say what is
 * wrong, and where.
 *
 *     wait_ready INSTANCE
 *     cc -std=c17 wait_ready.c $(pkg-config --cflags --libs configstream) -o wait_ready
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <configstream/configstream.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Longer, and a supervisor that restarts us is the better judge. */
#define READY_TIMEOUT_MS (5 * 1000)

/* The only function that knows where the configuration is. */
static int open_configuration(const char *instance, cfgs_reader **reader)
{
    cfgs_error_detail detail = {0};
    int err = cfgs_reader_open(&(cfgs_reader_options){.instance = instance, .detail = &detail}, reader);

    if (err != CFGS_OK)
        fprintf(stderr, "%s: %s%s%s\n", instance, cfgs_strerror(err), detail.message[0] ? ": " : "", detail.message);
    return err;
}

/* The start-up gate.  The producer may start after us; it must not come too late. */
static int wait_until_ready(cfgs_reader *reader, const char *instance)
{
    cfgs_reader_info info = {0};
    int err = cfgs_reader_wait_ready(reader, READY_TIMEOUT_MS);

    if (err == CFGS_OK)
        return CFGS_OK;
    if (cfgs_reader_status(reader, &info, sizeof info) == CFGS_OK)
        fprintf(stderr, "%s: no configuration after %d ms: %s (the producer is %s)\n", instance, READY_TIMEOUT_MS,
                cfgs_strerror(err), cfgs_producer_state_name(info.state));
    else
        fprintf(stderr, "%s: no configuration: %s\n", instance, cfgs_strerror(err));
    return err;
}

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
    cfgs_reader *reader;

    if (argc != 2) {
        fprintf(stderr, "usage: wait_ready INSTANCE\n");
        return 2;
    }
    int err = open_configuration(argv[1], &reader);
    if (err != CFGS_OK)
        return 1;
    err = wait_until_ready(reader, argv[1]);
    if (err == CFGS_OK)
        err = read_settings(reader, &settings);
    if (err == CFGS_OK)
        print_settings(&settings);
    free(settings.tags);
    cfgs_reader_close(reader);
    return err == CFGS_OK ? 0 : 1;
}
