/**
 * @file tls/load.h  From the bytes of files to certificates and a key that belong together.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_LOAD_H
#define TLS_LOAD_H

#include "tls/files.h"

#include <openssl/x509.h>

/** Zeroed at first; material_free() also after a failure. */
struct material {
    STACK_OF(X509) *chain;   /* shown, our own certificate first */
    STACK_OF(X509) *trusted; /* who may have signed a peer's certificate */
    EVP_PKEY *key;
};

enum material_use {
    MATERIAL_FOR_SERVER,
    MATERIAL_FOR_CLIENT,
    MATERIAL_FOR_PINNING /* by a client: dates do not matter */
};

/** Take them from files that files_check() let pass, and see that they can do what they are for, today. */
bool material_load(const struct credential_files *files, enum material_use use, struct material *out,
                   struct problem *problem);
void material_free(struct material *material);

/** As "until 2076-11-24"; at least 32 bytes. */
void material_validity(const struct material *material, char *to, size_t size);

#endif
