/* registry/check.c  SPDX-License-Identifier: Apache-2.0 */
#include "registry/check.h"

#include "base/printable.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_BYTES = 256 };

static bool refuse(char *reason, const char *field, const char *why)
{
    snprintf(reason, REASON_BYTES, "%s: %s", field, why);
    return false;
}

static bool check_text(const char *field, const char *text, char *reason)
{
    size_t left = strlen(text), length = 0;
    if (left > REGISTRY_TEXT_MAX_BYTES)
        return refuse(reason, field, "must not have more than 256 bytes");
    for (; left; text += length, left -= length)
        if (!(length = printable_length((const unsigned char *)text, left)))
            return refuse(reason, field, "must be UTF-8 without control characters");
    return true;
}

static bool is_blank(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return !*text;
}

/* Decimal, at most 32 bits; *end is left behind it. */
static bool is_number(const char *text, const char **end)
{
    uint64_t number = 0;
    const char *p = text;
    while (isdigit((unsigned char)*p) && number <= UINT32_MAX)
        number = number * 10 + (uint64_t)(*p++ - '0');
    *end = p;
    return p > text && number <= UINT32_MAX;
}

static bool is_vsock(const char *address)
{
    const char *p;
    return is_number(address, &p) && *p == ':' && is_number(p + 1, &p) && !*p;
}

/* It is never dialled, but stands in lists for people and for those who will. */
static bool check_uri(const char *uri, char *reason)
{
    static const char FIELD[] = "api_endpoint_uri";
    if (is_blank(uri))
        return refuse(reason, FIELD, "must not be empty: host:port, https://..., unix://... or vsock://cid:port");
    const char *colon = strstr(uri, "://");
    if (!colon)
        return true;
    size_t scheme = (size_t)(colon - uri);
    if (!colon[3])
        return refuse(reason, FIELD, "has a scheme and nothing after it");
    if (scheme == 5 && strncmp(uri, "vsock", 5) == 0)
        return is_vsock(colon + 3) || refuse(reason, FIELD, "must be vsock://cid:port, two numbers of 32 bits");
    if ((scheme == 5 && strncmp(uri, "https", 5) == 0) || (scheme == 4 && strncmp(uri, "unix", 4) == 0))
        return true;
    return refuse(reason, FIELD, "its scheme must be https, unix or vsock, or there must be none");
}

bool registration_check(const struct registration *registration, char reason[REASON_BYTES])
{
    if (!check_text("pid", registration->pid, reason) || !check_text("flavor", registration->flavor, reason) ||
        !check_text("display_name", registration->display_name, reason) ||
        !check_text("api_endpoint_uri", registration->api_endpoint_uri, reason))
        return false;
    if (is_blank(registration->display_name))
        return refuse(reason, "display_name", "must not be blank");
    if (registration->service_count > REGISTRY_SERVICES_MAX)
        return refuse(reason, "services", "must not be more than 64");
    return check_uri(registration->api_endpoint_uri, reason);
}
