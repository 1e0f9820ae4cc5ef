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
#include "resolve/kind.h"
#include "yaml/doc.h"

#define DECLARATIONS_KEY "x-configstream"

struct declaration {
    enum setting_kind kind;
    bool has_kind;    /* x-configstream names one */
    bool has_default; /* a value stands in the defaults file */
    bool secret;
    char **env;       /* NULL-terminated; NULL: the plain rule */
    char *parser;     /* NULL: the plain rule for the kind */
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

/** After the walk: what x-configstream names without a default needs a kind, or it is dropped with a warning. */
void declarations_settle(struct declarations *declarations, const char *file, struct warnings *warnings);

const struct declaration *declarations_find(const struct declarations *declarations, const char *key, size_t length);
bool declarations_is_section(const struct declarations *declarations, const char *key, size_t length);

/** CFGS_SETTING_* for a key, declared or not. */
unsigned declarations_flags(const struct declarations *declarations, const char *key, size_t length);

/** Copy a key in canonical form: ASCII letters in lower case. */
void key_canonical(char *to, const char *from, size_t length);

#endif
