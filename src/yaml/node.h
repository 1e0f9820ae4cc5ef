/**
 * @file yaml/node.h  A document as a tree: what was written, and where.
 *
 * Scalars carry both their resolved value and the text they were written as.  An alias appears as a copy of the node it
 * names that shares its children, so a tree of N nodes may stand for many more; doc_load() bounds that number.
 * JSON texts become the same tree (resolve/json.h), so that conversion to a setting's kind lives in one place.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef YAML_NODE_H
#define YAML_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum node_kind { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    unsigned line, column;   /**< of the value, from 1; 0 when it came from no file */
    uint32_t bytes;          /**< of text: this value's and of all keys and values below it, aliases expanded */
    const char *text;        /**< scalars: as written, NUL-terminated; for a merged or JSON scalar too */
    size_t length;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct node *first;  /**< containers: first child; the others follow through next */
    } as;
    struct node *next;       /**< next sibling */
    const char *key;         /**< in a map: the entry's key as text, NUL-terminated */
    size_t key_length;
    unsigned key_line, key_column;
    uint32_t weight;         /**< nodes below and including this one, aliases expanded */
    uint32_t height;         /**< levels below this one */
};

/** "null", "bool", "int", "float", "string", "list", "map": as in messages. */
const char *node_kind_name(enum node_kind kind);

/**
 * Give a plain (unquoted) scalar its kind and value, as the YAML reader of the existing agents does: YAML 1.1 words
 * (yes, on, ~, ...), leading-0 octal, underscores in numbers, .inf and .nan.  Anything else is a string.
 */
void node_resolve_plain(struct node *node);

#endif
