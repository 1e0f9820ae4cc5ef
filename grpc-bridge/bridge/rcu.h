/**
 * @file bridge/rcu.h  Read-copy-update, for the few things that all workers read and hardly anybody changes: the session
 * table, the current snapshot, the TLS context with its token.
 *
 * liburcu's "bulletproof" flavour: threads need not register, so the metrics server's threads may read too.  A reader
 * must not keep what it found beyond rcu_unlock() unless it took a reference, and must not call SSL, sleep or write
 * inside.  ThreadSanitizer does not understand Debian's liburcu, so that build maps the same calls to one rwlock.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BRIDGE_RCU_H
#define BRIDGE_RCU_H

#ifdef __SANITIZE_THREAD__

#include <pthread.h>

struct rcu_head {
    char nothing;
};

extern pthread_rwlock_t rcu_rwlock;

static inline void rcu_lock(void) { pthread_rwlock_rdlock(&rcu_rwlock); }
static inline void rcu_unlock(void) { pthread_rwlock_unlock(&rcu_rwlock); }

/** Call `release` once every reader that may hold the object is through.  Not inside rcu_lock(). */
static inline void rcu_retire(struct rcu_head *head, void (*release)(struct rcu_head *))
{
    pthread_rwlock_wrlock(&rcu_rwlock);
    pthread_rwlock_unlock(&rcu_rwlock);
    release(head);
}

static inline void rcu_begin(void) {}
static inline void rcu_join(void) {}

/** At the end of the process: what was retired is released. */
static inline void rcu_settle(void) {}

#else

#include <urcu-bp.h>

static inline void rcu_lock(void) { urcu_bp_read_lock(); }
static inline void rcu_unlock(void) { urcu_bp_read_unlock(); }
static inline void rcu_retire(struct rcu_head *head, void (*release)(struct rcu_head *)) { urcu_bp_call_rcu(head, release); }
static inline void rcu_settle(void) { urcu_bp_barrier(); }

/** At the start of the process, with all signals blocked: begins the thread that releases.  Otherwise the first
 *  rcu_retire() would, maybe when there is no memory for it, and liburcu then ends the process. */
static inline void rcu_begin(void) { (void)urcu_bp_get_default_call_rcu_data(); }

/** At the start of a thread, for the same reason: otherwise its first rcu_lock() would ask for memory. */
static inline void rcu_join(void)
{
    rcu_lock();
    rcu_unlock();
}

#endif

/* The pointers themselves are C11 atomics: stored with release by the writer, loaded with acquire by readers. */

#endif
