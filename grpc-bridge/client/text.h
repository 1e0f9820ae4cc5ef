/**
 * @file client/text.h  Texts of a peer, made fit for a log line.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H

#include <stddef.h>

/** The value of a hexadecimal digit, -1 of anything else. */
int text_hex(char c);

/** A grpc-message: percent-decoded as far as it can be, all that is not printable UTF-8 becomes '?'; cut at a character
 *  where there is no more room.  NUL-terminated. */
void text_of_message(const char *encoded, size_t length, char *to, size_t size);

/** Cut every occurrence of a secret in a text down to its first `kept` characters and "..."; also of the secret's
 *  beginning at the end of the text, which may have been cut there. */
void text_hide(char *text, const char *secret, size_t kept);

#endif
