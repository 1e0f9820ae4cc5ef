/**
 * @file http2/call.h  One gRPC call, as a service sees it.
 *
 * Services are tables of methods.  The transport checks everything the wire asks for (grpc-wire 1.1 and 1.2: method,
 * content type, path, encoding, timeout, sizes, framing) and who calls, and only then hands a call to its method.  All
 * functions and callbacks of a call run in the worker thread that owns its connection.  Nothing here blocks.
 * Whoever may call is checked before: a token on every method (unless --insecure-no-auth).
 *
 * A unary method answers in take() with call_reply() or call_fail().
 * A streaming method calls call_begin() in take(); from then on pull() is asked for bytes whenever flow control lets
 * some go.  When it has none it returns 0, and the stream sleeps until call_resume().  call_finish() ends it.
 * An interactive method gets every message as it comes, answers with call_send(), and is told of the client's end.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_CALL_H
#define HTTP2_CALL_H

#include "http2/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct worker; /* bridge/worker.h */

/** Bytes before each message on the wire: a flag that is 0, and the length, big-endian. */
enum { GRPC_PREFIX_BYTES = 5 };

struct call_method {
    const char *path;    /* "/package.Service/Method" */
    size_t request_max;  /* bytes of a request message; 0: 64 KiB */
    bool interactive;    /* messages are handed over as they come; else after the only one and END_STREAM */
    bool open_on_loopback; /* needs no token for peers on loopback (health) */
    /** One whole request message; it lives until the callback returns. */
    void (*take)(struct call *call, const uint8_t *message, size_t length);
    /** Interactive only: the client sends no more. */
    void (*half_closed)(struct call *call);
    /**
     * Streaming only: write up to `room` bytes of framed messages, as many as fit, cut anywhere, and return how many; 0:
     * none now.  With `at_least` above 0 do not write fewer than that while there is anything to write and room for it:
     * fill up in a way that every client skips.  (Newer Rust stacks close connections over many unread DATA frames
     * below 256 bytes, grpc-wire 6; the transport keeps that account, and asks for it when it is nearly used up.)
     */
    size_t (*pull)(struct call *call, uint8_t *to, size_t room, size_t at_least);
    /** The last callback of every call whose take() was called, however it ended: free what call_state() holds.
     *  May be NULL. */
    void (*closed)(struct call *call);
};

/** The thread's own context; and a pointer of the method's own, NULL at first. */
struct worker *call_worker(const struct call *call);
void *call_state(const struct call *call);
void call_set_state(struct call *call, void *state);
const struct call_method *call_method(const struct call *call);

/** The first value of the metadata `session_id`, NULL if there is none.  Lives as long as the call. */
const char *call_session_id(const struct call *call);

/** The peer as text, "127.0.0.1:40000"; and whether it is on loopback. */
const char *call_peer(const struct call *call);
bool call_peer_is_local(const struct call *call);

/** Metadata of the response; before call_begin() or call_reply().  The name is static, the value is copied. */
void call_add_metadata(struct call *call, const char *name, const char *value);

/** Answer a unary call. */
void call_reply(struct call *call, const uint8_t *message, size_t length);

/** End a call with a status other than OK; also after call_begin(), then dropping what was not pulled yet. */
void call_fail(struct call *call, enum grpc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Send the response headers of a stream. */
void call_begin(struct call *call);

/** There is something to pull again.  Cheap, and harmless when the stream is not asleep. */
void call_resume(struct call *call);

/** Interactive: queue one message (copied, framed here).  False, and the call has failed, beyond 4 MiB of backlog. */
bool call_send(struct call *call, const uint8_t *message, size_t length);

/** End a stream with OK once what was pulled or queued is out. */
void call_finish(struct call *call);

#endif
