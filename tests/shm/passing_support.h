/* passing_support.h: encoded settings for tests that pass a stream on.  SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SHM_PASSING_SUPPORT_H
#define TESTS_SHM_PASSING_SUPPORT_H

#include "support.h"
#include <configstream/encoded.h>

/* A message under construction; grows as needed. */
struct message {
    uint8_t *bytes;
    size_t length, capacity;
};

void message_free(struct message *message);
void put_byte(struct message *message, unsigned byte);
void put_varint(struct message *message, uint64_t number);
void put_raw(struct message *message, const void *bytes, size_t length);
/* A length-delimited field. */
void put_field(struct message *message, unsigned number, const void *bytes, size_t length);
void put_text(struct message *message, unsigned number, const char *text);
/* A ConfigSetting as the agents send it; unset NULL: none; value NULL: none. */
void put_setting(struct message *message, const char *source, const char *key, const struct message *value,
                 const char *unset);
/* A google.protobuf.Value of a number. */
void put_number(struct message *message, double number);

/* Stage an int as an encoded setting of source "file". */
void stage_int(cfgs_batch *batch, const char *key, int64_t value);
/* A snapshot of one or two (key_b NULL) ints. */
void snapshot(cfgs_publisher *publisher, uint64_t sequence, const char *key_a, int64_t a, const char *key_b, int64_t b);
void update_int(cfgs_publisher *publisher, uint64_t sequence, const char *key, int64_t value);

#endif
