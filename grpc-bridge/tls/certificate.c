/* tls/certificate.c  What is in it, and in which order, is upstream-facts 2.3.  SPDX-License-Identifier: Apache-2.0 */
#include "tls/certificate.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SERIAL_BITS = 128,
    CLOCK_SLACK_SECONDS = 3600, /* a client's clock may be behind ours */
    LIFE_DAYS = 50 * 365 + 12 /* years, and most of their leap days */
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Letters, digits, hyphens and dots: nothing that means something in the text that OpenSSL reads. */
static bool is_host_name(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("-._", name[i]))
            return false;
    return length > 0 && length <= 253;
}

static bool append_text(struct buffer *to, const char *text) { return buffer_append(to, text, strlen(text)); }

static bool append(struct buffer *to, const char *kind, const char *name, struct problem *problem)
{
    return (append_text(to, ",") && append_text(to, kind) && append_text(to, name)) || problem_memory(problem);
}

/* Who listens everywhere is reached by the host's name. */
static bool append_own_name(struct buffer *to, struct problem *problem)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0 || !is_host_name(name))
        return true;
    return append(to, "DNS:", name, problem);
}

static bool append_name(struct buffer *to, const char *name, struct problem *problem)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT; /* its first bytes are INADDR_ANY */
    struct in6_addr address = any;
    if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
        return memcmp(&address, &any, sizeof any) == 0 ? append_own_name(to, problem) : append(to, "IP:", name, problem);
    if (is_host_name(name))
        return append(to, "DNS:", name, problem);
    return problem_set(problem, "'%s' is neither an address nor a host name, so no certificate can be made for it; "
                                "listen on another name, or put a certificate there", name);
}

static bool make_names(const char *const *names, unsigned count, struct buffer *to, struct problem *problem)
{
    if (!append_text(to, "DNS:localhost,IP:127.0.0.1,IP:::1"))
        return problem_memory(problem);
    for (unsigned i = 0; i < count; i++) {
        bool known = strcmp(names[i], "localhost") == 0 || strcmp(names[i], "127.0.0.1") == 0 ||
                     strcmp(names[i], "::1") == 0;
        if (!known && !append_name(to, names[i], problem))
            return false;
    }
    return true;
}

/* ---- the certificate --------------------------------------------------------------------------------------------- */

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool ok = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
              BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return ok;
}

static bool set_subject(X509 *certificate)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    const unsigned char *organisation = (const unsigned char *)"configstream";
    return X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC, organisation, -1, -1, 0) &&
           X509_set_issuer_name(certificate, name);
}

static bool set_validity(X509 *certificate)
{
    return X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SLACK_SECONDS) &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), LIFE_DAYS, 0, NULL);
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

static bool add_extensions(X509 *certificate, const char *names)
{
    return add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, NID_subject_alt_name, names);
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *names)
{
    return X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) && set_subject(certificate) &&
           set_validity(certificate) && X509_set_pubkey(certificate, key) && add_extensions(certificate, names) &&
           X509_sign(certificate, key, EVP_sha256());
}

static bool to_text(X509 *certificate, EVP_PKEY *key, char **pem, size_t *length)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    /* "traditional" makes it an EC PRIVATE KEY, as others read it. */
    if (bio && PEM_write_bio_X509(bio, certificate) &&
        PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL)) {
        *length = (size_t)BIO_get_mem_data(bio, &bytes);
        *pem = OPENSSL_memdup(bytes, *length);
        OPENSSL_cleanse(bytes, *length);
    }
    BIO_free(bio);
    return *pem;
}

bool certificate_make(const char *const *names, unsigned name_count, char **pem, size_t *length,
                      struct problem *problem)
{
    struct buffer text = {0};
    *pem = NULL;
    ERR_clear_error();
    if (!make_names(names, name_count, &text, problem)) {
        free(text.data);
        return false;
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    bool ok = key && certificate && fill(certificate, key, text.data) && to_text(certificate, key, pem, length);
    if (!ok)
        problem_set(problem, "no certificate can be made: %s", ERR_reason_error_string(ERR_peek_error()));
    ERR_clear_error();
    X509_free(certificate);
    EVP_PKEY_free(key);
    free(text.data);
    return ok;
}
