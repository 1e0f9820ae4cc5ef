/* cli/status.c: status and destroy.  SPDX-License-Identifier: Apache-2.0 */
#include "cli/bridge.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_number(json_t *object, const char *name, uint64_t number)
{
    output_add(object, name, json_integer((json_int_t)number));
}

static json_t *bank_json(const cfgs_reader_info *info)
{
    json_t *bank = json_object();
    add_number(bank, "generation", info->bank_generation);
    add_number(bank, "heap_used", info->heap_used);
    add_number(bank, "heap_size", info->heap_size);
    add_number(bank, "index_used", info->index_used);
    add_number(bank, "index_size", info->index_size);
    return bank;
}

static json_t *ring_json(const cfgs_reader_info *info)
{
    json_t *ring = json_object();
    add_number(ring, "slots", info->ring_slots);
    add_number(ring, "oldest", info->ring_oldest);
    return ring;
}

static json_t *counters_json(const cfgs_reader_info *info)
{
    json_t *counters = json_object();
    add_number(counters, "updates", info->counters.updates);
    add_number(counters, "batches", info->counters.batches);
    add_number(counters, "rebuilds", info->counters.rebuilds);
    add_number(counters, "loads", info->counters.loads);
    add_number(counters, "reloads_ok", info->counters.reloads_ok);
    add_number(counters, "reloads_failed", info->counters.reloads_failed);
    add_number(counters, "last_failure_ns", info->counters.last_failure_ns);
    add_number(counters, "lapped_hints", info->counters.lapped_hints);
    return counters;
}

/* A relay that was killed has left the word as it was. */
static bool is_followed(const cfgs_reader_info *info)
{
    return info->upstream.connected && session_is_up(info->state);
}

/* null for a producer of its own. */
static json_t *relay_json(const cfgs_reader_info *info)
{
    if (!info->upstream.relayed)
        return json_null();
    json_t *relay = json_object(), *path = json_array();
    for (unsigned i = 0; i < info->upstream.path_length; i++)
        output_append(path, output_text(output_bytes(info->upstream.path[i])));
    output_add(relay, "address", output_text(output_bytes(info->upstream.address)));
    output_add(relay, "connected", json_boolean(is_followed(info)));
    output_add(relay, "contact_age_ms", json_integer(info->upstream.contact_age_ms));
    output_add(relay, "upstream",
               info->upstream.path_length ? output_text(output_bytes(info->upstream.path[0])) : json_null());
    output_add(relay, "path", path);
    add_number(relay, "wire_base", info->upstream.wire_base);
    return relay;
}

static void print_json(const struct cli *cli, const cfgs_reader_info *info, const control_response *bridge)
{
    char layout[32];
    snprintf(layout, sizeof layout, "%u.%u", info->layout_major, info->layout_minor);
    json_t *object = json_object();
    output_add(object, "instance", json_string(cli->instance));
    output_add(object, "arena", output_text(output_bytes(info->path)));
    output_add(object, "layout", json_string(layout));
    output_add(object, "instance_id", output_text(output_bytes(info->instance_id)));
    output_add(object, "state", json_string(cfgs_producer_state_name(info->state)));
    output_add(object, "pid", json_integer(info->pid));
    add_number(object, "epoch", info->epoch);
    add_number(object, "sequence", info->sequence);
    add_number(object, "settings", info->settings);
    output_add(object, "origin", output_text(output_bytes(info->origin)));
    output_add(object, "heartbeat_age_ms", json_integer(info->heartbeat_age_ms));
    add_number(object, "size_bytes", info->size_bytes);
    output_add(object, "bank", bank_json(info));
    output_add(object, "ring", ring_json(info));
    output_add(object, "counters", counters_json(info));
    output_add(object, "relay", relay_json(info));
    output_add(object, "bridge", bridge_json(bridge));
    output_line(object);
}

static enum output_style style_of(cfgs_producer_state state)
{
    return state == CFGS_PRODUCER_RUNNING ? STYLE_GOOD : session_is_up(state) ? STYLE_DOUBTFUL : STYLE_BAD;
}

/* What the producer wrote into its header. */
static void print_text_line(const char *text)
{
    print_plain(stdout, text, strlen(text), "");
    putchar('\n');
}

/* "relay of core:5001, last heard of 0.3 s ago" */
static void print_source(const cfgs_reader_info *info)
{
    char heard[SESSION_HEARD_BYTES];
    session_heard(info->upstream.contact_age_ms, heard);
    fputs("source      relay of ", stdout);
    print_plain(stdout, info->upstream.address, strlen(info->upstream.address), "");
    fputs(", ", stdout);
    if (!is_followed(info)) {
        output_styled(STYLE_DOUBTFUL, output_bytes("not connected"));
        fputs(", ", stdout);
    }
    printf("%s\n", heard);
    for (unsigned i = 0; i < info->upstream.path_length; i++)
        printf("            %s %s\n", i ? "which got it from" : "its arena:", info->upstream.path[i]);
}

static void print_text(const struct cli *cli, const cfgs_reader_info *info, const control_response *bridge)
{
    printf("instance    %s\n", cli->instance);
    fputs("state       ", stdout);
    output_styled(style_of(info->state), output_bytes(cfgs_producer_state_name(info->state)));
    if (info->heartbeat_age_ms >= 0)
        printf(" (heartbeat %" PRId64 " ms ago)", info->heartbeat_age_ms);
    printf("\nproducer    pid %" PRId64 ", epoch %" PRIu64 ", origin ", info->pid, info->epoch);
    print_text_line(info->origin);
    printf("settings    %" PRIu64 ", last ID %" PRIu64 "\n", info->settings, info->sequence);
    fputs("arena       ", stdout);
    print_text_line(info->path);
    printf("            id %s, layout %u.%u, %" PRIu64 " of at most %" PRIu64 " bytes\n", info->instance_id,
           info->layout_major, info->layout_minor, info->size_bytes, info->max_size_bytes);
    printf("bank        generation %" PRIu64 ", heap %" PRIu64 " of %" PRIu64 " bytes, index %" PRIu64 " of %" PRIu64
           " cells\n", info->bank_generation, info->heap_used, info->heap_size, info->index_used, info->index_size);
    printf("ring        %" PRIu64 " slots, oldest ID %" PRIu64 "\n", info->ring_slots, info->ring_oldest);
    printf("counters    %" PRIu64 " updates, %" PRIu64 " batches, %" PRIu64 " rebuilds, %" PRIu64 " loads\n",
           info->counters.updates, info->counters.batches, info->counters.rebuilds, info->counters.loads);
    printf("reloads     %" PRIu64 " ok, %" PRIu64 " failed\n", info->counters.reloads_ok, info->counters.reloads_failed);
    if (info->upstream.relayed)
        print_source(info);
    fputs("control     ", stdout);
    print_text_line(info->control_path[0] ? info->control_path : "none");
    bridge_print(bridge);
}

enum exit_code command_status(struct cli *cli)
{
    cfgs_reader *reader;
    cfgs_reader_info info;
    enum exit_code status = session_open_any(cli, &reader);
    if (status != EXIT_OK)
        return status;
    status = session_look(cli, reader, &info);
    if (status == EXIT_OK) {
        control_response *bridge = bridge_ask(cli, &info);
        if (cli->json)
            print_json(cli, &info, bridge);
        else
            print_text(cli, &info, bridge);
        configstream__control__response__free_unpacked(bridge, NULL);
        if (!session_is_up(info.state))
            status = EXIT_PRODUCER_DOWN;
    }
    cfgs_reader_close(reader);
    return output_finish() ? status : EXIT_OTHER;
}

enum exit_code command_destroy(struct cli *cli)
{
    cfgs_error_detail detail = {0};
    cfgs_publisher_options options = {.instance = cli->instance, .arena_path = cli->arena_path, .detail = &detail};
    int error = cfgs_arena_destroy(&options);
    if (error == CFGS_ERR_NOT_READY)
        return session_no_instance(cli);
    if (error != CFGS_OK) {
        cli_complain("destroy: %s", detail.message[0] ? detail.message : cfgs_strerror(error));
        return error == CFGS_ERR_LOCKED ? EXIT_REFUSED : EXIT_OTHER;
    }
    if (cli->json) {
        json_t *object = json_object();
        output_add(object, "instance", json_string(cli->instance));
        output_add(object, "destroyed", json_true());
        output_line(object);
    } else {
        printf("destroyed instance %s\n", cli->instance);
    }
    return output_finish() ? EXIT_OK : EXIT_OTHER;
}
