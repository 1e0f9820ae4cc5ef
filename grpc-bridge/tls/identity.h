/**
 * @file tls/identity.h  What is in force: one immutable object, made of files that were read at one time.
 *
 * Counted, since a connection keeps the one it was accepted with.  Whoever finds it under RCU may take it before
 * rcu_unlock(): the count of one that can still be found is never 0.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_IDENTITY_H
#define TLS_IDENTITY_H

#include "bridge/rcu.h"
#include "tls/files.h"
#include "tls/token.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

struct identity {
    struct rcu_head retired;
    atomic_uint references;
    uint64_t generation;
    SSL_CTX *context;
    struct token token; /* empty with no_auth */
    char words[320];    /* fingerprints and validity, for the log */
};

/** One reference; NULL with the problem. */
struct identity *identity_load(const struct credential_files *files, bool no_auth, struct problem *problem);

void identity_take(struct identity *identity);
void identity_release(struct identity *identity); /* NULL: nothing */

/** In force; call within rcu_lock().  credentials.c */
struct identity *credentials_identity(const struct credentials *credentials);

#endif
