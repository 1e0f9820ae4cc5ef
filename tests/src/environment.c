/* environment.c: variables to settings, with the declared names and parsers.  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/environment.h"

#include "resolve/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct declarations declarations;
static struct layer layer;
static struct warnings warnings;
static struct problem problem;

static void finish(void)
{
    declarations_clear(&declarations);
    layer_clear(&layer);
    warnings_clear(&warnings);
}

TestSuite(environment, .fini = finish);

static void declare(const char *defaults)
{
    struct doc doc;
    struct layer values = {0};
    cr_assert(doc_load_text(&doc, "defaults.yaml", defaults, strlen(defaults), &warnings, &problem), "%s", problem.text);
    cr_assert(declarations_read(&declarations, &doc, &problem), "%s", problem.text);
    cr_assert(layer_read(&values, &declarations, true, &doc, &warnings, &problem), "%s", problem.text);
    layer_clear(&values);
    doc_free(&doc);
    cr_assert_eq(warnings.total, 0);
}

static void read(const char *const *variables)
{
    layer_clear(&layer);
    cr_assert(environment_read(&layer, &declarations, "DD", variables, &warnings, &problem), "%s", problem.text);
}

/* The JSON of a key; "nothing" if the environment does not say it. */
static const char *said(const char *key)
{
    static char out[256];
    const struct layer_value *value = table_get(&layer.values, key, strlen(key));
    if (!value)
        return "nothing";
    json_t *json = json_from_value(cfgs_copy_value(value->value));
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    snprintf(out, sizeof out, "%s", text);
    free(text);
    json_decref(json);
    return out;
}

static void warned(size_t line, const char *text, bool error)
{
    cr_assert_gt(warnings.kept, line, "only %zu warnings", warnings.kept);
    cr_assert(strstr(warnings.lines[line].text, text), "%s", warnings.lines[line].text);
    cr_assert_eq(warnings.lines[line].error, error);
}

Test(environment, a_variable_is_the_prefix_and_the_key_in_upper_case)
{
    declare("log_level: info\nlogs_config: {batch_wait: 5, inner: {deep-key: 1}}\n");
    read((const char *[]){"DD_LOG_LEVEL=debug", "DD_LOGS_CONFIG_BATCH_WAIT=7", "DD_LOGS_CONFIG_INNER_DEEP-KEY=0x10",
                    "LOG_LEVEL=warn", "DDX=1", NULL});
    cr_assert_str_eq(said("log_level"), "\"debug\"");
    cr_assert_str_eq(said("logs_config.batch_wait"), "7");
    cr_assert_str_eq(said("logs_config.inner.deep-key"), "16");
    cr_assert_eq(warnings.total, 0);
}

Test(environment, an_empty_variable_counts_as_not_set)
{
    declare("log_level: info\nx-configstream: {log_level: {env: [DD_A, DD_B]}}\n");
    read((const char *[]){"DD_A=", "DD_B=warn", NULL});
    cr_assert_str_eq(said("log_level"), "\"warn\"");
    cr_assert_eq(warnings.total, 0);
    warnings.strict = true;
    read((const char *[]){"DD_A=", NULL});
    cr_assert_str_eq(said("log_level"), "nothing");
    warned(0, "environment variable DD_A: log_level: is empty", false);
}

Test(environment, the_first_declared_name_wins_and_the_plain_one_then_counts_no_more)
{
    declare("site: a\nx-configstream: {site: {env: [DD_FIRST, SECOND]}}\n");
    read((const char *[]){"SECOND=2", "DD_FIRST=1", "DD_SITE=3", NULL});
    cr_assert_str_eq(said("site"), "\"1\"");
    cr_assert_eq(warnings.total, 1);
    warned(0, "environment variable DD_SITE: no declared setting has it", false);
}

Test(environment, of_two_variables_of_one_name_the_first_counts)
{
    declare("site: a\n");
    read((const char *[]){"DD_SITE=1", "DD_SITE=2", "no equals", "=", NULL});
    cr_assert_str_eq(said("site"), "\"1\"");
}

Test(environment, a_text_that_cannot_be_converted_is_kept_with_a_warning)
{
    declare("port: 1\nendpoints: {}\n");
    read((const char *[]){"DD_PORT=2.5", "DD_ENDPOINTS={\"a\":1}", NULL});
    cr_assert_str_eq(said("port"), "\"2.5\"");
    cr_assert_str_eq(said("endpoints"), "\"{\\\"a\\\":1}\"");
    warned(0, "DD_PORT: port: the text cannot be converted to the declared kind int", false);
    warned(1, "DD_ENDPOINTS: endpoints: ", false);
}

Test(environment, a_number_that_no_stream_can_carry_is_kept_with_an_error)
{
    declare("rate: 0.5\n");
    read((const char *[]){"DD_RATE=-inf", NULL});
    cr_assert_str_eq(said("rate"), "\"-Inf\"");
    cr_assert_eq(warnings.total, 1);
    warned(0, "environment variable DD_RATE: rate: holds NaN or an infinity", true);
}

Test(environment, a_text_that_is_no_utf8_is_ignored_with_an_error)
{
    declare("site: a\nport: 1\n");
    read((const char *[]){"DD_SITE=\xff", "DD_PORT=\xff", NULL});
    cr_assert_str_eq(said("site"), "nothing");
    cr_assert_str_eq(said("port"), "nothing");
    warned(0, "DD_SITE: site: is ignored", true);
    warned(1, "DD_PORT: port: is ignored", true);
    cr_assert_eq(warnings.total, 2);
    cr_assert_null(strchr(warnings.lines[0].text, '\xff'));
}

/* parser, kind, text, JSON; no JSON: refused */
static const struct {
    const char *parser, *kind, *text, *json;
} parsed[] = {
    {"comma_separated", "string_list", "a, b,,c ", "[\"a\",\" b\",\"\",\"c \"]"},
    {"csv_comma_separated", "string_list", "a,  b c,\"x, \"\"y\"\"\",", "[\"a\",\"b c\",\"x, \\\"y\\\"\",\"\"]"},
    {"csv_comma_separated", "string_list", "a\nb", "[\"a\"]"},
    {"csv_comma_separated", "string_list", "a\"b", NULL},
    {"csv_comma_separated", "string_list", "\"a", NULL},
    {"csv_comma_separated", "string_list", "\"a\"b", NULL},
    {"comma_and_space_separated", "string_list", " a, b,c  d ", "[\"a\",\"b\",\"c\",\"d\"]"},
    {"comma_then_space_separated", "string_list", "a b, c", "[\"a b\",\"c\"]"},
    {"comma_then_space_separated", "string_list", "a b", "[\"a\",\"b\"]"},
    {"json_list_or_comma_separated", "string_list", " [\"a\", \"b,c\"] ", "[\"a\",\"b,c\"]"},
    {"json_list_or_comma_separated", "string_list", "a b,c", "[\"a b\",\"c\"]"},
    {"json_list_or_comma_separated", "string_list", "[a]", NULL},
    {"json_list_or_space_separated", "string_list", "a,b c", "[\"a,b\",\"c\"]"},
    {"json_list_or_space_separated", "string_list", "[1]", NULL},
    {"json", "map_list", "[{\"a\":1}]", "[{\"a\":1}]"},
    {"json", "map_list", "[1]", NULL},
    {"json", "list", "{}", NULL},
    {"json", "string_map", "{\"a\":\"b\"}", "{\"a\":\"b\"}"},
    {"json", "string_map", "{\"a\":1}", NULL},
    {"json", "float_map", "{\"a\":1,\"b\":0.5}", "{\"a\":1,\"b\":0.5}"},
    {"json", "float_map", "{\"a\":\"1\"}", NULL},
    {"json", "list_map", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
    {"json", "list_map", "{\"a\":\"b\"}", NULL},
    {"json", "map", "[", NULL},
    {"name_rate_pairs", "map", "a|b=0.5,c=1", "{\"a|b\":0.5,\"c\":1}"},
    {"name_rate_pairs", "map", "a=0.5,", NULL},
    {"name_rate_pairs", "map", "a=b", NULL},
    {"name_rate_pairs", "map", "=1", NULL},
};

Test(environment, each_parser_reads_its_text_and_what_it_refuses_is_ignored_with_an_error)
{
    for (size_t i = 0; i < sizeof parsed / sizeof *parsed; i++) {
        char defaults[256], variable[256];
        const char *expected = parsed[i].json ? parsed[i].json : "nothing";
        snprintf(defaults, sizeof defaults, "k: %s\nx-configstream: {k: {kind: %s, parser: %s}}\n",
                 strstr(parsed[i].kind, "map") && strcmp(parsed[i].kind, "map_list") != 0 ? "{}" : "[]", parsed[i].kind,
                 parsed[i].parser);
        snprintf(variable, sizeof variable, "DD_K=%s", parsed[i].text);
        declare(defaults);
        read((const char *[]){variable, NULL});
        cr_assert_str_eq(said("k"), expected, "%s: %s", parsed[i].parser, parsed[i].text);
        cr_assert_eq(warnings.total, parsed[i].json ? 0 : 1);
        if (!parsed[i].json)
            warned(0, "DD_K: k: is ignored: ", true);
        finish();
    }
}
