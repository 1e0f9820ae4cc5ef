/**
 * @file service/services.h  The methods the bridge answers.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_SERVICES_H
#define SERVICE_SERVICES_H

#include "bridge/worker.h"
#include "http2/call.h"

/** All methods, ended by one without a path.  A path that is not among them is UNIMPLEMENTED. */
const struct call_method *service_find(const char *path, size_t length);

extern const struct call_method service_stream_config_events;              /* stream.c */
extern const struct call_method service_register, service_refresh;         /* remote_agent.c: the AgentSecure names */
extern const struct call_method service_remote_register, service_remote_refresh, service_remote_report;
extern const struct call_method service_tagger_fetch_entity, service_get_hostname; /* host.c */
extern const struct call_method service_health_check, service_health_watch; /* health.c */
extern const struct call_method service_reflection_v1, service_reflection_v1alpha; /* reflection.c */

/** The arena has news: wake the streams that wait for it. */
void service_stream_news(struct worker *worker);
/** The configuration comes through other arenas than streams were told: relays look for loops at the start of one. */
void service_stream_path_changed(struct worker *worker);
/** Once a second: sessions that ended, updates that were missed. */
void service_stream_tick(struct worker *worker);

/** Look whether the producer serves, and tell the watches if that changed; at news, and once a second. */
void service_health_look(struct worker *worker);

#endif
