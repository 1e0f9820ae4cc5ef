/* cli/progress.h: what a long wait is for, for a person at a terminal.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>

/** Lives in the waiting function; the thread is its own affair. */
struct progress {
    char what[160];
    bool running, over;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
};

/**
 * After a second, and every second from then on, standard error shows "waiting for WHAT (N s)", if it is a terminal.
 * Nothing else may be printed until progress_end(), which erases the line.
 */
void progress_begin(struct progress *progress, const char *what, ...) __attribute__((format(printf, 2, 3)));
void progress_end(struct progress *progress);

#endif
