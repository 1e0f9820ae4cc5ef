/*
 * fake_call.h: a stand-in for http2/call.c, so that services can be tested without a transport: what they are given, and
 * what they say, is plain memory.  It also stands in for worker_notice() and worker_tell().
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SERVICE_FAKE_CALL_H
#define TESTS_SERVICE_FAKE_CALL_H

#include "bridge/bridge.h"
#include "service/services.h"

#include <protobuf-c/protobuf-c.h>

struct call {
    const struct call_method *method;
    struct worker *worker;
    const char *session_id;
    void *state;
    bool begun, finished;
    bool over;               /* failed, or finished and all is out */
    enum grpc_status status; /* once it is over */
    char message[1024];
    char metadata[4][2][512];   /* names and values */
    unsigned metadata_count;
    unsigned resumed;           /* how often */
    uint8_t *output;            /* all bytes that went to the client, framed */
    size_t length, read, limit; /* of the output; what fake_next() looked at; the backlog that is borne, 0: any */
};

/** A call that was let in, and has sent nothing yet. */
struct call *fake_open(struct worker *worker, const struct call_method *method, const char *session_id);

/** The client sends a message: bytes, or one of protobuf-c. */
void fake_send_bytes(struct call *call, const void *bytes, size_t length);
void fake_send(struct call *call, const ProtobufCMessage *message);
void fake_half_close(struct call *call);

/** Flow control lets so many bytes go: returns how many there were. */
size_t fake_pull(struct call *call, size_t room, size_t at_least);

/** The next message that came whole; false: there is none. */
bool fake_next(struct call *call, const uint8_t **message, size_t *length);

/** The last callback; the call is gone. */
void fake_close(struct call *call);

/** A text for a message to send: protobuf-c's types are not const. */
static inline char *borrowed(const char *text) { return (char *)(uintptr_t)text; }

/** Open, send, and return: for unary methods. */
struct call *fake_ask(struct worker *worker, const struct call_method *method, const ProtobufCMessage *message);

/** The call failed with this status and exactly this message. */
void fake_failed(const struct call *call, enum grpc_status status, const char *message);

extern char fake_notice[4096]; /* all, one a line */
extern unsigned fake_notices;

#endif
