/* bare.c: see bare.h.  SPDX-License-Identifier: Apache-2.0 */
#include "bare.h"
#include "support/check.h"
#include "support/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, BYTES_MAX = 4096, HEAD_BYTES = 9, EVENTS = 256, BACKLOG = 1024 };

struct connection {
    int fd;
    bool secure;
    int32_t stream;
    SSL *ssl;
    nghttp2_session *session;
};

static struct connection *connections[CONNECTIONS_MAX];
static size_t connection_count;
static SSL_CTX *tls;
static nghttp2_session_callbacks *callbacks;
static nghttp2_option *option;
static int epoll;

/* ---- the server -------------------------------------------------------------------------------------------------- */

static ssize_t nothing_yet(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)to, (void)room, (void)flags, (void)source, (void)user;
    return NGHTTP2_ERR_DEFERRED;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct connection *connection = user;
    bool asks = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!asks || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    static uint8_t status[] = ":status", ok[] = "200", type[] = "content-type", grpc[] = "application/grpc";
    const nghttp2_nv headers[] = {{status, ok, 7, 3, 0}, {type, grpc, 12, 16, 0}};
    nghttp2_data_provider provider = {.read_callback = nothing_yet};
    connection->stream = frame->hd.stream_id;
    return nghttp2_submit_response(session, connection->stream, headers, 2, &provider);
}

static void flush(struct connection *connection)
{
    const uint8_t *data;
    for (ssize_t length; (length = nghttp2_session_mem_send(connection->session, &data)) > 0;)
        REQUIRE(SSL_write(connection->ssl, data, (int)length) == length, "bare server: a short write");
}

static bool handshake(struct connection *connection)
{
    int result = SSL_do_handshake(connection->ssl);
    if (result != 1) {
        REQUIRE(SSL_get_error(connection->ssl, result) == SSL_ERROR_WANT_READ, "bare server: handshake");
        return false;
    }
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000},
                                               {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    REQUIRE(nghttp2_session_server_new2(&connection->session, callbacks, connection, option) == 0, "out of memory");
    nghttp2_submit_settings(connection->session, 0, settings, 2);
    connection->secure = true;
    return true;
}

static void connection_end(struct connection *connection)
{
    SSL_free(connection->ssl);
    nghttp2_session_del(connection->session);
    close(connection->fd);
    connection->fd = -1;
}

static void connection_ready(struct connection *connection)
{
    static uint8_t buffer[16 * 1024];
    if (!connection->secure && !handshake(connection))
        return;
    int got;
    while ((got = SSL_read(connection->ssl, buffer, sizeof buffer)) > 0)
        REQUIRE(nghttp2_session_mem_recv(connection->session, buffer, (size_t)got) == got, "bare server: HTTP/2");
    if (SSL_get_error(connection->ssl, got) == SSL_ERROR_WANT_READ)
        flush(connection);
    else
        connection_end(connection);
}

static void watch(int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    REQUIRE(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll: %s", strerror(errno));
}

static void accept_all(int listener)
{
    int on = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        REQUIRE(connection_count < CONNECTIONS_MAX, "bare server: too many connections");
        struct connection *connection = need(calloc(1, sizeof *connection));
        *connection = (struct connection){.fd = fd, .ssl = need(SSL_new(tls))};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        SSL_set_fd(connection->ssl, fd);
        SSL_set_accept_state(connection->ssl);
        connections[connection_count++] = connection;
        watch(fd, connection);
    }
}

static void write_to_all(const uint8_t *bytes, size_t length)
{
    uint8_t frame[HEAD_BYTES + BYTES_MAX] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(frame + HEAD_BYTES, bytes, length);
    for (size_t i = 0; i < connection_count; i++) {
        if (connections[i]->fd < 0 || connections[i]->stream == 0)
            continue;
        uint32_t id = htonl((uint32_t)connections[i]->stream);
        memcpy(frame + 5, &id, sizeof id);
        int wrote = SSL_write(connections[i]->ssl, frame, (int)(HEAD_BYTES + length));
        REQUIRE(wrote == (int)(HEAD_BYTES + length), "bare server: a short write");
    }
}

static void control_ready(int control)
{
    static uint8_t bytes[BYTES_MAX];
    ssize_t got = recv(control, bytes, sizeof bytes, 0);
    if (got <= 0)
        exit(0);
    write_to_all(bytes, (size_t)got);
}

static void tls_open(const char *certificate)
{
    tls = SSL_CTX_new(TLS_server_method());
    REQUIRE(tls != NULL && SSL_CTX_use_certificate_chain_file(tls, certificate) == 1 &&
                SSL_CTX_use_PrivateKey_file(tls, certificate, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_load_verify_locations(tls, certificate, NULL) == 1,
            "bare server: %s", certificate);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_num_tickets(tls, 0);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
}

static void http2_open(void)
{
    REQUIRE(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0, "out of memory");
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
}

int bare_main(char **arguments)
{
    int control = atoi(arguments[0]), listener = atoi(arguments[1]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors(CONNECTIONS_MAX);
    tls_open(arguments[2]);
    http2_open();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(listener, &listener);
    watch(control, &control);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &listener)
                accept_all(listener);
            else if (events[i].data.ptr == &control)
                control_ready(control);
            else
                connection_ready(events[i].data.ptr);
        }
    }
}

/* ---- the test's side --------------------------------------------------------------------------------------------- */

static int listen_on(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, BACKLOG) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0,
            "bare server: %s", strerror(errno));
    *port = ntohs(address.sin_port);
    return fd;
}

struct bare_server bare_start(const char *certificate)
{
    struct bare_server server;
    int pair[2], listener = listen_on(&server.port);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0, "bare server: %s", strerror(errno));
    server.pid = fork();
    REQUIRE(server.pid >= 0, "fork: %s", strerror(errno));
    if (server.pid == 0) {
        char control[16], listening[16];
        close(pair[0]);
        snprintf(control, sizeof control, "%d", pair[1]);
        snprintf(listening, sizeof listening, "%d", listener);
        execl("/proc/self/exe", "bare-server", BARE_ARGUMENT, control, listening, certificate, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    close(listener);
    server.control = pair[0];
    REQUIRE(fcntl(server.control, F_SETFD, FD_CLOEXEC) == 0, "fcntl: %s", strerror(errno));
    return server;
}

void bare_send(const struct bare_server *server, const uint8_t *bytes, size_t length)
{
    REQUIRE(length <= BYTES_MAX && send(server->control, bytes, length, MSG_NOSIGNAL) == (ssize_t)length,
            "bare server: %s", strerror(errno));
}
