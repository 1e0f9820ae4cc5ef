/*
 * reader.c: opening and closing readers, and which arena they read.
 *
 * A reader stays on its arena for as long as that is not superseded.  An arena that was replaced is retired, not
 * unmapped: other threads may be reading it, and find zeros that fail their validation.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reader_private.h"
#include "detail.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int reader_new(cfgs_reader **out, cfgs_error_detail *detail)
{
    cfgs_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return detail_set(detail, CFGS_ERR_MEMORY, 0, "out of memory");
    if (!fork_guard_init(&reader->guard)) {
        free(reader);
        return detail_set(detail, CFGS_ERR_MEMORY, errno, "mmap");
    }
    pthread_mutex_init(&reader->lock, NULL); /* cannot fail with default attributes on Linux */
    reader->cursor.due = CFGS_SNAPSHOT_INITIAL;
    reader->notifier.event_fd = -1;
    *out = reader;
    return CFGS_OK;
}

int cfgs_reader_open(const cfgs_reader_options *options, cfgs_reader **out)
{
    static const cfgs_reader_options defaults = {0};
    cfgs_reader *reader;

    if (options == NULL)
        options = &defaults;
    int err = reader_new(&reader, options->detail);
    if (err != CFGS_OK)
        return err;
    err = arena_name_make(options->instance, options->arena_path, &reader->name, options->detail);
    if (err == CFGS_OK) {
        reader->request = (struct attach_request){.path = reader->name.path,
                                                  .trust_producer_user = options->trust_producer_user,
                                                  .producer_user = options->producer_user};
        err = reader_attach(reader, options->detail);
        if (err == CFGS_ERR_NOT_READY)
            err = CFGS_OK;
    }
    if (err != CFGS_OK) {
        cfgs_reader_close(reader);
        return err;
    }
    *out = reader;
    return CFGS_OK;
}

int reader_open_memory(cfgs_publisher *publisher, cfgs_reader **out)
{
    cfgs_reader *reader;
    int err = reader_new(&reader, NULL);

    if (err != CFGS_OK)
        return err;
    reader->publisher = publisher;
    err = reader_attach(reader, NULL);
    if (err != CFGS_OK) {
        cfgs_reader_close(reader);
        return err;
    }
    *out = reader;
    return CFGS_OK;
}

void cfgs_reader_close(cfgs_reader *reader)
{
    if (reader == NULL)
        return;
    if (!fork_guard_forked(&reader->guard))
        notifier_stop(reader);
    /* [private] relaxed: no call may be running beside this one. */
    struct attachment *attachment = atomic_load_explicit(&reader->current, memory_order_relaxed);
    while (attachment != NULL) {
        struct attachment *older = attachment->older;
        attachment_close(attachment);
        attachment = older;
    }
    buffer_free(&reader->cursor.now);
    buffer_free(&reader->cursor.before);
    fork_guard_release(&reader->guard);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

/* Is this arena fit to take the old one's place: another file, and with a first state in it? */
static bool is_successor(const struct attachment *candidate, const struct attachment *old)
{
    cfgs_view view;

    if (candidate->device == old->device && candidate->inode == old->inode)
        return false;
    return bank_view_begin(candidate, &view) == CFGS_OK;
}

/* Under the lock: attach to what has the name now, or is the publisher's arena now. */
static int attach_anew(cfgs_reader *reader, struct attachment *old, cfgs_error_detail *detail)
{
    struct attachment *fresh;
    int err = reader->publisher != NULL ? publisher_attach(reader->publisher, &fresh)
                                        : attachment_open(&reader->request, &fresh, detail);

    if (err != CFGS_OK)
        return err;
    if (old != NULL && !is_successor(fresh, old)) {
        attachment_close(fresh);
        return CFGS_OK;
    }
    fresh->older = old;
    fresh->number = old != NULL ? old->number + 1 : 1;
    /* [attach] release: the attachment is complete before other threads find it.  Pairs with the acquire in
     * reader_attachment(). */
    atomic_store_explicit(&reader->current, fresh, memory_order_release);
    if (old != NULL)
        attachment_retire(old);
    /* [private] relaxed: a rate limit of looking in vain; the next successor may be there at once. */
    word_store_relaxed(&reader->superseded_ns, 0);
    return CFGS_OK;
}

/* A point read in a loop must not ask the file system at every turn. */
static bool asked_lately(cfgs_reader *reader)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    /* [private] relaxed: a rate limit; losing a race costs one open(). */
    if (now - word_load_relaxed(&reader->superseded_ns) < SUPERSEDED_POLL_NS)
        return true;
    /* [private] relaxed: as above. */
    word_store_relaxed(&reader->superseded_ns, now);
    return false;
}

int reader_attach(cfgs_reader *reader, cfgs_error_detail *detail)
{
    int err = CFGS_OK;

    /* The lock may have been held by another thread when we were forked. */
    if (fork_guard_forked(&reader->guard))
        return CFGS_ERR_FORKED;
    pthread_mutex_lock(&reader->lock);
    /* [private] relaxed: written only under this lock. */
    struct attachment *old = atomic_load_explicit(&reader->current, memory_order_relaxed);
    /* [state] acquire: the successor had its place before this wake-up's cause; see arena_link(), publisher_replace(). */
    bool superseded = old != NULL && word_load_acquire(&old->header->state) == ARENA_STATE_SUPERSEDED;
    if (old == NULL || (superseded && !asked_lately(reader)))
        err = attach_anew(reader, old, detail);
    pthread_mutex_unlock(&reader->lock);
    return err;
}

static bool grow(cfgs_reader *reader, const struct attachment *attachment, uint64_t used)
{
    /* [private] acquire: the attachment's fields; in a forked child there is no lock to rely on. */
    struct attachment *current = atomic_load_explicit(&reader->current, memory_order_acquire);

    /* A retired arena reads as zeros: look at the new one instead. */
    if (current != attachment)
        return true;
    attachment_grow(current);
    /* [private] relaxed: monotonic.  Against what the caller used: another thread may have grown it before us. */
    return word_load_relaxed(&current->mapped) > used;
}

bool reader_grow(cfgs_reader *reader, const struct attachment *attachment, uint64_t used)
{
    /* In a child nobody retires, and the lock may have been held by another thread at the fork. */
    if (fork_guard_forked(&reader->guard))
        return grow(reader, attachment, used);
    pthread_mutex_lock(&reader->lock);
    bool grown = grow(reader, attachment, used);
    pthread_mutex_unlock(&reader->lock);
    return grown;
}

void reader_check_orphan(cfgs_reader *reader)
{
    struct stat ours, named;

    if (reader->publisher != NULL || fork_guard_forked(&reader->guard))
        return;
    pthread_mutex_lock(&reader->lock);
    /* [private] relaxed: written only under this lock. */
    struct attachment *old = atomic_load_explicit(&reader->current, memory_order_relaxed);
    if (old != NULL && fstat(old->fd, &ours) == 0 && lstat(reader->name.path, &named) == 0 &&
        (named.st_dev != ours.st_dev || named.st_ino != ours.st_ino))
        (void)attach_anew(reader, old, NULL); /* what cannot be attached to leaves us on the old state */
    pthread_mutex_unlock(&reader->lock);
}

const cfgs_error_detail *cfgs_reader_error(const cfgs_reader *reader)
{
    return &reader->detail;
}
