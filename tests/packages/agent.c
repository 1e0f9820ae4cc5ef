/* agent.c SETTING: what an agent of another user does: wait for the daemon's configuration and read one text from it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <configstream/configstream.h>
#include <pwd.h>
#include <stdio.h>

static int read_setting(cfgs_reader *reader, const char *key)
{
    char text[256];
    size_t length;
    int err = cfgs_reader_wait_ready(reader, 10 * 1000);

    if (err == CFGS_OK)
        err = cfgs_get_string(reader, key, text, sizeof text, &length);
    if (err == CFGS_OK)
        printf("%s=%.*s\n", key, (int)length, text);
    return err;
}

int main(int argc, char **argv)
{
    const struct passwd *daemon = getpwnam("configstream");
    cfgs_error_detail detail = {0};
    cfgs_reader_options options = {.detail = &detail, .trust_producer_user = true};
    cfgs_reader *reader;
    int err;

    if (argc != 2 || !daemon)
        return 2;
    options.producer_user = daemon->pw_uid;
    err = cfgs_reader_open(&options, &reader);
    if (err == CFGS_OK) {
        err = read_setting(reader, argv[1]);
        cfgs_reader_close(reader);
    }
    if (err != CFGS_OK)
        fprintf(stderr, "agent: %s: %s\n", cfgs_strerror(err), detail.message);
    return err == CFGS_OK ? 0 : 1;
}
