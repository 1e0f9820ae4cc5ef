/**
 * @file subscription.h  Be told when certain settings change: their old and new values, by callbacks in one's own thread.
 *
 * A subscription sits on a reader's event cursor and knows the last state of the settings it watches.  Whatever the
 * stream delivers, an update or a snapshot after a gap, becomes the difference to that state: a callback fires only for a
 * setting whose value or source is really another one, once for each, however many updates were missed in between.
 * Near and far alike: the reader may be one of this host's arena or one of a cfgs_remote (remote.h).
 *
 *     cfgs_subscription *s;
 *     int err = cfgs_subscription_open(reader, &s);
 *     if (err == CFGS_OK)
 *         err = cfgs_subscription_watch_key(s, "log_level", CFGS_WATCH_INITIAL, on_level, &agent);
 *     while (err == CFGS_OK)
 *         err = cfgs_subscription_dispatch(s, CFGS_FOREVER, NULL);
 *
 * In an event loop: poll the descriptor of cfgs_reader_fd() and, when it is readable, dispatch with a timeout of 0.
 *
 * Threads: a subscription belongs to the event cursor's thread (reader.h), where its callbacks run, too.  While it exists
 * nobody else calls cfgs_reader_next() or cfgs_view_at() on that reader; point reads and views go on as ever, also from
 * within callbacks.  A callback may add watches to its subscription; it must not close or dispatch it.
 * A slow callback loses nothing but time: what happens meanwhile is seen as one difference afterwards.
 *
 * Memory: a copy of the watched settings.  The copies hold secrets where the configuration does; they are wiped when freed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_SUBSCRIPTION_H
#define CONFIGSTREAM_SUBSCRIPTION_H

#include <configstream/event.h>
#include <configstream/reader.h>
#include <configstream/setting.h>

CFGS_BEGIN_DECLS

typedef struct cfgs_subscription cfgs_subscription;

/** A difference.  All it points to lives until the callback returns.  Grows only at the end. */
typedef struct cfgs_change {
    cfgs_bytes key;     /**< followed by a NUL that is not counted */
    uint64_t sequence;  /**< as of which ID: the update's own, or the snapshot's */
    bool from_snapshot; /**< found by comparing with a snapshot; what lay between is not known */
    bool has_old;       /**< the key existed before */
    bool has_new;       /**< the key exists now */
    cfgs_setting old;   /**< if has_old; else source NONE and a null value */
    cfgs_setting now;   /**< if has_new; else the same */
} cfgs_change;

/** Called by cfgs_subscription_dispatch(), in its thread. */
typedef void (*cfgs_change_callback)(void *context, const cfgs_change *change);

/** Also call for what exists at the start (has_old false): reading and following by the same code. */
#define CFGS_WATCH_INITIAL 0x1u

/**
 * Begin; the reader stays the caller's and must outlive the subscription.  It should be a fresh one, or one whose events
 * nobody else takes; the subscription starts with the stream's next snapshot or state, whichever is there.
 * CFGS_OK, CFGS_ERR_INVALID, CFGS_ERR_MEMORY, CFGS_ERR_FORKED.
 */
CFGS_API CFGS_NODISCARD int cfgs_subscription_open(cfgs_reader *reader, cfgs_subscription **out);

/**
 * Watch one key, or all keys that begin with a prefix ("" for all; "logs_config." for a section).  Several watches may
 * name the same key: each is called, in the order they were added.
 *
 * Watches added before the first dispatch start with the first snapshot, which is no change (but see CFGS_WATCH_INITIAL).
 * Later ones start with the state as of the next dispatch, which is a snapshot for all watches then; an event loop is woken
 * for it.
 * @param flags     0 or CFGS_WATCH_INITIAL
 * @return CFGS_OK; CFGS_ERR_INVALID (empty key, unknown flag, no callback); CFGS_ERR_TOO_LARGE; CFGS_ERR_MEMORY
 */
CFGS_API CFGS_NODISCARD int cfgs_subscription_watch_key(cfgs_subscription *subscription, const char *key, unsigned flags,
                                                        cfgs_change_callback callback, void *context);
CFGS_API CFGS_NODISCARD int cfgs_subscription_watch_prefix(cfgs_subscription *subscription, const char *prefix,
                                                           unsigned flags, cfgs_change_callback callback, void *context);

/**
 * Wait for the stream, at most timeout_ms as cfgs_reader_next(), and call back for all that is there then.
 *
 * @param changes  out, may be NULL: how many callbacks were made.
 * @return CFGS_OK (also when what came changed nothing that is watched), CFGS_ERR_TIMEOUT, CFGS_ERR_CLOSED,
 *         CFGS_ERR_INTERRUPTED, CFGS_ERR_MEMORY (nothing is lost: dispatch again), CFGS_ERR_INVALID (called from within a
 *         callback), and all else of cfgs_reader_next().  *changes counts also what was called before an error.
 * Cost: an update of a key that nobody watches costs a look-up, and a comparison with each prefix; a snapshot costs a pass
 * over all settings.  At most what was committed when it began is taken: a fast producer does not keep it.
 */
CFGS_API CFGS_NODISCARD int cfgs_subscription_dispatch(cfgs_subscription *subscription, int timeout_ms, size_t *changes);

/** The ID of the state that callbacks have been made for; 0 before the first dispatch that came to one. */
CFGS_API uint64_t cfgs_subscription_sequence(const cfgs_subscription *subscription);

/** End; NULL is fine.  The reader stays open. */
CFGS_API void cfgs_subscription_close(cfgs_subscription *subscription);

CFGS_END_DECLS

#endif
