/*
 * registry/registry.c: a hash table of chains.
 *
 * Readers walk the chains under RCU.  Who adds or takes out holds the mutex; a session that is taken out keeps its `next`
 * until every reader is past it.  What changes about a session that stays (when it was heard of, its streams, its last
 * ID) are atomics of their own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry.h"

#include "base/clock.h"
#include "bridge/rcu.h"
#include "registry/check.h"
#include "registry/session_id.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct session {
    struct rcu_head retired;
    _Atomic(struct session *) next;
    /* relaxed, all three: each stands for itself, and a look that is a moment late does no harm. */
    _Atomic int64_t heard_ms;
    atomic_uint streams;
    _Atomic uint64_t sequence;
    char id[SESSION_ID_BYTES];
    char flavor[REGISTRY_TEXT_MAX_BYTES + 1], display_name[REGISTRY_TEXT_MAX_BYTES + 1];
};

struct registry {
    pthread_mutex_t changing; /* chains and count */
    _Atomic(struct session *) buckets[BUCKETS];
    /* relaxed: numbers that stand for themselves. */
    atomic_size_t count;
    atomic_bool enabled;
    _Atomic int64_t idle_timeout_ms, refresh_interval_ms, agents_max;
};

/* ---- the process's side ------------------------------------------------------------------------------------------ */

struct registry *registry_new(const struct registry_settings *settings)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return NULL;
    if (pthread_mutex_init(&registry->changing, NULL) != 0) {
        free(registry);
        return NULL;
    }
    registry_set(registry, settings);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        /* relaxed: by now no other thread has anything to do with it. */
        struct session *session = atomic_load_explicit(&registry->buckets[i], memory_order_relaxed);
        while (session) {
            struct session *next = atomic_load_explicit(&session->next, memory_order_relaxed);
            free(session);
            session = next;
        }
    }
    pthread_mutex_destroy(&registry->changing);
    free(registry);
}

void registry_set(struct registry *registry, const struct registry_settings *settings)
{
    /* relaxed: see struct registry. */
    atomic_store_explicit(&registry->enabled, settings->enabled, memory_order_relaxed);
    atomic_store_explicit(&registry->idle_timeout_ms, settings->idle_timeout_ms, memory_order_relaxed);
    atomic_store_explicit(&registry->refresh_interval_ms, settings->refresh_interval_ms, memory_order_relaxed);
    atomic_store_explicit(&registry->agents_max, settings->agents_max, memory_order_relaxed);
}

struct registry_settings registry_get(const struct registry *registry)
{
    /* relaxed: see struct registry. */
    return (struct registry_settings){
        .enabled = atomic_load_explicit(&registry->enabled, memory_order_relaxed),
        .idle_timeout_ms = atomic_load_explicit(&registry->idle_timeout_ms, memory_order_relaxed),
        .refresh_interval_ms = atomic_load_explicit(&registry->refresh_interval_ms, memory_order_relaxed),
        .agents_max = atomic_load_explicit(&registry->agents_max, memory_order_relaxed),
    };
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static struct session *first_of(const _Atomic(struct session *) *bucket)
{
    /* acquire: the session is complete; pairs with the release in add(). */
    return atomic_load_explicit(bucket, memory_order_acquire);
}

/* Within rcu_lock(). */
static struct session *find(const struct registry *registry, const char *id)
{
    if (strlen(id) != SESSION_ID_BYTES - 1)
        return NULL;
    struct session *session = first_of(&registry->buckets[session_id_hash(id) % BUCKETS]);
    while (session && CRYPTO_memcmp(session->id, id, SESSION_ID_BYTES - 1) != 0)
        session = first_of(&session->next);
    return session;
}

static void hear_of(struct session *session)
{
    atomic_store_explicit(&session->heard_ms, now_ms(), memory_order_relaxed); /* relaxed: see struct session */
}

bool registry_refresh(struct registry *registry, const char *session_id)
{
    rcu_lock();
    struct session *session = find(registry, session_id);
    if (session)
        hear_of(session);
    rcu_unlock();
    return session;
}

bool registry_stream_opened(struct registry *registry, const char *session_id)
{
    rcu_lock();
    struct session *session = find(registry, session_id);
    if (session) {
        atomic_fetch_add_explicit(&session->streams, 1, memory_order_relaxed); /* relaxed: see struct session */
        hear_of(session);
    }
    rcu_unlock();
    return session;
}

bool registry_stream_alive(struct registry *registry, const char *session_id, uint64_t sequence)
{
    rcu_lock();
    struct session *session = find(registry, session_id);
    if (session) {
        atomic_store_explicit(&session->sequence, sequence, memory_order_relaxed); /* relaxed: see struct session */
        hear_of(session);
    }
    rcu_unlock();
    return session;
}

void registry_stream_closed(struct registry *registry, const char *session_id)
{
    rcu_lock();
    struct session *session = find(registry, session_id);
    if (session) {
        atomic_fetch_sub_explicit(&session->streams, 1, memory_order_relaxed); /* relaxed: see struct session */
        hear_of(session);
    }
    rcu_unlock();
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

static struct session *make_session(const struct registration *registration)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session || !session_id_make(session->id)) {
        free(session);
        return NULL;
    }
    snprintf(session->flavor, sizeof session->flavor, "%s", registration->flavor);
    snprintf(session->display_name, sizeof session->display_name, "%s", registration->display_name);
    hear_of(session);
    return session;
}

static void add(struct registry *registry, struct session *session)
{
    _Atomic(struct session *) *bucket = &registry->buckets[session_id_hash(session->id) % BUCKETS];
    /* relaxed: under the mutex; what is published is published by the next line. */
    atomic_store_explicit(&session->next, atomic_load_explicit(bucket, memory_order_relaxed), memory_order_relaxed);
    /* release: whoever finds the session finds it complete; pairs with first_of(). */
    atomic_store_explicit(bucket, session, memory_order_release);
    atomic_fetch_add_explicit(&registry->count, 1, memory_order_relaxed); /* relaxed: changed under the mutex only */
}

enum registry_result registry_register(struct registry *registry, const struct registration *registration,
                                       char session_id[SESSION_ID_BYTES], char reason[256])
{
    struct registry_settings settings = registry_get(registry);
    if (!settings.enabled)
        return REGISTRY_DISABLED;
    if (!registration_check(registration, reason))
        return REGISTRY_INVALID;
    struct session *session = make_session(registration);
    if (!session)
        return REGISTRY_MEMORY;
    memcpy(session_id, session->id, SESSION_ID_BYTES);
    pthread_mutex_lock(&registry->changing);
    bool room = registry_count(registry) < (size_t)settings.agents_max;
    if (room)
        add(registry, session);
    pthread_mutex_unlock(&registry->changing);
    if (room)
        return REGISTRY_OK;
    free(session);
    return REGISTRY_FULL;
}

/* ---- taking out -------------------------------------------------------------------------------------------------- */

static void release_retired(struct rcu_head *head)
{
    free((char *)head - offsetof(struct session, retired));
}

/* A stream that begins right now may find its session taken out: it ends as the streams of sessions that are over do. */
static bool is_over(const struct session *session, const struct registry_settings *settings, int64_t now)
{
    if (!settings->enabled)
        return true;
    if (atomic_load_explicit(&session->streams, memory_order_relaxed) > 0) /* relaxed, both: see struct session */
        return false;
    int64_t idle = now - atomic_load_explicit(&session->heard_ms, memory_order_relaxed);
    return idle > settings->idle_timeout_ms + settings->refresh_interval_ms / 2;
}

static size_t reap_bucket(struct registry *registry, size_t bucket, const struct registry_settings *settings,
                          int64_t now)
{
    size_t reaped = 0;
    _Atomic(struct session *) *link = &registry->buckets[bucket];
    struct session *session;
    /* relaxed, all: under the mutex, and each session was published when it was added. */
    while ((session = atomic_load_explicit(link, memory_order_relaxed))) {
        if (!is_over(session, settings, now)) {
            link = &session->next;
            continue;
        }
        atomic_store_explicit(link, atomic_load_explicit(&session->next, memory_order_relaxed), memory_order_release);
        atomic_fetch_sub_explicit(&registry->count, 1, memory_order_relaxed);
        rcu_retire(&session->retired, release_retired);
        reaped++;
    }
    return reaped;
}

size_t registry_reap(struct registry *registry)
{
    struct registry_settings settings = registry_get(registry);
    int64_t now = now_ms();
    size_t reaped = 0;
    if (!registry_count(registry))
        return 0;
    pthread_mutex_lock(&registry->changing);
    for (size_t i = 0; i < BUCKETS; i++)
        reaped += reap_bucket(registry, i, &settings, now);
    pthread_mutex_unlock(&registry->changing);
    return reaped;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

size_t registry_count(const struct registry *registry)
{
    return atomic_load_explicit(&registry->count, memory_order_relaxed); /* relaxed: see struct registry */
}

static void describe(const struct session *session, int64_t now, struct registry_agent *out)
{
    memcpy(out->session_prefix, session->id, sizeof out->session_prefix - 1);
    out->session_prefix[sizeof out->session_prefix - 1] = '\0';
    memcpy(out->flavor, session->flavor, sizeof out->flavor);
    memcpy(out->display_name, session->display_name, sizeof out->display_name);
    /* relaxed, all: see struct session. */
    out->idle_ms = now - atomic_load_explicit(&session->heard_ms, memory_order_relaxed);
    out->streams = atomic_load_explicit(&session->streams, memory_order_relaxed);
    out->last_sequence = atomic_load_explicit(&session->sequence, memory_order_relaxed);
}

void registry_each(const struct registry *registry, void (*each)(void *context, const struct registry_agent *agent),
                   void *context)
{
    struct registry_agent agent;
    int64_t now = now_ms();
    rcu_lock();
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct session *session = first_of(&registry->buckets[i]); session; session = first_of(&session->next)) {
            describe(session, now, &agent);
            each(context, &agent);
        }
    rcu_unlock();
}
