/* service/filling.h: longer messages that say the same, since small DATA frames cost (http2/account.h).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_FILLING_H
#define SERVICE_FILLING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A field of bytes that no message of ours has, and how long it is, as a varint of two bytes. */
enum { FILLING_TAG = (15 << 3) | 2, FILLING_HEAD_BYTES = 3, FILLING_MOST = 1 << 14 };

/** Make a packed message at least so long, at most FILLING_MOST; there is room for that and FILLING_HEAD_BYTES more.
 *  Returns its length. */
static inline size_t fill_message(uint8_t *message, size_t length, size_t at_least)
{
    if (length >= at_least)
        return length;
    size_t total = at_least > length + FILLING_HEAD_BYTES ? at_least : length + FILLING_HEAD_BYTES;
    size_t filling = total - length - FILLING_HEAD_BYTES;
    message[length] = FILLING_TAG;
    message[length + 1] = (uint8_t)(filling % 128 + 128);
    message[length + 2] = (uint8_t)(filling / 128);
    memset(message + length + FILLING_HEAD_BYTES, 0, filling);
    return total;
}

#endif
