/**
 * @file tls/certificate.h  A certificate that is CA, server and client at once, as the existing agents make it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

#include "base/problem.h"

#include <stddef.h>

/** The combined file's content: for localhost and for these host names and addresses, which may repeat it.
 *  *pem is the caller's: OPENSSL_clear_free(). */
bool certificate_make(const char *const *names, unsigned name_count, char **pem, size_t *length,
                      struct problem *problem);

#endif
