/* value_copy.h: a cfgs_copy whose bytes are filled in by the caller.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_VALUE_COPY_H
#define CFGS_VALUE_COPY_H

#include <configstream/value.h>

/* *bytes: where value->as.bytes.length bytes are to be copied to; NULL for a scalar.  CFGS_OK, CFGS_ERR_MEMORY. */
int value_copy_frame(const cfgs_value *value, cfgs_copy **out, char **bytes);

#endif
