/* frame.c: framing of the control protocol.  SPDX-License-Identifier: Apache-2.0 */
#include "control/frame.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(frame, a_message_comes_back_whole_whatever_the_pieces)
{
    struct buffer bytes = {0};
    size_t length;
    control_response response;
    configstream__control__response__init(&response);
    response.changes = 40;
    response.sequence = 1u << 20;
    cr_assert(frame_append(&bytes, &response.base));
    for (size_t i = 0; i < bytes.length; i++)
        cr_assert_eq(frame_look(bytes.data, i, &length), FRAME_PARTIAL);
    cr_assert_eq(frame_look(bytes.data, bytes.length, &length), FRAME_COMPLETE);
    cr_assert_eq(length + CONTROL_HEAD_BYTES, bytes.length);
    control_response *back = configstream__control__response__unpack(
        NULL, length, (const uint8_t *)bytes.data + CONTROL_HEAD_BYTES);
    cr_assert_eq(back->changes, 40);
    configstream__control__response__free_unpacked(back, NULL);
    free(bytes.data);
}

Test(frame, lengths_beyond_the_limit_are_known_by_the_head_alone)
{
    size_t length;
    cr_assert_eq(frame_look("\x01\x10\x00\x00", 4, &length), FRAME_PARTIAL);
    cr_assert_eq(frame_look("\x01\x10\x00\x01", 4, &length), FRAME_TOO_LARGE);
    cr_assert_eq(frame_look("\xff\xff\xff\xff", 4, &length), FRAME_TOO_LARGE);
}
