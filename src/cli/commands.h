/* cli/commands.h: one function per command.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

enum exit_code command_get(struct cli *cli);
enum exit_code command_list(struct cli *cli);
enum exit_code command_set(struct cli *cli);
enum exit_code command_unset(struct cli *cli);
enum exit_code command_reload(struct cli *cli);
enum exit_code command_watch(struct cli *cli);
enum exit_code command_wait(struct cli *cli);
enum exit_code command_status(struct cli *cli);
enum exit_code command_destroy(struct cli *cli);
enum exit_code command_client(struct cli *cli);
enum exit_code command_help(struct cli *cli);

/** `get KEY --all-sources`: asks the daemon. */
enum exit_code command_all_sources(struct cli *cli);

#endif
