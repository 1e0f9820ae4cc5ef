/**
 * @file client/machine.h  The states of a consumer: what to do next, and when.  One thread's; never waits, except for names.
 *
 *     WAITING, CREDENTIALS -> CONNECTING -> REGISTERING -> SUBSCRIBING -> STREAMING
 *                                  `- a session that may still live -^
 *
 * Every failure closes the connection and leads to WAITING (or to FAILED, if nothing can mend it), except a refused
 * session: that one is replaced on the same connection.
 *
 * A session is tried again on the next connection if the core was known to have it less than a refresh interval ago;
 * otherwise, and when it is refused, a new one is registered.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_MACHINE_H
#define CLIENT_MACHINE_H

#include "client/apply.h"
#include "client/backoff.h"
#include "client/registration.h"
#include "client/report.h"
#include "client/transport.h"

enum unary_kind { UNARY_NONE, UNARY_REGISTER, UNARY_REFRESH };

struct machine {
    struct setup setup;
    struct engine_options options; /* remote: not to be used */
    struct report report;
    struct backoff backoff;

    /* For others to see; times are CLOCK_MONOTONIC ms, 0: none. */
    cfgs_remote_info info;
    int64_t opened_ms, retry_ms, heard_ms;
    bool ready;             /* a snapshot was applied */
    struct failure failure; /* the last one */

    int64_t now, tick_ms, touched_ms;

    struct access access;
    unsigned char files[SHA256_DIGEST_LENGTH]; /* as they were at the last attempt */
    bool watches_files;                        /* a change of theirs ends the pause */

    struct addresses addresses;
    unsigned next_address;
    struct failure unreached; /* what the addresses of this attempt met */
    struct address good; /* the last one that was up */
    struct transport *transport;
    int64_t connect_until_ms, keepalive_ms;
    bool applied; /* a snapshot, on this connection */

    struct rpc stream, unary;
    enum unary_kind unary_kind;
    int64_t unary_until_ms, refresh_ms;
    int64_t await_ms; /* when to say that the open stream has brought nothing yet */
    struct apply apply;

    char session[SESSION_MAX_BYTES + 1]; /* "": none */
    int64_t session_ms, session_used_ms; /* since when; last known to be alive */
    int64_t interval_ms;
    bool refused_fresh; /* the last one was refused a few seconds after this server gave it: next time there is a pause */
    bool legacy, tried_other_name;
};

/** CFGS_OK, or an error with the detail of the remote options; machine_clear() also after a failure. */
int machine_init(struct machine *machine, const struct engine_options *options);
void machine_clear(struct machine *machine);

/** Do all that is due. */
void machine_turn(struct machine *machine, int64_t now);

/** When to take the next turn if nothing happens at the descriptor before. */
int64_t machine_due(const struct machine *machine);

/** For poll(); -1: there is no connection. */
int machine_fd(const struct machine *machine, short *events);

#endif
