/* resolve/kind.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/kind.h"

#include <string.h>

static const char *const names[] = {"null",        "bool", "int",      "float",      "string",   "duration",  "string_list",
                                    "list",        "map_list", "string_map", "list_map", "float_map", "map"};

const char *setting_kind_name(enum setting_kind kind)
{
    return names[kind];
}

bool setting_kind_parse(const char *name, size_t length, enum setting_kind *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) {
            *out = (enum setting_kind)i;
            return true;
        }
    return false;
}

const char *setting_kind_example(enum setting_kind kind)
{
    static const char *const examples[] = {
        [SETTING_ANY] = "anything",
        [SETTING_BOOL] = "true or false",
        [SETTING_INT] = "42",
        [SETTING_FLOAT] = "1.5",
        [SETTING_STRING] = "text",
        [SETTING_DURATION] = "30s or 1h30m",
        [SETTING_STRING_LIST] = "[\"a\", \"b\"] or words with blanks between them",
        [SETTING_LIST] = "[1, \"a\"]",
        [SETTING_MAP_LIST] = "[{\"name\": \"a\"}]",
        [SETTING_STRING_MAP] = "{\"name\": \"text\"}",
        [SETTING_LIST_MAP] = "{\"name\": [\"a\", \"b\"]}",
        [SETTING_FLOAT_MAP] = "{\"name\": 1.5}",
        [SETTING_MAP] = "{\"name\": 1}",
    };
    return examples[kind];
}

bool setting_kind_is_map(enum setting_kind kind)
{
    return kind >= SETTING_STRING_MAP;
}

bool setting_kind_is_list(enum setting_kind kind)
{
    return kind >= SETTING_STRING_LIST && kind <= SETTING_MAP_LIST;
}

/* An empty list says nothing of its elements: it takes any. */
static enum setting_kind list_kind(const struct node *list)
{
    bool strings = list->as.first != NULL, maps = strings;
    for (const struct node *item = list->as.first; item; item = item->next) {
        strings = strings && item->kind == NODE_STRING;
        maps = maps && item->kind == NODE_MAP;
    }
    return strings ? SETTING_STRING_LIST : maps ? SETTING_MAP_LIST : SETTING_LIST;
}

enum setting_kind setting_kind_of(const struct node *node)
{
    switch (node->kind) {
    case NODE_BOOL: return SETTING_BOOL;
    case NODE_INT: return SETTING_INT;
    case NODE_FLOAT: return SETTING_FLOAT;
    case NODE_STRING: return SETTING_STRING;
    case NODE_LIST: return list_kind(node);
    case NODE_MAP: return SETTING_MAP;
    default: return SETTING_ANY;
    }
}

/* How a last segment that names a credential ends. */
static const struct ending {
    const char *word;
    bool apart; /* only as a word of its own: bypass is no pass */
} endings[] = {
    {"password", false},   {"passwd", false},      {"passphrase", false}, {"apikey", false},     {"api_key", false},
    {"token", false},      {"credential", false},  {"authkey", false},    {"privkey", false},    {"pass", true},
    {"secret", true},      {"app_key", true},      {"appkey", true},      {"application_key", true},
    {"private_key", true}, {"access_key", true},   {"secret_key", true},  {"auth_key", true},    {"priv_key", true},
    {"community_string", true}, {"additional_endpoints", true}, /* an agent's: addresses with their API keys */
};

static bool word_ends(const char *text, size_t length, const struct ending *ending)
{
    size_t size = strlen(ending->word);
    if (length > size && text[length - 1] == 's' && ending->word[size - 1] != 's')
        length--; /* api_keys, tokens */
    if (length < size || memcmp(text + length - size, ending->word, size) != 0)
        return false;
    return !ending->apart || length == size || text[length - size - 1] == '_' || text[length - size - 1] == '-';
}

bool key_looks_secret(const char *key, size_t length)
{
    const char *dot = memrchr(key, '.', length);
    const char *segment = dot ? dot + 1 : key;
    size_t size = length - (size_t)(segment - key);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (word_ends(segment, size, &endings[i]))
            return true;
    return false;
}

/* At the authority of a URL: user:pass@ with a password in it. */
static bool has_password(const char *at, const char *end)
{
    const char *colon = NULL;
    for (; at < end && (unsigned char)*at > ' ' && !strchr("/?#\"'", *at); at++) {
        if (*at == '@')
            return colon && at > colon + 1;
        if (*at == ':' && !colon)
            colon = at;
    }
    return false;
}

bool text_holds_password(const char *text, size_t length)
{
    const char *end = text + length;
    while (length && (text = memmem(text, (size_t)(end - text), "://", 3))) {
        text += 3;
        if (has_password(text, end))
            return true;
    }
    return false;
}
