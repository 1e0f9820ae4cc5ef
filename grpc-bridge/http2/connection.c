/* http2/connection.c: the socket's side: when to read and write, and for how long.  SPDX-License-Identifier: Apache-2.0 */
#include "http2/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READS_PER_TURN = 16,
    PONG_MS = 5000,   /* how long a drain waits for the answer to its PING */
    LINGER_MS = 1000, /* how long the last words may take */
    PING_BYTES = 8,
    FRAME_MAX = 9 + 16384 + 256,
    FULL_BYTES = WORKER_IO_BYTES - FRAME_MAX /* with more in it, a buffer may have no room for another frame */
};

static const uint8_t drain_ping[PING_BYTES] = "draining"; /* without its NUL */
static const uint8_t life_ping[PING_BYTES] = "alive?";

static const struct limits *limits_of(const struct connection *connection)
{
    return &connection->worker->bridge->limits;
}

static struct counters *counters_of(const struct connection *connection)
{
    return &connection->worker->counters;
}

static int64_t clock_of(const struct connection *connection)
{
    return connection->worker->now_ms;
}

struct connection *connection_of_link(struct list *link)
{
    return LIST_MEMBER(link, struct connection, link);
}

struct connection *connection_of_touched(struct list *link)
{
    return LIST_MEMBER(link, struct connection, touched);
}

void connection_touch(struct connection *connection)
{
    if (list_empty(&connection->touched))
        list_append(&connection->worker->touched, &connection->touched);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void close_calls(struct connection *connection)
{
    while (!list_empty(&connection->calls))
        call_close(LIST_MEMBER(connection->calls.next, struct call, link));
}

static void drop_output(struct connection *connection)
{
    free(connection->output);
    connection->output = NULL;
    connection->output_at = connection->output_length = 0;
}

static void handshake_over(struct connection *connection)
{
    connection->worker->handshakes -= connection->handshaking;
    connection->handshaking = false;
}

void connection_close(struct connection *connection)
{
    close_calls(connection);
    handshake_over(connection);
    list_remove(&connection->hand);
    nghttp2_session_del(connection->session); /* closes no stream: done above */
    channel_free(connection->channel);
    drop_output(connection);
    list_remove(&connection->link);
    list_remove(&connection->touched);
    close(connection->fd); /* also takes it out of the epoll set */
    COUNT(counters_of(connection), connections, -1);
    free(connection);
}

void connection_end(struct connection *connection)
{
    connection_touch(connection);
    if (connection->closing)
        return;
    connection->closing = true;
    connection->phase_ms = clock_of(connection);
}

void connection_blame(struct connection *connection, const char *reason)
{
    if (connection->closing)
        return;
    COUNT(counters_of(connection), abuse_closed, 1);
    worker_notice(connection->worker, NOTICE_BLAMED, "closing the connection of %s: %s", connection->peer, reason);
    connection_end(connection);
}

void connection_abuse(struct connection *connection, const char *name)
{
    if (connection->closing)
        return;
    /* For want of memory it ends without a word. */
    (void)nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(connection->session),
                                NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)name, strlen(name));
    connection_blame(connection, name);
}

/* False: the connection was closed. */
static bool watch(struct connection *connection, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = connection};
    if (connection->interest == interest)
        return true;
    if (epoll_ctl(connection->worker->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) != 0) {
        connection_close(connection);
        return false;
    }
    connection->interest = interest;
    return true;
}

/* All is said: stop writing, but read on for a while (grpc-wire 1.5). */
static void linger(struct connection *connection)
{
    close_calls(connection);
    nghttp2_session_del(connection->session);
    connection->session = NULL;
    channel_shutdown(connection->channel);
    shutdown(connection->fd, SHUT_WR);
    list_remove(&connection->touched);
    connection->phase = PHASE_LINGER;
    connection->phase_ms = clock_of(connection);
    watch(connection, EPOLLIN);
}

static void read_and_drop(struct connection *connection)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t got = recv(connection->fd, connection->worker->io, WORKER_IO_BYTES, MSG_DONTWAIT);
        if (got > 0 || (got < 0 && errno == EINTR))
            continue;
        if (got == 0 || errno != EAGAIN)
            connection_close(connection);
        return;
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

enum flushed {
    FLUSHED,       /* nothing is left */
    FLUSH_MORE,    /* enough for this turn */
    FLUSH_BLOCKED, /* the socket takes no more */
    FLUSH_FAILED
};

/* Frames, until there are no more or the buffer has no room for another; false: out of memory, or they are too many for
 * nghttp2. */
static bool gather(struct connection *connection, size_t *length)
{
    const uint8_t *frame;
    ssize_t got = 0;
    uint8_t *io = connection->worker->io;
    for (*length = 0; *length <= FULL_BYTES; *length += (size_t)got) {
        got = nghttp2_session_mem_send(connection->session, &frame);
        if (got <= 0 || got > FRAME_MAX)
            return got == 0;
        memcpy(io + *length, frame, (size_t)got);
    }
    return true;
}

/* How many went out; the rest is for later. */
static enum flushed write_bytes(struct connection *connection, const uint8_t *bytes, size_t length, size_t *out)
{
    enum channel_result result = CHANNEL_OK;
    for (*out = 0; *out < length && result == CHANNEL_OK;) {
        size_t written = 0;
        result = channel_write(connection->channel, bytes + *out, length - *out, &written);
        *out += written;
        COUNT(counters_of(connection), bytes_sent, written);
    }
    if (*out == length)
        return FLUSHED;
    return result == CHANNEL_WANT_WRITE || result == CHANNEL_WANT_READ ? FLUSH_BLOCKED : FLUSH_FAILED;
}

static enum flushed write_kept(struct connection *connection)
{
    if (!connection->output)
        return FLUSHED;
    size_t out;
    enum flushed result = write_bytes(connection, connection->output + connection->output_at,
                                      connection->output_length - connection->output_at, &out);
    connection->output_at += out;
    if (result == FLUSHED)
        drop_output(connection);
    return result;
}

static bool keep(struct connection *connection, const uint8_t *bytes, size_t length)
{
    connection->output = malloc(length);
    if (!connection->output)
        return false;
    memcpy(connection->output, bytes, length);
    connection->output_length = length;
    return true;
}

static enum flushed write_once(struct connection *connection, size_t *made)
{
    size_t out;
    if (!gather(connection, made))
        return FLUSH_FAILED;
    enum flushed result = write_bytes(connection, connection->worker->io, *made, &out);
    if (result == FLUSH_BLOCKED && !keep(connection, connection->worker->io + out, *made - out))
        return FLUSH_FAILED;
    return result;
}

/* Output is only made when the socket took the last, so nothing piles up here. */
static enum flushed write_out(struct connection *connection)
{
    size_t high_water = (size_t)LIMIT(limits_of(connection), output_high_water), made = FULL_BYTES + 1;
    enum flushed result = write_kept(connection);
    for (size_t total = 0; result == FLUSHED && made > FULL_BYTES; total += made) {
        if (total >= high_water)
            return FLUSH_MORE;
        result = write_once(connection, &made);
    }
    return result;
}

static bool is_through(const struct connection *connection)
{
    return connection->closing || (!nghttp2_session_want_read(connection->session) &&
                                   !nghttp2_session_want_write(connection->session));
}

static void write_turn(struct connection *connection)
{
    switch (write_out(connection)) {
    case FLUSH_FAILED: connection_close(connection); return;
    case FLUSH_MORE: connection_touch(connection); return;
    case FLUSH_BLOCKED: watch(connection, (connection->closing ? 0 : EPOLLIN) | EPOLLOUT); return;
    case FLUSHED: break;
    }
    if (is_through(connection))
        linger(connection);
    else
        watch(connection, EPOLLIN);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* False: the connection was closed. */
static bool read_in(struct connection *connection)
{
    connection->unread = false;
    for (int i = 0; i < READS_PER_TURN && !connection->closing; i++) {
        size_t got = 0;
        enum channel_result result = channel_read(connection->channel, connection->worker->io, WORKER_IO_BYTES, &got);
        if (result == CHANNEL_WANT_READ || result == CHANNEL_WANT_WRITE)
            return true;
        if (result != CHANNEL_OK) {
            connection_close(connection);
            return false;
        }
        COUNT(counters_of(connection), bytes_received, got);
        connection->read_ms = clock_of(connection);
        connection->pinged = false;
        session_feed(connection, connection->worker->io, got);
    }
    connection->unread = true; /* maybe; bytes that TLS holds would wake nobody */
    connection_touch(connection);
    return true;
}

void connection_flush(struct connection *connection)
{
    list_remove(&connection->touched);
    if (connection->phase == PHASE_HANDSHAKE || connection->phase == PHASE_LINGER)
        return;
    if (!connection->unread || connection->closing || read_in(connection))
        write_turn(connection);
}

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

static void begin_session(struct connection *connection)
{
    handshake_over(connection);
    connection->phase = PHASE_PREFACE;
    connection->phase_ms = connection->read_ms = connection->idle_ms = clock_of(connection);
    if (!session_open(connection)) {
        connection_close(connection);
        return;
    }
    connection_touch(connection);
    if (watch(connection, EPOLLIN))
        read_in(connection); /* the first frames often come in the same flight */
}

/* The alert says why, and must not be lost. */
static void fail_handshake(struct connection *connection)
{
    COUNT(counters_of(connection), handshake_failures, 1);
    worker_notice(connection->worker, NOTICE_HANDSHAKE, "the TLS handshake with %s failed: %s", connection->peer,
                  channel_reason(connection->channel));
    handshake_over(connection);
    linger(connection);
}

static void shake_hands(struct connection *connection)
{
    switch (channel_handshake(connection->channel)) {
    case CHANNEL_OK: begin_session(connection); return;
    case CHANNEL_WANT_READ: watch(connection, EPOLLIN); return;
    case CHANNEL_WANT_WRITE: watch(connection, EPOLLOUT); return;
    case CHANNEL_CLOSED: /* maybe somebody who only looked whether we listen */
        COUNT(counters_of(connection), handshake_failures, 1);
        connection_close(connection);
        return;
    case CHANNEL_FAILED: fail_handshake(connection); return;
    }
}

static void begin_handshake(struct connection *connection)
{
    connection->handshaking = true;
    connection->worker->handshakes++;
    connection->phase_ms = clock_of(connection);
    shake_hands(connection);
}

static bool has_free_hands(const struct worker *worker)
{
    return worker->handshakes < (unsigned)LIMIT(&worker->bridge->limits, max_handshakes);
}

static bool is_waiting(const struct connection *connection) { return !list_empty(&connection->hand); }

/* It has said something.  Not sooner: those who connect and are silent must not keep others from their handshakes. */
static void want_handshake(struct connection *connection)
{
    if (has_free_hands(connection->worker) && list_empty(&connection->worker->waiting))
        begin_handshake(connection);
    else if (watch(connection, 0))
        list_append(&connection->worker->waiting, &connection->hand);
}

void connections_begin_handshakes(struct worker *worker)
{
    while (!list_empty(&worker->waiting) && has_free_hands(worker)) {
        struct connection *connection = LIST_MEMBER(worker->waiting.next, struct connection, hand);
        list_remove(&connection->hand);
        if (watch(connection, EPOLLIN))
            begin_handshake(connection);
    }
}

static void ready_for_handshake(struct connection *connection, uint32_t events)
{
    if (connection->handshaking)
        shake_hands(connection);
    else if (!is_waiting(connection))
        want_handshake(connection);
    else if (events & (EPOLLERR | EPOLLHUP))
        connection_close(connection);
}

void connection_ready(struct connection *connection, uint32_t events)
{
    switch (connection->phase) {
    case PHASE_HANDSHAKE: ready_for_handshake(connection, events); return;
    case PHASE_LINGER: read_and_drop(connection); return;
    case PHASE_PREFACE:
    case PHASE_OPEN: break;
    }
    if (connection->output)
        connection_touch(connection);
    if (connection->closing && events & (EPOLLERR | EPOLLHUP))
        connection_close(connection);
    else if (!connection->closing && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        read_in(connection);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

void connection_drain(struct connection *connection, const char *reason)
{
    if (connection->phase == PHASE_HANDSHAKE) {
        connection_close(connection);
        return;
    }
    if (connection->phase == PHASE_LINGER || connection->closing || connection->drain != DRAIN_NONE)
        return;
    connection->drain = DRAIN_NOTICED;
    connection->drain_ms = clock_of(connection);
    connection->drain_reason = reason;
    if (nghttp2_submit_shutdown_notice(connection->session) != 0)
        connection_end(connection);
    connection_touch(connection);
}

/* What the client sent before it saw the first GOAWAY is here: take no more, and end what would never end. */
static void drain_finally(struct connection *connection)
{
    const char *reason = connection->drain_reason;
    connection->drain = DRAIN_FINAL;
    if (nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(connection->session), NGHTTP2_NO_ERROR,
                              (const uint8_t *)reason, strlen(reason)) != 0)
        connection_end(connection);
    for (struct list *link = connection->calls.next; link != &connection->calls; link = link->next)
        call_end_for_drain(LIST_MEMBER(link, struct call, link));
    connection_touch(connection);
}

/* Only now: a PING overtakes all else that is queued, and its answer would not prove that the GOAWAY was read. */
void connection_goaway_sent(struct connection *connection)
{
    if (connection->drain == DRAIN_NOTICED &&
        nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, drain_ping) != 0)
        connection_end(connection);
}

void connection_pong(struct connection *connection, const uint8_t payload[PING_BYTES])
{
    if (connection->drain == DRAIN_NOTICED && memcmp(payload, drain_ping, PING_BYTES) == 0)
        drain_finally(connection);
}

/* False: the connection was closed. */
static bool tick_drain(struct connection *connection)
{
    int64_t spent = clock_of(connection) - connection->drain_ms, bound = LIMIT(limits_of(connection), drain_timeout);
    if (connection->drain == DRAIN_NOTICED && spent >= (bound / 2 < PONG_MS ? bound / 2 : PONG_MS))
        drain_finally(connection);
    if (connection->drain == DRAIN_NONE || spent < bound)
        return true;
    connection_close(connection);
    return false;
}

/* It may be us who are late, stopped for a while or with much to do: what it answered waits to be read. */
static bool has_unread_bytes(const struct connection *connection)
{
    char byte;
    return recv(connection->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* False: the peer gave no sign of life, and the connection was closed. */
static bool tick_keepalive(struct connection *connection)
{
    int64_t now = clock_of(connection);
    bool late = connection->pinged && now - connection->ping_ms >= LIMIT(limits_of(connection), keepalive_timeout);
    if (late && !has_unread_bytes(connection)) {
        COUNT(counters_of(connection), dead_peers, 1);
        worker_notice(connection->worker, NOTICE_DEAD, "closing the connection of %s: it answers no ping",
                      connection->peer);
        connection_close(connection);
        return false;
    }
    if (connection->pinged || now - connection->read_ms < LIMIT(limits_of(connection), keepalive_time))
        return true;
    connection->pinged = true;
    connection->ping_ms = now;
    if (nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, life_ping) != 0)
        connection_end(connection);
    connection_touch(connection);
    return true;
}

/* Between one half and nine tenths of the time that is theirs, each at another moment, so that not all come back at once. */
static bool credentials_are_over(const struct connection *connection)
{
    const struct credentials *credentials = connection->worker->bridge->credentials;
    uint64_t generation = channel_generation(connection->channel);
    if (generation == credentials_generation(credentials))
        return false;
    int64_t bound = LIMIT(limits_of(connection), credential_drain);
    int64_t own = bound / 2 + (int64_t)((uintptr_t)connection / 64 % 1024) * (bound * 4 / 10) / 1024;
    return clock_of(connection) - credentials_replaced_ms(credentials, generation) >= own;
}

static void tick_calls(struct connection *connection)
{
    for (struct list *link = connection->calls.next; link != &connection->calls; link = link->next)
        call_tick(LIST_MEMBER(link, struct call, link), clock_of(connection));
}

static void tick_open(struct connection *connection)
{
    tick_calls(connection);
    if (!tick_keepalive(connection) || !tick_drain(connection))
        return;
    if (credentials_are_over(connection))
        connection_drain(connection, "max_age");
    else if (list_empty(&connection->calls) &&
             clock_of(connection) - connection->idle_ms >= LIMIT(limits_of(connection), idle_timeout))
        connection_drain(connection, "max_idle");
}

static void time_out(struct connection *connection)
{
    COUNT(counters_of(connection), handshake_timeouts, 1);
    connection_close(connection);
}

void connection_tick(struct connection *connection)
{
    int64_t spent = clock_of(connection) - connection->phase_ms;
    if (connection->closing || connection->phase == PHASE_LINGER) {
        if (spent >= LINGER_MS)
            connection_close(connection);
    } else if (connection->phase == PHASE_HANDSHAKE) {
        if (!is_waiting(connection) && spent >= LIMIT(limits_of(connection), handshake_timeout))
            time_out(connection);
    } else if (connection->phase == PHASE_PREFACE && spent >= LIMIT(limits_of(connection), preface_timeout)) {
        time_out(connection);
    } else {
        tick_open(connection);
    }
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)peer)->sin_addr.s_addr) >> 24 == 127;
    if (peer->ss_family != AF_INET6)
        return false;
    const struct in6_addr *address = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(address) || (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

static void write_peer(struct connection *connection, const struct sockaddr_storage *peer)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE], port[8];
    if (getnameinfo((const struct sockaddr *)peer, sizeof *peer, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        strcpy(connection->peer, "unknown");
    else
        snprintf(connection->peer, sizeof connection->peer, peer->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                 port);
}

static bool set_socket(const struct connection *connection, int fd)
{
    int flags = fcntl(fd, F_GETFL), on = 1;
    unsigned patience = (unsigned)LIMIT(limits_of(connection), keepalive_timeout);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return false;
    /* Only tests bring sockets that are not TCP. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    return true;
}

static struct connection *make(struct worker *worker, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    *connection = (struct connection){.worker = worker, .fd = fd, .interest = EPOLLIN, .phase_ms = worker->now_ms};
    list_init(&connection->link);
    list_init(&connection->touched);
    list_init(&connection->hand);
    list_init(&connection->calls);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    connection->channel = channel_accept(worker->bridge->credentials, fd);
    if (connection->channel && set_socket(connection, fd) &&
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return connection;
    channel_free(connection->channel);
    free(connection);
    return NULL;
}

void connection_open(struct worker *worker, int fd, const struct sockaddr_storage *peer)
{
    struct connection *connection = make(worker, fd);
    if (!connection) {
        worker_notice(worker, NOTICE_ACCEPT, "cannot take a connection: out of memory, or of room in epoll");
        COUNT(&worker->counters, connections_refused, 1);
        close(fd);
        return;
    }
    connection->local = is_loopback(peer);
    write_peer(connection, peer);
    list_append(&worker->connections, &connection->link);
    COUNT(&worker->counters, connections_accepted, 1);
    COUNT(&worker->counters, connections, 1);
}
