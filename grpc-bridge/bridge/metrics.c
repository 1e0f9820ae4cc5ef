/* bridge/metrics.c: the HTTP side.  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/metrics.h"

#include "bridge/listen.h"
#include "bridge/metrics_text.h"

#include <configstream/configstream.h>
#include <microhttpd.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 32, PATIENCE_S = 10, CONNECTION_BYTES = 16 * 1024 };

struct metrics {
    struct bridge *bridge;
    struct MHD_Daemon *daemon;
    cfgs_reader *reader; /* the daemon's one thread's; NULL until the arena could be opened */
    char name[LISTEN_NAME_BYTES];
};

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* Takes over the text, which malloc() gave. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text, size_t length)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    enum MHD_Result result =
        MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_words(struct MHD_Connection *connection, unsigned status, const char *words)
{
    char *text = NULL;
    int length = asprintf(&text, "%s\n", words);
    return length < 0 ? MHD_NO : answer(connection, status, text, (size_t)length);
}

static bool look(struct metrics *metrics, cfgs_reader_info *info)
{
    if (!metrics->reader && cfgs_reader_open(&metrics->bridge->arena, &metrics->reader) != CFGS_OK)
        metrics->reader = NULL;
    return metrics->reader && cfgs_reader_status(metrics->reader, info, sizeof *info) == CFGS_OK;
}

static enum MHD_Result answer_metrics(struct metrics *metrics, struct MHD_Connection *connection)
{
    cfgs_reader_info info;
    struct buffer text = {0};
    bool seen = look(metrics, &info);
    if (metrics_text(metrics->bridge, seen ? &info : NULL, &text))
        return answer(connection, MHD_HTTP_OK, text.data, text.length);
    free(text.data);
    return answer_words(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
}

static enum MHD_Result answer_health(struct metrics *metrics, struct MHD_Connection *connection)
{
    cfgs_reader_info info;
    char words[64];
    /* relaxed: a look a moment early does no harm. */
    if (atomic_load_explicit(&metrics->bridge->draining, memory_order_relaxed))
        return answer_words(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "draining");
    if (!look(metrics, &info))
        return answer_words(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the arena cannot be read");
    snprintf(words, sizeof words, "producer %s", cfgs_producer_state_name(info.state));
    return answer_words(connection, info.state == CFGS_PRODUCER_RUNNING ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                        words);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_length, void **request)
{
    struct metrics *metrics = context;
    (void)version, (void)upload, (void)request;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        if (*upload_length)
            return MHD_NO;
        return answer_words(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
    }
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(metrics, connection);
    if (strcmp(path, "/healthz") == 0)
        return answer_health(metrics, connection);
    return answer_words(connection, MHD_HTTP_NOT_FOUND, "there are /metrics and /healthz");
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int listen_on(struct metrics *metrics, const char *where, struct problem *problem)
{
    struct listen_addresses addresses = {0};
    int *fds = NULL;
    if (!listen_resolve(&addresses, "--metrics", where, problem))
        return -1;
    addresses.count = 1;
    if (!listen_open(&addresses, "--metrics", 1, &fds, problem))
        return -1;
    int fd = fds[0];
    free(fds);
    listen_name(&addresses.all[0], metrics->name);
    return fd;
}

/* Not with epoll: by that libmicrohttpd 0.9.75 misses the end of a peer that hung up amid a request, until it times out. */
static struct MHD_Daemon *start(struct metrics *metrics, int fd)
{
    return MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, handle, metrics, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)PATIENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                            MHD_OPTION_END);
}

struct metrics *metrics_open(struct bridge *bridge, const char *where, struct problem *problem)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics) {
        problem_memory(problem);
        return NULL;
    }
    metrics->bridge = bridge;
    int fd = listen_on(metrics, where, problem);
    if (fd >= 0) {
        metrics->daemon = start(metrics, fd);
        if (metrics->daemon)
            return metrics;
        problem_set(problem, "cannot serve metrics on %s: %s; --metrics off goes without", metrics->name,
                    strerror(errno));
        close(fd);
    }
    free(metrics);
    return NULL;
}

void metrics_close(struct metrics *metrics)
{
    if (!metrics)
        return;
    MHD_stop_daemon(metrics->daemon); /* closes the socket and ends the thread */
    cfgs_reader_close(metrics->reader);
    free(metrics);
}

const char *metrics_name(const struct metrics *metrics)
{
    return metrics->name;
}
