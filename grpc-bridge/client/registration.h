/* client/registration.h: the small messages of the registry, and its two names.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_REGISTRATION_H
#define CLIENT_REGISTRATION_H

#include "client/rpc.h"
#include "client/setup.h"

enum { SESSION_MAX_BYTES = 256, SESSION_SHOWN_BYTES = 8 };

struct registration {
    char session[SESSION_MAX_BYTES + 1];
    uint32_t interval_s; /* as the server said it; 0: nothing */
};

/** Older cores know the AgentSecure copies only (upstream-facts 1.1). */
const char *registration_register_path(bool legacy);
const char *registration_refresh_path(bool legacy);

/** Requests; false: no memory. */
bool registration_ask(const struct setup *setup, struct rpc *rpc);
bool registration_ask_refresh(const char *session, struct rpc *rpc);
bool registration_ask_stream(const struct setup *setup, struct rpc *rpc);

/** CFGS_ERR_PROTOCOL: no such message, or a session that cannot be sent back. */
int registration_take(const struct rpc *rpc, struct registration *out, struct failure *failure);

#endif
