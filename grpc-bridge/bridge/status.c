/* bridge/status.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/status.h"

#include "bridge/totals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGENTS_TOLD = 10000 };

typedef Configstream__Control__BridgeAgent agent_facts;
typedef Configstream__Control__BridgeFacts bridge_facts;

/* protobuf-c wants pointers to pointers; what they point to is copied here. */
struct agent_list {
    struct told {
        agent_facts facts;
        struct registry_agent agent;
    } *all;
    agent_facts **pointers;
    size_t count, room;
};

/* ---- facts ------------------------------------------------------------------------------------------------------- */

static bool make_room(struct agent_list *list, size_t room)
{
    list->room = room < AGENTS_TOLD ? room : AGENTS_TOLD;
    if (!list->room)
        return true;
    list->all = calloc(list->room, sizeof *list->all);
    list->pointers = calloc(list->room, sizeof(agent_facts *));
    return list->all && list->pointers;
}

static void add_agent(void *context, const struct registry_agent *agent)
{
    struct agent_list *list = context;
    if (list->count == list->room)
        return;
    struct told *told = &list->all[list->count];
    configstream__control__bridge_agent__init(&told->facts);
    told->agent = *agent;
    told->facts.session_prefix = told->agent.session_prefix;
    told->facts.flavor = told->agent.flavor;
    told->facts.display_name = told->agent.display_name;
    told->facts.idle_ms = agent->idle_ms > 0 ? (uint64_t)agent->idle_ms : 0;
    told->facts.streams = agent->streams;
    told->facts.last_sequence = agent->last_sequence;
    list->pointers[list->count++] = &told->facts;
}

static uint64_t worst_lag(const struct bridge *bridge)
{
    uint64_t worst = 0;
    for (unsigned i = 0; i < bridge->worker_count; i++) {
        uint64_t lag = of_worker(&bridge->workers[i], offsetof(struct counters, lag));
        worst = lag > worst ? lag : worst;
    }
    return worst;
}

static bool append_facts(const struct status *status, control_response *response, const struct agent_list *list,
                         struct buffer *reply)
{
    char names[LISTEN_ADDRESSES_MAX][LISTEN_NAME_BYTES], *listen[LISTEN_ADDRESSES_MAX];
    bridge_facts facts = CONFIGSTREAM__CONTROL__BRIDGE_FACTS__INIT;
    for (unsigned i = 0; i < status->addresses->count; i++) {
        listen_name(&status->addresses->all[i], names[i]);
        listen[i] = names[i];
    }
    facts.listen = listen;
    facts.n_listen = status->addresses->count;
    facts.streams = of_all(status->bridge, offsetof(struct counters, subscribers));
    facts.connections = of_all(status->bridge, offsetof(struct counters, connections));
    facts.lag = worst_lag(status->bridge);
    facts.agent_count = registry_count(status->bridge->registry);
    facts.agents = list->pointers;
    facts.n_agents = list->count;
    response->bridge = &facts;
    return frame_append(reply, &response->base);
}

static bool answer_status(const struct status *status, control_response *response, struct buffer *reply)
{
    struct agent_list list = {0};
    bool ok = make_room(&list, registry_count(status->bridge->registry));
    if (ok) {
        registry_each(status->bridge->registry, add_agent, &list);
        ok = append_facts(status, response, &list, reply);
    }
    free(list.pointers);
    free(list.all);
    return ok;
}

static bool handle(void *context, const struct control_peer *peer, const control_request *request,
                   struct buffer *reply)
{
    char words[] = "the bridge answers status only; settings are the daemon's affair";
    control_response response = CONFIGSTREAM__CONTROL__RESPONSE__INIT;
    (void)peer;
    if (request->operation_case == CONFIGSTREAM__CONTROL__REQUEST__OPERATION_STATUS)
        return answer_status(context, &response, reply);
    response.result = CONFIGSTREAM__CONTROL__RESULT__REFUSED;
    response.error = words;
    return frame_append(reply, &response.base);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

bool status_open(struct status *status, const struct bridge *bridge, const struct listen_addresses *addresses,
                 const struct status_options *options, struct problem *problem)
{
    char name[CONTROL_PATH_MAX_BYTES + 1], path[CONTROL_PATH_MAX_BYTES + 1];
    snprintf(name, sizeof name, "%s.bridge", options->instance);
    if (!options->path && !(control_path_default(name, path, problem) && control_path_prepare(path, problem)))
        return false;
    *status = (struct status){.bridge = bridge, .addresses = addresses};
    struct control_server_options server = {
        .path = options->path ? options->path : path,
        .set_group = options->set_group,
        .group = options->group,
        .handler = handle,
        .context = status,
        .log = &bridge->log,
    };
    return control_server_open(&status->server, &server, problem);
}
