/**
 * @file tls/context.h  What server and client have in common: the protocol, our certificate, and whom to trust.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "tls/load.h"

#include <openssl/ssl.h>

/** False, of both: OpenSSL's queue of errors says why.  How much a peer may show, whether it has to, and ALPN are the
 * caller's. */
bool context_prepare(SSL_CTX *context, const struct material *material);

/** Whose signatures count. */
bool context_trust(SSL_CTX *context, const struct material *material);

#endif
