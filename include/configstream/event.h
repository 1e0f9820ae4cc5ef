/**
 * @file event.h  The ordered stream: snapshot first, then updates with consecutive IDs; after any gap a snapshot.
 *
 * A consumer keeps a cursor; the producer keeps nothing.  A consumer slower than the ring is long is lapped: its next
 * event is a snapshot again, never a hole.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_EVENT_H
#define CONFIGSTREAM_EVENT_H

#include <configstream/reader.h>
#include <configstream/setting.h>
#include <configstream/view.h>

CFGS_BEGIN_DECLS

typedef enum cfgs_event_kind {
    CFGS_EVENT_SNAPSHOT = 1, /**< the state is that of cfgs_view_at(); forget what was known before */
    CFGS_EVENT_UPDATE = 2    /**< one setting changed, was added, or was removed */
} cfgs_event_kind;

typedef enum cfgs_snapshot_reason {
    CFGS_SNAPSHOT_NONE = 0,    /**< of an update */
    CFGS_SNAPSHOT_INITIAL = 1, /**< the first event of this reader */
    CFGS_SNAPSHOT_LAPPED = 2,  /**< the reader was slower than the ring, or a bulk load replaced many settings at once */
    CFGS_SNAPSHOT_REPLACED = 3 /**< another arena took the old one's place; IDs may have gone back */
} cfgs_snapshot_reason;

/** "initial", "lapped", "replaced"; "" for NONE. Static storage. */
CFGS_API const char *cfgs_snapshot_reason_name(int reason);

/**
 * An event.  Grows only at the end.  Everything it points to is a copy that belongs to the reader and lives until the
 * next cfgs_reader_next() or cfgs_reader_close(); a key is followed by a NUL that is not counted, texts are not.
 */
typedef struct cfgs_event {
    cfgs_event_kind kind;
    cfgs_snapshot_reason reason; /**< of a snapshot */
    uint64_t sequence;           /**< snapshot: its last ID; update: its own, one more than the event before */
    uint64_t previous;           /**< snapshot: the last ID delivered before it, 0 if none; update: sequence - 1 */
    /* updates only: */
    cfgs_setting setting;    /**< the setting as it is now; if removed: key and sequence only, source NONE, value null */
    bool removed;            /**< the key is gone: no source sets it any more */
    int unset_source;        /**< the source that was cleared (enum cfgs_source); NONE for an ordinary set; VERBATIM where
                                  a republisher was told a name that is not in our list */
    cfgs_bytes unset_source_name; /**< the same as text; length 0 for an ordinary set */
    bool has_old;            /**< the key existed before this update */
    cfgs_value old;          /**< its value then */
    cfgs_bytes old_source_name;
    int old_source;
    unsigned old_flags;           /**< CFGS_SETTING_* of the old value */
} cfgs_event;

/**
 * Deliver the next event of the ordered stream.
 *
 * @param reader      open reader; remains the caller's.
 * @param event       out; written only when the result is CFGS_OK.
 * @param timeout_ms  milliseconds of CLOCK_MONOTONIC; 0 polls, negative waits without end.
 *
 * Threads   one at a time per reader; point reads and views on the same reader may run alongside.
 * Cost      no system call and no allocation while an update is ready (the copy buffer grows to the largest event seen).
 *
 * @return CFGS_OK                an event was delivered
 *         CFGS_ERR_TIMEOUT       none came in time; the cursor has not moved
 *         CFGS_ERR_CLOSED        the producer ended cleanly and all it committed was delivered.  Said once for each
 *                                such end; the next call waits for its return.
 *         CFGS_ERR_INTERRUPTED   cfgs_reader_interrupt() was called
 *         CFGS_ERR_MEMORY        the copy buffer could not grow; the cursor has not moved
 *         CFGS_ERR_BUSY          the live bank was recycled at every one of many looks, or is damaged
 *         CFGS_ERR_FORKED        the reader was opened by another process
 *         CFGS_ERR_CORRUPT       the arena contradicts itself; a later call may succeed once it was replaced
 *         or an attach error as cfgs_reader_open(), when the arena was replaced by something that is none
 */
CFGS_API CFGS_NODISCARD int cfgs_reader_next(cfgs_reader *reader, cfgs_event *event, int timeout_ms);

/** The ID of the last event delivered; 0 before the first.  The event cursor's thread. */
CFGS_API uint64_t cfgs_reader_sequence(const cfgs_reader *reader);

CFGS_END_DECLS

#endif
