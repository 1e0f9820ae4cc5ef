/* http2/request.c: grpc-wire 1.1.  SPDX-License-Identifier: Apache-2.0 */
#include "http2/request.h"

#include "service/services.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void request_init(struct request *request)
{
    *request = (struct request){.timeout_ms = -1};
}

void request_forget_token(struct request *request)
{
    if (request->authorization)
        explicit_bzero(request->authorization, strlen(request->authorization));
    free(request->authorization);
    request->authorization = NULL;
}

void request_release(struct request *request)
{
    request_forget_token(request);
    free(request->session_id);
    request->session_id = NULL;
}

bool request_count(struct request *request, size_t name_length, size_t value_length, size_t bytes_max)
{
    request->header_bytes += name_length + value_length + REQUEST_FIELD_OVERHEAD;
    request->fields++;
    return request->header_bytes <= REQUEST_HARD_FACTOR * bytes_max &&
           request->fields <= REQUEST_HARD_FACTOR * REQUEST_FIELDS_MAX;
}

static void keep_first(struct request *request, char **place, const char *value, size_t length_max)
{
    if (*place)
        return;
    *place = strndup(value, length_max);
    request->memory_failed = request->memory_failed || !*place;
}

/* "application/grpc", also with "+proto" or parameters; "application/grpc-web" only begins the same. */
static bool is_grpc(const char *value)
{
    static const char type[] = "application/grpc", proto[] = "+proto";
    if (strncasecmp(value, type, sizeof type - 1) != 0)
        return false;
    value += sizeof type - 1;
    if (strncasecmp(value, proto, sizeof proto - 1) == 0)
        value += sizeof proto - 1;
    return *value == '\0' || *value == ';';
}

/* Nanoseconds in a unit; 0: there is no such unit. */
static int64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H': return INT64_C(3600000000000);
    case 'M': return INT64_C(60000000000);
    case 'S': return INT64_C(1000000000);
    case 'm': return INT64_C(1000000);
    case 'u': return INT64_C(1000);
    case 'n': return INT64_C(1);
    default: return 0;
    }
}

bool grpc_timeout_parse(const char *value, int64_t *out_ms)
{
    size_t digits = strspn(value, "0123456789");
    if (digits < 1 || digits > 8 || strlen(value) != digits + 1)
        return false;
    int64_t unit = unit_ns(value[digits]), number = 0, ns;
    if (unit == 0)
        return false;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (value[i] - '0');
    if (__builtin_mul_overflow(number, unit, &ns))
        ns = INT64_MAX;
    *out_ms = ns / 1000000 + (ns % 1000000 != 0);
    return true;
}

void request_field(struct request *request, const char *name, const char *value, size_t value_length)
{
    if (strcmp(name, ":path") == 0)
        request->method = service_find(value, value_length);
    else if (strcmp(name, ":method") == 0)
        request->posts = strcmp(value, "POST") == 0;
    else if (strcmp(name, "content-type") == 0)
        request->content_type_ok = is_grpc(value);
    else if (strcmp(name, "te") == 0)
        request->te_trailers = true; /* nghttp2 lets no other value through */
    else if (strcmp(name, "grpc-encoding") == 0)
        request->encoding_refused = strcmp(value, "identity") != 0;
    else if (strcmp(name, "grpc-timeout") == 0)
        request->timeout_bad = !grpc_timeout_parse(value, &request->timeout_ms);
    else if (strcmp(name, "authorization") == 0)
        keep_first(request, &request->authorization, value, REQUEST_AUTHORIZATION_MAX);
    else if (strcmp(name, "session_id") == 0)
        keep_first(request, &request->session_id, value, REQUEST_SESSION_MAX);
}

enum request_verdict request_judge(const struct request *request, size_t bytes_max)
{
    if (request->memory_failed)
        return REQUEST_NO_MEMORY;
    if (request->header_bytes > bytes_max || request->fields > REQUEST_FIELDS_MAX)
        return REQUEST_TOO_LARGE;
    if (!request->posts)
        return REQUEST_NOT_POST;
    if (!request->content_type_ok)
        return REQUEST_NOT_GRPC;
    if (!request->method)
        return REQUEST_UNKNOWN;
    if (request->encoding_refused)
        return REQUEST_ENCODED;
    return request->timeout_bad ? REQUEST_BAD_TIMEOUT : REQUEST_OK;
}
