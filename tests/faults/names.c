/*
 * names.c: a name that belongs to somebody else, or to something else, is refused (shm-pitfalls 11, 12).
 * SPDX-License-Identifier: Apache-2.0
 */
#include <tests/shm/support.h>
#include <fcntl.h>
#include <sys/stat.h>

TestSuite(names, .fini = names_clean);

#define NOBODY 65534u

static int reader_result(const char *instance)
{
    cfgs_error_detail detail = {0};
    cfgs_reader *r = NULL;
    int err = cfgs_reader_open(&(cfgs_reader_options){.instance = instance, .detail = &detail}, &r);
    cr_assert(err == CFGS_OK || (detail.code == err && strlen(detail.message) > 10));
    cfgs_reader_close(r);
    return err;
}

static int publisher_result(const char *instance)
{
    cfgs_error_detail detail = {0};
    cfgs_publisher *p = NULL;
    int err = cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .detail = &detail}, &p);
    cr_assert(err == CFGS_OK || (detail.code == err && strlen(detail.message) > 10));
    cfgs_publisher_close(p, false);
    return err;
}

static void make_arena(const char *instance)
{
    cfgs_publisher *p = publish(instance);
    set_int(p, "a", 1);
    cfgs_publisher_close(p, false);
}

static const char *lock_path(const char *instance)
{
    static char path[160];
    snprintf(path, sizeof path, "%s.lock", arena_path(instance));
    return path;
}

Test(names, a_symlink_in_the_arenas_place_is_not_followed)
{
    const char *instance = new_instance(), *target = new_instance();
    make_arena(target);
    cr_assert_eq(symlink(arena_path(target), arena_path(instance)), 0);
    fails(CFGS_ERR_UNTRUSTED, reader_result(instance));
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
    cr_assert_eq(unlink(arena_path(instance)), 0);
    cr_assert_eq(symlink("/dev/shm/nothing-here", arena_path(instance)), 0);
    fails(CFGS_ERR_UNTRUSTED, reader_result(instance));
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
}

Test(names, a_fifo_in_the_arenas_place_neither_blocks_nor_passes)
{
    const char *instance = new_instance();
    cr_assert_eq(mkfifo(arena_path(instance), 0600), 0);
    fails(CFGS_ERR_UNTRUSTED, reader_result(instance));
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
}

Test(names, a_directory_in_the_arenas_place_is_refused)
{
    const char *instance = new_instance();
    cr_assert_eq(mkdir(arena_path(instance), 0700), 0);
    fails(CFGS_ERR_UNTRUSTED, reader_result(instance));
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
}

Test(names, an_arena_that_group_or_others_may_write_is_refused)
{
    static const mode_t modes[] = {0660, 0620, 0602, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        const char *instance = new_instance();
        struct stat st;
        make_arena(instance);
        ok(reader_result(instance));
        cr_assert_eq(chmod(arena_path(instance), modes[i]), 0);
        fails(CFGS_ERR_UNTRUSTED, reader_result(instance));
        /* To its producer it is its own file, whose bytes others may have written: replaced. */
        cfgs_publisher *p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_REPLACED);
        cr_assert_eq(stat(arena_path(instance), &st), 0);
        cr_assert_eq(st.st_mode & 07777, 0640);
        ok(reader_result(instance));
        cfgs_publisher_close(p, true);
    }
}

Test(names, a_lock_that_is_no_file_is_refused)
{
    const char *instance = new_instance();
    cr_assert_eq(mkfifo(lock_path(instance), 0600), 0);
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
    cr_assert_eq(unlink(lock_path(instance)), 0);
    cr_assert_eq(symlink("/dev/shm/nothing-here", lock_path(instance)), 0);
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
    cr_assert_not(exists("/dev/shm/nothing-here"));
    cr_assert_eq(unlink(lock_path(instance)), 0);
    cr_assert_eq(mkdir(lock_path(instance), 0700), 0);
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
    cr_assert_eq(rmdir(lock_path(instance)), 0);
    cr_assert_not(exists(arena_path(instance)));
}

/* ---- other users (root only) ------------------------------------------------------------------------------------- */

static void need_root(void)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
}

static void become_nobody(void)
{
    CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static void squat_arena(const char *instance)
{
    become_nobody();
    producer_body(instance);
}

Test(names, an_arena_of_another_user_is_refused_unless_that_user_is_trusted)
{
    const char *instance = new_instance();
    cfgs_reader *r;
    need_root();
    struct child child = child_start(squat_arena, instance);
    await_ready(&child);
    fails(CFGS_ERR_UNTRUSTED, reader_result(instance));
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
    fails(CFGS_ERR_UNTRUSTED, cfgs_reader_open(&(cfgs_reader_options){.instance = instance, .trust_producer_user = true,
                                                                      .producer_user = NOBODY - 1}, &r));
    ok(cfgs_reader_open(&(cfgs_reader_options){.instance = instance, .trust_producer_user = true,
                                               .producer_user = NOBODY}, &r));
    cr_assert_eq(int_of(r, "a"), 1);
    let_go(&child);
    cr_assert_eq(child_end(&child), 0);
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
    cfgs_reader_close(r);
}

static void read_as_nobody(const char *instance)
{
    cfgs_reader *r = NULL;
    int64_t value;
    struct stat st;
    CHECK(stat(arena_path(instance), &st) == 0);
    become_nobody();
    int err = cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &r);
    CHECK(err == ((st.st_mode & 0004) ? CFGS_OK : CFGS_ERR_PERMISSION));
    if (err == CFGS_OK)
        CHECK(cfgs_get_int(r, "a", &value) == CFGS_OK && value == 1);
    cfgs_reader_close(r);
    cfgs_publisher *p;
    err = cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &p);
    CHECK(err == CFGS_ERR_PERMISSION || err == CFGS_ERR_UNTRUSTED);
}

Test(names, others_read_roots_arena_only_where_its_mode_lets_them)
{
    static const mode_t modes[] = {0640, 0644};
    need_root();
    for (size_t i = 0; i < 2; i++) {
        const char *instance = new_instance();
        cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.set_mode = true, .mode = modes[i]});
        set_int(p, "a", 1);
        struct child child = child_start(read_as_nobody, instance);
        cr_assert_eq(child_end(&child), 0);
        cfgs_publisher_close(p, true);
    }
}

static void squat_lock(const char *instance)
{
    become_nobody();
    umask(0);
    int fd = open(lock_path(instance), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    CHECK(fd >= 0);
}

static void lock_is_untrusted(void)
{
    const char *instance = new_instance();
    struct child child = child_start(squat_lock, instance);
    cr_assert_eq(child_end(&child), 0);
    fails(CFGS_ERR_UNTRUSTED, publisher_result(instance));
    cr_assert_not(exists(arena_path(instance)));
}

Test(names, a_lock_of_another_user_is_refused)
{
    need_root();
    lock_is_untrusted();
}

/* The same answer whatever fs.protected_regular is; where it cannot be set, the value that is there was tested
   above. */
Test(names, protected_regular_changes_nothing)
{
    static const char path[] = "/proc/sys/fs/protected_regular";
    char old[8] = {0};
    need_root();
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || read(fd, old, sizeof old - 1) <= 0 || pwrite(fd, old, 1, 0) != 1) {
        if (fd >= 0)
            close(fd);
        cr_skip_test("fs.protected_regular cannot be set here");
    }
    static bool untrusted[3];
    for (int value = 0; value < 3; value++) {
        const char *instance = new_instance();
        struct child child = child_start(squat_lock, instance);
        cr_assert_eq(child_end(&child), 0);
        char digit = (char)('0' + value);
        cr_assert_eq(pwrite(fd, &digit, 1, 0), 1);
        untrusted[value] = publisher_result(instance) == CFGS_ERR_UNTRUSTED;
        cr_assert_eq(pwrite(fd, old, 1, 0), 1);
    }
    close(fd);
    for (int value = 0; value < 3; value++)
        cr_assert(untrusted[value], "with fs.protected_regular %d", value);
}
