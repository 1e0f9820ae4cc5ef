/**
 * @file http2/internal.h  What the files of this folder share: the two structs, and who calls whom.
 *
 * connection.c has the socket: when to read and write, and for how long.  session.c has nghttp2: it turns frames into
 * calls.  call.c has the calls: from their header fields to their status.
 *
 * nghttp2 must not be fed or asked for output from inside its callbacks, nor fed after it failed.  So callbacks only
 * queue frames and set `closing`, and all output is made in connection_flush().
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_INTERNAL_H
#define HTTP2_INTERNAL_H

#include "bridge/bridge.h"
#include "http2/abuse.h"
#include "http2/account.h"
#include "http2/call.h"
#include "http2/connection.h"
#include "http2/framing.h"
#include "http2/request.h"
#include "http2/timers.h"
#include "tls/channel.h"

#include <nghttp2/nghttp2.h>

enum phase {
    PHASE_HANDSHAKE,
    PHASE_PREFACE, /* until the client's first SETTINGS */
    PHASE_OPEN,
    PHASE_LINGER /* we ended: read and drop what still comes, since closing over it would lose our last words */
};

enum drain {
    DRAIN_NONE,
    DRAIN_NOTICED, /* first GOAWAY and PING are out: calls that cross them are still taken */
    DRAIN_FINAL    /* second GOAWAY: what is open ends */
};

struct connection {
    struct list link, touched; /* of the worker */
    struct list hand;          /* of worker->waiting: it spoke, and waits for its handshake */
    struct list calls;
    struct worker *worker;
    struct channel *channel;
    nghttp2_session *session;
    uint8_t *output; /* what the socket did not take; NULL while it takes all */
    size_t output_at, output_length;
    size_t queued; /* memory of the queues of its calls */
    int fd;
    uint32_t interest; /* of epoll */
    enum phase phase;
    enum drain drain;
    bool local, unread, closing, handshaking;
    bool waiting; /* a call waits for room in its window, or in the account */
    bool pinged;  /* and nothing was read since */
    uint32_t streams_max; /* as our SETTINGS told */
    int64_t phase_ms, read_ms, ping_ms, idle_ms, drain_ms;
    const char *drain_reason;
    struct account account;
    struct abuse abuse;
    char peer[64];
};

enum { CALL_METADATA_MAX = 4 };

struct call {
    struct list link; /* of the connection */
    struct timer deadline;
    struct connection *connection;
    void *state;
    struct request request;
    struct framer framer;
    struct cut cut;
    uint8_t *queue; /* a unary answer, or interactive messages, framed */
    size_t queue_at, queue_length, queue_capacity;
    struct {
        const char *name;
        char *value;
    } metadata[CALL_METADATA_MAX];
    unsigned metadata_count;
    int32_t stream;
    uint32_t spent; /* of the connection's account */
    int64_t opened_ms, progress_ms;
    bool dispatched; /* take() was called: closed() will be */
    bool begun;      /* response headers are out or queued */
    bool finishing;  /* OK once all is out */
    bool over;       /* its end is queued: whatever comes is dropped */
    bool reset;      /* by us, for a reason of ours */
    bool half_closed;
    bool received; /* not interactive: the message is whole */
    bool asleep;   /* nothing to pull */
    bool waiting;  /* for room */
    bool hasty;    /* it waited in vain: from then on it takes what room there is */
};

/* ---- connection.c ------------------------------------------------------------------------------------------------ */

/** Something is to be written: flush it at the end of the turn. */
void connection_touch(struct connection *connection);

/** No more input is taken; what is queued goes out, then the connection ends. */
void connection_end(struct connection *connection);

/** The same, counted and logged as the peer's fault. */
void connection_blame(struct connection *connection, const char *reason);

/** What the peer does is too much: tell it by a GOAWAY, and blame it. */
void connection_abuse(struct connection *connection, const char *name);

/** A GOAWAY without an error is out. */
void connection_goaway_sent(struct connection *connection);

/** A PING was answered. */
void connection_pong(struct connection *connection, const uint8_t payload[8]);

/* ---- session.c --------------------------------------------------------------------------------------------------- */

/** Make the session and queue our SETTINGS; false: no memory. */
bool session_open(struct connection *connection);

/** Feed what was read. */
void session_feed(struct connection *connection, const uint8_t *data, size_t length);

/** Note an event of this kind; ends the connection when there were too many. */
void session_note(struct connection *connection, enum abuse_kind kind);

/* ---- call.c ------------------------------------------------------------------------------------------------------ */

/** In the final phase of a drain: end what would never end by itself. */
void call_end_for_drain(struct call *call);

/** NULL: no memory. */
struct call *call_open(struct connection *connection, int32_t stream);

/** The stream is gone, or the connection: tell the method, and free the call. */
void call_close(struct call *call);

/** All header fields of the request are in. */
void call_headers_done(struct call *call);
void call_data(struct call *call, const uint8_t *data, size_t length);
/** END_STREAM. */
void call_half_closed(struct call *call);

/** nghttp2's data provider. */
ssize_t call_provide(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                     nghttp2_data_source *source, void *context);

/** The peer opened its window, or the account has room: calls that wait look again. */
void call_wake_waiting(struct connection *connection);

/** Once a second: slow requests and stalled streams. */
void call_tick(struct call *call, int64_t now_ms);

#endif
