/*
 * remote_agent.c: registering, refreshing and reporting, by both names (upstream-facts 1.1, 1.5, 2.5, 3).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scene.h"

#include "datadog/remoteagent/v1/remoteagent.pb-c.h"

TestSuite(remote_agent, .init = scene_begin, .fini = scene_end);

typedef Datadog__Remoteagent__V1__RegisterRemoteAgentRequest registering;
typedef Datadog__Remoteagent__V1__RegisterRemoteAgentResponse registered;

static registering agent(void)
{
    registering request = DATADOG__REMOTEAGENT__V1__REGISTER_REMOTE_AGENT_REQUEST__INIT;
    request.pid = borrowed("4711");
    request.flavor = borrowed("trace_agent");
    request.display_name = borrowed("Trace Agent");
    request.api_endpoint_uri = borrowed("https://localhost:5012");
    return request;
}

static registered *answer_of(struct call *call)
{
    const uint8_t *message;
    size_t length;
    cr_assert(call->finished && fake_next(call, &message, &length));
    registered *answer = datadog__remoteagent__v1__register_remote_agent_response__unpack(NULL, length, message);
    cr_assert(answer);
    return answer;
}

static void session_by(const struct call_method *method, char session[SESSION_ID_BYTES])
{
    registering request = agent();
    struct call *call = fake_ask(&worker, method, &request.base);
    registered *answer = answer_of(call);
    cr_assert_eq(strlen(answer->session_id), SESSION_ID_BYTES - 1);
    memcpy(session, answer->session_id, SESSION_ID_BYTES);
    datadog__remoteagent__v1__register_remote_agent_response__free_unpacked(answer, NULL);
    fake_close(call);
}

static struct call *refresh(const struct call_method *method, char *session)
{
    Datadog__Remoteagent__V1__RefreshRemoteAgentRequest request =
        DATADOG__REMOTEAGENT__V1__REFRESH_REMOTE_AGENT_REQUEST__INIT;
    request.session_id = session;
    return fake_ask(&worker, method, &request.base);
}

static struct call *report(char *session, Datadog__Remoteagent__V1__Event **events, size_t count)
{
    Datadog__Remoteagent__V1__ReportRemoteAgentEventRequest request =
        DATADOG__REMOTEAGENT__V1__REPORT_REMOTE_AGENT_EVENT_REQUEST__INIT;
    request.session_id = session;
    request.events = events;
    request.n_events = count;
    return fake_ask(&worker, &service_remote_report, &request.base);
}

/* An empty message, with OK. */
static void is_empty_ok(struct call *call)
{
    const uint8_t *message;
    size_t length;
    cr_assert(call->finished && call->status == GRPC_OK, "status %d", (int)call->status);
    cr_expect(fake_next(call, &message, &length) && length == 0);
    fake_close(call);
}

static void has_failed(struct call *call, enum grpc_status status, const char *message)
{
    fake_failed(call, status, message);
    fake_close(call);
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

Test(remote_agent, gets_a_session_and_is_told_when_to_refresh)
{
    registering request = agent();
    struct call *call = fake_ask(&worker, &service_remote_register, &request.base);
    registered *answer = answer_of(call);
    cr_expect_eq(strlen(answer->session_id), 36);
    cr_expect_eq(answer->recommended_refresh_interval_secs, 10);
    cr_expect_eq(registry_count(bridge.registry), 1);
    datadog__remoteagent__v1__register_remote_agent_response__free_unpacked(answer, NULL);
    fake_close(call);
}

/* upstream-facts 1.1: one table for both names */
Test(remote_agent, of_the_older_name_is_known_by_the_newer_one_and_the_other_way_round)
{
    char older[SESSION_ID_BYTES], newer[SESSION_ID_BYTES];
    session_by(&service_register, older);
    session_by(&service_remote_register, newer);
    is_empty_ok(refresh(&service_remote_refresh, older));
    is_empty_ok(refresh(&service_refresh, newer));
    is_empty_ok(refresh(&service_refresh, older));
    is_empty_ok(refresh(&service_remote_refresh, newer));
}

Test(remote_agent, is_told_a_second_where_the_interval_is_shorter)
{
    struct registry_settings settings = registry_get(bridge.registry);
    settings.refresh_interval_ms = 200; /* 0 seconds would be taken for "none recommended" (upstream-facts 5) */
    registry_set(bridge.registry, &settings);
    registering request = agent();
    struct call *call = fake_ask(&worker, &service_register, &request.base);
    registered *answer = answer_of(call);
    cr_expect_eq(answer->recommended_refresh_interval_secs, 1);
    datadog__remoteagent__v1__register_remote_agent_response__free_unpacked(answer, NULL);
    fake_close(call);
}

/* decision 26 */
Test(remote_agent, with_an_invalid_field_is_refused_by_its_name)
{
    registering request = agent();
    request.display_name = borrowed("  ");
    has_failed(fake_ask(&worker, &service_remote_register, &request.base), GRPC_INVALID_ARGUMENT,
               "display_name: must not be blank");
    request = agent();
    request.api_endpoint_uri = borrowed("http://localhost:80");
    has_failed(fake_ask(&worker, &service_register, &request.base), GRPC_INVALID_ARGUMENT,
               "api_endpoint_uri: its scheme must be https, unix or vsock, or there must be none");
    cr_expect_eq(registry_count(bridge.registry), 0);
}

Test(remote_agent, beyond_the_limit_is_refused_without_being_told_to_register_again)
{
    char session[SESSION_ID_BYTES];
    registering request = agent();
    for (int i = 0; i < 3; i++)
        session_by(&service_register, session);
    has_failed(fake_ask(&worker, &service_register, &request.base), GRPC_RESOURCE_EXHAUSTED,
               "as many remote agents as may be are registered");
}

Test(remote_agent, is_logged_with_no_more_of_its_session_than_a_prefix)
{
    char session[SESSION_ID_BYTES], prefix[128];
    scene_catch_log(LOG_TRACE);
    session_by(&service_register, session);
    snprintf(prefix, sizeof prefix, "remote agent 'Trace Agent' registered: flavor 'trace_agent', session %.8s,",
             session);
    cr_expect_eq(scene_logged(prefix), 1);
    cr_expect_eq(scene_logged(session), 0);
}

/* ---- refreshing -------------------------------------------------------------------------------------------------- */

/* upstream-facts 2.5: clients tell by this code that they have to register again */
Test(remote_agent, that_refreshes_an_unknown_session_hears_that_there_is_none)
{
    static char unknown[] = "3b241101-e2bb-4255-8caf-4136c566a962", empty[] = "";
    has_failed(refresh(&service_refresh, unknown), GRPC_NOT_FOUND, "no remote agent found with session ID");
    has_failed(refresh(&service_remote_refresh, empty), GRPC_NOT_FOUND, "no remote agent found with session ID");
}

Test(remote_agent, whose_session_is_over_hears_that_there_is_none)
{
    char session[SESSION_ID_BYTES];
    session_by(&service_register, session);
    scene_sessions_end();
    has_failed(refresh(&service_refresh, session), GRPC_NOT_FOUND, "no remote agent found with session ID");
}

/* ---- reporting --------------------------------------------------------------------------------------------------- */

Test(remote_agent, reports_events_into_the_log)
{
    char session[SESSION_ID_BYTES];
    Datadog__Remoteagent__V1__InvalidApiKeyEvent key = DATADOG__REMOTEAGENT__V1__INVALID_API_KEY_EVENT__INIT;
    Datadog__Remoteagent__V1__Event plain = DATADOG__REMOTEAGENT__V1__EVENT__INIT, invalid = plain, *events[12];
    plain.message = borrowed("something\nhappened");
    invalid.message = borrowed("403");
    invalid.details_case = DATADOG__REMOTEAGENT__V1__EVENT__DETAILS_INVALID_API_KEY;
    invalid.invalid_api_key = &key;
    for (int i = 0; i < 12; i++)
        events[i] = i ? &plain : &invalid;
    session_by(&service_register, session);
    scene_catch_log(LOG_INFO);
    is_empty_ok(report(session, events, 12));
    cr_expect_eq(scene_logged("reports that its API key is not valid: 403"), 1);
    cr_expect_eq(scene_logged("reports: something\\x0ahappened"), 9);
    cr_expect_eq(scene_logged("reports 2 events more"), 1);
    cr_expect_eq(scene_logged(session), 0);
}

Test(remote_agent, that_reports_for_an_unknown_session_hears_which)
{
    static char unknown[] = "3b241101-e2bb-4255-8caf-4136c566a962";
    has_failed(report(unknown, NULL, 0), GRPC_NOT_FOUND,
               "no remote agent found with session ID '3b241101-e2bb-4255-8caf-4136c566a962'");
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const struct call_method *const METHODS[] = {&service_register, &service_remote_register, &service_refresh,
                                                    &service_remote_refresh, &service_remote_report};

/* upstream-facts 2.5 */
Test(remote_agent, hears_from_every_method_that_the_registry_is_disabled)
{
    char session[SESSION_ID_BYTES];
    registering request = agent();
    session_by(&service_register, session);
    scene_disable_registry();
    has_failed(fake_ask(&worker, &service_register, &request.base), GRPC_UNIMPLEMENTED,
               "remote agent registry not enabled");
    has_failed(fake_ask(&worker, &service_remote_register, &request.base), GRPC_UNIMPLEMENTED,
               "remote agent registry not enabled");
    has_failed(refresh(&service_refresh, session), GRPC_UNIMPLEMENTED, "remote agent registry not enabled");
    has_failed(refresh(&service_remote_refresh, session), GRPC_UNIMPLEMENTED, "remote agent registry not enabled");
    has_failed(report(session, NULL, 0), GRPC_UNIMPLEMENTED, "remote agent registry not enabled");
}

Test(remote_agent, that_sends_no_protobuf_hears_which_message_it_should_have_been)
{
    static const char *const MESSAGES[] = {
        "the request is no valid RegisterRemoteAgentRequest", "the request is no valid RegisterRemoteAgentRequest",
        "the request is no valid RefreshRemoteAgentRequest", "the request is no valid RefreshRemoteAgentRequest",
        "the request is no valid ReportRemoteAgentEventRequest"};
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
        struct call *call = fake_open(&worker, METHODS[i], NULL);
        fake_send_bytes(call, "\xff\xff\xff", 3);
        has_failed(call, GRPC_INTERNAL, MESSAGES[i]);
    }
}

Test(remote_agent, finds_its_methods_by_their_paths)
{
    static const char *const PATHS[] = {
        "/datadog.api.v1.AgentSecure/RegisterRemoteAgent", "/datadog.remoteagent.v1.RemoteAgent/RegisterRemoteAgent",
        "/datadog.api.v1.AgentSecure/RefreshRemoteAgent", "/datadog.remoteagent.v1.RemoteAgent/RefreshRemoteAgent",
        "/datadog.remoteagent.v1.RemoteAgent/ReportRemoteAgentEvent"};
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++)
        cr_expect_str_eq(METHODS[i]->path, PATHS[i]);
}
