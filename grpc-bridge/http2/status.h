/* http2/status.h: gRPC status codes (grpc/grpc, doc/statuscodes.md) and how a message travels.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP2_STATUS_H
#define HTTP2_STATUS_H

#include <stddef.h>

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16
};

/** Longest message before encoding; what is longer is cut at a character. */
enum { GRPC_MESSAGE_MAX_BYTES = 1024, GRPC_MESSAGE_ENCODED_BYTES = 3 * GRPC_MESSAGE_MAX_BYTES + 1 };

/** Percent-encode a status message: every byte outside 0x20..0x7e, '%', and a blank at either edge.  NUL-terminated. */
size_t grpc_message_encode(const char *message, char out[GRPC_MESSAGE_ENCODED_BYTES]);

#endif
