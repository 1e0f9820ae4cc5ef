/**
 * @file view.h  Many keys, one point in time, zero-copy.
 *
 * A view reads the state at one committed sequence ID while the producer goes on publishing.  It takes no lock and
 * holds nothing back; what it borrowed may be recycled by a rebuild, so results count only after validation:
 *
 *     cfgs_view v;
 *     int err = cfgs_view_begin(reader, &v);
 *     if (err == CFGS_OK) {
 *         do {
 *             err = cfgs_view_get_int(&v, "cmd_port", &port);
 *             ...                                   // borrowed strings: use them here, do not act on them yet
 *         } while (cfgs_view_retry(&v));
 *         if (cfgs_view_error(&v) != CFGS_OK) ...   // BUSY: recycled 16 times in a row
 *     }
 *
 * Borrowed pointers (cfgs_bytes, cfgs_value) stay readable memory until the reader is closed, but their content is
 * what the view promised only if a later cfgs_view_retry() returns false with cfgs_view_error() CFGS_OK.
 * A view is a plain struct of its thread; it needs no release.  It must not outlive its reader.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_VIEW_H
#define CONFIGSTREAM_VIEW_H

#include <configstream/reader.h>
#include <configstream/setting.h>

CFGS_BEGIN_DECLS

/** Times a view is begun anew before it gives BUSY. */
#define CFGS_VIEW_ROUNDS 16

struct cfgs_event;

/** Opaque but for its size; caller's storage. */
typedef struct cfgs_view {
    cfgs_reader *reader;
    const void *attachment;
    uint64_t route;    /* generation and bank, as header.current had them */
    uint64_t sequence; /* the point in time */
    uint64_t index_at, index_capacity;
    uint64_t mapped;
    int error;
    unsigned rounds;
    bool pinned; /* a view of a snapshot event: it has one point in time and is not begun anew */
} cfgs_view;

/**
 * Begin a view of the newest committed state.
 * CFGS_OK, CFGS_ERR_NOT_READY, CFGS_ERR_BUSY, CFGS_ERR_CORRUPT, or an attach error as cfgs_reader_open().
 * Cost: a few loads; no system call once attached.
 */
CFGS_API CFGS_NODISCARD int cfgs_view_begin(cfgs_reader *reader, cfgs_view *view);

/**
 * Open the view as of a snapshot event's sequence, to read the state that the updates after it build on.
 * The event cursor's thread; the event must be the last one delivered, of kind CFGS_EVENT_SNAPSHOT.
 * @return CFGS_OK; CFGS_ERR_INVALID (not a snapshot, or not the last); CFGS_ERR_LAPPED: its bank is gone, and the next
 *         cfgs_reader_next() delivers a new snapshot.  If such a view ends with cfgs_view_error() CFGS_ERR_LAPPED the
 *         same holds: drop what was read, the next event is a new snapshot.
 */
CFGS_API CFGS_NODISCARD int cfgs_view_at(cfgs_reader *reader, const struct cfgs_event *event, cfgs_view *view);

/**
 * Validate what was read since begin.
 * @return false: done, see cfgs_view_error(); results count if that is CFGS_OK.  true: the bank was recycled, the view
 *         was begun anew (maybe at a later point in time), read everything again.
 */
CFGS_API bool cfgs_view_retry(cfgs_view *view);

/**
 * After cfgs_view_retry() returned false: CFGS_OK, CFGS_ERR_BUSY, CFGS_ERR_LAPPED, CFGS_ERR_CORRUPT, or, if the arena was
 * replaced in between, what cfgs_view_begin() says of the new one.
 */
CFGS_API int cfgs_view_error(const cfgs_view *view);

/** The point in time: the last committed ID the view sees. */
CFGS_API uint64_t cfgs_view_sequence(const cfgs_view *view);

/** One setting, borrowed.  CFGS_OK, CFGS_ERR_NOT_FOUND, CFGS_ERR_INVALID (key), CFGS_ERR_CORRUPT. */
CFGS_API CFGS_NODISCARD int cfgs_view_get(cfgs_view *view, const char *key, cfgs_setting *out);

/** Typed reads; results as the point reads of get.h, strings borrowed. */
CFGS_API CFGS_NODISCARD int cfgs_view_get_bool(cfgs_view *view, const char *key, bool *out);
CFGS_API CFGS_NODISCARD int cfgs_view_get_int(cfgs_view *view, const char *key, int64_t *out);
CFGS_API CFGS_NODISCARD int cfgs_view_get_double(cfgs_view *view, const char *key, double *out);
CFGS_API CFGS_NODISCARD int cfgs_view_get_string(cfgs_view *view, const char *key, cfgs_bytes *out);
CFGS_API CFGS_NODISCARD int cfgs_view_get_duration(cfgs_view *view, const char *key, int64_t *nanoseconds);
CFGS_API CFGS_NODISCARD int cfgs_view_get_size(cfgs_view *view, const char *key, uint64_t *bytes);

/** Position of an iteration; start from a zeroed one, anew in every round of the view. */
typedef struct cfgs_iterator {
    uint64_t cell;
} cfgs_iterator;

/**
 * The next setting whose key starts with prefix (length bytes; 0 for all), in no particular order, each once.
 * @return 1 and *out written (borrowed); 0 at the end; CFGS_ERR_CORRUPT.
 * Cost: a whole iteration passes over the index once, whatever the prefix.
 */
CFGS_API CFGS_NODISCARD int cfgs_view_next(cfgs_view *view, cfgs_iterator *iterator, const char *prefix, size_t length,
                                           cfgs_setting *out);

CFGS_END_DECLS

#endif
