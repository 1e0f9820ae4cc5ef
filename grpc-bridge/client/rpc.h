/**
 * @file client/rpc.h  One gRPC call of ours, unary or server-streaming: what the server's frames make of it.
 *
 * The transport feeds it from nghttp2's callbacks; nothing here sends.  A call that the server broke, or whose message was
 * refused, is `broken`: the transport then resets its stream with CANCEL.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_RPC_H
#define CLIENT_RPC_H

#include "client/failure.h"
#include "http2/framing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RPC_HEADER_MAX_BYTES = 64 * 1024, /* of all blocks of a call: 16 KiB is what we announce */
    RPC_BASE_BYTES = 24,
    RPC_PATH_BYTES = 512,
    RPC_MESSAGE_BYTES = 320, /* of a status, decoded */
    RPC_UNARY_MAX_BYTES = 64 * 1024
};

struct rpc {
    /* Set by whoever calls. */
    bool streaming;
    size_t message_max;
    /** Streaming: one message; not CFGS_OK: the failure says why, and the call is broken. */
    int (*take)(void *context, const uint8_t *message, size_t length, struct failure *failure);
    /** Streaming: the server's headers came, before any message; the same. */
    int (*begin)(void *context, struct failure *failure);
    void *context;

    /* The transport's. */
    int32_t stream; /* 0: not open */
    uint8_t *request;
    size_t request_length, request_sent;

    /* What came. */
    bool began, ended, broken;
    bool refused; /* broken by take() or begin(), and not by its form */
    bool reset_by_peer;
    bool is_grpc; /* by the content type */
    int http_status, grpc_status; /* -1: none came */
    char message[RPC_MESSAGE_BYTES];
    char wire_base[RPC_BASE_BYTES], path[RPC_PATH_BYTES];
    size_t header_bytes;
    struct framer framer; /* unary: holds the answer */
    bool answered;
    int64_t data_ms;        /* when a byte of a message came last */
    uint32_t reset_code;
    struct failure failure; /* if broken */
};

/** Empty again, and nothing left of the last one. */
void rpc_clear(struct rpc *rpc);

/** Frame the request; false: no memory. */
bool rpc_set_request(struct rpc *rpc, const uint8_t *message, size_t length);

/* ---- the transport's events ---- */

void rpc_field(struct rpc *rpc, const char *name, size_t name_length, const char *value, size_t length);
/** A block of headers is complete; true: it was the last one. */
void rpc_headers_done(struct rpc *rpc, bool end);
void rpc_data(struct rpc *rpc, const uint8_t *data, size_t length, int64_t now);
void rpc_closed(struct rpc *rpc, uint32_t code);

/* ---- afterwards ---- */

/** Of a call that ended or is broken: CFGS_OK if the status was OK and, unary, the answer is there. */
int rpc_outcome(struct rpc *rpc, const char *what, struct failure *failure);

#endif
