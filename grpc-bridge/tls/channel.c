/* tls/channel.c  SPDX-License-Identifier: Apache-2.0 */
#include "tls/channel.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LATE_MESSAGES_MAX = 100 };

struct channel {
    SSL *ssl;
    uint64_t generation;
    bool established, failed;
    unsigned late_messages; /* of the handshake protocol, after the handshake */
    char reason[128];
};

/*
 * Key updates, and attempts to renegotiate, are answered inside SSL_read(), which does not come back while more of them
 * come in: a peer could hold up a worker for as long as it likes.  Nobody needs many.  OpenSSL takes no answer from
 * here, but once it believes that the peer ended it reads no further.
 */
static void count_late_messages(int written, int version, int type, const void *bytes, size_t length, SSL *ssl,
                                void *context)
{
    struct channel *channel = context;
    (void)version, (void)bytes, (void)length;
    if (written || type != SSL3_RT_HANDSHAKE || !channel->established)
        return;
    if (++channel->late_messages > LATE_MESSAGES_MAX)
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
}

struct channel *channel_over(SSL *ssl, int fd, uint64_t generation)
{
    struct channel *channel = ssl ? calloc(1, sizeof *channel) : NULL;
    ERR_clear_error();
    if (!channel || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        free(channel);
        return NULL;
    }
    *channel = (struct channel){.ssl = ssl, .generation = generation};
    SSL_set_msg_callback(ssl, count_late_messages);
    SSL_set_msg_callback_arg(ssl, channel);
    return channel;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    SSL_free(channel->ssl);
    free(channel);
}

/* ---- what became of a call --------------------------------------------------------------------------------------- */

static enum channel_result fail(struct channel *channel, const char *what, const char *why)
{
    channel->failed = true;
    snprintf(channel->reason, sizeof channel->reason, "%s%s", what, why ? why : "no reason given");
    return CHANNEL_FAILED;
}

static enum channel_result closed(struct channel *channel)
{
    if (channel->late_messages > LATE_MESSAGES_MAX)
        return fail(channel, "", "it sent too many key updates, or attempts to renegotiate");
    snprintf(channel->reason, sizeof channel->reason, "the peer closed the connection");
    return CHANNEL_CLOSED;
}

/* "Rejected" is what a client sets that pins (client/access.c); nothing here rejects in OpenSSL's sense. */
static const char *verify_reason(long verify)
{
    return verify == X509_V_ERR_CERT_REJECTED ? "it is not the one that is pinned" : X509_verify_cert_error_string(verify);
}

static enum channel_result fail_protocol(struct channel *channel)
{
    unsigned long error = ERR_peek_error();
    long verify = SSL_get_verify_result(channel->ssl);
    if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK)
        return fail(channel, SSL_is_server(channel->ssl) ? "the client's certificate: " : "the server's certificate: ",
                    verify_reason(verify));
    return fail(channel, "", ERR_reason_error_string(error));
}

/* The errno is taken right after the call, before anything else can change it. */
static enum channel_result judge(struct channel *channel, int returned, int error)
{
    switch (SSL_get_error(channel->ssl, returned)) {
    case SSL_ERROR_WANT_READ: return CHANNEL_WANT_READ;
    case SSL_ERROR_WANT_WRITE: return CHANNEL_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return closed(channel);
    case SSL_ERROR_SSL: return fail_protocol(channel);
    default: break;
    }
    channel->failed = true;
    if (!error || error == ECONNRESET || error == EPIPE)
        return closed(channel);
    return fail(channel, "", strerror(error));
}

static enum channel_result check_protocol(struct channel *channel)
{
    const unsigned char *name;
    unsigned length;
    SSL_get0_alpn_selected(channel->ssl, &name, &length);
    if (length != 2 || memcmp(name, "h2", 2) != 0)
        return fail(channel, SSL_is_server(channel->ssl) ? "the client did not ask for" : "the server did not choose",
                    " h2 by ALPN");
    channel->established = true;
    return CHANNEL_OK;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

enum channel_result channel_handshake(struct channel *channel)
{
    ERR_clear_error();
    errno = 0;
    int returned = SSL_do_handshake(channel->ssl);
    return returned == 1 ? check_protocol(channel) : judge(channel, returned, errno);
}

enum channel_result channel_read(struct channel *channel, void *to, size_t room, size_t *got)
{
    ERR_clear_error();
    errno = 0;
    int returned = SSL_read_ex(channel->ssl, to, room, got);
    enum channel_result result = returned == 1 ? CHANNEL_OK : judge(channel, returned, errno);
    /* Its bytes stay in the socket and would wake the worker at once, again and again, for as long as it takes nothing.
     * One key update is answered with the next write; nobody needs several meanwhile. */
    if (result == CHANNEL_WANT_WRITE)
        return fail(channel, "", "it asks for key updates and takes no answers");
    return result;
}

enum channel_result channel_write(struct channel *channel, const void *from, size_t length, size_t *written)
{
    ERR_clear_error();
    errno = 0;
    int returned = SSL_write_ex(channel->ssl, from, length, written);
    return returned == 1 ? CHANNEL_OK : judge(channel, returned, errno);
}

void channel_shutdown(struct channel *channel)
{
    if (!channel->established || channel->failed)
        return; /* OpenSSL forbids it after a failure */
    ERR_clear_error();
    SSL_shutdown(channel->ssl);
    ERR_clear_error();
}

uint64_t channel_generation(const struct channel *channel) { return channel->generation; }

const char *channel_reason(const struct channel *channel) { return channel->reason; }
