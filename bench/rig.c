/* rig.c  SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "report.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LARGE_SETTINGS 100000u
#define LARGE_MAX_SIZE (UINT64_C(4) << 30)

static char scratch[PATH_MAX];
static pid_t scratch_owner;

void rig_die(const char *format, ...)
{
    va_list arguments;

    fputs("configstream-bench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void rig_check(int err, const char *doing)
{
    if (err != CFGS_OK)
        rig_die("%s: %s", doing, cfgs_strerror(err));
}

/* ---- processor --------------------------------------------------------------------------------------------------- */

static cpu_set_t allowed;
static bool allowed_known;

static void learn_allowed(void)
{
    if (!allowed_known && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        rig_die("sched_getaffinity: %s", strerror(errno));
    allowed_known = true;
}

void rig_pin(const struct bench_options *options)
{
    cpu_set_t one;
    int cpu = options->cpu;

    learn_allowed();
    for (int i = 0; cpu < 0 && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(CPU_SETSIZE - 1 - i, &allowed))
            cpu = CPU_SETSIZE - 1 - i;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        rig_die("pinning to processor %d: %s", cpu, strerror(errno));
}

void rig_unpin(void)
{
    learn_allowed();
    (void)sched_setaffinity(0, sizeof allowed, &allowed);
}

/* ---- scratch directory ------------------------------------------------------------------------------------------- */

static void remove_scratch(void)
{
    char path[2 * PATH_MAX];
    struct dirent *entry;

    if (scratch[0] == '\0' || getpid() != scratch_owner)
        return;
    DIR *directory = opendir(scratch);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", scratch, entry->d_name);
        (void)unlink(path);
    }
    if (directory != NULL)
        closedir(directory);
    (void)rmdir(scratch);
    scratch[0] = '\0';
}

/* Not by the letter of async-signal-safety (opendir allocates), but nothing follows that could suffer. */
static void on_signal(int number)
{
    remove_scratch();
    _exit(128 + number);
}

static void make_scratch(const char *directory)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE}; /* the last: of a pipe to head */
    struct sigaction action = {.sa_handler = on_signal};

    snprintf(scratch, sizeof scratch, "%s/configstream-bench.XXXXXX", directory);
    if (mkdtemp(scratch) == NULL) {
        scratch[0] = '\0';
        rig_die("a directory in %s: %s", directory, strerror(errno));
    }
    scratch_owner = getpid();
    atexit(remove_scratch);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        sigaction(ends[i], &action, NULL);
}

void rig_path(const struct bench_options *options, const char *name, char path[PATH_MAX])
{
    if (scratch[0] == '\0')
        make_scratch(options->directory);
    if (snprintf(path, PATH_MAX, "%s/%s", scratch, name) >= PATH_MAX)
        rig_die("%s: the name is too long", options->directory);
}

bool rig_has_room(const struct bench_options *options, size_t settings)
{
    /* Two banks and a third while the arena grows; the peer's file beside it. */
    uint64_t need = cfgs_arena_size(settings, 0, 0) / 2 * 3 + (uint64_t)settings * 400;
    struct statvfs fs;

    if (statvfs(options->directory, &fs) != 0)
        rig_die("%s: %s", options->directory, strerror(errno));
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= need)
        return true;
    report_note("skipped: %zu settings need %" PRIu64 " MiB in %s, which has %" PRIu64 " MiB", settings, need >> 20,
                options->directory, room >> 20);
    return false;
}

/* ---- arenas ------------------------------------------------------------------------------------------------------ */

cfgs_publisher *rig_open(const struct bench_options *options, const char *name, size_t settings)
{
    char path[PATH_MAX];
    cfgs_error_detail detail = {0};
    cfgs_publisher *publisher;

    rig_path(options, name, path);
    cfgs_publisher_options how = {.arena_path = path,
                                  .max_size = settings > LARGE_SETTINGS ? LARGE_MAX_SIZE : 0,
                                  .no_wake_thread = options->no_wake_thread,
                                  .detail = &detail};
    if (cfgs_publisher_open(&how, &publisher) != CFGS_OK)
        rig_die("opening a publisher: %s", detail.message);
    return publisher;
}

cfgs_batch *rig_stage(cfgs_publisher *publisher, const struct corpus *corpus, unsigned revision)
{
    cfgs_batch *batch;

    rig_check(cfgs_batch_begin(publisher, &batch), "beginning a batch");
    cfgs_batch_replace(batch);
    for (size_t i = 0; i < corpus->count; i++) {
        cfgs_setting setting = corpus_setting(&corpus->entries[i], revision);
        rig_check(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE), "staging a setting");
    }
    return batch;
}

cfgs_publisher *rig_publish(const struct bench_options *options, const char *name, const struct corpus *corpus)
{
    cfgs_publisher *publisher = rig_open(options, name, corpus->count);
    uint64_t changes;

    if (cfgs_batch_commit(rig_stage(publisher, corpus, 0), &changes) != CFGS_OK)
        rig_die("loading: %s", cfgs_publisher_error(publisher)->message);
    if (changes != corpus->count)
        rig_die("wrong result: a load of %zu settings took %" PRIu64 " IDs", corpus->count, changes);
    return publisher;
}

cfgs_reader *rig_reader(const struct bench_options *options, const char *name)
{
    char path[PATH_MAX];
    cfgs_error_detail detail = {0};
    cfgs_reader *reader;

    rig_path(options, name, path);
    cfgs_reader_options how = {.arena_path = path, .detail = &detail};
    if (cfgs_reader_open(&how, &reader) != CFGS_OK)
        rig_die("opening a reader: %s", detail.message);
    rig_check(cfgs_reader_wait_ready(reader, 10000), "waiting for the first snapshot");
    return reader;
}

/* The first key that does not have its value; NULL: all have.  Counts only if the view's validation says so. */
static const char *find_wrong(cfgs_view *view, const struct corpus *corpus, unsigned revision)
{
    cfgs_setting found;

    for (size_t i = 0; i < corpus->count; i++) {
        const struct entry *entry = &corpus->entries[i];
        if (cfgs_view_get(view, entry->key, &found) != CFGS_OK ||
            !cfgs_value_equal(&found.value, &entry->value[revision]))
            return entry->key;
    }
    return NULL;
}

void rig_verify(cfgs_reader *reader, const struct corpus *corpus, unsigned revision)
{
    const char *wrong;
    cfgs_view view;

    rig_check(cfgs_view_begin(reader, &view), "beginning a view");
    do {
        wrong = find_wrong(&view, corpus, revision);
    } while (cfgs_view_retry(&view));
    rig_check(cfgs_view_error(&view), "reading back");
    if (wrong != NULL)
        rig_die("wrong result: '%s' does not have the value that was published", wrong);
}
