/**
 * @file tls/create.h  Making the certificate and the token that are missing.  SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_CREATE_H
#define TLS_CREATE_H

#include "tls/credentials.h"

/**
 * Make what is missing of the combined certificate and the token; separate files are somebody else's to make.
 *
 * A file appears whole, mode 0600, or not at all, also when we are killed.  Of several that make one at once the first
 * wins, and the others use what it made.
 */
bool credentials_create(const struct credentials_options *options, struct problem *problem);

#endif
