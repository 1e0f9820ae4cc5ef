/*
 * service/reflection.c: grpc.reflection.v1 and v1alpha (grpc-wire 7): what we serve, for tools such as grpcurl.
 *
 * Both versions are the same on the wire, so the messages of one serve for both.  Whatever a request asks for that is
 * not there is told within the stream, which goes on.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/services.h"

#include "bridge/bridge.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "service/descriptors.h"
#include "service/filling.h"

#include <stdlib.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;
#define ASKS_FOR(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWERS(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

enum {
    REQUESTS_MAX = 10000, /* of one stream: a tool that describes everything asks a few dozen times */
    SMALL_BYTES = 256 - GRPC_PREFIX_BYTES /* smaller ones would cost, and their stream goes on without giving it back */
};

struct reflection {
    unsigned requests;
    bool sent[DESCRIPTOR_FILES_MAX];
};

/* Every answer says what it answers. */
static void answer(struct call *call, request *asked, response *with)
{
    with->valid_host = asked->host;
    with->original_request = asked;
    size_t length = grpc__reflection__v1__server_reflection_response__get_packed_size(with);
    uint8_t *message = malloc((length > SMALL_BYTES ? length : SMALL_BYTES) + FILLING_HEAD_BYTES);
    if (message) {
        grpc__reflection__v1__server_reflection_response__pack(with, message);
        call_send(call, message, fill_message(message, length, SMALL_BYTES));
    } else {
        call_fail(call, GRPC_UNAVAILABLE, "no memory for an answer");
    }
    free(message);
}

static void answer_error(struct call *call, request *asked, enum grpc_status status, const char *message)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    response with = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    error.error_code = (int32_t)status;
    error.error_message = (char *)(uintptr_t)message; /* the generated type is not const */
    with.message_response_case = ANSWERS(ERROR_RESPONSE);
    with.error_response = &error;
    answer(call, asked, &with);
}

static ProtobufCBinaryData bytes_of(unsigned file)
{
    struct span bytes = descriptors_file(file);
    return (ProtobufCBinaryData){.len = (size_t)(bytes.end - bytes.at), .data = (uint8_t *)(uintptr_t)bytes.at};
}

/* The file asked for goes first; of its imports what this stream was not given before. */
static void answer_file(struct call *call, request *asked, unsigned file)
{
    struct reflection *reflection = call_state(call);
    bool imported[DESCRIPTOR_FILES_MAX] = {false};
    ProtobufCBinaryData files[DESCRIPTOR_FILES_MAX + 1] = {bytes_of(file)};
    Grpc__Reflection__V1__FileDescriptorResponse list = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    response with = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

    list.n_file_descriptor_proto = 1;
    list.file_descriptor_proto = files;
    reflection->sent[file] = true;
    descriptors_mark_imports(file, imported);
    for (unsigned i = 0; i < DESCRIPTOR_FILES_MAX; i++)
        if (imported[i] && !reflection->sent[i]) {
            files[list.n_file_descriptor_proto++] = bytes_of(i);
            reflection->sent[i] = true;
        }
    with.message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
    with.file_descriptor_response = &list;
    answer(call, asked, &with);
}

static void answer_services(struct call *call, request *asked)
{
    char names[DESCRIPTOR_SERVICES_MAX][DESCRIPTOR_NAME_BYTES];
    Grpc__Reflection__V1__ServiceResponse services[DESCRIPTOR_SERVICES_MAX], *pointers[DESCRIPTOR_SERVICES_MAX];
    Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    response with = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

    list.n_service = descriptors_services(names);
    for (size_t i = 0; i < list.n_service; i++) {
        services[i] = (Grpc__Reflection__V1__ServiceResponse)GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT;
        services[i].name = names[i];
        pointers[i] = &services[i];
    }
    list.service = pointers;
    with.message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    with.list_services_response = &list;
    answer(call, asked, &with);
}

/* Our messages have no extensions. */
static void answer_extensions(struct call *call, request *asked)
{
    Grpc__Reflection__V1__ExtensionNumberResponse numbers = GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    response with = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

    numbers.base_type_name = asked->all_extension_numbers_of_type;
    with.message_response_case = ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE);
    with.all_extension_numbers_response = &numbers;
    answer(call, asked, &with);
}

static void respond(struct call *call, request *asked)
{
    unsigned file;
    switch (asked->message_request_case) {
    case ASKS_FOR(LIST_SERVICES): answer_services(call, asked); break;
    case ASKS_FOR(FILE_BY_FILENAME):
        if (descriptors_find_file(asked->file_by_filename, &file))
            answer_file(call, asked, file);
        else
            answer_error(call, asked, GRPC_NOT_FOUND, "unknown file");
        break;
    case ASKS_FOR(FILE_CONTAINING_SYMBOL):
        if (descriptors_find_symbol(asked->file_containing_symbol, &file))
            answer_file(call, asked, file);
        else
            answer_error(call, asked, GRPC_NOT_FOUND, "unknown symbol");
        break;
    case ASKS_FOR(ALL_EXTENSION_NUMBERS_OF_TYPE):
        if (descriptors_is_message(asked->all_extension_numbers_of_type))
            answer_extensions(call, asked);
        else
            answer_error(call, asked, GRPC_NOT_FOUND, "unknown type");
        break;
    case ASKS_FOR(FILE_CONTAINING_EXTENSION): answer_error(call, asked, GRPC_NOT_FOUND, "unknown extension"); break;
    default: answer_error(call, asked, GRPC_UNIMPLEMENTED, "the request asks for nothing we know"); break;
    }
}

/* NULL: the call has failed. */
static struct reflection *reflection_of(struct call *call)
{
    struct reflection *reflection = call_state(call);
    if (reflection)
        return reflection;
    if (call_worker(call)->bridge->no_reflection) {
        call_fail(call, GRPC_UNIMPLEMENTED, "reflection is switched off (--no-reflection)");
        return NULL;
    }
    reflection = calloc(1, sizeof *reflection);
    if (reflection)
        call_set_state(call, reflection);
    else
        call_fail(call, GRPC_UNAVAILABLE, "no memory for a reflection stream");
    return reflection;
}

static void take(struct call *call, const uint8_t *bytes, size_t length)
{
    struct reflection *reflection = reflection_of(call);
    if (!reflection)
        return;
    if (++reflection->requests > REQUESTS_MAX) {
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "more than %d requests on one stream", REQUESTS_MAX);
        return;
    }
    request *asked = grpc__reflection__v1__server_reflection_request__unpack(NULL, length, bytes);
    if (asked)
        respond(call, asked);
    else
        call_fail(call, GRPC_INTERNAL, "the request is no valid ServerReflectionRequest");
    grpc__reflection__v1__server_reflection_request__free_unpacked(asked, NULL);
}

static void close_reflection(struct call *call) { free(call_state(call)); }

const struct call_method service_reflection_v1 = {
    .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    .interactive = true,
    .take = take,
    .half_closed = call_finish,
    .closed = close_reflection,
};
const struct call_method service_reflection_v1alpha = {
    .path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    .interactive = true,
    .take = take,
    .half_closed = call_finish,
    .closed = close_reflection,
};
