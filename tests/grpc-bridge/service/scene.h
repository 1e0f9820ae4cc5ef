/* scene.h: a bridge of one worker that nobody runs, over a producer in memory.  SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SERVICE_SCENE_H
#define TESTS_SERVICE_SCENE_H

#include "../../shm/support.h"
#include "bridge/bridge.h"
#include "fake_call.h"

extern struct bridge bridge;
extern struct worker worker;
extern cfgs_publisher *publisher;

/** With a ring of 64 updates; the producer has published nothing yet. */
void scene_begin(void);
void scene_end(void);

/** A new session. */
void scene_register(char session[SESSION_ID_BYTES]);
/** All sessions are over from now on; no_longer_enabled: there is no registry any more. */
void scene_sessions_end(void);
void scene_disable_registry(void);

/** What was logged from scene_catch_log() on holds this text so many times. */
void scene_catch_log(enum log_level level);
unsigned scene_logged(const char *text);

/** The present value of a counter. */
#define COUNTED(name) atomic_load(&worker.counters.name)

#endif
