/**
 * @file http2/request.h  The header fields of a request: what is kept of them, and whether they may pass.
 *
 * Fields are looked at as they come, in whatever order, and only what is needed is kept.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_REQUEST_H
#define HTTP2_REQUEST_H

#include "http2/call.h"

enum {
    REQUEST_FIELDS_MAX = 64,
    REQUEST_HARD_FACTOR = 4,        /* times the limit: the stream is reset without an answer */
    REQUEST_FIELD_OVERHEAD = 32,    /* bytes a field counts besides name and value, RFC 9113 6.5.2 */
    REQUEST_AUTHORIZATION_MAX = 512, /* longer ones are no token of ours */
    REQUEST_SESSION_MAX = 128
};

struct request {
    const struct call_method *method; /* NULL: unknown path */
    char *authorization, *session_id; /* the first value of each; owned, NULL if there was none */
    size_t header_bytes;
    int64_t timeout_ms; /* -1: none */
    unsigned short fields;
    bool posts, content_type_ok, encoding_refused, timeout_bad, te_trailers, memory_failed;
};

void request_init(struct request *request);

/** Once who calls was judged: wipes the token. */
void request_forget_token(struct request *request);

void request_release(struct request *request);

/** Count a field's size; false beyond the hard limit. */
bool request_count(struct request *request, size_t name_length, size_t value_length, size_t bytes_max);

/** Take note of a field; name and value end with a NUL. */
void request_field(struct request *request, const char *name, const char *value, size_t value_length);

enum request_verdict {
    REQUEST_OK,
    REQUEST_TOO_LARGE,   /* the header list */
    REQUEST_NOT_POST,    /* 405 */
    REQUEST_NOT_GRPC,    /* 415 */
    REQUEST_UNKNOWN,     /* method */
    REQUEST_ENCODED,     /* by anything but identity */
    REQUEST_BAD_TIMEOUT,
    REQUEST_NO_MEMORY
};

/** All fields are in: may it pass?  Who calls is not judged here. */
enum request_verdict request_judge(const struct request *request, size_t bytes_max);

/** The value of grpc-timeout in milliseconds, rounded up; false if it is none. */
bool grpc_timeout_parse(const char *value, int64_t *out_ms);

#endif
