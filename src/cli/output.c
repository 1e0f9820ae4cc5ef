/* cli/output.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include "base/stdio.h"
#include "cli/options.h"
#include "resolve/json.h"
#include "resolve/kind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A program that cannot get a few bytes can do nothing better than to say so. */
static void *need(void *memory)
{
    if (memory)
        return memory;
    cli_complain("out of memory, or a damaged value");
    exit(EXIT_OTHER);
}

bool output_holds_password(const cfgs_value *value)
{
    cfgs_cursor cursor;
    cfgs_value item;
    if (value->kind == CFGS_KIND_STRING)
        return text_holds_password(value->as.bytes.data, value->as.bytes.length);
    if ((value->kind != CFGS_KIND_LIST && value->kind != CFGS_KIND_STRUCT) || cfgs_cursor_init(&cursor, value) != CFGS_OK)
        return false;
    while (cfgs_cursor_next(&cursor, NULL, &item) == 1)
        if (output_holds_password(&item))
            return true;
    return false;
}

bool output_is_secret(const cfgs_setting *setting)
{
    if (setting->flags & CFGS_SETTING_SECRET)
        return true;
    if (output_holds_password(&setting->value))
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

static void print_json(json_t *json)
{
    char *text = need(json_to_text(json));
    fputs(text, stdout);
    free(text);
    json_decref(json);
}

void output_line(json_t *json)
{
    print_json(json);
    putchar('\n');
}

void output_value(const cfgs_value *value, bool hidden)
{
    if (hidden)
        fputs(OUTPUT_MASK, stdout);
    else
        print_json(output_json(value, false));
}

void output_bare(const cfgs_value *value)
{
    if (value->kind == CFGS_KIND_STRING)
        fwrite(value->as.bytes.data, 1, value->as.bytes.length, stdout);
    else
        output_value(value, false);
    putchar('\n');
}

void output_key(cfgs_bytes key)
{
    for (size_t i = 0; i < key.length; i++) {
        unsigned char c = (unsigned char)key.data[i];
        if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

bool output_finish(void)
{
    if (flush_standard_output())
        return true;
    cli_complain("cannot write to standard output: %s", strerror(errno));
    return false;
}
