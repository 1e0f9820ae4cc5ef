/* convert.c: nodes to the declared kind.  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/convert.h"

#include "resolve/json.h"
#include "yaml/doc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct converter converter;
static struct problem problem;

static void set_up(void)
{
    cr_assert(converter_init(&converter, &problem));
}

static void tear_down(void)
{
    converter_free(&converter);
}

TestSuite(convert, .init = set_up, .fini = tear_down);

/* "RESULT JSON" of a YAML value converted to a kind. */
static const char *convert(const char *yaml, enum setting_kind kind)
{
    static const char *const names[] = {"same", "changed", "impossible", "failed"};
    static char out[512];
    char text[256];
    struct doc doc;
    struct warnings warnings = {0};
    cfgs_copy *copy = NULL;
    snprintf(text, sizeof text, "k: %s\n", yaml);
    cr_assert(doc_load_text(&doc, "f", text, strlen(text), &warnings, &problem), "%s", problem.text);
    enum convert_result result = convert_node(&converter, doc.root->as.first, kind, &copy, NULL, &problem);
    snprintf(out, sizeof out, "%s", names[result]);
    if (copy) {
        json_t *json = json_from_value(cfgs_copy_value(copy));
        char *dump = json_to_text(json);
        snprintf(out, sizeof out, "%s %s", names[result], dump);
        free(dump);
        json_decref(json);
    }
    cfgs_copy_free(copy);
    doc_free(&doc);
    warnings_clear(&warnings);
    return out;
}

#define CONVERTS(yaml, kind, expected) cr_assert_str_eq(convert(yaml, SETTING_##kind), expected)

Test(convert, scalars_to_bool)
{
    CONVERTS("true", BOOL, "same true");
    CONVERTS("\"true\"", BOOL, "changed true");
    CONVERTS("\"yes\"", BOOL, "impossible");
    CONVERTS("2", BOOL, "changed true");
    CONVERTS("[]", BOOL, "impossible");
}

Test(convert, scalars_to_int)
{
    CONVERTS("12", INT, "same 12");
    CONVERTS("\"010\"", INT, "changed 8");
    CONVERTS("12.0", INT, "changed 12");
    CONVERTS("12.5", INT, "impossible");
    CONVERTS("1e300", INT, "impossible");
    CONVERTS("\"\"", INT, "impossible");
    CONVERTS("\"2.00\"", INT, "changed 2");
    CONVERTS("\"-1_000\"", INT, "changed -1000");
    CONVERTS("\"0x_1f\"", INT, "changed 31");
    CONVERTS("\"1__0\"", INT, "impossible");
    CONVERTS("\"2.5\"", INT, "impossible");
    CONVERTS("\"9223372036854775808\"", INT, "impossible");
}

Test(convert, scalars_to_float)
{
    CONVERTS("1.5", FLOAT, "same 1.5");
    CONVERTS("10", FLOAT, "same 10.0");
    CONVERTS("\"11.5\"", FLOAT, "changed 11.5");
    CONVERTS("\"fast\"", FLOAT, "impossible");
    CONVERTS("\"1_0.5\"", FLOAT, "changed 10.5");
    CONVERTS("\"0x1p-2\"", FLOAT, "changed 0.25");
    CONVERTS("\"inf\"", FLOAT, "changed \"+Inf\"");
    CONVERTS("\"1e999\"", FLOAT, "impossible");
}

Test(convert, scalars_to_string)
{
    CONVERTS("text", STRING, "same \"text\"");
    CONVERTS("0755", STRING, "changed \"493\"");
    CONVERTS("1.50", STRING, "changed \"1.5\"");
    CONVERTS("1e21", STRING, "changed \"1000000000000000000000\"");
    CONVERTS("2.5e-7", STRING, "changed \"0.00000025\"");
    CONVERTS("yes", STRING, "changed \"true\"");
    CONVERTS("{a: b}", STRING, "impossible");
    CONVERTS("ENC[handle]", STRING, "same \"ENC[handle]\"");
}

Test(convert, durations_become_nanoseconds)
{
    CONVERTS("30s", DURATION, "same 30000000000");
    CONVERTS("10", DURATION, "same 10");
    CONVERTS("\"10\"", DURATION, "same 10");
    CONVERTS("1h30m", DURATION, "same 5400000000000");
    CONVERTS("\"010\"", DURATION, "same 10");
    CONVERTS("\"1.9\"", DURATION, "same 1");
    CONVERTS("\"0x10\"", DURATION, "impossible");
    CONVERTS("soon", DURATION, "impossible");
}

Test(convert, lists_of_strings)
{
    CONVERTS("[a, 1, true]", STRING_LIST, "changed [\"a\",\"1\",\"true\"]");
    CONVERTS("[a]", STRING_LIST, "same [\"a\"]");
    CONVERTS("[[a]]", STRING_LIST, "impossible");
    CONVERTS("a  b", STRING_LIST, "changed [\"a\",\"b\"]");
    CONVERTS("5", STRING_LIST, "impossible");
}

Test(convert, maps_keep_what_lies_inside)
{
    CONVERTS("{b: 1, a: [x]}", LIST_MAP, "same {\"a\":[\"x\"],\"b\":1}");
    CONVERTS("[]", STRING_MAP, "impossible");
    CONVERTS("[{name: 123}]", MAP_LIST, "same [{\"name\":123}]");
}

Test(convert, json_text_stands_for_lists_and_maps_only_where_the_converter_says_so)
{
    CONVERTS("'[\"a b\"]'", STRING_LIST, "changed [\"[\\\"a\",\"b\\\"]\"]");
    CONVERTS("'{\"a\": [\"x\"]}'", LIST_MAP, "impossible");
    converter.json_text = true;
    CONVERTS("'[\"a b\"]'", STRING_LIST, "changed [\"a b\"]");
    CONVERTS("'{\"a\": [\"x\"]}'", LIST_MAP, "changed {\"a\":[\"x\"]}");
    CONVERTS("'{bad'", LIST_MAP, "impossible");
}

Test(convert, any_takes_everything)
{
    CONVERTS("~", ANY, "same null");
    CONVERTS("[1, a]", ANY, "same [1,\"a\"]");
}

Test(convert, integers_that_lose_precision_inside_a_list_are_noticed)
{
    struct node item = {.kind = NODE_INT, .as.integer = INT64_C(9007199254740993)};
    struct node list = {.kind = NODE_LIST, .as.first = &item};
    cfgs_copy *copy;
    bool inexact = false;
    cr_assert_eq(convert_node(&converter, &list, SETTING_LIST, &copy, &inexact, &problem), CONVERT_SAME);
    cr_assert(inexact);
    cfgs_copy_free(copy);
}
