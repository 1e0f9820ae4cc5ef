/* yaml/scalar.c: what a plain scalar is.  SPDX-License-Identifier: Apache-2.0 */
#include "shm/number_text.h"
#include "yaml/node.h"

#include <configstream/error.h>
#include <math.h>
#include <string.h>

const char *node_kind_name(enum node_kind kind)
{
    static const char *const names[] = {"null", "bool", "int", "float", "string", "list", "map"};
    return names[kind];
}

struct word {
    const char *text;
    enum node_kind kind;
    double number; /* also 1 for true */
};

static const struct word words[] = {
    {"", NODE_NULL, 0},       {"~", NODE_NULL, 0},      {"null", NODE_NULL, 0},   {"Null", NODE_NULL, 0},
    {"NULL", NODE_NULL, 0},   {"true", NODE_BOOL, 1},   {"True", NODE_BOOL, 1},   {"TRUE", NODE_BOOL, 1},
    {"false", NODE_BOOL, 0},  {"False", NODE_BOOL, 0},  {"FALSE", NODE_BOOL, 0},  {"y", NODE_BOOL, 1},
    {"Y", NODE_BOOL, 1},      {"yes", NODE_BOOL, 1},    {"Yes", NODE_BOOL, 1},    {"YES", NODE_BOOL, 1},
    {"n", NODE_BOOL, 0},      {"N", NODE_BOOL, 0},      {"no", NODE_BOOL, 0},     {"No", NODE_BOOL, 0},
    {"NO", NODE_BOOL, 0},     {"on", NODE_BOOL, 1},     {"On", NODE_BOOL, 1},     {"ON", NODE_BOOL, 1},
    {"off", NODE_BOOL, 0},    {"Off", NODE_BOOL, 0},    {"OFF", NODE_BOOL, 0},    {".nan", NODE_FLOAT, NAN},
    {".NaN", NODE_FLOAT, NAN}, {".NAN", NODE_FLOAT, NAN}, {".inf", NODE_FLOAT, INFINITY},
    {".Inf", NODE_FLOAT, INFINITY}, {".INF", NODE_FLOAT, INFINITY}, {"+.inf", NODE_FLOAT, INFINITY},
    {"+.Inf", NODE_FLOAT, INFINITY}, {"+.INF", NODE_FLOAT, INFINITY}, {"-.inf", NODE_FLOAT, -INFINITY},
    {"-.Inf", NODE_FLOAT, -INFINITY}, {"-.INF", NODE_FLOAT, -INFINITY},
};

enum { LONGEST_WORD = 5 };

static bool resolve_word(struct node *node)
{
    if (node->length > LONGEST_WORD)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(node->text, words[i].text) != 0)
            continue;
        node->kind = words[i].kind;
        if (node->kind == NODE_BOOL)
            node->as.boolean = words[i].number != 0;
        else if (node->kind == NODE_FLOAT)
            node->as.number = words[i].number;
        return true;
    }
    return false;
}

static size_t digits_at(const char *text)
{
    return strspn(text, "0123456789");
}

/* [-+]? (digits [. digits*] | . digits) ([eE] [-+]? digits)? : what number_double() takes beyond that is a string. */
static bool looks_decimal(const char *at)
{
    at += *at == '-' || *at == '+';
    size_t digits = digits_at(at);
    at += digits;
    if (*at == '.') {
        size_t more = digits_at(++at);
        digits += more;
        at += more;
    }
    if (!digits)
        return false;
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '-' || *at == '+';
        digits = digits_at(at);
        at += digits;
    }
    return digits && !*at;
}

static void resolve_number(struct node *node)
{
    char digits[NUMBER_TEXT_BYTES];
    size_t length = 0;
    if (node->length >= sizeof digits || !node->length || !strchr("+-.0123456789", node->text[0]))
        return;
    for (size_t i = 0; i < node->length; i++)
        if (node->text[i] != '_')
            digits[length++] = node->text[i];
    digits[length] = '\0';
    /* 2.00 is a float here, though text that is converted to an int may look so */
    if (!strchr(digits, '.') && number_int64(digits, length, &node->as.integer) == CFGS_OK)
        node->kind = NODE_INT;
    else if (looks_decimal(digits) && number_double(digits, length, &node->as.number) == CFGS_OK)
        node->kind = NODE_FLOAT;
}

void node_resolve_plain(struct node *node)
{
    node->kind = NODE_STRING;
    if (memchr(node->text, '\0', node->length) == NULL && !resolve_word(node))
        resolve_number(node);
}
