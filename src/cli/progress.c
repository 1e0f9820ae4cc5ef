/* cli/progress.c  SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include "cli/say.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* One column less than there are: a line that wraps could not be erased. */
static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

static void show(const struct progress *progress, unsigned seconds)
{
    char line[sizeof progress->what + 64];
    snprintf(line, sizeof line, "waiting for %s (%u s)", progress->what, seconds);
    fprintf(stderr, "\r\x1b[K%.*s", columns(), line);
}

static void *tick(void *context)
{
    struct progress *progress = context;
    struct timespec due;
    unsigned seconds = 0;
    clock_gettime(CLOCK_MONOTONIC, &due);
    pthread_mutex_lock(&progress->lock);
    while (!progress->over) {
        due.tv_sec++;
        int error = 0;
        while (!progress->over && error == 0)
            error = pthread_cond_timedwait(&progress->change, &progress->lock, &due);
        if (!progress->over)
            show(progress, ++seconds);
    }
    pthread_mutex_unlock(&progress->lock);
    if (seconds)
        fputs("\r\x1b[K", stderr);
    return NULL;
}

void progress_begin(struct progress *progress, const char *what, ...)
{
    va_list arguments;
    pthread_condattr_t attributes;
    *progress = (struct progress){0};
    if (!is_terminal(stderr))
        return;
    va_start(arguments, what);
    vsnprintf(progress->what, sizeof progress->what, what, arguments);
    va_end(arguments);
    pthread_mutex_init(&progress->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&progress->change, &attributes);
    pthread_condattr_destroy(&attributes);
    progress->running = pthread_create(&progress->thread, NULL, tick, progress) == 0;
}

void progress_end(struct progress *progress)
{
    if (!progress->running)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->over = true;
    pthread_cond_signal(&progress->change);
    pthread_mutex_unlock(&progress->lock);
    pthread_join(progress->thread, NULL);
    progress->running = false;
}
