/* life.c: locks, pids, forks and deletions around a living or dead producer.  SPDX-License-Identifier: Apache-2.0 */
#include <configstream/encoded.h>
#include <tests/shm/support.h>
#include <tests/support/threads_settle.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

TestSuite(life, .fini = names_clean);

static int reader_lock_fd = -1;

static int lock_for_reading(const char *path)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    reader_lock_fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(reader_lock_fd, 0);
    cr_assert_eq(fcntl(reader_lock_fd, F_OFD_SETLK, &lock), 0);
    return reader_lock_fd;
}

/* Without the descriptor that came with the fork, and the lock with it. */
static void producer_beside_the_lock(const char *instance)
{
    close(reader_lock_fd);
    producer_body(instance);
}

/* shm-pitfalls 14: a consumer can lock what it can read, and stops nobody. */
Test(life, a_readers_lock_on_the_arena_stops_no_producer_and_hides_no_death)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
    int fd = lock_for_reading(arena_path(instance));
    cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);

    struct child child = child_start(producer_beside_the_lock, instance);
    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING, "the heartbeat tells");
    cfgs_error_detail detail = {0};
    fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .detail = &detail}, &p));
    child_kill(&child);
    await_state(r, CFGS_PRODUCER_DEAD);
    cfgs_reader_close(r);
    close(fd);
}

Test(life, a_producer_takes_its_signal_lock_when_the_readers_lock_goes)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish(instance);
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
    int fd = lock_for_reading(arena_path(instance));
    struct child child = child_start(producer_beside_the_lock, instance);
    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    close(fd);
    /* Held again once a write lock shows to F_OFD_GETLK. */
    int probe = open(arena_path(instance), O_RDONLY | O_CLOEXEC);
    struct flock lock;
    for (int i = 0; i < 1000; i++) {
        lock = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET};
        cr_assert_eq(fcntl(probe, F_OFD_GETLK, &lock), 0);
        if (lock.l_type == F_WRLCK)
            break;
        usleep(10000); /* the pause of a bounded poll */
    }
    cr_assert_eq(lock.l_type, F_WRLCK);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    child_kill(&child);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD, "and death shows at once");
    close(probe);
    cfgs_reader_close(r);
}

/* ---- read-only --------------------------------------------------------------------------------------------------- */

static void try_to_write(const char *instance)
{
    cfgs_reader *r;
    char line[512];
    int found = 0;
    CHECK(cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &r) == CFGS_OK);
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char flags[8];
        if (strstr(line, instance) == NULL || sscanf(line, "%lx-%lx %7s", &from, &to, flags) != 3)
            continue;
        found++;
        CHECK(strcmp(flags, "r--s") == 0);
        CHECK(mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
    }
    fclose(maps);
    CHECK(found == 1);
    cfgs_reader_close(r);
}

/* shm-pitfalls 15 */
Test(life, a_readers_mapping_cannot_be_made_writable)
{
    const char *instance = new_instance();
    struct child producer = child_start(producer_body, instance);
    await_ready(&producer);
    struct child reader = child_start(try_to_write, instance);
    cr_assert_eq(child_end(&reader), 0);
    let_go(&producer);
    cr_assert_eq(child_end(&producer), 0);
}

/* ---- a changed root ---------------------------------------------------------------------------------------------- */

#define NO_CHROOT 251 /* no CHECK's line ends in this status */

static void load_as_of(cfgs_publisher *p, uint64_t sequence, int64_t value)
{
    cfgs_setting setting = {.key = {"a", 1}, .value = cfgs_value_int(value), .source = CFGS_SOURCE_FILE};
    cfgs_batch *batch;

    CHECK(cfgs_batch_begin(p, &batch) == CFGS_OK);
    cfgs_batch_snapshot(batch, sequence);
    CHECK(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE) == CFGS_OK);
    CHECK(cfgs_batch_commit(batch, NULL) == CFGS_OK);
}

static void follow_behind_a_chroot(const char *instance)
{
    cfgs_publisher *p;
    cfgs_reader *r, *late;
    int64_t value;

    (void)instance;
    if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0) /* while there is one thread */
        _exit(NO_CHROOT);
    CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.in_memory = true}, &p) == CFGS_OK);
    load_as_of(p, 10, 1);
    CHECK(cfgs_publisher_reader(p, &r) == CFGS_OK);
    CHECK(cfgs_get_int(r, "a", &value) == CFGS_OK && value == 1);
    if (chroot("/dev/shm") != 0 || chdir("/") != 0)
        _exit(NO_CHROOT);
    CHECK(access("/proc/self/fd", F_OK) != 0);
    load_as_of(p, 5, 2);
    CHECK(cfgs_get_int(r, "a", &value) == CFGS_OK && value == 2);
    CHECK(cfgs_publisher_reader(p, &late) == CFGS_OK);
    CHECK(cfgs_get_int(late, "a", &value) == CFGS_OK && value == 2);
    cfgs_reader_close(late);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

/* A program that locks itself in after its start still follows a source that begins anew. */
Test(life, readers_of_an_arena_in_memory_need_no_proc)
{
    struct child child = child_start(follow_behind_a_chroot, new_instance());
    int status = child_end(&child);

    if (status == NO_CHROOT)
        cr_skip_test("no root may be changed here");
    cr_assert_eq(status, 0, "child: %d (a signal if above 1000)", status);
}

/* ---- pids -------------------------------------------------------------------------------------------------------- */

/* shm-pitfalls 48 */
Test(life, a_zombie_producer_is_dead)
{
    const char *instance = new_instance();
    siginfo_t info;
    struct child child = child_start(producer_body, instance);
    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    cr_assert_eq(kill(child.pid, SIGKILL), 0);
    cr_assert_eq(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    cr_assert_eq(kill(child.pid, 0), 0, "its pid still answers");
    cr_assert_eq(status_of(r).pid, child.pid);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD);
    cfgs_publisher *p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CRASHED);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    cr_assert_eq(child_end(&child), 1000 + SIGKILL);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(life, a_reused_pid_is_no_sign_of_life)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_body, instance);
    await_ready(&child);
    child_kill(&child);
    int fd = open(arena_path(instance), O_RDWR | O_CLOEXEC);
    struct arena_header *header = mmap(NULL, ARENA_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq((void *)header, MAP_FAILED);
    close(fd);
    header->pid = (uint64_t)getpid(); /* a process that lives */
    cfgs_reader *r = open_reader(instance);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD);
    header->pid = 1;
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD);
    munmap(header, ARENA_HEADER_BYTES);
    cfgs_reader_close(r);
}

/* ---- forks ------------------------------------------------------------------------------------------------------- */

static void producer_with_a_child(const char *instance)
{
    cfgs_publisher *p;
    cfgs_setting a = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);
    int alive[2];
    CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &p) == CFGS_OK);
    CHECK(cfgs_publisher_set(p, &a, 0, NULL) == CFGS_OK);
    CHECK(pipe(alive) == 0);
    threads_settle();
    pid_t pid = fork();
    CHECK(pid >= 0);
    child_ready();
    child_go(); /* whichever of the two reads it; the other is killed or ends with it */
    _exit(0);
}

/* shm-pitfalls 49: as publisher.h says: a child that does not exec keeps the lock. */
Test(life, a_child_that_does_not_exec_keeps_its_dead_parents_lock)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_with_a_child, instance);
    cfgs_publisher *p;
    await_ready(&child);
    await_ready(&child); /* parent and child */
    cfgs_reader *r = open_reader(instance);
    cr_assert_eq(kill(child.pid, SIGKILL), 0);
    int status;
    cr_assert_eq(waitpid(child.pid, &status, 0), child.pid);
    fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &p));
    cr_assert_eq(int_of(r, "a"), 1);
    await_state(r, CFGS_PRODUCER_STALLED); /* locked, and no heartbeat */
    let_go(&child);                        /* the orphan ends */
    await_state(r, CFGS_PRODUCER_DEAD);
    p = publish_with(instance, (cfgs_publisher_options){0});
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CRASHED);
    close(child.to_child);
    close(child.from_child);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

static void producer_with_an_exec(const char *instance)
{
    cfgs_publisher *p;
    CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &p) == CFGS_OK);
    threads_settle();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execlp("sleep", "sleep", "30", (char *)NULL);
        _exit(1);
    }
    char path[64], target[256];
    for (int i = 0; i < 1000; i++) { /* until the exec took place */
        snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strstr(target, "test-faults") == NULL && n > 0)
            break;
        usleep(1000);
    }
    child_ready();
    child_go();
    kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    cfgs_publisher_close(p, true);
}

Test(life, a_child_that_execs_holds_no_lock_and_no_arena)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_with_an_exec, instance);
    char path[300], target[256];
    await_ready(&child);
    /* Neither arena nor lock is open in any child of the producer. */
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)child.pid, (int)child.pid);
    FILE *file = fopen(path, "r");
    int pid = 0;
    if (file == NULL || fscanf(file, "%d", &pid) != 1) {
        if (file != NULL)
            fclose(file);
        let_go(&child);
        (void)child_end(&child);
        cr_skip_test("/proc does not list children here");
    }
    fclose(file);
    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        cr_assert_null(strstr(target, instance), "descriptor %d: %s", fd, target);
    }
    let_go(&child);
    cr_assert_eq(child_end(&child), 0);
}

/* ---- deletions --------------------------------------------------------------------------------------------------- */

static void producer_that_keeps_its_names(const char *instance)
{
    cfgs_publisher *p;
    cfgs_setting a = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);
    bool moved;
    CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &p) == CFGS_OK);
    CHECK(cfgs_publisher_set(p, &a, 0, NULL) == CFGS_OK);
    child_ready();
    child_go();
    CHECK(cfgs_publisher_keep_names(p, &moved) == CFGS_OK && moved);
    a.value.as.integer = 2;
    CHECK(cfgs_publisher_set(p, &a, 0, NULL) == CFGS_OK && cfgs_publisher_sequence(p) == 2);
    child_ready();
    child_go();
    cfgs_publisher_close(p, true);
}

/* shm-pitfalls 18: with the reader in another process, asleep on the stream. */
Test(life, a_deleted_arena_is_republished_and_its_readers_follow)
{
    const char *instance = new_instance();
    cfgs_event event;
    struct child child = child_start(producer_that_keeps_its_names, instance);
    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cr_assert_eq(unlink(arena_path(instance)), 0);
    cr_assert_eq(int_of(r, "a"), 1);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_RUNNING);
    let_go(&child);
    ok(cfgs_reader_next(r, &event, CFGS_FOREVER));
    cr_assert(event.kind == CFGS_EVENT_SNAPSHOT && event.reason == CFGS_SNAPSHOT_REPLACED);
    await_ready(&child);
    while (cfgs_reader_sequence(r) < 2)
        ok(cfgs_reader_next(r, &event, CFGS_FOREVER));
    cr_assert_eq(int_of(r, "a"), 2);
    cr_assert_eq(status_of(r).settings, 1);
    let_go(&child);
    cr_assert_eq(child_end(&child), 0);
    cfgs_reader_close(r);
}

/* shm-pitfalls 50: a writer that was frozen and goes on is still the only one. */
Test(life, a_frozen_writer_goes_on_where_it_was)
{
    const char *instance = new_instance();
    struct child child = child_start(producer_body, instance);
    cfgs_publisher *p;
    cfgs_event event;
    await_ready(&child);
    cfgs_reader *r = open_reader(instance);
    (void)next_snapshot(r, CFGS_SNAPSHOT_INITIAL);
    cr_assert_eq(kill(child.pid, SIGSTOP), 0);
    for (int i = 0; i < 10; i++)
        fails(CFGS_ERR_LOCKED, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &p));
    fails(CFGS_ERR_LOCKED, cfgs_arena_destroy(&(cfgs_publisher_options){.instance = instance}));
    cr_assert_eq(kill(child.pid, SIGCONT), 0);
    let_go(&child);
    fails(CFGS_ERR_CLOSED, cfgs_reader_next(r, &event, CFGS_FOREVER));
    cr_assert_eq(child_end(&child), 0);
    cfgs_reader_close(r);
}
