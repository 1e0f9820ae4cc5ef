/**
 * @file client/transport.h  One connection to a core: TCP, TLS, HTTP/2; never waits.  One thread's, with SIGPIPE blocked.
 *
 * It is up only when the server's SETTINGS have come: in TLS 1.3 the server judges our certificate after our side of the
 * handshake is done (grpc-wire 2).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_TRANSPORT_H
#define CLIENT_TRANSPORT_H

#include "client/address.h"
#include "client/failure.h"
#include "client/rpc.h"

#include <openssl/ssl.h>

struct transport;

struct transport_options {
    const char *authority;     /* host:port, as it was dialled */
    const char *authorization; /* outlives the transport */
    int64_t keepalive_ms, keepalive_timeout_ms;
};

/** Begin; the SSL becomes the transport's, also on failure. */
struct transport *transport_open(const struct address *address, SSL *ssl, const struct transport_options *options,
                                 struct failure *failure);

/** Say good-bye as far as that goes without waiting.  Calls of its are ended without a callback. */
void transport_close(struct transport *transport);

/** For poll(); transport_due() is when to call transport_turn() although nothing happened: CLOCK_MONOTONIC ms. */
int transport_fd(const struct transport *transport);
short transport_events(const struct transport *transport);
int64_t transport_due(const struct transport *transport);

/** Read, handle, write.  Not CFGS_OK: the connection is of no more use; what was read before has been handled. */
int transport_turn(struct transport *transport, int64_t now, struct failure *failure);

/** Write what was asked for since: calls, resets. */
int transport_flush(struct transport *transport, struct failure *failure);

bool transport_is_up(const struct transport *transport);
/** TCP got through. */
bool transport_is_connected(const struct transport *transport);
/** The server takes no new calls (GOAWAY). */
bool transport_is_leaving(const struct transport *transport);
/** A second call may be made beside one that is open. */
bool transport_has_room(const struct transport *transport);
/** It told us that we send too many PINGs. */
bool transport_is_pinged_out(const struct transport *transport);
int64_t transport_up_ms(const struct transport *transport);   /* since when; 0: not yet */
int64_t transport_heard_ms(const struct transport *transport); /* the last byte; 0: none */
/** Decrypted bytes since the last question. */
uint64_t transport_take_received(struct transport *transport);

/**
 * Open a call; the rpc has its request and lives until it ended, or until transport_forget().
 * @param session     metadata session_id, or NULL
 * @param timeout_ms  told to the server; 0: none
 */
int transport_call(struct transport *transport, struct rpc *rpc, const char *path, const char *session,
                   int64_t timeout_ms, struct failure *failure);

/** Reset the call's stream with CANCEL, if it is still open; the rpc is nobody's then. */
void transport_forget(struct transport *transport, struct rpc *rpc);

#endif
