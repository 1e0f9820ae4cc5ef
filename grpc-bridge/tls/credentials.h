/**
 * @file tls/credentials.h  Who we are, whom we trust, and the token: from files, replaced as a whole when they change.
 *
 * The existing formats (upstream-facts 2.3): a combined file of CERTIFICATE and EC PRIVATE KEY that is CA, server and
 * client certificate at once, and a token file of 64 lowercase hex characters.  Or separate CA, certificate and key.
 *
 * What is in force is one immutable object (SSL_CTX, token, generation), read by workers under RCU and replaced by the
 * main thread.  A pair of files that cannot be loaded changes nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_CREDENTIALS_H
#define TLS_CREDENTIALS_H

#include "base/log.h"
#include "base/problem.h"

#include <stdbool.h>
#include <stdint.h>

struct credentials;

/** The paths, and what log points to, live as long as the credentials. */
struct credentials_options {
    const char *cert_path;  /* combined file; with ca_path and key_path the certificate chain alone */
    const char *ca_path, *key_path; /* NULL: all is in cert_path */
    const char *token_path;
    bool create;   /* make what is missing: 0600, atomically, P-256 */
    bool no_auth;  /* ask for neither client certificate nor token; the token file is not looked at */
    const char *const *names; /* of the listen addresses, for the subject alternative names of what is made */
    unsigned name_count;
    const struct log *log;
};

/** Load, after making what is missing.  The problem names the file, what is wrong with it, and the way out. */
struct credentials *credentials_open(const struct credentials_options *options, struct problem *problem);
void credentials_close(struct credentials *credentials);

/** Main thread, about once a second: have the files changed?  Then load them; true if they are in force now.  What is
 *  wrong with them is logged once. */
bool credentials_follow(struct credentials *credentials);

/** Any worker.  Counted from 1; one more with each replacement. */
uint64_t credentials_generation(const struct credentials *credentials);

/** Since when `generation` is replaced, CLOCK_MONOTONIC ms; INT64_MAX if it is in force, 0 if it was replaced more than
 *  60 replacements ago. */
int64_t credentials_replaced_ms(const struct credentials *credentials, uint64_t generation);

enum token_result { TOKEN_OK, TOKEN_MISSING /* none, or not a bearer */, TOKEN_WRONG };

/** The value of the metadata `authorization` (may be NULL): scheme without case, token in constant time. */
enum token_result credentials_check(const struct credentials *credentials, const char *authorization);

#endif
