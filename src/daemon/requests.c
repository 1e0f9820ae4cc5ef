/* daemon/requests.c: what the control socket asks for.  SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "resolve/json.h"

#include <configstream/version.h>
#include <stdlib.h>
#include <string.h>

#define RESULT(name) CONFIGSTREAM__CONTROL__RESULT__##name

/* One request on its way: what it may read, and the answer it fills. */
struct call {
    struct daemon *daemon;
    const struct control_peer *peer;
    control_response *response;
    struct problem problem;
};

static bool refuse(struct call *call)
{
    call->response->result = RESULT(REFUSED);
    call->response->error = call->problem.text;
    return true;
}

/* Every set, unset and reload leaves a line; the value never stands in it. */
static void log_change(const struct call *call, const char *what, const ProtobufCBinaryData *key, const char *source,
                       bool ok)
{
    const struct log *log = &call->daemon->log;
    const struct control_peer *peer = call->peer;
    int length = key->len > 1024 ? 1024 : (int)key->len;
    if (ok)
        log_write(log, LOG_INFO, "%s key='%.*s' source=%.64s uid=%u pid=%d: %llu changed, last ID %llu", what, length,
                  (const char *)key->data, source, (unsigned)peer->uid, (int)peer->pid,
                  (unsigned long long)call->response->changes,
                  (unsigned long long)cfgs_publisher_sequence(call->daemon->publisher));
    else
        log_write(log, LOG_ERROR, "%s key='%.*s' source=%.64s uid=%u pid=%d refused: %s", what, length,
                  (const char *)key->data, source, (unsigned)peer->uid, (int)peer->pid, call->problem.text);
}

static bool publish(struct call *call)
{
    struct daemon *daemon = call->daemon;
    uint64_t changes = 0;
    bool ok = config_publish(&daemon->config, daemon->publisher, false, &changes, &call->problem);
    call->response->changes = changes;
    if (ok)
        daemon_follow_log_level(daemon);
    return ok;
}

/* ---- set and unset ----------------------------------------------------------------------------------------------- */

static bool take_value(const Configstream__Control__SetRequest *set, struct set_request *request,
                       struct problem *problem)
{
    const ProtobufCBinaryData *value;
    switch (set->value_case) {
    case CONFIGSTREAM__CONTROL__SET_REQUEST__VALUE_TEXT:
        request->form = VALUE_TEXT;
        value = &set->text;
        break;
    case CONFIGSTREAM__CONTROL__SET_REQUEST__VALUE_JSON:
        request->form = VALUE_JSON;
        value = &set->json;
        break;
    case CONFIGSTREAM__CONTROL__SET_REQUEST__VALUE_FILE:
        request->form = VALUE_FILE;
        value = &set->file;
        break;
    default: return problem_set(problem, "the request holds no value");
    }
    request->value = value->len ? (const char *)value->data : "";
    request->value_length = value->len;
    return true;
}

static bool handle_set(struct call *call, const Configstream__Control__SetRequest *set)
{
    struct set_request request = {
        .key = (const char *)set->key.data,
        .key_length = set->key.len,
        .source = cfgs_source_parse(set->source, strlen(set->source)),
    };
    bool ok = take_value(set, &request, &call->problem) &&
              config_stage_set(&call->daemon->config, &request, &call->problem) && publish(call);
    log_change(call, "set", &set->key, set->source, ok);
    if (ok && request.converted)
        log_write(&call->daemon->log, LOG_WARN, "set key='%.*s': the value was converted to the declared kind",
                  (int)set->key.len, (const char *)set->key.data);
    return ok || refuse(call);
}

static bool handle_unset(struct call *call, const Configstream__Control__UnsetRequest *unset)
{
    int source = cfgs_source_parse(unset->source, strlen(unset->source));
    bool ok = config_stage_unset(&call->daemon->config, (const char *)unset->key.data, unset->key.len, source,
                                 &call->problem) &&
              publish(call);
    log_change(call, "unset", &unset->key, unset->source, ok);
    return ok || refuse(call);
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

static bool handle_reload(struct call *call)
{
    uint64_t changes = 0;
    log_write(&call->daemon->log, LOG_INFO, "reload asked for by uid=%u pid=%d", (unsigned)call->peer->uid,
              (int)call->peer->pid);
    bool ok = daemon_reload(call->daemon, &changes, &call->problem);
    call->response->changes = changes;
    return ok || refuse(call);
}

static bool add_source(const struct slot *slot, int source, Configstream__Control__SourceValue *out)
{
    json_t *json = json_from_value(cfgs_copy_value(slot->values[source]));
    char *text = json ? json_to_text(json) : NULL;
    json_decref(json);
    if (!text)
        return false;
    out->source = (char *)(uintptr_t)cfgs_source_name(source); /* never written through */
    out->json.data = (uint8_t *)text;
    out->json.len = strlen(text);
    return true;
}

static bool handle_sources(struct call *call, const Configstream__Control__SourcesRequest *sources,
                           Configstream__Control__SourceValue values[CFGS_SOURCE_COUNT + 1],
                           Configstream__Control__SourceValue *list[CFGS_SOURCE_COUNT + 1])
{
    char key[CFGS_KEY_MAX_BYTES];
    size_t length = sources->key.len;
    const struct slot *slot = NULL;
    if (length && length <= sizeof key) {
        key_canonical(key, (const char *)sources->key.data, length);
        slot = store_find(&call->daemon->config.store, key, length);
    }
    if (!slot) {
        call->response->result = RESULT(NOT_FOUND);
        return true;
    }
    call->response->sources = list;
    for (int source = 1; source <= CFGS_SOURCE_COUNT; source++) {
        if (!slot->values[source])
            continue;
        Configstream__Control__SourceValue *value = &values[call->response->n_sources];
        configstream__control__source_value__init(value);
        if (!add_source(slot, source, value))
            return false;
        list[call->response->n_sources++] = value;
    }
    return true;
}

static void fill_status(struct call *call, Configstream__Control__StatusFacts *facts)
{
    struct daemon *daemon = call->daemon;
    const struct config_files *files = &daemon->options.files;
    configstream__control__status_facts__init(facts);
    /* protobuf-c's texts are not const, but packing only reads them */
    if (files->config)
        facts->config_file = (char *)(uintptr_t)files->config;
    if (files->defaults)
        facts->defaults_file = (char *)(uintptr_t)files->defaults;
    facts->warnings = daemon->warnings;
    facts->reload_error = daemon->reload_error.text;
    facts->clients = daemon->server.count;
    call->response->status = facts;
}

static bool dispatch(struct call *call, const control_request *request, struct buffer *reply)
{
    Configstream__Control__StatusFacts facts;
    Configstream__Control__SourceValue values[CFGS_SOURCE_COUNT + 1];
    Configstream__Control__SourceValue *list[CFGS_SOURCE_COUNT + 1];
    bool ok = true;
    switch (request->operation_case) {
    case CONFIGSTREAM__CONTROL__REQUEST__OPERATION_SET: ok = handle_set(call, request->set); break;
    case CONFIGSTREAM__CONTROL__REQUEST__OPERATION_UNSET: ok = handle_unset(call, request->unset); break;
    case CONFIGSTREAM__CONTROL__REQUEST__OPERATION_RELOAD: ok = handle_reload(call); break;
    case CONFIGSTREAM__CONTROL__REQUEST__OPERATION_STATUS: fill_status(call, &facts); break;
    case CONFIGSTREAM__CONTROL__REQUEST__OPERATION_SOURCES:
        ok = handle_sources(call, request->sources, values, list);
        break;
    default:
        problem_set(&call->problem, "this daemon (%s) does not know the request", cfgs_version());
        log_write(&call->daemon->log, LOG_WARN, "request of uid=%u pid=%d refused: %s", (unsigned)call->peer->uid,
                  (int)call->peer->pid, call->problem.text);
        ok = refuse(call);
    }
    call->response->sequence = cfgs_publisher_sequence(call->daemon->publisher);
    ok = ok && frame_append(reply, &call->response->base);
    for (size_t i = 0; i < call->response->n_sources; i++)
        free(values[i].json.data);
    return ok;
}

bool daemon_handle_request(void *context, const struct control_peer *peer, const control_request *request,
                           struct buffer *reply)
{
    control_response response;
    configstream__control__response__init(&response);
    struct call call = {.daemon = context, .peer = peer, .response = &response};
    return dispatch(&call, request, reply);
}
