/* error.c: texts of the result codes.  SPDX-License-Identifier: Apache-2.0 */
#include <configstream/error.h>

static const char *const texts[] = {
    [-CFGS_OK] = "no error",
    [-CFGS_ERR_INVALID] = "invalid argument",
    [-CFGS_ERR_MEMORY] = "out of memory",
    [-CFGS_ERR_SYSTEM] = "a system call failed",
    [-CFGS_ERR_NOT_FOUND] = "no such setting",
    [-CFGS_ERR_KIND] = "the setting has another kind",
    [-CFGS_ERR_RANGE] = "the value does not fit",
    [-CFGS_ERR_BUFFER] = "the buffer is too small",
    [-CFGS_ERR_NOT_READY] = "no configuration has been published yet",
    [-CFGS_ERR_PERMISSION] = "access to the arena is denied",
    [-CFGS_ERR_UNTRUSTED] = "the arena belongs to somebody else",
    [-CFGS_ERR_NOT_ARENA] = "the file is not an arena",
    [-CFGS_ERR_LAYOUT] = "the arena has another layout version",
    [-CFGS_ERR_FEATURE] = "the arena needs a feature this version does not have",
    [-CFGS_ERR_TRUNCATED] = "the arena's file is truncated or has holes",
    [-CFGS_ERR_CORRUPT] = "the arena is damaged",
    [-CFGS_ERR_BUSY] = "the producer rebuilds faster than this reader reads",
    [-CFGS_ERR_LAPPED] = "the snapshot was recycled before its use ended",
    [-CFGS_ERR_TIMEOUT] = "timed out",
    [-CFGS_ERR_INTERRUPTED] = "interrupted",
    [-CFGS_ERR_CLOSED] = "the producer has ended",
    [-CFGS_ERR_LOCKED] = "another producer is running",
    [-CFGS_ERR_NO_SPACE] = "no room for the arena",
    [-CFGS_ERR_TOO_LARGE] = "key or value beyond the limits",
    [-CFGS_ERR_FORKED] = "the handle belongs to the parent process",
    [-CFGS_ERR_FILESYSTEM] = "the arena is not on a tmpfs",
    [-CFGS_ERR_ENCODING] = "text is not valid UTF-8",
    [-CFGS_ERR_SYNTAX] = "the text does not read as a duration or size",
    [-CFGS_ERR_UNKNOWN_KEY] = "no such setting, and none was declared",
    [-CFGS_ERR_CAST_FAILED] = "the value cannot be converted",
    [-CFGS_ERR_BAD_ELEMENT] = "an element of the list cannot be converted",
    [-CFGS_ERR_CREDENTIALS] = "certificate, key or token cannot be used",
    [-CFGS_ERR_UNREACHABLE] = "no connection to the server",
    [-CFGS_ERR_TLS] = "TLS failed",
    [-CFGS_ERR_UNAUTHENTICATED] = "the server does not take the token",
    [-CFGS_ERR_SESSION] = "the server does not know the session",
    [-CFGS_ERR_REFUSED] = "the server refused the call",
    [-CFGS_ERR_PROTOCOL] = "the server broke the protocol",
    [-CFGS_ERR_LOOP] = "the configuration comes from this arena, or through too many",
};

const char *cfgs_strerror(int code)
{
    if (code > 0 || code < CFGS_ERR_LAST)
        return "unknown error";
    return texts[-code];
}
