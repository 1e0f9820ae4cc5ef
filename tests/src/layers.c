/* layers.c: declarations, layers and what is published of them, against an arena in memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "resolve/config.h"

#include <configstream/event.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config config;
static struct problem problem;
static struct warnings warnings;
static cfgs_publisher *publisher;
static char folder[] = "/tmp/cfgs-layers-XXXXXX";
static char defaults[64], file[64], fleet[64];
static bool strict;

static void write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    fputs(text, out);
    fclose(out);
}

static bool load(uint64_t *changes)
{
    struct loaded loaded;
    const struct config_files files = {
        .config = file, .defaults = defaults[0] ? defaults : NULL, .fleet = fleet[0] ? fleet : NULL,
        .env_prefix = "LAYERS_TEST", .strict = strict};
    warnings_clear(&warnings);
    return loaded_read(&loaded, &files, &warnings, &problem) &&
           config_reload(&config, &loaded, publisher, changes, &problem);
}

static void start(const char *defaults_text, const char *file_text)
{
    uint64_t changes;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/main.yaml", folder);
    if (defaults_text) {
        snprintf(defaults, sizeof defaults, "%s/defaults.yaml", folder);
        write_text(defaults, defaults_text);
    }
    write_text(file, file_text);
    cr_assert_eq(cfgs_publisher_open(&(cfgs_publisher_options){.in_memory = true}, &publisher), CFGS_OK);
    cr_assert(load(&changes), "%s", problem.text);
}

static void finish(void)
{
    cfgs_publisher_close(publisher, true);
    config_clear(&config);
    warnings_clear(&warnings);
    unlink(file);
    unlink(defaults);
    if (fleet[0])
        unlink(fleet);
    rmdir(folder);
}

TestSuite(layers, .fini = finish);

static bool publish(uint64_t *changes)
{
    return config_publish(&config, publisher, false, changes, &problem);
}

static bool stage(const char *key, const char *value, int source)
{
    struct set_request request = {.key = key, .key_length = strlen(key), .source = source, .value = value,
                                  .value_length = strlen(value)};
    return config_stage_set(&config, &request, &problem);
}

static uint64_t set(const char *key, const char *value, int source)
{
    uint64_t changes;
    cr_assert(stage(key, value, source) && publish(&changes), "%s", problem.text);
    return changes;
}

static uint64_t unset(const char *key, int source)
{
    uint64_t changes;
    cr_assert(config_stage_unset(&config, key, strlen(key), source, &problem) && publish(&changes));
    return changes;
}

/* What the arena holds: "value source" for ints and strings, "" for nothing. */
static const char *published(const char *key)
{
    static char out[128];
    cfgs_view view;
    cfgs_setting setting;
    cr_assert_eq(cfgs_publisher_view(publisher, &view), CFGS_OK);
    if (cfgs_view_get(&view, key, &setting) != CFGS_OK)
        return "";
    if (setting.value.kind == CFGS_KIND_INT)
        snprintf(out, sizeof out, "%lld %s", (long long)setting.value.as.integer, cfgs_source_name(setting.source));
    else if (setting.value.kind == CFGS_KIND_STRING)
        snprintf(out, sizeof out, "%.*s %s", (int)setting.value.as.bytes.length, setting.value.as.bytes.data,
                 cfgs_source_name(setting.source));
    else
        snprintf(out, sizeof out, "%s %s", cfgs_kind_name(setting.value.kind), cfgs_source_name(setting.source));
    return out;
}

Test(layers, the_highest_source_wins)
{
    start("port: 1\n", "port: 2\n");
    cr_assert_str_eq(published("port"), "2 file");
    for (int source = CFGS_SOURCE_ENVIRONMENT_VARIABLE; source <= CFGS_SOURCE_COUNT; source++) {
        char value[8], expected[64];
        snprintf(value, sizeof value, "%d", source * 10);
        snprintf(expected, sizeof expected, "%d %s", source * 10, cfgs_source_name(source));
        cr_assert_eq(set("port", value, source), 1);
        cr_assert_str_eq(published("port"), expected);
    }
}

Test(layers, unset_falls_back_through_every_lower_source)
{
    start("port: 1\n", "port: 2\n");
    for (int source = CFGS_SOURCE_ENVIRONMENT_VARIABLE; source <= CFGS_SOURCE_COUNT; source++)
        set("port", "7", source);
    for (int source = CFGS_SOURCE_COUNT; source > CFGS_SOURCE_ENVIRONMENT_VARIABLE; source--) {
        char expected[64];
        snprintf(expected, sizeof expected, "7 %s", cfgs_source_name(source - 1));
        cr_assert_eq(unset("port", source), 1, "the source changes even where the value does not");
        cr_assert_str_eq(published("port"), expected);
    }
    unset("port", CFGS_SOURCE_ENVIRONMENT_VARIABLE);
    cr_assert_str_eq(published("port"), "2 file");
    unset("port", CFGS_SOURCE_FILE);
    cr_assert_str_eq(published("port"), "1 default");
    unset("port", CFGS_SOURCE_DEFAULT);
    cr_assert_str_eq(published("port"), "");
}

Test(layers, a_set_below_the_winner_publishes_nothing)
{
    start("port: 1\n", "");
    set("port", "5", CFGS_SOURCE_CLI);
    cr_assert_eq(set("port", "4", CFGS_SOURCE_REMOTE_CONFIG), 0);
    cr_assert_eq(set("port", "5", CFGS_SOURCE_CLI), 0);
    cr_assert_eq(unset("port", CFGS_SOURCE_CLI), 1);
    cr_assert_str_eq(published("port"), "4 remote-config");
    cr_assert_eq(unset("port", CFGS_SOURCE_CLI), 0);
}

Test(layers, an_update_names_the_source_that_was_cleared)
{
    start("port: 1\n", "");
    set("port", "5", CFGS_SOURCE_CLI);
    cfgs_reader *reader;
    cfgs_event event;
    cr_assert_eq(cfgs_publisher_reader(publisher, &reader), CFGS_OK);
    cr_assert_eq(cfgs_reader_next(reader, &event, 0), CFGS_OK);
    unset("port", CFGS_SOURCE_CLI);
    unset("port", CFGS_SOURCE_DEFAULT);
    cr_assert_eq(cfgs_reader_next(reader, &event, 0), CFGS_OK);
    cr_assert(event.unset_source == CFGS_SOURCE_CLI && !event.removed && event.setting.value.as.integer == 1);
    cr_assert_eq(cfgs_reader_next(reader, &event, 0), CFGS_OK);
    cr_assert(event.unset_source == CFGS_SOURCE_DEFAULT && event.removed);
    cfgs_reader_close(reader);
}

Test(layers, a_reload_publishes_only_differences_as_one_batch)
{
    start("a: 1\nb: 2\nc: 3\n", "a: 10\nb: 20\n");
    uint64_t changes, before = cfgs_publisher_sequence(publisher);
    write_text(file, "a: 10\nb: 21\nc: 30\nnew.key: x\n");
    cr_assert(load(&changes));
    cr_assert_eq(changes, 3);
    cr_assert_eq(cfgs_publisher_sequence(publisher), before + 3);
    write_text(file, "a: 10\n");
    cr_assert(load(&changes));
    cr_assert_str_eq(published("b"), "2 default");
    cr_assert_str_eq(published("new.key"), "");
    cr_assert_eq(config.store.slots.live, 3, "keys nobody sets any more are forgotten");
}

Test(layers, a_broken_reload_changes_nothing)
{
    start("a: 1\n", "a: 2\n");
    uint64_t changes;
    write_text(file, "a: 3\nb: [\n");
    cr_assert_not(load(&changes));
    cr_assert_str_eq(published("a"), "2 file");
    cr_assert_eq(set("a", "9", CFGS_SOURCE_CLI), 1);
}

Test(layers, a_refused_publishing_puts_every_layer_back)
{
    start("text: short\nother: 1\n", "");
    cfgs_publisher_close(publisher, true);
    cr_assert_eq(cfgs_publisher_open(&(cfgs_publisher_options){.in_memory = true, .max_size = 2 << 20, .ring_slots = 16},
                                     &publisher), CFGS_OK);
    uint64_t changes;
    cr_assert(config_publish(&config, publisher, true, &changes, &problem), "%s", problem.text);
    char *large = calloc(1, (8 << 20) + 1);
    memset(large, 'x', 8 << 20);
    cr_assert(stage("text", large, CFGS_SOURCE_CLI));
    cr_assert(stage("other", "2", CFGS_SOURCE_CLI));
    cr_assert_not(publish(&changes));
    free(large);
    cr_assert_str_eq(published("text"), "short default");
    cr_assert_eq(slot_winner(store_find(&config.store, "text", 4)), CFGS_SOURCE_DEFAULT);
    cr_assert_eq(slot_winner(store_find(&config.store, "other", 5)), CFGS_SOURCE_DEFAULT);
    cr_assert_eq(set("other", "3", CFGS_SOURCE_CLI), 1);
}

Test(layers, keys_are_canonical_and_dots_are_paths)
{
    start("logs:\n  Level: 1\nmap: {}\n", "LOGS.level: 5\nmap:\n  Https://x.test: y\n");
    cr_assert_str_eq(published("logs.level"), "5 file");
    cr_assert_str_eq(published("map"), "struct file");
    cr_assert_eq(warnings.total, 0);
}

Test(layers, nulls_say_nothing_for_what_is_declared)
{
    start("a: 1\nsection: {b: 2}\nlist: []\n", "a: ~\nsection:\nlist: null\n");
    cr_assert_str_eq(published("a"), "1 default");
    cr_assert_str_eq(published("list"), "list default");
    cr_assert_eq(warnings.total, 0);
}

Test(layers, what_cannot_be_converted_is_kept_raw_with_a_warning)
{
    start("port: 1\non: true\n", "port: [1]\n\"on\": \"yes\"\n");
    cr_assert_str_eq(published("port"), "list file");
    cr_assert_str_eq(published("true"), "bool default", "a plain on is true, also as a key");
    cr_assert_geq(warnings.total, 2);
    cr_assert(strstr(warnings.lines[0].text, ":2:1: the key on is read as true"), "%s", warnings.lines[0].text);
    cr_assert(strstr(warnings.lines[1].text, ":1:7: port: "), "%s", warnings.lines[1].text);
}

Test(layers, undeclared_keys_are_flattened_and_kept_with_a_warning)
{
    start("a: 1\n", "p: {q: {r: 2}, e: {}}\n");
    cr_assert_str_eq(published("p.q.r"), "2 file");
    cr_assert_str_eq(published("p.e"), "struct file");
    cr_assert_eq(warnings.total, 2);
    cr_assert_not(stage("p.q.r", "3", CFGS_SOURCE_CLI));
}

Test(layers, a_scalar_in_place_of_a_section_is_ignored_with_a_warning)
{
    start("s: {a: 1}\n", "s: 5\n");
    cr_assert_str_eq(published("s"), "");
    cr_assert_str_eq(published("s.a"), "1 default");
    cr_assert_eq(warnings.total, 1);
}

Test(layers, declarations_give_kinds_and_secrets)
{
    start("wait: 10s\nlabels: {a: b}\nmarked: x\napi_key: ''\nx-configstream:\n  wait: {kind: duration}\n"
          "  labels: {kind: string_map}\n  marked: {secret: true}\n  later: {kind: int}\n", "");
    cfgs_view view;
    cfgs_setting setting;
    cr_assert_str_eq(published("wait"), "10000000000 default");
    cr_assert_str_eq(published("labels"), "struct default");
    cr_assert_str_eq(published("x-configstream.wait.kind"), "");
    cr_assert_eq(cfgs_publisher_view(publisher, &view), CFGS_OK);
    cr_assert_eq(cfgs_view_get(&view, "marked", &setting), CFGS_OK);
    cr_assert(setting.flags & CFGS_SETTING_SECRET);
    cr_assert_eq(cfgs_view_get(&view, "api_key", &setting), CFGS_OK);
    cr_assert(setting.flags & CFGS_SETTING_SECRET);
    cr_assert_eq(set("later", "5", CFGS_SOURCE_CLI), 1, "declared without a default");
}

Test(layers, environment_wins_over_the_file_and_fleet_policies_over_both)
{
    uint64_t changes;
    setenv("LAYERS_TEST_A", "2", 1);
    setenv("LAYERS_TEST_B", "2", 1);
    start("a: 0\nb: 0\nc: 0\n", "a: 1\nb: 1\nc: 1\n");
    cr_assert_str_eq(published("a"), "2 environment-variable");
    cr_assert_str_eq(published("c"), "1 file");
    snprintf(fleet, sizeof fleet, "%s/fleet.yaml", folder);
    write_text(fleet, "b: 3\nother: 3\n");
    cr_assert(load(&changes), "%s", problem.text);
    cr_assert_eq(changes, 2);
    cr_assert_str_eq(published("a"), "2 environment-variable");
    cr_assert_str_eq(published("b"), "3 fleet-policies");
    cr_assert_str_eq(published("other"), "3 fleet-policies");
    cr_assert_eq(warnings.total, 1, "fleet.yaml: other is declared by nobody");
    write_text(fleet, "");
    cr_assert(load(&changes));
    cr_assert_str_eq(published("b"), "2 environment-variable");
    cr_assert_str_eq(published("other"), "");
}

static unsigned flags(const char *key)
{
    cfgs_view view;
    cfgs_setting setting;
    cr_assert_eq(cfgs_publisher_view(publisher, &view), CFGS_OK);
    cr_assert_eq(cfgs_view_get(&view, key, &setting), CFGS_OK);
    return setting.flags;
}

Test(layers, what_a_stream_cannot_carry_and_what_is_undeclared_is_marked)
{
    start("rate: 1.5\nmap: {}\n", "rate: .nan\nmap: {a: [1, .inf]}\nother: 1\n");
    cr_assert_eq(flags("rate"), CFGS_SETTING_LOCAL);
    cr_assert_eq(flags("map"), CFGS_SETTING_LOCAL);
    cr_assert_eq(flags("other"), CFGS_SETTING_UNDECLARED);
    cr_assert_eq(warnings.total, 3);
    cr_assert(warnings.lines[0].error && strstr(warnings.lines[0].text, "main.yaml:1:7: rate: holds NaN"), "%s",
              warnings.lines[0].text);
    write_text(file, "rate: 2.5\n");
    uint64_t changes;
    cr_assert(load(&changes));
    cr_assert_eq(flags("rate"), 0);
}

Test(layers, strict_refuses_whatever_would_warn_or_be_converted)
{
    static const struct {
        const char *text, *reason;
    } refused[] = {
        {"port: '1'\n", "main.yaml:1:7: port: a string stands where the declared kind is int"},
        {"port: [1]\n", "main.yaml:1:7: port: a list cannot be converted"},
        {"other: 1\n", "main.yaml:1:1: other: no such setting is declared"},
        {"port: 1\nport: 2\n", "main.yaml:2:1: "},
        {"s: 1\n", "main.yaml:1:4: s: is a section"},
        {"rate: .nan\n", "main.yaml:1:7: rate: holds NaN"},
        {"port: 1\nother: 1\nanother: 2\n", "(and 1 more)"},
    };
    uint64_t changes;
    strict = true;
    start("port: 1\nrate: 1.0\nwait: 1\ns: {a: 1}\nx-configstream: {wait: {kind: duration}}\n",
          "port: 2\nrate: 3\nwait: 30s\n");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        write_text(file, refused[i].text);
        cr_assert_not(load(&changes), "%s", refused[i].text);
        cr_assert(strstr(problem.text, "--strict: ") && strstr(problem.text, refused[i].reason), "%s", problem.text);
        cr_assert_str_eq(published("port"), "2 file");
    }
}

Test(layers, without_defaults_the_main_file_declares)
{
    start(NULL, "a: 1\ns: {b: text}\n");
    cr_assert_str_eq(published("s.b"), "text file");
    cr_assert_eq(set("a", "5", CFGS_SOURCE_CLI), 1);
    cr_assert_not(stage("other", "5", CFGS_SOURCE_CLI));
}

Test(layers, a_hundred_thousand_settings_load_and_reload)
{
    enum { COUNT = 100000 };
    char *text = malloc(COUNT * 40);
    size_t at = 0;
    for (int i = 0; i < COUNT; i++)
        at += (size_t)sprintf(text + at, "section_%d.key_%d: %d\n", i / 100, i, i);
    start(NULL, text);
    uint64_t changes;
    cr_assert_eq(cfgs_publisher_sequence(publisher), COUNT);
    cr_assert(load(&changes));
    cr_assert_eq(changes, 0);
    cr_assert_str_eq(published("section_999.key_99999"), "99999 file");
    free(text);
}

Test(layers, the_reserved_map_is_published_from_no_file_however_it_is_spelt)
{
    const char *const files[] = {"x-configstream: {port: {kind: string}}\n", "X-ConfigStream: {port: {kind: string}}\n",
                                 "x-configstream.port.kind: string\n"};
    start("port: 1\n", "port: 2\n");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint64_t changes;
        write_text(file, files[i]);
        cr_assert(load(&changes), "%s", problem.text);
        cr_assert_str_eq(published("x-configstream.port.kind"), "");
        cr_assert_str_eq(published("port"), "1 default");
        cr_assert_eq(warnings.total, 1);
        cr_assert(strstr(warnings.lines[0].text, "main.yaml:1:1: "), "%s", warnings.lines[0].text);
        cr_assert(strstr(warnings.lines[0].text, "is reserved"), "%s", warnings.lines[0].text);
    }
}

Test(layers, a_misspelt_reserved_map_in_a_file_that_declares_is_not_published)
{
    start(NULL, "port: 1\nX-Configstream: {port: {secret: true}}\n");
    cr_assert_str_eq(published("x-configstream.port.secret"), "");
    cr_assert_eq(warnings.total, 1);
    cr_assert(strstr(warnings.lines[0].text, "main.yaml:2:1: "), "%s", warnings.lines[0].text);
}

Test(layers, a_path_that_goes_on_below_a_setting_is_a_map_in_it)
{
    start("port: 1\nlabels: {}\nx-configstream: {labels: {kind: string_map}}\n", "labels.app.name: web\n");
    cr_assert_str_eq(published("labels"), "struct file");
    cr_assert_str_eq(published("labels.app.name"), "");
    cr_assert_eq(warnings.total, 0);
}
