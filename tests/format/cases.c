/*
 * cases.c: an arena full of hard cases, and what a dump of it must say.
 *
 *     cases ARENA_PATH    publish, end, and print the expected dump; then "--" and an ID, and the dump of the state at that ID,
 *                         which the arena still holds
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <configstream/configstream.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(text) ((cfgs_bytes){text, sizeof(text) - 1})

struct shape {
    const char *key, *key_json; /* key_json NULL: the key needs no escapes */
    const char *json;
    void (*build)(cfgs_builder *builder);
    int source;
};

static void check(int err, const char *what)
{
    if (err == CFGS_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, cfgs_strerror(err));
    exit(1);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

#define SHAPE(name, call)                                                                                              \
    static void name(cfgs_builder *b)                                                                                  \
    {                                                                                                                  \
        call;                                                                                                          \
    }
SHAPE(null, cfgs_builder_add_null(b))
SHAPE(yes, cfgs_builder_add_bool(b, true))
SHAPE(no, cfgs_builder_add_bool(b, false))
SHAPE(zero, cfgs_builder_add_int(b, 0))
SHAPE(int_max, cfgs_builder_add_int(b, INT64_MAX))
SHAPE(int_min, cfgs_builder_add_int(b, INT64_MIN))
SHAPE(beyond_double, cfgs_builder_add_int(b, (INT64_C(1) << 53) + 1))
SHAPE(tenth, cfgs_builder_add_double(b, 0.1))
SHAPE(whole, cfgs_builder_add_double(b, 3))
SHAPE(minus_zero, cfgs_builder_add_double(b, -0.0))
SHAPE(huge, cfgs_builder_add_double(b, 1e300))
SHAPE(tiny, cfgs_builder_add_double(b, 5e-324))
SHAPE(nan_value, cfgs_builder_add_double(b, (double)NAN))
SHAPE(infinite, cfgs_builder_add_double(b, (double)INFINITY))
SHAPE(minus_infinite, cfgs_builder_add_double(b, -(double)INFINITY))
SHAPE(empty, cfgs_builder_add_string(b, "", 0))
SHAPE(plain, cfgs_builder_add_string(b, "text", 4))
SHAPE(controls, cfgs_builder_add_string(b, "\"\\/\b\f\n\r\t\x1f\x7f", 10))
SHAPE(unicode, cfgs_builder_add_string(b, "h\xc3\xb6llo \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8c\x8d \xe2\x80\xa8", 22))
SHAPE(with_nul, cfgs_builder_add_string(b, "a\0b", 3))
SHAPE(empty_list, (cfgs_builder_begin_list(b), cfgs_builder_end_list(b)))
SHAPE(empty_struct, (cfgs_builder_begin_struct(b), cfgs_builder_end_struct(b)))

static void long_text(cfgs_builder *builder)
{
    char text[70000];
    memset(text, 'x', sizeof text);
    cfgs_builder_add_string(builder, text, sizeof text);
}

static void mixed_list(cfgs_builder *b)
{
    cfgs_builder_begin_list(b);
    cfgs_builder_add_null(b);
    cfgs_builder_add_bool(b, false);
    cfgs_builder_add_int(b, -7);
    cfgs_builder_add_double(b, 0.5);
    cfgs_builder_add_double(b, 1e20);
    cfgs_builder_add_double(b, -0.0);
    cfgs_builder_add_double(b, (double)NAN);
    cfgs_builder_add_string(b, "\n", 1);
    empty_list(b);
    empty_struct(b);
    cfgs_builder_end_list(b);
}

static void entry(cfgs_builder *b, const char *key)
{
    cfgs_builder_key(b, key, strlen(key));
}

static void mixed_struct(cfgs_builder *b)
{
    cfgs_builder_begin_struct(b);
    entry(b, "z");
    mixed_list(b);
    entry(b, "");
    cfgs_builder_add_int(b, INT64_C(1) << 53);
    entry(b, "dotted.key \"x\"");
    cfgs_builder_add_bool(b, true);
    entry(b, "\xc3\xa4");
    empty_struct(b);
    entry(b, "twice");
    cfgs_builder_add_int(b, 1);
    entry(b, "twice");
    cfgs_builder_add_int(b, 2);
    cfgs_builder_end_struct(b);
}

#define DEEP CFGS_VALUE_MAX_DEPTH

static void large_ints(cfgs_builder *b)
{
    cfgs_builder_begin_struct(b);
    entry(b, "max");
    int_max(b);
    entry(b, "min");
    int_min(b);
    entry(b, "odd");
    beyond_double(b);
    entry(b, "list");
    cfgs_builder_begin_list(b);
    beyond_double(b);
    cfgs_builder_add_int(b, -INT64_MAX);
    zero(b);
    cfgs_builder_end_list(b);
    cfgs_builder_end_struct(b);
}

static void deep(cfgs_builder *b)
{
    for (int i = 0; i < DEEP; i++)
        cfgs_builder_begin_list(b);
    for (int i = 0; i < DEEP; i++)
        cfgs_builder_end_list(b);
}

#define MIXED_LIST "[null,false,-7,0.5,100000000000000000000.0,-0.0,\"NaN\",\"\\n\",[],{}]"

static char huge_json[1 + 300 + 3], tiny_json[2 + 323 + 2];
static char deep_json[2 * DEEP + 1], long_json[70003], long_key[CFGS_KEY_MAX_BYTES + 1];

static const struct shape shapes[] = {
    {"null", NULL, "null", null, CFGS_SOURCE_DEFAULT},
    {"bool.true", NULL, "true", yes, CFGS_SOURCE_UNKNOWN},
    {"bool.false", NULL, "false", no, CFGS_SOURCE_INFRA_MODE},
    {"int.zero", NULL, "0", zero, CFGS_SOURCE_FILE},
    {"int.max", NULL, "9223372036854775807", int_max, CFGS_SOURCE_ENVIRONMENT_VARIABLE},
    {"int.min", NULL, "-9223372036854775808", int_min, CFGS_SOURCE_FLEET_POLICIES},
    {"int.2^53+1", NULL, "9007199254740993", beyond_double, CFGS_SOURCE_CONFIG_POST_INIT},
    {"double.tenth", NULL, "0.1", tenth, CFGS_SOURCE_SECRET},
    {"double.whole", NULL, "3.0", whole, CFGS_SOURCE_LOCAL_CONFIG_PROCESS},
    {"double.-0", NULL, "-0.0", minus_zero, CFGS_SOURCE_AGENT_RUNTIME},
    {"double.huge", NULL, huge_json, huge, CFGS_SOURCE_REMOTE_CONFIG},
    {"double.tiny", NULL, tiny_json, tiny, CFGS_SOURCE_CLI},
    {"double.nan", NULL, "\"NaN\"", nan_value, CFGS_SOURCE_CLI},
    {"double.inf", NULL, "\"+Inf\"", infinite, CFGS_SOURCE_CLI},
    {"double.-inf", NULL, "\"-Inf\"", minus_infinite, CFGS_SOURCE_VERBATIM},
    {"text.empty", NULL, "\"\"", empty, CFGS_SOURCE_FILE},
    {"text.controls", NULL, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001F\\u007F\"", controls, CFGS_SOURCE_FILE},
    {"text.unicode", NULL, "\"h\xc3\xb6llo \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8c\x8d \xe2\x80\xa8\"", unicode,
     CFGS_SOURCE_VERBATIM},
    {"text.nul", NULL, "\"a\\u0000b\"", with_nul, CFGS_SOURCE_FILE},
    {"text.long", NULL, long_json, long_text, CFGS_SOURCE_FILE},
    {"list.empty", NULL, "[]", empty_list, CFGS_SOURCE_FILE},
    {"list.mixed", NULL, MIXED_LIST, mixed_list, CFGS_SOURCE_FILE},
    {"list.deep", NULL, deep_json, deep, CFGS_SOURCE_FILE},
    {"struct.empty", NULL, "{}", empty_struct, CFGS_SOURCE_FILE},
    {"struct.mixed", NULL,
     "{\"\":9007199254740992,\"dotted.key \\\"x\\\"\":true,\"twice\":2,\"z\":" MIXED_LIST ",\"\xc3\xa4\":{}}", mixed_struct,
     CFGS_SOURCE_FILE},
    {"struct.large", NULL,
     "{\"list\":[9007199254740993,-9223372036854775807,0],\"max\":9223372036854775807,"
     "\"min\":-9223372036854776000.0,\"odd\":9007199254740993}",
     large_ints, CFGS_SOURCE_FILE},
    {"k", NULL, "\"text\"", plain, CFGS_SOURCE_FILE},
    {"K", NULL, "\"text\"", plain, CFGS_SOURCE_FILE},
    {"12345678", NULL, "\"text\"", plain, CFGS_SOURCE_FILE}, /* a key of whole words */
    {"quote\"back\\slash\n", "quote\\\"back\\\\slash\\n", "\"text\"", plain, CFGS_SOURCE_FILE},
    {"schl\xc3\xbcssel.\xf0\x9f\x94\x91", NULL, "\"text\"", plain, CFGS_SOURCE_VERBATIM},
    {long_key, NULL, "\"text\"", plain, CFGS_SOURCE_FILE},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

#define VERBATIM "Quelle \"\xc3\xbc\""
#define VERBATIM_JSON "Quelle \\\"\xc3\xbc\\\""

static void fill_long(void)
{
    snprintf(huge_json, sizeof huge_json, "1%0300d.0", 0);
    snprintf(tiny_json, sizeof tiny_json, "0.%0323d5", 0);
    memset(deep_json, '[', DEEP);
    memset(deep_json + DEEP, ']', DEEP);
    memset(long_json, 'x', sizeof long_json - 1);
    long_json[0] = long_json[sizeof long_json - 2] = '"';
    memset(long_key, 'y', CFGS_KEY_MAX_BYTES);
}

/* ---- what is expected -------------------------------------------------------------------------------------------- */

struct line {
    const struct shape *key;   /* whose key */
    const struct shape *value; /* whose value and source; NULL: the key is gone */
    uint64_t sequence;
};

static int by_key(const void *left, const void *right)
{
    const struct line *a = left, *b = right;
    return strcmp(a->key->key, b->key->key);
}

static void print_lines(const struct line *lines, size_t count)
{
    struct line sorted[SHAPES];
    memcpy(sorted, lines, count * sizeof *lines);
    qsort(sorted, count, sizeof *sorted, by_key);
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &sorted[i];
        if (line->value == NULL)
            continue;
        int source = line->value->source;
        printf("{\"key\":\"%s\",\"value\":%s,\"source\":\"%s\",\"sequence\":%llu}\n",
               line->key->key_json != NULL ? line->key->key_json : line->key->key, line->value->json,
               source == CFGS_SOURCE_VERBATIM ? VERBATIM_JSON : cfgs_source_name(source),
               (unsigned long long)line->sequence);
    }
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

/* The setting with one shape's key and another's value; borrows from the builder. */
static cfgs_setting setting_of(const struct shape *key, const struct shape *value, cfgs_builder *builder)
{
    cfgs_setting setting = {.key = {key->key, strlen(key->key)}, .source = value->source};

    if (value->source == CFGS_SOURCE_VERBATIM)
        setting.source_name = BYTES(VERBATIM);
    setting.flags = value->source == CFGS_SOURCE_SECRET ? CFGS_SETTING_SECRET : 0;
    cfgs_builder_reset(builder);
    value->build(builder);
    check(cfgs_builder_finish(builder, &setting.value), key->key);
    return setting;
}

static size_t load(cfgs_publisher *publisher, cfgs_builder *builder, struct line *lines)
{
    cfgs_batch *batch;
    size_t count = 0;

    check(cfgs_batch_begin(publisher, &batch), "begin");
    for (size_t i = 0; i < SHAPES; i++) {
        cfgs_setting setting = setting_of(&shapes[i], &shapes[i], builder);
        check(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE), shapes[i].key);
        lines[count] = (struct line){&shapes[i], &shapes[i], count + 1};
        count++;
    }
    check(cfgs_batch_commit(batch, NULL), "commit");
    return count;
}

/* Every key takes the value of the one after it; each third is removed. */
static void turn(cfgs_publisher *publisher, cfgs_builder *builder, struct line *lines, size_t count)
{
    const struct shape *first = lines[0].value;

    for (size_t i = 0; i < count; i++) {
        const struct shape *key = lines[i].key, *value = i + 1 < count ? lines[i + 1].value : first;
        bool changed = false;
        if (i % 3 == 2) {
            value = NULL;
            check(cfgs_publisher_remove(publisher, key->key, strlen(key->key), CFGS_SOURCE_CLI, &changed), key->key);
        } else {
            cfgs_setting setting = setting_of(key, value, builder);
            check(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_CLI, &changed), key->key);
        }
        lines[i].value = value;
        if (changed)
            lines[i].sequence = cfgs_publisher_sequence(publisher);
    }
}

/* Enough updates that banks were rebuilt and the ring was overwritten. */
static void churn(cfgs_publisher *publisher)
{
    for (int i = 0; i < 20000; i++) {
        cfgs_setting setting = {.key = BYTES("churn"), .value = cfgs_value_int(i), .source = CFGS_SOURCE_CLI};
        check(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL), "churn");
    }
    check(cfgs_publisher_remove(publisher, "churn", 5, CFGS_SOURCE_CLI, NULL), "churn");
}

int main(int argc, char **argv)
{
    struct line lines[SHAPES], before[SHAPES];
    cfgs_error_detail detail;
    cfgs_publisher *publisher;
    cfgs_builder *builder;

    if (argc != 2)
        return 2;
    fill_long();
    cfgs_publisher_options options = {.arena_path = argv[1], .ring_slots = 128, .detail = &detail};
    int err = cfgs_publisher_open(&options, &publisher);
    if (err != CFGS_OK)
        fprintf(stderr, "%s\n", detail.message);
    check(err, "open");
    check(cfgs_builder_new(&builder), "builder");
    size_t count = load(publisher, builder, lines);
    churn(publisher);
    /* A clean end and a new start rebuild the bank: what follows fits into it, so that the state before stays in it. */
    cfgs_publisher_close(publisher, false);
    check(cfgs_publisher_open(&options, &publisher), "open again");
    memcpy(before, lines, sizeof lines);
    uint64_t sequence = cfgs_publisher_sequence(publisher);
    turn(publisher, builder, lines, count);
    print_lines(lines, count);
    printf("-- %llu\n", (unsigned long long)sequence);
    print_lines(before, count);
    cfgs_builder_free(builder);
    cfgs_publisher_close(publisher, false);
    return 0;
}
