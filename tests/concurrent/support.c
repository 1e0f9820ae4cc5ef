/* support.c: keys, values, the oracle, and children.  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "../support/threads_settle.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct control *control;
static char (*names)[24];

/* ---- small things ------------------------------------------------------------------------------------------------ */

uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t state = a * UINT64_C(0xd6e8feb86659fd93) ^ b;
    return random_next(&state);
}

void control_new(void)
{
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    names = calloc(KEYS, sizeof *names);
    if (control == MAP_FAILED || names == NULL) {
        perror("control page");
        exit(1);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        unsigned g = key - GROUP_FIRST;
        if (key < GROUP_FIRST)
            snprintf(names[key], sizeof *names, "mono.%u", key);
        else if (key < SCALAR_FIRST)
            snprintf(names[key], sizeof *names, "group.%u.%u", g / GROUP_KEYS, g % GROUP_KEYS);
        else if (key < TEXT_FIRST)
            snprintf(names[key], sizeof *names, "scalar.%u", key - SCALAR_FIRST);
        else if (key < LIST_FIRST)
            snprintf(names[key], sizeof *names, "text.%u", key - TEXT_FIRST);
        else if (key < BIG_FIRST)
            snprintf(names[key], sizeof *names, "list.%u", key - LIST_FIRST);
        else if (key < BULK_FIRST)
            snprintf(names[key], sizeof *names, "big.%u", key - BIG_FIRST);
        else
            snprintf(names[key], sizeof *names, "bulk.%u", key - BULK_FIRST);
    }
}

/* ---- keys and values --------------------------------------------------------------------------------------------- */

const char *key_name(unsigned key)
{
    return names[key];
}

int key_parse(cfgs_bytes name)
{
    static const struct {
        const char *prefix;
        int first, end;
    } classes[] = {{"mono.", 0, GROUP_FIRST},          {"scalar.", SCALAR_FIRST, TEXT_FIRST},
                   {"text.", TEXT_FIRST, LIST_FIRST},  {"list.", LIST_FIRST, BIG_FIRST},
                   {"big.", BIG_FIRST, BULK_FIRST},    {"bulk.", BULK_FIRST, KEYS},
                   {"group.", GROUP_FIRST, SCALAR_FIRST}};
    char text[24] = {0};
    int key = -1;

    if (name.length >= sizeof text)
        return -1;
    memcpy(text, name.data, name.length);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        size_t length = strlen(classes[i].prefix);
        if (strncmp(text, classes[i].prefix, length) != 0)
            continue;
        char *end;
        long number = strtol(text + length, &end, 10);
        key = classes[i].first + (int)number;
        if (*end == '.')
            key = classes[i].first + (int)(number * GROUP_KEYS + strtol(end + 1, NULL, 10));
        if (number < 0 || key < classes[i].first || key >= classes[i].end)
            return -1;
        break;
    }
    return key >= 0 && strcmp(names[key], text) == 0 ? key : -1;
}

int key_source(unsigned key)
{
    static const int sources[] = {CFGS_SOURCE_FILE, CFGS_SOURCE_CLI, CFGS_SOURCE_DEFAULT, CFGS_SOURCE_REMOTE_CONFIG};
    return sources[key % 4];
}

struct scratch *scratch_new(void)
{
    struct scratch *scratch = calloc(1, sizeof *scratch);
    REQUIRE(scratch != NULL && cfgs_builder_new(&scratch->builder) == CFGS_OK, "out of memory");
    return scratch;
}

void scratch_free(struct scratch *scratch)
{
    cfgs_builder_free(scratch->builder);
    free(scratch);
}

static unsigned big_bytes = 16u << 10; /* set by producer_open(); readers take lengths from the text */

static size_t text_length(unsigned key, uint64_t sequence, unsigned big)
{
    uint64_t m = mix(key + 1000, sequence);
    return key >= BIG_FIRST && key < BULK_FIRST ? 1024 + m % (big - 1024) : 16 + m % 200;
}

/* The ID in hex, then a pattern of key and ID. */
static void text_fill(unsigned key, uint64_t sequence, char *out, size_t length)
{
    char block[17];

    snprintf(block, sizeof block, "%016" PRIx64, sequence);
    memcpy(out, block, 16);
    snprintf(block, sizeof block, "%016" PRIx64, mix(key, sequence));
    for (size_t at = 16; at < length; at += 16)
        memcpy(out + at, block, length - at < 16 ? length - at : 16);
}

static cfgs_value group_value(unsigned key, uint64_t sequence)
{
    unsigned member = (key - GROUP_FIRST) % GROUP_KEYS;
    uint64_t base = sequence - member;
    int64_t first = (int64_t)(mix((key - GROUP_FIRST) / GROUP_KEYS, base) % (uint64_t)GROUP_TOTAL);

    return cfgs_value_int(member == 0 ? first : member == 1 ? GROUP_TOTAL - first : first + (int64_t)member);
}

static cfgs_value list_value(unsigned key, uint64_t sequence, struct scratch *scratch)
{
    cfgs_value value;

    cfgs_builder_reset(scratch->builder);
    cfgs_builder_begin_list(scratch->builder);
    for (unsigned i = 0; i < 3; i++) {
        text_fill(key + i, sequence, scratch->text, 16 + 8 * i);
        cfgs_builder_add_string(scratch->builder, scratch->text, 16 + 8 * i);
    }
    cfgs_builder_end_list(scratch->builder);
    REQUIRE(cfgs_builder_finish(scratch->builder, &value) == CFGS_OK, "building a list failed");
    return value;
}

static cfgs_value sized_value(unsigned key, uint64_t sequence, size_t length, struct scratch *scratch)
{
    uint64_t m = mix(key, sequence);

    if (key < GROUP_FIRST)
        return cfgs_value_int((int64_t)sequence);
    if (key < SCALAR_FIRST)
        return group_value(key, sequence);
    if (key < TEXT_FIRST && key % 4 == 1)
        return cfgs_value_double((double)(m >> 12) / 3);
    if (key < TEXT_FIRST || key >= BULK_FIRST)
        return cfgs_value_int((int64_t)m);
    if (key >= LIST_FIRST && key < BIG_FIRST)
        return list_value(key, sequence, scratch);
    text_fill(key, sequence, scratch->text, length);
    return cfgs_value_string(scratch->text, length);
}

cfgs_value value_of(unsigned key, uint64_t sequence, struct scratch *scratch)
{
    return sized_value(key, sequence, text_length(key, sequence, big_bytes), scratch);
}

void workload_set_big(unsigned bytes)
{
    big_bytes = bytes;
}

/* A big text may come from a producer with another bound: its own length counts there. */
static bool value_is(unsigned key, uint64_t sequence, const cfgs_value *value, struct scratch *scratch)
{
    size_t length = text_length(key, sequence, big_bytes);

    if (key >= BIG_FIRST && key < BULK_FIRST) {
        if (value->kind != CFGS_KIND_STRING || value->as.bytes.length < 1024 || value->as.bytes.length > BIG_BYTES_MAX)
            return false;
        length = value->as.bytes.length;
    }
    cfgs_value wanted = sized_value(key, sequence, length, scratch);
    return cfgs_value_equal(&wanted, value);
}

const char *setting_wrong(const cfgs_setting *setting, struct scratch *scratch, int *key)
{
    *key = key_parse(setting->key);
    if (*key < 0)
        return "no key of ours";
    if (setting->sequence == 0)
        return "ID 0";
    if (setting->source != key_source((unsigned)*key))
        return "another source than it was set with";
    return value_is((unsigned)*key, setting->sequence, &setting->value, scratch) ? NULL
                                                                                 : "not the value of its ID (torn?)";
}

uint64_t text_sequence(unsigned key, const char *text, size_t length, struct scratch *scratch)
{
    char head[17] = {0};
    char *end;

    if (length < 16)
        return 0;
    memcpy(head, text, 16);
    uint64_t sequence = strtoull(head, &end, 16);
    if (*end != '\0' || (key < BIG_FIRST && length != text_length(key, sequence, big_bytes)) || length > BIG_BYTES_MAX)
        return 0;
    text_fill(key, sequence, scratch->text, length);
    return memcmp(text, scratch->text, length) == 0 ? sequence : 0;
}

/* ---- the whole state --------------------------------------------------------------------------------------------- */

void model_put(struct model *model, unsigned key, uint64_t sequence)
{
    uint64_t old = model->sequence[key];

    if (old != 0) {
        model->digest -= mix(key + 77, old);
        model->count--;
    }
    if (sequence != 0) {
        model->digest += mix(key + 77, sequence);
        model->count++;
    }
    model->sequence[key] = sequence;
}

void model_check(const struct model *model, uint64_t sequence, struct reader_stats *stats, const char *where)
{
    struct oracle_entry *entry = &control->oracle[sequence % ORACLE_ENTRIES];
    uint64_t known = atomic_load(&entry->sequence);
    uint64_t digest = atomic_load(&entry->digest), count = atomic_load(&entry->count);

    if (known > sequence || known == 0 || atomic_load(&entry->sequence) != known) {
        stats->unverified++; /* the producer is a whole oracle ahead */
        return;
    }
    REQUIRE(known == sequence, "%s: ID %" PRIu64 " is shown, but the producer never began it", where, sequence);
    if (count == COUNT_UNKNOWN)
        return;
    REQUIRE(count == model->count, "%s: at ID %" PRIu64 " the producer had %" PRIu64 " settings, this reader %" PRIu64,
            where, sequence, count, model->count);
    REQUIRE(digest == model->digest, "%s: at ID %" PRIu64 " the state is not the producer's", where, sequence);
}

int state_read(cfgs_view *view, struct model *model, struct scratch *scratch, struct reader_stats *stats,
               const char *where)
{
    const char *wrong;
    int more, key;

    do {
        cfgs_iterator iterator = {0};
        cfgs_setting setting;
        wrong = NULL;
        memset(model, 0, sizeof *model);
        while ((more = cfgs_view_next(view, &iterator, "", 0, &setting)) == 1) {
            const char *problem = setting_wrong(&setting, scratch, &key);
            if (problem == NULL && setting.sequence > cfgs_view_sequence(view))
                problem = "newer than the view";
            if (problem == NULL && model->sequence[key] != 0)
                problem = "seen twice";
            if (problem != NULL)
                wrong = problem;
            else
                model_put(model, (unsigned)key, setting.sequence);
        }
        stats->retries++;
    } while (cfgs_view_retry(view));
    stats->retries--;
    int err = cfgs_view_error(view);
    if (err == CFGS_ERR_LAPPED || err == CFGS_ERR_BUSY)
        return err;
    REQUIRE(err == CFGS_OK && more == 0, "%s: reading all settings: %s", where, cfgs_strerror(err != 0 ? err : more));
    REQUIRE(wrong == NULL, "%s: a setting of the view at ID %" PRIu64 " is wrong: %s", where,
            cfgs_view_sequence(view), wrong);
    model_check(model, cfgs_view_sequence(view), stats, where);
    return CFGS_OK;
}

/* ---- children ---------------------------------------------------------------------------------------------------- */

static pid_t children[64], owner;
static char test_instance[80];

static void kill_children(void)
{
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        if (children[i] > 0) {
            kill(children[i], SIGKILL);
            while (waitpid(children[i], NULL, 0) < 0 && errno == EINTR)
                ;
            children[i] = 0;
        }
}

void test_end(void)
{
    char path[160];

    if (getpid() != owner)
        return;
    kill_children();
    for (int i = 0; i < 3; i++) {
        static const char *const suffixes[] = {"", ".lock", ".new"};
        snprintf(path, sizeof path, "/dev/shm/configstream.%s%s", test_instance, suffixes[i]);
        (void)unlink(path);
    }
}

static void on_signal(int number)
{
    test_end();
    _exit(128 + number);
}

void test_begin(const char *instance)
{
    owner = getpid();
    snprintf(test_instance, sizeof test_instance, "%s", instance);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGALRM, on_signal);
    alarm(540); /* a hang ends here, with its children */
    atexit(test_end);
}

void fail(const char *format, ...)
{
    va_list arguments;
    char text[512];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "FAILED: %s\n", text);
    fflush(stdout);
    test_end();
    _exit(1);
}

pid_t child_start(void (*body)(void *argument), void *argument)
{
    pid_t parent = getpid();
    size_t slot = 0;

    while (slot < sizeof children / sizeof *children && children[slot] != 0)
        slot++;
    REQUIRE(slot < sizeof children / sizeof *children, "too many children");
    fflush(stdout);
    threads_settle();
    pid_t pid = fork();
    REQUIRE(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGTERM, SIG_DFL);
        if (getppid() != parent)
            _exit(1);
        body(argument);
        fflush(stdout);
        _exit(0);
    }
    children[slot] = pid;
    return pid;
}

void child_forget(pid_t pid)
{
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        if (children[i] == pid)
            children[i] = 0;
}

void child_judge(pid_t pid, int status)
{
    child_forget(pid);
    REQUIRE(!WIFSIGNALED(status), "child %d was killed by signal %d", (int)pid, WTERMSIG(status));
    REQUIRE(WEXITSTATUS(status) == 0, "child %d failed", (int)pid);
}

bool children_poll(void)
{
    int status;
    bool any = false;

    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        if (children[i] > 0 && waitpid(children[i], &status, WNOHANG) == children[i]) {
            child_judge(children[i], status);
            any = true;
        }
    return any;
}

void children_wait(void)
{
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        while (children[i] > 0) {
            int status;
            /* Whichever ends first, so that a failure is not waited for behind a child that depends on it. */
            pid_t pid = waitpid(-1, &status, 0);
            if (pid > 0)
                child_judge(pid, status);
        }
}
