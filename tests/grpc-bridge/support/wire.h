/* wire.h: just enough of protobuf's wire format to look at messages without the code under test.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_WIRE_H
#define BRIDGE_TESTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data;
    size_t length;
};

struct wire_field {
    uint32_t number, type;
    uint64_t integer;   /* types 0, 1 and 5 */
    struct bytes bytes; /* type 2 */
};

/** Take the next field off the front; false at the end.  Malformed bytes fail the test. */
bool wire_next(struct bytes *message, struct wire_field *out);

/** The last field of this number, of type 2; empty if there is none. */
struct bytes wire_bytes(struct bytes message, uint32_t number);
/** The last of this number, of type 0; 0 if there is none. */
uint64_t wire_integer(struct bytes message, uint32_t number);

/** Append a text field; returns the new length. */
size_t wire_put_text(uint8_t *to, size_t at, uint32_t number, const char *text);

bool bytes_equal(struct bytes a, struct bytes b);

#endif
