/*
 * stream.c: the ordered stream: rows S1 to S7 of the protocol.
 *
 * The futex word is read before anything else, then whether the next ID is committed, then its slot, then its record,
 * and at last whether slot and record were still what they seemed.  In this order a wake-up cannot be lost, a dead
 * producer's uncommitted slot is not believed, and a recycled record is not delivered.  Whatever does not fit means
 * lapped: a view of the newest state is delivered as a snapshot, and the cursor goes on from there.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "detail.h"
#include "reader_private.h"

static const char *const reasons[] = {"", "initial", "lapped", "replaced"};

const char *cfgs_snapshot_reason_name(int reason)
{
    return reason >= CFGS_SNAPSHOT_NONE && reason <= CFGS_SNAPSHOT_REPLACED ? reasons[reason] : "";
}

uint64_t cfgs_reader_sequence(const cfgs_reader *reader)
{
    return reader->cursor.started ? reader->cursor.sequence : 0;
}

void reader_resync(cfgs_reader *reader)
{
    if (reader->cursor.due == CFGS_SNAPSHOT_NONE)
        reader->cursor.due = CFGS_SNAPSHOT_LAPPED;
}

/* What one look at the arena led to, besides an error code. */
#define LOOK_NOTHING 1 /* no event is ready */
#define LOOK_AGAIN 2   /* something changed under us: at once once more */

/* Looks without an event or a sleep between; more than any producer can spoil, so that damage does not spin for ever. */
#define LOOK_ROUNDS 1000

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static int deliver_snapshot(cfgs_reader *reader, const struct attachment *attachment, cfgs_event *event)
{
    struct cursor *cursor = &reader->cursor;
    cfgs_view view;
    int err = bank_view_begin(attachment, &view);

    if (err == CFGS_ERR_NOT_READY)
        return LOOK_NOTHING;
    if (err == CFGS_ERR_LAPPED)
        return LOOK_AGAIN;
    if (err != CFGS_OK)
        return err;
    if (!bank_view_valid(&view))
        return LOOK_AGAIN;
    *event = (cfgs_event){.kind = CFGS_EVENT_SNAPSHOT,
                          .reason = cursor->due,
                          .sequence = view.sequence,
                          .previous = cursor->started ? cursor->sequence : 0};
    cursor->attachment = attachment;
    cursor->sequence = view.sequence;
    cursor->snapshot_route = view.route;
    cursor->started = cursor->at_snapshot = true;
    cursor->due = CFGS_SNAPSHOT_NONE;
    return CFGS_OK;
}

/* ---- updates ----------------------------------------------------------------------------------------------------- */

/* Rows S5: a private copy of the record at offset.  CFGS_ERR_CORRUPT: out of bounds (which S6 may overrule). */
static int copy_record(const struct attachment *attachment, uint64_t mapped, uint64_t offset, struct buffer *buffer,
                       struct record *out)
{
    struct record shared;

    if (!record_open(attachment->header, mapped, offset, &shared))
        return CFGS_ERR_CORRUPT;
    buffer->length = 0;
    if (!buffer_reserve(buffer, shared.bytes))
        return CFGS_ERR_MEMORY;
    /* [take S5] relaxed: immutable in its generation, which S6 checks. */
    words_load(buffer->data, (const cfgs_word *)attachment->header + offset, shared.bytes);
    /* The copy's head may differ from the one just checked: look at the copy only, by the same gate. */
    if (!record_parse((const cfgs_word *)(void *)buffer->data, shared.bytes, out))
        return CFGS_ERR_CORRUPT;
    out->offset = offset;
    buffer->data[sizeof(struct record_head) + out->head.key_length] = '\0';
    return CFGS_OK;
}

static int copy_both(struct cursor *cursor, const struct attachment *attachment, uint64_t mapped, uint64_t offset,
                     struct record *now, struct record *before)
{
    int err = copy_record(attachment, mapped, offset, &cursor->now, now);

    before->offset = 0;
    if (err != CFGS_OK || now->head.prev == 0)
        return err;
    if (now->head.prev >= offset)
        return CFGS_ERR_CORRUPT;
    return copy_record(attachment, mapped, now->head.prev, &cursor->before, before);
}

static void fill_update(cfgs_event *event, const struct record *now, const struct record *before)
{
    *event = (cfgs_event){.kind = CFGS_EVENT_UPDATE,
                          .sequence = now->head.sequence,
                          .previous = now->head.sequence - 1,
                          .removed = (now->head.flags & RECORD_TOMBSTONE) != 0,
                          .unset_source = now->head.unset_source,
                          .unset_source_name = record_unset_source(now)};
    record_setting(now, &event->setting);
    if (before->offset != 0 && !(before->head.flags & RECORD_TOMBSTONE)) {
        cfgs_setting old;
        record_setting(before, &old);
        event->has_old = true;
        event->old = old.value;
        event->old_source = old.source;
        event->old_flags = old.flags;
        event->old_source_name = old.source_name;
    }
}

/* Rows S4 to S7 for the ID after the cursor, which is committed. */
static int take_update(cfgs_reader *reader, const struct attachment *attachment, cfgs_event *event)
{
    struct cursor *cursor = &reader->cursor;
    uint64_t sequence = cursor->sequence + 1;
    const struct ring_slot *slot = attachment_slot(attachment, sequence);
    struct ring_entry entry;
    struct record now = {0}, before = {0};

    if (!ring_take(slot, sequence, &entry)) {
        cursor->due = CFGS_SNAPSHOT_LAPPED;
        return LOOK_AGAIN;
    }
    /* [private] relaxed: monotonic, of this process. */
    uint64_t mapped = word_load_relaxed(&attachment->mapped);
    int err = copy_both(cursor, attachment, mapped, entry.offset, &now, &before);
    if (err == CFGS_ERR_MEMORY)
        return err;
    const struct bank_words *bank = &attachment->header->bank[route_bank(entry.route)];
    if (!ring_still(slot, sequence, &bank->version, entry.route)) {
        cursor->due = CFGS_SNAPSHOT_LAPPED;
        return LOOK_AGAIN;
    }
    if (err == CFGS_OK && (now.head.sequence != sequence || now.bytes != entry.length))
        err = CFGS_ERR_CORRUPT;
    if (err != CFGS_OK)
        return reader_grow(reader, attachment, mapped) ? LOOK_AGAIN : err;
    fill_update(event, &now, &before);
    /* Row S7: the cursor moves with the delivery. */
    cursor->sequence = sequence;
    cursor->at_snapshot = false;
    return CFGS_OK;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* All was delivered; is there an end to report?  Each producer's end is said once, also if we slept through a start. */
static int nothing_new(struct cursor *cursor, const struct attachment *attachment, uint64_t state)
{
    /* [epoch] acquire: read after the state; a newer epoch than the closed one is said again with its own end. */
    uint64_t epoch = word_load_acquire(&attachment->header->epoch);

    if (state != ARENA_STATE_CLOSED || (cursor->closed_attachment == attachment && cursor->closed_epoch == epoch))
        return LOOK_NOTHING;
    cursor->closed_attachment = attachment;
    cursor->closed_epoch = epoch;
    return CFGS_ERR_CLOSED;
}

static int look(cfgs_reader *reader, const struct attachment *attachment, cfgs_event *event)
{
    struct cursor *cursor = &reader->cursor;
    uint64_t sequence;

    if (attachment != cursor->attachment && cursor->started)
        cursor->due = CFGS_SNAPSHOT_REPLACED;
    if (cursor->due != CFGS_SNAPSHOT_NONE)
        return deliver_snapshot(reader, attachment, event);
    /* [state] acquire, before S: a closed state with nothing above the cursor means that all was delivered.  Pairs with
     * the release in cfgs_publisher_close(). */
    uint64_t state = word_load_acquire(&attachment->header->state);
    if (!bank_view_committed(attachment->header, &sequence))
        return LOOK_AGAIN;
    if (sequence == cursor->sequence)
        return nothing_new(cursor, attachment, state);
    /* IDs of an arena never go back; if they do, its bytes are damaged. */
    if (sequence < cursor->sequence)
        return CFGS_ERR_CORRUPT;
    return take_update(reader, attachment, event);
}

int cfgs_reader_next(cfgs_reader *reader, cfgs_event *event, int timeout_ms)
{
    uint64_t deadline = timeout_ms > 0 ? deadline_after_ms(timeout_ms) : timeout_ms < 0 ? UINT64_MAX : 0;
    bool drained = false;
    int rounds = 0;

    if (fork_guard_forked(&reader->guard))
        return CFGS_ERR_FORKED;
    for (;;) {
        const struct attachment *attachment = NULL;
        const cfgs_word32 *word = NULL;
        uint32_t seen = 0;
        /* [interrupt] relaxed look first, so that a ready update costs no locked instruction; then acquire-release, which
         * takes the interruption exactly once, with what was written before it. */
        if (atomic_load_explicit(&reader->interrupted, memory_order_relaxed) != 0 &&
            atomic_exchange_explicit(&reader->interrupted, 0, memory_order_acq_rel) != 0)
            return CFGS_ERR_INTERRUPTED;
        int result = reader_attachment(reader, &attachment);
        if (result == CFGS_OK) {
            word = &attachment->header->wake;
            /* [wake S1] acquire, before S: if the word is old, the wait below returns at once when it moves; if it is
             * new, the commit before it is seen.  Pairs with the bump in publisher_wake(); loaded after S, a commit in
             * between would be slept through. */
            seen = word32_load_acquire(word);
            result = look(reader, attachment, event);
            if (attachment_is_superseded(attachment))
                word = NULL; /* nobody wakes its sleepers any more: poll for the successor */
        } else if (result == CFGS_ERR_NOT_READY) {
            result = LOOK_NOTHING;
        }
        if (result == LOOK_AGAIN && ++rounds < LOOK_ROUNDS)
            continue;
        if (result == LOOK_AGAIN)
            result = CFGS_ERR_BUSY;
        if (result != LOOK_NOTHING)
            return result < 0 && result != CFGS_ERR_CLOSED
                       ? detail_set(&reader->detail, result, 0, "%s: %s", reader->name.path, cfgs_strerror(result))
                       : result;
        if (!drained) {
            /* Reset the descriptor, then look once more: what came in between is not announced again. */
            notifier_drain(reader);
            drained = true;
            continue;
        }
        if (timeout_ms == 0 || (timeout_ms > 0 && clock_ns(CLOCK_MONOTONIC) >= deadline))
            return CFGS_ERR_TIMEOUT;
        /* Row S3. */
        wait_for_change(word, seen, &reader->interrupted, deadline);
        /* [wake S1] acquire: an idle second is the time to see whether the arena still has its name. */
        if (word != NULL && word32_load_acquire(word) == seen)
            reader_check_orphan(reader);
        drained = false;
        rounds = 0;
    }
}
