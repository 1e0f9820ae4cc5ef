/* client/failure.h: what failed, in one line for people.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_FAILURE_H
#define CLIENT_FAILURE_H

#include <configstream/error.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct failure {
    int code;        /* cfgs_error; CFGS_OK: none */
    int grpc_status; /* that the server gave; -1: none */
    bool permanent;  /* no further attempt can mend it */
    bool slow;       /* try again, but only after the longest pause */
    char text[CFGS_ERROR_MESSAGE_BYTES];
};

/** Returns the code, so that a failing function can end with it. */
__attribute__((format(printf, 3, 4))) static inline int failure_set(struct failure *failure, int code,
                                                                    const char *format, ...)
{
    *failure = (struct failure){.code = code, .grpc_status = -1};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return code;
}

static inline int failure_memory(struct failure *failure)
{
    return failure_set(failure, CFGS_ERR_MEMORY, "out of memory");
}

#endif
