/**
 * @file tls/channel.h  One connection's TLS over a non-blocking socket.  One thread's, where SIGPIPE is ignored or blocked.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_CHANNEL_H
#define TLS_CHANNEL_H

#include "tls/credentials.h"

#include <openssl/ssl.h>
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

/** Either side: over an SSL that is set to accept or to connect, and becomes the channel's, also on failure.  NULL: it was
 *  NULL, or no memory. */
struct channel *channel_over(SSL *ssl, int fd, uint64_t generation);

void channel_free(struct channel *channel);

/** OK only when ALPN chose h2 and the peer's certificate was verified (at the server: unless no_auth). */
enum channel_result channel_handshake(struct channel *channel);

/** *got bytes, at least one, on OK.  Call until WANT_READ: bytes held inside never make the socket readable. */
enum channel_result channel_read(struct channel *channel, void *to, size_t room, size_t *got);

/** *written bytes, at least one, on OK; maybe fewer than given. */
enum channel_result channel_write(struct channel *channel, const void *from, size_t length, size_t *written);

/** Tell the peer that no more is written, as far as that goes without waiting. */
void channel_shutdown(struct channel *channel);

/** Of the credentials it was made with. */
uint64_t channel_generation(const struct channel *channel);

/** Why the last call failed, one line for the log. */
const char *channel_reason(const struct channel *channel);

#endif
