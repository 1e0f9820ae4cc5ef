/* cli/bridge.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/bridge.h"

#include "cli/output.h"
#include "cli/say.h"
#include "control/client.h"
#include "control/path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* Nothing is told to the bridge, and it runs as another user: below /run only those who may can make a socket, and what
 * the user named is the user's choice. */
static uid_t trusted_at(const struct cli *cli, const char *path)
{
    return cli->bridge || strncmp(path, "/run/", 5) == 0 ? CONTROL_TRUST_ANYONE : cli->producer_user;
}

static control_response *take(const char *path, control_response *response)
{
    if (response->bridge)
        return response;
    cli_say(LOG_WARN, "%s: is no bridge's status socket", path);
    configstream__control__response__free_unpacked(response, NULL);
    return NULL;
}

static control_response *ask_at(const struct cli *cli, const char *path)
{
    struct problem problem;
    control_response *response;
    control_request request = CONFIGSTREAM__CONTROL__REQUEST__INIT;
    Configstream__Control__StatusRequest status = CONFIGSTREAM__CONTROL__STATUS_REQUEST__INIT;
    request.operation_case = CONFIGSTREAM__CONTROL__REQUEST__OPERATION_STATUS;
    request.status = &status;
    enum control_call_result result = control_call(path, trusted_at(cli, path), &request, &response, &problem);
    if (result == CONTROL_ANSWERED)
        return take(path, response);
    /* A killed bridge leaves its socket behind: that is only worth a word to whoever named it. */
    cli_say(result == CONTROL_UNREACHABLE && !cli->bridge ? LOG_DEBUG : LOG_WARN, "the bridge's status: %s",
            problem.text);
    return NULL;
}

static bool is_there(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* As the bridge of this instance would be called in the directory of another path. */
static bool path_beside(const char *other, const char *instance, char path[CONTROL_PATH_MAX_BYTES + 1])
{
    const char *slash = strrchr(other, '/');
    return slash && snprintf(path, CONTROL_PATH_MAX_BYTES + 1, "%.*s/%s.bridge.sock", (int)(slash - other), other,
                             instance) <= CONTROL_PATH_MAX_BYTES;
}

/* Several ways may lead to one socket: a bridge that does not answer is waited for once. */
static bool was_asked(char asked[][CONTROL_PATH_MAX_BYTES + 1], size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(asked[i], path) == 0)
            return true;
    return false;
}

control_response *bridge_ask(const struct cli *cli, const cfgs_reader_info *info)
{
    char own[CONTROL_PATH_MAX_BYTES + 1];
    struct problem problem;
    if (cli->bridge)
        return ask_at(cli, cli->bridge);
    const char *const beside[] = {info->control_path, control_path_default(cli->instance, own, &problem) ? own : "",
                                  "/run/configstream/", "/run/configstream-bridge/"};
    char paths[sizeof beside / sizeof *beside][CONTROL_PATH_MAX_BYTES + 1];
    size_t count = 0;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        char *path = paths[count];
        if (!path_beside(beside[i], cli->instance, path) || was_asked(paths, count, path) || !is_there(path))
            continue;
        count++;
        control_response *answer = ask_at(cli, path);
        if (answer)
            return answer;
    }
    return NULL;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static json_t *agent_json(const Configstream__Control__BridgeAgent *agent)
{
    json_t *object = json_object();
    output_add(object, "session_prefix", output_text(output_bytes(agent->session_prefix)));
    output_add(object, "flavor", output_text(output_bytes(agent->flavor)));
    output_add(object, "display_name", output_text(output_bytes(agent->display_name)));
    output_add(object, "idle_s", json_real((double)agent->idle_ms / 1000));
    output_add(object, "streams", json_integer(agent->streams));
    output_add(object, "last_sequence", json_integer((json_int_t)agent->last_sequence));
    return object;
}

json_t *bridge_json(const control_response *answer)
{
    if (!answer)
        return json_null();
    const Configstream__Control__BridgeFacts *facts = answer->bridge;
    json_t *object = json_object(), *listen = json_array(), *agents = json_array();
    for (size_t i = 0; i < facts->n_listen; i++)
        output_append(listen, output_text(output_bytes(facts->listen[i])));
    for (size_t i = 0; i < facts->n_agents; i++)
        output_append(agents, agent_json(facts->agents[i]));
    output_add(object, "listen", listen);
    output_add(object, "streams", json_integer((json_int_t)facts->streams));
    output_add(object, "connections", json_integer((json_int_t)facts->connections));
    output_add(object, "lag", json_integer((json_int_t)facts->lag));
    output_add(object, "agent_count", json_integer((json_int_t)facts->agent_count));
    output_add(object, "agents", agents);
    return object;
}

static void print_text(const char *text)
{
    print_plain(stdout, text, strlen(text), "");
}

static void print_agent(const Configstream__Control__BridgeAgent *agent)
{
    fputs("            ", stdout);
    print_text(agent->display_name);
    fputs(" (", stdout);
    print_text(agent->flavor);
    fputs("), session ", stdout);
    print_text(agent->session_prefix);
    printf("..., idle %.1f s, %" PRIu32 " streams, last ID %" PRIu64 "\n", (double)agent->idle_ms / 1000,
           agent->streams, agent->last_sequence);
}

void bridge_print(const control_response *answer)
{
    if (!answer)
        return;
    const Configstream__Control__BridgeFacts *facts = answer->bridge;
    fputs("bridge      ", stdout);
    for (size_t i = 0; i < facts->n_listen; i++) {
        fputs(i ? ", " : "", stdout);
        print_text(facts->listen[i]);
    }
    printf(": %" PRIu64 " streams on %" PRIu64 " connections, at most %" PRIu64 " updates behind\n", facts->streams,
           facts->connections, facts->lag);
    printf("agents      %" PRIu64 " registered\n", facts->agent_count);
    for (size_t i = 0; i < facts->n_agents; i++)
        print_agent(facts->agents[i]);
}
