/**
 * @file http2/framing.h  gRPC messages within a stream of bytes: a flag, a length, a body.
 *
 * DATA frames mean nothing here: a prefix can be split over five of them, one can hold hundreds of messages.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_FRAMING_H
#define HTTP2_FRAMING_H

#include "http2/call.h"

/** Collects one message after the other.  A zeroed one is empty. */
struct framer {
    uint8_t *body;
    uint32_t length, got, capacity;
    uint8_t prefix[GRPC_PREFIX_BYTES], prefix_got;
};

enum framer_result {
    FRAMER_MORE,       /* all is used up, and no message is complete */
    FRAMER_MESSAGE,    /* one is: body and length hold it until framer_next() */
    FRAMER_COMPRESSED, /* flag 1 */
    FRAMER_BAD_FLAG,
    FRAMER_TOO_LARGE, /* by its announced length */
    FRAMER_MEMORY
};

/** Feed bytes; *used says how many went into the message that is complete now. */
enum framer_result framer_feed(struct framer *framer, const uint8_t *data, size_t length, size_t message_max,
                               size_t *used);

/** Between messages: nothing of the next one has come. */
bool framer_is_between(const struct framer *framer);

/** The message is done with; its memory is given back. */
void framer_next(struct framer *framer);

/** Write the prefix of a message of this length. */
void framing_write_prefix(uint8_t to[GRPC_PREFIX_BYTES], size_t length);

/** Follows the messages of an outgoing stream, to know whether it is in the middle of one.  A zeroed one is between. */
struct cut {
    uint32_t left;
    uint8_t prefix[GRPC_PREFIX_BYTES], prefix_got;
};

void cut_follow(struct cut *cut, const uint8_t *data, size_t length);
bool cut_is_between(const struct cut *cut);

#endif
