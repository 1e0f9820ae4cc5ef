/*
 * reflection.c: server reflection as grpc-wire 7 has it, in both versions.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scene.h"

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "service/descriptors.h"

TestSuite(reflection, .init = scene_begin, .fini = scene_end);

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;
#define ASKS_FOR(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWERS(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static request asking(int what, const char *text)
{
    request asked = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    asked.host = borrowed("bridge.example.org");
    asked.message_request_case = what;
    asked.list_services = borrowed(text); /* all of them are texts in one place */
    return asked;
}

static struct call *open_call(void) { return fake_open(&worker, &service_reflection_v1, NULL); }

static response *next_answer(struct call *call)
{
    const uint8_t *message;
    size_t length;
    cr_assert(!call->over && fake_next(call, &message, &length), "there is an answer");
    response *answer = grpc__reflection__v1__server_reflection_response__unpack(NULL, length, message);
    cr_assert(answer);
    return answer;
}

static response *ask(struct call *call, int what, const char *text)
{
    request asked = asking(what, text);
    fake_send(call, &asked.base);
    return next_answer(call);
}

static void done_with(response *answer)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(answer, NULL);
}

/* Every file begins with its name: field 1, shorter than 128 bytes. */
static bool is_file(const ProtobufCBinaryData *file, const char *name)
{
    size_t length = strlen(name);
    return file->len > 2 + length && file->data[0] == 0x0a && file->data[1] == length &&
           memcmp(file->data + 2, name, length) == 0;
}

static bool has_file(const response *answer, const char *name)
{
    const Grpc__Reflection__V1__FileDescriptorResponse *files = answer->file_descriptor_response;
    cr_assert_eq(answer->message_response_case, ANSWERS(FILE_DESCRIPTOR_RESPONSE));
    for (size_t i = 0; i < files->n_file_descriptor_proto; i++)
        if (is_file(&files->file_descriptor_proto[i], name))
            return true;
    return false;
}

static size_t file_count(const response *answer) { return answer->file_descriptor_response->n_file_descriptor_proto; }

static void first_file_is(const response *answer, const char *name, const char *asked)
{
    cr_assert_eq(answer->message_response_case, ANSWERS(FILE_DESCRIPTOR_RESPONSE), "for %s", asked);
    cr_expect(is_file(&answer->file_descriptor_response->file_descriptor_proto[0], name), "for %s", asked);
}

static void is_error(response *answer, enum grpc_status status, const char *message)
{
    cr_assert_eq(answer->message_response_case, ANSWERS(ERROR_RESPONSE));
    cr_expect_eq(answer->error_response->error_code, (int)status);
    cr_expect_str_eq(answer->error_response->error_message, message);
    done_with(answer);
}

/* ---- services ---------------------------------------------------------------------------------------------------- */

Test(reflection, lists_all_services_sorted)
{
    static const char *const NAMES[] = {
        "datadog.api.v1.Agent", "datadog.api.v1.AgentSecure", "datadog.remoteagent.v1.RemoteAgent",
        "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"};
    struct call *call = open_call();
    response *answer = ask(call, ASKS_FOR(LIST_SERVICES), "*");
    cr_assert_eq(answer->message_response_case, ANSWERS(LIST_SERVICES_RESPONSE));
    cr_assert_eq(answer->list_services_response->n_service, 6);
    for (int i = 0; i < 6; i++)
        cr_expect_str_eq(answer->list_services_response->service[i]->name, NAMES[i]);
    done_with(answer);
    fake_close(call);
}

/* A method that is served and not described, or the other way round, would be found by nobody. */
Test(reflection, describes_exactly_the_methods_that_are_served)
{
    static const struct call_method *const METHODS[] = {
        &service_register, &service_refresh, &service_remote_register, &service_remote_refresh, &service_remote_report,
        &service_tagger_fetch_entity, &service_get_hostname, &service_health_check, &service_health_watch,
        &service_reflection_v1, &service_reflection_v1alpha};
    unsigned file;
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
        char symbol[128];
        snprintf(symbol, sizeof symbol, "%s", METHODS[i]->path + 1);
        *strchr(symbol, '/') = '.';
        cr_expect(descriptors_find_symbol(symbol, &file), "%s", symbol);
    }
    cr_expect(descriptors_find_symbol("datadog.api.v1.AgentSecure.StreamConfigEvents", &file));
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

Test(reflection, gives_a_file_first_and_then_what_it_imports)
{
    struct call *call = open_call();
    response *answer = ask(call, ASKS_FOR(FILE_BY_FILENAME), "datadog/api/v1/api.proto");
    first_file_is(answer, "datadog/api/v1/api.proto", "the file");
    cr_expect_eq(file_count(answer), 4);
    cr_expect(has_file(answer, "datadog/model/v1/model.proto"));
    cr_expect(has_file(answer, "datadog/remoteagent/v1/remoteagent.proto"));
    cr_expect(has_file(answer, "google/protobuf/struct.proto"), "imported by an import");
    done_with(answer);
    fake_close(call);
}

Test(reflection, gives_no_import_twice_on_a_stream_but_always_what_is_asked_for)
{
    struct call *call = open_call();
    done_with(ask(call, ASKS_FOR(FILE_BY_FILENAME), "datadog/api/v1/api.proto"));
    response *answer = ask(call, ASKS_FOR(FILE_BY_FILENAME), "datadog/model/v1/model.proto");
    cr_expect(file_count(answer) == 1 && has_file(answer, "datadog/model/v1/model.proto"));
    done_with(answer);
    fake_close(call);
    call = open_call();
    answer = ask(call, ASKS_FOR(FILE_BY_FILENAME), "datadog/model/v1/model.proto");
    cr_expect_eq(file_count(answer), 2, "another stream was given nothing yet");
    done_with(answer);
    fake_close(call);
}

Test(reflection, has_every_file_that_one_of_its_files_imports)
{
    unsigned files = 0;
    while (descriptors_file(files).at)
        files++;
    cr_assert(files == 7 && files <= DESCRIPTOR_FILES_MAX, "%u files", files);
    for (unsigned file = 0; file < files; file++) {
        bool imported[DESCRIPTOR_FILES_MAX] = {false};
        descriptors_mark_imports(file, imported);
        cr_expect(!imported[file], "none imports itself");
    }
}

Test(reflection, finds_symbols_of_every_kind)
{
    static const char *const SYMBOLS[][2] = {
        {"datadog.api.v1.AgentSecure", "datadog/api/v1/api.proto"},
        {"datadog.api.v1.AgentSecure.StreamConfigEvents", "datadog/api/v1/api.proto"},
        {"datadog.model.v1.ConfigEvent", "datadog/model/v1/model.proto"},
        {"datadog.model.v1.ConfigEvent.snapshot", "datadog/model/v1/model.proto"},
        {"datadog.model.v1.ConfigEvent.event", "datadog/model/v1/model.proto"},
        {"datadog.model.v1.TagCardinality", "datadog/model/v1/model.proto"},
        {"datadog.model.v1.ORCHESTRATOR", "datadog/model/v1/model.proto"},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"},
        {"grpc.health.v1.HealthCheckResponse.NOT_SERVING", "grpc/health/v1/health.proto"},
        {"google.protobuf.Struct.FieldsEntry", "google/protobuf/struct.proto"},
        {"google.protobuf.NULL_VALUE", "google/protobuf/struct.proto"},
        {"grpc.reflection.v1.ServerReflection.ServerReflectionInfo", "grpc/reflection/v1/reflection.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
    };
    struct call *call = open_call();
    for (size_t i = 0; i < sizeof SYMBOLS / sizeof *SYMBOLS; i++) {
        response *answer = ask(call, ASKS_FOR(FILE_CONTAINING_SYMBOL), SYMBOLS[i][0]);
        first_file_is(answer, SYMBOLS[i][1], SYMBOLS[i][0]);
        done_with(answer);
    }
    fake_close(call);
}

/* ---- what is not there ------------------------------------------------------------------------------------------- */

Test(reflection, tells_what_is_not_there_and_goes_on)
{
    static const char *const SYMBOLS[] = {"", ".", "datadog", "datadog.model.v1", "datadog.model.v1.", "ConfigEvent",
                                          ".datadog.model.v1.ConfigEvent", "datadog.model.v1.ConfigEven",
                                          "datadog.model.v1.ConfigEvents", "datadog.model.v1.ConfigEvent.",
                                          "datadog.model.v1.ConfigEvent.snapshot.x",
                                          "datadog.model.v1.TagCardinality.LOW",
                                          "datadog.api.v1.AgentSecure/StreamConfigEvents"};
    struct call *call = open_call();
    for (size_t i = 0; i < sizeof SYMBOLS / sizeof *SYMBOLS; i++)
        is_error(ask(call, ASKS_FOR(FILE_CONTAINING_SYMBOL), SYMBOLS[i]), GRPC_NOT_FOUND, "unknown symbol");
    is_error(ask(call, ASKS_FOR(FILE_BY_FILENAME), "model.proto"), GRPC_NOT_FOUND, "unknown file");
    is_error(ask(call, ASKS_FOR(FILE_BY_FILENAME), ""), GRPC_NOT_FOUND, "unknown file");
    is_error(ask(call, ASKS_FOR(ALL_EXTENSION_NUMBERS_OF_TYPE), "datadog.model.v1.Nothing"), GRPC_NOT_FOUND,
             "unknown type");
    is_error(ask(call, ASKS_FOR(ALL_EXTENSION_NUMBERS_OF_TYPE), "datadog.model.v1.TagCardinality"), GRPC_NOT_FOUND,
             "unknown type");
    is_error(ask(call, ASKS_FOR(_NOT_SET), NULL), GRPC_UNIMPLEMENTED, "the request asks for nothing we know");
    done_with(ask(call, ASKS_FOR(LIST_SERVICES), ""));
    fake_close(call);
}

/* Of small frames, a client may have so many unread that more would end its connection, and it need not tell what it read
 * before half its window is used up: a stream that goes on would have to wait for that. */
Test(reflection, no_answer_is_a_small_frame)
{
    struct call *call = open_call();
    for (size_t length = 0; length < 300; length++) {
        char name[301] = "";
        request asked = asking(ASKS_FOR(FILE_BY_FILENAME), memset(name, 'x', length));
        const uint8_t *message;
        size_t got;
        fake_send(call, &asked.base);
        cr_assert(fake_next(call, &message, &got));
        cr_expect_geq(GRPC_PREFIX_BYTES + got, 256);
        response *answer = grpc__reflection__v1__server_reflection_response__unpack(NULL, got, message);
        cr_assert(answer);
        cr_expect_str_eq(answer->original_request->file_by_filename, name);
        done_with(answer);
    }
    fake_close(call);
}

Test(reflection, knows_no_extensions)
{
    Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    request asked = asking(ASKS_FOR(FILE_CONTAINING_EXTENSION), NULL);
    struct call *call = open_call();
    response *answer = ask(call, ASKS_FOR(ALL_EXTENSION_NUMBERS_OF_TYPE), "datadog.model.v1.ConfigSetting");
    cr_assert_eq(answer->message_response_case, ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE));
    cr_expect_str_eq(answer->all_extension_numbers_response->base_type_name, "datadog.model.v1.ConfigSetting");
    cr_expect_eq(answer->all_extension_numbers_response->n_extension_number, 0);
    done_with(answer);
    extension.containing_type = borrowed("datadog.model.v1.ConfigSetting");
    extension.extension_number = 100;
    asked.file_containing_extension = &extension;
    fake_send(call, &asked.base);
    is_error(next_answer(call), GRPC_NOT_FOUND, "unknown extension");
    fake_close(call);
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

Test(reflection, says_in_every_answer_what_it_answers)
{
    struct call *call = open_call();
    response *answer = ask(call, ASKS_FOR(FILE_BY_FILENAME), "nothing.proto");
    cr_expect_str_eq(answer->valid_host, "bridge.example.org");
    cr_expect_str_eq(answer->original_request->host, "bridge.example.org");
    cr_expect_eq(answer->original_request->message_request_case, ASKS_FOR(FILE_BY_FILENAME));
    cr_expect_str_eq(answer->original_request->file_by_filename, "nothing.proto");
    done_with(answer);
    fake_close(call);
}

/* grpcurl waits for the trailers */
Test(reflection, ends_well_when_the_client_has_no_more_to_ask)
{
    struct call *call = open_call();
    done_with(ask(call, ASKS_FOR(LIST_SERVICES), ""));
    fake_half_close(call);
    cr_expect(call->finished && call->status == GRPC_OK);
    fake_close(call);
}

Test(reflection, of_the_older_version_answers_alike)
{
    struct call *call = fake_open(&worker, &service_reflection_v1alpha, NULL);
    response *answer = ask(call, ASKS_FOR(LIST_SERVICES), "");
    cr_expect_eq(answer->list_services_response->n_service, 6);
    done_with(answer);
    fake_half_close(call);
    cr_expect(call->finished);
    fake_close(call);
    cr_expect_str_eq(service_reflection_v1.path, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    cr_expect_str_eq(service_reflection_v1alpha.path, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    cr_expect(service_reflection_v1.interactive && service_reflection_v1alpha.interactive);
}

Test(reflection, that_is_switched_off_is_not_implemented)
{
    request asked = asking(ASKS_FOR(LIST_SERVICES), "");
    struct call *call = open_call();
    bridge.no_reflection = true;
    fake_send(call, &asked.base);
    fake_failed(call, GRPC_UNIMPLEMENTED, "reflection is switched off (--no-reflection)");
    fake_close(call);
}

Test(reflection, asked_in_no_protobuf_fails)
{
    struct call *call = open_call();
    fake_send_bytes(call, "\x3a\x05*", 3);
    fake_failed(call, GRPC_INTERNAL, "the request is no valid ServerReflectionRequest");
    fake_close(call);
}

Test(reflection, bears_no_endless_stream_of_requests)
{
    request asked = asking(ASKS_FOR(LIST_SERVICES), "");
    struct call *call = open_call();
    for (int i = 0; i < 10000; i++)
        fake_send(call, &asked.base);
    cr_expect(!call->over);
    fake_send(call, &asked.base);
    fake_failed(call, GRPC_RESOURCE_EXHAUSTED, "more than 10000 requests on one stream");
    fake_close(call);
}

Test(reflection, ends_where_the_client_takes_no_answers)
{
    request asked = asking(ASKS_FOR(LIST_SERVICES), "");
    struct call *call = open_call();
    call->limit = 1000;
    while (!call->over)
        fake_send(call, &asked.base);
    cr_expect_eq(call->status, GRPC_RESOURCE_EXHAUSTED);
    fake_close(call);
}
