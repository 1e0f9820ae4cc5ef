/**
 * @file client/session.h  The calls of a connection that is up: registration, refreshes, the stream; what their ends mean.
 *
 * A refused session is replaced on the same connection; any other failure is the machine's, which hangs up: after each of
 * these functions the connection may be gone.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/machine.h"

void session_init(struct machine *machine);

/** The connection came up: ask for the stream with a session that may still live, or register. */
void session_open(struct machine *machine);

/** It is time to. */
void session_refresh(struct machine *machine);

/** The unary call ended, or is broken; or it took too long. */
void session_unary_ended(struct machine *machine);
void session_unary_late(struct machine *machine);

/** The stream is open, and nothing has come: nothing is wrong with us, but whoever waits should know. */
void session_awaits(struct machine *machine);

/** The stream ended, or is broken. */
void session_stream_ended(struct machine *machine);

/* ---- of the machine, for these ---- */

/** End the connection over this; the pause, or the end, follows. */
void machine_fail_at_peer(struct machine *machine, const struct failure *failure);
void machine_fail_memory(struct machine *machine);

/** What a server says may repeat what must not be told. */
void machine_censor(const struct machine *machine, char *text);

#endif
