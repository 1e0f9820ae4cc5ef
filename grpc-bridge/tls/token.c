/* tls/token.c  SPDX-License-Identifier: Apache-2.0 */
#include "tls/token.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

static const char DIGITS[] = "0123456789abcdef";

bool token_parse(const char *text, size_t length, struct token *out)
{
    if (length == TOKEN_BYTES + 1 && text[TOKEN_BYTES] == '\n')
        length--;
    if (length != TOKEN_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!text[i] || !strchr(DIGITS, text[i]))
            return false;
    memcpy(out->text, text, length);
    out->text[length] = '\0';
    return true;
}

bool token_make(struct token *out)
{
    unsigned char random[TOKEN_BYTES / 2];
    if (RAND_priv_bytes(random, sizeof random) != 1)
        return false;
    for (size_t i = 0; i < sizeof random; i++) {
        out->text[2 * i] = DIGITS[random[i] >> 4];
        out->text[2 * i + 1] = DIGITS[random[i] & 15];
    }
    out->text[TOKEN_BYTES] = '\0';
    OPENSSL_cleanse(random, sizeof random);
    return true;
}

enum token_result token_check(const struct token *token, const char *authorization)
{
    static const char SCHEME[] = "bearer ";
    /* One client writes Bearer, another bearer (upstream-facts 2.4). */
    if (!authorization || strncasecmp(authorization, SCHEME, sizeof SCHEME - 1) != 0)
        return TOKEN_MISSING;
    const char *given = authorization + sizeof SCHEME - 1;
    /* The length is no secret, the bytes are. */
    if (strlen(given) != TOKEN_BYTES || CRYPTO_memcmp(given, token->text, TOKEN_BYTES) != 0)
        return TOKEN_WRONG;
    return TOKEN_OK;
}
