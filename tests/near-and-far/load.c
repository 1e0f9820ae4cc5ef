/*
 * load.c SOCKET SEED: changes settings through the daemon's control socket, one after the other as fast as they are
 * answered, for as long as standard input is open.  A daemon that is gone is tried again: somebody is killing it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "control/client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS = 300, RETRY_MS = 20 };

static const char *const sources[] = {"cli", "agent-runtime", "remote-config"};

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

/* Mostly sets; texts of 1 to 2,000 bytes, so that records differ in size. */
static void change(const char *socket, unsigned *seed)
{
    Configstream__Control__SetRequest set = CONFIGSTREAM__CONTROL__SET_REQUEST__INIT;
    Configstream__Control__UnsetRequest unset = CONFIGSTREAM__CONTROL__UNSET_REQUEST__INIT;
    control_request request = CONFIGSTREAM__CONTROL__REQUEST__INIT;
    control_response *response = NULL;
    struct problem problem;
    char key[32], text[2048];
    int length = 1 + rand_r(seed) % (rand_r(seed) % 20 == 0 ? 2000 : 30);
    char *source = (char *)(uintptr_t)sources[rand_r(seed) % 3];

    snprintf(key, sizeof key, "soak.k%d", rand_r(seed) % KEYS);
    memset(text, 'a' + rand_r(seed) % 26, (size_t)length);
    text[length] = '\0';
    set.key = unset.key = bytes_of(key);
    set.source = unset.source = source;
    set.value_case = CONFIGSTREAM__CONTROL__SET_REQUEST__VALUE_TEXT;
    set.text = bytes_of(text);
    bool sets = rand_r(seed) % 4 != 0;
    request.operation_case =
        sets ? CONFIGSTREAM__CONTROL__REQUEST__OPERATION_SET : CONFIGSTREAM__CONTROL__REQUEST__OPERATION_UNSET;
    if (sets)
        request.set = &set;
    else
        request.unset = &unset;
    if (control_call(socket, (uid_t)-1, &request, &response, &problem) == CONTROL_ANSWERED)
        configstream__control__response__free_unpacked(response, NULL);
    else
        (void)poll(NULL, 0, RETRY_MS); /* nobody is there to be waited for */
}

int main(int argc, char **argv)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    if (argc != 3) {
        fprintf(stderr, "usage: load SOCKET SEED\n");
        return 2;
    }
    unsigned seed = (unsigned)atoi(argv[2]);
    while (poll(&input, 1, 0) == 0)
        change(argv[1], &seed);
    return 0;
}
