/* tls/context.c: grpc-wire 2.  SPDX-License-Identifier: Apache-2.0 */
#include "tls/context.h"

enum { CHAIN_DEPTH_MAX = 4 };

/*
 * No renegotiation, compression, early data or resumption: a resumed session would skip the look at the certificate,
 * and tickets cost every client bytes.  RFC 9113 bans what is not ECDHE with an AEAD; finite-field groups are left out
 * since they let a client make us work.  A peer that leaves without close_notify just left.
 */
static bool set_protocol(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1;
}

static bool set_certificate(SSL_CTX *context, const struct material *material)
{
    if (SSL_CTX_use_certificate(context, sk_X509_value(material->chain, 0)) != 1 ||
        SSL_CTX_use_PrivateKey(context, material->key) != 1)
        return false;
    for (int i = 1; i < sk_X509_num(material->chain); i++)
        if (SSL_CTX_add1_chain_cert(context, sk_X509_value(material->chain, i)) != 1)
            return false;
    return true;
}

bool context_prepare(SSL_CTX *context, const struct material *material)
{
    return set_protocol(context) && set_certificate(context, material);
}

/* A certificate in the file is trusted as it stands, also one that another CA signed: Go's clients see it so, too. */
bool context_trust(SSL_CTX *context, const struct material *material)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    for (int i = 0; i < sk_X509_num(material->trusted); i++)
        if (X509_STORE_add_cert(store, sk_X509_value(material->trusted, i)) != 1)
            return false;
    SSL_CTX_set_verify_depth(context, CHAIN_DEPTH_MAX);
    return X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
}
