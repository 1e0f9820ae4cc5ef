/*
 * tls/credentials.c: opening, following, replacing.
 *
 * The files are small, so following them is reading them: once a second, whole, compared by digest.  No time stamp can
 * deceive that, nor a file system without inotify, and what was read is what is loaded.  A digest has to be the same
 * twice, so that files which are being written, or replaced one after the other, are not taken half-way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tls/credentials.h"

#include "base/clock.h"
#include "tls/create.h"
#include "tls/identity.h"

#include <stdlib.h>
#include <string.h>

enum { REPLACED_KEPT = 64 };

struct credentials {
    struct credentials_options options;
    _Atomic(struct identity *) current;
    _Atomic int64_t replaced_ms[REPLACED_KEPT]; /* by generation */
    /* The main thread's: of the files in force, at the last look, and last complained about. */
    unsigned char loaded[SHA256_DIGEST_LENGTH], seen[SHA256_DIGEST_LENGTH], refused[SHA256_DIGEST_LENGTH];
};

struct identity *credentials_identity(const struct credentials *credentials)
{
    /* acquire: the object is complete; pairs with the release in publish(). */
    return atomic_load_explicit(&credentials->current, memory_order_acquire);
}

/* ---- replacing --------------------------------------------------------------------------------------------------- */

static void release_retired(struct rcu_head *head)
{
    identity_release((struct identity *)(void *)((char *)head - offsetof(struct identity, retired)));
}

static void publish(struct credentials *credentials, struct identity *identity)
{
    /* relaxed: only this thread stores it. */
    struct identity *old = atomic_load_explicit(&credentials->current, memory_order_relaxed);
    identity->generation = old ? old->generation + 1 : 1;
    if (old)
        /* relaxed: ordered by the release below, for whoever sees the new generation. */
        atomic_store_explicit(&credentials->replaced_ms[old->generation % REPLACED_KEPT], now_ms(),
                              memory_order_relaxed);
    /* release: whoever finds it finds it complete; pairs with credentials_identity(). */
    atomic_store_explicit(&credentials->current, identity, memory_order_release);
    if (old)
        rcu_retire(&old->retired, release_retired);
}

static void say(const struct credentials *credentials, const struct identity *identity, const char *what)
{
    log_write(credentials->options.log, LOG_INFO, "credentials: %s: %s", what, identity->words);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool check_options(const struct credentials_options *options, struct problem *problem)
{
    return !options->ca_path == !options->key_path ||
           problem_set(problem, "%s: the files of CA and private key are either both separate or both in the "
                                "certificate's; name the %s, too",
                       options->ca_path ? options->ca_path : options->key_path,
                       options->ca_path ? "key with --key" : "CA with --ca");
}

static bool load_first(struct credentials *credentials, struct problem *problem)
{
    struct credential_files files;
    files_read(&credentials->options, &files);
    struct identity *identity = identity_load(&files, credentials->options.no_auth, problem);
    bool ok = identity && (files_digest(&files, credentials->loaded) || problem_memory(problem));
    files_free(&files);
    if (!ok) {
        identity_release(identity);
        return false;
    }
    publish(credentials, identity);
    say(credentials, identity, "loaded");
    return true;
}

struct credentials *credentials_open(const struct credentials_options *options, struct problem *problem)
{
    if (!check_options(options, problem) || (options->create && !credentials_create(options, problem)))
        return NULL;
    struct credentials *credentials = calloc(1, sizeof *credentials);
    if (!credentials) {
        problem_memory(problem);
        return NULL;
    }
    credentials->options = *options;
    if (load_first(credentials, problem))
        return credentials;
    free(credentials);
    return NULL;
}

void credentials_close(struct credentials *credentials)
{
    if (!credentials)
        return;
    /* relaxed: by now no other thread has anything to do with it. */
    identity_release(atomic_load_explicit(&credentials->current, memory_order_relaxed));
    free(credentials);
}

/* ---- following --------------------------------------------------------------------------------------------------- */

static bool replace(struct credentials *credentials, const struct credential_files *files)
{
    struct problem problem;
    struct identity *identity = identity_load(files, credentials->options.no_auth, &problem);
    if (identity) {
        memcpy(credentials->loaded, credentials->seen, sizeof credentials->loaded);
        memset(credentials->refused, 0, sizeof credentials->refused);
        publish(credentials, identity);
        say(credentials, identity, "replaced; connections on the former ones end in time");
        return true;
    }
    if (memcmp(credentials->refused, credentials->seen, sizeof credentials->refused) != 0)
        log_write(credentials->options.log, LOG_ERROR, "credentials: the former ones stay in force: %s", problem.text);
    memcpy(credentials->refused, credentials->seen, sizeof credentials->refused);
    return false;
}

/* A mistake that was mended is told again when it comes back. */
static void forget_refused(struct credentials *credentials)
{
    static const unsigned char none[sizeof credentials->refused];
    if (memcmp(credentials->refused, none, sizeof none) == 0)
        return;
    memset(credentials->refused, 0, sizeof credentials->refused);
    log_write(credentials->options.log, LOG_INFO, "credentials: the files are those in force again");
}

/* What was refused is tried again: memory comes back, and a certificate may be for tomorrow. */
bool credentials_follow(struct credentials *credentials)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct credential_files files;
    files_read(&credentials->options, &files);
    bool known = files_digest(&files, digest), replaced = false;
    bool settled = known && memcmp(digest, credentials->seen, sizeof digest) == 0;
    if (known)
        memcpy(credentials->seen, digest, sizeof digest);
    if (settled && memcmp(digest, credentials->loaded, sizeof digest) != 0)
        replaced = replace(credentials, &files);
    else if (settled)
        forget_refused(credentials);
    files_free(&files);
    return replaced;
}

/* ---- for workers ------------------------------------------------------------------------------------------------- */

uint64_t credentials_generation(const struct credentials *credentials)
{
    rcu_lock();
    uint64_t generation = credentials_identity(credentials)->generation;
    rcu_unlock();
    return generation;
}

int64_t credentials_replaced_ms(const struct credentials *credentials, uint64_t generation)
{
    uint64_t current = credentials_generation(credentials);
    if (generation >= current)
        return INT64_MAX;
    if (current - generation >= REPLACED_KEPT)
        return 0; /* so many replacements ago that it is forgotten */
    /* relaxed: the acquire of the generation came first. */
    return atomic_load_explicit(&credentials->replaced_ms[generation % REPLACED_KEPT], memory_order_relaxed);
}

enum token_result credentials_check(const struct credentials *credentials, const char *authorization)
{
    if (credentials->options.no_auth)
        return TOKEN_OK;
    rcu_lock();
    enum token_result result = token_check(&credentials_identity(credentials)->token, authorization);
    rcu_unlock();
    return result;
}
