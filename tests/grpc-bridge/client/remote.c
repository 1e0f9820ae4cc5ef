/* remote.c: a cfgs_remote against a real bridge.  SPDX-License-Identifier: Apache-2.0 */
#include "support/check.h"
#include "support/process.h"
#include "support/publish.h"

#include <configstream/remote.h>

static void say(void *context, cfgs_remote_severity severity, const char *line)
{
    (void)context;
    fprintf(stderr, "remote %d: %s\n", (int)severity, line);
}

int main(void)
{
    struct bridge_process bridge;
    cfgs_publisher *publisher = producer_open(64);
    publish_text(publisher, "log_level", "info", CFGS_SOURCE_FILE);
    bridge_start(&bridge, &(struct bridge_options){.instance = test_instance()});
    char address[32];
    snprintf(address, sizeof address, "localhost:%u", bridge.port);
    cfgs_error_detail detail = {0};
    cfgs_remote *remote;
    cfgs_reader *reader;
    int error = cfgs_remote_open(&(cfgs_remote_options){.address = address, .cert_file = bridge.certificate,
        .token_file = bridge.token_file, .ready_timeout_ms = 3000, .log = say, .detail = &detail}, &remote);
    REQUIRE(error == CFGS_OK, "%d %s", error, detail.message);
    OK(cfgs_remote_reader(remote, &reader));
    char text[32];
    size_t length;
    OK(cfgs_get_string(reader, "log_level", text, sizeof text, &length));
    printf("%s\n", text);
    publish_text(publisher, "log_level", "debug", CFGS_SOURCE_CLI);
    cfgs_event event;
    OK(cfgs_reader_next(reader, &event, 1000));
    printf("%d %d\n", (int)event.kind, (int)event.sequence);
    OK(cfgs_reader_next(reader, &event, 1000));
    printf("%d %d\n", (int)event.kind, (int)event.sequence);
    cfgs_reader_close(reader);
    cfgs_remote_close(remote);
    bridge_stop(&bridge);
    cfgs_publisher_close(publisher, true);
    return 0;
}
