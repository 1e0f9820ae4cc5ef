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
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct update_frames;

/** Lives until the next update_frames_get(), or while it is held. */
struct update_frame {
    const uint8_t *bytes; /* one whole message with its gRPC prefix */
    size_t length;
    bool clears_source; /* it says which source was cleared */
};

struct update_frames *update_frames_new(void);
void update_frames_free(struct update_frames *frames);

/**
 * The update with this ID, filled up to at_least bytes (0: as it is).
 * CFGS_OK, CFGS_ERR_LAPPED, CFGS_ERR_NOT_FOUND (not committed yet), CFGS_ERR_MEMORY, CFGS_ERR_CORRUPT, ...
 */
int update_frames_get(struct update_frames *frames, cfgs_reader *reader, uint64_t arena, uint64_t sequence,
                      size_t at_least, const struct update_frame **out);

/**
 * For a stream that could send only a part of it: the ring may lose the update, the rest must go out all the same.
 * False: too much is held in this worker; send a snapshot of this ID or a later one instead.
 */
bool update_frames_hold(struct update_frames *frames, const struct update_frame *frame);
void update_frames_release(struct update_frames *frames, const struct update_frame *frame);

/** The ID on the wire; 0 for 0, before any update. */
int32_t wire_id(uint64_t sequence);

/** Do the IDs on the wire start anew between these two? */
bool wire_id_starts_anew(uint64_t before, uint64_t after);

#endif
