/* far.h: a cfgs_remote of a test, what it logs, and waiting for what it should come to.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_TESTS_FAR_H
#define CLIENT_TESTS_FAR_H

#include "support/check.h"
#include "support/process.h"

#include <configstream/configstream.h>
#include <configstream/remote.h>
#include <poll.h>
#include <stdbool.h>

struct far {
    cfgs_remote *remote;
    cfgs_reader *reader;
};

/** Look again and again until it is so. */
#define UNTIL(condition)                                                                                               \
    for (uint64_t until_ = now_ns() + PATIENCE_NS; !(condition); poll(NULL, 0, 2))                                     \
    REQUIRE(now_ns() < until_, "%s:%d: this never came true: %s\n%s", __FILE__, __LINE__, #condition, far_log())

/** Options for this bridge, with short pauses; the address is a static buffer. */
cfgs_remote_options far_options(const struct bridge_process *bridge);

/** Open; the first snapshot is not waited for. */
void far_open(struct far *far, const cfgs_remote_options *options);
void far_close(struct far *far);
cfgs_remote_info far_info(const struct far *far);

/** Opens, and expects this failure within the ready timeout, with these words in the detail. */
void far_expect_failure(const cfgs_remote_options *options, int code, const char *words);

/** The setting has this text, or, with NULL, does not exist. */
bool far_has(const struct far *far, const char *key, const char *text);

/** All that was logged since far_log_clear(); lines that hold a text. */
const char *far_log(void);
unsigned far_log_count(const char *text);
void far_log_clear(void);

#endif
