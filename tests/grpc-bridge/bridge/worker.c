/* worker.c: what a worker logs of its clients, and how often.  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/worker.h"

#include "bridge/bridge.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TEN_SECONDS_MS = 10000 };

static struct bridge bridge;
static struct worker worker;
static int log_fd;

static void begin(void)
{
    bridge = (struct bridge){.log = {.level = LOG_INFO}};
    worker = (struct worker){.bridge = &bridge, .now_ms = 1000};
    log_fd = memfd_create("log", MFD_CLOEXEC);
    cr_assert(log_fd >= 0 && dup2(log_fd, STDERR_FILENO) >= 0);
}

TestSuite(worker_lines, .init = begin);

static unsigned logged(const char *text)
{
    static char lines[1 << 20];
    unsigned count = 0;
    ssize_t length = pread(log_fd, lines, sizeof lines - 1, 0);
    cr_assert(length >= 0);
    lines[length] = '\0';
    for (const char *at = lines; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    return count;
}

static void tell(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        worker_tell(&worker, LOG_INFO, "client %u came", i);
}

Test(worker_lines, are_all_told_while_they_are_few)
{
    for (int i = 0; i < 5; i++) {
        tell(WORKER_LINES_MAX);
        worker.now_ms += TEN_SECONDS_MS;
    }
    cr_expect_eq(logged(" came"), 5 * WORKER_LINES_MAX);
    cr_expect_eq(logged("left out"), 0);
}

/* docs/operations.md: what a client can provoke is limited in number, and told as a count */
Test(worker_lines, that_would_fill_the_log_are_told_as_a_number)
{
    tell(WORKER_LINES_MAX + 5000);
    cr_expect_eq(logged(" came"), WORKER_LINES_MAX);
    worker.now_ms += TEN_SECONDS_MS - 1;
    tell(1);
    cr_expect_eq(logged(" came"), WORKER_LINES_MAX);
    worker.now_ms++;
    tell(1);
    cr_expect_eq(logged("5001 more lines about what clients did in ten seconds were left out"), 1);
    cr_expect_eq(logged(" came"), WORKER_LINES_MAX + 1);
}

Test(worker_lines, below_the_level_count_for_nothing)
{
    for (int i = 0; i < 2 * WORKER_LINES_MAX; i++)
        worker_tell(&worker, LOG_DEBUG, "nobody wants to know");
    tell(WORKER_LINES_MAX);
    cr_expect_eq(logged(" came"), WORKER_LINES_MAX);
}
