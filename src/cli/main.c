/* cli/main.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/stdio.h"
#include "cli/commands.h"
#include "cli/output.h"

const struct command cli_commands[] = {
    {"get", OPTION_SOURCE_FLAG | OPTION_ALL_SOURCES | OPTION_SHOW_SECRETS | OPTION_LIVE, 1, 1, command_get},
    {"list", OPTION_KEYS | OPTION_SHOW_SECRETS | OPTION_LIVE, 0, 1, command_list},
    {"set", OPTION_SOURCE_NAME | OPTION_VALUE_JSON | OPTION_FILE, 1, 2, command_set},
    {"unset", OPTION_SOURCE_NAME, 1, 1, command_unset},
    {"watch", OPTION_PREFIX | OPTION_COUNT | OPTION_TIMEOUT | OPTION_LIVE, 0, 0, command_watch},
    {"wait", OPTION_TIMEOUT, 0, 0, command_wait},
    {"status", OPTION_BRIDGE, 0, 0, command_status},
    {"reload", 0, 0, 0, command_reload},
    {"destroy", 0, 0, 0, command_destroy},
    {"client", OPTION_OTHERS, 0, 0, command_client},
    {"help", 0, 0, 1, command_help},
    {0},
};

int main(int argc, char **argv)
{
    struct cli cli;
    enum exit_code status;
    keep_standard_fds();
    if (!cli_parse(&cli, argc, argv, &status))
        return (int)status;
    output_colour(cli.colour);
    return (int)cli.command->run(&cli);
}
