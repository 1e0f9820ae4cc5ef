/* deaths.c: see deaths.h.  SPDX-License-Identifier: Apache-2.0 */
#include "deaths.h"

#include "shm/words.h"
#include "support.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static _Thread_local bool armed;
static _Thread_local uint64_t stores, die_before;

void cfgs_store_hook(void)
{
    if (armed && ++stores == die_before) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

void death_arm(uint64_t before_store)
{
    stores = 0;
    die_before = before_store;
    armed = true;
}

uint64_t death_stores(void) { return stores; }

uint64_t death_disarm(void)
{
    armed = false;
    return stores;
}

void death_reap(pid_t pid)
{
    int status;

    REQUIRE(waitpid(pid, &status, 0) == pid, "waitpid");
    child_forget(pid);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a process that should have been killed ended with %#x",
            (unsigned)status);
}

/* relaxed, both: fork(), pipes and waitpid() order what one process sets before another reads it. */
uint64_t death_word(unsigned word)
{
    return atomic_load_explicit(&control->word[word], memory_order_relaxed);
}

void death_set_word(unsigned word, uint64_t value)
{
    atomic_store_explicit(&control->word[word], value, memory_order_relaxed);
}
