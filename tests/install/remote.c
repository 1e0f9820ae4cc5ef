/* remote.c: a program with libconfigstream-remote: nobody listens, and it says so; near, there is no arena.
 * SPDX-License-Identifier: Apache-2.0 */
#include <configstream/remote.h>
#include <stdio.h>
#include <string.h>

static int far(void)
{
    cfgs_remote *remote;
    cfgs_reader *reader;
    cfgs_remote_info info;
    int error = cfgs_remote_open(&(cfgs_remote_options){.address = "127.0.0.1:1", .token = "none", .backoff_min_ms = 10}, &remote);
    if (error == CFGS_OK && (error = cfgs_remote_reader(remote, &reader)) == CFGS_OK)
        cfgs_reader_close(reader);
    if (error == CFGS_OK)
        error = cfgs_remote_wait_ready(remote, 100) == CFGS_ERR_TIMEOUT ? CFGS_OK : CFGS_ERR_SYSTEM;
    if (error == CFGS_OK)
        error = cfgs_remote_status(remote, &info, sizeof info);
    if (error != CFGS_OK || !info.counters.failures || !info.message[0])
        return fprintf(stderr, "remote: %s, and %s is no failure\n", cfgs_strerror(error), info.message);
    cfgs_remote_close(remote);
    return 0;
}

static int near(void)
{
    cfgs_remote *remote;
    cfgs_remote_info info;
    int error = cfgs_remote_open(&(cfgs_remote_options){.address = "shm:no-such-instance"}, &remote);
    if (error == CFGS_OK)
        error = cfgs_remote_status(remote, &info, sizeof info);
    if (error != CFGS_OK || strcmp(cfgs_remote_state_name((int)info.state), "near") != 0)
        return fprintf(stderr, "remote: near: %s\n", cfgs_strerror(error));
    cfgs_remote_close(remote);
    return 0;
}

int main(void)
{
    return far() || near() ? 1 : 0;
}
