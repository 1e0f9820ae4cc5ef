/* bridge/limits.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/limits.h"

void limits_init(struct limits *limits)
{
#define LIMIT_INIT(name, kind, initial, low, high, help)                                                               \
    atomic_store_explicit(&limits->name, initial, memory_order_relaxed);
    BRIDGE_LIMITS(LIMIT_INIT)
#undef LIMIT_INIT
}
