/* tls/identity.c: the SSL_CTX, and what the transport asks of it (grpc-wire 2).  SPDX-License-Identifier: Apache-2.0 */
#include "tls/identity.h"

#include "tls/context.h"
#include "tls/load.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEER_CHAIN_MAX_BYTES = 32 * 1024 /* what a client may send as certificates, before anybody is known */ };

/* Only h2.  A client that offers nothing by ALPN does not come here: channel_handshake() looks at what was chosen. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *offered,
                           unsigned length, void *context)
{
    (void)ssl, (void)context;
    for (unsigned at = 0; at < length && at + 1 + offered[at] <= length; at += 1 + offered[at])
        if (offered[at] == 2 && memcmp(offered + at + 1, "h2", 2) == 0) {
            *out = offered + at + 1;
            *out_length = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_protocol(SSL_CTX *context)
{
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_max_cert_list(context, PEER_CHAIN_MAX_BYTES);
    return SSL_CTX_set_num_tickets(context, 0) == 1;
}

static bool ask_for_certificates(SSL_CTX *context, const struct material *material)
{
    for (int i = 0; i < sk_X509_num(material->trusted); i++)
        if (SSL_CTX_add_client_CA(context, sk_X509_value(material->trusted, i)) != 1)
            return false;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return context_trust(context, material);
}

static SSL_CTX *make_context(const struct material *material, bool no_auth, struct problem *problem)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context && context_prepare(context, material) && set_protocol(context) &&
        (no_auth || ask_for_certificates(context, material)))
        return context;
    problem_set(problem, "TLS cannot be set up with this certificate: %s", ERR_reason_error_string(ERR_peek_error()));
    ERR_clear_error();
    SSL_CTX_free(context);
    return NULL;
}

/* ---- who it is, for the log -------------------------------------------------------------------------------------- */

static void fingerprint(const unsigned char *digest, char to[17])
{
    for (int i = 0; i < 8; i++)
        snprintf(to + 2 * i, 3, "%02x", digest[i]);
}

/* The first bytes of SHA-256, as sha256sum of the token file and openssl x509 -fingerprint -sha256 print them:
 * comparing them with a client's tells at once why it is refused.  64 bits of a hash give no random token away. */
static bool describe(struct identity *identity, const struct material *material)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char certificate[17], token[17], validity[32];
    const char *text = identity->token.text;
    if (X509_digest(sk_X509_value(material->chain, 0), EVP_sha256(), digest, NULL) != 1)
        return false;
    fingerprint(digest, certificate);
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    fingerprint(digest, token);
    material_validity(material, validity, sizeof validity);
    snprintf(identity->words, sizeof identity->words, "certificate %s, %s; token %s", certificate, validity,
             text[0] ? token : "none");
    return true;
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

static bool fill(struct identity *identity, const struct credential_files *files, bool no_auth,
                 const struct material *material, struct problem *problem)
{
    if (!no_auth && !token_parse(files->token.bytes, files->token.length, &identity->token))
        return problem_set(problem, "%s: a token is %d lowercase hex characters, and at most one newline; %s",
                           files->token.path, TOKEN_BYTES, files_cure(files));
    identity->context = make_context(material, no_auth, problem);
    return identity->context && (describe(identity, material) || problem_memory(problem));
}

struct identity *identity_load(const struct credential_files *files, bool no_auth, struct problem *problem)
{
    if (!files_check(files, problem))
        return NULL;
    struct material material = {0};
    struct identity *identity = calloc(1, sizeof *identity);
    bool ok = identity ? material_load(files, MATERIAL_FOR_SERVER, &material, problem) : problem_memory(problem);
    if (identity)
        atomic_init(&identity->references, 1);
    if (ok)
        ok = fill(identity, files, no_auth, &material, problem);
    material_free(&material);
    if (!ok) {
        identity_release(identity);
        return NULL;
    }
    return identity;
}

void identity_take(struct identity *identity)
{
    /* relaxed: whoever takes it holds it already, or found it under RCU. */
    atomic_fetch_add_explicit(&identity->references, 1, memory_order_relaxed);
}

void identity_release(struct identity *identity)
{
    /* release and acquire: what any holder did with it is over before the last one frees it. */
    if (!identity || atomic_fetch_sub_explicit(&identity->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(identity->context);
    OPENSSL_cleanse(&identity->token, sizeof identity->token);
    free(identity);
}
