/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_call.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char fake_notice[4096];
unsigned fake_notices;

void worker_notice(struct worker *worker, enum worker_notice kind, const char *format, ...)
{
    char line[WORKER_NOTICE_BYTES];
    (void)worker, (void)kind;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    snprintf(fake_notice + strlen(fake_notice), sizeof fake_notice - strlen(fake_notice), "%s\n", line);
    fake_notices++;
}

void worker_tell(struct worker *worker, enum log_level level, const char *format, ...)
{
    char line[WORKER_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log_write(&worker->bridge->log, level, "%s", line);
}

/* ---- what services ask ------------------------------------------------------------------------------------------- */

struct worker *call_worker(const struct call *call) { return call->worker; }
void *call_state(const struct call *call) { return call->state; }
void call_set_state(struct call *call, void *state) { call->state = state; }
const struct call_method *call_method(const struct call *call) { return call->method; }
const char *call_session_id(const struct call *call) { return call->session_id; }
void call_begin(struct call *call) { call->begun = true; }
void call_resume(struct call *call) { call->resumed++; }

void call_add_metadata(struct call *call, const char *name, const char *value)
{
    cr_assert(!call->begun, "metadata goes out with the beginning");
    cr_assert(call->metadata_count < sizeof call->metadata / sizeof *call->metadata);
    snprintf(call->metadata[call->metadata_count][0], sizeof call->metadata[0][0], "%s", name);
    snprintf(call->metadata[call->metadata_count++][1], sizeof call->metadata[0][1], "%s", value);
}

void call_fail(struct call *call, enum grpc_status status, const char *format, ...)
{
    if (call->over)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->message, sizeof call->message, format, arguments);
    va_end(arguments);
    call->over = true;
    call->status = status;
}

static void put_out(struct call *call, const void *bytes, size_t length)
{
    call->output = realloc(call->output, call->length + length + 1);
    cr_assert(call->output);
    if (length)
        memcpy(call->output + call->length, bytes, length);
    call->length += length;
}

bool call_send(struct call *call, const uint8_t *message, size_t length)
{
    const uint8_t prefix[GRPC_PREFIX_BYTES] = {0, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                               (uint8_t)(length >> 8), (uint8_t)length};
    cr_assert(!call->over, "nothing is sent on a call that is over");
    if (call->limit && call->length + length > call->limit) {
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "the client takes none");
        return false;
    }
    call->begun = true;
    put_out(call, prefix, sizeof prefix);
    put_out(call, message, length);
    return true;
}

void call_finish(struct call *call)
{
    call->begun = call->finished = true;
    if (!call->over)
        call->status = GRPC_OK;
    call->over = true;
}

void call_reply(struct call *call, const uint8_t *message, size_t length)
{
    if (call_send(call, message, length))
        call_finish(call);
}

/* ---- what the client does ---------------------------------------------------------------------------------------- */

struct call *fake_open(struct worker *worker, const struct call_method *method, const char *session_id)
{
    struct call *call = calloc(1, sizeof *call);
    cr_assert(call);
    call->worker = worker;
    call->method = method;
    call->session_id = session_id;
    return call;
}

/* In memory of exactly that length, so that a sanitizer sees who reads beyond it. */
void fake_send_bytes(struct call *call, const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    cr_assert(copy);
    if (length)
        memcpy(copy, bytes, length);
    call->method->take(call, copy, length);
    free(copy);
}

void fake_send(struct call *call, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(length + 1);
    cr_assert(bytes);
    protobuf_c_message_pack(message, bytes);
    fake_send_bytes(call, bytes, length);
    free(bytes);
}

void fake_half_close(struct call *call) { call->method->half_closed(call); }

size_t fake_pull(struct call *call, size_t room, size_t at_least)
{
    uint8_t *to = malloc(room);
    cr_assert(to && call->begun && !call->over);
    size_t length = call->method->pull(call, to, room, at_least);
    cr_assert_leq(length, room);
    if (!call->over) /* else it is dropped, as the transport does */
        put_out(call, to, length);
    free(to);
    return length;
}

bool fake_next(struct call *call, const uint8_t **message, size_t *length)
{
    const uint8_t *prefix = call->output + call->read;
    size_t left = call->length - call->read;
    if (left < GRPC_PREFIX_BYTES)
        return false;
    cr_assert_eq(prefix[0], 0, "messages are not compressed");
    size_t announced = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];
    if (left - GRPC_PREFIX_BYTES < announced)
        return false;
    *message = prefix + GRPC_PREFIX_BYTES;
    *length = announced;
    call->read += GRPC_PREFIX_BYTES + announced;
    return true;
}

void fake_close(struct call *call)
{
    if (call->method->closed)
        call->method->closed(call);
    free(call->output);
    free(call);
}

struct call *fake_ask(struct worker *worker, const struct call_method *method, const ProtobufCMessage *message)
{
    struct call *call = fake_open(worker, method, NULL);
    fake_send(call, message);
    cr_assert(call->over, "a unary call is answered at once");
    return call;
}

void fake_failed(const struct call *call, enum grpc_status status, const char *message)
{
    cr_assert(call->over && !call->finished, "the call goes on");
    cr_expect_eq(call->status, status, "status %d", (int)call->status);
    cr_expect_str_eq(call->message, message);
}
