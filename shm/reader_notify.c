/*
 * reader_notify.c: a descriptor for event loops, fed by a helper thread.
 *
 * A futex cannot be polled, so one thread sleeps on the arena's word and writes an eventfd.  The descriptor says "look",
 * never "there is something"; the consumer resets it before it looks, so no change falls between.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reader_private.h"
#include "detail.h"
#include "futex.h"
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void notify(int fd)
{
    uint64_t one = 1;
    /* EAGAIN: the counter is full, and so readable already. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void *notifier_main(void *argument)
{
    cfgs_reader *reader = argument;
    struct notifier *notifier = &reader->notifier;
    const struct attachment *last = NULL;
    uint32_t last_seen = 0;

    /* [private] acquire: pairs with the release in notifier_stop(). */
    while (word32_load_acquire(&notifier->stop) == 0) {
        const struct attachment *attachment = NULL;
        const cfgs_word32 *word = NULL;
        uint32_t seen = 0;
        if (reader_attachment(reader, &attachment) == CFGS_OK) {
            word = &attachment->header->wake;
            /* [wake S1] acquire: what the commit before the bump published is there for whom we notify. */
            seen = word32_load_acquire(word);
            if (attachment_is_superseded(attachment))
                word = NULL; /* nobody wakes its sleepers any more: poll for the successor */
        }
        if (attachment != last || seen != last_seen)
            notify(notifier->event_fd);
        last = attachment;
        last_seen = seen;
        wait_for_change(word, seen, &notifier->stop, UINT64_MAX);
        /* [wake S1] acquire: as above; a word that did not change within the bound is the time to look for orphans. */
        if (word != NULL && word32_load_acquire(word) == seen)
            reader_check_orphan(reader);
    }
    return NULL;
}

/* A helper thread must not run the application's signal handlers. */
static int start_thread(cfgs_reader *reader)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&reader->notifier.thread, NULL, notifier_main, reader);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

int cfgs_reader_fd(cfgs_reader *reader, int *fd)
{
    struct notifier *notifier = &reader->notifier;

    if (fork_guard_forked(&reader->guard))
        return CFGS_ERR_FORKED;
    if (!notifier->running) {
        /* Readable at first: whatever is there was not announced. */
        notifier->event_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
        if (notifier->event_fd < 0)
            return detail_set(&reader->detail, CFGS_ERR_SYSTEM, errno, "eventfd");
        int error = start_thread(reader);
        if (error != 0) {
            close(notifier->event_fd);
            notifier->event_fd = -1;
            return detail_set(&reader->detail, CFGS_ERR_SYSTEM, error, "starting the notifier thread");
        }
        notifier->running = true;
    }
    *fd = notifier->event_fd;
    return CFGS_OK;
}

void notifier_stop(cfgs_reader *reader)
{
    struct notifier *notifier = &reader->notifier;

    if (!notifier->running)
        return;
    /* [private] release: pairs with the acquire in notifier_main(). */
    word32_store_release(&notifier->stop, 1);
    futex_wake_private(&notifier->stop);
    pthread_join(notifier->thread, NULL);
    close(notifier->event_fd);
    notifier->running = false;
}

void notifier_drain(cfgs_reader *reader)
{
    uint64_t count;

    if (reader->notifier.running)
        while (read(reader->notifier.event_fd, &count, sizeof count) < 0 && errno == EINTR)
            ;
}

void notifier_raise(cfgs_reader *reader)
{
    /* A child has the descriptor, too, but its parent polls it. */
    if (reader->notifier.running && !fork_guard_forked(&reader->guard))
        notify(reader->notifier.event_fd);
}
