/* http2/status.c  SPDX-License-Identifier: Apache-2.0 */
#include "http2/status.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A continuation byte of UTF-8 at the cut means that the cut goes through a character. */
static size_t cut_at_character(const char *message, size_t length)
{
    if (length <= GRPC_MESSAGE_MAX_BYTES)
        return length;
    size_t cut = GRPC_MESSAGE_MAX_BYTES;
    while (cut > 0 && ((unsigned char)message[cut] & 0xc0) == 0x80)
        cut--;
    return cut ? cut : GRPC_MESSAGE_MAX_BYTES;
}

/* grpc-js loses the whole message when a blank stands at an edge (grpc-wire 1.3). */
static bool travels_as_it_is(unsigned char byte, bool edge)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%' && !(byte == ' ' && edge);
}

size_t grpc_message_encode(const char *message, char out[GRPC_MESSAGE_ENCODED_BYTES])
{
    size_t length = cut_at_character(message, strlen(message)), at = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)message[i];
        if (travels_as_it_is(byte, i == 0 || i + 1 == length))
            out[at++] = (char)byte;
        else
            at += (size_t)snprintf(out + at, 4, "%%%02X", byte);
    }
    out[at] = '\0';
    return at;
}
