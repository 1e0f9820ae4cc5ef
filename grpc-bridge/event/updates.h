/**
 * @file event/updates.h  Updates as messages on the wire: a prefix and the bytes the arena holds.  One worker's.
 *
 * The last few are kept, since the streams of a worker take the same ones one after the other.
 *
 * IDs on the wire are int32: (sequence - 1) modulo 2^31 - 1, plus 1, the same in every worker.  Where that starts anew
 * streams end (decision 4).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVENT_UPDATES_H
#define EVENT_UPDATES_H

#include <configstream/encoded.h>
#include <stddef.h>
#include <stdint.h>

struct update_frames;

struct update_frame {
    const uint8_t *bytes; /* one whole message with its gRPC prefix; lives until the next call */
    size_t length;
};

struct update_frames *update_frames_new(void);
void update_frames_free(struct update_frames *frames);

/**
 * The update with this ID, filled up to at_least bytes (0: as it is).
 * CFGS_OK, CFGS_ERR_LAPPED, CFGS_ERR_NOT_FOUND (not committed yet), CFGS_ERR_MEMORY, CFGS_ERR_CORRUPT, ...
 */
int update_frames_get(struct update_frames *frames, cfgs_reader *reader, uint64_t arena, uint64_t sequence,
                      size_t at_least, struct update_frame *out);

/** The ID on the wire; and whether the stream of IDs starts anew with this one. */
int32_t wire_id(uint64_t sequence);

#endif
