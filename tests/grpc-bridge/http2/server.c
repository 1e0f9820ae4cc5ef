/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include "event/path.h"

#include "event/updates.h"
#include "http2/call.h"
#include "service/services.h"

#include <arpa/inet.h>
#include <configstream/encoded.h>
#include <configstream/event.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Atomic unsigned server_open_calls;

/* ---- the methods; all run in the worker's thread ----------------------------------------------------------------- */

struct follow {
    struct list link;
    struct call *call;
    size_t size;     /* of a message's body */
    uint64_t left;   /* messages, this one included */
    size_t at;       /* within the framed message */
    size_t filled;   /* body of this message, if it was filled up */
};

static struct list follows = {&follows, &follows};

static uint32_t number(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void echo(struct call *call, const uint8_t *message, size_t length)
{
    call_add_metadata(call, "test-peer", call_peer(call));
    call_add_metadata(call, "test-broken", "a\nb");
    if (call_session_id(call))
        call_add_metadata(call, "test-session", call_session_id(call));
    call_reply(call, message, length);
}

static void fail(struct call *call, const uint8_t *message, size_t length)
{
    call_fail(call, (enum grpc_status)message[0], "%.*s", (int)(length - 1), (const char *)message + 1);
}

static void follow_take(struct call *call, const uint8_t *message, size_t length)
{
    (void)length;
    struct follow *follow = calloc(1, sizeof *follow);
    follow->call = call;
    follow->size = number(message);
    follow->left = number(message + 4);
    list_init(&follow->link);
    list_append(&follows, &follow->link);
    call_set_state(call, follow);
    server_open_calls++;
    call_begin(call);
}

static uint8_t follow_byte(const struct follow *follow, size_t body)
{
    if (follow->at >= GRPC_PREFIX_BYTES)
        return 'x';
    return follow->at == 0 ? 0 : (uint8_t)(body >> 8 * (GRPC_PREFIX_BYTES - 1 - follow->at));
}

static size_t follow_pull(struct call *call, uint8_t *to, size_t room, size_t at_least)
{
    struct follow *follow = call_state(call);
    size_t wrote = 0;
    while (wrote < room && follow->left > 0) {
        if (follow->at == 0)
            follow->filled = wrote + follow->size + GRPC_PREFIX_BYTES < at_least ? at_least - wrote : follow->size;
        to[wrote++] = follow_byte(follow, follow->filled);
        if (++follow->at == follow->filled + GRPC_PREFIX_BYTES) {
            follow->at = 0;
            follow->left--;
        }
    }
    return wrote;
}

static void follow_closed(struct call *call)
{
    struct follow *follow = call_state(call);
    list_remove(&follow->link);
    free(follow);
    server_open_calls--;
}

static void feed(struct call *call, const uint8_t *message, size_t length)
{
    for (struct list *link = follows.next; link != &follows; link = link->next) {
        struct follow *follow = LIST_MEMBER(link, struct follow, link);
        follow->left += number(message);
        call_resume(follow->call);
    }
    call_reply(call, message, length);
}

static void end(struct call *call, const uint8_t *message, size_t length)
{
    for (struct list *link = follows.next; link != &follows; link = link->next) {
        struct follow *follow = LIST_MEMBER(link, struct follow, link);
        if (length)
            fail(follow->call, message, length);
        else
            call_finish(follow->call);
    }
    call_reply(call, message, length);
}

static void chat_take(struct call *call, const uint8_t *message, size_t length)
{
    if (!call_state(call)) {
        call_set_state(call, &server_open_calls);
        server_open_calls++;
    }
    call_send(call, message, length);
}

static void chat_closed(struct call *call)
{
    (void)call;
    server_open_calls--;
}

static const struct call_method methods[] = {
    {.path = "/test.S/Echo", .take = echo},
    {.path = "/test.S/Fail", .take = fail},
    {.path = "/test.S/Feed", .take = feed},
    {.path = "/test.S/End", .take = end},
    {.path = "/test.S/Follow", .take = follow_take, .pull = follow_pull, .closed = follow_closed},
    {.path = "/test.S/Chat", .interactive = true, .take = chat_take, .half_closed = call_finish, .closed = chat_closed},
    {.path = "/test.S/Open", .open_on_loopback = true, .take = echo},
};

/* ---- in place of the services ------------------------------------------------------------------------------------ */

const struct call_method *service_find(const char *path, size_t length)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strlen(methods[i].path) == length && memcmp(methods[i].path, path, length) == 0)
            return &methods[i];
    return NULL;
}

void service_stream_news(struct worker *worker)
{
    (void)worker;
}

void service_stream_tick(struct worker *worker)
{
    (void)worker;
}

void service_stream_path_changed(struct worker *worker)
{
    (void)worker;
}

bool path_write(cfgs_reader *reader, char to[WORKER_PATH_BYTES])
{
    (void)reader, (void)to;
    return false;
}

void service_health_look(struct worker *worker)
{
    (void)worker;
}

struct update_frames *update_frames_new(void)
{
    return malloc(1);
}

void update_frames_free(struct update_frames *frames)
{
    free(frames);
}

int cfgs_encoded_look(cfgs_reader *reader, cfgs_encoded_head *out)
{
    (void)out;
    cfgs_event event;
    int result = cfgs_reader_next(reader, &event, 0); /* as the real one: it makes the descriptor unreadable */
    return result == CFGS_OK ? CFGS_ERR_NOT_READY : result;
}

/* ---- the worker -------------------------------------------------------------------------------------------------- */

static int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fd, 512), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

void server_start(struct server *server, void (*set)(struct limits *limits))
{
    struct problem problem;
    memset(server, 0, sizeof *server);
    limits_init(&server->bridge.limits);
    if (set)
        set(&server->bridge.limits);
    server->bridge.log.level = LOG_OFF;
    server->bridge.arena.instance = "no-such-instance-in-http2-tests";
    server->bridge.workers = &server->worker;
    server->bridge.worker_count = 1;
    int listener = listen_on_loopback(&server->port);
    cr_assert(worker_open(&server->worker, &server->bridge, 0, &listener, 1, &problem), "%s", problem.text);
    cr_assert(worker_start(&server->worker, &problem), "%s", problem.text);
}

void server_drain(struct server *server)
{
    atomic_store(&server->bridge.draining, true);
    worker_wake(&server->worker);
}

void server_join(struct server *server)
{
    worker_join(&server->worker);
    server->joined = true;
}

void server_stop(struct server *server)
{
    if (!server->joined) {
        atomic_store(&server->bridge.limits.drain_timeout, 10);
        server_drain(server);
        server_join(server);
    }
    worker_close(&server->worker);
    cr_expect_eq(server_open_calls, 0, "each call that was dispatched was told of its end");
}

bool server_reaches(const _Atomic uint64_t *counter, uint64_t value)
{
    for (int i = 0; i < 30000 && atomic_load(counter) != value; i++)
        usleep(1000);
    return atomic_load(counter) == value;
}
