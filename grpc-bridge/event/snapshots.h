/**
 * @file event/snapshots.h  The snapshot as a message on the wire, built once for all who need it.
 *
 * A frame is shared, by reference count, and handed out again until there are newer updates; then a new one is built, but
 * so seldom that building takes at most a tenth of the time.  In between the former one serves for as long as the ring
 * still holds the update after it: whoever gets it can go on from there.
 *
 * How many may be alive, and their memory, is bounded; a stream that finds no room waits, and the holder that made no
 * progress for longest is ended (service/stream.c).  The memory is what counts.  Four frames, as once planned, would have
 * streams ended over a few KiB as soon as a handful of clients pauses.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVENT_SNAPSHOTS_H
#define EVENT_SNAPSHOTS_H

#include "base/log.h"
#include "bridge/limits.h"

#include <configstream/encoded.h>
#include <stddef.h>
#include <stdint.h>

/** Immutable once made.  The bytes are one whole message with its gRPC prefix. */
struct snapshot {
    uint64_t sequence, settings;
    size_t length;
    const uint8_t *bytes;
};

struct snapshots; /* of the process */

enum snapshot_result {
    SNAPSHOT_OK,
    SNAPSHOT_NOT_READY, /* the producer published none yet, or publishes faster than it can be read: ask again */
    SNAPSHOT_TOO_LARGE, /* beyond max_snapshot_bytes */
    SNAPSHOT_NO_ROOM,   /* too many alive: ask again */
    SNAPSHOT_REPLACED,  /* the reader reads another arena than the caller named */
    SNAPSHOT_FAILED     /* no memory, or the arena is damaged */
};

/** The log hears of frames that clients may refuse. */
struct snapshots *snapshots_new(const struct limits *limits, const struct log *log);
void snapshots_free(struct snapshots *snapshots);

/**
 * A reference to a frame from which the updates that follow can still be taken; building it where need be.
 * @param arena  as cfgs_encoded_look() said.
 * @param from   the frame is of this ID or a later one: what a stream has sent must not come again.
 */
enum snapshot_result snapshots_get(struct snapshots *snapshots, cfgs_reader *reader, uint64_t arena, uint64_t from,
                                   const struct snapshot **out);
void snapshots_release(struct snapshots *snapshots, const struct snapshot *snapshot);

struct snapshots_info {
    uint64_t alive, bytes_alive, built, last_bytes, last_build_ns;
    uint64_t oversized; /* built, and beyond the 4 MiB that clients take by default */
    uint64_t refused;   /* tries at one that was larger than may be sent */
};
void snapshots_info(const struct snapshots *snapshots, struct snapshots_info *out);

#endif
