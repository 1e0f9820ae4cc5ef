/* cli/help.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include "cli/commands.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

/* One command: its line in the overview, and what help about it says. */
struct topic {
    const char *name, *usage, *summary, *details, *statuses;
};

#define LIVE "4 no such instance,\n5 producer down and --live given"
#define CHANGING \
    "0 ok, 1 other failure, 2 usage, 4 no such instance, 5 producer down,\n6 refused by the daemon, 7 no answer in time"

static const struct topic topics[] = {
    {"get", "get KEY [--source | --all-sources] [--live] [--show-secrets]",
     "Print a setting's value, or the merged map of a section",
     "A text is printed as it is (on a terminal with its control characters escaped), any\n"
     "other value as JSON.  A secret that is asked for by its key is shown; the secrets in a\n"
     "section are masked, as in list.\n"
     "\n"
     "  --source         Also where the value comes from; a text is then printed as JSON\n"
     "  --all-sources    What every source says of KEY, lowest first (asks the daemon)\n"
     "  --live           Fail (5) when the producer is not running, or a relay not connected\n"
     "  --show-secrets   Do not mask the secrets in a section\n"
     "\n"
     "With --json: {\"key\",\"value\",\"source\",\"sequence\"}, source and sequence null for a\n"
     "section; with --all-sources: {\"key\",\"sources\":[{\"source\",\"value\"}]}.\n",
     "0 ok, 1 other failure, 2 usage, 3 no such setting or\nsection, " LIVE},
    {"list", "list [PREFIX] [--keys] [--live] [--show-secrets]",
     "Print all settings whose key starts with PREFIX, sorted",
     "One line for each: key = value  (source).  Secrets are masked: settings declared secret,\n"
     "settings and members of maps whose name ends like that of a credential (api_key, token,\n"
     "password, ...), and texts that hold a URL with a password.\n"
     "\n"
     "  --keys           Only the keys\n"
     "  --live           Fail (5) when the producer is not running, or a relay not connected\n"
     "  --show-secrets   Do not mask\n"
     "\n"
     "With --json: {\"key\",\"value\",\"source\",\"sequence\"} a line, with \"masked\":true where the\n"
     "value is masked; with --keys: {\"key\"}.\n",
     "0 ok, 1 other failure, 2 usage, " LIVE},
    {"set", "set KEY (VALUE | --value-json J | --file F) [--source S]",
     "Set a setting at run time",
     "VALUE is converted to the setting's kind, or refused.  Put -- before a VALUE that starts\n"
     "with '-' and is no number.  Others can read VALUE and J in /proc while set runs: pass\n"
     "secrets by --file.\n"
     "\n"
     "  --value-json J   The value as JSON\n"
     "  --file F         The value is the content of a file, at most 16 MiB\n"
     "  --source S       As this source (default: cli)\n"
     "\n"
     "With --json: {\"key\",\"sequence\",\"changed\"}.\n",
     CHANGING},
    {"unset", "unset KEY [--source S]",
     "Clear what a source says, and fall back to the next lower one",
     "Where the source says nothing of KEY nothing changes, which is no failure.\n"
     "\n"
     "  --source S       This source (default: cli)\n"
     "\n"
     "With --json: {\"key\",\"sequence\",\"changed\"}.\n",
     CHANGING},
    {"watch", "watch [--prefix P] [--count N] [--timeout S] [--live]",
     "Print a snapshot, then every update as it happens",
     "The first line is a snapshot; another one follows where updates were missed.  Secrets are\n"
     "masked as in list, old values too.  What becomes of the producer is told on standard\n"
     "error.\n"
     "\n"
     "  --prefix P       Only settings whose key starts with P\n"
     "  --count N        End after N snapshots and updates\n"
     "  --timeout S      End after S seconds; 7 if N were not seen by then\n"
     "  --live           Fail (5) when the producer is not running, or a relay not connected,\n"
     "                   at the start\n"
     "\n"
     "With --json: {\"event\":\"snapshot\",\"sequence\",\"settings\",\"reason\"} with the reason initial,\n"
     "lapped or replaced, or {\"event\":\"update\",\"sequence\",\"key\",\"value\",\"source\",\n"
     "\"unset_source\",\"old\"}, with \"removed\":true for a key that is gone.\n",
     "0 ok, 1 other failure, 2 usage, " LIVE ", 7 timeout before N"},
    {"wait", "wait [--timeout S]",
     "Block until a configuration is published",
     "The instance need not exist yet.\n"
     "\n"
     "  --timeout S      Give up after S seconds (7)\n"
     "\n"
     "With --json: {\"instance\",\"sequence\",\"settings\"}.\n",
     "0 ok, 1 other failure, 2 usage, 7 timeout"},
    {"status", "status [--bridge SOCKET]",
     "Print the state of the arena and of its producer",
     "The state is running (the heartbeat moves), stalled (the lock is held, without a beat),\n"
     "dead, closed (a clean stop) or superseded; a daemon that starts shows starting.\n"
     "A bridge (configstream-bridge) that may be asked adds its streams and remote agents.\n"
     "\n"
     "  --bridge SOCKET  The bridge's status socket (default: where bridges make it)\n"
     "\n"
     "A relay (configstream-relay) tells where its configuration comes from, and how old it may be.\n"
     "\n"
     "With --json: one object; relay and bridge are null where there are none.\n",
     "0 ok, 1 other failure, 2 usage, 4 no such instance, 5 producer\ndown (everything is printed all the same)"},
    {"reload", "reload",
     "Make the daemon read its files again",
     "Waits until the differences are published.  When a file is refused the last good\n"
     "configuration stays.\n"
     "With --json: {\"sequence\",\"changed\"}, the number of changed settings.\n",
     CHANGING},
    {"destroy", "destroy",
     "Remove the arena of an instance whose producer is gone",
     "With --json: {\"instance\",\"destroyed\":true}.\n",
     "0 ok, 1 other failure, 2 usage, 4 no such instance, 6 refused,\nbecause its producer lives"},
    {"client", "client [ARGUMENT...]",
     "Check a stream as a remote agent gets it: configstream-client",
     "Runs the program configstream-client that lies beside this one, with all arguments;\n"
     "configstream client --help prints them.  It comes with the package configstream-relay.\n",
     "0 ok, 1 the stream is not as it should be, 2 usage,\n6 refused by the server, 7 no snapshot in time"},
    {"help", "help [COMMAND]",
     "Print this, or the help of a command",
     "COMMAND --help prints the same.\n",
     "0 ok, 1 other failure, 2 usage"},
};

static const char general[] =
    "\n"
    "Options, before or after the command:\n"
    "  --instance NAME      Instance (default: default)\n"
    "  --arena-path FILE    The arena's file, when it is not in /dev/shm\n"
    "  --producer-user USER Trust arenas of this user (name or number), besides root's and\n"
    "                       one's own (environment: CONFIGSTREAM_PRODUCER_USER)\n"
    "  --control SOCKET     The daemon's control socket (default: the arena names it)\n"
    "  --json               Print JSON, one object a line\n"
    "  --color WHEN         Colours: auto (on a terminal, unless NO_COLOR is set or TERM is\n"
    "                       dumb; the default), always, never; JSON has none\n"
    "  --log-level LEVEL    What is said on standard error: debug adds where is looked, info\n"
    "                       (default) and trace say all else, warn leaves out notes, error\n"
    "                       also warnings, such as that the last state of a dead producer is\n"
    "                       shown; critical and off leave the exit status to tell failures\n"
    "  --help, --version    Of COMMAND, if one is given; of this program\n"
    "\n"
    "JSON: integers are exact, other numbers the shortest text that reads back the same; NaN\n"
    "and infinities, which JSON does not have, are the strings \"NaN\", \"+Inf\" and \"-Inf\"; whole\n"
    "numbers inside lists and maps are printed without a point.  A masked value is\n"
    "\"********\", with \"masked\":true.\n"
    "\n"
    "With a dead producer, or a relay that is cut off, get, list and watch give the last state\n"
    "and warn; set, unset and reload fail, on a relay with 6.  Exit status: 0 ok, 1 other\n"
    "failure, 2 usage, 3 not found, 4 no such instance, 5 producer down, 6 refused, 7 timeout.\n";

static void print_overview(void)
{
    fputs("Usage: configstream [OPTION...] COMMAND [ARGUMENT...]\n"
          "Read and change the configuration that configstreamd publishes on this host.\n"
          "\n"
          "Commands; configstream help COMMAND tells more:\n", stdout);
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        printf("  %-8s %s\n", topics[i].name, topics[i].summary);
    fputs(general, stdout);
}

static void print_topic(const struct topic *topic)
{
    printf("Usage: configstream [OPTION...] %s\n%s.\n\n%s", topic->usage, topic->summary, topic->details);
    printf("\nOptions of every command: configstream --help.\nExit status: %s.\n", topic->statuses);
}

void help_print(const struct command *command)
{
    for (size_t i = 0; command && i < sizeof topics / sizeof *topics; i++)
        if (strcmp(topics[i].name, command->name) == 0)
            print_topic(&topics[i]);
    if (!command)
        print_overview();
}

enum exit_code command_help(struct cli *cli)
{
    const struct command *command = cli->operand_count ? cli_find_command(cli->operands[0]) : NULL;
    if (cli->operand_count && !command)
        return EXIT_USAGE;
    help_print(command);
    return output_finish() ? EXIT_OK : EXIT_OTHER;
}
