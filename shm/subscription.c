/*
 * subscription.c: making subscriptions and adding watches; subscription_dispatch.c calls back.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reader_private.h"
#include "subscription_private.h"
#include <configstream/error.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 8u

int cfgs_subscription_open(cfgs_reader *reader, cfgs_subscription **out)
{
    if (reader == NULL || out == NULL)
        return CFGS_ERR_INVALID;
    if (fork_guard_forked(&reader->guard))
        return CFGS_ERR_FORKED;
    cfgs_subscription *subscription = calloc(1, sizeof *subscription);
    if (subscription == NULL)
        return CFGS_ERR_MEMORY;
    subscription->reader = reader;
    subscription->first_prefix = subscription->last_prefix = WATCH_NONE;
    /* The reader may have delivered events to somebody before: we begin with a whole state. */
    reader_resync(reader);
    notifier_raise(reader);
    *out = subscription;
    return CFGS_OK;
}

void cfgs_subscription_close(cfgs_subscription *subscription)
{
    if (subscription == NULL)
        return;
    for (size_t i = 0; i < subscription->count; i++)
        free(subscription->watches[i].prefix);
    free(subscription->watches);
    watched_free(&subscription->watched);
    free(subscription);
}

uint64_t cfgs_subscription_sequence(const cfgs_subscription *subscription)
{
    return subscription->sequence;
}

/* ---- watches ----------------------------------------------------------------------------------------------------- */

static int check(const char *text, size_t minimum, unsigned flags, cfgs_change_callback callback, size_t *length)
{
    if (text == NULL || callback == NULL || (flags & ~CFGS_WATCH_INITIAL) != 0)
        return CFGS_ERR_INVALID;
    *length = strnlen(text, CFGS_KEY_MAX_BYTES + 1);
    if (*length < minimum)
        return CFGS_ERR_INVALID;
    return *length <= CFGS_KEY_MAX_BYTES ? CFGS_OK : CFGS_ERR_TOO_LARGE;
}

static bool make_room(cfgs_subscription *subscription)
{
    if (subscription->count < subscription->room)
        return true;
    size_t room = subscription->room > 0 ? subscription->room : ROOM_MIN / 2;
    if (room > SIZE_MAX / 4 / sizeof(struct watch))
        return false;
    struct watch *watches = realloc(subscription->watches, room * 2 * sizeof *watches);
    if (watches == NULL)
        return false;
    subscription->watches = watches;
    subscription->room = room * 2;
    return true;
}

/* Nothing can fail any more.  first and last: the chain it belongs to. */
static void add(cfgs_subscription *subscription, const struct watch *watch, size_t *first, size_t *last)
{
    size_t number = subscription->count++;

    subscription->watches[number] = *watch;
    if (*first == WATCH_NONE)
        *first = number;
    else
        subscription->watches[*last].next = number;
    *last = number;
    /* An event loop is to dispatch, for the watch to start, even if no change comes. */
    notifier_raise(subscription->reader);
}

int cfgs_subscription_watch_key(cfgs_subscription *subscription, const char *key, unsigned flags,
                                cfgs_change_callback callback, void *context)
{
    size_t length;
    int err = check(key, 1, flags, callback, &length);

    if (err != CFGS_OK)
        return err;
    struct entry *entry;
    if (!make_room(subscription) || (entry = watched_need(&subscription->watched, key, length)) == NULL)
        return CFGS_ERR_MEMORY;
    struct watch watch = {.callback = callback, .context = context, .flags = flags, .next = WATCH_NONE};
    add(subscription, &watch, &entry->first_watch, &entry->last_watch);
    return CFGS_OK;
}

int cfgs_subscription_watch_prefix(cfgs_subscription *subscription, const char *prefix, unsigned flags,
                                   cfgs_change_callback callback, void *context)
{
    size_t length;
    int err = check(prefix, 0, flags, callback, &length);

    if (err != CFGS_OK)
        return err;
    char *text;
    if (!make_room(subscription) || (text = strdup(prefix)) == NULL)
        return CFGS_ERR_MEMORY;
    struct watch watch = {.callback = callback, .context = context, .flags = flags, .next = WATCH_NONE,
                          .prefix = text, .prefix_length = length};
    add(subscription, &watch, &subscription->first_prefix, &subscription->last_prefix);
    return CFGS_OK;
}
