/* base/started.h: what a producer found, for its log.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STARTED_H
#define BASE_STARTED_H

#include <configstream/publisher.h>

static inline const char *started_words(cfgs_publisher_start start)
{
    switch (start) {
    case CFGS_START_NEW: return "new";
    case CFGS_START_CRASHED: return "recovered after a crash";
    case CFGS_START_CLOSED: return "taken up after a clean stop";
    case CFGS_START_REPLACED: return "replacing an unusable one";
    case CFGS_START_RELAYED: return "taken up after a relay";
    }
    return "?";
}

#endif
