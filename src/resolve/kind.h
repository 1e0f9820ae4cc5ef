/* resolve/kind.h: the kinds a setting can be declared with, and keys that look like credentials.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVE_KIND_H
#define RESOLVE_KIND_H

#include "yaml/node.h"

enum setting_kind {
    SETTING_ANY, /* declared with null: takes any value as it is */
    SETTING_BOOL,
    SETTING_INT,
    SETTING_FLOAT,
    SETTING_STRING,
    SETTING_DURATION, /* whole nanoseconds */
    SETTING_STRING_LIST,
    SETTING_LIST,
    SETTING_MAP_LIST,
    SETTING_STRING_MAP,
    SETTING_LIST_MAP,
    SETTING_FLOAT_MAP,
    SETTING_MAP
};

/** "null", "bool", ...: as in the defaults file. */
const char *setting_kind_name(enum setting_kind kind);
bool setting_kind_parse(const char *name, size_t length, enum setting_kind *out);

/** How a value of the kind is written, for messages: "42", "[\"a\", \"b\"]". */
const char *setting_kind_example(enum setting_kind kind);

bool setting_kind_is_map(enum setting_kind kind);
bool setting_kind_is_list(enum setting_kind kind);

/** The kind a default value stands for when nothing declares another. */
enum setting_kind setting_kind_of(const struct node *node);

/** Whether the last segment of a key names a credential: api_key, password, token, ... */
bool key_looks_secret(const char *key, size_t length);

/** Whether a text holds a URL with a password: scheme://user:pass@host. */
bool text_holds_password(const char *text, size_t length);

#endif
