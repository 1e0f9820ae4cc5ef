/* program.c  SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { READY_MS = 60 * 1000 };

void program_fail(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, cfgs_strerror(error));
    exit(1);
}

static void log_line(void *context, cfgs_remote_severity severity, const char *line)
{
    (void)context;
    fprintf(stderr, "%d %s\n", (int)severity, line);
}

void program_open(struct program *program, const char *address)
{
    const char *pause = getenv("BACKOFF_MS");
    cfgs_error_detail detail = {0};
    cfgs_remote_options options = {.address = address,
                                   .cert_file = getenv("CERT"),
                                   .token_file = getenv("TOKEN_FILE"),
                                   .display_name = "near or far",
                                   .backoff_min_ms = 20,
                                   .backoff_max_ms = pause != NULL ? (uint32_t)atoi(pause) : 1000,
                                   .log = log_line,
                                   .detail = &detail};

    int err = cfgs_remote_open(&options, &program->remote);
    if (err == CFGS_OK)
        err = cfgs_remote_reader(program->remote, &program->reader);
    if (err == CFGS_OK)
        err = cfgs_reader_wait_ready(program->reader, READY_MS);
    if (err != CFGS_OK)
        program_fail(detail.message[0] != '\0' ? detail.message : address, err);
}

void program_close(struct program *program)
{
    cfgs_reader_close(program->reader);
    cfgs_remote_close(program->remote);
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

/* FNV-1a: the tests need no protection from clever keys. */
static uint64_t hash(uint64_t value, const void *data, size_t length)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i++)
        value = (value ^ bytes[i]) * UINT64_C(1099511628211);
    return value;
}

static uint64_t hash_text(uint64_t value, cfgs_bytes text)
{
    return hash(hash(value, text.data, text.length), &text.length, sizeof text.length);
}

uint64_t program_digest(cfgs_bytes key, cfgs_bytes source, const cfgs_value *value)
{
    uint64_t digest = hash_text(hash_text(UINT64_C(14695981039346656037), key), source);
    double number = 0;

    if (value->kind == CFGS_KIND_INT || value->kind == CFGS_KIND_DOUBLE) { /* one on the wire */
        if (cfgs_value_get_double(value, &number) != CFGS_OK)
            program_fail("number", CFGS_ERR_CORRUPT);
        return hash(digest, &number, sizeof number);
    }
    digest = hash(digest, &value->kind, sizeof value->kind);
    if (value->kind == CFGS_KIND_BOOL)
        return hash(digest, &value->as.boolean, sizeof value->as.boolean);
    return value->kind == CFGS_KIND_NULL ? digest : hash_text(digest, value->as.bytes);
}

int program_read_view(cfgs_view *view, struct state *out)
{
    do {
        cfgs_iterator iterator = {0};
        cfgs_setting setting;
        *out = (struct state){.sequence = cfgs_view_sequence(view)};
        while (cfgs_view_next(view, &iterator, "", 0, &setting) == 1) {
            if (setting.flags & CFGS_SETTING_LOCAL)
                continue; /* not for those far away */
            out->settings++;
            out->digest += program_digest(setting.key, setting.source_name, &setting.value);
        }
    } while (cfgs_view_retry(view));
    return cfgs_view_error(view);
}

struct state program_state(struct program *program)
{
    struct state state;
    cfgs_view view;
    int err = cfgs_view_begin(program->reader, &view);

    if (err == CFGS_OK)
        err = program_read_view(&view, &state);
    if (err != CFGS_OK)
        program_fail("view", err);
    return state;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void print_text(cfgs_bytes text)
{
    putchar('"');
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == '"' || text.data[i] == '\\')
            printf("\\x%02x", (unsigned char)text.data[i]);
        else
            putchar(text.data[i]);
    putchar('"');
}

static void print_container(const cfgs_value *value)
{
    bool named = value->kind == CFGS_KIND_STRUCT;
    cfgs_cursor cursor;
    cfgs_bytes key;
    cfgs_value item;
    int more = cfgs_cursor_init(&cursor, value);

    putchar(named ? '{' : '[');
    if (more == CFGS_OK)
        more = cfgs_cursor_next(&cursor, &key, &item);
    for (; more == 1; more = cfgs_cursor_next(&cursor, &key, &item)) {
        if (named) {
            print_text(key);
            putchar(':');
        }
        program_print_value(&item);
        putchar(',');
    }
    if (more != 0)
        program_fail("value", more);
    putchar(named ? '}' : ']');
}

void program_print_value(const cfgs_value *value)
{
    double number = 0;

    switch (value->kind) {
    case CFGS_KIND_NULL: fputs("null", stdout); break;
    case CFGS_KIND_BOOL: fputs(value->as.boolean ? "true" : "false", stdout); break;
    case CFGS_KIND_STRING: print_text(value->as.bytes); break;
    case CFGS_KIND_LIST:
    case CFGS_KIND_STRUCT: print_container(value); break;
    default:
        if (cfgs_value_get_double(value, &number) == CFGS_OK)
            printf("%.17g", number);
    }
}
