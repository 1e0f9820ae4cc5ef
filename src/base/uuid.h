/* base/uuid.h: sixteen bytes as people write them.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdint.h>
#include <stdio.h>

enum { UUID_TEXT_SIZE = 37 }; /* with its NUL */

static inline void uuid_write(const uint8_t id[16], char to[UUID_TEXT_SIZE])
{
    snprintf(to, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1],
             id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
}

#endif
