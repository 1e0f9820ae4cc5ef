/* subscriber.c: see subscriber.h.  SPDX-License-Identifier: Apache-2.0 */
#include "subscriber.h"

#include <stdarg.h>

static void on_message(struct stream *stream, const uint8_t *message, size_t length)
{
    struct subscriber *subscriber = stream->context;
    if (subscriber->mirror == NULL)
        return;
    struct event event = mirror_take(subscriber->mirror, message, length, subscriber->name);
    if (subscriber->on_event != NULL)
        subscriber->on_event(subscriber, &event, message, length);
}

static void subscribe(struct subscriber *subscriber)
{
    uint8_t request[64];
    size_t length = wire_put_text(request, 0, 1, subscriber->name);
    subscriber->stream = stream_open(subscriber->peer, METHOD_STREAM, request, length, subscriber->session);
    subscriber->stream->context = subscriber;
    subscriber->stream->on_message = on_message;
    subscriber->stream->holding = subscriber->holding;
}

static void on_registered(struct stream *stream, const uint8_t *message, size_t length)
{
    struct subscriber *subscriber = stream->context;
    struct bytes session = wire_bytes((struct bytes){message, length}, 1);
    REQUIRE(session.length == 36, "%s: a session id of %zu bytes", subscriber->name, session.length);
    snprintf(subscriber->session, sizeof subscriber->session, "%.36s", (const char *)session.data);
}

static void on_register_end(struct stream *stream)
{
    struct subscriber *subscriber = stream->context;
    if (stream->peer->closed) /* some tests end it here */
        return;
    REQUIRE(stream->status == 0 && subscriber->session[0] != '\0', "%s: not registered: status %d, %s",
            subscriber->name, stream->status, stream->message);
    subscribe(subscriber);
}

struct subscriber *subscriber_new(struct peer *peer, bool mirrored, const char *name, ...)
{
    struct subscriber *subscriber = need(calloc(1, sizeof *subscriber));
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(subscriber->name, sizeof subscriber->name, name, arguments);
    va_end(arguments);
    subscriber->peer = peer;
    subscriber->mirror = mirrored ? mirror_new() : NULL;
    SWARM_UNTIL(peer->swarm, peer->ready || peer->closed);

    uint8_t request[160];
    size_t length = wire_put_text(request, 0, 1, "1");
    length = wire_put_text(request, length, 2, "test");
    length = wire_put_text(request, length, 3, subscriber->name);
    length = wire_put_text(request, length, 4, "localhost:50051");
    subscriber->registering = stream_open(peer, METHOD_REGISTER, request, length, NULL);
    subscriber->registering->context = subscriber;
    subscriber->registering->on_message = on_registered;
    subscriber->registering->on_end = on_register_end;
    return subscriber;
}

void subscriber_free(struct subscriber *subscriber)
{
    if (subscriber == NULL)
        return;
    subscriber->registering->on_end = NULL;
    if (subscriber->stream != NULL)
        subscriber->stream->on_message = NULL;
    mirror_free(subscriber->mirror);
    free(subscriber);
}

bool subscriber_began(const struct subscriber *subscriber)
{
    if (subscriber->stream == NULL)
        return false;
    subscriber_well(subscriber);
    return subscriber->stream->messages > 0;
}

bool subscriber_at(const struct subscriber *subscriber, uint64_t sequence)
{
    return subscriber->mirror->last == (int64_t)sequence;
}

void subscriber_well(const struct subscriber *subscriber)
{
    const struct stream *stream = subscriber->stream;
    REQUIRE(!subscriber->peer->closed, "%s: connection closed: %s", subscriber->name, subscriber->peer->reason);
    REQUIRE(stream != NULL && !stream->ended, "%s: stream ended: status %d %s, reset %lld", subscriber->name,
            stream == NULL ? -1 : stream->status, stream == NULL ? "" : stream->message,
            stream == NULL ? -1LL : (long long)stream->reset);
}
