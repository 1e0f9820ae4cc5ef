/*
 * health.c: grpc.health.v1 as grpc-wire 7 has it: Check, Watch, and what they follow.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scene.h"

#include "grpc/health/v1/health.pb-c.h"

TestSuite(health, .init = scene_begin, .fini = scene_end);

enum { UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN }; /* as on the wire */

static Grpc__Health__V1__HealthCheckRequest of_service(const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = borrowed(service);
    return request;
}

/* The next status that was sent; -1: none was. */
static int next_status(struct call *call)
{
    const uint8_t *message;
    size_t length;
    if (!fake_next(call, &message, &length))
        return -1;
    Grpc__Health__V1__HealthCheckResponse *response =
        grpc__health__v1__health_check_response__unpack(NULL, length, message);
    cr_assert(response);
    int status = (int)response->status;
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    return status;
}

static int check(const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = of_service(service);
    struct call *call = fake_ask(&worker, &service_health_check, &request.base);
    cr_assert(call->finished);
    int status = next_status(call);
    fake_close(call);
    return status;
}

static struct call *watch(const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = of_service(service);
    struct call *call = fake_open(&worker, &service_health_watch, NULL);
    fake_send(call, &request.base);
    cr_assert(call->begun && !call->over);
    return call;
}

/* What a look at the arena makes of a watch: what it sends, at most one status; -1: nothing. */
static int news_of(struct call *call)
{
    unsigned resumed = call->resumed;
    service_health_look(&worker);
    if (call->resumed == resumed)
        return -1;
    fake_pull(call, 1024, 0);
    cr_expect_eq(fake_pull(call, 1024, 0), 0);
    return next_status(call);
}

static void publish_first(void)
{
    set_int(publisher, "a", 1);
    service_health_look(&worker);
}

/* ---- what is served ---------------------------------------------------------------------------------------------- */

Test(health, is_not_serving_before_the_first_snapshot)
{
    service_health_look(&worker);
    cr_expect_eq(check(""), NOT_SERVING);
    publish_first();
    cr_expect_eq(check(""), SERVING);
}

/* Its ID is 0, and streams begin with it all the same. */
Test(health, is_serving_a_configuration_without_settings)
{
    first_commit(publisher);
    service_health_look(&worker);
    cr_expect_eq(check(""), SERVING);
}

Test(health, is_not_serving_without_an_arena)
{
    cfgs_reader *reader = worker.reader;
    publish_first();
    worker.reader = NULL;
    service_health_look(&worker);
    cr_expect_eq(check(""), NOT_SERVING);
    worker.reader = reader;
}

Test(health, is_not_serving_once_its_producer_is_gone)
{
    publish_first();
    cfgs_publisher_close(publisher, false);
    service_health_look(&worker);
    cr_expect_eq(check(""), NOT_SERVING);
    publisher = publish_in_memory(64); /* for the end of the scene */
}

Test(health, is_not_serving_from_the_beginning_of_the_end)
{
    publish_first();
    atomic_store(&bridge.draining, true);
    cr_expect_eq(check(""), NOT_SERVING);
}

Test(health, of_every_service_is_that_of_the_bridge)
{
    static const char *const SERVICES[] = {"datadog.api.v1.AgentSecure", "datadog.api.v1.Agent",
                                           "datadog.remoteagent.v1.RemoteAgent", "grpc.health.v1.Health"};
    for (size_t i = 0; i < sizeof SERVICES / sizeof *SERVICES; i++)
        cr_expect_eq(check(SERVICES[i]), NOT_SERVING, "of %s", SERVICES[i]);
    publish_first();
    for (size_t i = 0; i < sizeof SERVICES / sizeof *SERVICES; i++)
        cr_expect_eq(check(SERVICES[i]), SERVING, "of %s", SERVICES[i]);
}

Test(health, of_what_is_not_there_is_not_found)
{
    static const char *const SERVICES[] = {"datadog.api.v1.agentsecure", "datadog.api.v1", "nothing"};
    for (size_t i = 0; i < sizeof SERVICES / sizeof *SERVICES; i++) {
        Grpc__Health__V1__HealthCheckRequest request = of_service(SERVICES[i]);
        struct call *call = fake_ask(&worker, &service_health_check, &request.base);
        fake_failed(call, GRPC_NOT_FOUND, "unknown service");
        fake_close(call);
    }
}

/* ---- watching ---------------------------------------------------------------------------------------------------- */

Test(health, watched_is_told_at_once_and_then_at_each_change)
{
    service_health_look(&worker);
    struct call *call = watch("");
    fake_pull(call, 1024, 0);
    cr_expect_eq(next_status(call), NOT_SERVING);
    cr_expect_eq(news_of(call), -1, "nothing has changed");
    set_int(publisher, "a", 1);
    cr_expect_eq(news_of(call), SERVING);
    set_int(publisher, "a", 2);
    cr_expect_eq(news_of(call), -1, "it still serves");
    atomic_store(&bridge.draining, true);
    cr_expect_eq(news_of(call), NOT_SERVING);
    fake_close(call);
}

Test(health, watched_by_a_slow_client_is_told_only_as_it_is_now)
{
    service_health_look(&worker);
    struct call *call = watch("datadog.api.v1.AgentSecure");
    fake_pull(call, 3, 0); /* the first was cut */
    publish_first();
    atomic_store(&bridge.draining, true);
    service_health_look(&worker);
    atomic_store(&bridge.draining, false);
    service_health_look(&worker);
    fake_pull(call, 1024, 0);
    cr_expect_eq(next_status(call), NOT_SERVING, "the rest of the first");
    while (fake_pull(call, 1024, 0) > 0)
        continue;
    cr_expect_eq(next_status(call), SERVING);
    cr_expect_eq(next_status(call), -1, "the changes between are not told");
    fake_close(call);
}

Test(health, watched_of_what_is_not_there_stays_open)
{
    struct call *call = watch("nothing");
    fake_pull(call, 1024, 0);
    cr_expect_eq(next_status(call), SERVICE_UNKNOWN);
    set_int(publisher, "a", 1);
    cr_expect_eq(news_of(call), -1);
    cr_expect(!call->over);
    fake_close(call);
}

/* grpc-wire 6: for clients whose account of small frames is nearly used up */
Test(health, fills_a_frame_where_it_has_to_and_means_the_same)
{
    for (size_t at_least = 1; at_least <= 300; at_least++) {
        publish_first();
        struct call *call = watch("");
        cr_expect_geq(fake_pull(call, 1024, at_least), at_least);
        cr_expect_eq(next_status(call), SERVING, "in at least %zu bytes", at_least);
        fake_close(call);
    }
}

Test(health, asked_for_in_no_protobuf_fails)
{
    struct call *call = fake_open(&worker, &service_health_check, NULL);
    fake_send_bytes(call, "\x0a\x05x", 3);
    fake_failed(call, GRPC_INTERNAL, "the request is no valid HealthCheckRequest");
    fake_close(call);
    call = fake_open(&worker, &service_health_watch, NULL);
    fake_send_bytes(call, "\x0a\x05x", 3);
    fake_failed(call, GRPC_INTERNAL, "the request is no valid HealthCheckRequest");
    fake_close(call);
}

/* decision 6 */
Test(health, needs_no_token_on_loopback_and_stands_where_tools_look_for_it)
{
    cr_expect(service_health_check.open_on_loopback && service_health_watch.open_on_loopback);
    cr_expect_str_eq(service_health_check.path, "/grpc.health.v1.Health/Check");
    cr_expect_str_eq(service_health_watch.path, "/grpc.health.v1.Health/Watch");
}
