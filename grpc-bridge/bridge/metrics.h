/**
 * @file bridge/metrics.h  /metrics and /healthz by HTTP, on a loopback address: a thread of libmicrohttpd's.
 *
 * /healthz says what gRPC health says: 200 while a snapshot is there, its producer runs and we do not drain, else 503
 * and the reason.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_METRICS_H
#define BRIDGE_METRICS_H

#include "bridge/bridge.h"

struct metrics;

/** Listen on HOST:PORT, of which the first address counts.  NULL with the problem.  The bridge's workers are open. */
struct metrics *metrics_open(struct bridge *bridge, const char *where, struct problem *problem);
/** Before the workers are closed. NULL: nothing. */
void metrics_close(struct metrics *metrics);

/** Where it listens. */
const char *metrics_name(const struct metrics *metrics);

#endif
