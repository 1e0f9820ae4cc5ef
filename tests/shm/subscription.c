/*
 * subscription.c: callbacks fire for real changes, once, in order; and whatever fails loses none.
 *
 * The library's allocations go through functions of ours (linker option --wrap), so that any of them can fail.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <shm/subscription_private.h>
#include <sys/wait.h>

TestSuite(subscription, .fini = names_clean, .timeout = 240);

/* ---- memory that runs out ---------------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

/* The allocation of this thread that fails, counted down; 0: none. */
static _Thread_local unsigned failing;

static bool memory_is_out(void)
{
    return failing > 0 && --failing == 0;
}

void *__wrap_malloc(size_t size)
{
    return memory_is_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_is_out() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return memory_is_out() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return memory_is_out() ? NULL : __real_strdup(text);
}

/* What this thread frees while it is not NULL is searched for it. */
static _Thread_local const char *searched;
static unsigned found, freed;

void __wrap_free(void *memory)
{
    if (searched != NULL && memory != NULL) {
        freed++;
        found += memmem(memory, malloc_usable_size(memory), searched, strlen(searched)) != NULL;
    }
    __real_free(memory);
}

/* ---- what callbacks say, as text --------------------------------------------------------------------------------- */

static char said[8192];
static size_t said_length;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    said_length += (size_t)vsnprintf(said + said_length, sizeof said - said_length, format, arguments);
    va_end(arguments);
    cr_assert_lt(said_length, sizeof said);
}

static void say_setting(bool has, const cfgs_setting *setting)
{
    cr_assert_eq(setting->source == CFGS_SOURCE_NONE, !has);
    if (!has)
        say("-");
    else if (setting->value.kind == CFGS_KIND_INT)
        say("%lld", (long long)setting->value.as.integer);
    else
        say("'%.*s'", (int)setting->value.as.bytes.length, setting->value.as.bytes.data);
}

/* "name key old>new", a '*' for one found by a snapshot, and a blank behind. */
static void on_change(void *name, const cfgs_change *change)
{
    cr_assert_eq(change->key.data[change->key.length], '\0');
    say("%s%s%s:", (const char *)name, change->key.data, change->from_snapshot ? "*" : "");
    say_setting(change->has_old, &change->old);
    say(">");
    say_setting(change->has_new, &change->now);
    say(" ");
}

static char no_name[] = "", first_name[] = "1/", second_name[] = "2/", third_name[] = "3/";

static void expect_said(int line, const char *expected)
{
    cr_assert_str_eq(said, expected, "line %d: said \"%s\", not \"%s\"", line, said, expected);
    said[said_length = 0] = '\0';
}

/* Dispatch all that is there: what was said is this. */
#define says(subscription, expected)                                                                                   \
    do {                                                                                                               \
        size_t says_changes_, says_counted_ = 0;                                                                       \
        ok(cfgs_subscription_dispatch(subscription, 0, &says_changes_));                                               \
        for (const char *says_at_ = said; (says_at_ = strchr(says_at_, ' ')) != NULL; says_at_++)                      \
            says_counted_++;                                                                                           \
        cr_assert_eq(says_changes_, says_counted_);                                                                    \
        expect_said(__LINE__, expected);                                                                               \
    } while (0)

struct scene {
    cfgs_publisher *publisher;
    cfgs_reader *reader;
    cfgs_subscription *subscription;
};

static struct scene scene_open(uint32_t ring_slots)
{
    struct scene scene = {.publisher = publish_in_memory(ring_slots)};
    scene.reader = reader_of(scene.publisher);
    ok(cfgs_subscription_open(scene.reader, &scene.subscription));
    return scene;
}

static void scene_close(struct scene *scene)
{
    cfgs_subscription_close(scene->subscription);
    cfgs_reader_close(scene->reader);
    cfgs_publisher_close(scene->publisher, false);
}

static void watch_key(cfgs_subscription *s, const char *key, unsigned flags, char *name)
{
    ok(cfgs_subscription_watch_key(s, key, flags, on_change, name));
}

static void watch_prefix(cfgs_subscription *s, const char *prefix, unsigned flags, char *name)
{
    ok(cfgs_subscription_watch_prefix(s, prefix, flags, on_change, name));
}

/* Make the subscription's next event a snapshot. */
static void lap(struct scene *scene)
{
    for (int i = 0; i < 40; i++)
        set_int(scene->publisher, "zz.lap", (int)cfgs_publisher_sequence(scene->publisher));
}

/* ---- what fires -------------------------------------------------------------------------------------------------- */

Test(subscription, calls_for_the_changes_of_a_key_with_old_and_new)
{
    struct scene c = scene_open(64);

    watch_key(c.subscription, "log_level", 0, no_name);
    set_text(c.publisher, "log_level", "info");
    cr_assert_eq(cfgs_subscription_sequence(c.subscription), 0);
    says(c.subscription, ""); /* the first state is no change */
    cr_assert_eq(cfgs_subscription_sequence(c.subscription), 1);
    fails(CFGS_ERR_TIMEOUT, cfgs_subscription_dispatch(c.subscription, 0, NULL));
    set_text(c.publisher, "log_level", "debug");
    set_int(c.publisher, "other", 1);
    set_int(c.publisher, "log_level", 7);
    says(c.subscription, "log_level:'info'>'debug' log_level:'debug'>7 ");
    cr_assert_eq(cfgs_subscription_sequence(c.subscription), 4);
    set_int(c.publisher, "other", 2);
    says(c.subscription, ""); /* CFGS_OK: something came */
    remove_key(c.publisher, "log_level");
    says(c.subscription, "log_level:7>- ");
    set_int(c.publisher, "log_level", 7);
    says(c.subscription, "log_level:->7 ");
    scene_close(&c);
}

Test(subscription, a_key_that_is_not_there_yet_is_told_when_it_comes)
{
    struct scene c = scene_open(64);

    watch_key(c.subscription, "later", CFGS_WATCH_INITIAL, no_name);
    first_commit(c.publisher);
    says(c.subscription, "");
    set_int(c.publisher, "later", 1);
    says(c.subscription, "later:->1 ");
    remove_key(c.publisher, "later");
    set_int(c.publisher, "later", 1);
    says(c.subscription, "later:1>- later:->1 ");
    scene_close(&c);
}

static bool fired;
static void on_source(void *context, const cfgs_change *change)
{
    (void)context;
    fired = true;
    cr_assert(change->has_old && change->has_new);
    cr_assert(cfgs_value_equal(&change->old.value, &change->now.value));
    cr_assert(bytes_are(change->old.source_name, "file"));
    cr_assert(bytes_are(change->now.source_name, "cli"));
    cr_assert_eq(change->old.source, CFGS_SOURCE_FILE);
    cr_assert_eq(change->now.source, CFGS_SOURCE_CLI);
    cr_assert(bytes_are(change->now.key, "a") && bytes_are(change->old.key, "a"));
    cr_assert(change->old.sequence < change->now.sequence && change->now.sequence == change->sequence);
}

Test(subscription, another_source_is_a_change_and_other_flags_are_none)
{
    struct scene c = scene_open(64);
    cfgs_setting setting = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);

    ok(cfgs_subscription_watch_key(c.subscription, "a", 0, on_source, NULL));
    ok(cfgs_publisher_set(c.publisher, &setting, CFGS_SOURCE_NONE, NULL));
    says(c.subscription, "");
    setting.flags = CFGS_SETTING_SECRET;
    bool changed;
    ok(cfgs_publisher_set(c.publisher, &setting, CFGS_SOURCE_NONE, &changed));
    cr_assert(changed);
    says(c.subscription, "");
    cr_assert_not(fired);
    set_value(c.publisher, "a", cfgs_value_int(1), CFGS_SOURCE_CLI);
    ok(cfgs_subscription_dispatch(c.subscription, 0, NULL));
    cr_assert(fired);
    scene_close(&c);
}

Test(subscription, watches_of_one_key_are_called_in_the_order_they_were_added)
{
    struct scene c = scene_open(64);

    watch_prefix(c.subscription, "logs.", 0, first_name);
    watch_key(c.subscription, "logs.a", 0, second_name);
    watch_prefix(c.subscription, "", 0, third_name);
    watch_key(c.subscription, "logs.a", 0, first_name);
    watch_prefix(c.subscription, "logs.a.", 0, no_name);
    first_commit(c.publisher);
    says(c.subscription, "");
    set_int(c.publisher, "logs.a", 1);
    says(c.subscription, "1/logs.a:->1 2/logs.a:->1 3/logs.a:->1 1/logs.a:->1 ");
    set_int(c.publisher, "logs", 1);
    set_int(c.publisher, "logs.a.b", 1);
    says(c.subscription, "3/logs:->1 1/logs.a.b:->1 3/logs.a.b:->1 logs.a.b:->1 ");
    scene_close(&c);
}

Test(subscription, initial_watches_are_told_what_is_there_sorted_by_key)
{
    struct scene c = scene_open(64);

    load_ints(c.publisher, "k", 12, false);
    watch_prefix(c.subscription, "k1", CFGS_WATCH_INITIAL, first_name);
    watch_key(c.subscription, "k0", 0, no_name);
    watch_key(c.subscription, "k0", CFGS_WATCH_INITIAL, second_name);
    says(c.subscription, "2/k0*:->0 1/k1*:->1 1/k10*:->10 1/k11*:->11 ");
    scene_close(&c);
}

Test(subscription, a_snapshot_tells_the_difference_sorted_by_key_removals_among_them)
{
    struct scene c = scene_open(16);

    for (int i = 0; i < 6; i++) {
        char key[] = {'k', (char)('a' + i), '\0'};
        set_int(c.publisher, key, i);
    }
    watch_prefix(c.subscription, "k", 0, no_name);
    says(c.subscription, "");
    set_int(c.publisher, "kc", 20);
    remove_key(c.publisher, "kb");
    set_int(c.publisher, "kaa", 7);
    remove_key(c.publisher, "ke");
    set_int(c.publisher, "ke", 4); /* gone and back as it was: no change */
    set_int(c.publisher, "kx", 1); /* there for a while only: no change either */
    remove_key(c.publisher, "kx");
    remove_key(c.publisher, "kf");
    lap(&c);
    says(c.subscription, "kaa*:->7 kb*:1>- kc*:2>20 kf*:5>- ");
    cr_assert_eq(cfgs_subscription_sequence(c.subscription), cfgs_publisher_sequence(c.publisher));
    set_int(c.publisher, "ke", 5);
    set_int(c.publisher, "kb", 1);
    says(c.subscription, "ke:4>5 kb:->1 ");
    scene_close(&c);
}

Test(subscription, a_bulk_load_of_what_was_there_tells_nothing)
{
    struct scene c = scene_open(16);

    load_ints(c.publisher, "k", 100, false);
    watch_prefix(c.subscription, "", 0, no_name);
    says(c.subscription, "");
    set_int(c.publisher, "old", 1);
    says(c.subscription, "old:->1 ");
    cfgs_batch *batch;
    ok(cfgs_batch_begin(c.publisher, &batch));
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        cfgs_setting setting = setting_of(key, cfgs_value_int(i == 50 ? -1 : i), CFGS_SOURCE_FILE);
        ok(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
    }
    cfgs_batch_replace(batch);
    cfgs_batch_at(batch, 5000); /* as one who passes a snapshot on does */
    ok(cfgs_batch_commit(batch, NULL));
    says(c.subscription, "k50*:50>-1 old*:1>- ");
    cr_assert_eq(cfgs_subscription_sequence(c.subscription), 5000);
    scene_close(&c);
}

/* ---- later watches ----------------------------------------------------------------------------------------------- */

/* Meanwhile more comes than the ring holds. */
static void on_change_slowly(void *publisher, const cfgs_change *change)
{
    on_change(no_name, change);
    if (change->now.value.as.integer != 2)
        return;
    for (int i = 3; i <= 60; i++)
        set_int(publisher, "k", i);
    remove_key(publisher, "gone");
}

Test(subscription, a_slow_callback_loses_nothing_but_time)
{
    struct scene c = scene_open(16);

    set_int(c.publisher, "k", 1);
    set_int(c.publisher, "gone", 1);
    ok(cfgs_subscription_watch_key(c.subscription, "k", 0, on_change_slowly, c.publisher));
    watch_key(c.subscription, "gone", 0, no_name);
    says(c.subscription, "");
    set_int(c.publisher, "k", 2);
    while (cfgs_subscription_dispatch(c.subscription, 0, NULL) == CFGS_OK)
        continue;
    expect_said(__LINE__, "k:1>2 gone*:1>- k*:2>60 ");
    cr_assert_eq(cfgs_subscription_sequence(c.subscription), cfgs_publisher_sequence(c.publisher));
    scene_close(&c);
}

Test(subscription, later_watches_start_with_the_next_dispatch_and_disturb_nobody)
{
    struct scene c = scene_open(64);

    set_int(c.publisher, "a", 1);
    set_int(c.publisher, "b", 1);
    watch_key(c.subscription, "a", 0, first_name);
    says(c.subscription, "");
    watch_key(c.subscription, "b", CFGS_WATCH_INITIAL, second_name);
    watch_prefix(c.subscription, "a", CFGS_WATCH_INITIAL, third_name);
    set_int(c.publisher, "b", 2);
    says(c.subscription, "3/a*:->1 2/b*:->2 ");
    watch_key(c.subscription, "b", 0, first_name);
    says(c.subscription, "");
    fails(CFGS_ERR_TIMEOUT, cfgs_subscription_dispatch(c.subscription, 0, NULL));
    set_int(c.publisher, "a", 3);
    set_int(c.publisher, "b", 3);
    says(c.subscription, "1/a:1>3 3/a:1>3 2/b:2>3 1/b:2>3 ");
    scene_close(&c);
}

static struct scene *adding;
static int to_add;

/* Each call adds watches, enough to move all that the library keeps of them. */
static void on_change_add(void *name, const cfgs_change *change)
{
    on_change(name, change);
    for (int i = 0; i < to_add; i++) {
        char key[32];
        snprintf(key, sizeof key, "added%d", i);
        watch_key(adding->subscription, key, CFGS_WATCH_INITIAL, second_name);
    }
    if (to_add > 0)
        watch_prefix(adding->subscription, "add", CFGS_WATCH_INITIAL, third_name);
    to_add = 0;
    fails(CFGS_ERR_INVALID, cfgs_subscription_dispatch(adding->subscription, 0, NULL));
    cr_assert_eq(cfgs_subscription_sequence(adding->subscription), change->sequence);
}

Test(subscription, a_callback_may_add_watches)
{
    struct scene c = scene_open(64);

    adding = &c;
    ok(cfgs_subscription_watch_prefix(c.subscription, "", CFGS_WATCH_INITIAL, on_change_add, first_name));
    set_int(c.publisher, "added3", 3);
    set_int(c.publisher, "b", 1);
    to_add = 100;
    says(c.subscription, "1/added3*:->3 1/b*:->1 ");
    says(c.subscription, "2/added3*:->3 3/added3*:->3 ");
    to_add = 100; /* the same once more, from an update in the midst of others */
    set_int(c.publisher, "b", 2);
    set_int(c.publisher, "added3", 4);
    says(c.subscription, "1/b:1>2 1/added3:3>4 2/added3:3>4 3/added3:3>4 ");
    says(c.subscription, "2/added3*:->4 3/added3*:->4 ");
    scene_close(&c);
}

Test(subscription, an_event_loop_is_woken_for_a_watch_that_was_added)
{
    struct scene c = scene_open(64);
    struct pollfd poller = {.events = POLLIN};

    set_int(c.publisher, "a", 1);
    ok(cfgs_reader_fd(c.reader, &poller.fd));
    while (poll(&poller, 1, 50) == 1)
        (void)!cfgs_subscription_dispatch(c.subscription, 0, NULL);
    watch_key(c.subscription, "a", CFGS_WATCH_INITIAL, no_name);
    cr_assert_eq(poll(&poller, 1, 0), 1);
    says(c.subscription, "a*:->1 ");
    while (poll(&poller, 1, 50) == 1)
        (void)!cfgs_subscription_dispatch(c.subscription, 0, NULL);
    set_int(c.publisher, "a", 2);
    cr_assert_eq(poll(&poller, 1, 10000), 1);
    says(c.subscription, "a:1>2 ");
    scene_close(&c);
}

/* ---- the life of the producer ------------------------------------------------------------------------------------ */

Test(subscription, a_producer_that_closes_comes_back_and_is_replaced_is_followed)
{
    const char *instance = new_instance();
    cfgs_reader *r = open_reader(instance);
    cfgs_subscription *s;

    ok(cfgs_subscription_open(r, &s));
    watch_prefix(s, "", 0, no_name);
    fails(CFGS_ERR_TIMEOUT, cfgs_subscription_dispatch(s, 0, NULL));
    cfgs_publisher *p = publish(instance);
    set_int(p, "a", 1);
    set_int(p, "b", 1);
    set_int(p, "b", 2);
    says(s, "");
    set_int(p, "a", 2);
    cfgs_publisher_close(p, false);
    says(s, "a:1>2 ");
    fails(CFGS_ERR_CLOSED, cfgs_subscription_dispatch(s, 0, NULL));
    fails(CFGS_ERR_TIMEOUT, cfgs_subscription_dispatch(s, 0, NULL));
    p = publish(instance);
    set_int(p, "a", 3);
    says(s, "a:2>3 ");
    /* Another arena, with lower IDs: only what differs is told. */
    cfgs_publisher_close(p, true);
    p = publish_with(instance, (cfgs_publisher_options){.max_size = 64u << 20, .first_sequence = 1});
    cfgs_batch *batch;
    ok(cfgs_batch_begin(p, &batch));
    cfgs_setting same = setting_of("a", cfgs_value_int(3), CFGS_SOURCE_FILE);
    cfgs_setting more = setting_of("c", cfgs_value_int(1), CFGS_SOURCE_FILE);
    ok(cfgs_batch_set(batch, &same, CFGS_SOURCE_NONE));
    ok(cfgs_batch_set(batch, &more, CFGS_SOURCE_NONE));
    ok(cfgs_batch_commit(batch, NULL));
    says(s, "b*:2>- c*:->1 ");
    cr_assert_eq(cfgs_subscription_sequence(s), cfgs_publisher_sequence(p));
    cfgs_subscription_close(s);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(subscription, a_second_subscription_on_a_used_reader_begins_with_the_state)
{
    struct scene c = scene_open(64);

    set_int(c.publisher, "a", 1);
    watch_key(c.subscription, "a", CFGS_WATCH_INITIAL, no_name);
    says(c.subscription, "a*:->1 ");
    cfgs_subscription_close(c.subscription);
    ok(cfgs_subscription_open(c.reader, &c.subscription));
    watch_key(c.subscription, "a", CFGS_WATCH_INITIAL, no_name);
    says(c.subscription, "a*:->1 ");
    scene_close(&c);
}

Test(subscription, an_interruption_ends_a_wait)
{
    struct scene c = scene_open(64);

    first_commit(c.publisher);
    says(c.subscription, "");
    cfgs_reader_interrupt(c.reader);
    fails(CFGS_ERR_INTERRUPTED, cfgs_subscription_dispatch(c.subscription, CFGS_FOREVER, NULL));
    scene_close(&c);
}

Test(subscription, a_wait_ends_with_the_change_and_with_its_time)
{
    struct scene c = scene_open(64);

    first_commit(c.publisher);
    watch_key(c.subscription, "a", 0, no_name);
    says(c.subscription, "");
    fails(CFGS_ERR_TIMEOUT, cfgs_subscription_dispatch(c.subscription, 20, NULL));
    set_int(c.publisher, "a", 1);
    ok(cfgs_subscription_dispatch(c.subscription, 10000, NULL));
    expect_said(__LINE__, "a:->1 ");
    scene_close(&c);
}

Test(subscription, a_child_is_refused)
{
    struct scene c = scene_open(64);
    int status;

    set_int(c.publisher, "a", 1);
    says(c.subscription, "");
    set_int(c.publisher, "a", 2);
    pid_t pid = fork();
    if (pid == 0) {
        cfgs_subscription *other;
        bool refused = cfgs_subscription_dispatch(c.subscription, 0, NULL) == CFGS_ERR_FORKED &&
                       cfgs_subscription_open(c.reader, &other) == CFGS_ERR_FORKED;
        cfgs_subscription_close(c.subscription); /* frees its copy */
        _exit(refused ? 0 : 1);
    }
    cr_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ok(cfgs_subscription_dispatch(c.subscription, 0, NULL));
    scene_close(&c);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static struct scene *busy;
static int64_t busy_calls;

/* A producer that is as fast as the callbacks. */
static void on_change_publish(void *context, const cfgs_change *change)
{
    (void)context, (void)change;
    set_int(busy->publisher, "a", 1000 + busy_calls++);
}

Test(subscription, a_producer_that_never_rests_does_not_keep_a_dispatch)
{
    struct scene c = scene_open(64);
    size_t changes;

    busy = &c;
    set_int(c.publisher, "a", 0);
    ok(cfgs_subscription_watch_key(c.subscription, "a", 0, on_change_publish, NULL));
    ok(cfgs_subscription_dispatch(c.subscription, 0, NULL));
    for (int i = 1; i <= 3; i++)
        set_int(c.publisher, "a", i);
    ok(cfgs_subscription_dispatch(c.subscription, 0, &changes));
    cr_assert(changes >= 3 && changes <= 4, "%zu", changes);
    size_t published = changes;
    ok(cfgs_subscription_dispatch(c.subscription, 0, &changes));
    cr_assert(changes <= published + 1, "%zu after %zu", changes, published);
    scene_close(&c);
}

Test(subscription, keys_that_come_and_go_leave_nothing_behind)
{
    struct scene c = scene_open(16);
    const struct watched *watched = &c.subscription->watched;
    char key[32];

    watch_prefix(c.subscription, "", 0, no_name);
    watch_key(c.subscription, "kept", 0, no_name);
    first_commit(c.publisher);
    says(c.subscription, "");
    for (int i = 0; i < 1000; i++) {
        size_t changes;
        snprintf(key, sizeof key, "k%d", i);
        set_int(c.publisher, key, i);
        ok(cfgs_subscription_dispatch(c.subscription, 0, NULL));
        remove_key(c.publisher, key);
        if (i % 10 == 0) {
            lap(&c);
            remove_key(c.publisher, "zz.lap");
        }
        ok(cfgs_subscription_dispatch(c.subscription, 0, &changes));
        cr_assert_eq(changes, 1);
        said[said_length = 0] = '\0';
        cr_assert_eq(watched->count, 1, "%zu", watched->count);
    }
    cr_assert_leq(watched->capacity, 64, "%zu", watched->capacity);
    scene_close(&c);
}

Test(subscription, wrong_watches_are_refused)
{
    struct scene c = scene_open(64);
    cfgs_subscription *s = c.subscription;
    char longest[CFGS_KEY_MAX_BYTES + 2];

    memset(longest, 'k', sizeof longest);
    longest[CFGS_KEY_MAX_BYTES + 1] = '\0';
    fails(CFGS_ERR_INVALID, cfgs_subscription_watch_key(s, "", 0, on_change, no_name));
    fails(CFGS_ERR_INVALID, cfgs_subscription_watch_key(s, NULL, 0, on_change, no_name));
    fails(CFGS_ERR_INVALID, cfgs_subscription_watch_key(s, "a", 0, NULL, no_name));
    fails(CFGS_ERR_INVALID, cfgs_subscription_watch_key(s, "a", 2, on_change, no_name));
    fails(CFGS_ERR_INVALID, cfgs_subscription_watch_prefix(s, NULL, 0, on_change, no_name));
    fails(CFGS_ERR_INVALID, cfgs_subscription_watch_prefix(s, "", 0x80000001u, on_change, no_name));
    fails(CFGS_ERR_TOO_LARGE, cfgs_subscription_watch_key(s, longest, 0, on_change, no_name));
    fails(CFGS_ERR_TOO_LARGE, cfgs_subscription_watch_prefix(s, longest, 0, on_change, no_name));
    fails(CFGS_ERR_INVALID, cfgs_subscription_open(NULL, &s));
    longest[CFGS_KEY_MAX_BYTES] = '\0';
    watch_key(c.subscription, longest, 0, no_name);
    first_commit(c.publisher);
    says(c.subscription, "");
    set_int(c.publisher, longest, 1);
    size_t changes;
    ok(cfgs_subscription_dispatch(c.subscription, 0, &changes));
    cr_assert_eq(changes, 1);
    cfgs_subscription_close(NULL);
    scene_close(&c);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Let the 1st, 2nd, ... allocation fail until the call gets by; the number of failures. */
#define WITHOUT_MEMORY(failures, call)                                                                                 \
    do {                                                                                                               \
        int without_result_;                                                                                           \
        for (unsigned n_ = 1;; n_++) {                                                                                 \
            failing = n_;                                                                                              \
            without_result_ = (call);                                                                                  \
            bool got_by_ = failing > 0;                                                                                \
            failing = 0;                                                                                               \
            if (got_by_ || without_result_ == CFGS_OK)                                                                 \
                break;                                                                                                 \
            cr_assert_eq(without_result_, CFGS_ERR_MEMORY, "%s", cfgs_strerror(without_result_));                      \
            (failures)++;                                                                                              \
        }                                                                                                              \
        ok(without_result_);                                                                                           \
    } while (0)

/* Add a watch to a subscription that has none, with the nth allocation failing; whether one did. */
static bool added_without_memory(cfgs_reader *reader, bool prefix, unsigned n)
{
    cfgs_subscription *s;

    ok(cfgs_subscription_open(reader, &s));
    failing = n;
    int err = prefix ? cfgs_subscription_watch_prefix(s, "a", CFGS_WATCH_INITIAL, on_change, first_name)
                     : cfgs_subscription_watch_key(s, "a", CFGS_WATCH_INITIAL, on_change, first_name);
    bool failed = failing == 0;
    failing = 0;
    fails(failed ? CFGS_ERR_MEMORY : CFGS_OK, err);
    says(s, failed ? "" : "1/a*:->1 ");
    cfgs_subscription_close(s);
    return failed;
}

Test(subscription, memory_that_runs_out_adds_no_watch)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *r = reader_of(p);
    cfgs_subscription *s;
    unsigned failures = 0;

    set_int(p, "a", 1);
    failing = 1;
    fails(CFGS_ERR_MEMORY, cfgs_subscription_open(r, &s));
    while (added_without_memory(r, false, failures + 1))
        failures++;
    cr_assert_eq(failures, 3, "%u", failures); /* watches, table, entry */
    for (failures = 0; added_without_memory(r, true, failures + 1);)
        failures++;
    cr_assert_eq(failures, 2, "%u", failures); /* watches, text */
    cfgs_reader_close(r);
    cfgs_publisher_close(p, false);
}

Test(subscription, memory_that_runs_out_anywhere_loses_no_change)
{
    struct scene c = scene_open(64);
    unsigned failures = 0;

    watch_key(c.subscription, "a", CFGS_WATCH_INITIAL, first_name);
    watch_prefix(c.subscription, "p", 0, second_name);
    set_int(c.publisher, "a", 1);
    load_ints(c.publisher, "p", 20, false);
    WITHOUT_MEMORY(failures, cfgs_subscription_dispatch(c.subscription, 0, NULL));
    cr_assert_geq(failures, 40, "%u", failures); /* a copy and an entry of each */
    expect_said(__LINE__, "1/a*:->1 ");
    failures = 0;
    set_int(c.publisher, "a", 2);
    set_text(c.publisher, "pp", "text");
    remove_key(c.publisher, "p0");
    remove_key(c.publisher, "a");
    WITHOUT_MEMORY(failures, cfgs_subscription_dispatch(c.subscription, 0, NULL));
    cr_assert_geq(failures, 2, "%u", failures);
    expect_said(__LINE__, "1/a:1>2 2/pp:->'text' 2/p0:0>- 1/a:2>- ");
    scene_close(&c);
}

Test(subscription, an_event_loop_is_woken_for_what_memory_did_not_suffice_for)
{
    struct scene c = scene_open(64);
    struct pollfd poller = {.events = POLLIN};

    set_int(c.publisher, "a", 1);
    watch_key(c.subscription, "a", 0, no_name);
    ok(cfgs_reader_fd(c.reader, &poller.fd));
    while (poll(&poller, 1, 50) == 1)
        (void)!cfgs_subscription_dispatch(c.subscription, 0, NULL);
    set_int(c.publisher, "a", 2);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(poll(&poller, 1, 10000), 1);
        failing = 1;
        fails(CFGS_ERR_MEMORY, cfgs_subscription_dispatch(c.subscription, 0, NULL));
    }
    cr_assert_eq(poll(&poller, 1, 10000), 1);
    says(c.subscription, "a:1>2 ");
    scene_close(&c);
}

Test(subscription, copies_are_wiped_when_they_are_freed)
{
    static const char secret[] = "a secret that nobody else has";
    struct scene c = scene_open(16);

    watch_prefix(c.subscription, "s", 0, no_name);
    for (int i = 0; i < 4; i++) {
        char key[] = {'s', (char)('a' + i), '\0'};
        set_text(c.publisher, key, secret);
    }
    says(c.subscription, "");
    set_int(c.publisher, "sa", 1);
    remove_key(c.publisher, "sb");
    searched = secret;
    ok(cfgs_subscription_dispatch(c.subscription, 0, NULL)); /* by updates */
    searched = NULL;
    remove_key(c.publisher, "sc");
    lap(&c);
    searched = secret;
    ok(cfgs_subscription_dispatch(c.subscription, 0, NULL)); /* by a snapshot */
    cr_assert_geq(freed, 3);
    cfgs_subscription_close(c.subscription);
    searched = NULL;
    cr_assert_eq(found, 0, "%u of %u", found, freed);
    cfgs_reader_close(c.reader);
    cfgs_publisher_close(c.publisher, false);
}

/* ---- at random, against a model ---------------------------------------------------------------------------------- */

enum { MODEL_KEYS = 60, MODEL_WATCHES = 6, ROUNDS = 6000 };

struct state {
    bool has;
    int64_t value;
    int source;
};

static char model_keys[MODEL_KEYS][16];
static struct state truth[MODEL_KEYS];

struct model_watch {
    const char *text;
    bool prefix;
    unsigned flags;
    bool added;
    struct state told[MODEL_KEYS];
    uint64_t calls, updates, last_sequence;
    int last_key;
};

static struct model_watch model_watches[MODEL_WATCHES] = {
    {.text = "a.1"},
    {.text = "a.", .prefix = true, .flags = CFGS_WATCH_INITIAL},
    {.text = "", .prefix = true},
    {.text = "b.1", .prefix = true, .flags = CFGS_WATCH_INITIAL},
    {.text = "c.7", .flags = CFGS_WATCH_INITIAL},
    {.text = "", .prefix = true, .flags = CFGS_WATCH_INITIAL},
};

static bool model_matches(const struct model_watch *watch, const char *key)
{
    return watch->prefix ? strncmp(key, watch->text, strlen(watch->text)) == 0 : strcmp(key, watch->text) == 0;
}

static bool state_equals(const struct state *a, const struct state *b)
{
    return a->has == b->has && (!a->has || (a->value == b->value && a->source == b->source));
}

/* Some values are text, so that they have bytes to be copied and freed. */
static cfgs_value model_value(int64_t value, char *text, size_t size)
{
    if (value % 2 == 0)
        return cfgs_value_int(value);
    return cfgs_value_string(text, (size_t)snprintf(text, size, "%lld", (long long)value));
}

static struct state state_of(bool has, const cfgs_setting *setting)
{
    char text[32] = "";

    if (!has)
        return (struct state){0};
    if (setting->value.kind == CFGS_KIND_INT)
        return (struct state){true, setting->value.as.integer, setting->source};
    cr_assert_lt(setting->value.as.bytes.length, sizeof text);
    memcpy(text, setting->value.as.bytes.data, setting->value.as.bytes.length);
    return (struct state){true, atoll(text), setting->source};
}

static int model_index(const char *key)
{
    return (key[0] - 'a') * 20 + atoi(key + 2);
}

static void on_model_change(void *context, const cfgs_change *change)
{
    struct model_watch *watch = context;
    int which = model_index(change->key.data);
    struct state old = state_of(change->has_old, &change->old), now = state_of(change->has_new, &change->now);

    cr_assert(model_matches(watch, change->key.data));
    cr_assert(state_equals(&old, &watch->told[which]), "%s: the old state is not what was told last", change->key.data);
    cr_assert_not(state_equals(&old, &now), "%s: called without a change", change->key.data);
    if (change->from_snapshot && watch->last_sequence == change->sequence)
        cr_assert_lt(strcmp(model_keys[watch->last_key], change->key.data), 0, "not sorted by key");
    cr_assert_geq(change->sequence, watch->last_sequence);
    watch->last_key = which;
    watch->last_sequence = change->sequence;
    watch->told[which] = now;
    watch->calls++;
    watch->updates += !change->from_snapshot;
}

static void model_put(cfgs_batch *batch, cfgs_publisher *publisher, int which, uint64_t *seed)
{
    char text[32];
    struct state state = {true, (int64_t)(random_next(seed) % 5), random_next(seed) % 4 == 0 ? CFGS_SOURCE_CLI
                                                                                             : CFGS_SOURCE_FILE};
    cfgs_setting setting = setting_of(model_keys[which], model_value(state.value, text, sizeof text), state.source);

    truth[which] = state;
    ok(batch != NULL ? cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE)
                     : cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL));
}

static void model_remove(cfgs_batch *batch, cfgs_publisher *publisher, int which)
{
    const char *key = model_keys[which];

    truth[which] = (struct state){0};
    ok(batch != NULL ? cfgs_batch_remove(batch, key, strlen(key), CFGS_SOURCE_FILE)
                     : cfgs_publisher_remove(publisher, key, strlen(key), CFGS_SOURCE_FILE, NULL));
}

static void model_batch(cfgs_publisher *publisher, bool replace, uint64_t *seed)
{
    cfgs_batch *batch;

    ok(cfgs_batch_begin(publisher, &batch));
    if (replace)
        memset(truth, 0, sizeof truth);
    for (uint64_t n = random_next(seed) % MODEL_KEYS; n > 0; n--) {
        int which = (int)(random_next(seed) % MODEL_KEYS);
        if (random_next(seed) % 4 == 0)
            model_remove(batch, publisher, which);
        else
            model_put(batch, publisher, which, seed);
    }
    if (replace)
        cfgs_batch_replace(batch);
    ok(cfgs_batch_commit(batch, NULL));
}

static void model_change(cfgs_publisher *publisher, uint64_t *seed)
{
    int which = (int)(random_next(seed) % MODEL_KEYS);

    switch (random_next(seed) % 16) {
    case 0:
        model_batch(publisher, false, seed);
        break;
    case 1:
        model_batch(publisher, random_next(seed) % 4 == 0, seed);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        model_remove(NULL, publisher, which);
        break;
    default:
        model_put(NULL, publisher, which, seed);
    }
}

/* The state at its start is what a watch without CFGS_WATCH_INITIAL knows untold. */
static void model_add(cfgs_subscription *s, struct model_watch *watch)
{
    ok(watch->prefix ? cfgs_subscription_watch_prefix(s, watch->text, watch->flags, on_model_change, watch)
                     : cfgs_subscription_watch_key(s, watch->text, watch->flags, on_model_change, watch));
    watch->added = true;
    for (int i = 0; i < MODEL_KEYS && watch->flags == 0; i++)
        if (model_matches(watch, model_keys[i]))
            watch->told[i] = truth[i];
}

/* Dispatch to the end, without memory now and then. */
static void model_dispatch(struct scene *c, uint64_t *seed)
{
    int err;

    do {
        if (random_next(seed) % 3 == 0)
            failing = 1 + (unsigned)(random_next(seed) % 20);
        err = cfgs_subscription_dispatch(c->subscription, 0, NULL);
        bool ran_out = failing == 0;
        failing = 0;
        cr_assert(err == CFGS_OK || err == CFGS_ERR_TIMEOUT || (err == CFGS_ERR_MEMORY && ran_out), "%s",
                  cfgs_strerror(err));
        if (err == CFGS_ERR_TIMEOUT)
            cr_assert_eq(cfgs_subscription_sequence(c->subscription), cfgs_publisher_sequence(c->publisher));
    } while (err == CFGS_ERR_MEMORY ||
             cfgs_subscription_sequence(c->subscription) != cfgs_publisher_sequence(c->publisher));
}

static void model_compare(void)
{
    for (int w = 0; w < MODEL_WATCHES; w++)
        for (int i = 0; i < MODEL_KEYS && model_watches[w].added; i++)
            if (model_matches(&model_watches[w], model_keys[i]))
                cr_assert(state_equals(&model_watches[w].told[i], &truth[i]), "watch %d does not know %s", w,
                          model_keys[i]);
}

Test(subscription, random_changes_end_in_the_state_of_the_arena_and_fire_for_real_changes_only)
{
    struct scene c = scene_open(16);
    uint64_t seed = 20261127;

    for (int i = 0; i < MODEL_KEYS; i++)
        snprintf(model_keys[i], sizeof model_keys[i], "%c.%d", 'a' + i / 20, i % 20);
    first_commit(c.publisher);
    for (int round = 0, next = 0; round < ROUNDS; round++) {
        if (round % 500 == 0 && next < MODEL_WATCHES) { /* some at first, the others while changes go on */
            model_dispatch(&c, &seed);
            model_add(c.subscription, &model_watches[next++]);
            model_dispatch(&c, &seed);
        }
        model_change(c.publisher, &seed);
        if (random_next(&seed) % 6 != 0)
            continue;
        model_dispatch(&c, &seed);
        model_compare();
    }
    for (int w = 0; w < MODEL_WATCHES; w++)
        cr_assert(model_watches[w].updates > 20 && model_watches[w].calls > model_watches[w].updates + 20,
                  "watch %d: %llu calls, %llu by updates", w, (unsigned long long)model_watches[w].calls,
                  (unsigned long long)model_watches[w].updates);
    scene_close(&c);
}

/* ---- beside a producer that recycles what is being read ---------------------------------------------------------- */

enum { BULK_KEYS = 300, BULK_ROUNDS = 1500 };

static int64_t bulk_told[BULK_KEYS];
static size_t bulk_there;

/* Every key has the same value, the number of the load, at each point in time. */
static void bulk_publish(cfgs_publisher *publisher, int64_t round)
{
    cfgs_batch *batch;
    char key[16];

    ok(cfgs_batch_begin(publisher, &batch));
    for (int i = round % 7; i < BULK_KEYS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cfgs_setting setting = setting_of(key, cfgs_value_int(round), CFGS_SOURCE_FILE);
        ok(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
    }
    cfgs_batch_replace(batch);
    ok(cfgs_batch_commit(batch, NULL));
}

static void *bulk_main(void *publisher)
{
    for (int64_t round = 1; round <= BULK_ROUNDS; round++)
        bulk_publish(publisher, round);
    return NULL;
}

static void on_bulk(void *context, const cfgs_change *change)
{
    int64_t *told = &bulk_told[atoi(change->key.data + 1)];

    (void)context;
    cr_assert_eq(change->has_old, *told != 0);
    cr_assert(!change->has_old || change->old.value.as.integer == *told);
    bulk_there += (size_t)change->has_new - (size_t)change->has_old;
    *told = change->has_new ? change->now.value.as.integer : 0;
}

/* What was told last is the whole of one load, and nothing else. */
static int64_t bulk_check(void)
{
    int64_t round = bulk_told[BULK_KEYS - 1];

    for (int i = 0; i < BULK_KEYS; i++)
        cr_assert_eq(bulk_told[i], i < round % 7 ? 0 : round, "k%d is of load %lld, not %lld", i,
                     (long long)bulk_told[i], (long long)round);
    cr_assert_eq(bulk_there, (size_t)(BULK_KEYS - round % 7));
    return round;
}

Test(subscription, snapshots_that_are_recycled_while_they_are_read_are_told_whole_or_not_at_all)
{
    struct scene c = scene_open(64);
    pthread_t thread;
    size_t changes, told = 0;
    int err;

    bulk_publish(c.publisher, 7);
    ok(cfgs_subscription_watch_prefix(c.subscription, "", CFGS_WATCH_INITIAL, on_bulk, NULL));
    ok(cfgs_subscription_dispatch(c.subscription, 0, NULL));
    cr_assert_eq(bulk_check(), 7);
    cr_assert_eq(pthread_create(&thread, NULL, bulk_main, c.publisher), 0);
    while (bulk_check() != BULK_ROUNDS) {
        err = cfgs_subscription_dispatch(c.subscription, 10000, &changes);
        cr_assert(err == CFGS_OK || (err == CFGS_ERR_BUSY && changes == 0), "%s", cfgs_strerror(err));
        told += changes > 0;
    }
    pthread_join(thread, NULL);
    cr_assert_gt(told, 1);
    cr_assert_eq(c.subscription->watched.count, bulk_there);
    fails(CFGS_ERR_TIMEOUT, cfgs_subscription_dispatch(c.subscription, 0, NULL));
    scene_close(&c);
}
