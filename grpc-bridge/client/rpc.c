/* client/rpc.c: grpc-wire 1.2 to 1.4, from the client's side.  SPDX-License-Identifier: Apache-2.0 */
#include "client/rpc.h"

#include "client/text.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

void rpc_clear(struct rpc *rpc)
{
    free(rpc->request);
    framer_next(&rpc->framer);
    *rpc = (struct rpc){.grpc_status = -1};
}

bool rpc_set_request(struct rpc *rpc, const uint8_t *message, size_t length)
{
    rpc->request = malloc(GRPC_PREFIX_BYTES + length);
    if (!rpc->request)
        return false;
    framing_write_prefix(rpc->request, length);
    if (length)
        memcpy(rpc->request + GRPC_PREFIX_BYTES, message, length);
    rpc->request_length = GRPC_PREFIX_BYTES + length;
    return true;
}

static void break_off(struct rpc *rpc, const char *why)
{
    if (rpc->broken)
        return;
    rpc->broken = true;
    failure_set(&rpc->failure, CFGS_ERR_PROTOCOL, "%s", why);
}

/* ---- headers and trailers ---------------------------------------------------------------------------------------- */

static bool is(const char *name, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(name, wanted, length) == 0;
}

static void copy(struct rpc *rpc, const char *value, size_t length, char *to, size_t size)
{
    if (length >= size) {
        break_off(rpc, "the answer's metadata are longer than any may be");
        return;
    }
    memcpy(to, value, length);
    to[length] = '\0';
}

/* One or two digits; what is none is UNKNOWN. */
static int parse_status(const char *value, size_t length)
{
    int status = 0;
    if (length < 1 || length > 2)
        return 2;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9')
            return 2;
        status = status * 10 + (value[i] - '0');
    }
    return status;
}

static bool is_grpc_type(const char *value, size_t length)
{
    static const char TYPE[] = "application/grpc";
    size_t known = sizeof TYPE - 1;
    return length >= known && memcmp(value, TYPE, known) == 0 &&
           (length == known || value[known] == '+' || value[known] == ';');
}

void rpc_field(struct rpc *rpc, const char *name, size_t name_length, const char *value, size_t length)
{
    rpc->header_bytes += name_length + length + 32;
    if (rpc->header_bytes > RPC_HEADER_MAX_BYTES)
        break_off(rpc, "the answer's headers are larger than 64 KiB");
    if (rpc->broken)
        return;
    if (is(name, name_length, ":status"))
        rpc->http_status = length == 3 ? atoi(value) : 0; /* nghttp2 let three digits pass, and ends them with a NUL */
    else if (is(name, name_length, "content-type"))
        rpc->is_grpc = is_grpc_type(value, length);
    else if (is(name, name_length, "grpc-status"))
        rpc->grpc_status = parse_status(value, length);
    else if (is(name, name_length, "grpc-message"))
        text_of_message(value, length, rpc->message, sizeof rpc->message);
    else if (is(name, name_length, "configstream-wire-base"))
        copy(rpc, value, length, rpc->wire_base, sizeof rpc->wire_base);
    else if (is(name, name_length, "configstream-path"))
        copy(rpc, value, length, rpc->path, sizeof rpc->path);
}

static void begin(struct rpc *rpc)
{
    rpc->began = true;
    rpc->grpc_status = -1; /* it counts in trailers */
    if (rpc->streaming && rpc->begin && rpc->begin(rpc->context, &rpc->failure) != CFGS_OK)
        rpc->broken = rpc->refused = true;
}

/* Interim answers (1xx) come before; a block that ends the stream is the trailers, or both in one. */
void rpc_headers_done(struct rpc *rpc, bool end)
{
    if (rpc->broken || end || rpc->began || (rpc->http_status >= 100 && rpc->http_status < 200))
        return;
    if (rpc->http_status == 200 && rpc->is_grpc) {
        begin(rpc);
        return;
    }
    rpc->broken = true; /* its body says nothing to us */
    if (rpc->http_status == 200)
        failure_set(&rpc->failure, CFGS_ERR_PROTOCOL, "the answer is not gRPC: its content type is another one");
    else
        failure_set(&rpc->failure, CFGS_ERR_REFUSED, "the answer is HTTP status %d, and no gRPC", rpc->http_status);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static const char *wrong_with(enum framer_result result)
{
    switch (result) {
    case FRAMER_COMPRESSED: return "a message is compressed, which was not asked for";
    case FRAMER_BAD_FLAG: return "a message begins with an unknown flag";
    default: return NULL;
    }
}

static void refuse(struct rpc *rpc, enum framer_result result)
{
    rpc->broken = true;
    if (result == FRAMER_MEMORY)
        failure_memory(&rpc->failure);
    else if (result == FRAMER_TOO_LARGE)
        failure_set(&rpc->failure, CFGS_ERR_PROTOCOL, "a message has %u bytes; the limit is %zu", rpc->framer.length,
                    rpc->message_max);
    else
        failure_set(&rpc->failure, CFGS_ERR_PROTOCOL, "%s", wrong_with(result));
}

static void take(struct rpc *rpc)
{
    if (!rpc->streaming) {
        rpc->answered = true; /* the framer keeps it */
        return;
    }
    if (rpc->take(rpc->context, rpc->framer.body, rpc->framer.length, &rpc->failure) != CFGS_OK)
        rpc->broken = rpc->refused = true;
    framer_next(&rpc->framer);
}

void rpc_data(struct rpc *rpc, const uint8_t *data, size_t length, int64_t now)
{
    rpc->data_ms = now;
    while (length > 0 && !rpc->broken) {
        size_t used;
        if (rpc->answered) {
            break_off(rpc, "there is a second message in the answer");
            return;
        }
        enum framer_result result = framer_feed(&rpc->framer, data, length, rpc->message_max, &used);
        if (result == FRAMER_MESSAGE)
            take(rpc);
        else if (result != FRAMER_MORE)
            refuse(rpc, result);
        data += used;
        length -= used;
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void rpc_closed(struct rpc *rpc, uint32_t code)
{
    rpc->ended = true;
    rpc->stream = 0;
    rpc->reset_code = code;
}

/* grpc/grpc, doc/PROTOCOL-HTTP2.md, "Errors". */
static int status_of_reset(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM: return GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL: return GRPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM: return GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY: return GRPC_PERMISSION_DENIED;
    default: return GRPC_INTERNAL;
    }
}

static const char *status_name(int status)
{
    static const char *const NAMES[] = {
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
        "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"};
    return status >= 0 && status < (int)(sizeof NAMES / sizeof *NAMES) ? NAMES[status] : "an unknown status";
}

static int fail_status(const struct rpc *rpc, const char *what, struct failure *failure)
{
    failure_set(failure, CFGS_ERR_REFUSED, "%s: %s%s%s", what, status_name(rpc->grpc_status),
                rpc->message[0] ? ": " : "", rpc->message);
    failure->grpc_status = rpc->grpc_status;
    return failure->code;
}

/* Without a grpc-status: what the transport said is all there is. */
static int fail_without_status(const struct rpc *rpc, const char *what, struct failure *failure)
{
    if (rpc->reset_by_peer && rpc->reset_code != NGHTTP2_NO_ERROR) {
        failure_set(failure, CFGS_ERR_REFUSED, "%s: the server reset the stream: %s (%s)", what,
                    status_name(status_of_reset(rpc->reset_code)), nghttp2_http2_strerror(rpc->reset_code));
        failure->grpc_status = status_of_reset(rpc->reset_code);
    } else if (!rpc->reset_by_peer && rpc->reset_code == NGHTTP2_REFUSED_STREAM) {
        failure_set(failure, CFGS_ERR_REFUSED, "%s: the server takes no more calls on this connection", what);
        failure->grpc_status = GRPC_UNAVAILABLE;
    } else if (rpc->reset_code != NGHTTP2_NO_ERROR) {
        failure_set(failure, CFGS_ERR_PROTOCOL, "%s: the server broke HTTP/2: %s", what,
                    nghttp2_http2_strerror(rpc->reset_code));
    } else if (rpc->http_status && rpc->http_status != 200) {
        failure_set(failure, CFGS_ERR_REFUSED, "%s: HTTP status %d, and no gRPC", what, rpc->http_status);
    } else {
        failure_set(failure, CFGS_ERR_PROTOCOL, "%s: the answer ended without a grpc-status", what);
    }
    return failure->code;
}

int rpc_outcome(struct rpc *rpc, const char *what, struct failure *failure)
{
    if (rpc->broken) {
        *failure = rpc->failure;
        return failure->code;
    }
    if (rpc->grpc_status < 0)
        return fail_without_status(rpc, what, failure);
    if (rpc->grpc_status != GRPC_OK)
        return fail_status(rpc, what, failure);
    if (!rpc->streaming && !rpc->answered)
        return failure_set(failure, CFGS_ERR_PROTOCOL, "%s: the status is OK, and there is no answer", what);
    if (rpc->streaming && !framer_is_between(&rpc->framer))
        return failure_set(failure, CFGS_ERR_PROTOCOL, "%s: the stream ended in the middle of a message", what);
    return CFGS_OK;
}
