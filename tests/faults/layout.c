/*
 * layout.c: another layout, damaged sizes, other file systems, and copies: the error says what is wrong.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <tests/shm/support.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

TestSuite(layout, .fini = names_clean);

static int reader_result(const char *instance, const char *path)
{
    cfgs_error_detail detail = {0};
    cfgs_reader *r = NULL;
    int err = cfgs_reader_open(
        &(cfgs_reader_options){.instance = instance, .arena_path = path, .detail = &detail}, &r);
    cr_assert(err == CFGS_OK || (detail.code == err && strlen(detail.message) > 10));
    if (r != NULL) {
        int64_t value;
        err = cfgs_get_int(r, "k1", &value);
        cr_assert(err != CFGS_OK || value == 1);
    }
    cfgs_reader_close(r);
    return err;
}

static uint64_t make_arena(const char *instance)
{
    struct stat st;
    cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.ring_slots = 64, .max_size = 16u << 20});
    load_ints(p, "k", 50, false);
    cfgs_publisher_close(p, false);
    cr_assert_eq(stat(arena_path(instance), &st), 0);
    return (uint64_t)st.st_size;
}

static struct arena_header *map_header(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    void *base = mmap(NULL, ARENA_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(base, MAP_FAILED);
    close(fd);
    return base;
}

#define WITH(field, value, expected)                                                                                   \
    do {                                                                                                               \
        header->field = (value);                                                                                       \
        int result_ = reader_result(instance, NULL);                                                                   \
        cr_assert_eq(result_, (expected), #field " = " #value ": got %d", result_);                                    \
        memcpy(header, &good, sizeof good);                                                                            \
    } while (0)

/* shm-pitfalls 25: what this library must refuse, and what it must not. */
Test(layout, each_field_of_the_header_has_its_own_refusal)
{
    const char *instance = new_instance();
    uint64_t bytes = make_arena(instance);
    struct arena_header *header = map_header(arena_path(instance)), good;

    memcpy(&good, header, sizeof good);
    ok(reader_result(instance, NULL));
    WITH(magic, 0, CFGS_ERR_NOT_ARENA);
    WITH(magic, ARENA_MAGIC + 1, CFGS_ERR_NOT_ARENA);
    WITH(byte_order, 0x04030201u, CFGS_ERR_LAYOUT);
    WITH(layout_major, CFGS_LAYOUT_MAJOR + 1, CFGS_ERR_LAYOUT);
    WITH(layout_major, 0, CFGS_ERR_LAYOUT);
    WITH(layout_minor, 77, CFGS_OK);
    WITH(hash_id, 2, CFGS_ERR_LAYOUT);
    WITH(features_ignore, UINT64_MAX, CFGS_OK);
    WITH(features_read, 1, CFGS_ERR_FEATURE);
    WITH(features_read, UINT64_C(1) << 63, CFGS_ERR_FEATURE);
    WITH(features_write, 1, CFGS_OK);
    WITH(header_bytes, 8192, CFGS_OK); /* a later minor may use more of the first section */
    WITH(header_bytes, 100, CFGS_ERR_CORRUPT);
    WITH(header_bytes, UINT32_MAX, CFGS_ERR_CORRUPT);
    WITH(max_size, 0, CFGS_ERR_CORRUPT);
    WITH(max_size, bytes - 1, CFGS_ERR_CORRUPT);
    WITH(max_size, UINT64_MAX, CFGS_ERR_CORRUPT);
    WITH(ring_slots, 0, CFGS_ERR_CORRUPT);
    WITH(ring_slots, 8, CFGS_ERR_CORRUPT);
    WITH(ring_slots, 65, CFGS_ERR_CORRUPT);
    WITH(ring_slots, UINT64_C(1) << 40, CFGS_ERR_CORRUPT);
    WITH(ring_slots, CFGS_RING_SLOTS_MAX, CFGS_ERR_TRUNCATED);
    WITH(ring_at, 0, CFGS_ERR_CORRUPT);
    WITH(ring_at, 65544, CFGS_ERR_CORRUPT);
    WITH(ring_at, UINT64_MAX - 65535, CFGS_ERR_CORRUPT);
    WITH(ring_at, bytes, CFGS_ERR_TRUNCATED);
    WITH(bank[0].version, 3, header->current & 1 ? CFGS_OK : CFGS_ERR_BUSY);
    WITH(current, 0, CFGS_ERR_BUSY);
    ok(reader_result(instance, NULL));
    munmap(header, ARENA_HEADER_BYTES);
}

Test(layout, a_producer_does_not_write_what_it_does_not_know)
{
    const char *instance = new_instance();
    make_arena(instance);
    struct arena_header *header = map_header(arena_path(instance));
    cfgs_error_detail detail = {0};
    cfgs_publisher *p;
    struct stat before, after;

    cr_assert_eq(stat(arena_path(instance), &before), 0);
    header->features_write = 4;
    fails(CFGS_ERR_FEATURE, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .detail = &detail},
                                                &p));
    cr_assert_not_null(strstr(detail.message, "0x4"), "%s", detail.message);
    header->features_write = 0;
    header->features_read = 8;
    fails(CFGS_ERR_FEATURE, cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance}, &p));
    cr_assert_eq(stat(arena_path(instance), &after), 0);
    cr_assert_eq(before.st_ino, after.st_ino, "nobody's data was thrown away");
    header->features_read = 0;
    header->features_ignore = 16;
    p = publish_with(instance, (cfgs_publisher_options){0});
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_CLOSED);
    cfgs_publisher_close(p, true);
    munmap(header, ARENA_HEADER_BYTES);
}

Test(layout, a_truncated_file_is_called_truncated_or_corrupt_and_never_touched_beyond_its_end)
{
    static const uint64_t cuts[] = {0, 1, 100, 1000, 4095, 4096, 8192, 65535, 65536, 65600, 66000, 131072};
    const char *instance = new_instance();
    uint64_t bytes = make_arena(instance);

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        cr_assert_eq(unlink(arena_path(instance)), 0);
        cr_assert_eq(make_arena(instance), bytes);
        cr_assert_eq(truncate(arena_path(instance), (off_t)cuts[i]), 0);
        int err = reader_result(instance, NULL);
        cr_assert(err == CFGS_ERR_TRUNCATED || (cuts[i] >= 65536 + 64 * 32 && err == CFGS_ERR_CORRUPT),
                  "cut at %llu: %d",
                  (unsigned long long)cuts[i], err);
        cfgs_publisher *p = publish(instance);
        cr_assert_eq(cfgs_publisher_started(p), CFGS_START_REPLACED, "cut at %llu", (unsigned long long)cuts[i]);
        cfgs_publisher_close(p, false);
    }
    for (uint64_t cut = 65536; cut < bytes; cut += 65536) {
        cr_assert_eq(unlink(arena_path(instance)), 0);
        cr_assert_eq(make_arena(instance), bytes);
        cr_assert_eq(truncate(arena_path(instance), (off_t)(bytes - cut + 8)), 0);
        int err = reader_result(instance, NULL);
        cr_assert(err == CFGS_OK || err == CFGS_ERR_TRUNCATED || err == CFGS_ERR_CORRUPT, "%d", err);
    }
}

/* shm-pitfalls 2: a hole is memory that a read would have to allocate. */
Test(layout, a_file_with_holes_is_refused)
{
    const char *instance = new_instance();
    uint64_t bytes = make_arena(instance);
    int fd = open(arena_path(instance), O_RDWR | O_CLOEXEC);

    cr_assert_eq(ftruncate(fd, (off_t)(bytes + 65536)), 0);
    fails(CFGS_ERR_TRUNCATED, reader_result(instance, NULL));
    cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
    ok(reader_result(instance, NULL));
    cr_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536), 0);
    fails(CFGS_ERR_TRUNCATED, reader_result(instance, NULL));
    close(fd);
    cfgs_publisher *p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_REPLACED);
    cfgs_publisher_close(p, true);
}

Test(layout, files_that_are_no_arenas_are_called_so)
{
    const char *instance = new_instance();
    char bytes[8192];
    for (int fill = 0; fill < 256; fill += 51) {
        int fd = open(arena_path(instance), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        memset(bytes, fill, sizeof bytes);
        cr_assert_eq(write(fd, bytes, sizeof bytes), (ssize_t)sizeof bytes);
        close(fd);
        fails(CFGS_ERR_NOT_ARENA, reader_result(instance, NULL));
    }
    cfgs_publisher *p = publish(instance);
    cr_assert_eq(cfgs_publisher_started(p), CFGS_START_REPLACED);
    cfgs_publisher_close(p, true);
}

/* ---- copies and other file systems ------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    ssize_t n;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(in >= 0 && out >= 0);
    while ((n = read(in, buffer, sizeof buffer)) > 0)
        cr_assert_eq(write(out, buffer, (size_t)n), n);
    close(in);
    close(out);
}

/* shm-pitfalls 8: the bytes of a running producer, and nobody behind them. */
Test(layout, a_copy_of_a_running_arena_reads_and_reports_a_dead_producer)
{
    const char *original = new_instance(), *copy = new_instance();
    cfgs_publisher *p = publish(original);
    cfgs_event event;

    load_ints(p, "k", 50, false);
    copy_file(arena_path(original), arena_path(copy));
    cfgs_reader *r = open_reader(copy);
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_DEAD);
    cr_assert_eq(int_of(r, "k49"), 49);
    ok(cfgs_reader_next(r, &event, 0));
    set_int(p, "k49", 1);
    no_event(r);
    cr_assert_eq(int_of(r, "k49"), 49);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
}

Test(layout, a_directory_that_is_not_on_tmpfs_is_refused_by_both_sides)
{
    char directory[] = "configstream-test-XXXXXX", path[128], lock[160];
    struct statfs fs;
    cfgs_error_detail detail = {0};
    cfgs_publisher *p;

    if (mkdtemp(directory) == NULL || statfs(directory, &fs) != 0 || (unsigned long)fs.f_type == TMPFS_MAGIC) {
        (void)rmdir(directory);
        cr_skip_test("the working directory is not a writable directory on a disk");
    }
    snprintf(path, sizeof path, "%s/arena", directory);
    snprintf(lock, sizeof lock, "%s.lock", path);
    int published =
        cfgs_publisher_open(&(cfgs_publisher_options){.arena_path = path, .detail = &detail}, &p);
    bool left = exists(path) || exists(lock);
    const char *instance = new_instance();
    make_arena(instance);
    copy_file(arena_path(instance), path);
    int read_result = reader_result(NULL, path);
    (void)unlink(path);
    (void)unlink(lock);
    cr_assert_eq(rmdir(directory), 0);
    cr_assert_eq(published, CFGS_ERR_FILESYSTEM, "%s", detail.message);
    cr_assert_not_null(strstr(detail.message, "tmpfs"));
    cr_assert_not(left);
    cr_assert_eq(read_result, CFGS_ERR_FILESYSTEM);
}

Test(layout, a_directory_that_does_not_exist_is_an_error_for_producers_and_absence_for_readers)
{
    cfgs_error_detail detail = {0};
    cfgs_publisher *p;
    cfgs_reader *r;
    fails(CFGS_ERR_SYSTEM,
          cfgs_publisher_open(&(cfgs_publisher_options){.arena_path = "/dev/shm/no-such-directory/arena",
                                                                         .detail = &detail}, &p));
    cr_assert_neq(detail.system_errno, 0);
    ok(cfgs_reader_open(&(cfgs_reader_options){.arena_path = "/dev/shm/no-such-directory/arena"}, &r));
    cr_assert_eq(status_of(r).state, CFGS_PRODUCER_ABSENT);
    cfgs_reader_close(r);
}

Test(layout, an_arena_in_another_tmpfs_directory_works_by_its_path)
{
    char directory[] = "/dev/shm/configstream-test-XXXXXX", path[64];
    cfgs_publisher *p;
    cfgs_reader *r;
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/arena", directory);
    ok(cfgs_publisher_open(&(cfgs_publisher_options){.arena_path = path}, &p));
    set_int(p, "a", 1);
    ok(cfgs_reader_open(&(cfgs_reader_options){.arena_path = path}, &r));
    cr_assert_eq(int_of(r, "a"), 1);
    cr_assert_str_eq(cfgs_publisher_path(p), path);
    cfgs_reader_close(r);
    cfgs_publisher_close(p, true);
    cr_assert_eq(rmdir(directory), 0, "nothing is left in it");
}
