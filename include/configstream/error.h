/**
 * @file error.h  Result codes, their texts, and the place where a failure is described.
 *
 * Every function that can fail returns an int: CFGS_OK (0) or one of the negative codes below.  Nothing in the
 * library prints, exits, aborts or installs a signal handler.  Codes are never reused for another meaning.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_ERROR_H
#define CONFIGSTREAM_ERROR_H

#include <configstream/export.h>
#include <stdint.h>

CFGS_BEGIN_DECLS

typedef enum cfgs_error {
    CFGS_OK = 0,
    CFGS_ERR_INVALID = -1,     /**< an argument is outside what the function's contract allows */
    CFGS_ERR_MEMORY = -2,      /**< malloc failed */
    CFGS_ERR_SYSTEM = -3,      /**< a system call failed in a way with no code of its own; see system_errno */
    CFGS_ERR_NOT_FOUND = -4,   /**< no setting has this key (or, for a section, lies below it) */
    CFGS_ERR_KIND = -5,        /**< the value has another kind than the getter reads */
    CFGS_ERR_RANGE = -6,       /**< the value does not fit: a double with a fraction read as int, a negative size */
    CFGS_ERR_BUFFER = -7,      /**< the caller's buffer is too small; the needed size was stored */
    CFGS_ERR_NOT_READY = -8,   /**< there is no arena yet, or its producer has not published a first snapshot */
    CFGS_ERR_PERMISSION = -9,  /**< the operating system denies access to the arena or its lock */
    CFGS_ERR_UNTRUSTED = -10,  /**< the name belongs to somebody else: foreign owner, writable by others, not a file */
    CFGS_ERR_NOT_ARENA = -11,  /**< the file does not start with the magic number of an arena */
    CFGS_ERR_LAYOUT = -12,     /**< the arena has another major layout version, byte order or hash */
    CFGS_ERR_FEATURE = -13,    /**< the arena uses a feature this library must know to read (or write) it */
    CFGS_ERR_TRUNCATED = -14,  /**< the file is shorter than its header says, or has holes */
    CFGS_ERR_CORRUPT = -15,    /**< the arena contradicts itself; the bytes were damaged */
    CFGS_ERR_BUSY = -16,       /**< the producer recycled the bank under every one of the bounded tries */
    CFGS_ERR_LAPPED = -17,     /**< the snapshot or view was recycled before its use ended; take the next one */
    CFGS_ERR_TIMEOUT = -18,    /**< nothing came in time */
    CFGS_ERR_INTERRUPTED = -19, /**< cfgs_reader_interrupt() ended the wait */
    CFGS_ERR_CLOSED = -20,     /**< the producer ended cleanly and all it committed was delivered; it may come back */
    CFGS_ERR_LOCKED = -21,     /**< another process is the producer of this instance */
    CFGS_ERR_NO_SPACE = -22,   /**< the file system (or max_size) has no room; the detail names needed and available bytes */
    CFGS_ERR_TOO_LARGE = -23,  /**< key, value or nesting is beyond a limit of the format */
    CFGS_ERR_FORKED = -24,     /**< the handle was made by another process, before a fork(); open a new one */
    CFGS_ERR_FILESYSTEM = -25, /**< the arena's directory is not on tmpfs, so sharing would not be coherent */
    CFGS_ERR_ENCODING = -26,   /**< text is not valid UTF-8, or holds a NUL where none may be */
    CFGS_ERR_SYNTAX = -27,     /**< a text does not read as a duration or size */
    CFGS_ERR_UNKNOWN_KEY = -28, /**< cfgs_cast_*: no setting has this key, and none was declared */
    CFGS_ERR_CAST_FAILED = -29, /**< cfgs_cast_*: the value cannot be converted; the zero value was written */
    CFGS_ERR_BAD_ELEMENT = -30, /**< cfgs_cast_*: an element of the list cannot be converted; no list was written */
    CFGS_ERR_CREDENTIALS = -31, /**< remote: certificate, key or token are missing, or cannot be used */
    CFGS_ERR_UNREACHABLE = -32, /**< remote: no connection, or it was lost: name, address, time-out, dead peer */
    CFGS_ERR_TLS = -33,         /**< remote: TLS failed: another CA, another name, no h2, our certificate was refused */
    CFGS_ERR_UNAUTHENTICATED = -34, /**< remote: the server does not take the token */
    CFGS_ERR_SESSION = -35,     /**< remote: the server does not know the session (any more) */
    CFGS_ERR_REFUSED = -36,     /**< remote: the server ended a call with another status */
    CFGS_ERR_PROTOCOL = -37,    /**< remote: the server broke the rules of the stream or of its transport */
    CFGS_ERR_LOOP = -38,        /**< relay: the configuration comes from this arena, or through too many */
    CFGS_ERR_LAST = -38
} cfgs_error;

/** Bytes of cfgs_error_detail.message, terminating NUL included. */
#define CFGS_ERROR_MESSAGE_BYTES 464

/**
 * What failed and where.  The caller provides it (in an options struct, or by the handle that owns one); the
 * library fills it at the origin of the failure.  528 bytes at most; the layout only grows at the end.
 */
typedef struct cfgs_error_detail {
    int code;                                /**< the cfgs_error that was returned */
    int system_errno;                        /**< errno of the failed system call, else 0 */
    uint64_t bytes_needed;                   /**< CFGS_ERR_NO_SPACE: what the operation needs in all, else 0 */
    uint64_t bytes_available;                /**< CFGS_ERR_NO_SPACE: what there is, else 0 */
    int64_t holder_pid;                      /**< CFGS_ERR_LOCKED: pid of the producer, 0 when it is not known */
    char message[CFGS_ERROR_MESSAGE_BYTES];  /**< one line, NUL-terminated, no newline; never holds a value */
} cfgs_error_detail;

/**
 * The text of a result code, for people: "no such setting".
 * Total: an unknown code gives "unknown error".  Static storage, any thread, async-signal-safe.
 */
CFGS_API const char *cfgs_strerror(int code);

CFGS_END_DECLS

#endif
