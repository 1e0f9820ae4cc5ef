/* base/printable.h: what may reach somebody's terminal.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stddef.h>

/** Bytes of the UTF-8 character at the start of a text, 0 if there is none or it is a control character. */
static inline size_t printable_length(const unsigned char *text, size_t left)
{
    const unsigned char c = left ? text[0] : 0;
    size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (length == 0 || length > left || c < 0x20 || c == 0x7f || (c == 0xc2 && text[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

#endif
