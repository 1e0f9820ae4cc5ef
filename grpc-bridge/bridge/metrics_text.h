/* bridge/metrics_text.h: the numbers as Prometheus text (version 0.0.4).  SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_METRICS_TEXT_H
#define BRIDGE_METRICS_TEXT_H

#include "base/text.h"
#include "bridge/bridge.h"

/** Any thread while the workers are open.  `info` may be NULL: the arena cannot be looked at.  False: no memory. */
bool metrics_text(const struct bridge *bridge, const cfgs_reader_info *info, struct buffer *out);

#endif
