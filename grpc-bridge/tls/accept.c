/* tls/accept.c: the server's channels.  SPDX-License-Identifier: Apache-2.0 */
#include "tls/channel.h"
#include "tls/identity.h"

struct channel *channel_accept(struct credentials *credentials, int fd)
{
    rcu_lock();
    struct identity *identity = credentials_identity(credentials);
    identity_take(identity);
    rcu_unlock();
    SSL *ssl = SSL_new(identity->context); /* it keeps the context alive */
    if (ssl)
        SSL_set_accept_state(ssl);
    struct channel *channel = channel_over(ssl, fd, identity->generation);
    identity_release(identity);
    return channel;
}
