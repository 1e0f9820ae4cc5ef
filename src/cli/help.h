/* cli/help.h  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/options.h"

/** The help of a command, or of the program (NULL), on standard output. */
void help_print(const struct command *command);

#endif
