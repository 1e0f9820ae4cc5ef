/*
 * threads.c: agents that register, stream and leave while one thread reaps and another one lists them.  One that was
 * taken out is never found again, and at the end nobody is left.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bridge/rcu.h"
#include "registry/registry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 3, ROUNDS = 2000, BATCH = 5 };

#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static struct registry *registry;
static atomic_uint working = WORKERS; /* relaxed: nothing but itself is told by it */

/* Idle at once: a session lives by its stream only. */
static const struct registry_settings SETTINGS = {.enabled = true, .idle_timeout_ms = -1, .agents_max = WORKERS * ROUNDS * BATCH};
static const struct registration AGENT = {
    .pid = "1", .flavor = "f", .display_name = "an agent", .api_endpoint_uri = "localhost:1"};

static bool begin_stream(char id[SESSION_ID_BYTES])
{
    char reason[256];
    NEED(registry_register(registry, &AGENT, id, reason) == REGISTRY_OK);
    if (!registry_stream_opened(registry, id))
        return false; /* the reaper was quicker */
    /* It may have looked just before the stream was there. */
    return registry_stream_alive(registry, id, 1);
}

static void *work(void *context)
{
    unsigned long *streams = context;
    for (int round = 0; round < ROUNDS; round++) {
        char ids[BATCH][SESSION_ID_BYTES];
        bool open[BATCH];
        for (int i = 0; i < BATCH; i++)
            open[i] = begin_stream(ids[i]);
        for (int i = 0; i < BATCH; i++) {
            bool alive = registry_stream_alive(registry, ids[i], (uint64_t)round);
            NEED(open[i] || !alive); /* out once is out for good */
            *streams += alive;
            registry_stream_closed(registry, ids[i]);
        }
    }
    atomic_fetch_sub_explicit(&working, 1, memory_order_relaxed);
    return NULL;
}

static void look_at(void *context, const struct registry_agent *agent)
{
    NEED(strcmp(agent->display_name, "an agent") == 0 && strlen(agent->session_prefix) == 8);
    ++*(unsigned long *)context;
}

static void *list(void *context)
{
    while (atomic_load_explicit(&working, memory_order_relaxed))
        registry_each(registry, look_at, context);
    return NULL;
}

int main(void)
{
    pthread_t workers[WORKERS], lister;
    unsigned long streams[WORKERS] = {0}, seen = 0, reaped = 0, all = 0;
    registry = registry_new(&SETTINGS);
    NEED(registry);
    for (int i = 0; i < WORKERS; i++)
        NEED(pthread_create(&workers[i], NULL, work, &streams[i]) == 0);
    NEED(pthread_create(&lister, NULL, list, &seen) == 0);
    while (atomic_load_explicit(&working, memory_order_relaxed))
        reaped += registry_reap(registry);
    for (int i = 0; i < WORKERS; i++) {
        NEED(pthread_join(workers[i], NULL) == 0);
        all += streams[i];
    }
    NEED(pthread_join(lister, NULL) == 0);
    reaped += registry_reap(registry);
    NEED(reaped == (unsigned long)WORKERS * ROUNDS * BATCH && registry_count(registry) == 0);
    NEED(all > 0);
    rcu_settle();
    registry_free(registry);
    printf("%lu sessions made and reaped, %lu with a stream, listed %lu times\n", reaped, all, seen);
    return 0;
}
