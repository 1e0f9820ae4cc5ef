/**
 * @file tls/files.h  The files of credentials, read into memory, so that what is checked is what is used.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_FILES_H
#define TLS_FILES_H

#include "tls/credentials.h"

#include <openssl/sha.h>
#include <stddef.h>
#include <sys/types.h>

enum { CREDENTIAL_FILE_MAX_BYTES = 1024 * 1024 }; /* a bundle of all public CAs has a quarter of that */

struct credential_file {
    const char *path; /* NULL: there is none */
    bool secret;      /* holds a key or a token: nobody else may read it */
    char *bytes;      /* NULL: it could not be read, `error` says why */
    size_t length;
    mode_t mode;
    int error; /* errno; 0 with no bytes: not a regular file, or too large */
};

struct credential_files {
    struct credential_file cert, ca, key, token;
    bool made; /* a start makes what is missing */
};

/** Look at all of them now.  What cannot be read is noted, for files_check(). */
void files_read(const struct credentials_options *options, struct credential_files *out);

/** All were read, and nobody but those who should can read or write them. */
bool files_check(const struct credential_files *files, struct problem *problem);

/** What to do about a file of ours that holds something else. */
const char *files_cure(const struct credential_files *files);

/** Tells one state of the files from another: contents, modes, and what could not be read. */
bool files_digest(const struct credential_files *files, unsigned char out[SHA256_DIGEST_LENGTH]);

/** Wipe and free. */
void files_free(struct credential_files *files);

#endif
