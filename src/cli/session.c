/* cli/session.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/session.h"

#include "base/text.h"
#include "cli/say.h"
#include "resolve/declarations.h"

#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "configstream.";
static const char directory[] = "/dev/shm";

enum { ARENA_PATH_BYTES = 4096 };

/* An arena, not the lock beside one. */
static int is_arena(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), head = sizeof prefix - 1;
    const char *lock = length > 5 ? entry->d_name + length - 5 : "";
    return length > head && strncmp(entry->d_name, prefix, head) == 0 && strcmp(lock, ".lock") != 0 &&
           strchr(entry->d_name + head, '.') == NULL;
}

enum exit_code session_no_instance(const struct cli *cli)
{
    struct dirent **entries = NULL;
    if (cli->arena_path) {
        cli_complain("there is no arena at %s", cli->arena_path);
        return EXIT_NO_INSTANCE;
    }
    int count = scandir(directory, &entries, is_arena, alphasort);
    struct buffer names = {0};
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name + sizeof prefix - 1;
        if (!buffer_append(&names, i ? ", " : "there are: ", i ? 2 : 11) || !buffer_append(&names, name, strlen(name)))
            cli_complain("out of memory"); /* and some names are not told */
        free(entries[i]);
    }
    cli_complain("there is no instance '%s'; %s", cli->instance, names.length ? names.data : "none exists on this host");
    free(names.data);
    free(entries);
    return EXIT_NO_INSTANCE;
}

bool session_is_up(cfgs_producer_state state)
{
    return state == CFGS_PRODUCER_STARTING || state == CFGS_PRODUCER_RUNNING || state == CFGS_PRODUCER_STALLED;
}

void session_heard(int64_t age_ms, char text[SESSION_HEARD_BYTES])
{
    if (age_ms < 0)
        snprintf(text, SESSION_HEARD_BYTES, "never heard of");
    else if (age_ms < 120 * 1000)
        snprintf(text, SESSION_HEARD_BYTES, "last heard of %.1f s ago", (double)age_ms / 1000);
    else if (age_ms < 120 * 60 * 1000)
        snprintf(text, SESSION_HEARD_BYTES, "last heard of %lld min ago", (long long)age_ms / 60000);
    else
        snprintf(text, SESSION_HEARD_BYTES, "last heard of %lld h ago", (long long)age_ms / 3600000);
}

bool session_is_cut_off(const cfgs_reader_info *info)
{
    return info->upstream.relayed && !info->upstream.connected;
}

enum { WRONG_BYTES = 512 };

static void describe_down(const cfgs_reader_info *info, char text[WRONG_BYTES])
{
    if (info->state == CFGS_PRODUCER_STALLED)
        snprintf(text, WRONG_BYTES, "the producer (pid %lld) does not respond, its last heartbeat is %lld ms old",
                 (long long)info->pid, (long long)info->heartbeat_age_ms);
    else
        snprintf(text, WRONG_BYTES, "the producer (pid %lld) is %s", (long long)info->pid,
                 cfgs_producer_state_name(info->state));
}

static void describe_cut_off(const cfgs_reader_info *info, char text[WRONG_BYTES])
{
    char heard[SESSION_HEARD_BYTES];
    session_heard(info->upstream.contact_age_ms, heard);
    snprintf(text, WRONG_BYTES, "this relay is not connected to %s, %s",
             info->upstream.address[0] ? info->upstream.address : "its source", heard);
}

static bool is_live(const cfgs_reader_info *info)
{
    return info->state == CFGS_PRODUCER_RUNNING || info->state == CFGS_PRODUCER_STARTING;
}

bool session_check_live(const struct cli *cli, const cfgs_reader_info *info)
{
    char wrong[WRONG_BYTES];
    const char *did = is_live(info) ? "got" : "published";
    if (!is_live(info))
        describe_down(info, wrong);
    else if (session_is_cut_off(info))
        describe_cut_off(info, wrong);
    else
        return true;
    if (cli->live)
        cli_complain("%s; without --live the last state it %s is served", wrong, did);
    else
        cli_say(LOG_WARN, "warning: %s; what follows is the last state it %s", wrong, did);
    return false;
}

static bool find_arena(const struct cli *cli, char path[ARENA_PATH_BYTES], struct stat *status)
{
    snprintf(path, ARENA_PATH_BYTES, "%s%s%s", cli->arena_path ? cli->arena_path : directory, cli->arena_path ? "" : "/",
             cli->arena_path ? "" : prefix);
    if (!cli->arena_path)
        strncat(path, cli->instance, CFGS_INSTANCE_MAX_BYTES);
    return lstat(path, status) == 0;
}

static void name_readers(const struct cli *cli)
{
    char path[ARENA_PATH_BYTES];
    struct stat status;
    if (!find_arena(cli, path, &status))
        return;
    const struct passwd *user = getpwuid(status.st_uid);
    const struct group *group = getgrgid(status.st_gid);
    cli_complain("%s belongs to user %s and group %s, mode %04o; --group and --mode of configstreamd let others read it",
                 path, user ? user->pw_name : "?", group ? group->gr_name : "?", (unsigned)status.st_mode & 07777);
}

/* What is no file, or is written by too many, would be trusted of no user. */
static bool is_trust_missing(const struct cli *cli)
{
    char path[ARENA_PATH_BYTES];
    struct stat status;
    return find_arena(cli, path, &status) && S_ISREG(status.st_mode) && status.st_uid != 0 &&
           status.st_uid != geteuid() && status.st_uid != cli->producer_user;
}

/* A way out, where there is one. */
static void advise(const struct cli *cli, int error)
{
    if (error == CFGS_ERR_PERMISSION)
        name_readers(cli);
    else if (error == CFGS_ERR_UNTRUSTED && is_trust_missing(cli))
        cli_complain("if that user is to be trusted, name it with --producer-user");
}

bool session_prefix(const struct cli *cli, const char *text, char key_prefix[CFGS_KEY_MAX_BYTES + 1])
{
    const size_t length = strlen(text);
    if (length <= CFGS_KEY_MAX_BYTES) {
        key_canonical(key_prefix, text, length + 1);
        return true;
    }
    cli_complain("%s: a key has 1 to %d bytes, this prefix %zu", cli->command->name, CFGS_KEY_MAX_BYTES, length);
    return false;
}

enum exit_code session_open_any(const struct cli *cli, cfgs_reader **reader)
{
    cfgs_error_detail detail = {0};
    cfgs_reader_options options = {
        .instance = cli->instance,
        .arena_path = cli->arena_path,
        .trust_producer_user = cli->producer_user != (uid_t)-1,
        .producer_user = cli->producer_user,
        .detail = &detail,
    };
    int error = cfgs_reader_open(&options, reader);
    if (error == CFGS_OK)
        return EXIT_OK;
    cli_complain("%s", detail.message[0] ? detail.message : cfgs_strerror(error));
    advise(cli, error);
    return EXIT_OTHER;
}

enum exit_code session_look(const struct cli *cli, cfgs_reader *reader, cfgs_reader_info *info)
{
    int error = cfgs_reader_status(reader, info, sizeof *info);
    if (error != CFGS_OK) {
        enum exit_code failed = session_failed(reader, "cannot look at the arena", error);
        advise(cli, error);
        return failed;
    }
    return info->state == CFGS_PRODUCER_ABSENT ? session_no_instance(cli) : EXIT_OK;
}

enum exit_code session_failed(cfgs_reader *reader, const char *what, int error)
{
    const cfgs_error_detail *detail = cfgs_reader_error(reader);
    const char *text = detail && detail->code == error && detail->message[0] ? detail->message : cfgs_strerror(error);
    cli_complain("%s: %s", what, text);
    return EXIT_OTHER;
}

static enum exit_code check_ready(const struct cli *cli, cfgs_reader *reader)
{
    cfgs_reader_info info;
    cfgs_view view;
    enum exit_code status = session_look(cli, reader, &info);
    if (status != EXIT_OK)
        return status;
    int error = cfgs_view_begin(reader, &view);
    if (error == CFGS_ERR_NOT_READY) {
        cli_complain("instance '%s' has no configuration yet; configstream wait waits for it", cli->instance);
        return is_live(&info) ? EXIT_OTHER : EXIT_PRODUCER_DOWN;
    }
    if (error != CFGS_OK)
        return session_failed(reader, "cannot read the configuration", error);
    return session_check_live(cli, &info) || !cli->live ? EXIT_OK : EXIT_PRODUCER_DOWN;
}

enum exit_code session_open(const struct cli *cli, cfgs_reader **reader)
{
    enum exit_code status = session_open_any(cli, reader);
    if (status != EXIT_OK)
        return status;
    status = check_ready(cli, *reader);
    if (status != EXIT_OK)
        cfgs_reader_close(*reader);
    return status;
}
