/* bridge/metrics_text.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/metrics_text.h"

#include "base/table.h"
#include "bridge/totals.h"

#include <configstream/configstream.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 2048 };

struct page {
    struct buffer *out;
    bool ok; /* memory sufficed so far */
};

static void add(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct page *page, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    page->ok = page->ok && length >= 0 && buffer_append(page->out, line, strnlen(line, sizeof line));
}

static void head(struct page *page, const char *name, const char *type, const char *help)
{
    add(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct page *page, const char *name, const char *type, uint64_t value, const char *help)
{
    head(page, name, type, help);
    add(page, "%s %" PRIu64 "\n", name, value);
}

static void seconds(struct page *page, const char *name, uint64_t ns, const char *help)
{
    head(page, name, "gauge", help);
    add(page, "%s %" PRIu64 ".%09" PRIu64 "\n", name, ns / 1000000000, ns % 1000000000);
}

/* ---- the workers ------------------------------------------------------------------------------------------------- */

static void add_counters(struct page *page, const struct bridge *bridge)
{
#define OF_ALL(type, name, help)                                                                                       \
    one(page, "configstream_" #name, type, of_all(bridge, offsetof(struct counters, name)), help);
#define COUNTER(name, help) OF_ALL("counter", name, help)
#define GAUGE(name, help) OF_ALL("gauge", name, help)
    BRIDGE_COUNTERS(COUNTER)
    BRIDGE_GAUGES(GAUGE)
#undef OF_ALL
#undef COUNTER
#undef GAUGE
}

static void add_by_worker(struct page *page, const struct bridge *bridge, const char *name, size_t offset,
                          const char *help)
{
    head(page, name, "gauge", help);
    for (unsigned i = 0; i < bridge->worker_count; i++)
        add(page, "%s{worker=\"%u\"} %" PRIu64 "\n", name, i, of_worker(&bridge->workers[i], offset));
}

static void add_workers(struct page *page, const struct bridge *bridge)
{
#define BY_WORKER(name, help)                                                                                          \
    add_by_worker(page, bridge, "configstream_worker_" #name, offsetof(struct counters, name), help);
    BRIDGE_GAUGES(BY_WORKER)
    BRIDGE_WORKER_GAUGES(BY_WORKER)
#undef BY_WORKER
}

/* ---- snapshots, registry ----------------------------------------------------------------------------------------- */

static void add_snapshots(struct page *page, const struct bridge *bridge)
{
    struct snapshots_info info;
    snapshots_info(bridge->snapshots, &info);
    one(page, "configstream_snapshots_built", "counter", info.built, "Snapshot messages built");
    one(page, "configstream_oversized_snapshots", "counter", info.oversized,
        "Snapshot messages built beyond the 4 MiB that clients take by default");
    one(page, "configstream_refused_snapshots", "counter", info.refused,
        "Streams refused since the snapshot message is larger than may be sent");
    one(page, "configstream_snapshot_frames", "gauge", info.alive, "Snapshot messages in memory");
    one(page, "configstream_snapshot_frame_bytes", "gauge", info.bytes_alive, "Memory of these");
    one(page, "configstream_snapshot_bytes", "gauge", info.last_bytes, "Size of the snapshot message built last");
    seconds(page, "configstream_snapshot_build_seconds", info.last_build_ns, "Time it took to build that");
}

struct tally {
    struct table names; /* how many, as a pointer's value */
    bool ok;
};

/* As the existing metrics have it: in lower case, '-' for a space; nothing in it that would need escaping. */
static void label_of(const char *name, char to[REGISTRY_TEXT_MAX_BYTES + 1])
{
    char *at = to;
    for (; *name; name++, at++)
        *at = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a')
              : *name == ' '               ? '-'
              : *name > ' ' && *name != 0x7f && *name != '"' && *name != '\\' ? *name
              : (unsigned char)*name >= 0x80 ? *name : '_';
    *at = '\0';
}

static void count_agent(void *context, const struct registry_agent *agent)
{
    struct tally *tally = context;
    char label[REGISTRY_TEXT_MAX_BYTES + 1];
    label_of(agent->display_name, label);
    void **value = table_put(&tally->names, label, strlen(label));
    tally->ok = tally->ok && value;
    if (value)
        *value = (char *)*value + 1;
}

static void add_registry(struct page *page, const struct bridge *bridge)
{
    static const char name[] = "remote_agent_registry_registered";
    struct tally tally = {.ok = true};
    size_t at = 0;
    one(page, "configstream_registered_agents", "gauge", registry_count(bridge->registry), "Registered remote agents");
    registry_each(bridge->registry, count_agent, &tally);
    head(page, name, "gauge", "Registered remote agents by their display name");
    for (const struct table_entry *entry; (entry = table_next(&tally.names, &at));)
        add(page, "%s{remote_agent_name=\"%s\"} %zu\n", name, entry->key, (size_t)(uintptr_t)entry->value);
    page->ok = page->ok && tally.ok;
    table_clear(&tally.names, NULL);
}

/* ---- the producer ------------------------------------------------------------------------------------------------ */

static void add_producer(struct page *page, const cfgs_reader_info *info)
{
    one(page, "configstream_producer_up", "gauge", info->state == CFGS_PRODUCER_RUNNING, "Whether the producer runs");
    head(page, "configstream_producer_state", "gauge", "What is known of the producer: one state is 1");
    for (int state = CFGS_PRODUCER_ABSENT; state <= CFGS_PRODUCER_SUPERSEDED; state++)
        add(page, "configstream_producer_state{state=\"%s\"} %d\n", cfgs_producer_state_name(state),
            state == (int)info->state);
    one(page, "configstream_producer_sequence", "gauge", info->sequence, "Last committed ID");
    one(page, "configstream_producer_settings", "gauge", info->settings, "Settings in the arena");
    one(page, "configstream_producer_epoch", "gauge", info->epoch, "Producer incarnations of the arena");
    one(page, "configstream_producer_arena_bytes", "gauge", info->size_bytes, "Size of the arena");
    if (info->heartbeat_age_ms >= 0)
        seconds(page, "configstream_producer_heartbeat_age_seconds", (uint64_t)info->heartbeat_age_ms * 1000000,
                "Age of the producer's last heartbeat");
#define OF_PRODUCER(name, help) one(page, "configstream_producer_" #name, "counter", info->counters.name, help);
    OF_PRODUCER(updates, "Updates committed")
    OF_PRODUCER(batches, "Batches committed")
    OF_PRODUCER(rebuilds, "Banks rebuilt")
    OF_PRODUCER(loads, "Bulk loads")
    OF_PRODUCER(reloads_ok, "Reloads that succeeded")
    OF_PRODUCER(reloads_failed, "Reloads that failed")
    OF_PRODUCER(lapped_hints, "Updates after which slow readers may be lapped")
#undef OF_PRODUCER
}

bool metrics_text(const struct bridge *bridge, const cfgs_reader_info *info, struct buffer *out)
{
    struct page page = {.out = out, .ok = true};
    head(&page, "configstream_build_info", "gauge", "Version of the bridge");
    add(&page, "configstream_build_info{version=\"%s\"} 1\n", cfgs_version());
    add_counters(&page, bridge);
    add_workers(&page, bridge);
    add_snapshots(&page, bridge);
    add_registry(&page, bridge);
    one(&page, "configstream_credentials_generation", "gauge", credentials_generation(bridge->credentials),
        "How often credentials were loaded");
    if (info)
        add_producer(&page, info);
    return page.ok;
}
