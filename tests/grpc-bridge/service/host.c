/*
 * host.c: the probe of one client, and the host's name (upstream-facts 1.6, 8; decision 7).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scene.h"

#include "datadog/model/v1/model.pb-c.h"

TestSuite(host, .init = scene_begin, .fini = scene_end);

static char *host_name(void)
{
    const uint8_t *message;
    size_t length;
    Datadog__Model__V1__HostnameRequest request = DATADOG__MODEL__V1__HOSTNAME_REQUEST__INIT;
    struct call *call = fake_ask(&worker, &service_get_hostname, &request.base);
    cr_assert(call->finished && fake_next(call, &message, &length));
    Datadog__Model__V1__HostnameReply *reply = datadog__model__v1__hostname_reply__unpack(NULL, length, message);
    cr_assert(reply);
    char *name = strdup(reply->hostname);
    datadog__model__v1__hostname_reply__free_unpacked(reply, NULL);
    fake_close(call);
    return name;
}

static void is_named(const char *expected)
{
    char *name = host_name();
    cr_expect_str_eq(name, expected);
    free(name);
}

static void kernels_name(char name[256])
{
    cr_assert_eq(gethostname(name, 256), 0);
}

Test(host, is_called_what_the_setting_says)
{
    set_text(publisher, "hostname", "web-17.example.org");
    is_named("web-17.example.org");
    set_text(publisher, "hostname", "web-18.example.org");
    is_named("web-18.example.org");
}

Test(host, is_called_what_the_kernel_says_where_there_is_no_setting)
{
    char name[256];
    kernels_name(name);
    is_named(name); /* not even a snapshot */
    first_commit(publisher);
    is_named(name);
    set_text(publisher, "hostname", "");
    is_named(name);
    set_int(publisher, "hostname", 17);
    is_named(name);
}

Test(host, is_called_what_the_kernel_says_without_a_producer)
{
    char name[256];
    cfgs_reader *reader = worker.reader;
    kernels_name(name);
    worker.reader = NULL;
    is_named(name);
    worker.reader = reader;
}

/* upstream-facts 8: anything but OK makes it give up */
Test(host, answers_the_probe_of_existing_clients_with_an_empty_message)
{
    const uint8_t *message;
    size_t length;
    Datadog__Model__V1__EntityId id = DATADOG__MODEL__V1__ENTITY_ID__INIT;
    Datadog__Model__V1__FetchEntityRequest request = DATADOG__MODEL__V1__FETCH_ENTITY_REQUEST__INIT;
    id.prefix = borrowed("container_id");
    id.uid = borrowed("nonexistent");
    request.id = &id;
    request.cardinality = DATADOG__MODEL__V1__TAG_CARDINALITY__HIGH;
    struct call *call = fake_ask(&worker, &service_tagger_fetch_entity, &request.base);
    cr_expect(call->finished && call->status == GRPC_OK);
    cr_expect(fake_next(call, &message, &length) && length == 0);
    fake_close(call);
}

Test(host, that_is_asked_in_no_protobuf_says_so)
{
    struct call *call = fake_open(&worker, &service_get_hostname, NULL);
    fake_send_bytes(call, "\x0a", 1);
    fake_failed(call, GRPC_INTERNAL, "the request is no valid HostnameRequest");
    fake_close(call);
    call = fake_open(&worker, &service_tagger_fetch_entity, NULL);
    fake_send_bytes(call, "\x0a", 1);
    fake_failed(call, GRPC_INTERNAL, "the request is no valid FetchEntityRequest");
    fake_close(call);
}

Test(host, finds_its_methods_by_their_paths)
{
    cr_expect_str_eq(service_tagger_fetch_entity.path, "/datadog.api.v1.AgentSecure/TaggerFetchEntity");
    cr_expect_str_eq(service_get_hostname.path, "/datadog.api.v1.Agent/GetHostname");
}
