/* cli/change.c: what goes through the control socket: set, unset, reload, get --all-sources.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/session.h"
#include "control/client.h"
#include "control/path.h"
#include "resolve/declarations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 16 << 20, SOURCE_COLUMNS = 22 };

/* ---- finding the daemon ------------------------------------------------------------------------------------------ */

static enum exit_code choose_path(const struct cli *cli, const cfgs_reader_info *info,
                                  char path[CONTROL_PATH_MAX_BYTES + 1])
{
    struct problem problem;
    const char *named = cli->control ? cli->control : info->control_path;
    if (strlen(named) > CONTROL_PATH_MAX_BYTES) {
        cli_complain("--control: a socket's path has at most %d bytes", CONTROL_PATH_MAX_BYTES);
        return EXIT_USAGE;
    }
    strcpy(path, named);
    if (*path || control_path_default(cli->instance, path, &problem))
        return EXIT_OK;
    cli_complain("%s", problem.text);
    return EXIT_OTHER;
}

/* What a relay holds is decided elsewhere, and would be lost with the next snapshot from there. */
static enum exit_code refuse_relay(const struct cli *cli, const cfgs_reader_info *info)
{
    const char *address = info->upstream.address[0] ? info->upstream.address : "its source";
    cli_complain("refused: instance '%s' is a relay of %s, and has no layers of its own; run configstream %s there, on the "
                 "host of the daemon", cli->instance, address, cli->command->name);
    return EXIT_REFUSED;
}

/* A change needs a producer that lives; what the arena says of it comes first, whatever lies at the socket's path. */
static enum exit_code find_daemon(const struct cli *cli, char path[CONTROL_PATH_MAX_BYTES + 1])
{
    cfgs_reader *reader;
    cfgs_reader_info info;
    enum exit_code status = session_open_any(cli, &reader);
    if (status != EXIT_OK)
        return status;
    status = session_look(cli, reader, &info);
    cfgs_reader_close(reader);
    if (status != EXIT_OK)
        return status;
    if (info.upstream.relayed)
        return refuse_relay(cli, &info);
    if (session_is_up(info.state))
        return choose_path(cli, &info, path);
    cli_complain("the producer of this instance is %s; start configstreamd first", cfgs_producer_state_name(info.state));
    return EXIT_PRODUCER_DOWN;
}

static enum exit_code call(const struct cli *cli, const control_request *request, control_response **response)
{
    char path[CONTROL_PATH_MAX_BYTES + 1];
    struct problem problem;
    struct progress progress;
    enum exit_code status = find_daemon(cli, path);
    if (status != EXIT_OK)
        return status;
    cli_say(LOG_DEBUG, "asking the daemon at %s", path);
    progress_begin(&progress, "the daemon of instance '%s' to answer", cli->instance);
    enum control_call_result result = control_call(path, cli->producer_user, request, response, &problem);
    progress_end(&progress);
    if (result != CONTROL_ANSWERED) {
        cli_complain("%s", problem.text);
        return result == CONTROL_UNREACHABLE ? EXIT_PRODUCER_DOWN : result == CONTROL_SLOW ? EXIT_TIMEOUT : EXIT_OTHER;
    }
    if ((*response)->result != CONFIGSTREAM__CONTROL__RESULT__REFUSED)
        return EXIT_OK;
    cli_complain("refused: %s", (*response)->error);
    configstream__control__response__free_unpacked(*response, NULL);
    return EXIT_REFUSED;
}

/* ---- set and unset ----------------------------------------------------------------------------------------------- */

static ProtobufCBinaryData bytes_of(const char *text, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)text}; /* only read */
}

static void print_change(const struct cli *cli, const char *key, const control_response *response, const char *what)
{
    if (cli->json) {
        json_t *object = json_object();
        output_add(object, "key", output_text(output_bytes(key)));
        output_add(object, "sequence", json_integer((json_int_t)response->sequence));
        output_add(object, "changed", json_boolean(response->changes > 0));
        output_line(object);
    } else if (response->changes) {
        printf("%s ", what);
        output_key(output_bytes(key));
        printf(" (#%" PRIu64 ")\n", response->sequence);
    } else {
        output_key(output_bytes(key));
        printf(": no change (#%" PRIu64 ")\n", response->sequence);
    }
}

/* The key as settings carry it. */
static bool take_key(const struct cli *cli, char key[CFGS_KEY_MAX_BYTES + 1])
{
    size_t length = strlen(cli->operands[0]);
    if (!length || length > CFGS_KEY_MAX_BYTES) {
        cli_complain("%s: a key has 1 to %d bytes, this one %zu", cli->command->name, CFGS_KEY_MAX_BYTES, length);
        return false;
    }
    key_canonical(key, cli->operands[0], length + 1);
    return true;
}

static enum exit_code change(struct cli *cli, const control_request *request, const char *what)
{
    char key[CFGS_KEY_MAX_BYTES + 1];
    control_response *response;
    if (!take_key(cli, key))
        return EXIT_USAGE;
    enum exit_code status = call(cli, request, &response);
    if (status != EXIT_OK)
        return status;
    print_change(cli, key, response, what);
    configstream__control__response__free_unpacked(response, NULL);
    return output_finish() ? EXIT_OK : EXIT_OTHER;
}

static bool fill_value(const struct cli *cli, Configstream__Control__SetRequest *set, struct buffer *file)
{
    struct problem problem;
    if (cli->value_json) {
        set->value_case = CONFIGSTREAM__CONTROL__SET_REQUEST__VALUE_JSON;
        set->json = bytes_of(cli->value_json, strlen(cli->value_json));
    } else if (!cli->file) {
        set->value_case = CONFIGSTREAM__CONTROL__SET_REQUEST__VALUE_TEXT;
        set->text = bytes_of(cli->operands[1], strlen(cli->operands[1]));
    } else if (text_from_file(cli->file, FILE_MAX_BYTES, file, &problem)) {
        set->value_case = CONFIGSTREAM__CONTROL__SET_REQUEST__VALUE_FILE;
        set->file = bytes_of(file->data, file->length);
    } else {
        cli_complain("--file: %s", problem.text);
        return false;
    }
    return true;
}

enum exit_code command_set(struct cli *cli)
{
    control_request request;
    Configstream__Control__SetRequest set;
    struct buffer file = {0};
    configstream__control__request__init(&request);
    configstream__control__set_request__init(&set);
    request.operation_case = CONFIGSTREAM__CONTROL__REQUEST__OPERATION_SET;
    request.set = &set;
    set.key = bytes_of(cli->operands[0], strlen(cli->operands[0]));
    set.source = (char *)(uintptr_t)cfgs_source_name(cli->source);
    enum exit_code status = fill_value(cli, &set, &file) ? change(cli, &request, "set") : EXIT_OTHER;
    free(file.data);
    return status;
}

enum exit_code command_unset(struct cli *cli)
{
    control_request request;
    Configstream__Control__UnsetRequest unset;
    configstream__control__request__init(&request);
    configstream__control__unset_request__init(&unset);
    request.operation_case = CONFIGSTREAM__CONTROL__REQUEST__OPERATION_UNSET;
    request.unset = &unset;
    unset.key = bytes_of(cli->operands[0], strlen(cli->operands[0]));
    unset.source = (char *)(uintptr_t)cfgs_source_name(cli->source);
    return change(cli, &request, "unset");
}

/* ---- reload, all sources ----------------------------------------------------------------------------------------- */

enum exit_code command_reload(struct cli *cli)
{
    control_request request;
    Configstream__Control__ReloadRequest reload;
    control_response *response;
    configstream__control__request__init(&request);
    configstream__control__reload_request__init(&reload);
    request.operation_case = CONFIGSTREAM__CONTROL__REQUEST__OPERATION_RELOAD;
    request.reload = &reload;
    enum exit_code status = call(cli, &request, &response);
    if (status != EXIT_OK)
        return status;
    if (cli->json) {
        json_t *object = json_object();
        output_add(object, "sequence", json_integer((json_int_t)response->sequence));
        output_add(object, "changed", json_integer((json_int_t)response->changes));
        output_line(object);
    } else {
        printf("reloaded: %" PRIu64 " changed (#%" PRIu64 ")\n", response->changes, response->sequence);
    }
    configstream__control__response__free_unpacked(response, NULL);
    return output_finish() ? EXIT_OK : EXIT_OTHER;
}

static json_t *value_of(const Configstream__Control__SourceValue *source)
{
    return json_loadb((const char *)source->json.data, source->json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static void print_sources_text(const control_response *response)
{
    for (size_t i = 0; i < response->n_sources; i++) {
        cfgs_bytes source = output_bytes(response->sources[i]->source);
        output_styled(STYLE_SOURCE, source);
        printf("%*s", source.length < SOURCE_COLUMNS ? SOURCE_COLUMNS - (int)source.length : 1, "");
        output_value_json(value_of(response->sources[i]));
        putchar('\n');
    }
}

static void print_sources_json(const char *key, const control_response *response)
{
    json_t *list = json_array(), *object;
    for (size_t i = 0; i < response->n_sources; i++) {
        object = json_object();
        output_add(object, "source", output_text(output_bytes(response->sources[i]->source)));
        output_add(object, "value", value_of(response->sources[i]));
        output_append(list, object);
    }
    object = json_object();
    output_add(object, "key", output_text(output_bytes(key)));
    output_add(object, "sources", list);
    output_line(object);
}

enum exit_code command_all_sources(struct cli *cli)
{
    control_request request;
    Configstream__Control__SourcesRequest sources;
    control_response *response;
    char key[CFGS_KEY_MAX_BYTES + 1];
    if (!take_key(cli, key))
        return EXIT_USAGE;
    configstream__control__request__init(&request);
    configstream__control__sources_request__init(&sources);
    request.operation_case = CONFIGSTREAM__CONTROL__REQUEST__OPERATION_SOURCES;
    request.sources = &sources;
    sources.key = bytes_of(key, strlen(key));
    enum exit_code status = call(cli, &request, &response);
    if (status != EXIT_OK)
        return status;
    if (response->result == CONFIGSTREAM__CONTROL__RESULT__NOT_FOUND) {
        cli_complain("no setting '%s'; configstream list names those there are", key);
        status = EXIT_NOT_FOUND;
    } else if (cli->json) {
        print_sources_json(key, response);
    } else {
        print_sources_text(response);
    }
    configstream__control__response__free_unpacked(response, NULL);
    return output_finish() ? status : EXIT_OTHER;
}
