/* client/registration.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/registration.h"

#include "datadog/model/v1/model.pb-c.h"
#include "datadog/remoteagent/v1/remoteagent.pb-c.h"

#include <stdlib.h>
#include <string.h>

const char *registration_register_path(bool legacy)
{
    return legacy ? "/datadog.api.v1.AgentSecure/RegisterRemoteAgent"
                  : "/datadog.remoteagent.v1.RemoteAgent/RegisterRemoteAgent";
}

const char *registration_refresh_path(bool legacy)
{
    return legacy ? "/datadog.api.v1.AgentSecure/RefreshRemoteAgent"
                  : "/datadog.remoteagent.v1.RemoteAgent/RefreshRemoteAgent";
}

static bool set_request(struct rpc *rpc, const ProtobufCMessage *message)
{
    uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);
    bool ok = bytes && rpc_set_request(rpc, bytes, protobuf_c_message_pack(message, bytes));
    free(bytes);
    return ok;
}

/* protobuf-c knows no const texts; none is changed. */
static char *text(const char *from)
{
    return (char *)(uintptr_t)from;
}

bool registration_ask(const struct setup *setup, struct rpc *rpc)
{
    Datadog__Remoteagent__V1__RegisterRemoteAgentRequest request =
        DATADOG__REMOTEAGENT__V1__REGISTER_REMOTE_AGENT_REQUEST__INIT;
    request.pid = text(setup->pid);
    request.flavor = text(setup->flavor);
    request.display_name = text(setup->display_name);
    request.api_endpoint_uri = text(setup->endpoint);
    return set_request(rpc, &request.base);
}

bool registration_ask_refresh(const char *session, struct rpc *rpc)
{
    Datadog__Remoteagent__V1__RefreshRemoteAgentRequest request =
        DATADOG__REMOTEAGENT__V1__REFRESH_REMOTE_AGENT_REQUEST__INIT;
    request.session_id = text(session);
    return set_request(rpc, &request.base);
}

bool registration_ask_stream(const struct setup *setup, struct rpc *rpc)
{
    Datadog__Model__V1__ConfigStreamRequest request = DATADOG__MODEL__V1__CONFIG_STREAM_REQUEST__INIT;
    request.name = text(setup->stream_name);
    return set_request(rpc, &request.base);
}

/* It goes into a header, so only what may stand there. */
static bool is_session(const char *session)
{
    size_t length = strlen(session);
    for (size_t i = 0; i < length; i++)
        if (session[i] < 0x21 || session[i] > 0x7e)
            return false;
    return length > 0 && length <= SESSION_MAX_BYTES;
}

int registration_take(const struct rpc *rpc, struct registration *out, struct failure *failure)
{
    Datadog__Remoteagent__V1__RegisterRemoteAgentResponse *response =
        datadog__remoteagent__v1__register_remote_agent_response__unpack(NULL, rpc->framer.length, rpc->framer.body);
    bool ok = response && is_session(response->session_id);
    if (ok) {
        snprintf(out->session, sizeof out->session, "%s", response->session_id);
        out->interval_s = response->recommended_refresh_interval_secs;
    }
    if (response)
        datadog__remoteagent__v1__register_remote_agent_response__free_unpacked(response, NULL);
    return ok ? CFGS_OK
              : failure_set(failure, CFGS_ERR_PROTOCOL, "registration: the answer holds no session that could be used");
}
