/* yaml/build.h: from a stream of events to a tree; the part of doc.c that knows no parser.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef YAML_BUILD_H
#define YAML_BUILD_H

#include "base/table.h"
#include "yaml/doc.h"

struct place {
    unsigned line, column; /* from 1 */
};

/* A container that is being filled. */
struct frame {
    struct node *container;
    struct node *last;          /* child added last */
    struct node *merges;        /* values of "<<" keys, through next */
    struct node key;            /* of a map: the entry's key, when has_key */
    bool has_key, key_is_merge;
};

struct build {
    struct doc *doc;
    struct warnings *warnings;
    struct problem *problem;
    struct table anchors;       /* name -> struct node */
    uint32_t nodes;             /* so far, aliases expanded */
    uint32_t aliased;           /* of these, what aliases brought in */
    size_t bytes;               /* text in keys and values so far, aliases expanded */
    unsigned depth;
    struct frame frames[DOC_DEPTH_MAX];
};

/* A scalar as the parser hands it over. */
struct scalar {
    const char *text;
    size_t length;
    const char *tag; /* NULL if none was written */
    bool plain;
};

/* Each returns false with the problem set.  anchor is NULL for none. */
bool build_scalar(struct build *build, const struct scalar *scalar, const char *anchor, struct place place);
bool build_alias(struct build *build, const char *anchor, struct place place);
bool build_begin(struct build *build, enum node_kind kind, const char *tag, const char *anchor, struct place place);
bool build_end(struct build *build);
void build_free(struct build *build);

/* "file:line:column: key: " and the reason into the problem; false.  The key is the one whose value is being built. */
bool build_refuse(struct build *build, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
