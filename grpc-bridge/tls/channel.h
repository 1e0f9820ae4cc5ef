/**
 * @file tls/channel.h  One connection's TLS over a non-blocking socket.  One thread's.  The process ignores SIGPIPE.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_CHANNEL_H
#define TLS_CHANNEL_H

#include "tls/credentials.h"

#include <stddef.h>

struct channel;

enum channel_result {
    CHANNEL_OK,
    CHANNEL_WANT_READ,  /* again when the socket is readable */
    CHANNEL_WANT_WRITE, /* again when it is writable, with the same bytes */
    CHANNEL_CLOSED,     /* the peer ended, with or without a close_notify */
    CHANNEL_FAILED      /* channel_reason() says why */
};

/** Server side, with the credentials in force; the socket stays the caller's.  NULL: no memory. */
struct channel *channel_accept(struct credentials *credentials, int fd);
void channel_free(struct channel *channel);

/** OK only when ALPN chose h2 and, unless no_auth, the client's certificate was verified. */
enum channel_result channel_handshake(struct channel *channel);

/** *got bytes, at least one, on OK.  Call until WANT_READ: bytes held inside never make the socket readable.  Never
 *  WANT_WRITE. */
enum channel_result channel_read(struct channel *channel, void *to, size_t room, size_t *got);

/** *written bytes, at least one, on OK; maybe fewer than given. */
enum channel_result channel_write(struct channel *channel, const void *from, size_t length, size_t *written);

/** Tell the peer that no more is written, as far as that goes without waiting. */
void channel_shutdown(struct channel *channel);

/** Of the credentials it was accepted with. */
uint64_t channel_generation(const struct channel *channel);

/** Why the last call failed, one line for the log. */
const char *channel_reason(const struct channel *channel);

#endif
