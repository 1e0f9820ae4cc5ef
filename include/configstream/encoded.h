/**
 * @file encoded.h  The stream as bytes: for programs that pass it on.
 *
 * Every record of an arena holds its setting encoded as a protobuf ConfigSetting (grpc-bridge/proto): source 1, key 2,
 * value 3, and, of an update that cleared a source, unset_source 4.  These functions hand out those bytes as they are, so
 * that a bridge builds its messages by copying.
 *
 * Any number of independent cursors can be kept this way, each only a number: take the update after it; when that gives
 * CFGS_ERR_LAPPED, take a view (view.h) and go on from cfgs_view_sequence().
 *
 * Threads: any, at any time, as for point reads.  Cost: no system call and no allocation.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_ENCODED_H
#define CONFIGSTREAM_ENCODED_H

#include <configstream/publisher.h>
#include <configstream/reader.h>
#include <configstream/view.h>

CFGS_BEGIN_DECLS

/** How far the producer is. */
typedef struct cfgs_encoded_head {
    uint64_t arena;    /**< which arena the reader is attached to, counted from 1; another one has IDs of its own */
    uint64_t sequence; /**< the last committed ID */
    uint64_t oldest;   /**< the oldest ID whose update the ring may still hold; above sequence if none */
    uint64_t origin_version; /**< another number once cfgs_encoded_origin() or cfgs_encoded_path() may say otherwise */
} cfgs_encoded_head;

/**
 * Look where the producer is.  Resets cfgs_reader_fd() first, as cfgs_reader_next() does, so that what is committed after
 * this look makes it readable again: a program that uses these cursors calls this when the descriptor is readable.
 * The thread of the event cursor.
 * @return CFGS_OK, CFGS_ERR_NOT_READY, CFGS_ERR_BUSY, CFGS_ERR_FORKED, or an attach error as cfgs_reader_open().
 */
CFGS_API CFGS_NODISCARD int cfgs_encoded_look(cfgs_reader *reader, cfgs_encoded_head *out);

/** The origin that events name: the base name of the producer's main file, NUL-terminated.  CFGS_OK, or an attach error. */
CFGS_API CFGS_NODISCARD int cfgs_encoded_origin(cfgs_reader *reader, char origin[256]);

/**
 * The arenas that the configuration came through: this one's instance id first, then those upstream of it, nearest first.
 * @param wire_base  out, may be NULL: cfgs_upstream.wire_base, 0 where the arena is a producer's own.
 * @return how many, 1 to 1 + CFGS_UPSTREAM_PATH_MAX; or CFGS_ERR_NOT_READY (no arena, or its producer is just writing it or
 *         died while it did), or an attach error.
 */
CFGS_API CFGS_NODISCARD int cfgs_encoded_path(cfgs_reader *reader, uint8_t path[1 + CFGS_UPSTREAM_PATH_MAX][16],
                                              uint64_t *wire_base);

/** One update, encoded. */
typedef struct cfgs_encoded_update {
    size_t length;   /**< bytes written (with CFGS_ERR_BUFFER: needed) */
    unsigned flags;  /**< CFGS_SETTING_* */
    bool removed;    /**< the key is gone: the bytes hold key and unset_source, no source and no value */
    size_t value_at, value_length; /**< of field 3 within the bytes, its tag included; 0, 0 if removed */
} cfgs_encoded_update;

/**
 * Copy the update with this ID.
 * @param arena  as cfgs_encoded_look() said.
 * @return CFGS_OK, CFGS_ERR_LAPPED (the ring no longer holds it, or another arena took the place), CFGS_ERR_NOT_FOUND (it is
 *         not committed yet), CFGS_ERR_BUFFER, CFGS_ERR_NOT_READY, CFGS_ERR_BUSY, CFGS_ERR_CORRUPT.
 */
CFGS_API CFGS_NODISCARD int cfgs_encoded_take(cfgs_reader *reader, uint64_t arena, uint64_t sequence, void *buffer,
                                              size_t capacity, cfgs_encoded_update *out);

/**
 * Which arena a view is of: its number as in cfgs_encoded_head (0: the view never began), and its random identity, which
 * is the same for every reader.
 */
CFGS_API uint64_t cfgs_view_arena(const cfgs_view *view, uint8_t instance_id[16]);

/** As cfgs_view_next(): the next setting of a view as a borrowed ConfigSetting, without unset_source. */
CFGS_API CFGS_NODISCARD int cfgs_view_next_encoded(cfgs_view *view, cfgs_iterator *iterator, cfgs_bytes *setting,
                                                   unsigned *flags);

/* ---- passing a stream on ---------------------------------------------------------------------------------------- *
 *
 * A republisher receives snapshots and updates with IDs of their own and makes its arena say the same: these calls are
 * the counterpart of the ones above.  What comes from elsewhere is checked and made canonical (entries of structs sorted,
 * unknown fields dropped); a whole number up to 2^53, but not -0.0, becomes an int.  NaN and infinities are taken and
 * marked CFGS_SETTING_LOCAL.  A setting without source, and sources (also unset_source) with names that are not ours, stay
 * what they are.
 */

/**
 * Make the batch somebody else's snapshot as of this ID: the whole state (cfgs_batch_replace()), and of several settings
 * with one key the one of the highest source counts (of equal sources the last).
 *
 * At commit: an ID above the last one is taken, readers see one snapshot; settings that are as before keep the ID they had.
 * The last ID again, with the same state: nothing happens.  Else, since an ID never means two states and none goes back in
 * an arena, a new arena takes this one's place: its readers go on there with a snapshot (CFGS_SNAPSHOT_REPLACED).  Each such
 * move costs every reader max_size of address space until it is closed, so a source that restarts all the time should be
 * followed with pauses.
 * Errors then are also those of cfgs_publisher_open(); nothing has changed after one.  CFGS_ERR_LOCKED, as from
 * cfgs_publisher_keep_names(): another producer has the name by now, so stop.
 */
CFGS_API void cfgs_batch_snapshot(cfgs_batch *batch, uint64_t sequence);

/**
 * Stage one encoded ConfigSetting of a snapshot.  Without a value it is null; its unset_source is ignored.
 * CFGS_OK, CFGS_ERR_CORRUPT (no valid ConfigSetting), CFGS_ERR_INVALID, _TOO_LARGE, _ENCODING (key, source or value),
 * CFGS_ERR_NO_SPACE (what was staged before, duplicates included, is more than max_size already), CFGS_ERR_MEMORY.  The
 * batch is as before after an error.
 */
CFGS_API CFGS_NODISCARD int cfgs_batch_set_encoded(cfgs_batch *batch, const void *setting, size_t length);

/**
 * Publish one encoded update with this ID, which must be the last one + 1.  It takes the ID even if it changes nothing, so
 * that readers see the IDs that were sent.  Without a value the key is removed.
 * Errors as cfgs_batch_set_encoded() and cfgs_publisher_set(); CFGS_ERR_INVALID also: not the next ID, or no snapshot yet.
 */
CFGS_API CFGS_NODISCARD int cfgs_publisher_set_encoded(cfgs_publisher *publisher, uint64_t sequence, const void *setting,
                                                       size_t length);

CFGS_END_DECLS

#endif
