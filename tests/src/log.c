/* log.c: the log lines of many threads, and a pipe that nobody reads.  SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, LINES = 150, ROUNDS = 100 };

static const struct log standard_error = {.level = LOG_INFO};
static int read_end;
static pthread_barrier_t start;

/* Standard error is a pipe from here on, which is soon full. */
static void make_pipe(void)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
    cr_assert_eq(fcntl(fds[1], F_SETFL, 0), 0);
    cr_assert_neq(dup2(fds[1], STDERR_FILENO), -1);
    close(fds[1]);
    read_end = fds[0];
}

static void *write_lines(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&start);
    for (int i = 0; i < LINES; i++)
        log_write(&standard_error, LOG_INFO, "%01900d", i);
    return NULL;
}

static void write_from_all_threads(void)
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

/* How many lines the pipe holds, those that it says are lost among them. */
static size_t take_lines(void)
{
    static char text[1 << 20];
    size_t length = 0, count = 0;
    for (ssize_t got; (got = read(read_end, text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        const char *told = strstr(line, " WARN ");
        count += told ? strtoull(told + strlen(" WARN "), NULL, 10) : 1;
    }
    return count;
}

Test(log, threads_go_on_while_nobody_takes_their_lines, .init = make_pipe)
{
    for (int round = 0; round < ROUNDS; round++) {
        write_from_all_threads();
        cr_assert_gt(take_lines(), 0);
    }
}

Test(log, each_line_comes_or_is_told_to_be_lost, .init = make_pipe)
{
    size_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        write_from_all_threads();
        count += take_lines();
    }
    log_write(&standard_error, LOG_INFO, "the last");
    cr_expect_eq(count + take_lines(), (size_t)ROUNDS * THREADS * LINES + 1);
}
