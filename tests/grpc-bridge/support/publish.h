/* publish.h: a producer in the test's own process.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_PUBLISH_H
#define BRIDGE_TESTS_PUBLISH_H

#include <configstream/configstream.h>
#include <stdint.h>

/** The producer of test_instance(). */
cfgs_publisher *producer_open(uint32_t ring_slots);

/** Publish a text; these are updates of their own. */
void publish_text(cfgs_publisher *publisher, const char *key, const char *text, int source);

/** So many settings "load.N" in one batch, each a text of this length. */
void publish_load(cfgs_publisher *publisher, unsigned count, size_t length);

/** A reader of the producer's arena. */
cfgs_reader *reader_open(cfgs_publisher *publisher);

cfgs_setting setting_of(const char *key, cfgs_value value, int source);

uint64_t random_next(uint64_t *state);

#endif
