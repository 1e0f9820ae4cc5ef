/* event/path.c  SPDX-License-Identifier: Apache-2.0 */
#include "event/path.h"

#include "base/uuid.h"

#include <configstream/encoded.h>

bool path_write(cfgs_reader *reader, char to[WORKER_PATH_BYTES])
{
    uint8_t path[1 + CFGS_UPSTREAM_PATH_MAX][16];
    int count = cfgs_encoded_path(reader, path, NULL);

    for (int i = 0; i < count; i++, to += UUID_TEXT_SIZE) {
        uuid_write(path[i], to);
        if (i + 1 < count)
            to[UUID_TEXT_SIZE - 1] = ','; /* in place of its NUL */
    }
    return count > 0;
}
