/* consumer.c: the smallest program against an installed libconfigstream: publish in memory, read back.
 * SPDX-License-Identifier: Apache-2.0 */
#include <configstream/configstream.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    cfgs_publisher_options options = {.in_memory = true};
    cfgs_setting setting = {.key = {"cmd_port", 8}, .value = cfgs_value_int(5001), .source = CFGS_SOURCE_FILE};
    cfgs_publisher *publisher;
    cfgs_reader *reader;
    int64_t port = 0;
    bool changed = false;
    int err = cfgs_publisher_open(&options, &publisher);

    if (err != CFGS_OK) {
        fprintf(stderr, "publisher: %s\n", cfgs_strerror(err));
        return 1;
    }
    err = cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, &changed);
    if (err == CFGS_OK && (err = cfgs_publisher_reader(publisher, &reader)) == CFGS_OK) {
        err = cfgs_get_int(reader, "cmd_port", &port);
        cfgs_reader_close(reader);
    }
    cfgs_publisher_close(publisher, false);
    if (err != CFGS_OK || !changed || port != 5001 || strcmp(cfgs_version(), CFGS_VERSION) != 0) {
        fprintf(stderr, "consumer: %s, port %lld\n", cfgs_strerror(err), (long long)port);
        return 1;
    }
    return 0;
}
