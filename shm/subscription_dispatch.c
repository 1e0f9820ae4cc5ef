/*
 * subscription_dispatch.c: from events to callbacks.
 *
 * All that can fail is done first: copies are made, and a snapshot is validated, before anything we hold is replaced and
 * anybody is called.  So a failure changes nothing: an update stays pending, a snapshot is followed by another one.
 * A watch that is added later starts with a snapshot as well, which we let the reader deliver; there is one way to learn
 * a state, and it fits the updates that follow.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reader_private.h"
#include "subscription_private.h"
#include <configstream/error.h>
#include <stdlib.h>
#include <string.h>

/* ---- calling back ------------------------------------------------------------------------------------------------ */

/* A place in the two chains of watches that a key may have. */
struct walk {
    size_t by_key, by_prefix;
};

/* The next watch of the key, by number; WATCH_NONE at the end. */
static size_t walk_next(const cfgs_subscription *s, const struct entry *entry, struct walk *walk)
{
    while (walk->by_prefix != WATCH_NONE &&
           !watch_matches(&s->watches[walk->by_prefix], entry->key, entry->key_length))
        walk->by_prefix = s->watches[walk->by_prefix].next;
    size_t *least = walk->by_key < walk->by_prefix ? &walk->by_key : &walk->by_prefix;
    size_t number = *least;
    if (number != WATCH_NONE)
        *least = s->watches[number].next;
    return number;
}

static cfgs_change change_of(const struct entry *entry, const struct held *old, const cfgs_event *event)
{
    cfgs_change change = {.key = {entry->key, entry->key_length},
                          .sequence = event->sequence,
                          .from_snapshot = event->kind == CFGS_EVENT_SNAPSHOT,
                          .has_old = old != NULL,
                          .has_new = entry->now != NULL};
    if (old != NULL)
        change.old = old->setting;
    if (entry->now != NULL)
        change.now = entry->now->setting;
    change.old.key = change.now.key = change.key;
    return change;
}

static void call(cfgs_subscription *s, size_t number, const cfgs_change *change)
{
    const struct watch *watch = &s->watches[number];

    s->calls++;
    watch->callback(watch->context, change); /* it may add watches, and so move them all */
}

/*
 * Call the key's watches below the limit: those that have started if it really changed, those that begin if they want
 * what is there.  The chains may grow meanwhile, at their ends.
 */
static void tell(cfgs_subscription *s, const struct entry *entry, const struct held *old, bool changed, size_t limit)
{
    cfgs_change change = change_of(entry, old, &s->event), first = change_of(entry, NULL, &s->event);
    struct walk walk = {entry->first_watch, s->first_prefix};

    for (size_t number; (number = walk_next(s, entry, &walk)) < limit;) {
        if (number < s->started) {
            if (changed)
                call(s, number, &change);
        } else if (entry->now != NULL && (s->watches[number].flags & CFGS_WATCH_INITIAL) != 0) {
            call(s, number, &first);
        }
    }
}

/* ---- updates ----------------------------------------------------------------------------------------------------- */

static bool is_watched(const cfgs_subscription *s, const struct entry *entry, const char *key, size_t length)
{
    if (entry != NULL)
        return true;
    for (size_t i = s->first_prefix; i != WATCH_NONE; i = s->watches[i].next)
        if (watch_matches(&s->watches[i], key, length))
            return true;
    return false;
}

/* The entry gets a new state, or, with NULL, loses its own. */
static void replace(cfgs_subscription *s, struct entry *entry, struct held *now)
{
    struct held *old = entry->now;

    entry->now = now;
    tell(s, entry, old, true, s->started);
    held_free(old);
    watched_drop(&s->watched, entry);
}

static int apply_set(cfgs_subscription *s, struct entry *entry, const cfgs_setting *setting)
{
    if (entry != NULL && entry->now != NULL && held_is(entry->now, setting)) {
        entry->now->setting.flags = setting->flags;
        entry->now->setting.sequence = setting->sequence;
        return CFGS_OK;
    }
    struct held *now = held_new(setting);
    if (now == NULL)
        return CFGS_ERR_MEMORY;
    if ((entry = watched_need(&s->watched, setting->key.data, setting->key.length)) == NULL) {
        held_free(now);
        return CFGS_ERR_MEMORY;
    }
    s->sequence = s->event.sequence;
    replace(s, entry, now);
    return CFGS_OK;
}

static int apply_update(cfgs_subscription *s)
{
    const cfgs_setting *setting = &s->event.setting;
    struct entry *entry = watched_find(&s->watched, setting->key.data, setting->key.length);
    int err = CFGS_OK;

    if (!s->event.removed && is_watched(s, entry, setting->key.data, setting->key.length))
        err = apply_set(s, entry, setting);
    s->pending = err != CFGS_OK;
    if (err != CFGS_OK)
        return err;
    s->sequence = s->event.sequence;
    if (s->event.removed && entry != NULL && entry->now != NULL)
        replace(s, entry, NULL);
    return CFGS_OK;
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

/* The keys to tell of, in their order. */
struct turn {
    struct entry **entries;
    size_t count;
};

static int stage_all(cfgs_subscription *s, cfgs_view *view)
{
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    char key[CFGS_KEY_MAX_BYTES];

    watched_unstage(&s->watched);
    s->watched.pass++;
    while (cfgs_view_next(view, &iterator, NULL, 0, &setting) == 1) {
        /* The bank may be recycled as we read: what the table is ordered by must not change under it. */
        memcpy(key, setting.key.data, setting.key.length);
        setting.key.data = key;
        const struct entry *entry = watched_find(&s->watched, key, setting.key.length);
        if (is_watched(s, entry, key, setting.key.length) && !watched_stage(&s->watched, &setting))
            return CFGS_ERR_MEMORY;
    }
    return CFGS_OK; /* or damaged: the view knows */
}

/* What the snapshot says of all that is watched: staged, and validated. */
static int stage_snapshot(cfgs_subscription *s)
{
    cfgs_view view;
    int err = cfgs_view_at(s->reader, &s->event, &view);

    if (err != CFGS_OK)
        return err;
    do {
        err = stage_all(s, &view);
    } while (cfgs_view_retry(&view));
    return cfgs_view_error(&view) != CFGS_OK ? cfgs_view_error(&view) : err;
}

static int by_key(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    size_t common = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = memcmp(a->key, b->key, common);

    return order != 0 ? order : (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

/* Does a watch begin that wants to be called for what is there? */
static bool wants_initial(const cfgs_subscription *s)
{
    for (size_t i = s->started; i < s->count; i++)
        if ((s->watches[i].flags & CFGS_WATCH_INITIAL) != 0)
            return true;
    return false;
}

static int take_turns(const cfgs_subscription *s, struct turn *turn)
{
    const struct watched *watched = &s->watched;
    bool all = wants_initial(s);

    *turn = (struct turn){.entries = calloc(watched->count + 1, sizeof(struct entry *))};
    if (turn->entries == NULL)
        return CFGS_ERR_MEMORY;
    for (size_t i = 0; i < watched->capacity; i++) {
        struct entry *entry = watched->slots[i];
        if (entry != NULL && (watched_differs(watched, entry) || (all && entry->now != NULL)))
            turn->entries[turn->count++] = entry;
    }
    qsort(turn->entries, turn->count, sizeof(struct entry *), by_key);
    return CFGS_OK;
}

/* What did not change may have another ID and other flags all the same. */
static void refresh_unchanged(const struct watched *watched)
{
    for (size_t i = 0; i < watched->capacity; i++) {
        struct entry *entry = watched->slots[i];
        if (entry == NULL || entry->now == NULL || watched_differs(watched, entry))
            continue;
        entry->now->setting.sequence = entry->sequence;
        entry->now->setting.flags = entry->flags;
    }
}

/* Everything is there: nothing can fail any more. */
static void tell_all(cfgs_subscription *s, const struct turn *turn)
{
    size_t limit = s->count; /* watches that callbacks add begin with a later snapshot */

    s->sequence = s->event.sequence;
    refresh_unchanged(&s->watched);
    for (size_t i = 0; i < turn->count; i++) {
        struct entry *entry = turn->entries[i];
        bool changed = watched_differs(&s->watched, entry);
        struct held *old = changed ? watched_settle(entry) : NULL;
        tell(s, entry, old, changed, limit);
        held_free(old);
        watched_drop(&s->watched, entry);
    }
    s->started = limit;
}

static int apply_snapshot(cfgs_subscription *s)
{
    struct turn turn = {NULL, 0};
    int err = stage_snapshot(s);

    if (err == CFGS_OK)
        err = take_turns(s, &turn);
    if (err == CFGS_OK) {
        tell_all(s, &turn);
    } else {
        watched_unstage(&s->watched);
        reader_resync(s->reader); /* the updates after it build on a state that we do not have */
    }
    free(turn.entries);
    return err;
}

/* ---- dispatch ---------------------------------------------------------------------------------------------------- */

static int remaining_ms(int timeout_ms, uint64_t deadline)
{
    if (timeout_ms <= 0)
        return timeout_ms;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    return now < deadline ? (int)((deadline - now + 999999) / 1000000) : 0;
}

/* The next event that leads to a state, applied; a snapshot that was recycled under us is followed by another. */
static int advance(cfgs_subscription *s, int timeout_ms, uint64_t deadline)
{
    int err = CFGS_ERR_BUSY;

    for (int round = 0; round < CFGS_VIEW_ROUNDS; round++) {
        if (!s->pending && (err = cfgs_reader_next(s->reader, &s->event, remaining_ms(timeout_ms, deadline))) != CFGS_OK)
            return err;
        err = s->event.kind == CFGS_EVENT_UPDATE ? apply_update(s) : apply_snapshot(s);
        if (err != CFGS_ERR_LAPPED)
            return err;
    }
    return CFGS_ERR_BUSY;
}

/* The last committed ID; 0 if that cannot be said now. */
static uint64_t committed(cfgs_reader *reader)
{
    cfgs_view view;

    return cfgs_view_begin(reader, &view) == CFGS_OK ? cfgs_view_sequence(&view) : 0;
}

static int dispatch(cfgs_subscription *s, int timeout_ms)
{
    uint64_t deadline = deadline_after_ms(timeout_ms), last;

    if (s->started < s->count)
        reader_resync(s->reader);
    int err = advance(s, timeout_ms, deadline);
    if (err != CFGS_OK)
        return err;
    /* All that is there by now, but no more: a fast producer is not to keep us.  A snapshot is the newest state. */
    last = committed(s->reader);
    while (s->event.kind == CFGS_EVENT_UPDATE && s->event.sequence < last && err == CFGS_OK)
        err = advance(s, 0, 0);
    return err == CFGS_ERR_TIMEOUT ? CFGS_OK : err;
}

int cfgs_subscription_dispatch(cfgs_subscription *subscription, int timeout_ms, size_t *changes)
{
    cfgs_subscription *s = subscription;

    if (changes != NULL)
        *changes = 0;
    if (s->dispatching)
        return CFGS_ERR_INVALID;
    if (fork_guard_forked(&s->reader->guard))
        return CFGS_ERR_FORKED;
    s->calls = 0;
    s->dispatching = true;
    int err = dispatch(s, timeout_ms);
    s->dispatching = false;
    /* What could not be taken is to be tried again, also by an event loop. */
    if (err == CFGS_ERR_MEMORY || err == CFGS_ERR_BUSY)
        notifier_raise(s->reader);
    if (changes != NULL)
        *changes = s->calls;
    return err;
}
