/* client/path.h: metadata of the stream's answer, as configstream-bridge sends it.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_PATH_H
#define CLIENT_PATH_H

#include <configstream/reader.h>
#include <stdbool.h>
#include <stdint.h>

enum { PATH_MAX_IDS = 1 + CFGS_UPSTREAM_PATH_MAX };

struct path {
    uint8_t ids[PATH_MAX_IDS][16]; /* nearest first */
    unsigned count;
};

/** "id,id,...": UUIDs, at most 9; "" is none.  False: malformed. */
bool path_parse(const char *text, struct path *out);

/** A decimal uint64; false: malformed. */
bool path_parse_base(const char *text, uint64_t *out);

#endif
