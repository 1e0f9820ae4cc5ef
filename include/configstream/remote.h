/**
 * @file remote.h  The configuration of another host, or of a process elsewhere: libconfigstream-remote.
 *
 * A cfgs_remote registers with a core (configstream-bridge, or an agent that serves the same stream), subscribes, applies
 * what comes to an arena of its own memory, and hands out ordinary readers of it.  Point reads, views, events and
 * subscriptions are those of libconfigstream; near and far differ in latency only:
 *
 *     cfgs_remote *remote;
 *     cfgs_reader *reader;
 *     int err = cfgs_remote_open(&(cfgs_remote_options){.address = "core.example.com:5001",
 *                                                       .display_name = "my agent", .flavor = "my_agent"}, &remote);
 *     if (err == CFGS_OK && (err = cfgs_remote_reader(remote, &reader)) == CFGS_OK)
 *         err = cfgs_reader_wait_ready(reader, 30 * 1000);
 *
 * With the address "shm:default" (or "shm:/path/to/arena") the same program reads the arena of its own host instead.
 *
 * What the consumer is promised: a snapshot is applied as the sender's whole state, an update entirely or not at all; after
 * any gap a snapshot, never a hole; while the core is away the last state is served, and cfgs_reader_status() says how old
 * it is (upstream.contact_age_ms).  Lost connections, expired sessions, restarted cores, lower sequence IDs and replaced
 * credentials are the library's business: it tries again with growing pauses.
 *
 * Threads: every function from any thread, except cfgs_remote_close(), which must be the last call.  One background
 * thread for each cfgs_remote (all signals blocked in it), none for "shm:".  No signal is used, nothing is global.
 * fork: a child must not use a cfgs_remote; calls return CFGS_ERR_FORKED there.
 * Names are resolved by getaddrinfo() in the background thread; a look-up that takes seconds holds up the heartbeat, too, so
 * that cfgs_reader_status() may say CFGS_PRODUCER_STALLED meanwhile.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_REMOTE_H
#define CONFIGSTREAM_REMOTE_H

#include <configstream/error.h>
#include <configstream/export.h>
#include <configstream/reader.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CFGS_BEGIN_DECLS

typedef struct cfgs_remote cfgs_remote;

/** How the server's certificate is judged, besides that the server must hold its key. */
typedef enum cfgs_remote_verify {
    CFGS_VERIFY_NAME = 0,  /**< signed by the CA, and for the name (or address) that is dialled */
    CFGS_VERIFY_PINNED = 1 /**< byte for byte the certificate in cert_file; names and dates do not matter */
} cfgs_remote_verify;

/** Severity of a log line. */
typedef enum cfgs_remote_severity {
    CFGS_REMOTE_DEBUG = 1,
    CFGS_REMOTE_INFO = 2,
    CFGS_REMOTE_WARN = 3,
    CFGS_REMOTE_ERROR = 4
} cfgs_remote_severity;

/**
 * One line, without newline, never a value, a token or a whole session ID.  Called on the background thread; must not call
 * into the cfgs_remote.  An error that repeats is told once a minute, with how often it came.
 */
typedef void (*cfgs_remote_log)(void *context, cfgs_remote_severity severity, const char *line);

/** Zero means default.  Read during cfgs_remote_open() only; strings are copied.  Grows only at the end. */
typedef struct cfgs_remote_options {
    const char *address;   /**< "host:port", "192.0.2.1:5001", "[2001:db8::1]:5001"; "shm:INSTANCE" or "shm:/FILE": near;
                                default "localhost:5001" */
    /* Near only: as in cfgs_reader_options. */
    bool trust_producer_user;
    uid_t producer_user;
    /* Credentials.  The files are awaited when they are not there yet, and read anew when they have changed. */
    const char *cert_file; /**< CA, certificate and key in one file, as the core makes it; with key_file the chain alone;
                                default "/etc/configstream/ipc_cert.pem" */
    const char *ca_file, *key_file; /**< both or neither */
    const char *token_file; /**< default "/etc/configstream/auth_token"; a newline at its end is not part of the token */
    const char *token;      /**< instead of a file */
    cfgs_remote_verify verify;
    const char *server_name; /**< the name to check and send instead of the host of `address` */
    /* Identity, as the core lists it. */
    const char *flavor;       /**< default: the program's name, lower case with '_' */
    const char *display_name; /**< default: the program's name */
    const char *stream_name;  /**< label of the stream in the core's log; default: display_name */
    int64_t pid;              /**< default: getpid() */
    /* Times, in milliseconds. */
    int ready_timeout_ms;     /**< cfgs_remote_open() returns with a first snapshot only, or fails after so long; 0: at
                                   once */
    uint32_t backoff_min_ms;  /**< pause after a failure; grows by 1.6 up to the next, each +-20 %; default 1,000 */
    uint32_t backoff_max_ms;  /**< default 120,000 */
    uint32_t connect_timeout_ms; /**< one attempt, TCP, TLS and the server's SETTINGS together; default 20,000 */
    uint32_t call_timeout_ms;    /**< registration, refresh, the stream's first answer, the rest of a message; default
                                      30,000 */
    uint32_t keepalive_ms;       /**< quiet for so long: PING; default 30,000 */
    uint32_t keepalive_timeout_ms; /**< no byte for so long after it: the peer is dead; default 20,000 */
    /* Sizes. */
    uint64_t max_message_bytes; /**< larger messages are refused; default 134,217,728 */
    uint64_t max_size;          /**< bytes the arena may grow to; default 1 GiB */
    uint32_t ring_slots;        /**< history for its readers, in updates; default 4,096 */
    cfgs_remote_log log;
    void *log_context;
    cfgs_error_detail *detail; /**< out, may be NULL: what failed in cfgs_remote_open(), in words */
} cfgs_remote_options;

/**
 * Begin; returns at once, without waiting for the core, unless ready_timeout_ms is set.
 *
 * @return CFGS_OK; CFGS_ERR_INVALID (detail names the option); CFGS_ERR_MEMORY; CFGS_ERR_SYSTEM; near: as
 *         cfgs_reader_open().  With ready_timeout_ms: CFGS_ERR_TIMEOUT (detail: what the last attempt met), or at once the
 *         error that no further attempt can mend.
 */
CFGS_API CFGS_NODISCARD int cfgs_remote_open(const cfgs_remote_options *options, cfgs_remote **out);

/**
 * End: the session is left to expire by itself.  All readers must have been closed.  NULL is fine.
 * Waits for the background thread: at once, except that a name look-up under way is waited for (the resolver's own
 * time-outs bound it; addresses and "localhost" are not looked up), and so is a snapshot that is just being made visible.
 * To be called before exit(): OpenSSL cleans up at exit, and the thread must not be in the middle of it then.
 */
CFGS_API void cfgs_remote_close(cfgs_remote *remote);

/**
 * Open a reader of the received configuration: an ordinary one, the caller's to close, before the cfgs_remote.
 * It may be opened before anything was received; cfgs_reader_wait_ready() waits for the first snapshot.
 * CFGS_OK, CFGS_ERR_MEMORY, CFGS_ERR_SYSTEM, CFGS_ERR_FORKED; near: as cfgs_reader_open().
 */
CFGS_API CFGS_NODISCARD int cfgs_remote_reader(cfgs_remote *remote, cfgs_reader **out);

/**
 * Wait for the first snapshot, as cfgs_reader_wait_ready(), but end at once with the error that no attempt can mend.
 * @param timeout_ms  0 polls, negative waits without end.
 * @return CFGS_OK; CFGS_ERR_TIMEOUT; or a permanent error, described in cfgs_remote_info.message.
 */
CFGS_API CFGS_NODISCARD int cfgs_remote_wait_ready(cfgs_remote *remote, int timeout_ms);

/** Where the connection is. */
typedef enum cfgs_remote_state {
    CFGS_REMOTE_NEAR = 0,        /**< "shm:": there is no connection */
    CFGS_REMOTE_WAITING = 1,     /**< a pause before the next attempt, see retry_ms and message */
    CFGS_REMOTE_CREDENTIALS = 2, /**< waiting for certificate or token file */
    CFGS_REMOTE_CONNECTING = 3,
    CFGS_REMOTE_REGISTERING = 4,
    CFGS_REMOTE_SUBSCRIBING = 5, /**< the stream is requested, its snapshot has not come yet */
    CFGS_REMOTE_STREAMING = 6,   /**< a snapshot was applied, updates follow */
    CFGS_REMOTE_FAILED = 7       /**< a permanent error: nothing is tried any more */
} cfgs_remote_state;

/** "near", "waiting", "credentials", ...; "?" for an unknown number.  Static storage. */
CFGS_API const char *cfgs_remote_state_name(int state);

/** Grows only at the end. */
typedef struct cfgs_remote_info {
    cfgs_remote_state state;
    int error;               /**< what the last failure was (cfgs_error), 0 if there was none since the last snapshot */
    int grpc_status;         /**< the status the server gave, if it gave one; else -1 */
    char message[CFGS_ERROR_MESSAGE_BYTES]; /**< the last failure in words; of a stream that has been open for
                                                 call_timeout_ms without a snapshot: that it waits for one, and then
                                                 `error` is 0; else "" */
    int64_t retry_ms;        /**< until the next attempt, in WAITING and CREDENTIALS; else -1 */
    int64_t contact_age_ms;  /**< since the core was heard of last; -1: never */
    char peer[64];           /**< the address connected to; "" if none */
    char session_prefix[9];  /**< first 8 characters of the session; "" if none */
    uint64_t sequence;       /**< last applied ID */
    int64_t first_snapshot_ms; /**< from open to the first applied snapshot; -1: none yet */
    struct {
        uint64_t connects, failures;        /**< connections that were up; attempts and streams that failed */
        uint64_t registrations, refreshes, refresh_failures, sessions_refused;
        uint64_t streams, snapshots, updates; /**< opened; applied */
        uint64_t gaps, stale, malformed;    /**< IDs skipped; repeated or too early; messages that broke the rules */
        uint64_t bytes;                     /**< received, decrypted */
    } counters;
} cfgs_remote_info;

/**
 * Look; size is sizeof *info as the caller knows it.  CFGS_OK, CFGS_ERR_INVALID, CFGS_ERR_FORKED.  Never blocks for long.
 */
CFGS_API CFGS_NODISCARD int cfgs_remote_status(cfgs_remote *remote, cfgs_remote_info *info, size_t size);

CFGS_END_DECLS

#endif
