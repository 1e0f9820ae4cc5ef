/* json.c: JSON in and out.  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char *dump(cfgs_value value)
{
    static char out[256];
    json_t *json = json_from_value(&value);
    cr_assert_not_null(json);
    size_t length = json_dumpb(json, out, sizeof out - 1, JSON_OUTPUT_FLAGS);
    out[length] = '\0';
    json_decref(json);
    return out;
}

Test(json, scalars_are_exact)
{
    cr_assert_str_eq(dump(cfgs_value_int(INT64_C(9007199254740993))), "9007199254740993");
    cr_assert_str_eq(dump(cfgs_value_double(0.1)), "0.10000000000000001");
    cr_assert_str_eq(dump(cfgs_value_double(2)), "2.0");
    cr_assert_str_eq(dump(cfgs_value_null()), "null");
    cr_assert_str_eq(dump(cfgs_value_string("a\0b", 3)), "\"a\\u0000b\"");
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
