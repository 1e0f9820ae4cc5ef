/* cli/output.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include "base/stdio.h"
#include "cli/say.h"
#include "resolve/json.h"
#include "resolve/kind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A program that cannot get a few bytes can do nothing better than to say so. */
static void *need(void *memory)
{
    if (memory)
        return memory;
    cli_complain("out of memory, or a damaged value");
    exit(EXIT_OTHER);
}

bool output_holds_secret(const cfgs_value *value)
{
    cfgs_cursor cursor;
    cfgs_bytes key = {0};
    cfgs_value item;
    if (value->kind == CFGS_KIND_STRING)
        return text_holds_password(value->as.bytes.data, value->as.bytes.length);
    if (value->kind != CFGS_KIND_LIST && value->kind != CFGS_KIND_STRUCT)
        return false;
    if (cfgs_cursor_init(&cursor, value) != CFGS_OK)
        return false;
    while (cfgs_cursor_next(&cursor, value->kind == CFGS_KIND_STRUCT ? &key : NULL, &item) == 1)
        if ((key.length && item.kind != CFGS_KIND_BOOL && key_looks_secret(key.data, key.length)) ||
            output_holds_secret(&item))
            return true;
    return false;
}

bool output_is_secret(const cfgs_setting *setting)
{
    if (setting->flags & CFGS_SETTING_SECRET)
        return true;
    if (output_holds_secret(&setting->value))
        return true;
    /* arenas of other publishers may carry no flags */
    return setting->value.kind != CFGS_KIND_BOOL && key_looks_secret(setting->key.data, setting->key.length);
}

json_t *output_json(const cfgs_value *value, bool hidden)
{
    return need(hidden ? json_string(OUTPUT_MASK) : json_from_value(value));
}

json_t *output_text(cfgs_bytes text)
{
    return need(json_stringn(text.data ? text.data : "", text.length));
}

void output_add(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        need(NULL);
}

void output_addn(json_t *object, cfgs_bytes name, json_t *value)
{
    if (json_object_setn_new(object, name.data, name.length, value) != 0)
        need(NULL);
}

void output_append(json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) != 0)
        need(NULL);
}

json_t *output_setting(const cfgs_setting *setting, bool hidden)
{
    json_t *object = need(json_object());
    output_add(object, "key", output_text(setting->key));
    output_add(object, "value", output_json(&setting->value, hidden));
    output_add(object, "source", output_text(setting->source_name));
    output_add(object, "sequence", json_integer((json_int_t)setting->sequence));
    if (hidden)
        output_add(object, "masked", json_true());
    return object;
}

static char *take_text(json_t *json)
{
    char *text = need(json_to_text(need(json)));
    json_decref(json);
    return text;
}

void output_line(json_t *json)
{
    char *text = take_text(json);
    puts(text);
    free(text);
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static bool coloured;

void output_colour(enum cli_colour when)
{
    const char *none = getenv("NO_COLOR");
    coloured = when == COLOUR_ALWAYS || (when == COLOUR_AUTO && is_terminal(stdout) && !(none && *none));
}

void output_styled(enum output_style style, cfgs_bytes text)
{
    static const char *const starts[] = {
        [STYLE_KEY] = "\x1b[36m",  [STYLE_VALUE] = "\x1b[1m",     [STYLE_SOURCE] = "\x1b[2m",
        [STYLE_GOOD] = "\x1b[32m", [STYLE_DOUBTFUL] = "\x1b[33m", [STYLE_BAD] = "\x1b[31m",
    };
    if (coloured)
        fputs(starts[style], stdout);
    if (text.length)
        print_plain(stdout, text.data, text.length, "");
    if (coloured)
        fputs("\x1b[0m", stdout);
}

cfgs_bytes output_bytes(const char *text)
{
    return (cfgs_bytes){.data = text, .length = strlen(text)};
}

void output_value_json(json_t *json)
{
    char *text = take_text(json);
    output_styled(STYLE_VALUE, output_bytes(text));
    free(text);
}

void output_value(const cfgs_value *value, bool hidden)
{
    if (hidden)
        output_styled(STYLE_VALUE, output_bytes(OUTPUT_MASK));
    else
        output_value_json(output_json(value, false));
}

void output_bare(const cfgs_value *value)
{
    if (value->kind != CFGS_KIND_STRING)
        output_value(value, false);
    else if (isatty(STDOUT_FILENO))
        print_plain(stdout, value->as.bytes.data, value->as.bytes.length, "\n\t");
    else
        fwrite(value->as.bytes.data, 1, value->as.bytes.length, stdout);
    putchar('\n');
}

void output_key(cfgs_bytes key)
{
    output_styled(STYLE_KEY, key);
}

void output_source(const char *before, cfgs_bytes source, const char *after)
{
    fputs(before, stdout);
    output_styled(STYLE_SOURCE, source);
    fputs(after, stdout);
}

void output_listed(const cfgs_setting *setting, bool json, bool hidden)
{
    if (json) {
        output_line(output_setting(setting, hidden));
        return;
    }
    output_key(setting->key);
    fputs(" = ", stdout);
    output_value(&setting->value, hidden);
    output_source("  (", setting->source_name, ")\n");
}

bool output_finish(void)
{
    if (flush_standard_output())
        return true;
    cli_complain("cannot write to standard output: %s", strerror(errno));
    return false;
}
