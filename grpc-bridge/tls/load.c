/* tls/load.c  SPDX-License-Identifier: Apache-2.0 */
#include "tls/load.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* ---- PEM --------------------------------------------------------------------------------------------------------- */

/* Blocks are read one by one and raw: nothing then asks a terminal for a passphrase, and their order can be checked. */
struct block {
    char *name, *header;
    unsigned char *data;
    long length;
};

enum next { NEXT_BLOCK, NEXT_END, NEXT_DAMAGED };

static enum next next_block(BIO *from, struct block *out)
{
    ERR_clear_error();
    *out = (struct block){0};
    if (PEM_read_bio(from, &out->name, &out->header, &out->data, &out->length) == 1)
        return NEXT_BLOCK;
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? NEXT_END : NEXT_DAMAGED;
}

static void free_block(struct block *block)
{
    OPENSSL_free(block->name);
    OPENSSL_free(block->header);
    OPENSSL_clear_free(block->data, (size_t)block->length);
}

static bool parse_certificate(const char *path, const struct block *block, STACK_OF(X509) *to, struct problem *problem)
{
    const unsigned char *p = block->data;
    X509 *certificate = d2i_X509(NULL, &p, block->length);
    if (!certificate || p != block->data + block->length) {
        X509_free(certificate);
        return problem_set(problem, "%s: a CERTIFICATE in it cannot be decoded; put a sound one in its place", path);
    }
    if (sk_X509_push(to, certificate) > 0)
        return true;
    X509_free(certificate);
    return problem_memory(problem);
}

static bool parse_key(const char *path, const struct block *block, EVP_PKEY **out, struct problem *problem)
{
    const unsigned char *p = block->data;
    if (block->header[0] || strstr(block->name, "ENCRYPTED"))
        return problem_set(problem, "%s: the private key is encrypted, and there is nobody to ask for a passphrase; "
                                    "store it in the clear, mode 0600", path);
    *out = d2i_AutoPrivateKey(NULL, &p, block->length);
    return *out || problem_set(problem, "%s: the %s in it cannot be decoded; put a sound one in its place", path,
                               block->name);
}

static bool each_block(const struct credential_file *file, struct problem *problem, void *context,
                       bool (*take)(void *context, unsigned index, const struct block *block, struct problem *problem))
{
    BIO *from = BIO_new_mem_buf(file->bytes, (int)file->length);
    if (!from)
        return problem_memory(problem);
    bool ok = true;
    for (unsigned i = 0; ok; i++) {
        struct block block;
        enum next next = next_block(from, &block);
        if (next == NEXT_END)
            break;
        if (next == NEXT_DAMAGED) {
            ok = problem_set(problem, "%s: it is damaged PEM; put a sound file in its place", file->path);
            break;
        }
        ok = take(context, i, &block, problem);
        free_block(&block);
    }
    BIO_free(from);
    return ok;
}

/* ---- the files --------------------------------------------------------------------------------------------------- */

struct taking {
    const char *path;
    STACK_OF(X509) *certificates;
    EVP_PKEY **key;
};

/* Upstream takes exactly these two, in this order, and looks no further (upstream-facts 2.3). */
static bool take_combined(void *context, unsigned index, const struct block *block, struct problem *problem)
{
    static const char *const NAMES[] = {"CERTIFICATE", "EC PRIVATE KEY"};
    const struct taking *taking = context;
    if (index > 1)
        return true;
    if (strcmp(block->name, NAMES[index]) != 0)
        return problem_set(problem, "%s: block %u must be %s, not %s, since all agents read it so; or name separate "
                                    "files with --ca and --key", taking->path, index + 1, NAMES[index], block->name);
    return index == 0 ? parse_certificate(taking->path, block, taking->certificates, problem)
                      : parse_key(taking->path, block, taking->key, problem);
}

static bool take_certificate(void *context, unsigned index, const struct block *block, struct problem *problem)
{
    const struct taking *taking = context;
    (void)index;
    return strcmp(block->name, "CERTIFICATE") != 0 ||
           parse_certificate(taking->path, block, taking->certificates, problem);
}

static bool take_key(void *context, unsigned index, const struct block *block, struct problem *problem)
{
    const struct taking *taking = context;
    (void)index;
    return *taking->key || !strstr(block->name, "PRIVATE KEY") || parse_key(taking->path, block, taking->key, problem);
}

static bool read_combined(const struct credential_files *files, enum material_use use, struct material *out,
                          struct problem *problem)
{
    struct taking taking = {files->cert.path, out->chain, &out->key};
    if (!each_block(&files->cert, problem, &taking, take_combined))
        return false;
    X509 *certificate = sk_X509_value(out->chain, 0);
    if (!certificate || !out->key)
        return problem_set(problem, "%s: it must hold a CERTIFICATE and its EC PRIVATE KEY, and has no %s; %s",
                           files->cert.path, certificate ? "key" : "certificate",
                           use == MATERIAL_FOR_SERVER ? files_cure(files) : "take the core's file");
    if (!X509_up_ref(certificate))
        return problem_memory(problem);
    if (sk_X509_push(out->trusted, certificate) > 0)
        return true;
    X509_free(certificate);
    return problem_memory(problem);
}

static bool read_certificates(const struct credential_file *file, STACK_OF(X509) *to, struct problem *problem)
{
    struct taking taking = {file->path, to, NULL};
    if (!each_block(file, problem, &taking, take_certificate))
        return false;
    return sk_X509_num(to) > 0 ||
           problem_set(problem, "%s: there is no CERTIFICATE in it; name a PEM file", file->path);
}

static bool read_separate(const struct credential_files *files, struct material *out, struct problem *problem)
{
    struct taking taking = {files->key.path, NULL, &out->key};
    if (!read_certificates(&files->cert, out->chain, problem) ||
        !read_certificates(&files->ca, out->trusted, problem) ||
        !each_block(&files->key, problem, &taking, take_key))
        return false;
    return out->key || problem_set(problem, "%s: there is no PRIVATE KEY in it; name a PEM file", files->key.path);
}

/* ---- what they are good for -------------------------------------------------------------------------------------- */

static void date(const ASN1_TIME *time, char *to, size_t size)
{
    struct tm tm;
    if (!ASN1_TIME_to_tm(time, &tm) || !strftime(to, size, "%Y-%m-%d", &tm))
        snprintf(to, size, "(no date)");
}

static bool check_time(const char *path, const X509 *certificate, struct problem *problem)
{
    char day[32];
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) >= 0) {
        date(X509_get0_notBefore(certificate), day, sizeof day);
        return problem_set(problem, "%s: the certificate counts from %s on; look at the clock of this host", path, day);
    }
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0)
        return true;
    date(X509_get0_notAfter(certificate), day, sizeof day);
    return problem_set(problem, "%s: the certificate expired on %s; replace it", path, day);
}

static bool check_purpose(const char *path, X509 *certificate, int purpose, const char *word, struct problem *problem)
{
    return X509_check_purpose(certificate, purpose, 0) == 1 ||
           problem_set(problem, "%s: the certificate must not be used by a TLS %s (key usage, or extended key usage); "
                                "replace it", path, word);
}

static bool check_ca(const char *path, X509 *certificate, struct problem *problem)
{
    return X509_check_ca(certificate) == 1 ||
           problem_set(problem, "%s: the certificate is not that of a CA (basic constraints, key usage), so nothing it "
                                "signed would be trusted; replace it", path);
}

static bool check_trusted(const struct credential_file *file, const STACK_OF(X509) *trusted, struct problem *problem)
{
    for (int i = 0; i < sk_X509_num(trusted); i++)
        if (!check_ca(file->path, sk_X509_value(trusted, i), problem))
            return false;
    return true;
}

static bool check(const struct credential_files *files, enum material_use use, const struct material *material,
                  struct problem *problem)
{
    const char *path = files->cert.path, *key_path = files->key.path ? files->key.path : path;
    X509 *own = sk_X509_value(material->chain, 0);
    bool combined = !files->ca.path;
    if (X509_check_private_key(own, material->key) != 1)
        return problem_set(problem, "%s: the private key is not that of the certificate in %s; replace both together",
                           key_path, path);
    return (use == MATERIAL_FOR_PINNING || check_time(path, own, problem)) &&
           ((!combined && use != MATERIAL_FOR_SERVER) ||
            check_purpose(path, own, X509_PURPOSE_SSL_SERVER, "server", problem)) &&
           ((!combined && use == MATERIAL_FOR_SERVER) ||
            check_purpose(path, own, X509_PURPOSE_SSL_CLIENT, "client", problem)) &&
           check_trusted(combined ? &files->cert : &files->ca, material->trusted, problem);
}

bool material_load(const struct credential_files *files, enum material_use use, struct material *out,
                   struct problem *problem)
{
    *out = (struct material){.chain = sk_X509_new_null(), .trusted = sk_X509_new_null()};
    if (!out->chain || !out->trusted)
        return problem_memory(problem);
    bool ok = (files->ca.path ? read_separate(files, out, problem) : read_combined(files, use, out, problem)) &&
              check(files, use, out, problem);
    ERR_clear_error();
    return ok;
}

void material_free(struct material *material)
{
    sk_X509_pop_free(material->chain, X509_free);
    sk_X509_pop_free(material->trusted, X509_free);
    EVP_PKEY_free(material->key);
}

void material_validity(const struct material *material, char *to, size_t size)
{
    char day[32];
    date(X509_get0_notAfter(sk_X509_value(material->chain, 0)), day, sizeof day);
    snprintf(to, size, "until %s", day);
}
