/* cli/event.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/event.h"

#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>

void event_print_snapshot(const cfgs_event *event, uint64_t settings, bool json)
{
    const char *reason = cfgs_snapshot_reason_name(event->reason);
    if (!json) {
        printf("snapshot #%" PRIu64 ": %" PRIu64 " settings (%s)\n", event->sequence, settings, reason);
        return;
    }
    json_t *object = json_object();
    output_add(object, "event", json_string("snapshot"));
    output_add(object, "sequence", json_integer((json_int_t)event->sequence));
    output_add(object, "settings", json_integer((json_int_t)settings));
    output_add(object, "reason", json_string(reason));
    output_line(object);
}

static void print_update_json(const cfgs_event *event, bool hidden)
{
    json_t *object = json_object();
    output_add(object, "event", json_string("update"));
    output_add(object, "sequence", json_integer((json_int_t)event->sequence));
    output_add(object, "key", output_text(event->setting.key));
    output_add(object, "value", output_json(&event->setting.value, hidden && !event->removed));
    output_add(object, "source", output_text(event->setting.source_name));
    output_add(object, "unset_source", output_text(event->unset_source_name));
    output_add(object, "old", event->has_old ? output_json(&event->old, hidden) : json_null());
    if (event->removed)
        output_add(object, "removed", json_true());
    if (hidden)
        output_add(object, "masked", json_true());
    output_line(object);
}

static void print_update_text(const cfgs_event *event, bool hidden)
{
    printf("update #%" PRIu64 ": ", event->sequence);
    output_key(event->setting.key);
    if (event->removed) {
        fputs(" removed", stdout);
    } else {
        fputs(" = ", stdout);
        output_value(&event->setting.value, hidden);
        output_source(" (", event->setting.source_name, ")");
    }
    if (event->unset_source_name.length)
        output_source(", unset ", event->unset_source_name, "");
    if (event->has_old) {
        fputs(", was ", stdout);
        output_value(&event->old, hidden);
    }
    putchar('\n');
}

/* The value or the old one: a removal carries the flags of nothing, and a declaration may have changed in between. */
static bool is_hidden(const cfgs_event *event)
{
    return output_is_secret(&event->setting) || (event->old_flags & CFGS_SETTING_SECRET) != 0 ||
           (event->has_old && output_holds_secret(&event->old));
}

void event_print_update(const cfgs_event *event, bool json)
{
    const bool hidden = is_hidden(event);
    if (json)
        print_update_json(event, hidden);
    else
        print_update_text(event, hidden);
}
