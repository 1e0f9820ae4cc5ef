/*
 * arena_file.c: how an arena comes to be, grows, and goes.
 *
 * Nobody ever sees half an arena: it is built in an unnamed file (O_TMPFILE), every page reserved, mode and group set, the
 * magic number stored last, and linked when it is complete.  Pages are reserved by fallocate before they are touched, so a
 * full tmpfs is an error here and never a SIGBUS later.  The file never shrinks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "arena_file.h"
#include "attachment.h"
#include "detail.h"
#include "futex.h"
#include <configstream/publisher.h>
#include <configstream/version.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

#define RECORD_BYTES_TYPICAL 256
#define RECORD_BYTES_LARGE 1024

/* Room for as many updates as the ring holds, at the average record's size; a few huge values do not make it huge. */
static uint64_t history_bytes(uint64_t settings, uint64_t live_bytes, uint64_t ring_slots)
{
    uint64_t average = live_bytes / settings > RECORD_BYTES_TYPICAL ? live_bytes / settings : RECORD_BYTES_TYPICAL;
    uint64_t bound = ring_slots * RECORD_BYTES_LARGE > 2 * live_bytes ? ring_slots * RECORD_BYTES_LARGE : 2 * live_bytes;

    return ring_slots * average < bound ? ring_slots * average : bound;
}

struct bank_size bank_size_for(uint64_t settings, uint64_t live_bytes, uint64_t spare_bytes, uint64_t ring_slots,
                               enum bank_slack slack)
{
    struct bank_size size = {.capacity = BANK_CELLS_MIN};

    /* Half full after a rebuild, rebuilt at 70 %. */
    while (size.capacity < 2 * settings)
        size.capacity *= 2;
    if (settings > 0) {
        size.heap_bytes = live_bytes + spare_bytes;
        if (slack <= SLACK_HISTORY)
            size.heap_bytes += history_bytes(settings, live_bytes, ring_slots);
        /* Twice the live set makes rebuilds amortised O(1). */
        if (slack == SLACK_GOOD)
            size.heap_bytes += live_bytes;
        size.heap_bytes = (size.heap_bytes + 7) / 8 * 8;
    }
    size.bytes = section_round(size.capacity * 8 + size.heap_bytes);
    return size;
}

uint64_t cfgs_arena_size(uint64_t settings, uint64_t record_bytes, uint32_t ring_slots)
{
    uint64_t slots = CFGS_RING_SLOTS_MIN;
    uint64_t wanted = ring_slots > 0 ? ring_slots : CFGS_RING_SLOTS_DEFAULT;

    while (slots < wanted && slots < CFGS_RING_SLOTS_MAX)
        slots *= 2;
    if (record_bytes == 0)
        record_bytes = RECORD_BYTES_TYPICAL;
    if (settings > ARENA_MAX_SIZE_LIMIT / 8 / record_bytes)
        return UINT64_MAX;
    return section_round(ARENA_HEADER_BYTES) + section_round(slots * sizeof(struct ring_slot)) +
           bank_size_for(0, 0, 0, slots, SLACK_GOOD).bytes + 2 * bank_size_for(settings, settings * record_bytes, 0, slots, SLACK_GOOD).bytes;
}

static int no_space(cfgs_error_detail *detail, uint64_t needed, uint64_t available, const char *what)
{
    detail_set(detail, CFGS_ERR_NO_SPACE, 0, "%s: %" PRIu64 " bytes needed, %" PRIu64 " available", what, needed,
               available);
    if (detail != NULL) {
        detail->bytes_needed = needed;
        detail->bytes_available = available;
    }
    return CFGS_ERR_NO_SPACE;
}

/* Reserve [from, to) of the file. */
static int reserve_pages(int fd, uint64_t from, uint64_t to, cfgs_error_detail *detail)
{
    struct statvfs vfs;
    int error;

    if (to <= from)
        return CFGS_OK;
    /* Asked first, because on some kernels a fallocate that must fail takes its time, and the numbers are for people. */
    if (fstatvfs(fd, &vfs) == 0 && vfs.f_blocks > 0 && to - from > (uint64_t)vfs.f_bavail * vfs.f_frsize)
        return no_space(detail, to - from, (uint64_t)vfs.f_bavail * vfs.f_frsize, "the arena's file system is too full");
    do {
        error = posix_fallocate(fd, (off_t)from, (off_t)(to - from));
    } while (error == EINTR);
    if (error == ENOSPC)
        return no_space(detail, to - from,
                        fstatvfs(fd, &vfs) == 0 ? (uint64_t)vfs.f_bavail * vfs.f_frsize : 0,
                        "the arena's file system is full");
    if (error != 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, error, "reserving %" PRIu64 " bytes for the arena", to - from);
    return CFGS_OK;
}

int arena_grow(struct arena_file *file, uint64_t bytes, cfgs_error_detail *detail)
{
    if (bytes > file->map_bytes)
        return no_space(detail, bytes, file->map_bytes, "the arena has reached its max-size");
    int err = reserve_pages(file->fd, file->bytes, bytes, detail);
    if (err == CFGS_OK && bytes > file->bytes)
        file->bytes = bytes;
    return err;
}

/* ---- creating ---------------------------------------------------------------------------------------------------- */

int arena_permit(int fd, bool set_mode, mode_t mode, bool set_group, gid_t group, cfgs_error_detail *detail)
{
    /* Group before mode: chown may clear mode bits.  fchmod, not the creation mode: umask narrows that. */
    if (set_group && fchown(fd, (uid_t)-1, group) != 0)
        return detail_set(detail, CFGS_ERR_PERMISSION, errno, "giving the arena to group %u", (unsigned)group);
    if (set_mode && fchmod(fd, mode) != 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "giving the arena mode %04o", (unsigned)mode);
    return CFGS_OK;
}

static int open_unnamed(const struct arena_name *name, const struct arena_geometry *geometry, int *out,
                        cfgs_error_detail *detail)
{
    struct statfs fs;

    if (name == NULL) {
        *out = memfd_create("configstream", MFD_CLOEXEC);
        /* Born with mode 0777, which our own reader would not trust. */
        if (*out >= 0 && fchmod(*out, 0600) == 0)
            return CFGS_OK;
        if (*out >= 0)
            close(*out);
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "memfd_create");
    }
    int fd = open(name->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return detail_set(detail, errno == EACCES || errno == EROFS ? CFGS_ERR_PERMISSION : CFGS_ERR_SYSTEM, errno,
                          "creating a file in %s", name->directory);
    int err = CFGS_OK;
    if (fstatfs(fd, &fs) != 0 || (unsigned long)fs.f_type != TMPFS_MAGIC)
        err = detail_set(detail, CFGS_ERR_FILESYSTEM, 0, "%s is not on a tmpfs: use a directory like /dev/shm",
                         name->directory);
    else
        err = arena_permit(fd, true, geometry->mode, geometry->set_group, geometry->group, detail);
    if (err != CFGS_OK)
        close(fd);
    else
        *out = fd;
    return err;
}

static void read_boot_id(uint8_t out[16])
{
    char text[64] = {0};
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    size_t nibbles = 0;

    if (fd < 0)
        return;
    if (read(fd, text, sizeof text - 1) > 0)
        for (const char *p = text; *p != '\0' && nibbles < 32; p++) {
            const char *digit = strchr("0123456789abcdef", *p);
            if (digit != NULL) {
                unsigned value = (unsigned)(digit - "0123456789abcdef");
                out[nibbles / 2] = (uint8_t)(out[nibbles / 2] << 4 | value);
                nibbles++;
            }
        }
    close(fd);
}

/* A random UUID, version 4, and a hash seed. */
static int make_identity(struct arena_header *header, uint64_t seed, cfgs_error_detail *detail)
{
    if (getrandom(header->instance_id, sizeof header->instance_id, 0) != sizeof header->instance_id ||
        getrandom(&header->hash_seed, sizeof header->hash_seed, 0) != sizeof header->hash_seed)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "getrandom");
    header->instance_id[6] = (uint8_t)((header->instance_id[6] & 0x0F) | 0x40);
    header->instance_id[8] = (uint8_t)((header->instance_id[8] & 0x3F) | 0x80);
    if (seed != 0)
        header->hash_seed = seed;
    read_boot_id(header->boot_id);
    return CFGS_OK;
}

/* The header of an arena with an empty live bank.  The pages are fresh zeros. */
static int fill_header(struct arena_header *header, const struct arena_geometry *geometry, cfgs_error_detail *detail)
{
    int err = make_identity(header, geometry->hash_seed, detail);
    if (err != CFGS_OK)
        return err;
    header->layout_major = CFGS_LAYOUT_MAJOR;
    header->layout_minor = CFGS_LAYOUT_MINOR;
    header->header_bytes = ARENA_HEADER_BYTES;
    header->max_size = geometry->max_size;
    header->hash_id = ARENA_HASH_XXH3;
    header->byte_order = ARENA_BYTE_ORDER;
    header->ring_at = section_round(ARENA_HEADER_BYTES);
    header->ring_slots = geometry->ring_slots;
    header->base_sequence = geometry->base_sequence;
    struct bank_size size = bank_size_for(0, 0, 0, geometry->ring_slots, SLACK_GOOD);
    /* [attach] relaxed: nobody can see the file before the magic below, and its name after that. */
    word_store_relaxed(&header->bank[0].index_at, ring_end(header));
    word_store_relaxed(&header->bank[0].index_capacity, size.capacity);
    word_store_relaxed(&header->bank[0].heap_at, ring_end(header) + size.capacity * 8);
    /* [attach] relaxed: as above. */
    word_store_relaxed(&header->bank[0].version, 2);
    word_store_relaxed(&header->bank[0].sequence, geometry->base_sequence);
    word_store_relaxed(&header->current, route_make(2, 0));
    word_store_relaxed(&header->state, ARENA_STATE_RUNNING);
    /* [attach] release: all of the header is there before the magic.  Pairs with the acquire in header_check(). */
    word_store_release(&header->magic, ARENA_MAGIC);
    return CFGS_OK;
}

static int map_file(struct arena_file *file, uint64_t max_size, cfgs_error_detail *detail)
{
    struct stat st;

    if (fstat(file->fd, &st) != 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "fstat");
    void *base = mmap(NULL, max_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file->fd, 0);
    if (base == MAP_FAILED)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "mapping %" PRIu64 " bytes of address space", max_size);
    (void)madvise(base, max_size, MADV_DONTDUMP); /* best effort: secrets stay out of core dumps */
    file->header = base;
    file->map_bytes = max_size;
    file->bytes = (uint64_t)st.st_size;
    file->device = st.st_dev;
    file->inode = st.st_ino;
    return CFGS_OK;
}

int arena_create(const struct arena_name *name, const struct arena_geometry *geometry, struct arena_file *out,
                 cfgs_error_detail *detail)
{
    struct arena_file file = {.fd = -1};
    uint64_t bytes = section_round(ARENA_HEADER_BYTES) +
                     section_round(geometry->ring_slots * sizeof(struct ring_slot)) +
                     bank_size_for(0, 0, 0, geometry->ring_slots, SLACK_GOOD).bytes;

    if (bytes > geometry->max_size)
        return no_space(detail, bytes, geometry->max_size, "max-size is too small for this ring");
    int err = open_unnamed(name, geometry, &file.fd, detail);
    if (err != CFGS_OK)
        return err;
    err = reserve_pages(file.fd, 0, bytes, detail);
    if (err == CFGS_OK)
        err = map_file(&file, geometry->max_size, detail);
    if (err == CFGS_OK)
        err = fill_header(file.header, geometry, detail);
    if (err != CFGS_OK)
        arena_file_close(&file);
    else
        *out = file;
    return err;
}

/* ---- naming ------------------------------------------------------------------------------------------------------ */

static int link_as(const struct arena_file *file, const char *path)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", file->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static void arena_supersede(struct arena_file *file)
{
    /* [state] release: for who acquires it, whatever was written before is there; see reader_attach(). */
    word_store_release(&file->header->state, ARENA_STATE_SUPERSEDED);
}

void arena_wake_readers(struct arena_file *file)
{
    /* [wake U5] release, after the state: a reader that sees the new word sees why. */
    uint32_t seen = word32_load_acquire(&file->header->wake);
    word32_store_release(&file->header->wake, seen + 1);
    futex_wake_shared(&file->header->wake);
}

void arena_supersede_and_wake(struct arena_file *old)
{
    arena_supersede(old);
    arena_wake_readers(old);
}

int arena_link(const struct arena_name *name, struct arena_file *file, struct arena_file *old,
               cfgs_error_detail *detail)
{
    char temporary[ARENA_PATH_BYTES + 32];

    if (link_as(file, name->path) == 0) {
        if (old != NULL && old->header != NULL)
            arena_supersede_and_wake(old);
        return CFGS_OK;
    }
    if (errno != EEXIST)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "giving the arena its name %s", name->path);
    snprintf(temporary, sizeof temporary, "%s.new", name->path);
    (void)unlink(temporary); /* a dead predecessor's; we hold the lock */
    if (link_as(file, temporary) != 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "linking %s", temporary);
    uint64_t state = 0;
    if (old != NULL && old->header != NULL) {
        /* [state] relaxed: only a producer writes it. */
        state = word_load_relaxed(&old->header->state);
        arena_supersede(old);
    }
    if (rename(temporary, name->path) != 0) {
        int error = errno;
        (void)unlink(temporary);
        if (old != NULL && old->header != NULL) {
            /* [state] release: the old arena is what it was. */
            word_store_release(&old->header->state, state);
            arena_wake_readers(old);
        }
        return detail_set(detail, CFGS_ERR_SYSTEM, error, "replacing %s", name->path);
    }
    if (old != NULL && old->header != NULL)
        arena_wake_readers(old); /* after the rename: whom it wakes finds the new arena */
    return CFGS_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int check_ours(const struct arena_name *name, const struct stat *st, cfgs_error_detail *detail)
{
    if (!S_ISREG(st->st_mode) || st->st_uid != geteuid())
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0,
                          "%s belongs to uid %u, not to uid %u: remove it, or choose another instance", name->path,
                          (unsigned)st->st_uid, (unsigned)geteuid());
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return detail_set(detail, CFGS_ERR_CORRUPT, 0, "%s has mode %04o: others may have written it", name->path,
                          (unsigned)(st->st_mode & 07777));
    if (st->st_size < (off_t)ARENA_HEADER_BYTES || (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size)
        return detail_set(detail, CFGS_ERR_TRUNCATED, 0, "%s is truncated or has holes", name->path);
    return CFGS_OK;
}

static int read_and_map(const struct arena_name *name, struct arena_file *file, cfgs_error_detail *detail)
{
    struct arena_header header;
    struct stat st;

    if (fstat(file->fd, &st) != 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "%s: fstat", name->path);
    int err = check_ours(name, &st, detail);
    if (err != CFGS_OK)
        return err;
    if (pread(file->fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return detail_set(detail, CFGS_ERR_TRUNCATED, 0, "%s ends inside the header", name->path);
    err = header_check(&header, (uint64_t)st.st_size, true, name->path, detail);
    return err == CFGS_OK ? map_file(file, header.max_size, detail) : err;
}

int arena_open(const struct arena_name *name, struct arena_file *out, cfgs_error_detail *detail)
{
    struct arena_file file = {.fd = open(name->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};

    if (file.fd < 0 && errno == ENOENT)
        return detail_set(detail, CFGS_ERR_NOT_READY, 0, "there is no arena %s", name->path);
    if (file.fd < 0 && errno == EISDIR)
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0, "%s is a directory: name a file, or another instance",
                          name->path);
    if (file.fd < 0 && (errno == ELOOP || errno == ENXIO))
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0, "%s is not a regular file: remove it", name->path);
    if (file.fd < 0)
        return detail_set(detail, errno == EACCES ? CFGS_ERR_PERMISSION : CFGS_ERR_SYSTEM, errno, "%s", name->path);
    int err = read_and_map(name, &file, detail);
    if (err != CFGS_OK)
        arena_file_close(&file);
    else
        *out = file;
    return err;
}

void arena_file_close(struct arena_file *file)
{
    if (file->header != NULL)
        munmap(file->header, file->map_bytes);
    if (file->fd >= 0)
        close(file->fd);
    *file = (struct arena_file){.fd = -1};
}

void arena_populate(struct arena_file *file, uint64_t to)
{
#ifdef MADV_POPULATE_WRITE
    if (to > file->populated)
        (void)madvise((char *)file->header + file->populated, to - file->populated, MADV_POPULATE_WRITE);
#endif
    if (to > file->populated)
        file->populated = to;
}
