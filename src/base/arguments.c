/* base/arguments.c  SPDX-License-Identifier: Apache-2.0 */
#include "base/arguments.h"

#include "base/stdio.h"

#include <configstream/reader.h>
#include <configstream/value.h>
#include <configstream/version.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *argument_path(struct argp_state *state, const char *option, const char *text)
{
    if (!*text)
        argp_error(state, "--%s: '' is no path; name one, or leave the option out", option);
    return text;
}

const char *argument_instance(struct argp_state *state, const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t length = strlen(text);
    if (!length || length > CFGS_INSTANCE_MAX_BYTES || strspn(text, allowed) != length)
        argp_error(state, "--instance: '%s' is not 1 to 64 of the characters A-Z a-z 0-9 _ -", text);
    return text;
}

uid_t argument_user(struct argp_state *state, const char *said_by, const char *text)
{
    char *end;
    const struct passwd *found = getpwnam(text);
    unsigned long number = strtoul(text, &end, 10);
    if (!found && (text[0] < '0' || text[0] > '9' || *end || number >= (uid_t)-1))
        argp_error(state, "%s: there is no user '%s'; a name or a number is needed", said_by, text);
    return found ? found->pw_uid : (uid_t)number;
}

gid_t argument_group(struct argp_state *state, const char *option, const char *text)
{
    char *end;
    const struct group *found = getgrnam(text);
    unsigned long number = strtoul(text, &end, 10);
    if (!found && (text[0] < '0' || text[0] > '9' || *end || number >= (gid_t)-1))
        argp_error(state, "--%s: there is no group '%s'; a name or a number is needed", option, text);
    return found ? found->gr_gid : (gid_t)number;
}

mode_t argument_mode(struct argp_state *state, const char *text)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);
    if (end == text || *end || mode > 0777 || (mode & 0022) || (mode & 0600) != 0600)
        argp_error(state, "--mode: '%s' is not an octal mode that lets the owner read and write and nobody else write", text);
    return (mode_t)mode;
}

uint64_t argument_number(struct argp_state *state, const char *option, const char *text, uint64_t low, uint64_t high)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || number < low || number > high)
        argp_error(state, "--%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, option, text, low, high);
    return number;
}

uint64_t argument_size(struct argp_state *state, const char *option, const char *text)
{
    uint64_t size = 0;
    if (cfgs_size_parse(text, strlen(text), &size) != CFGS_OK || !size)
        argp_error(state, "--%s: '%s' is not a size such as 268435456 or 256mb", option, text);
    return size;
}

int64_t argument_duration(struct argp_state *state, const char *option, const char *text, int64_t low_ms, int64_t high_ms)
{
    enum { NS_PER_MS = 1000000 };
    int64_t ns = 0;
    if (cfgs_duration_parse(text, strlen(text), &ns) != CFGS_OK || ns < low_ms * NS_PER_MS || ns > high_ms * NS_PER_MS)
        argp_error(state, "--%s: '%s' is not a duration such as 300ms or 30s, from %" PRId64 "ms to %" PRId64 "s", option,
                   text, low_ms, high_ms / 1000);
    return ns / NS_PER_MS;
}

void argument_ca_and_key(struct argp_state *state, const char *cert_option, const char *ca, const char *key)
{
    if (!ca != !key)
        argp_error(state, "--%s needs --%s, too: CA and key are either both in files of their own or both in --%s",
                   ca ? "ca" : "key", ca ? "key" : "ca", cert_option);
}

void argument_level(struct argp_state *state, const char *text, struct log *log)
{
    enum log_level level = LOG_INFO;
    if (!log_level_parse(text, strlen(text), &level))
        argp_error(state, "--log-level: '%s' is none of trace, debug, info, warn, error, critical, off", text);
    log->level = level;
    log->pinned = true;
}

static void print_version(FILE *stream, struct argp_state *state)
{
    fprintf(stream, "%s %s (arena layout %d.%d)\n", state->name, cfgs_version(), CFGS_LAYOUT_MAJOR, CFGS_LAYOUT_MINOR);
}

static const char *printing; /* the program, while argp parses; who prints later says itself that it could not */

/* argp ends the program itself after --help and --version. */
static void check_output(void)
{
    if (flush_standard_output())
        return;
    if (printing)
        fprintf(stderr, "%s: cannot write to standard output: %s\n", printing, strerror(errno));
    _exit(1);
}

void arguments_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    atexit(check_output);
    argp_program_version_hook = print_version;
    argp_err_exit_status = 2;
    printing = program_invocation_short_name;
    argp_parse(argp, argc, argv, 0, NULL, input);
    printing = NULL;
}
