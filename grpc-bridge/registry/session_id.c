/* registry/session_id.c  SPDX-License-Identifier: Apache-2.0 */
#include "registry/session_id.h"

#include <stdio.h>
#include <sys/random.h>

bool session_id_make(char out[SESSION_ID_BYTES])
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b)
        return false;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* the variant of RFC 9562 */
    snprintf(out, SESSION_ID_BYTES, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return true;
}

uint32_t session_id_hash(const char *id)
{
    uint32_t hash = 0;
    for (int i = 0; i < 8; i++)
        hash = hash * 16 + (uint32_t)(id[i] >= 'a' ? id[i] - 'a' + 10 : id[i] - '0');
    return hash;
}
