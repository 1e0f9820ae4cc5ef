/* cli/help.h  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/** The text of --help. */
extern const char cli_help[];

#endif
