/* The channel without TLS: what the transport does with bytes is the same, and a test can write any.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server.h"
#include "tls/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct channel {
    int fd;
    uint64_t generation;
};

/* The tests' main thread replaces the credentials while the worker runs. */
static _Atomic uint64_t generation = 1;
static _Atomic int64_t replaced_ms = INT64_MAX;
_Atomic bool plain_channel_stuck;

void plain_channel_replace_credentials(int64_t now_ms)
{
    replaced_ms = now_ms;
    generation++;
}

struct channel *channel_accept(struct credentials *credentials, int fd)
{
    (void)credentials;
    struct channel *channel = malloc(sizeof *channel);
    if (channel)
        *channel = (struct channel){.fd = fd, .generation = generation};
    return channel;
}

void channel_free(struct channel *channel)
{
    free(channel);
}

enum channel_result channel_handshake(struct channel *channel)
{
    (void)channel;
    return plain_channel_stuck ? CHANNEL_WANT_READ : CHANNEL_OK;
}

enum channel_result channel_read(struct channel *channel, void *to, size_t room, size_t *got)
{
    ssize_t result = recv(channel->fd, to, room, MSG_DONTWAIT);
    if (result < 0)
        return errno == EAGAIN ? CHANNEL_WANT_READ : CHANNEL_FAILED;
    *got = (size_t)result;
    return result ? CHANNEL_OK : CHANNEL_CLOSED;
}

enum channel_result channel_write(struct channel *channel, const void *from, size_t length, size_t *written)
{
    ssize_t result = send(channel->fd, from, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result < 0)
        return errno == EAGAIN ? CHANNEL_WANT_WRITE : CHANNEL_FAILED;
    *written = (size_t)result;
    return CHANNEL_OK;
}

void channel_shutdown(struct channel *channel)
{
    (void)channel;
}

uint64_t channel_generation(const struct channel *channel)
{
    return channel->generation;
}

const char *channel_reason(const struct channel *channel)
{
    (void)channel;
    return "";
}

uint64_t credentials_generation(const struct credentials *credentials)
{
    (void)credentials;
    return generation;
}

int64_t credentials_replaced_ms(const struct credentials *credentials, uint64_t of)
{
    (void)credentials;
    return of == generation ? INT64_MAX : replaced_ms;
}

enum token_result credentials_check(const struct credentials *credentials, const char *authorization)
{
    (void)credentials;
    if (!authorization)
        return TOKEN_MISSING;
    return strcmp(authorization, "Bearer good") == 0 ? TOKEN_OK : TOKEN_WRONG;
}
