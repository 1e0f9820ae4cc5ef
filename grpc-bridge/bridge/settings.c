/* bridge/settings.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/settings.h"

#include <configstream/configstream.h>
#include <stdio.h>
#include <string.h>

enum {
    REGISTRY_IDLE_MS = 30000,
    REGISTRY_REFRESH_MS = 10000,
    NS_PER_MS = 1000000,
    KEY_BYTES = 128,
    /* places in `bad` behind the limits */
    BAD_ENABLED = LIMIT_COUNT_OF_ALL,
    BAD_IDLE,
    BAD_REFRESH
};

struct registry_settings settings_registry(const struct options *options, const struct bridge *bridge)
{
    return (struct registry_settings){
        .enabled = true,
        .idle_timeout_ms = options->registry_idle_ms >= 0 ? options->registry_idle_ms : REGISTRY_IDLE_MS,
        .refresh_interval_ms = options->registry_refresh_ms >= 0 ? options->registry_refresh_ms : REGISTRY_REFRESH_MS,
        .agents_max = LIMIT(&bridge->limits, max_agents),
    };
}

void settings_init(struct settings *settings, struct bridge *bridge, const struct options *options)
{
    *settings = (struct settings){.bridge = bridge, .options = options};
    limits_init(&bridge->limits);
    for (int i = 0; i < LIMIT_COUNT_OF_ALL; i++)
        if (options->limit_given[i])
            limit_set(&bridge->limits, &limit_rows[i], options->limits[i]);
}

/* ---- one setting ------------------------------------------------------------------------------------------------- */

/* The producer may be rebuilding: that a setting is not there is only what NOT_FOUND says. */
static bool is_found(struct settings *settings, int result)
{
    if (result != CFGS_OK && result != CFGS_ERR_NOT_FOUND)
        settings->uncertain = true;
    return result == CFGS_OK;
}

static bool is_configured(struct settings *settings, const char *key)
{
    bool configured;
    return is_found(settings, cfgs_get_configured(settings->reader, key, &configured)) && configured;
}

static bool is_there(struct settings *settings, const char *key)
{
    int source;
    return is_found(settings, cfgs_get_source(settings->reader, key, &source));
}

/* The newer name counts where both say something; a default says less than what somebody configured.  NULL: neither. */
static const char *choose(struct settings *settings, const char *newer, const char *older)
{
    if (is_configured(settings, newer))
        return newer;
    if (is_configured(settings, older))
        return older;
    return is_there(settings, newer) ? newer : is_there(settings, older) ? older : NULL;
}

/* Once for each value. */
static void complain(struct settings *settings, unsigned place, const char *key, const char *what)
{
    uint64_t sequence = 0;
    if (cfgs_get_sequence(settings->reader, key, &sequence) != CFGS_OK || settings->bad[place] == sequence)
        return;
    settings->bad[place] = sequence;
    log_write(&settings->bridge->log, LOG_WARN, "setting %s is %s; what held before stays", key, what);
}

static int get_number(cfgs_reader *reader, enum limit_kind kind, const char *key, int64_t *out)
{
    uint64_t bytes = 0;
    int result;
    if (kind == LIMIT_COUNT)
        return cfgs_get_int(reader, key, out);
    if (kind == LIMIT_MS) {
        result = cfgs_get_duration(reader, key, out);
        *out /= NS_PER_MS;
        return result;
    }
    result = cfgs_get_size(reader, key, &bytes);
    *out = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
    return result;
}

/* True: there is a value, it makes sense, and it is not what holds already. */
static bool read_number(struct settings *settings, unsigned place, const struct limit_row *row, const char *key,
                        int64_t *value)
{
    static const char *const words[] = {"no whole number", "no size such as 64kb", "no duration such as 10s"};
    int64_t found = 0;
    int result = get_number(settings->reader, row->kind, key, &found);
    if (result == CFGS_ERR_KIND || result == CFGS_ERR_RANGE || result == CFGS_ERR_SYNTAX) {
        complain(settings, place, key, words[row->kind]);
        return false;
    }
    if (!is_found(settings, result))
        return false;
    if (found < row->low || found > row->high) {
        char text[128], low[LIMIT_TEXT_BYTES], high[LIMIT_TEXT_BYTES];
        limit_print(row->kind, row->low, low);
        limit_print(row->kind, row->high, high);
        snprintf(text, sizeof text, "out of range, which is from %s to %s", low, high);
        complain(settings, place, key, text);
        return false;
    }
    settings->bad[place] = 0;
    bool changed = found != *value;
    *value = found;
    return changed;
}

static void tell(const struct settings *settings, const char *key, enum limit_kind kind, int64_t value)
{
    char text[LIMIT_TEXT_BYTES];
    limit_print(kind, value, text);
    log_write(&settings->bridge->log, LOG_INFO, "setting %s: now %s", key, text);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* What is in the arena no more goes back to its default. */
static void follow_limit(struct settings *settings, unsigned at)
{
    const struct limit_row *row = &limit_rows[at];
    struct limits *limits = &settings->bridge->limits;
    char newer[KEY_BYTES], older[KEY_BYTES];
    snprintf(newer, sizeof newer, "remote_agent.configstream.%s", row->name);
    snprintf(older, sizeof older, "config_stream.%s", row->name);
    const char *key = choose(settings, newer, older);
    int64_t value = limit_value(limits, row);
    bool changed = false;
    if (key) {
        changed = read_number(settings, at, row, key, &value);
    } else {
        changed = value != row->initial;
        value = row->initial;
    }
    if (!changed || settings->uncertain)
        return;
    limit_set(limits, row, value);
    tell(settings, key ? key : newer, row->kind, value);
}

static void follow_time(struct settings *settings, unsigned place, const char *name, int64_t initial, int64_t *value)
{
    static const struct limit_row row = {
        .kind = LIMIT_MS, .low = REGISTRY_TIME_LEAST_MS, .high = REGISTRY_TIME_MOST_MS};
    char newer[KEY_BYTES], older[KEY_BYTES];
    snprintf(newer, sizeof newer, "remote_agent.registry.%s", name);
    snprintf(older, sizeof older, "remote_agent_registry.%s", name);
    const char *key = choose(settings, newer, older);
    int64_t found = key ? *value : initial;
    bool changed = key ? read_number(settings, place, &row, key, &found) : found != *value;
    if (!changed || settings->uncertain)
        return;
    *value = found;
    tell(settings, key ? key : newer, LIMIT_MS, found);
}

static void follow_enabled(struct settings *settings, bool *enabled)
{
    const char *key = choose(settings, "remote_agent.registry.enabled", "remote_agent_registry.enabled");
    bool found = true;
    int result = key ? cfgs_get_bool(settings->reader, key, &found) : CFGS_OK;
    if (result == CFGS_ERR_KIND)
        complain(settings, BAD_ENABLED, key, "neither true nor false");
    if (result == CFGS_ERR_KIND || !is_found(settings, result) || settings->uncertain)
        return;
    settings->bad[BAD_ENABLED] = 0;
    if (found == *enabled)
        return;
    log_write(&settings->bridge->log, LOG_INFO, "setting %s: now %s", key ? key : "remote_agent.registry.enabled",
              found ? "true" : "false");
    *enabled = found;
}

static void follow_registry(struct settings *settings)
{
    const struct options *options = settings->options;
    struct registry_settings registry = registry_get(settings->bridge->registry);
    follow_enabled(settings, &registry.enabled);
    if (options->registry_idle_ms < 0)
        follow_time(settings, BAD_IDLE, "idle_timeout", REGISTRY_IDLE_MS, &registry.idle_timeout_ms);
    if (options->registry_refresh_ms < 0)
        follow_time(settings, BAD_REFRESH, "recommended_refresh_interval", REGISTRY_REFRESH_MS,
                    &registry.refresh_interval_ms);
    registry.agents_max = LIMIT(&settings->bridge->limits, max_agents);
    registry_set(settings->bridge->registry, &registry);
}

static void follow_level(struct settings *settings)
{
    char name[64];
    size_t length;
    if (cfgs_get_string(settings->reader, "log_level", name, sizeof name, &length) == CFGS_OK)
        log_follow(&settings->bridge->log, &settings->log_followed, name, length);
}

static void read_all(struct settings *settings)
{
    for (unsigned i = 0; i < LIMIT_COUNT_OF_ALL; i++)
        if (!settings->options->limit_given[i])
            follow_limit(settings, i);
    follow_registry(settings);
    follow_level(settings);
}

/* ---- the arena --------------------------------------------------------------------------------------------------- */

/* The workers tell when the arena cannot be opened. */
static bool open_reader(struct settings *settings)
{
    if (settings->reader)
        return true;
    return cfgs_reader_open(&settings->bridge->arena, &settings->reader) == CFGS_OK;
}

static bool is_news(const struct settings *settings)
{
    return !settings->read || settings->info.sequence != settings->sequence ||
           strcmp(settings->info.instance_id, settings->instance_id) != 0;
}

void settings_follow(struct settings *settings)
{
    cfgs_view view;
    if (!open_reader(settings) ||
        cfgs_reader_status(settings->reader, &settings->info, sizeof settings->info) != CFGS_OK)
        return;
    /* Without a first snapshot nothing says anything; that of an arena that went holds until another one comes. */
    if (!is_news(settings) || cfgs_view_begin(settings->reader, &view) != CFGS_OK)
        return;
    settings->uncertain = false;
    settings->sequence = settings->info.sequence;
    memcpy(settings->instance_id, settings->info.instance_id, sizeof settings->instance_id);
    read_all(settings);
    settings->read = !settings->uncertain;
}

void settings_close(struct settings *settings)
{
    cfgs_reader_close(settings->reader);
    settings->reader = NULL;
}
