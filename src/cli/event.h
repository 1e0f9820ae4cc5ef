/* cli/event.h: what a stream delivers, as lines for people and for programs.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EVENT_H
#define CLI_EVENT_H

#include <configstream/configstream.h>
#include <stdbool.h>

/** A snapshot of so many settings. */
void event_print_snapshot(const cfgs_event *event, uint64_t settings, bool json);

/** An update, secrets masked. */
void event_print_update(const cfgs_event *event, bool json);

#endif
