/* client/setup.h: cfgs_remote_options, checked, completed and copied.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_SETUP_H
#define CLIENT_SETUP_H

#include "client/access.h"
#include "client/address.h"

#include <configstream/remote.h>

enum { SETUP_LABEL_BYTES = 257 /* what a core takes, and its NUL */ };

struct setup {
    char *address, *authority; /* the latter as :authority wants it */
    char host[HOST_PORT_HOST_BYTES];
    const char *port;
    struct access_options access;
    char *owned[6]; /* what `access` points to */
    char flavor[SETUP_LABEL_BYTES], display_name[SETUP_LABEL_BYTES], stream_name[SETUP_LABEL_BYTES];
    char endpoint[2 * SETUP_LABEL_BYTES], pid[24];
    uint32_t backoff_min_ms, backoff_max_ms, connect_timeout_ms, call_timeout_ms, keepalive_ms, keepalive_timeout_ms;
    uint64_t max_message_bytes;
};

/** CFGS_OK, CFGS_ERR_INVALID, CFGS_ERR_MEMORY; setup_clear() also after a failure. */
int setup_fill(struct setup *setup, const cfgs_remote_options *options);
void setup_clear(struct setup *setup);

#endif
