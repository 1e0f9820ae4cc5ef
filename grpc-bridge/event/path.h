/**
 * @file event/path.h  The arenas that the configuration comes through, as streams tell them to relays.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVENT_PATH_H
#define EVENT_PATH_H

#include "bridge/worker.h"

/** Metadata `configstream-path`: the reader's arena, then those upstream of it.  False: it cannot be read just now. */
bool path_write(cfgs_reader *reader, char to[WORKER_PATH_BYTES]);

#endif
