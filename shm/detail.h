/* detail.h: fill a cfgs_error_detail where a failure happens.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_DETAIL_H
#define CFGS_DETAIL_H

#include <configstream/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Returns code, so that a failing function can end with it.  detail may be NULL. */
__attribute__((format(printf, 4, 5))) static inline int detail_set(cfgs_error_detail *detail, int code,
                                                                   int system_errno, const char *format, ...)
{
    if (detail == NULL)
        return code;
    memset(detail, 0, sizeof *detail);
    detail->code = code;
    detail->system_errno = system_errno;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(detail->message, sizeof detail->message, format, arguments);
    va_end(arguments);
    if (system_errno != 0 && length >= 0 && (size_t)length < sizeof detail->message) {
        char text[128];
        /* The GNU variant returns the text, which need not be in the buffer. */
        snprintf(detail->message + length, sizeof detail->message - (size_t)length, ": %s",
                 strerror_r(system_errno, text, sizeof text));
    }
    return code;
}

#endif
