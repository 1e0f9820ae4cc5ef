/**
 * @file control/frame.h  Messages of the control protocol as bytes: a 4-byte big-endian length, then the message.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONTROL_FRAME_H
#define CONTROL_FRAME_H

#include "base/text.h"
#include "control.pb-c.h"

#define CONTROL_MESSAGE_MAX_BYTES ((size_t)17 << 20)
enum { CONTROL_HEAD_BYTES = 4 };

typedef Configstream__Control__Request control_request;
typedef Configstream__Control__Response control_response;

/** Append a framed message.  False when memory ran out or the message is beyond the limit. */
bool frame_append(struct buffer *out, const ProtobufCMessage *message);

enum frame_state { FRAME_PARTIAL, FRAME_COMPLETE, FRAME_TOO_LARGE };

/** Whether the bytes start with a whole frame; if so its message is *length bytes from bytes + CONTROL_HEAD_BYTES. */
enum frame_state frame_look(const char *bytes, size_t available, size_t *length);

#endif
