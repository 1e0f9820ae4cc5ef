/* control/client.h: one request, one response.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include "control/frame.h"

#include <sys/types.h>

/** Longest a server may take for one step of an exchange; for that of a status. */
enum { CONTROL_ANSWER_SECONDS = 60, CONTROL_STATUS_SECONDS = 3 };

/** As `trusted`: whoever serves there; for requests that give nothing away. */
#define CONTROL_TRUST_ANYONE ((uid_t)-2)

enum control_call_result {
    CONTROL_ANSWERED,
    CONTROL_UNREACHABLE, /* nobody listens there, or it went away */
    CONTROL_UNTRUSTED,   /* whoever listens is neither root, nor ourselves, nor the trusted user */
    CONTROL_SLOW,        /* no answer in time; what was asked for may still be done */
    CONTROL_BROKEN       /* anything else; the problem says */
};

/**
 * Send a request and wait for the response, which is freed with configstream__control__response__free_unpacked().
 * @param trusted  also believe a server of this user; (uid_t)-1 for none.
 */
enum control_call_result control_call(const char *path, uid_t trusted, const control_request *request,
                                      control_response **response, struct problem *problem);

#endif
