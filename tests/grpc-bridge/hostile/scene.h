/* scene.h: a bridge, a well-behaved neighbour on it, and somebody who means ill.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_SCENE_H
#define BRIDGE_TESTS_SCENE_H

#include "raw.h"
#include "support/publish.h"
#include "support/subscriber.h"

struct scene {
    cfgs_publisher *publisher;
    struct bridge_process bridge;
    struct swarm *swarm;
    struct subscriber *neighbour;
    bool neighbour_may_go; /* the bridge was told to be impatient: a slow test loses its neighbour, and gets another */
    uint64_t resident; /* before anything was done */
};
extern struct scene scene;

/** Start all.  The flags are ended by NULL; the bridge is patient unless they say otherwise. */
void scene_begin(const char *const *flags);
void scene_begin_with(const char *const *flags, unsigned descriptors);
#define SCENE(...) scene_begin((const char *const[]){__VA_ARGS__, NULL})
/** For those whose time is to be up soon.  On a slow machine it may be so for others, too. */
#define HASTY "--handshake-timeout", "300ms", "--preface-timeout", "300ms", "--request-timeout", "300ms"

/** The neighbour is as it was, the bridge lives, has not grown, and stops in order. */
void scene_end(void);

/** The neighbour gets to the producer's last ID. */
void neighbour_follows(void);
/** An update reaches the neighbour, as the next one on the stream it always had. */
void neighbour_is_served(void);

/** One more subscriber that has its snapshot; tries again where the bridge found it too slow. */
struct subscriber *newcomer(const char *name);

struct raw *plain(void);
struct raw *secure(void);
struct raw *http2(void);

/** Read until the bridge closes the connection; then let go of it.  The neighbour goes on meanwhile. */
void is_closed(struct raw *raw);
/** Call step() over and over, with nothing but reading in between, until the bridge closes the connection. */
void floods_until_closed(struct raw *raw, void (*step)(struct raw *raw));

/** Wait until the counter has reached this; names without "configstream_". */
void counts(const char *metric, uint64_t at_least);

/** Wait until the condition holds, while everything goes on. */
#define EVENTUALLY(condition) SWARM_UNTIL(scene.swarm, condition)

#endif
