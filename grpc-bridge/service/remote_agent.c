/* service/remote_agent.c: registering, refreshing, reporting, by the older name and the newer one (upstream-facts 1.1).
 * SPDX-License-Identifier: Apache-2.0 */
#include "service/services.h"

#include "bridge/bridge.h"
#include "datadog/remoteagent/v1/remoteagent.pb-c.h"

enum { EVENTS_LOGGED_MAX = 10, PREFIX_BYTES = 8 };

static void fail_malformed(struct call *call, const char *message)
{
    call_fail(call, GRPC_INTERNAL, "the request is no valid %s", message);
}

static void fail_disabled(struct call *call) { call_fail(call, GRPC_UNIMPLEMENTED, "remote agent registry not enabled"); }

/* ---- register ---------------------------------------------------------------------------------------------------- */

static void reply_registered(struct call *call, char *session_id, int64_t interval_ms)
{
    Datadog__Remoteagent__V1__RegisterRemoteAgentResponse response =
        DATADOG__REMOTEAGENT__V1__REGISTER_REMOTE_AGENT_RESPONSE__INIT;
    response.session_id = session_id;
    response.recommended_refresh_interval_secs = interval_ms < 1000 ? 1 : (uint32_t)(interval_ms / 1000);
    uint8_t *message = call_worker(call)->scratch;
    size_t length = datadog__remoteagent__v1__register_remote_agent_response__pack(&response, message);
    call_reply(call, message, length);
}

static void fail_registration(struct call *call, enum registry_result result, const char *reason)
{
    if (result == REGISTRY_DISABLED)
        fail_disabled(call);
    else if (result == REGISTRY_INVALID)
        call_fail(call, GRPC_INVALID_ARGUMENT, "%s", reason);
    else if (result == REGISTRY_FULL)
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "as many remote agents as may be are registered");
    else
        call_fail(call, GRPC_UNAVAILABLE, "no memory for a session");
}

static void take_register(struct call *call, const uint8_t *bytes, size_t length)
{
    struct bridge *bridge = call_worker(call)->bridge;
    char session_id[SESSION_ID_BYTES], reason[256] = "";
    Datadog__Remoteagent__V1__RegisterRemoteAgentRequest *request =
        datadog__remoteagent__v1__register_remote_agent_request__unpack(NULL, length, bytes);
    if (!request) {
        fail_malformed(call, "RegisterRemoteAgentRequest");
        return;
    }
    struct registration registration = {request->pid, request->flavor, request->display_name, request->api_endpoint_uri,
                                        request->n_services};
    enum registry_result result = registry_register(bridge->registry, &registration, session_id, reason);
    if (result == REGISTRY_OK) {
        worker_tell(call_worker(call), LOG_INFO,
                    "configstream: remote agent '%s' registered: flavor '%s', session %.*s, %zu services",
                    request->display_name, request->flavor, PREFIX_BYTES, session_id, request->n_services);
        reply_registered(call, session_id, registry_get(bridge->registry).refresh_interval_ms);
    } else {
        fail_registration(call, result, reason);
    }
    datadog__remoteagent__v1__register_remote_agent_request__free_unpacked(request, NULL);
}

/* ---- refresh ----------------------------------------------------------------------------------------------------- */

static void take_refresh(struct call *call, const uint8_t *bytes, size_t length)
{
    struct registry *registry = call_worker(call)->bridge->registry;
    Datadog__Remoteagent__V1__RefreshRemoteAgentRequest *request =
        datadog__remoteagent__v1__refresh_remote_agent_request__unpack(NULL, length, bytes);
    if (!request)
        fail_malformed(call, "RefreshRemoteAgentRequest");
    else if (!registry_get(registry).enabled)
        fail_disabled(call);
    else if (registry_refresh(registry, request->session_id))
        call_reply(call, NULL, 0);
    else
        call_fail(call, GRPC_NOT_FOUND, "no remote agent found with session ID");
    datadog__remoteagent__v1__refresh_remote_agent_request__free_unpacked(request, NULL);
}

/* ---- report ------------------------------------------------------------------------------------------------------ */

/* What a client reports is for people to read; nothing else is done about it. */
static void log_events(struct worker *worker, const Datadog__Remoteagent__V1__ReportRemoteAgentEventRequest *request)
{
    size_t count = request->n_events < EVENTS_LOGGED_MAX ? request->n_events : EVENTS_LOGGED_MAX;
    for (size_t i = 0; i < count; i++) {
        const Datadog__Remoteagent__V1__Event *event = request->events[i];
        bool key = event->details_case == DATADOG__REMOTEAGENT__V1__EVENT__DETAILS_INVALID_API_KEY;
        worker_tell(worker, key ? LOG_WARN : LOG_INFO,
                    "configstream: the remote agent of session %.*s reports%s: %.200s", PREFIX_BYTES,
                    request->session_id, key ? " that its API key is not valid" : "", event->message);
    }
    if (count < request->n_events)
        worker_tell(worker, LOG_INFO, "configstream: the remote agent of session %.*s reports %zu events more",
                    PREFIX_BYTES, request->session_id, request->n_events - count);
}

static void take_report(struct call *call, const uint8_t *bytes, size_t length)
{
    struct bridge *bridge = call_worker(call)->bridge;
    Datadog__Remoteagent__V1__ReportRemoteAgentEventRequest *request =
        datadog__remoteagent__v1__report_remote_agent_event_request__unpack(NULL, length, bytes);
    if (!request) {
        fail_malformed(call, "ReportRemoteAgentEventRequest");
    } else if (!registry_get(bridge->registry).enabled) {
        fail_disabled(call);
    } else if (registry_refresh(bridge->registry, request->session_id)) {
        log_events(call_worker(call), request);
        call_reply(call, NULL, 0);
    } else {
        call_fail(call, GRPC_NOT_FOUND, "no remote agent found with session ID '%.*s'", SESSION_ID_BYTES - 1,
                  request->session_id);
    }
    datadog__remoteagent__v1__report_remote_agent_event_request__free_unpacked(request, NULL);
}

const struct call_method service_register = {
    .path = "/datadog.api.v1.AgentSecure/RegisterRemoteAgent", .take = take_register};
const struct call_method service_refresh = {
    .path = "/datadog.api.v1.AgentSecure/RefreshRemoteAgent", .take = take_refresh};
const struct call_method service_remote_register = {
    .path = "/datadog.remoteagent.v1.RemoteAgent/RegisterRemoteAgent", .take = take_register};
const struct call_method service_remote_refresh = {
    .path = "/datadog.remoteagent.v1.RemoteAgent/RefreshRemoteAgent", .take = take_refresh};
const struct call_method service_remote_report = {
    .path = "/datadog.remoteagent.v1.RemoteAgent/ReportRemoteAgentEvent", .take = take_report};
