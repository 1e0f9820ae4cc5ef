/* resolve/json.h: JSON in and out of the two forms a value has here.  SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVE_JSON_H
#define RESOLVE_JSON_H

#include "base/problem.h"
#include "yaml/node.h"
#include "yaml/pool.h"

#include <configstream/error.h>
#include <configstream/value.h>
#include <jansson.h>

/** Parse a JSON text of any type into nodes that live in the pool; NULL with the problem set. */
struct node *json_to_node(struct pool_block **pool, const char *text, size_t length, struct problem *problem);

/**
 * A new reference to the value as JSON, or NULL when memory ran out or the value is damaged.  A setting's own
 * integer or double stays what it is; numbers inside lists and maps, which are all doubles, are written as
 * integers where they are whole.  NaN and infinities become the strings "NaN", "+Inf", "-Inf".
 */
json_t *json_from_value(const cfgs_value *value);

/**
 * How JSON leaves the programs: one line; each double as the shortest text that reads back the same, always with a
 * point and never an exponent; besides what JSON demands, DEL and the C1 controls are escaped, which a terminal may take for
 * commands.
 * To be freed; NULL when memory ran out.
 */
char *json_to_text(const json_t *json);

#endif
