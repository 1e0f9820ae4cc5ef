/* support.c  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "../support/threads_settle.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES_MAX 16

static char names[NAMES_MAX][CFGS_INSTANCE_MAX_BYTES];
static int name_count;
static pid_t name_owner;

/* ---- names ------------------------------------------------------------------------------------------------------- */

const char *new_instance(void)
{
    cr_assert(name_count < NAMES_MAX);
    name_owner = getpid();
    snprintf(names[name_count], sizeof names[0], "test-%d-%d", (int)getpid(), name_count);
    return names[name_count++];
}

const char *arena_path(const char *instance)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "/dev/shm/configstream.%.64s", instance);
    return path;
}

void names_clean(void)
{
    char path[160];

    for (int i = 0; i < name_count && name_owner == getpid(); i++) {
        const char *arena = arena_path(names[i]);
        (void)rmdir(arena);
        (void)unlink(arena);
        snprintf(path, sizeof path, "%s.lock", arena);
        (void)unlink(path);
        snprintf(path, sizeof path, "%s.new", arena);
        (void)unlink(path);
    }
}

bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

cfgs_publisher *publish_with(const char *instance, cfgs_publisher_options options)
{
    cfgs_error_detail detail = {0};
    cfgs_publisher *publisher = NULL;

    options.instance = instance;
    options.detail = &detail;
    int err = cfgs_publisher_open(&options, &publisher);
    cr_assert(err == CFGS_OK, "cfgs_publisher_open: %s: %s", cfgs_strerror(err), detail.message);
    return publisher;
}

cfgs_publisher *publish(const char *instance)
{
    return publish_with(instance, (cfgs_publisher_options){.max_size = 64u << 20});
}

cfgs_publisher *publish_in_memory(uint32_t ring_slots)
{
    return publish_with(NULL, (cfgs_publisher_options){
                                  .in_memory = true, .ring_slots = ring_slots, .max_size = 256u << 20});
}

cfgs_reader *reader_of(cfgs_publisher *publisher)
{
    cfgs_reader *reader = NULL;
    ok(cfgs_publisher_reader(publisher, &reader));
    return reader;
}

cfgs_setting setting_of(const char *key, cfgs_value value, int source)
{
    return (cfgs_setting){.key = {key, strlen(key)}, .value = value, .source = source};
}

cfgs_value text_value(const char *text)
{
    return cfgs_value_string(text, strlen(text));
}

bool set_value(cfgs_publisher *publisher, const char *key, cfgs_value value, int source)
{
    cfgs_setting setting = setting_of(key, value, source);
    bool changed = false;
    ok(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, &changed));
    return changed;
}

bool set_int(cfgs_publisher *publisher, const char *key, int64_t value)
{
    return set_value(publisher, key, cfgs_value_int(value), CFGS_SOURCE_FILE);
}

bool set_text(cfgs_publisher *publisher, const char *key, const char *text)
{
    return set_value(publisher, key, text_value(text), CFGS_SOURCE_FILE);
}

bool remove_key(cfgs_publisher *publisher, const char *key)
{
    bool changed = false;
    ok(cfgs_publisher_remove(publisher, key, strlen(key), CFGS_SOURCE_FILE, &changed));
    return changed;
}

uint64_t load_ints(cfgs_publisher *publisher, const char *prefix, size_t count, bool replace)
{
    cfgs_batch *batch;
    uint64_t changes = 0;
    char key[64];

    ok(cfgs_batch_begin(publisher, &batch));
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%s%zu", prefix, i);
        cfgs_setting setting = setting_of(key, cfgs_value_int((int64_t)i), CFGS_SOURCE_FILE);
        ok(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
    }
    if (replace)
        cfgs_batch_replace(batch);
    ok(cfgs_batch_commit(batch, &changes));
    return changes;
}

void first_commit(cfgs_publisher *publisher)
{
    cfgs_batch *batch;
    ok(cfgs_batch_begin(publisher, &batch));
    ok(cfgs_batch_commit(batch, NULL));
}

void force_rebuild(cfgs_publisher *publisher, cfgs_reader *reader)
{
    uint64_t before = status_of(reader).counters.rebuilds;

    for (int i = 0; status_of(reader).counters.rebuilds == before; i++) {
        cr_assert(i < 200000, "the bank never fills");
        set_int(publisher, "support.rebuild", i);
    }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

cfgs_reader *open_reader(const char *instance)
{
    cfgs_error_detail detail = {0};
    cfgs_reader *reader = NULL;
    int err = cfgs_reader_open(&(cfgs_reader_options){.instance = instance, .detail = &detail}, &reader);
    cr_assert(err == CFGS_OK, "cfgs_reader_open: %s: %s", cfgs_strerror(err), detail.message);
    return reader;
}

int64_t int_of(cfgs_reader *reader, const char *key)
{
    int64_t value = INT64_MIN;
    ok(cfgs_get_int(reader, key, &value));
    return value;
}

cfgs_setting setting_in(cfgs_reader *reader, const char *key)
{
    cfgs_setting setting = {0};
    cfgs_view view;
    int err;

    ok(cfgs_view_begin(reader, &view));
    do {
        err = cfgs_view_get(&view, key, &setting);
    } while (cfgs_view_retry(&view));
    ok(cfgs_view_error(&view));
    ok(err);
    return setting;
}

cfgs_event next_event(cfgs_reader *reader)
{
    cfgs_event event = {0};
    ok(cfgs_reader_next(reader, &event, 0));
    return event;
}

cfgs_event next_snapshot(cfgs_reader *reader, cfgs_snapshot_reason reason)
{
    cfgs_event event = next_event(reader);
    cr_assert_eq(event.kind, CFGS_EVENT_SNAPSHOT, "got update %llu", (unsigned long long)event.sequence);
    cr_assert_eq(event.reason, reason, "got %s, want %s", cfgs_snapshot_reason_name(event.reason),
                 cfgs_snapshot_reason_name(reason));
    return event;
}

cfgs_event next_update(cfgs_reader *reader, const char *key)
{
    cfgs_event event = next_event(reader);
    cr_assert_eq(event.kind, CFGS_EVENT_UPDATE);
    cr_assert(bytes_are(event.setting.key, key), "got '%.*s', want '%s'", (int)event.setting.key.length,
              event.setting.key.data, key);
    cr_assert_eq(event.previous, event.sequence - 1);
    return event;
}

void no_event(cfgs_reader *reader)
{
    cfgs_event event;
    fails(CFGS_ERR_TIMEOUT, cfgs_reader_next(reader, &event, 0));
}

cfgs_reader_info status_of(cfgs_reader *reader)
{
    cfgs_reader_info info = {0};
    ok(cfgs_reader_status(reader, &info, sizeof info));
    return info;
}

void await_state(cfgs_reader *reader, cfgs_producer_state state)
{
    cfgs_producer_state now = CFGS_PRODUCER_ABSENT;

    for (int i = 0; i < 1000; i++) {
        now = status_of(reader).state;
        if (now == state)
            return;
        poll(NULL, 0, 10); /* not synchronisation: the pause of a bounded poll */
    }
    cr_assert(false, "state stays %s, want %s", cfgs_producer_state_name((int)now),
              cfgs_producer_state_name((int)state));
}

bool bytes_are(cfgs_bytes bytes, const char *text)
{
    return bytes.length == strlen(text) && (bytes.length == 0 || memcmp(bytes.data, text, bytes.length) == 0);
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

static int child_in = -1, child_out = -1;

_Noreturn void child_failed(int line, const char *condition)
{
    fprintf(stderr, "child: line %d: %s\n", line, condition);
    _exit(line % 250 + 1);
}

struct child child_start(void (*body)(const char *instance), const char *instance)
{
    int down[2], up[2];

    cr_assert(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0);
    fflush(NULL);
    threads_settle();
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        close(down[1]);
        close(up[0]);
        child_in = down[0];
        child_out = up[1];
        body(instance);
        _exit(0);
    }
    close(down[0]);
    close(up[1]);
    return (struct child){.pid = pid, .to_child = down[1], .from_child = up[0]};
}

void child_ready(void)
{
    CHECK(write(child_out, "r", 1) == 1);
}

void child_go(void)
{
    char byte;
    CHECK(read(child_in, &byte, 1) == 1);
}

void await_ready(const struct child *child)
{
    char byte;
    cr_assert(read(child->from_child, &byte, 1) == 1, "the child ended before it was ready");
}

void let_go(const struct child *child)
{
    cr_assert(write(child->to_child, "g", 1) == 1);
}

int child_end(struct child *child)
{
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0)
        cr_assert_eq(errno, EINTR);
    close(child->to_child);
    close(child->from_child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

void child_kill(struct child *child)
{
    cr_assert(kill(child->pid, SIGKILL) == 0);
    cr_assert_eq(child_end(child), 1000 + SIGKILL);
}

void producer_body(const char *instance)
{
    cfgs_publisher *publisher;
    cfgs_publisher_options options = {.instance = instance, .max_size = 64u << 20};
    cfgs_setting a = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);
    cfgs_setting b = setting_of("b", cfgs_value_int(2), CFGS_SOURCE_CLI);

    CHECK(cfgs_publisher_open(&options, &publisher) == CFGS_OK);
    CHECK(cfgs_publisher_set(publisher, &a, CFGS_SOURCE_NONE, NULL) == CFGS_OK);
    CHECK(cfgs_publisher_set(publisher, &b, CFGS_SOURCE_NONE, NULL) == CFGS_OK);
    child_ready();
    child_go();
    cfgs_publisher_close(publisher, false);
}
