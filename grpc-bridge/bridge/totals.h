/* bridge/totals.h: counters added up over the workers, by any thread.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TOTALS_H
#define BRIDGE_TOTALS_H

#include "bridge/bridge.h"

/** `offset` is of a member of struct counters. */
static inline uint64_t of_worker(const struct worker *worker, size_t offset)
{
    const char *base = (const char *)&worker->counters;
    /* relaxed: see COUNT. */
    return atomic_load_explicit((const _Atomic uint64_t *)(const void *)(base + offset), memory_order_relaxed);
}

static inline uint64_t of_all(const struct bridge *bridge, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < bridge->worker_count; i++)
        sum += of_worker(&bridge->workers[i], offset);
    return sum;
}

#endif
