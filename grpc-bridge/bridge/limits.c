/* bridge/limits.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/limits.h"

#include <configstream/configstream.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000

const struct limit_row limit_rows[LIMIT_COUNT_OF_ALL] = {
#define LIMIT_ROW(name, kind, initial, low, high, help)                                                                \
    {#name, kind, initial, low, high, help, offsetof(struct limits, name)},
    BRIDGE_LIMITS(LIMIT_ROW)
#undef LIMIT_ROW
};

void limits_init(struct limits *limits)
{
    for (const struct limit_row *row = limit_rows; row < limit_rows + LIMIT_COUNT_OF_ALL; row++)
        limit_set(limits, row, row->initial);
}

int64_t limit_value(const struct limits *limits, const struct limit_row *row)
{
    const char *base = (const char *)limits;
    /* relaxed: see struct limits. */
    return atomic_load_explicit((const _Atomic int64_t *)(const void *)(base + row->offset), memory_order_relaxed);
}

void limit_set(struct limits *limits, const struct limit_row *row, int64_t value)
{
    char *base = (char *)limits;
    /* relaxed: see struct limits. */
    atomic_store_explicit((_Atomic int64_t *)(void *)(base + row->offset), value, memory_order_relaxed);
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

static bool parse_count(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return !errno && *text >= '0' && *text <= '9' && !*end;
}

static bool parse_size(const char *text, int64_t *out)
{
    uint64_t bytes;
    if (cfgs_size_parse(text, strlen(text), &bytes) != CFGS_OK || bytes > INT64_MAX)
        return false;
    *out = (int64_t)bytes;
    return true;
}

static bool parse_duration(const char *text, int64_t *out)
{
    int64_t ns;
    if (cfgs_duration_parse(text, strlen(text), &ns) != CFGS_OK)
        return false;
    *out = ns / NS_PER_MS;
    return true;
}

bool limit_parse(const struct limit_row *row, const char *text, int64_t *out)
{
    bool parsed = row->kind == LIMIT_COUNT ? parse_count(text, out)
                  : row->kind == LIMIT_BYTES ? parse_size(text, out)
                                             : parse_duration(text, out);
    return parsed && *out >= row->low && *out <= row->high;
}

static void print_duration(int64_t ms, char to[LIMIT_TEXT_BYTES])
{
    if (ms % 3600000 == 0 && ms)
        snprintf(to, LIMIT_TEXT_BYTES, "%" PRId64 "h", ms / 3600000);
    else if (ms % 60000 == 0 && ms)
        snprintf(to, LIMIT_TEXT_BYTES, "%" PRId64 "m", ms / 60000);
    else if (ms % 1000 == 0)
        snprintf(to, LIMIT_TEXT_BYTES, "%" PRId64 "s", ms / 1000);
    else
        snprintf(to, LIMIT_TEXT_BYTES, "%" PRId64 "ms", ms);
}

static void print_size(int64_t bytes, char to[LIMIT_TEXT_BYTES])
{
    static const char *const units[] = {"", "kb", "mb", "gb"}; /* those that cfgs_size_parse() takes */
    unsigned unit = 0;
    for (; bytes && bytes % 1024 == 0 && unit < 3; unit++)
        bytes /= 1024;
    snprintf(to, LIMIT_TEXT_BYTES, "%" PRId64 "%s", bytes, units[unit]);
}

void limit_print(enum limit_kind kind, int64_t value, char to[LIMIT_TEXT_BYTES])
{
    if (kind == LIMIT_MS)
        print_duration(value, to);
    else if (kind == LIMIT_BYTES)
        print_size(value, to);
    else
        snprintf(to, LIMIT_TEXT_BYTES, "%" PRId64, value);
}
