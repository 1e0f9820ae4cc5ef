/* probe.c: a reader that answers questions on standard input with one line of JSON each.
 *
 *     next              the next event, {"event":"none"} if there is none now
 *     snapshot          every setting, as of one point in time
 *     getter KEY NAME   what a typed read returns, and its code
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <configstream/configstream.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READY_TIMEOUT_MS 60000

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("probe: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void expect_ok(int code, const char *what)
{
    if (code != CFGS_OK)
        die("%s: %s", what, cfgs_strerror(code));
}

/* ---- values as JSON ---------------------------------------------------------------------------------------------- */

static json_t *or_die(json_t *json)
{
    if (!json)
        die("a text is no UTF-8, or memory ran out");
    return json;
}

static void put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, or_die(value)) != 0)
        die("cannot store '%s'", key);
}

static json_t *from_double(double number)
{
    if (isfinite(number))
        return or_die(json_real(number));
    return or_die(json_pack("{s:s}", "$float", isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf"));
}

static json_t *from_bytes(cfgs_bytes bytes)
{
    return or_die(json_stringn(bytes.data, bytes.length));
}

static json_t *from_value(const cfgs_value *value);

/* A view's value may change under our feet: what is damaged ends here, and the view's validation tells. */
static json_t *from_container(const cfgs_value *value)
{
    bool is_list = value->kind == CFGS_KIND_LIST;
    json_t *json = or_die(is_list ? json_array() : json_object());
    cfgs_cursor cursor;
    cfgs_bytes key;
    cfgs_value item;
    expect_ok(cfgs_cursor_init(&cursor, value), "cursor");
    while (cfgs_cursor_next(&cursor, &key, &item) == 1)
        if ((is_list ? json_array_append_new(json, from_value(&item))
                     : json_object_setn_new(json, key.data, key.length, from_value(&item))) != 0)
            die("cannot store an element");
    return json;
}

static json_t *from_value(const cfgs_value *value)
{
    switch (value->kind) {
    case CFGS_KIND_NULL: return json_null();
    case CFGS_KIND_BOOL: return json_boolean(value->as.boolean);
    case CFGS_KIND_INT: return or_die(json_integer(value->as.integer));
    case CFGS_KIND_DOUBLE: return from_double(value->as.number);
    case CFGS_KIND_STRING: return from_bytes(value->as.bytes);
    case CFGS_KIND_LIST:
    case CFGS_KIND_STRUCT: return from_container(value);
    }
    die("a value of unknown kind %d", (int)value->kind);
}

static json_t *from_setting(const cfgs_setting *setting)
{
    json_t *json = or_die(json_object());
    put(json, "source", from_bytes(setting->source_name));
    put(json, "kind", json_string(cfgs_kind_name((int)setting->value.kind)));
    put(json, "value", from_value(&setting->value));
    put(json, "undeclared", json_boolean(setting->flags & CFGS_SETTING_UNDECLARED));
    put(json, "local", json_boolean(setting->flags & CFGS_SETTING_LOCAL));
    return json;
}

/* ---- state and stream -------------------------------------------------------------------------------------------- */

static json_t *read_settings(cfgs_view *view)
{
    json_t *settings = or_die(json_object());
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    while (cfgs_view_next(view, &iterator, "", 0, &setting) == 1)
        if (json_object_setn_new(settings, setting.key.data, setting.key.length, from_setting(&setting)) != 0)
            die("cannot store a setting");
    return settings;
}

static json_t *answer_snapshot(cfgs_reader *reader)
{
    cfgs_view view;
    json_t *settings = NULL;
    expect_ok(cfgs_view_begin(reader, &view), "view");
    do {
        json_decref(settings);
        settings = read_settings(&view);
    } while (cfgs_view_retry(&view));
    expect_ok(cfgs_view_error(&view), "view");
    json_t *json = or_die(json_object());
    put(json, "sequence", json_integer((json_int_t)cfgs_view_sequence(&view)));
    put(json, "settings", settings);
    return json;
}

static json_t *answer_next(cfgs_reader *reader)
{
    cfgs_event event;
    json_t *json = or_die(json_object());
    int code = cfgs_reader_next(reader, &event, 0);
    if (code == CFGS_ERR_TIMEOUT) {
        put(json, "event", json_string("none"));
        return json;
    }
    expect_ok(code, "next");
    put(json, "event", json_string(event.kind == CFGS_EVENT_UPDATE ? "update" : "snapshot"));
    put(json, "sequence", json_integer((json_int_t)event.sequence));
    if (event.kind == CFGS_EVENT_UPDATE) {
        put(json, "key", from_bytes(event.setting.key));
        put(json, "removed", json_boolean(event.removed));
        put(json, "unset_source", from_bytes(event.unset_source_name));
        put(json, "setting", from_setting(&event.setting));
    }
    return json;
}

/* ---- typed reads: each gives its result and stores the code ------------------------------------------------------ */

static json_t *read_bool(cfgs_reader *reader, const char *key, int *code)
{
    bool result = false;
    *code = cfgs_cast_bool(reader, key, &result);
    return json_boolean(result);
}

static json_t *read_int(cfgs_reader *reader, const char *key, int *code)
{
    int64_t result = -1;
    *code = cfgs_cast_int(reader, key, &result);
    return json_integer(result);
}

static json_t *read_float(cfgs_reader *reader, const char *key, int *code)
{
    double result = -1;
    *code = cfgs_cast_double(reader, key, &result);
    return from_double(result);
}

static json_t *read_duration(cfgs_reader *reader, const char *key, int *code)
{
    int64_t result = -1;
    *code = cfgs_cast_duration(reader, key, &result);
    return json_integer(result);
}

static json_t *read_bytes(cfgs_reader *reader, const char *key, int *code)
{
    uint64_t result = 1;
    *code = cfgs_cast_size(reader, key, &result);
    return json_integer((json_int_t)result);
}

static json_t *read_string(cfgs_reader *reader, const char *key, int *code)
{
    char *result = NULL;
    *code = cfgs_cast_string(reader, key, &result);
    json_t *json = result ? json_string(result) : json_null();
    free(result);
    return json;
}

static json_t *read_string_list(cfgs_reader *reader, const char *key, int *code)
{
    char **items = NULL;
    size_t count = 0;
    json_t *json = or_die(json_array());
    *code = cfgs_cast_string_list(reader, key, &items, &count);
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(json, json_string(items[i])) != 0)
            die("cannot store an element");
    free(items);
    return json;
}

static json_t *read_float_list(cfgs_reader *reader, const char *key, int *code)
{
    double *items = NULL;
    size_t count = 0;
    json_t *json = or_die(json_array());
    *code = cfgs_cast_float_list(reader, key, &items, &count);
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(json, from_double(items[i])) != 0)
            die("cannot store an element");
    free(items);
    return json;
}

static json_t *take_copy(cfgs_copy *copy)
{
    json_t *json = copy ? from_value(cfgs_copy_value(copy)) : json_null();
    cfgs_copy_free(copy);
    return json;
}

static json_t *read_value(cfgs_reader *reader, const char *key, int *code)
{
    cfgs_copy *copy = NULL;
    *code = cfgs_cast_value(reader, key, &copy);
    return take_copy(copy);
}

static json_t *read_map(cfgs_reader *reader, const char *key, int *code)
{
    cfgs_copy *copy = NULL;
    *code = cfgs_cast_map(reader, key, &copy);
    return take_copy(copy);
}

static json_t *read_string_map(cfgs_reader *reader, const char *key, int *code)
{
    cfgs_copy *copy = NULL;
    *code = cfgs_cast_string_map(reader, key, &copy);
    return take_copy(copy);
}

static json_t *read_list_map(cfgs_reader *reader, const char *key, int *code)
{
    cfgs_copy *copy = NULL;
    *code = cfgs_cast_list_map(reader, key, &copy);
    return take_copy(copy);
}

static json_t *read_source(cfgs_reader *reader, const char *key, int *code)
{
    int source = CFGS_SOURCE_NONE;
    *code = cfgs_cast_source(reader, key, &source);
    const char *name = cfgs_source_name(source);
    return name ? json_string(name) : json_null();
}

static json_t *read_configured(cfgs_reader *reader, const char *key, int *code)
{
    bool result = false;
    *code = cfgs_get_configured(reader, key, &result);
    return json_boolean(result);
}

static json_t *read_configured_section(cfgs_reader *reader, const char *key, int *code)
{
    cfgs_copy *copy = NULL;
    *code = cfgs_get_configured_section(reader, key, &copy);
    return take_copy(copy);
}

static const struct getter {
    const char *name;
    json_t *(*read)(cfgs_reader *reader, const char *key, int *code);
} getters[] = {
    {"get", read_value},
    {"bool", read_bool},
    {"int", read_int},
    {"float", read_float},
    {"string", read_string},
    {"duration", read_duration},
    {"bytes", read_bytes},
    {"string_list", read_string_list},
    {"float_list", read_float_list},
    {"map", read_map},
    {"string_map", read_string_map},
    {"list_map", read_list_map},
    {"source", read_source},
    {"configured", read_configured},
    {"configured_section", read_configured_section},
};

static const char *code_name(int code)
{
    switch (code) {
    case CFGS_OK: return "ok";
    case CFGS_ERR_UNKNOWN_KEY: return "unknown_key";
    case CFGS_ERR_CAST_FAILED: return "cast_failed";
    case CFGS_ERR_BAD_ELEMENT: return "bad_element";
    default: return cfgs_strerror(code);
    }
}

static json_t *answer_getter(cfgs_reader *reader, const char *key, const char *name)
{
    for (size_t i = 0; key && name && i < sizeof getters / sizeof *getters; i++) {
        if (strcmp(name, getters[i].name) != 0)
            continue;
        int code;
        json_t *json = or_die(json_object());
        put(json, "result", getters[i].read(reader, key, &code));
        put(json, "code", json_string(code_name(code)));
        return json;
    }
    die("no getter '%s'", name ? name : "");
}

/* ---- dialogue ---------------------------------------------------------------------------------------------------- */

static json_t *answer(cfgs_reader *reader, char *line)
{
    char *rest = NULL;
    const char *word = strtok_r(line, " \n", &rest);
    if (word && strcmp(word, "next") == 0)
        return answer_next(reader);
    if (word && strcmp(word, "snapshot") == 0)
        return answer_snapshot(reader);
    if (!word || strcmp(word, "getter") != 0)
        die("no command '%s'", word ? word : "");
    const char *key = strtok_r(NULL, " \n", &rest);
    return answer_getter(reader, key, strtok_r(NULL, " \n", &rest));
}

int main(int argc, char **argv)
{
    cfgs_reader *reader;
    char line[CFGS_KEY_MAX_BYTES + 64];
    if (argc != 2)
        die("usage: probe INSTANCE");
    expect_ok(cfgs_reader_open(&(cfgs_reader_options){.instance = argv[1]}, &reader), "open");
    expect_ok(cfgs_reader_wait_ready(reader, READY_TIMEOUT_MS), "wait");
    while (fgets(line, sizeof line, stdin)) {
        json_t *json = answer(reader, line);
        if (json_dumpf(json, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
            die("cannot print");
        json_decref(json);
    }
    cfgs_reader_close(reader);
    return 0;
}
