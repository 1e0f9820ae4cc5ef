/* far.c: see far.h.  SPDX-License-Identifier: Apache-2.0 */
#include "far.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char lines[256 * 1024], copy[sizeof lines];
static size_t length;

static void note(void *context, cfgs_remote_severity severity, const char *line)
{
    (void)context;
    REQUIRE(strchr(line, '\n') == NULL, "a line of the log has two");
    pthread_mutex_lock(&lock);
    int added = snprintf(lines + length, sizeof lines - length, "%d %s\n", (int)severity, line);
    REQUIRE(added > 0 && (size_t)added < sizeof lines - length, "too much is logged");
    length += (size_t)added;
    pthread_mutex_unlock(&lock);
}

const char *far_log(void)
{
    pthread_mutex_lock(&lock);
    memcpy(copy, lines, length + 1);
    pthread_mutex_unlock(&lock);
    return copy;
}

unsigned far_log_count(const char *text)
{
    unsigned count = 0;
    for (const char *at = far_log(); (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

void far_log_clear(void)
{
    pthread_mutex_lock(&lock);
    length = 0;
    lines[0] = '\0';
    pthread_mutex_unlock(&lock);
}

cfgs_remote_options far_options(const struct bridge_process *bridge)
{
    static char address[32];
    snprintf(address, sizeof address, "localhost:%u", bridge->port);
    return (cfgs_remote_options){.address = address, .cert_file = bridge->certificate, .token_file = bridge->token_file,
                                 .flavor = "far", .display_name = "Far away", .backoff_min_ms = 20, .backoff_max_ms = 100,
                                 .log = note};
}

void far_open(struct far *far, const cfgs_remote_options *options)
{
    cfgs_error_detail detail = {0};
    cfgs_remote_options with_detail = *options;
    with_detail.detail = &detail;
    int error = cfgs_remote_open(&with_detail, &far->remote);
    REQUIRE(error == CFGS_OK, "cfgs_remote_open: %s (%d): %s", cfgs_strerror(error), error, detail.message);
    OK(cfgs_remote_reader(far->remote, &far->reader));
}

void far_close(struct far *far)
{
    cfgs_reader_close(far->reader);
    cfgs_remote_close(far->remote);
    *far = (struct far){0};
}

cfgs_remote_info far_info(const struct far *far)
{
    cfgs_remote_info info;
    OK(cfgs_remote_status(far->remote, &info, sizeof info));
    return info;
}

void far_expect_failure(const cfgs_remote_options *options, int code, const char *words)
{
    cfgs_error_detail detail = {0};
    cfgs_remote_options with_detail = *options;
    cfgs_remote *remote = NULL;
    with_detail.detail = &detail;
    int error = cfgs_remote_open(&with_detail, &remote);
    REQUIRE(error == code, "%s (%d) in place of %d: %s", cfgs_strerror(error), error, code, detail.message);
    REQUIRE(detail.code == code && strstr(detail.message, words) != NULL, "'%s' does not say '%s'", detail.message, words);
    REQUIRE(remote == NULL, "a handle came out of a failure");
}

bool far_has(const struct far *far, const char *key, const char *text)
{
    char found[64];
    size_t found_length;
    int error = cfgs_get_string(far->reader, key, found, sizeof found, &found_length);
    if (error == CFGS_ERR_NOT_FOUND || error == CFGS_ERR_NOT_READY)
        return text == NULL && error == CFGS_ERR_NOT_FOUND;
    OK(error);
    return text != NULL && strcmp(found, text) == 0;
}
