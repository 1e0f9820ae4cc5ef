/* raw.h: a connection that says whatever a test wants, byte by byte, with or without TLS.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_RAW_H
#define BRIDGE_TESTS_RAW_H

#include "support/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raw {
    int fd;
    SSL *ssl;       /* NULL: plain */
    bool closed;    /* by the other side, or broken */
    size_t received;
    uint8_t last[64 * 1024]; /* the newest bytes that came */
    size_t last_length;
    int64_t goaway;         /* error code of a GOAWAY that came, -1: none */
    unsigned frames[256];   /* that came, by type */
    uint8_t *unwritten;     /* what did not fit the socket's buffers yet */
    size_t unwritten_length;
};

/** A TCP connection, no more. */
struct raw *raw_connect(uint16_t port);
/** With TLS; waits for the handshake, while the swarm turns. */
struct raw *raw_connect_tls(struct swarm *swarm, uint16_t port);
/** And with an HTTP/2 preface and empty SETTINGS. */
struct raw *raw_connect_http2(struct swarm *swarm, uint16_t port);
void raw_free(struct raw *raw);

/** Write, and keep what does not go out for the next time.  False once the connection is closed. */
bool raw_write(struct raw *raw, const void *bytes, size_t length);
bool raw_frame(struct raw *raw, uint8_t type, uint8_t flags, int32_t stream, const void *payload, size_t length);

/** Read what there is. */
void raw_read(struct raw *raw);

/** HPACK of a request's headers; authorization and session_id may be NULL.  Returns its length. */
size_t raw_request_headers(uint8_t *to, const char *path, const char *authorization, const char *session_id);
/** One more header, literal, never indexed. */
size_t raw_header(uint8_t *to, const char *name, const char *value, size_t value_length);

#endif
