/*
 * received.h: a ConfigSetting from elsewhere: read from untrusted bytes, and its value made canonical.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_RECEIVED_H
#define CFGS_RECEIVED_H

#include <configstream/setting.h>

/* Texts borrow the message; a list's or struct's bytes are the builder's. */
struct received {
    cfgs_bytes key, source, unset_source; /* length 0: absent */
    bool has_value;
    bool local; /* holds NaN or an infinity */
    cfgs_value value;
};

/*
 * CFGS_OK; CFGS_ERR_CORRUPT: no valid ConfigSetting; CFGS_ERR_TOO_LARGE, _ENCODING: a list or struct is beyond a limit, or a
 * text inside is no UTF-8; CFGS_ERR_MEMORY.  Key, source and a plain text are checked where the record is made.
 *
 * Fields come in any order, of several with one number the last counts (of embedded messages, too), and unknown ones are
 * passed over.  A known field of another wire type is refused: who sends one means another message.
 */
int received_parse(const void *setting, size_t length, cfgs_builder *builder, struct received *out);

#endif
