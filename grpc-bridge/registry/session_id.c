/* registry/session_id.c  SPDX-License-Identifier: Apache-2.0 */
#include "registry/session_id.h"

#include "base/uuid.h"

#include <sys/random.h>

_Static_assert((int)SESSION_ID_BYTES == (int)UUID_TEXT_SIZE, "a session's ID is a UUID");

bool session_id_make(char out[SESSION_ID_BYTES])
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b)
        return false;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* the variant of RFC 9562 */
    uuid_write(b, out);
    return true;
}

uint32_t session_id_hash(const char *id)
{
    uint32_t hash = 0;
    for (int i = 0; i < 8; i++)
        hash = hash * 16 + (uint32_t)(id[i] >= 'a' ? id[i] - 'a' + 10 : id[i] - '0');
    return hash;
}
