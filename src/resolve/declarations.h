/**
 * @file resolve/declarations.h  Which settings exist, and of what kind they are.
 *
 * Read from the defaults file: every leaf declares a setting, and the reserved map `x-configstream` says what a value
 * alone cannot (kind, environment names and parser, secret).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RESOLVE_DECLARATIONS_H
#define RESOLVE_DECLARATIONS_H

#include "base/table.h"
#include "resolve/env_parser.h"
#include "resolve/kind.h"
#include "yaml/doc.h"

#include <configstream/value.h>

#define DECLARATIONS_KEY "x-configstream"

struct declaration {
    enum setting_kind kind;
    bool has_kind;    /* x-configstream names one */
    bool has_default; /* a value stands in the defaults file */
    bool secret;
    char **env;       /* names of variables, NULL-terminated; NULL: the plain rule */
    enum env_parser parser;
    unsigned line, column;
};

/** A zeroed one is empty. */
struct declarations {
    struct table settings; /* canonical key -> struct declaration */
    struct table sections; /* canonical key -> non-NULL */
};

void declarations_clear(struct declarations *declarations);

/** Read x-configstream, if the document has one.  The leaves come from layer_read(). */
bool declarations_read(struct declarations *declarations, const struct doc *doc, struct problem *problem);

/** Note a leaf of the defaults; NULL when memory ran out. */
struct declaration *declarations_add(struct declarations *declarations, const char *key, size_t length,
                                     const struct node *node);

/**
 * After the walk: what x-configstream names without a default needs a kind, or it is dropped with a warning.  False when
 * memory ran out.
 */
bool declarations_settle(struct declarations *declarations, const char *file, struct warnings *warnings);

const struct declaration *declarations_find(const struct declarations *declarations, const char *key, size_t length);
bool declarations_is_section(const struct declarations *declarations, const char *key, size_t length);

/** Whether a value holds NaN or an infinity, which the JSON form of a stream does not have. */
bool value_is_local(const cfgs_value *value);

#define VALUE_IS_LOCAL "holds NaN or an infinity, which a stream cannot carry: only readers of this host get it"

/** CFGS_SETTING_* for a key and its value. */
unsigned declarations_flags(const struct declarations *declarations, const char *key, size_t length,
                            const cfgs_value *value);

/** Copy a key in canonical form: ASCII letters in lower case. */
void key_canonical(char *to, const char *from, size_t length);

#endif
