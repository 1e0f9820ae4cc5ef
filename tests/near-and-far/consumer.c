/*
 * consumer.c ADDRESS: follows a configuration for as long as its standard input is open, and checks what it is promised:
 * a snapshot first, then IDs without gap or repeat, and that the updates add up to the state.
 *
 * Each line on standard input is answered by one JSON object: what it has, and what it costs.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "program.h"

#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct consumer {
    struct program program;
    struct state seen; /* what the events add up to */
    bool started;
    uint64_t snapshots, replaced, updates, gaps, early;
};

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void take_snapshot(struct consumer *consumer, const cfgs_event *event)
{
    struct state state;
    cfgs_view view;
    int err = cfgs_view_at(consumer->program.reader, event, &view);

    if (err == CFGS_OK)
        err = program_read_view(&view, &state);
    if (err == CFGS_ERR_LAPPED)
        return; /* the next event is a snapshot again */
    if (err != CFGS_OK)
        program_fail("snapshot", err);
    consumer->started = true;
    consumer->snapshots++;
    consumer->replaced += event->reason == CFGS_SNAPSHOT_REPLACED;
    consumer->seen = state;
}

static void take_update(struct consumer *consumer, const cfgs_event *event)
{
    const cfgs_setting *setting = &event->setting;

    consumer->updates++;
    consumer->early += !consumer->started;
    consumer->gaps += event->sequence != consumer->seen.sequence + 1;
    if (event->has_old && !(event->old_flags & CFGS_SETTING_LOCAL)) {
        consumer->seen.digest -= program_digest(setting->key, event->old_source_name, &event->old);
        consumer->seen.settings--;
    }
    if (!event->removed && !(setting->flags & CFGS_SETTING_LOCAL)) {
        consumer->seen.digest += program_digest(setting->key, setting->source_name, &setting->value);
        consumer->seen.settings++;
    }
    consumer->seen.sequence = event->sequence;
}

static void take_all(struct consumer *consumer)
{
    cfgs_event event;
    int err;

    while ((err = cfgs_reader_next(consumer->program.reader, &event, 0)) != CFGS_ERR_TIMEOUT) {
        if (err == CFGS_ERR_CLOSED)
            continue; /* it may come back */
        if (err != CFGS_OK)
            program_fail("next", err);
        if (event.kind == CFGS_EVENT_SNAPSHOT)
            take_snapshot(consumer, &event);
        else
            take_update(consumer, &event);
    }
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);

    if (directory == NULL)
        program_fail(path, CFGS_ERR_SYSTEM);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* Of memory that is ours alone: the arena is counted where it lives. */
static long anonymous_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "re");

    if (file == NULL)
        program_fail("/proc/self/status", CFGS_ERR_SYSTEM);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "RssAnon: %ld", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

static void report(struct consumer *consumer)
{
    struct state now = program_state(&consumer->program);
    cfgs_reader_info info;
    cfgs_remote_info remote;
    int err = cfgs_reader_status(consumer->program.reader, &info, sizeof info);

    if (err == CFGS_OK)
        err = cfgs_remote_status(consumer->program.remote, &remote, sizeof remote);
    if (err != CFGS_OK)
        program_fail("status", err);
    printf("{\"sequence\": %" PRIu64 ", \"settings\": %" PRIu64 ", \"digest\": \"%016" PRIx64 "\", \"seen\": %" PRIu64
           ", \"seen_settings\": %" PRIu64 ", \"seen_digest\": \"%016" PRIx64 "\", \"snapshots\": %" PRIu64
           ", \"replaced\": %" PRIu64 ", \"updates\": %" PRIu64 ", \"gaps\": %" PRIu64 ", \"early\": %" PRIu64
           ", \"threads\": %u, \"descriptors\": %u, \"anonymous_kib\": %ld, \"arena_bytes\": %" PRIu64
           ", \"state\": \"%s\", \"connects\": %" PRIu64 ", \"registrations\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"wire_gaps\": %" PRIu64 ", \"stale\": %" PRIu64 ", \"malformed\": %" PRIu64 "}\n",
           now.sequence, now.settings, now.digest, consumer->seen.sequence, consumer->seen.settings, consumer->seen.digest,
           consumer->snapshots, consumer->replaced, consumer->updates, consumer->gaps, consumer->early,
           entries("/proc/self/task"), entries("/proc/self/fd"), anonymous_kib(), info.size_bytes,
           cfgs_remote_state_name(remote.state), remote.counters.connects, remote.counters.registrations,
           remote.counters.sessions_refused, remote.counters.gaps, remote.counters.stale, remote.counters.malformed);
    fflush(stdout);
}

/* False: standard input has ended. */
static bool take_orders(struct consumer *consumer)
{
    char orders[256];
    ssize_t length = read(STDIN_FILENO, orders, sizeof orders);

    for (ssize_t i = 0; i < length; i++)
        if (orders[i] == '\n') {
            take_all(consumer);
            report(consumer);
        }
    return length > 0;
}

int main(int argc, char **argv)
{
    struct consumer consumer = {0};
    struct pollfd wait[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};

    if (argc != 2) {
        fprintf(stderr, "usage: consumer ADDRESS\n");
        return 2;
    }
    program_open(&consumer.program, argv[1]);
    int err = cfgs_reader_fd(consumer.program.reader, &wait[1].fd);
    if (err != CFGS_OK)
        program_fail("descriptor", err);
    take_all(&consumer);
    do {
        if (poll(wait, 2, -1) < 0)
            program_fail("poll", CFGS_ERR_SYSTEM);
        take_all(&consumer);
    } while (wait[0].revents == 0 || take_orders(&consumer));
    program_close(&consumer.program);
    return 0;
}
