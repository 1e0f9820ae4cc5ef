/* service/host.c: what clients ask besides: whether we are there, and what the host is called.
 * SPDX-License-Identifier: Apache-2.0 */
#include "service/services.h"

#include "bridge/bridge.h"
#include "datadog/model/v1/model.pb-c.h"

#include <configstream/get.h>
#include <unistd.h>

/* One client calls it to see whether the connection works, and takes anything but OK for a failure (upstream-facts 8). */
static void take_fetch_entity(struct call *call, const uint8_t *bytes, size_t length)
{
    Datadog__Model__V1__FetchEntityRequest *request =
        datadog__model__v1__fetch_entity_request__unpack(NULL, length, bytes);
    if (request)
        call_reply(call, NULL, 0);
    else
        call_fail(call, GRPC_INTERNAL, "the request is no valid FetchEntityRequest");
    datadog__model__v1__fetch_entity_request__free_unpacked(request, NULL);
}

/* The setting, where there is one and it is not empty; else the kernel's. */
static bool host_name(cfgs_reader *reader, char *name, size_t size)
{
    size_t length;
    if (reader && cfgs_get_string(reader, "hostname", name, size, &length) == CFGS_OK && length)
        return true;
    name[size - 1] = '\0';
    return gethostname(name, size - 1) == 0;
}

static void take_get_hostname(struct call *call, const uint8_t *bytes, size_t length)
{
    char name[1024];
    Datadog__Model__V1__HostnameReply reply = DATADOG__MODEL__V1__HOSTNAME_REPLY__INIT;
    Datadog__Model__V1__HostnameRequest *request = datadog__model__v1__hostname_request__unpack(NULL, length, bytes);
    uint8_t *message = call_worker(call)->scratch;
    reply.hostname = name;
    if (!request)
        call_fail(call, GRPC_INTERNAL, "the request is no valid HostnameRequest");
    else if (!host_name(call_worker(call)->reader, name, sizeof name))
        call_fail(call, GRPC_UNAVAILABLE, "the host's name is not to be had");
    else
        call_reply(call, message, datadog__model__v1__hostname_reply__pack(&reply, message));
    datadog__model__v1__hostname_request__free_unpacked(request, NULL);
}

const struct call_method service_tagger_fetch_entity = {
    .path = "/datadog.api.v1.AgentSecure/TaggerFetchEntity", .take = take_fetch_entity};
const struct call_method service_get_hostname = {
    .path = "/datadog.api.v1.Agent/GetHostname", .take = take_get_hostname};
