/* check.h: what every program here says when something is not as it should be, and how it waits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_CHECK_H
#define BRIDGE_TESTS_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** A wait that takes longer than this has hung, on however busy a machine: nothing is measured by it. */
#define PATIENCE_NS (UINT64_C(120) * 1000000000)

uint64_t now_ns(void); /* CLOCK_MONOTONIC */

/** Print, show the end of the bridge's log, and end this process with 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** What fail() does first; NULL: nothing. */
void fail_first(void (*hook)(void));

#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail(__VA_ARGS__);                                                                                         \
    } while (0)

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        int ok_result_ = (call);                                                                                       \
        REQUIRE(ok_result_ == 0, "%s:%d: %s: %s (%d)", __FILE__, __LINE__, #call, cfgs_strerror(ok_result_),           \
                ok_result_);                                                                                           \
    } while (0)

/** Memory or the end of the test. */
void *need(void *memory);

#endif
