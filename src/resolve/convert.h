/**
 * @file resolve/convert.h  From what was written to a value of the setting's declared kind: the one place for it.
 *
 * Everything that is written by people arrives as a node: YAML, JSON, and a bare text (a string node).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RESOLVE_CONVERT_H
#define RESOLVE_CONVERT_H

#include "base/problem.h"
#include "resolve/kind.h"
#include "yaml/pool.h"

#include <configstream/error.h>
#include <configstream/value.h>

enum convert_result {
    CONVERT_SAME,       /* the node already had the declared kind */
    CONVERT_CHANGED,    /* it was converted, as the existing agents do */
    CONVERT_IMPOSSIBLE, /* it cannot be; nothing was built */
    CONVERT_FAILED      /* the value is beyond a limit, or memory ran out: the problem says */
};

struct converter {
    cfgs_builder *builder;
    bool json_text;          /* a text that is a JSON list or map stands for it where one is declared */
    struct pool_block *pool; /* for such texts */
};

bool converter_init(struct converter *converter, struct problem *problem);
void converter_free(struct converter *converter);

/**
 * Convert a node to the kind.  On SAME and CHANGED *out is a copy that the caller frees with cfgs_copy_free();
 * *inexact (may be NULL) says whether an integer inside a list or map lost precision.
 */
enum convert_result convert_node(struct converter *converter, const struct node *node, enum setting_kind kind,
                                 cfgs_copy **out, bool *inexact, struct problem *problem);

/** The node as it is.  CONVERT_SAME or CONVERT_FAILED. */
enum convert_result convert_raw(struct converter *converter, const struct node *node, cfgs_copy **out, bool *inexact,
                                struct problem *problem);

#endif
