/* cli/session.h: an instance opened for reading, and what its producer is up to.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/options.h"

#include <configstream/configstream.h>

/**
 * Open the instance for a command that needs an arena with a snapshot.  Complains and returns the exit code when there
 * is none; warns when the producer is not running (--live: fails).  Close with cfgs_reader_close().
 */
enum exit_code session_open(const struct cli *cli, cfgs_reader **reader);

/** Open without asking for anything to be there. */
enum exit_code session_open_any(const struct cli *cli, cfgs_reader **reader);

/** A prefix as keys carry it; false, with a complaint, if no key is that long. */
bool session_prefix(const struct cli *cli, const char *text, char prefix[CFGS_KEY_MAX_BYTES + 1]);

/** Look; complains on failure.  EXIT_NO_INSTANCE when there is no arena. */
enum exit_code session_look(const struct cli *cli, cfgs_reader *reader, cfgs_reader_info *info);

/** Complain that there is no such instance, and name those that are. */
enum exit_code session_no_instance(const struct cli *cli);

/** Whether the producer holds its lock. */
bool session_is_up(cfgs_producer_state state);

/** Whether it is a relay that does not follow its source just now. */
bool session_is_cut_off(const cfgs_reader_info *info);

/** Where nobody keeps the state up to date, say so to standard error: "the producer (pid 12) is dead; ...", "this relay is
 * not connected to ...; ...".  False then. */
bool session_check_live(const struct cli *cli, const cfgs_reader_info *info);

/** For people: "last heard of 0.3 s ago", "… 5 min ago", "… 2 h ago"; "never heard of" for a negative age. */
#define SESSION_HEARD_BYTES 48
void session_heard(int64_t age_ms, char text[SESSION_HEARD_BYTES]);

/** Complain about a failed read, and give the exit code for it. */
enum exit_code session_failed(cfgs_reader *reader, const char *what, int error);

#endif
