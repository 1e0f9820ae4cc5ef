/*
 * space.c: a full or too small tmpfs is an error with its numbers, never a SIGBUS, and costs nobody what was committed.
 *
 * Each test runs in a child with a mount namespace of its own, in which /dev/shm is a small tmpfs.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <tests/shm/support.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

TestSuite(space, .fini = names_clean);

#define NO_NAMESPACE 251 /* no CHECK's line ends in this status */

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(NO_NAMESPACE);
    close(fd);
}

static void enter_small_tmpfs(const char *options)
{
    char map[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (unshare(CLONE_NEWNS | (uid != 0 ? CLONE_NEWUSER : 0)) != 0)
        _exit(NO_NAMESPACE);
    if (uid != 0) {
        write_text("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "%u %u 1", (unsigned)uid, (unsigned)uid);
        write_text("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "%u %u 1", (unsigned)gid, (unsigned)gid);
        write_text("/proc/self/gid_map", map);
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        _exit(NO_NAMESPACE);
}

static void run(void (*body)(const char *instance))
{
    struct child child = child_start(body, new_instance());
    int status = child_end(&child);
    if (status == NO_NAMESPACE)
        cr_skip_test("mount namespaces are not to be had here");
    cr_assert_eq(status, 0, "child: %d (a signal if above 1000)", status);
}

static size_t files_in_shm(void)
{
    DIR *directory = opendir("/dev/shm");
    size_t count = 0;
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* The detail's numbers, in fields and in words. */
static void check_detail(const cfgs_error_detail *detail)
{
    char number[32];
    CHECK(detail->code == CFGS_ERR_NO_SPACE);
    CHECK(detail->bytes_needed > detail->bytes_available);
    snprintf(number, sizeof number, "%llu", (unsigned long long)detail->bytes_needed);
    CHECK(strstr(detail->message, number) != NULL);
    snprintf(number, sizeof number, "%llu", (unsigned long long)detail->bytes_available);
    CHECK(strstr(detail->message, number) != NULL);
}

static int child_set(cfgs_publisher *p, const char *key, const char *text, size_t length)
{
    cfgs_setting setting = setting_of(key, cfgs_value_string(text, length), CFGS_SOURCE_FILE);
    return cfgs_publisher_set(p, &setting, CFGS_SOURCE_NONE, NULL);
}

/* Fill the tmpfs but for so many bytes. */
static void fill(const char *path, uint64_t leave)
{
    struct statvfs vfs;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && fstatvfs(fd, &vfs) == 0);
    uint64_t available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    if (available > leave)
        CHECK(posix_fallocate(fd, 0, (off_t)(available - leave)) == 0);
    close(fd);
}

static void create_on_a_small_one(const char *instance)
{
    static const char *const sizes[] = {"size=64k", "size=128k", "size=256k"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cfgs_error_detail detail = {0};
        cfgs_publisher *p = NULL;
        enter_small_tmpfs(sizes[i]);
        CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .detail = &detail}, &p) ==
              (i < 2 ? CFGS_ERR_NO_SPACE : CFGS_OK) || i == 2);
        if (p != NULL) { /* the empty arena fits; its first settings do not */
            CHECK(child_set(p, "a", "x", 1) == CFGS_ERR_NO_SPACE);
            check_detail(cfgs_publisher_error(p));
            cfgs_publisher_close(p, true);
        } else {
            check_detail(&detail);
        }
        CHECK(files_in_shm() == 0);
    }
}

/* shm-pitfalls 1 */
Test(space, a_tmpfs_too_small_for_the_arena_is_an_error_that_leaves_no_file)
{
    run(create_on_a_small_one);
}

static void grow_until_full(const char *instance)
{
    const size_t most = 4u << 20;
    char *text = malloc(most), *out = malloc(most);
    cfgs_publisher *p;
    cfgs_reader *r;
    size_t length = 1000, got;
    uint64_t sequence;
    int err = CFGS_OK;

    enter_small_tmpfs("size=2m");
    memset(text, 'x', most);
    CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .ring_slots = 16}, &p) == CFGS_OK);
    CHECK(child_set(p, "small", "one", 3) == CFGS_OK);
    CHECK(cfgs_publisher_reader(p, &r) == CFGS_OK);
    for (; length < most; length += 1000) {
        sequence = cfgs_publisher_sequence(p);
        if ((err = child_set(p, "big", text, length)) != CFGS_OK)
            break;
        CHECK(cfgs_get_string(r, "big", out, most, &got) == CFGS_OK && got == length);
    }
    CHECK(err == CFGS_ERR_NO_SPACE);
    check_detail(cfgs_publisher_error(p));
    CHECK(cfgs_publisher_sequence(p) == sequence);
    CHECK(cfgs_get_string(r, "big", out, most, &got) == CFGS_OK && got == length - 1000);
    CHECK(memcmp(text, out, got) == 0);
    CHECK(cfgs_get_string(r, "small", out, most, &got) == CFGS_OK && got == 3);
    CHECK(child_set(p, "small", "two", 3) == CFGS_OK);
    CHECK(cfgs_get_string(r, "small", out, most, &got) == CFGS_OK && memcmp(out, "two", 3) == 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
    free(text);
    free(out);
}

/* shm-pitfalls 1, 2 */
Test(space, a_tmpfs_that_is_full_at_growth_costs_nothing_that_was_committed)
{
    run(grow_until_full);
}

static void filled_by_others(const char *instance)
{
    cfgs_publisher *p;
    cfgs_reader *r;
    char *text = malloc(400000), *out = malloc(400001);
    size_t got;

    enter_small_tmpfs("size=16m");
    memset(text, 'y', 400000);
    CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .ring_slots = 16}, &p) == CFGS_OK);
    CHECK(child_set(p, "a", "x", 1) == CFGS_OK);
    CHECK(cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &r) == CFGS_OK);
    fill("/dev/shm/filler", 8192);
    CHECK(child_set(p, "big", text, 400000) == CFGS_ERR_NO_SPACE);
    check_detail(cfgs_publisher_error(p));
    for (int i = 0; i < 5000; i++) { /* rebuilds in the room that is there go on */
        CHECK(child_set(p, "a", text, (size_t)(i % 100)) == CFGS_OK);
        CHECK(cfgs_get_string(r, "a", out, 400001, &got) == CFGS_OK && got == (size_t)(i % 100));
    }
    CHECK(unlink("/dev/shm/filler") == 0);
    CHECK(child_set(p, "big", text, 400000) == CFGS_OK);
    CHECK(cfgs_get_string(r, "big", out, 400001, &got) == CFGS_OK && got == 400000);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
    free(text);
    free(out);
}

Test(space, room_taken_by_others_is_missed_and_found_again)
{
    run(filled_by_others);
}

static void restart_on_a_full_one(const char *instance)
{
    cfgs_publisher_options options = {.instance = instance, .ring_slots = 16};
    cfgs_publisher *p;
    cfgs_reader *r;
    char out[8];
    int err;

    enter_small_tmpfs("size=16m");
    CHECK(cfgs_publisher_open(&options, &p) == CFGS_OK);
    CHECK(child_set(p, "a", "kept", 4) == CFGS_OK);
    CHECK(cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &r) == CFGS_OK);
    cfgs_publisher_close(p, false);
    fill("/dev/shm/filler", 0);
    options.ring_slots = 0;
    err = cfgs_publisher_open(&options, &p);
    CHECK(err == CFGS_OK || err == CFGS_ERR_NO_SPACE);
    CHECK(cfgs_get_string(r, "a", out, sizeof out, NULL) == CFGS_OK && strcmp(out, "kept") == 0);
    if (err == CFGS_OK)
        cfgs_publisher_close(p, false);
    /* Another ring asks for a new file, for which there is no room: the old one stays what it was. */
    options.ring_slots = 1024;
    CHECK(cfgs_publisher_open(&options, &p) == CFGS_ERR_NO_SPACE);
    cfgs_reader_info info;
    CHECK(cfgs_reader_status(r, &info, sizeof info) == CFGS_OK && info.state == CFGS_PRODUCER_CLOSED);
    CHECK(cfgs_get_string(r, "a", out, sizeof out, NULL) == CFGS_OK && strcmp(out, "kept") == 0);
    CHECK(unlink("/dev/shm/filler") == 0);
    CHECK(cfgs_publisher_open(&options, &p) == CFGS_OK && cfgs_publisher_sequence(p) == 1);
    CHECK(cfgs_get_string(r, "a", out, sizeof out, NULL) == CFGS_OK && strcmp(out, "kept") == 0);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(space, a_restart_on_a_full_tmpfs_leaves_the_arena_to_its_readers)
{
    run(restart_on_a_full_one);
}

static void bulk_load_without_room(const char *instance)
{
    cfgs_publisher *p;
    cfgs_batch *batch;
    cfgs_reader *r;
    char key[32], out[8];

    enter_small_tmpfs("size=1m");
    CHECK(cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .ring_slots = 16}, &p) == CFGS_OK);
    CHECK(child_set(p, "a", "kept", 4) == CFGS_OK);
    CHECK(cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &r) == CFGS_OK);
    CHECK(cfgs_batch_begin(p, &batch) == CFGS_OK);
    cfgs_batch_replace(batch);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cfgs_setting setting = setting_of(key, cfgs_value_int(i), CFGS_SOURCE_FILE);
        CHECK(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE) == CFGS_OK);
    }
    CHECK(cfgs_batch_commit(batch, NULL) == CFGS_ERR_NO_SPACE);
    check_detail(cfgs_publisher_error(p));
    CHECK(cfgs_publisher_sequence(p) == 1);
    CHECK(cfgs_get_string(r, "a", out, sizeof out, NULL) == CFGS_OK && strcmp(out, "kept") == 0);
    CHECK(child_set(p, "a", "next", 4) == CFGS_OK && cfgs_publisher_sequence(p) == 2);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(space, a_bulk_load_without_room_publishes_nothing_of_itself)
{
    run(bulk_load_without_room);
}
