/*
 * peer_lmdb.c: the same keys in LMDB: one file, no locks, no sync, one read transaction that stays open.
 *
 * That is LMDB at its fastest.  It is also told the length of each key, which our own calls find out themselves.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peer.h"
#include "rig.h"
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#define MAP_BYTES ((size_t)4 << 30)

struct peer {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *txn;
};

static void must(int result, const char *doing)
{
    if (result != 0)
        rig_die("lmdb, %s: %s", doing, mdb_strerror(result));
}

/* Scalars as their eight bytes, the rest as it is. */
static MDB_val stored_form(const cfgs_value *value, uint64_t *scalar)
{
    if (value->kind >= CFGS_KIND_STRING)
        return (MDB_val){value->as.bytes.length, (void *)(uintptr_t)value->as.bytes.data};
    *scalar = fold_value(value);
    return (MDB_val){sizeof *scalar, scalar};
}

static void load(struct peer *peer, const struct corpus *corpus)
{
    MDB_txn *txn;
    uint64_t scalar;

    must(mdb_txn_begin(peer->env, NULL, 0, &txn), "beginning");
    must(mdb_dbi_open(txn, NULL, 0, &peer->dbi), "opening");
    for (size_t i = 0; i < corpus->count; i++) {
        const struct entry *entry = &corpus->entries[i];
        MDB_val key = {entry->key_length, (void *)(uintptr_t)entry->key}, data = stored_form(&entry->value[0], &scalar);
        must(mdb_put(txn, peer->dbi, &key, &data, 0), "loading");
    }
    must(mdb_txn_commit(txn), "committing");
}

struct peer *peer_open(const char *path, const struct corpus *corpus)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (peer == NULL)
        rig_die("out of memory");
    must(mdb_env_create(&peer->env), "creating");
    must(mdb_env_set_mapsize(peer->env, MAP_BYTES), "sizing");
    must(mdb_env_open(peer->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK | MDB_NOTLS, 0600), "opening");
    load(peer, corpus);
    must(mdb_txn_begin(peer->env, NULL, MDB_RDONLY, &peer->txn), "beginning to read");
    return peer;
}

void peer_close(struct peer *peer)
{
    if (peer == NULL)
        return;
    mdb_txn_abort(peer->txn);
    mdb_env_close(peer->env);
    free(peer);
}

const char *peer_name(void)
{
    return "lmdb";
}

static inline MDB_val look_up(struct peer *peer, const struct entry *entry)
{
    MDB_val key = {entry->key_length, (void *)(uintptr_t)entry->key}, data;
    int result = mdb_get(peer->txn, peer->dbi, &key, &data);

    if (result != 0)
        rig_die("wrong result: lmdb has no '%s': %s", entry->key, mdb_strerror(result));
    return data;
}

uint64_t peer_read(struct peer *peer, cfgs_kind kind, const struct entry *const *at, size_t count)
{
    uint64_t sum = 0, scalar;
    char text[128];

    if (kind == CFGS_KIND_STRING) {
        for (size_t i = 0; i < count; i++) {
            MDB_val data = look_up(peer, at[i]);
            memcpy(text, data.mv_data, data.mv_size); /* a reader of ours gets a copy, too */
            sum += fold_bytes(text, data.mv_size);
        }
        return sum;
    }
    for (size_t i = 0; i < count; i++) {
        MDB_val data = look_up(peer, at[i]);
        memcpy(&scalar, data.mv_data, sizeof scalar);
        sum += scalar;
    }
    return sum;
}

void peer_renew(struct peer *peer)
{
    mdb_txn_reset(peer->txn);
    must(mdb_txn_renew(peer->txn), "renewing");
}
