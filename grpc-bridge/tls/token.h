/**
 * @file tls/token.h  The bearer token: 64 lowercase hex characters.  SPDX-License-Identifier: Apache-2.0
 */
#ifndef TLS_TOKEN_H
#define TLS_TOKEN_H

#include "tls/credentials.h"

#include <stddef.h>

enum { TOKEN_BYTES = 64 };

struct token {
    char text[TOKEN_BYTES + 1];
};

/** The content of a token file; one newline at its end is let pass. */
bool token_parse(const char *text, size_t length, struct token *out);

/** From the system's random generator; false: it failed. */
bool token_make(struct token *out);

/** As credentials_check(). */
enum token_result token_check(const struct token *token, const char *authorization);

#endif
