/**
 * @file registry/registry.h  The remote agent registry: who registered, and who may subscribe.
 *
 * One table for the process.  Lookups (a refresh, the opening of a stream, a stream's once-a-second look) run on every
 * worker under RCU and take no lock; registering and reaping take one.  A session is a random UUID, new at each
 * registration.  It ends when nothing was heard of it for idle_timeout plus half a recommended interval; an open stream
 * counts as being heard of.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SESSION_ID_BYTES = 37, /* UUID text and NUL */
    REGISTRY_TEXT_MAX_BYTES = 256,  /* flavor, display name, pid, URI */
    REGISTRY_SERVICES_MAX = 64
};

struct registry;

struct registry_settings {
    bool enabled;
    int64_t idle_timeout_ms, refresh_interval_ms;
    int64_t agents_max;
};

/** Texts are borrowed for the call. */
struct registration {
    const char *pid, *flavor, *display_name, *api_endpoint_uri;
    size_t service_count;
};

enum registry_result {
    REGISTRY_OK,
    REGISTRY_DISABLED,
    REGISTRY_INVALID, /* the reason says which field */
    REGISTRY_FULL,
    REGISTRY_MEMORY
};

struct registry *registry_new(const struct registry_settings *settings);
void registry_free(struct registry *registry);

/** From now on; sessions that exist keep living by the new times. */
void registry_set(struct registry *registry, const struct registry_settings *settings);
struct registry_settings registry_get(const struct registry *registry);

/** Add a session.  On INVALID `reason` names the field and what is wrong with it. */
enum registry_result registry_register(struct registry *registry, const struct registration *registration,
                                       char session_id[SESSION_ID_BYTES], char reason[256]);

/** Note that the session was heard of.  False: there is no such session. */
bool registry_refresh(struct registry *registry, const char *session_id);

/** An open stream of the session begins or ends; `sequence` is the last ID sent, for the status.  False: no session. */
bool registry_stream_opened(struct registry *registry, const char *session_id);
bool registry_stream_alive(struct registry *registry, const char *session_id, uint64_t sequence);
void registry_stream_closed(struct registry *registry, const char *session_id);

/** Take out the sessions that are over; to be called about once a second by one thread.  Returns how many. */
size_t registry_reap(struct registry *registry);

struct registry_agent {
    char session_prefix[9], flavor[REGISTRY_TEXT_MAX_BYTES + 1], display_name[REGISTRY_TEXT_MAX_BYTES + 1];
    int64_t idle_ms;
    unsigned streams;
    uint64_t last_sequence;
};

size_t registry_count(const struct registry *registry);
/** Call for each agent, in no order; the agent lives for the call. */
void registry_each(const struct registry *registry, void (*each)(void *context, const struct registry_agent *agent),
                   void *context);

#endif
