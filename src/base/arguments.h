/* base/arguments.h: what several programs take on their command lines, by argp.  A value that makes no sense ends the
 * program with status 2, and a message that names the option.  SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARGUMENTS_H
#define BASE_ARGUMENTS_H

#include "base/log.h"

#include <argp.h>
#include <stdint.h>
#include <sys/types.h>

/** A path of no characters names nothing; an unset variable of a script often becomes one. */
const char *argument_path(struct argp_state *state, const char *option, const char *text);

/** A name of an instance. */
const char *argument_instance(struct argp_state *state, const char *text);

/** Name or number.  `said_by`: the option with its hyphens, or a variable. */
uid_t argument_user(struct argp_state *state, const char *said_by, const char *text);
gid_t argument_group(struct argp_state *state, const char *option, const char *text);

/** Permissions of an arena: octal, for the owner to read and write, and for nobody else to write. */
mode_t argument_mode(struct argp_state *state, const char *text);

uint64_t argument_number(struct argp_state *state, const char *option, const char *text, uint64_t low, uint64_t high);

/** A size such as 256mb, above 0. */
uint64_t argument_size(struct argp_state *state, const char *option, const char *text);

/** A duration such as 300ms or 10s, in milliseconds. */
int64_t argument_duration(struct argp_state *state, const char *option, const char *text, int64_t low_ms, int64_t high_ms);

/** --ca and --key go together; without them, `cert_option` names a file that holds all three. */
void argument_ca_and_key(struct argp_state *state, const char *cert_option, const char *ca, const char *key);

/** --log-level: pins it. */
void argument_level(struct argp_state *state, const char *text, struct log *log);

/** argp_parse() with --version, exit status 2 after a mistake, and 1 where the help was printed for nobody. */
void arguments_parse(const struct argp *argp, int argc, char **argv, void *input);

#endif
