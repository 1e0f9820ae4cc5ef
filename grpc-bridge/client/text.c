/* client/text.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/text.h"

#include "base/printable.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { DECODED_BYTES = 1024, HIDDEN_MIN_BYTES = 8 };

int text_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What is no valid escape stands for itself: the text is for people, and senders have been seen to forget encoding. */
static size_t decode(const char *encoded, size_t length, char *to, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < length && at < room; i++) {
        bool escape = encoded[i] == '%' && i + 2 < length && text_hex(encoded[i + 1]) >= 0 && text_hex(encoded[i + 2]) >= 0;
        to[at++] = escape ? (char)(text_hex(encoded[i + 1]) << 4 | text_hex(encoded[i + 2])) : encoded[i];
        i += escape ? 2 : 0;
    }
    return at;
}

void text_of_message(const char *encoded, size_t length, char *to, size_t size)
{
    char decoded[DECODED_BYTES];
    size_t left = decode(encoded, length, decoded, sizeof decoded), at = 0;
    for (const char *from = decoded; left > 0;) {
        size_t printable = printable_length((const unsigned char *)from, left);
        size_t taken = printable ? printable : 1;
        if (at + taken >= size)
            break;
        if (printable)
            memcpy(to + at, from, taken);
        else
            to[at] = '?';
        at += taken;
        from += taken;
        left -= taken;
    }
    to[at] = '\0';
}

/* Of a text that was cut where there was no more room. */
static void hide_beginning(char *text, const char *secret, size_t length, size_t kept)
{
    size_t all = strlen(text), most = length - 1 < all ? length - 1 : all;
    for (size_t part = most; part >= HIDDEN_MIN_BYTES && part > kept; part--)
        if (memcmp(text + all - part, secret, part) == 0) {
            snprintf(text + all - part + kept, part - kept + 1, "...");
            return;
        }
}

void text_hide(char *text, const char *secret, size_t kept)
{
    static const char DOTS[] = "...";
    size_t length = strlen(secret);
    if (length < HIDDEN_MIN_BYTES || length < kept + sizeof DOTS - 1)
        return; /* so short that it hides nothing; and the text must not grow */
    for (char *found = text; (found = strstr(found, secret)) != NULL; found += kept + sizeof DOTS - 1) {
        memcpy(found + kept, DOTS, sizeof DOTS - 1);
        memmove(found + kept + sizeof DOTS - 1, found + length, strlen(found + length) + 1);
    }
    hide_beginning(text, secret, length, kept);
}
