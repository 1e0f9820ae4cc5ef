/* json_text.h: a JSON text as a value.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_JSON_TEXT_H
#define CFGS_JSON_TEXT_H

#include <configstream/value.h>

/*
 * One JSON text (RFC 8259) of any type into the builder, which was reset.  Integers that fit 64 bits are ints, all
 * other numbers doubles; of two equal keys the later counts; half of a surrogate pair is U+FFFD, as in Go.  Bounded by
 * the builder's limits on depth and size; it does not recurse.
 *
 * CFGS_OK, CFGS_ERR_SYNTAX, CFGS_ERR_RANGE (a number that no double holds), CFGS_ERR_TOO_LARGE, CFGS_ERR_MEMORY; what
 * the builder itself refuses (CFGS_ERR_ENCODING, _TOO_LARGE) comes from cfgs_builder_finish().
 */
int json_text_build(cfgs_builder *builder, const char *text, size_t length);

#endif
