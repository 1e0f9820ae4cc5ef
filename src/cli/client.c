/* cli/client.c: the integration client, which is a program of its own: it needs TLS and HTTP/2, and this one does not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/say.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char program[] = "configstream-client";

/* Beside ourselves, wherever the tree was put; never by PATH, where another one of the name may lie. */
static bool find(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length <= 0)
        return false;
    path[length] = '\0';
    char *name = strrchr(path, '/');
    if (!name || (size_t)(name + 1 - path) + sizeof program > PATH_MAX)
        return false;
    memcpy(name + 1, program, sizeof program);
    return true;
}

enum exit_code command_client(struct cli *cli)
{
    char path[PATH_MAX], json_option[] = "--json";
    if (!find(path)) {
        cli_complain("client: cannot tell where this program lies; run configstream-client itself");
        return EXIT_OTHER;
    }
    char **words = cli->others - 1; /* in place of the command's name, which --json stood before */
    if (cli->json)
        *words-- = json_option;
    *words = path;
    execv(path, words);
    if (errno == ENOENT)
        cli_complain("client: there is no %s; install the package configstream-relay, which holds it", path);
    else
        cli_complain("client: cannot run %s: %s", path, strerror(errno));
    return EXIT_OTHER;
}
