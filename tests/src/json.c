/* json.c: JSON in and out.  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dump(cfgs_value value)
{
    static char out[512];
    json_t *json = json_from_value(&value);
    cr_assert_not_null(json);
    char *text = json_to_text(json);
    snprintf(out, sizeof out, "%s", text);
    free(text);
    json_decref(json);
    return out;
}

Test(json, scalars_are_exact)
{
    cr_assert_str_eq(dump(cfgs_value_int(INT64_C(9007199254740993))), "9007199254740993");
    cr_assert_str_eq(dump(cfgs_value_double(2)), "2.0");
    cr_assert_str_eq(dump(cfgs_value_null()), "null");
    cr_assert_str_eq(dump(cfgs_value_string("a\0b", 3)), "\"a\\u0000b\"");
}

Test(json, a_double_is_the_shortest_text_that_reads_back_and_never_looks_like_an_int)
{
    static const double numbers[] = {0.1, 0.48, 1 / 3.0, 1e-7, 5e-324, 1.7976931348623157e308, 123456789012345680.0, -2.5};
    cr_assert_str_eq(dump(cfgs_value_double(0.48)), "0.48");
    cr_assert_str_eq(dump(cfgs_value_double(1e30)), "1000000000000000000000000000000.0");
    cr_assert_str_eq(dump(cfgs_value_double(-0.0)), "-0.0");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const char *text = dump(cfgs_value_double(numbers[i]));
        cr_assert_eq(strtod(text, NULL), numbers[i], "%s", text);
        cr_assert(strchr(text, '.'), "%s", text);
    }
}

Test(json, what_a_terminal_may_take_for_a_command_is_escaped)
{
    cr_assert_str_eq(dump(cfgs_value_string("\x1b[31m\x7f\xc2\x9b" "31m \xc2\xa0\xc3\xa9", 16)),
                     "\"\\u001B[31m\\u007F\\u009B31m \xc2\xa0\xc3\xa9\"");
}

Test(json, numbers_it_has_no_name_for_are_strings)
{
    cr_assert_str_eq(dump(cfgs_value_double(NAN)), "\"NaN\"");
    cr_assert_str_eq(dump(cfgs_value_double(INFINITY)), "\"+Inf\"");
    cr_assert_str_eq(dump(cfgs_value_double(-INFINITY)), "\"-Inf\"");
}

Test(json, a_text_becomes_the_same_tree_as_yaml)
{
    struct pool_block *pool = NULL;
    struct problem problem;
    const char *text = "{\"a\": [1, 2.5, null, \"x\"], \"b\": true}";
    struct node *node = json_to_node(&pool, text, strlen(text), &problem);
    cr_assert_eq(node->kind, NODE_MAP);
    cr_assert_str_eq(node->as.first->key, "a");
    cr_assert_eq(node->as.first->as.first->as.integer, 1);
    cr_assert_eq(node->as.first->as.first->next->as.number, 2.5);
    cr_assert_eq(node->as.first->next->kind, NODE_BOOL);
    pool_free(&pool);
}

Test(json, a_number_out_of_range_is_called_so)
{
    struct pool_block *pool = NULL;
    struct problem problem;
    cr_assert_null(json_to_node(&pool, "[99999999999999999999]", 22, &problem));
    cr_assert(strstr(problem.text, "too large"));
    cr_assert_null(json_to_node(&pool, "1e1000", 6, &problem));
    cr_assert(strstr(problem.text, "too large"));
    pool_free(&pool);
}

Test(json, what_is_none_is_refused_without_showing_it)
{
    struct pool_block *pool = NULL;
    struct problem problem;
    cr_assert_null(json_to_node(&pool, "{\"a\": sesame", 12, &problem));
    cr_assert(strstr(problem.text, "not valid JSON") && !strstr(problem.text, "sesame"));
    pool_free(&pool);
}
