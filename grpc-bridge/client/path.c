/* client/path.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/path.h"

#include "client/text.h"

#include <stddef.h>

enum { UUID_TEXT_BYTES = 36 };

/* Stops at the text's end, which is no digit. */
static bool parse_id(const char *text, uint8_t out[16])
{
    size_t digit = 0;
    for (size_t i = 0; i < UUID_TEXT_BYTES; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int value = dash ? 0 : text_hex(text[i]);
        if (value < 0 || (dash && text[i] != '-'))
            return false;
        if (dash)
            continue;
        out[digit / 2] = (uint8_t)(digit % 2 ? out[digit / 2] | value : value << 4);
        digit++;
    }
    return true;
}

bool path_parse(const char *text, struct path *out)
{
    *out = (struct path){0};
    if (!*text)
        return true;
    for (;;) {
        while (*text == ' ')
            text++;
        if (out->count == PATH_MAX_IDS || !parse_id(text, out->ids[out->count]))
            return false;
        out->count++;
        text += UUID_TEXT_BYTES;
        if (!*text)
            return true;
        if (*text++ != ',')
            return false;
    }
}

bool path_parse_base(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - (uint64_t)(*text - '0')) / 10)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return true;
}
