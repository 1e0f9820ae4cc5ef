/**
 * @file client/client_report.h  What configstream-client shows of a stream, and the verdict on it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_CLIENT_REPORT_H
#define CLIENT_CLIENT_REPORT_H

#include "cli/options.h"
#include "client/client_options.h"
#include "client/engine.h"

/** Written on the engine's thread until engine_close(), read by the main thread afterwards. */
struct client_report {
    const struct client_options *options;
    cfgs_reader *reader; /* of the arena that the engine applies to: it knows old values, and takes apart what came */
    uint64_t snapshots, updates, bytes;
    uint64_t settings;       /* of the last snapshot */
    uint64_t first, last;    /* IDs: of the first snapshot, and of the last event */
    uint64_t expected, came; /* the first update that was not the next one; 0: none */
    uint64_t shown;          /* updates */
    bool output_gone;        /* nobody takes what we print */
};

/** The engine's hooks; context: the report. */
void client_report_event(void *context, const struct engine_event *event);
int client_report_tick(void *context, cfgs_publisher *publisher);

/** Print how it was; the exit status.  `ended`: the engine gave up before the time was over. */
enum exit_code client_report_end(const struct client_report *report, const cfgs_remote_info *info, bool ended,
                                 int64_t watched_ms);

#endif
