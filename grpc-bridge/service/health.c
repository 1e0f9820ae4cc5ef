/*
 * service/health.c: grpc.health.v1 (grpc-wire 7).  We serve while a first snapshot is there and its producer runs, and
 * until we drain; all services alike, since a client without a stream has nothing of the others.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/services.h"

#include "bridge/bridge.h"
#include "grpc/health/v1/health.pb-c.h"
#include "service/filling.h"

#include <stdlib.h>
#include <string.h>

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus health;
#define HEALTH(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

enum {
    NOT_SENT = -1,
    FRAME_MAX_BYTES = 320,
};

struct watch {
    struct list link; /* in worker->watches */
    struct call *call;
    bool known;
    int last; /* as sent, or NOT_SENT */
    uint8_t frame[FRAME_MAX_BYTES];
    size_t length, sent;
};

static bool is_known(const char *service)
{
    static const char *const SERVICES[] = {"", "datadog.api.v1.AgentSecure", "datadog.api.v1.Agent",
                                           "datadog.remoteagent.v1.RemoteAgent", "grpc.health.v1.Health"};
    for (size_t i = 0; i < sizeof SERVICES / sizeof *SERVICES; i++)
        if (strcmp(service, SERVICES[i]) == 0)
            return true;
    return false;
}

static health status_of(const struct worker *worker)
{
    /* relaxed: it is set before the workers are woken, and a look that comes too early is followed by another one. */
    bool draining = atomic_load_explicit(&worker->bridge->draining, memory_order_relaxed);
    return worker->serving && !draining ? HEALTH(SERVING) : HEALTH(NOT_SERVING);
}

static Grpc__Health__V1__HealthCheckRequest *parse(struct call *call, const uint8_t *bytes, size_t length)
{
    Grpc__Health__V1__HealthCheckRequest *request = grpc__health__v1__health_check_request__unpack(NULL, length, bytes);
    if (!request)
        call_fail(call, GRPC_INTERNAL, "the request is no valid HealthCheckRequest");
    return request;
}

static size_t pack(health status, uint8_t *to)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = status;
    return grpc__health__v1__health_check_response__pack(&response, to);
}

/* ---- Check ------------------------------------------------------------------------------------------------------- */

static void take_check(struct call *call, const uint8_t *bytes, size_t length)
{
    uint8_t message[16];
    Grpc__Health__V1__HealthCheckRequest *request = parse(call, bytes, length);
    if (!request)
        return;
    if (is_known(request->service))
        call_reply(call, message, pack(status_of(call_worker(call)), message));
    else
        call_fail(call, GRPC_NOT_FOUND, "unknown service");
    grpc__health__v1__health_check_request__free_unpacked(request, NULL);
}

/* ---- Watch ------------------------------------------------------------------------------------------------------- */

static void take_watch(struct call *call, const uint8_t *bytes, size_t length)
{
    Grpc__Health__V1__HealthCheckRequest *request = parse(call, bytes, length);
    if (!request)
        return;
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch) {
        watch->call = call;
        watch->known = is_known(request->service);
        watch->last = NOT_SENT;
        list_init(&watch->link);
        list_append(&call_worker(call)->watches, &watch->link);
        call_set_state(call, watch);
        call_begin(call);
    } else {
        call_fail(call, GRPC_UNAVAILABLE, "no memory for a watch");
    }
    grpc__health__v1__health_check_request__free_unpacked(request, NULL);
}

static health wanted(const struct watch *watch)
{
    return watch->known ? status_of(call_worker(watch->call)) : HEALTH(SERVICE_UNKNOWN);
}

static void make_frame(struct watch *watch, health status, size_t at_least)
{
    uint8_t *message = watch->frame + GRPC_PREFIX_BYTES;
    size_t want = at_least > GRPC_PREFIX_BYTES ? at_least - GRPC_PREFIX_BYTES : 0;
    size_t most = FRAME_MAX_BYTES - GRPC_PREFIX_BYTES - FILLING_HEAD_BYTES;
    size_t length = fill_message(message, pack(status, message), want < most ? want : most);
    watch->frame[0] = 0;
    for (int i = 0; i < 4; i++)
        watch->frame[1 + i] = (uint8_t)(length >> (24 - 8 * i));
    watch->length = GRPC_PREFIX_BYTES + length;
    watch->sent = 0;
    watch->last = (int)status;
}

/* Only the newest value counts: what changed to and fro meanwhile is not told. */
static size_t pull_watch(struct call *call, uint8_t *to, size_t room, size_t at_least)
{
    struct watch *watch = call_state(call);
    if (watch->sent == watch->length && watch->last != (int)wanted(watch))
        make_frame(watch, wanted(watch), at_least);
    size_t length = watch->length - watch->sent < room ? watch->length - watch->sent : room;
    memcpy(to, watch->frame + watch->sent, length);
    watch->sent += length;
    return length;
}

static void close_watch(struct call *call)
{
    struct watch *watch = call_state(call);
    if (!watch)
        return;
    list_remove(&watch->link);
    free(watch);
}

/* ---- news -------------------------------------------------------------------------------------------------------- */

/* A producer without a first snapshot is starting, not running.  The ID says nothing: an empty configuration's is 0. */
static bool producer_serves(cfgs_reader *reader)
{
    cfgs_reader_info info;
    return reader && cfgs_reader_status(reader, &info, sizeof info) == CFGS_OK && info.state == CFGS_PRODUCER_RUNNING;
}

void service_health_look(struct worker *worker)
{
    worker->serving = producer_serves(worker->reader);
    for (struct list *link = worker->watches.next; link != &worker->watches; link = link->next) {
        struct watch *watch = LIST_MEMBER(link, struct watch, link);
        if (watch->last != (int)wanted(watch))
            call_resume(watch->call);
    }
}

const struct call_method service_health_check = {
    .path = "/grpc.health.v1.Health/Check", .open_on_loopback = true, .take = take_check};
const struct call_method service_health_watch = {.path = "/grpc.health.v1.Health/Watch",
                                                 .open_on_loopback = true,
                                                 .take = take_watch,
                                                 .pull = pull_watch,
                                                 .closed = close_watch};
