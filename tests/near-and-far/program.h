/* program.h: what the programs that run near and far alike share.  SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_REMOTE_PROGRAM_H
#define TESTS_REMOTE_PROGRAM_H

#include <configstream/configstream.h>
#include <configstream/remote.h>

/** One open reader, near or far. */
struct program {
    cfgs_remote *remote;
    cfgs_reader *reader;
};

/**
 * Open what the address names and wait for a first snapshot.  Far: credentials from $CERT and $TOKEN_FILE, pauses of
 * $BACKOFF_MS at most (default 1,000).  Complains and ends the process on failure.
 */
void program_open(struct program *program, const char *address);
void program_close(struct program *program);

/** Print why, and end the process with 1. */
_Noreturn void program_fail(const char *what, int error);

/** A whole state as 64 bits: the sum of its settings' digests, since an index has no order; and its ID. */
struct state {
    uint64_t sequence, settings, digest;
};

/** Of key, source and encoded value: the same near and far. */
uint64_t program_digest(cfgs_bytes key, cfgs_bytes source, const cfgs_value *value);

/** The state of a view that has begun: of the newest one, or of the snapshot event it was opened for.  CFGS_OK, or
 *  CFGS_ERR_LAPPED: the next event is another snapshot. */
int program_read_view(cfgs_view *view, struct state *out);

/** The state now. */
struct state program_state(struct program *program);

/** The value as text: the same for equal encodings. */
void program_print_value(const cfgs_value *value);

#endif
