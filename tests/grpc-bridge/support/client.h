/* client.h: gRPC clients, thousands in one thread, each reading as fast or as slowly as the test wants.
 *
 * A swarm has one epoll; its peers are connections, their streams are calls.  Nothing happens but in swarm_turn().
 * What a peer or a stream points to lives until swarm_free(); a stream that ended, or whose peer was closed, stays to be
 * looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_CLIENT_H
#define BRIDGE_TESTS_CLIENT_H

#include "check.h"
#include "process.h"

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;
struct peer;

struct swarm {
    int epoll;
    SSL_CTX *tls;
    char authorization[80];
    struct peer *peers; /* newest first */
    unsigned opened, closed;
};

/** When the sender hears that bytes were read: once they are so much of the window, of a stream or of the connection. */
enum peer_updates { UPDATES_AT_HALF, UPDATES_AT_ONCE, UPDATES_AT_A_QUARTER, UPDATES_WHEN_EMPTY };

struct peer_options {
    bool set_window; /* SETTINGS_INITIAL_WINDOW_SIZE; otherwise the protocol's 65,535 */
    uint32_t window;
    bool keep_connection_window; /* leave it at 65,535; otherwise it is raised out of the way */
    enum peer_updates updates;
};

struct peer {
    struct swarm *swarm;
    struct peer *next;
    struct stream *streams; /* newest first */
    struct peer_options options;
    int fd;
    uint32_t watched;
    SSL *ssl;
    nghttp2_session *session;
    uint8_t *unwritten;
    size_t unwritten_length;
    bool secure;        /* handshake done */
    bool ready;         /* the other side's SETTINGS came */
    bool deaf;          /* the socket is not read */
    bool receiving;     /* inside the session's callbacks, where nothing may be sent */
    bool closed;
    int32_t goaway;     /* error code of the last GOAWAY, -1: none came */
    char reason[160];   /* why it was closed */
    uint64_t bytes_read;
    size_t held;        /* by its streams */
    void *context;      /* the test's own */
    /** A DATA frame came whole; before its bytes count as read. */
    void (*on_data_frame)(struct stream *stream, size_t length);
};

struct stream {
    struct peer *peer;
    struct stream *next;
    int32_t id;
    uint8_t *request; /* framed */
    size_t request_length, request_sent;
    uint8_t *pending; /* part of a message */
    size_t pending_length, pending_room;
    bool holding;     /* what comes is looked at, but gives the sender no new window */
    size_t held;
    bool began;       /* response headers came */
    bool ended;       /* trailers, reset, or the connection's end */
    int status;       /* grpc-status, -1: none came */
    char message[256];
    int64_t reset;    /* error code of the stream's end, -1: none */
    uint64_t messages;
    void *context; /* the test's own */
    void (*on_message)(struct stream *stream, const uint8_t *message, size_t length);
    void (*on_end)(struct stream *stream);
};

/** Clients that present the certificate and know the token; token NULL: they send none. */
struct swarm *swarm_new(const char *certificate_file, const char *token);
void swarm_free(struct swarm *swarm);

/** Wait up to this long for something to happen, and handle it. */
void swarm_turn(struct swarm *swarm, int timeout_ms);

/** Turn until the condition holds. */
#define SWARM_UNTIL(swarm, condition)                                                                                  \
    for (uint64_t until_ = now_ns() + PATIENCE_NS; !(condition); swarm_turn(swarm, 20))                                \
    REQUIRE(now_ns() < until_, "%s:%d: this never came true: %s", __FILE__, __LINE__, #condition)

struct peer *peer_connect(struct swarm *swarm, uint16_t port, const struct peer_options *options);
/** Another SETTINGS_INITIAL_WINDOW_SIZE and SETTINGS_MAX_FRAME_SIZE, whatever is under way. */
void peer_set(struct peer *peer, uint32_t window, uint32_t frame_max);
/** Do streams that are not read hold the connection's window, so that nothing can come, or a few bytes at a time? */
bool peer_is_full(const struct peer *peer);
/** Stop or go on reading the socket. */
void peer_deafen(struct peer *peer, bool deaf);
/** Write out what the session has to say. */
void peer_flush(struct peer *peer);
void peer_close(struct peer *peer, const char *reason);

/** A call with one request message.  session_id NULL: no such metadata. */
struct stream *stream_open(struct peer *peer, const char *path, const uint8_t *message, size_t length,
                           const char *session_id);
void stream_hold(struct stream *stream, bool holding);
/** Give window for up to so many of the bytes held. */
void stream_grant(struct stream *stream, size_t bytes);
void stream_cancel(struct stream *stream);

#endif
