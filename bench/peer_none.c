/* peer_none.c: a build without LMDB.  SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

struct peer *peer_open(const char *path, const struct corpus *corpus)
{
    (void)path, (void)corpus;
    return NULL;
}

void peer_close(struct peer *peer)
{
    (void)peer;
}

const char *peer_name(void)
{
    return NULL;
}

uint64_t peer_read(struct peer *peer, cfgs_kind kind, const struct entry *const *at, size_t count)
{
    (void)peer, (void)kind, (void)at, (void)count;
    return 0;
}

void peer_renew(struct peer *peer)
{
    (void)peer;
}
