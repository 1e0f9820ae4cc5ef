/*
 * same.c ADDRESS LAST: one program for near and far.  It tells all that the API shows of a configuration whose changes end
 * with an update of the key LAST; run against a local arena, through bridge and remote consumer, and through a relay it has to
 * print the same.
 *
 *     reads    every typed getter over the keys that test_same.py makes
 *     view     all settings at one point in time
 *     event    snapshots and updates with IDs, old values and sources
 *     change   what subscriptions to a key, a section and everything are told
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "program.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- typed reads ------------------------------------------------------------------------------------------------- */

static void say(const char *what, const char *key, int result)
{
    printf("read %s %s %d", what, key, result);
}

static void read_list(cfgs_reader *reader, const char *key)
{
    char **items = NULL;
    size_t count = 0;
    int result = cfgs_get_string_list(reader, key, &items, &count);

    say("list", key, result);
    for (size_t i = 0; result == CFGS_OK && i < count; i++)
        printf(" '%s'", items[i]);
    putchar('\n');
    if (result == CFGS_OK)
        free(items);
}

static void read_key(cfgs_reader *reader, const char *key)
{
    char text[256] = "";
    bool truth = false;
    int64_t number = 0, duration = 0;
    double real = 0;
    uint64_t size = 0;
    size_t length = 0;
    int result = cfgs_get_bool(reader, key, &truth);

    say("bool", key, result);
    printf(" %d\n", truth);
    result = cfgs_get_int(reader, key, &number);
    say("int", key, result);
    printf(" %" PRId64 "\n", number);
    result = cfgs_get_double(reader, key, &real);
    say("double", key, result);
    printf(" %.17g\n", real);
    result = cfgs_get_duration(reader, key, &duration);
    say("duration", key, result);
    printf(" %" PRId64 "\n", duration);
    result = cfgs_get_size(reader, key, &size);
    say("size", key, result);
    printf(" %" PRIu64 "\n", size);
    result = cfgs_get_string(reader, key, text, sizeof text, &length);
    say("string", key, result);
    printf(" '%s' %zu\n", text, length);
    read_list(reader, key);
}

static void read_keys(cfgs_reader *reader)
{
    static const char *const keys[] = {"same.flag",     "same.port",  "same.ratio", "same.pause", "same.limit", "same.name",
                                       "same.empty",    "same.tags",  "same.map",   "same.none",  "same.large", "same.minus",
                                       "same.nothere"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        read_key(reader, keys[i]);
}

/* ---- a view ------------------------------------------------------------------------------------------------------ */

static void print_state(const struct state *state)
{
    printf("view #%" PRIu64 " %" PRIu64 " settings, digest %016" PRIx64 "\n", state->sequence, state->settings,
           state->digest);
}

/* As of a snapshot event. */
static void view_snapshot(struct program *program, const cfgs_event *event)
{
    struct state state;
    cfgs_view view;
    int err = cfgs_view_at(program->reader, event, &view);

    if (err == CFGS_OK)
        err = program_read_view(&view, &state);
    if (err != CFGS_OK)
        program_fail("snapshot", err);
    print_state(&state);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void print_bytes(cfgs_bytes text)
{
    printf("%.*s", (int)text.length, text.data);
}

static void print_update(const cfgs_event *event)
{
    printf("event #%" PRIu64 " after #%" PRIu64 " ", event->sequence, event->previous);
    print_bytes(event->setting.key);
    if (event->removed) {
        fputs(" is gone", stdout);
    } else {
        fputs(" = ", stdout);
        program_print_value(&event->setting.value);
        fputs(" by ", stdout);
        print_bytes(event->setting.source_name);
    }
    fputs(" clears '", stdout);
    print_bytes(event->unset_source_name);
    fputs("' was ", stdout);
    if (event->has_old) {
        program_print_value(&event->old);
        fputs(" by ", stdout);
        print_bytes(event->old_source_name);
    } else {
        fputs("not there", stdout);
    }
    putchar('\n');
}

static bool is_key(cfgs_bytes key, const char *text)
{
    return key.length == strlen(text) && memcmp(key.data, text, key.length) == 0;
}

/* Up to the last change. */
static void follow_events(struct program *program, const char *last)
{
    cfgs_event event;
    bool ended = false;

    while (!ended) {
        int err = cfgs_reader_next(program->reader, &event, CFGS_FOREVER);
        if (err != CFGS_OK)
            program_fail("next", err);
        if (event.kind == CFGS_EVENT_UPDATE) {
            print_update(&event);
            ended = is_key(event.setting.key, last);
        } else {
            printf("event snapshot #%" PRIu64 "\n", event.sequence);
            view_snapshot(program, &event);
        }
        fflush(stdout);
    }
}

/* ---- subscriptions ----------------------------------------------------------------------------------------------- */

struct watcher {
    const char *name, *last;
    bool ended;
};

static void changed(void *context, const cfgs_change *change)
{
    struct watcher *watcher = context;

    printf("change %s #%" PRIu64 " %s ", watcher->name, change->sequence, change->key.data);
    if (change->has_old) {
        program_print_value(&change->old.value);
        putchar(' ');
        print_bytes(change->old.source_name);
    }
    fputs(" -> ", stdout);
    if (change->has_new) {
        program_print_value(&change->now.value);
        putchar(' ');
        print_bytes(change->now.source_name);
    }
    putchar('\n');
    fflush(stdout);
    watcher->ended |= is_key(change->key, watcher->last);
}

static void follow_changes(struct program *program, const char *last)
{
    struct watcher key = {"key", last, false}, section = {"section", last, false}, all = {"all", last, false};
    cfgs_subscription *subscription;
    int err = cfgs_subscription_open(program->reader, &subscription);

    if (err == CFGS_OK)
        err = cfgs_subscription_watch_key(subscription, "same.name", CFGS_WATCH_INITIAL, changed, &key);
    if (err == CFGS_OK)
        err = cfgs_subscription_watch_prefix(subscription, "same.section.", CFGS_WATCH_INITIAL, changed, &section);
    if (err == CFGS_OK)
        err = cfgs_subscription_watch_prefix(subscription, "", 0, changed, &all);
    if (err == CFGS_OK)
        err = cfgs_subscription_dispatch(subscription, CFGS_FOREVER, NULL);
    printf("state #%" PRIu64 "\n", cfgs_subscription_sequence(subscription));
    fflush(stdout);
    while (err == CFGS_OK && !all.ended) /* how many changes one of them takes is a matter of time */
        err = cfgs_subscription_dispatch(subscription, CFGS_FOREVER, NULL);
    if (err != CFGS_OK)
        program_fail("subscription", err);
    cfgs_subscription_close(subscription);
}

int main(int argc, char **argv)
{
    struct program program;

    if (argc != 4) {
        fprintf(stderr, "usage: same events|changes ADDRESS LAST\n");
        return 2;
    }
    program_open(&program, argv[2]);
    if (strcmp(argv[1], "events") == 0)
        follow_events(&program, argv[3]);
    else
        follow_changes(&program, argv[3]);
    read_keys(program.reader);
    struct state state = program_state(&program);
    print_state(&state);
    program_close(&program);
    return 0;
}
