/* cli/say.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/say.h"

#include "base/printable.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *name = "configstream";
static enum log_level least = LOG_INFO;

void say_as(const char *program)
{
    name = program;
}

void say_from(enum log_level level)
{
    least = level;
}

void print_plain(FILE *to, const char *text, size_t length, const char *kept)
{
    for (size_t at = 0; at < length;) {
        const unsigned char *c = (const unsigned char *)text + at;
        size_t size = *c && strchr(kept, *c) ? 1 : printable_length(c, length - at);
        if (size)
            fwrite(c, 1, size, to);
        else
            fprintf(to, "\\x%02x", *c);
        at += size ? size : 1;
    }
}

static void __attribute__((format(printf, 2, 0))) say(enum log_level level, const char *format, va_list arguments)
{
    char *message;
    if (level < least)
        return;
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    const char *text = message ? message : "out of memory";
    fprintf(stderr, "%s: ", name);
    print_plain(stderr, text, strlen(text), "");
    fputc('\n', stderr);
    free(message);
}

void cli_say(enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(level, format, arguments);
    va_end(arguments);
}

void cli_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(LOG_ERROR, format, arguments);
    va_end(arguments);
}

bool is_terminal(FILE *stream)
{
    const char *kind = getenv("TERM");
    return isatty(fileno(stream)) && !(kind && strcmp(kind, "dumb") == 0);
}
