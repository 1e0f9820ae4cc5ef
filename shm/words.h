/*
 * words.h: the only way in which shared words are loaded, stored and fenced.
 *
 * Each use names its order, takes the word's address, and carries at the place of use the tag of its pairing, the row of
 * the protocol it implements, and what breaks without it.  docs/arena-format.md, "Pairings", lists the tags.
 *
 * Payload (records, ring fields, place words) goes through relaxed words: immutable while it is valid, and racing only
 * with recycling, whose readers throw the result away.  ThreadSanitizer knows no fences; its build uses the form that
 * needs none (payload stores release, payload loads acquire), which the memory models accept as well.
 *
 * Every store to an arena passes STORE_STEP, where the kill tests stop the producer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CFGS_WORDS_H
#define CFGS_WORDS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef _Atomic(uint64_t) cfgs_word;
typedef _Atomic(uint32_t) cfgs_word32;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "shared words must be lock-free everywhere");
_Static_assert(sizeof(cfgs_word) == 8 && _Alignof(cfgs_word) == 8, "a shared word is eight aligned bytes");
_Static_assert(sizeof(cfgs_word32) == 4, "the futex word is four bytes");

#ifdef CFGS_STORE_HOOK
void cfgs_store_hook(void);
#define STORE_STEP() cfgs_store_hook()
#else
#define STORE_STEP() ((void)0)
#endif

#ifdef __SANITIZE_THREAD__
#define PAYLOAD_LOAD memory_order_acquire
#define PAYLOAD_STORE memory_order_release
#else
#define PAYLOAD_LOAD memory_order_relaxed
#define PAYLOAD_STORE memory_order_relaxed
#endif

static inline uint64_t word_load_acquire(const cfgs_word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline uint64_t word_load_relaxed(const cfgs_word *word)
{
    return atomic_load_explicit(word, PAYLOAD_LOAD);
}

static inline void word_store_release(cfgs_word *word, uint64_t value)
{
    STORE_STEP();
    atomic_store_explicit(word, value, memory_order_release);
}

static inline void word_store_relaxed(cfgs_word *word, uint64_t value)
{
    STORE_STEP();
    atomic_store_explicit(word, value, PAYLOAD_STORE);
}

static inline uint32_t word32_load_acquire(const cfgs_word32 *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline void word32_store_release(cfgs_word32 *word, uint32_t value)
{
    STORE_STEP();
    atomic_store_explicit(word, value, memory_order_release);
}

static inline void words_fence_release(void)
{
#ifndef __SANITIZE_THREAD__
    atomic_thread_fence(memory_order_release);
#endif
}

static inline void words_fence_acquire(void)
{
#ifndef __SANITIZE_THREAD__
    atomic_thread_fence(memory_order_acquire);
#endif
}

/* Copy whole words between shared and private memory (of any type); bytes is a multiple of 8. */
static inline void words_load(void *to, const cfgs_word *from, size_t bytes)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < bytes / 8; i++) {
        uint64_t word = word_load_relaxed(&from[i]);
        memcpy((char *)to + 8 * i, &word, 8);
    }
}

static inline void words_store(cfgs_word *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, (const char *)from + 8 * i, 8);
        word_store_relaxed(&to[i], word);
    }
}

#endif
