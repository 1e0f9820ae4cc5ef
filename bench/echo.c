/* echo.c  SPDX-License-Identifier: Apache-2.0 */
#include "echo.h"
#include "rig.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ECHO_BYTES = 100 };

struct echo {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
    pid_t server;
};

static SSL_CTX *make_context(const SSL_METHOD *method, const char *cert_file)
{
    SSL_CTX *context = SSL_CTX_new(method);

    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, cert_file) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, cert_file, SSL_FILETYPE_PEM) != 1)
        rig_die("%s: cannot be used for the bare TLS echo", cert_file);
    return context;
}

static SSL *make_ssl(SSL_CTX *context, int fd)
{
    int on = 1;
    SSL *ssl = SSL_new(context);

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        rig_die("the bare TLS echo: out of memory");
    return ssl;
}

static _Noreturn void serve(int listener, const char *cert_file)
{
    char bytes[ECHO_BYTES];
    int got;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    SSL *ssl = make_ssl(make_context(TLS_server_method(), cert_file), accept(listener, NULL, NULL));
    if (SSL_accept(ssl) == 1)
        while ((got = SSL_read(ssl, bytes, sizeof bytes)) > 0)
            if (SSL_write(ssl, bytes, got) != got)
                break;
    _exit(0);
}

struct echo *echo_open(const char *cert_file)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct echo *echo = calloc(1, sizeof *echo);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (echo == NULL || listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        rig_die("the bare TLS echo: %s", strerror(errno));
    echo->server = fork();
    if (echo->server == 0)
        serve(listener, cert_file);
    echo->context = make_context(TLS_client_method(), cert_file);
    echo->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (echo->server < 0 || echo->fd < 0 || connect(echo->fd, (struct sockaddr *)&address, size) != 0)
        rig_die("the bare TLS echo: %s", strerror(errno));
    close(listener);
    echo->ssl = make_ssl(echo->context, echo->fd);
    if (SSL_connect(echo->ssl) != 1)
        rig_die("the bare TLS echo: no handshake");
    return echo;
}

double echo_round_trip(struct echo *echo)
{
    char bytes[ECHO_BYTES] = {0};
    int left = ECHO_BYTES;

    uint64_t start = rig_now();
    if (SSL_write(echo->ssl, bytes, ECHO_BYTES) != ECHO_BYTES)
        rig_die("the bare TLS echo ended");
    while (left > 0) {
        int got = SSL_read(echo->ssl, bytes, left);
        if (got <= 0)
            rig_die("the bare TLS echo ended");
        left -= got;
    }
    return (double)(rig_now() - start) / 1000;
}

void echo_close(struct echo *echo)
{
    SSL_free(echo->ssl);
    SSL_CTX_free(echo->context);
    close(echo->fd);
    (void)waitpid(echo->server, NULL, 0);
    free(echo);
}
