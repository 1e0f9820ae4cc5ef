/* utf8.h: is this text valid UTF-8?  (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF.)
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_UTF8_H
#define CFGS_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t length);

#endif
