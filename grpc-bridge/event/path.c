/* event/path.c  SPDX-License-Identifier: Apache-2.0 */
#include "event/path.h"

#include <configstream/encoded.h>
#include <stdio.h>

enum { UUID_BYTES = 36 };

static void write_uuid(const uint8_t id[16], char to[UUID_BYTES + 1])
{
    snprintf(to, UUID_BYTES + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1],
             id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
}

bool path_write(cfgs_reader *reader, char to[WORKER_PATH_BYTES])
{
    uint8_t path[1 + CFGS_UPSTREAM_PATH_MAX][16];
    int count = cfgs_encoded_path(reader, path, NULL);

    for (int i = 0; i < count; i++) {
        write_uuid(path[i], to + i * (UUID_BYTES + 1));
        to[i * (UUID_BYTES + 1) + UUID_BYTES] = i + 1 < count ? ',' : '\0';
    }
    return count > 0;
}
