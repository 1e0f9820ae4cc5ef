/**
 * @file yaml/doc.h  Load a YAML file into a tree of nodes.
 *
 * A file that does not parse, or is beyond a limit, is refused with `file:line:column: reason`.  What the existing
 * agents let pass is let pass with a warning: a key given twice (the later one counts), a second document (ignored).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef YAML_DOC_H
#define YAML_DOC_H

#include "base/problem.h"
#include "base/warnings.h"
#include "yaml/node.h"

/** Limits; each breach is an error that names the limit and the place. */
#define DOC_FILE_MAX_BYTES ((size_t)256 << 20)
#define DOC_NODES_MAX 4000000u /**< after aliases; of more than DOC_ALIASED_FREE, aliases bring in a part only */
#define DOC_ALIASED_FREE 400000u
#define DOC_EXPANDED_MAX_BYTES DOC_FILE_MAX_BYTES /**< text of keys and values after aliases */
#define DOC_DEPTH_MAX 128u
#define DOC_KEY_MAX_BYTES 1024u
#define DOC_TEXT_MAX_BYTES ((size_t)16 << 20)

/** A zeroed one is empty.  Nodes and their texts live until doc_free(). */
struct doc {
    struct node *root; /**< always a map, maybe empty */
    const char *file;  /**< borrowed: the name that messages use */
    struct pool_block *blocks;
};

/** Load a file; `path` must outlive the doc. */
bool doc_load_file(struct doc *doc, const char *path, struct warnings *warnings, struct problem *problem);

/** Load a text; `name` stands for the file in messages. */
bool doc_load_text(struct doc *doc, const char *name, const char *text, size_t length, struct warnings *warnings,
                   struct problem *problem);

void doc_free(struct doc *doc);

#endif
