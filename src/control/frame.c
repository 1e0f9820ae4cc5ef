/* control/frame.c  SPDX-License-Identifier: Apache-2.0 */
#include "control/frame.h"

#include <arpa/inet.h>
#include <string.h>

bool frame_append(struct buffer *out, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    if (length > CONTROL_MESSAGE_MAX_BYTES || !buffer_reserve(out, CONTROL_HEAD_BYTES + length))
        return false;
    uint32_t head = htonl((uint32_t)length);
    memcpy(out->data + out->length, &head, sizeof head);
    protobuf_c_message_pack(message, (uint8_t *)out->data + out->length + CONTROL_HEAD_BYTES);
    out->length += CONTROL_HEAD_BYTES + length;
    return true;
}

enum frame_state frame_look(const char *bytes, size_t available, size_t *length)
{
    uint32_t head;
    if (available < CONTROL_HEAD_BYTES)
        return FRAME_PARTIAL;
    memcpy(&head, bytes, sizeof head);
    *length = ntohl(head);
    if (*length > CONTROL_MESSAGE_MAX_BYTES)
        return FRAME_TOO_LARGE;
    return available - CONTROL_HEAD_BYTES >= *length ? FRAME_COMPLETE : FRAME_PARTIAL;
}
