/**
 * @file http2/account.h  What our small DATA frames cost a client that has not read them.
 *
 * Newer Rust stacks close a connection once its unread DATA frames below 256 bytes have cost 25,600 bytes, where each
 * costs what it lacks to 256 (grpc-wire 6).  We cannot see what is read, but a send window that is whole again proves
 * that all of the stream was, and a stream that ended costs nothing any more.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_ACCOUNT_H
#define HTTP2_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ACCOUNT_FRAME_BYTES = 256,
    ACCOUNT_MAX = 25600,
    /* No account is kept of connections whose streams have smaller windows: half of one has to hold a message that is cut
     * so that neither part is small. */
    ACCOUNT_WINDOW_LEAST = 4 * ACCOUNT_FRAME_BYTES,
    /* The rest is for unary answers, which are not filled up.  They give it back at once, since their stream ends; those
     * of interactive methods do not, and so are made long enough by their service. */
    ACCOUNT_TIGHT = 16384,
    /* Streams that waited for room in vain may spend some of it. */
    ACCOUNT_LAST = ACCOUNT_MAX - 4 * ACCOUNT_FRAME_BYTES
};

/** Of a connection.  Each stream keeps what it spent itself. */
struct account {
    uint32_t spent;
};

void account_sent(struct account *account, uint32_t *stream_spent, size_t frame_bytes);
void account_give_back(struct account *account, uint32_t *stream_spent);

/** Streams have to fill up from here on. */
bool account_is_tight(const struct account *account);

/** May a frame of this length go out at all? */
bool account_allows(const struct account *account, size_t frame_bytes);

/** May a stream that waited for room in vain use what little there is: by a small frame, and another one for the rest of a
 *  message that it cuts? */
bool account_has_last(const struct account *account);

#endif
