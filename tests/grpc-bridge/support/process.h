/* process.h: a bridge process of the test's own, with its credentials, metrics and log in a directory of the test's own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BRIDGE_TESTS_PROCESS_H
#define BRIDGE_TESTS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bridge_process {
    pid_t pid;
    uint16_t port, metrics_port;
    char directory[64], certificate[96], token_file[96], log[96], token[65];
};

struct bridge_options {
    const char *instance;
    const char *const *flags; /* more of them, ended by NULL; may be NULL */
    unsigned descriptors;     /* RLIMIT_NOFILE; 0: as it is */
};

/** Start, and wait until it says that it is ready.  Credentials are made by the bridge. */
void bridge_start(struct bridge_process *bridge, const struct bridge_options *options);
/** SIGTERM, and its end with status 0. */
void bridge_stop(struct bridge_process *bridge);
/** SIGKILL. */
void bridge_kill(struct bridge_process *bridge);
/** After one of these: at the same port and with the same files. */
void bridge_start_again(struct bridge_process *bridge, const struct bridge_options *options);
/** Fails the test if it ended. */
void bridge_alive(const struct bridge_process *bridge);

/** The value of a metric, its labels added up; fails the test if there is none. */
uint64_t bridge_metric(const struct bridge_process *bridge, const char *name);
/** Lines of the log that hold the text. */
size_t bridge_log_count(const struct bridge_process *bridge, const char *text);
void bridge_log_show(const struct bridge_process *bridge);

/** Of any process. */
uint64_t process_resident_bytes(pid_t pid);
uint64_t process_cpu_ns(pid_t pid);

/** A TCP port that nobody has at the moment. */
uint16_t free_port(void);

/** The soft limit up to the hard one: false, with a word on standard output, if that is too low. */
bool raise_descriptors(unsigned wanted);

/** A name no other run uses, for the producer; its arena and the directories go when this process ends. */
const char *test_instance(void);

#endif
