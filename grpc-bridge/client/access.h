/**
 * @file client/access.h  What lets us in: certificate, key, whom we trust, and the token; read anew for each attempt.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_ACCESS_H
#define CLIENT_ACCESS_H

#include "client/failure.h"

#include <configstream/remote.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

enum { ACCESS_TOKEN_MAX_BYTES = 4096 };

struct access_options {
    const char *cert_file, *ca_file, *key_file;
    const char *token_file, *token; /* one of them is NULL */
    cfgs_remote_verify verify;
    const char *name; /* of the server, to check and to send */
};

/** Zeroed: none. */
struct access {
    SSL_CTX *context;
    char *authorization; /* "Bearer ...", of the allocator that wipes */
};

/** A token as it may stand in a header: visible ASCII. */
bool access_token_is_valid(const char *token, size_t length);

/** Read the files.  CFGS_ERR_CREDENTIALS or _MEMORY; *missing: a file is not there yet. */
int access_load(const struct access_options *options, struct access *out, bool *missing, struct failure *failure);

/** Wipe and free; what was made with it goes on. */
void access_free(struct access *access);

/** For one connection, set to connect; NULL: no memory. */
SSL *access_ssl(const struct access *access, const struct access_options *options);

/** Tells one state of the files from another; false: it cannot be told. */
bool access_digest(const struct access_options *options, unsigned char out[SHA256_DIGEST_LENGTH]);

#endif
