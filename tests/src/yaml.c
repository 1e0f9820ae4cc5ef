/* yaml.c: documents as trees, and what is refused where.  SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "yaml/doc.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct problem problem;
static struct warnings warnings;
static struct doc doc;

static bool load_bytes(const char *text, size_t length)
{
    doc_free(&doc);
    warnings_clear(&warnings);
    return doc_load_text(&doc, "f.yaml", text, length, &warnings, &problem);
}

static bool load(const char *text)
{
    return load_bytes(text, strlen(text));
}

static const struct node *child(const struct node *map, const char *key)
{
    for (const struct node *node = map->as.first; node; node = node->next)
        if (strcmp(node->key, key) == 0)
            return node;
    return NULL;
}

static const struct node *value(const char *yaml)
{
    static char text[512];
    snprintf(text, sizeof text, "k: %s\n", yaml);
    cr_assert(load(text), "%s: %s", yaml, problem.text);
    return child(doc.root, "k");
}

static void drop(void)
{
    doc_free(&doc);
    warnings_clear(&warnings);
}

TestSuite(yaml, .fini = drop);

Test(yaml, plain_scalars_are_what_yaml_1_1_says)
{
    cr_assert_eq(value("")->kind, NODE_NULL);
    cr_assert_eq(value("~")->kind, NODE_NULL);
    cr_assert(value("yes")->as.boolean && value("On")->as.boolean && !value("off")->as.boolean);
    cr_assert_eq(value("010")->as.integer, 8);
    cr_assert_eq(value("0x10")->as.integer, 16);
    cr_assert_eq(value("1_000")->as.integer, 1000);
    cr_assert_eq(value("9007199254740993")->as.integer, INT64_C(9007199254740993));
    cr_assert_eq(value("08")->as.number, 8.0);
    cr_assert_eq(value("1e3")->as.number, 1000.0);
    cr_assert_eq(value("2.00")->kind, NODE_FLOAT);
    cr_assert_eq(value("-9223372036854775808")->as.integer, INT64_MIN);
    cr_assert_eq(value("9223372036854775808")->as.number, 0x1p63);
    cr_assert_eq(value("1e1000")->kind, NODE_STRING);
    cr_assert_eq(value("0x1p3")->kind, NODE_STRING);
    cr_assert_eq(value("0x")->kind, NODE_STRING);
    cr_assert_eq(value("--1")->kind, NODE_STRING);
    cr_assert_eq(value("1e")->kind, NODE_STRING);
    cr_assert_eq(value(".")->kind, NODE_STRING);
    cr_assert(isnan(value(".nan")->as.number) && isinf(value("-.Inf")->as.number));
    cr_assert_eq(value("2020-01-01")->kind, NODE_STRING);
    cr_assert_eq(value("12ab")->kind, NODE_STRING);
    cr_assert_eq(value("nullish")->kind, NODE_STRING);
}

Test(yaml, quoted_scalars_are_strings)
{
    cr_assert_eq(value("\"12\"")->kind, NODE_STRING);
    cr_assert_eq(value("'yes'")->kind, NODE_STRING);
    cr_assert_eq(value("\"\"")->kind, NODE_STRING);
}

Test(yaml, tags_decide)
{
    cr_assert_eq(value("!!str 12")->kind, NODE_STRING);
    cr_assert_eq(value("!!int '12'")->as.integer, 12);
    cr_assert_eq(value("!!float 1")->as.number, 1.0);
    cr_assert_not(load("k: !!int many\n"));
    cr_assert_str_eq(problem.text, "f.yaml:1:4: k: the tag !!int does not fit this string; mend the value or take the tag away");
}

Test(yaml, every_node_knows_its_place)
{
    cr_assert(load("a: 1\nb:\n  c: [x,\n      y]\n"));
    const struct node *list = child(child(doc.root, "b"), "c");
    cr_assert_eq(list->line, 3);
    cr_assert_eq(list->as.first->next->line, 4);
    cr_assert_eq(list->as.first->next->column, 7);
    cr_assert_eq(list->key_column, 3);
}

Test(yaml, keys_that_are_no_strings_become_their_text)
{
    cr_assert(load("010: a\ntrue: b\n~: c\n1.5: d\n\"010\": e\n1e21: f\n"));
    cr_assert(child(doc.root, "8") && child(doc.root, "true") && child(doc.root, "null") && child(doc.root, "1.5"));
    cr_assert_str_eq(child(doc.root, "010")->text, "e");
    cr_assert(child(doc.root, "1000000000000000000000"));
}

Test(yaml, a_key_given_twice_counts_last_with_a_warning)
{
    cr_assert(load("a: 1\nb: 2\na: 3\n"));
    cr_assert_eq(child(doc.root, "a")->as.integer, 3);
    cr_assert_eq(warnings.total, 1);
    cr_assert_str_eq(warnings.lines[0].text, "f.yaml:3:1: the key 'a' is given twice; this one counts, not the one in line 1");
}

Test(yaml, duplicates_in_a_large_map_are_found_too)
{
    char text[8192];
    size_t at = 0;
    for (int i = 0; i < 300; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "k%d: %d\n", i % 290, i);
    cr_assert(load(text));
    cr_assert_eq(warnings.total, 10);
    cr_assert_eq(child(doc.root, "k5")->as.integer, 295);
}

Test(yaml, aliases_and_merges)
{
    cr_assert(load("base: &b {p: 1, q: 2}\nuse: {<<: *b, q: 3}\nsame: *b\nmany: {<<: [*b, {r: 4}]}\n"));
    cr_assert_eq(child(child(doc.root, "use"), "p")->as.integer, 1);
    cr_assert_eq(child(child(doc.root, "use"), "q")->as.integer, 3);
    cr_assert_eq(child(child(doc.root, "same"), "q")->as.integer, 2);
    cr_assert_eq(child(child(doc.root, "many"), "r")->as.integer, 4);
    cr_assert_null(child(doc.root->as.first, "r"), "the anchor itself stays as it is");
    cr_assert_not(load("a: {<<: 1}\n"));
    cr_assert_not(load("a: *none\n"));
    cr_assert_not(load("a: &r {b: *r}\n"));
    cr_assert_str_eq(problem.text,
                     "f.yaml:1:11: a.b: the alias *r stands inside the value it names; write the value out");
}

Test(yaml, a_refusal_names_the_key_whose_value_it_is)
{
    cr_assert_not(load("a:\n  b:\n    - c: 1\n      d: [*none]\n"));
    cr_assert_eq(strncmp(problem.text, "f.yaml:4:11: a.b.d: the alias *none", 35), 0, "%s", problem.text);
    cr_assert_not(load("a: {b: 1}\nc: 2\n? [d]\n: 1\n"));
    cr_assert_eq(strncmp(problem.text, "f.yaml:3:3: a key must be", 25), 0, "%s", problem.text);
    char text[1024];
    int length = snprintf(text, sizeof text, "%0300d: {%0300d: *none}", 7, 7);
    cr_assert_not(load_bytes(text, (size_t)length));
    cr_assert(strstr(problem.text, ": the alias *none"), "%s", problem.text);
}

Test(yaml, tags_nobody_heeds_are_warned_of)
{
    cr_assert_eq(value("!custom x")->kind, NODE_STRING);
    cr_assert_str_eq(warnings.lines[0].text, "f.yaml:1:4: k: the tag !custom is not heeded; the value is a string as it is written");
    cr_assert_eq(value("!custom {a: 1}")->kind, NODE_MAP);
    cr_assert_eq(warnings.total, 1);
    cr_assert_eq(value("!!binary aGk=")->length, 4);
    cr_assert_eq(warnings.total, 1);
    value("!!map {a: !!seq [! x, !!str y]}");
    cr_assert_eq(warnings.total, 0);
}

Test(yaml, aliases_in_aliases_are_refused_long_before_they_are_many)
{
    char text[4096] = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
    for (int i = 1; i < 9; i++) {
        size_t at = strlen(text);
        at += (size_t)snprintf(text + at, sizeof text - at, "a%d: &a%d [*a%d", i, i, i - 1);
        for (int j = 1; j < 10; j++)
            at += (size_t)snprintf(text + at, sizeof text - at, ",*a%d", i - 1);
        snprintf(text + at, sizeof text - at, "]\n");
    }
    cr_assert_not(load(text));
    cr_assert(strstr(problem.text, "a3: aliases bring in"), "%s", problem.text);
}

/* `lists` lists of 1,000 values, each `copies` times. */
static bool load_lists(unsigned lists, unsigned copies)
{
    struct buffer text = {0};
    char key[64];
    for (unsigned i = 0; i < lists; i++) {
        buffer_append(&text, key, (size_t)snprintf(key, sizeof key, "l%u: &l%u [", i, i));
        for (unsigned j = 0; j < 999; j++)
            buffer_append(&text, "1,", 2);
        buffer_append(&text, "]\n", 2);
        for (unsigned j = 1; j < copies; j++)
            buffer_append(&text, key, (size_t)snprintf(key, sizeof key, "l%u-%u: *l%u\n", i, j, i));
    }
    bool ok = load_bytes(text.data, text.length);
    free(text.data);
    return ok;
}

Test(yaml, the_more_values_the_fewer_of_them_may_come_from_aliases)
{
    cr_assert(load_lists(1, 90));
    cr_assert(load_lists(8, 50), "400,000 values, 98 %% from aliases: %s", problem.text);
    cr_assert_not(load_lists(16, 50), "800,000 values, 98 %% from aliases");
    cr_assert(load_lists(1000, 2));
    cr_assert_not(load_lists(2000, 2), "4,000,000 values, 50 %% from aliases");
}

Test(yaml, values_are_bounded_to_the_last)
{
    cr_assert(load_lists(3999, 1), "%s", problem.text);
    cr_assert_not(load_lists(4000, 1), "the top level is a value too");
    cr_assert(strstr(problem.text, "l3999: more than 4000000 values, aliases expanded; "), "%s", problem.text);
}

/* A text of 1 MiB in `copies` aliases. */
static bool load_copies(unsigned copies)
{
    enum { MIB = 1 << 20 };
    struct buffer text = {0};
    cr_assert(buffer_reserve(&text, MIB));
    buffer_append(&text, "t: &t ", 6);
    memset(text.data + text.length, 'x', MIB);
    text.length += MIB;
    for (unsigned i = 0; i < copies; i++) {
        char line[32];
        buffer_append(&text, line, (size_t)snprintf(line, sizeof line, "\nt%u: *t", i));
    }
    bool ok = load_bytes(text.data, text.length);
    free(text.data);
    return ok;
}

Test(yaml, text_is_bounded_after_aliases)
{
    cr_assert(load_copies(254));
    cr_assert_not(load_copies(255), "the keys count too");
    cr_assert(strstr(problem.text, "t254: more than 268435456 bytes of text, aliases expanded; "), "%s", problem.text);
}

Test(yaml, a_merge_costs_what_its_alias_costs)
{
    struct buffer text = {0};
    char line[64];
    buffer_append(&text, "b: &b {", 7);
    for (unsigned i = 0; i < 1000; i++)
        buffer_append(&text, line, (size_t)snprintf(line, sizeof line, "k%u: 1, ", i));
    buffer_append(&text, "}\n", 2);
    for (unsigned i = 0; i < 98; i++)
        buffer_append(&text, line, (size_t)snprintf(line, sizeof line, "m%u: {<<: *b}\n", i));
    cr_assert(load_bytes(text.data, text.length), "%s", problem.text);
    cr_assert_eq(doc.root->weight, 99 * 1001 + 1);
    free(text.data);
}

static bool load_nested(unsigned depth)
{
    char text[1024] = "a: ";
    memset(text + 3, '[', depth);
    memset(text + 3 + depth, ']', depth);
    return load_bytes(text, 3 + 2 * depth);
}

Test(yaml, depth_is_bounded_aliases_too)
{
    cr_assert(load_nested(DOC_DEPTH_MAX - 1));
    cr_assert_not(load_nested(DOC_DEPTH_MAX));
    char text[2048];
    char open[128] = "", close[128] = "";
    memset(open, '[', 100);
    memset(close, ']', 100);
    snprintf(text, sizeof text, "a: &a %s%s\nb: %.40s*a%.40s\n", open, close, open, close);
    cr_assert_not(load(text));
    cr_assert(strstr(problem.text, "f.yaml:2:"), "%s", problem.text);
}

Test(yaml, an_empty_file_is_an_empty_map)
{
    cr_assert(load("") && doc.root->kind == NODE_MAP && !doc.root->as.first);
    cr_assert(load("# nothing\n") && !doc.root->as.first);
    cr_assert(load("---\n...\n") && !doc.root->as.first);
}

Test(yaml, the_top_level_is_a_map)
{
    cr_assert_not(load("- a\n"));
    cr_assert_not(load("text\n"));
}

Test(yaml, only_the_first_document_counts)
{
    cr_assert(load("a: 1\n---\nb: 2\n"));
    cr_assert_null(child(doc.root, "b"));
    cr_assert_eq(warnings.total, 1);
}

Test(yaml, bytes_that_are_no_utf_8_are_refused_with_their_place)
{
    cr_assert_not(load_bytes("a: 1\nb: \xc3\x28\n", 11));
    cr_assert(strstr(problem.text, "f.yaml:2:5: "), "%s", problem.text);
}

Test(yaml, a_collection_without_an_end_is_blamed_where_it_begins)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"a: [\n", "f.yaml:1:4: a: the list that begins here has no end; close it with ]"},
        {"a: [1,\n", "f.yaml:1:4: a: the list that begins here has no end; close it with ]"},
        {"a: [1\nb: 2\n", "f.yaml:2:2: a: did not find expected ',' or ']' (while"},
        {"a:\n  - {b: [c]\n", "f.yaml:2:5: a: the map that begins here has no end; close it with }"},
        {"a: {b: [c, {d: e}", "f.yaml:1:8: a.b: the list that begins here has no end; close it with ]"},
        {"a: {b: [c}\nd: 1\n", "f.yaml:1:10: a.b: did not find expected ',' or ']'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_not(load(cases[i].text));
        cr_assert_eq(strncmp(problem.text, cases[i].problem, strlen(cases[i].problem)), 0, "%s", problem.text);
    }
}

Test(yaml, every_prefix_of_a_document_loads_or_fails_cleanly)
{
    const char *text = "a: &x {b: [1, \"two\\n\", {c: ~}]}\nd: *x\ne: |\n  text\n  more\n? f\n: <<\ng: {<<: *x, h: !!str 1}\n";
    for (size_t length = 0; length <= strlen(text); length++)
        if (!load_bytes(text, length))
            cr_assert_eq(strncmp(problem.text, "f.yaml:", 7), 0, "%s", problem.text);
}
