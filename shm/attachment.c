/* attachment.c  SPDX-License-Identifier: Apache-2.0 */
#include "attachment.h"
#include "detail.h"
#include <configstream/publisher.h>
#include <configstream/version.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Populating a small arena at attach spares the first reads their page faults; a large one is left to them. */
#define POPULATE_MAX_BYTES (UINT64_C(16) << 20)

/* ---- the header -------------------------------------------------------------------------------------------------- */

static int layout_check(const struct arena_header *header, const char *path, cfgs_error_detail *detail)
{
    if (header->layout_major != CFGS_LAYOUT_MAJOR)
        return detail_set(detail, CFGS_ERR_LAYOUT, 0, "%s has layout version %u.%u, this library reads %d.x", path,
                          header->layout_major, header->layout_minor, CFGS_LAYOUT_MAJOR);
    if (header->hash_id != ARENA_HASH_XXH3)
        return detail_set(detail, CFGS_ERR_LAYOUT, 0, "%s uses key hash %u, this library knows %u", path,
                          header->hash_id, ARENA_HASH_XXH3);
    return CFGS_OK;
}

static int geometry_check(const struct arena_header *header, uint64_t file_bytes, const char *path,
                          cfgs_error_detail *detail)
{
    uint64_t slots = header->ring_slots;

    if (header->header_bytes < sizeof *header || header->max_size > ARENA_MAX_SIZE_LIMIT ||
        header->max_size < ARENA_SECTION_BYTES || slots < CFGS_RING_SLOTS_MIN || slots > CFGS_RING_SLOTS_MAX ||
        (slots & (slots - 1)) != 0 || header->ring_at % ARENA_SECTION_BYTES != 0 ||
        header->ring_at < header->header_bytes || header->ring_at > header->max_size)
        return detail_set(detail, CFGS_ERR_CORRUPT, 0, "%s: the header contradicts itself", path);
    if (file_bytes > header->max_size)
        return detail_set(detail, CFGS_ERR_CORRUPT, 0, "%s has %" PRIu64 " bytes, more than its max_size %" PRIu64,
                          path, file_bytes, header->max_size);
    if (header->ring_at > file_bytes || slots * sizeof(struct ring_slot) > file_bytes - header->ring_at)
        return detail_set(detail, CFGS_ERR_TRUNCATED, 0, "%s has %" PRIu64 " bytes, fewer than its header needs", path,
                          file_bytes);
    return CFGS_OK;
}

int header_check(const struct arena_header *header, uint64_t file_bytes, bool for_writing, const char *path,
                 cfgs_error_detail *detail)
{
    /* [attach] acquire: pairs with the release of the magic in fill_header(), which is stored last. */
    uint64_t magic = word_load_acquire(&header->magic);
    if (magic == __builtin_bswap64(ARENA_MAGIC) || (magic == ARENA_MAGIC && header->byte_order != ARENA_BYTE_ORDER))
        return detail_set(detail, CFGS_ERR_LAYOUT, 0, "%s was written on a host of another byte order", path);
    if (magic != ARENA_MAGIC)
        return detail_set(detail, CFGS_ERR_NOT_ARENA, 0, "%s is not an arena (no magic number)", path);
    int err = layout_check(header, path, detail);
    if (err != CFGS_OK)
        return err;
    uint64_t unknown = header->features_read | (for_writing ? header->features_write : 0);
    if (unknown != 0)
        return detail_set(detail, CFGS_ERR_FEATURE, 0,
                          "%s (layout %u.%u) uses features 0x%" PRIx64 " that this library (layout %d.%d) does not know",
                          path, header->layout_major, header->layout_minor, unknown, CFGS_LAYOUT_MAJOR,
                          CFGS_LAYOUT_MINOR);
    return geometry_check(header, file_bytes, path, detail);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int owner_check(const struct attach_request *request, const struct stat *st, cfgs_error_detail *detail)
{
    bool trusted = st->st_uid == 0 || st->st_uid == geteuid() ||
                   (request->trust_producer_user && st->st_uid == request->producer_user);

    if (!S_ISREG(st->st_mode))
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0, "%s is not a regular file", request->path);
    if (!trusted)
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0,
                          "%s belongs to uid %u: trusted are root, uid %u and a configured producer user",
                          request->path, (unsigned)st->st_uid, (unsigned)geteuid());
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0, "%s has mode %04o: group or others may write it",
                          request->path, (unsigned)(st->st_mode & 07777));
    return CFGS_OK;
}

static int filesystem_check(int fd, const struct stat *st, const char *path, cfgs_error_detail *detail)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "%s: fstatfs", path);
    if ((unsigned long)fs.f_type != TMPFS_MAGIC)
        return detail_set(detail, CFGS_ERR_FILESYSTEM, 0,
                          "%s is not on a tmpfs (type 0x%lx): use a directory like /dev/shm", path,
                          (unsigned long)fs.f_type);
    if (st->st_size < (off_t)ARENA_HEADER_BYTES)
        return detail_set(detail, CFGS_ERR_TRUNCATED, 0, "%s has %lld bytes, an arena's header alone has %u", path,
                          (long long)st->st_size, ARENA_HEADER_BYTES);
    /* A hole would be allocated by the first read of it, and SIGBUS the reader if the tmpfs is full. */
    if ((uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size)
        return detail_set(detail, CFGS_ERR_TRUNCATED, 0, "%s has holes: %llu of %lld bytes are allocated", path,
                          (unsigned long long)st->st_blocks * 512, (long long)st->st_size);
    return CFGS_OK;
}

static int read_header(int fd, struct arena_header *out, const char *path, cfgs_error_detail *detail)
{
    ssize_t got;

    do {
        got = pread(fd, out, sizeof *out, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "%s: read", path);
    if ((size_t)got != sizeof *out)
        return detail_set(detail, CFGS_ERR_TRUNCATED, 0, "%s ends inside the header", path);
    return CFGS_OK;
}

static int map_arena(struct attachment *attachment, uint64_t file_bytes, const char *path, cfgs_error_detail *detail)
{
    void *base = mmap(NULL, attachment->map_bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, attachment->fd, 0);
    if (base == MAP_FAILED)
        return detail_set(detail, CFGS_ERR_SYSTEM, errno, "%s: mapping %" PRIu64 " bytes of address space", path,
                          attachment->map_bytes);
    attachment->header = base;
    /* Best effort both: old kernels know neither, and reads work without. */
    (void)madvise(base, attachment->map_bytes, MADV_DONTDUMP);
#ifdef MADV_POPULATE_READ
    if (file_bytes <= POPULATE_MAX_BYTES && madvise(base, file_bytes, MADV_POPULATE_READ) != 0 && errno == EFAULT)
        return detail_set(detail, CFGS_ERR_TRUNCATED, 0, "%s has pages that cannot be read", path);
#endif
    return CFGS_OK;
}

static void take_identity(struct attachment *attachment, const struct arena_header *header, const struct stat *st)
{
    attachment->max_size = attachment->map_bytes = header->max_size;
    attachment->hash_seed = header->hash_seed;
    attachment->ring_at = header->ring_at;
    attachment->ring_slots = header->ring_slots;
    attachment->base_sequence = header->base_sequence;
    attachment->layout_major = header->layout_major;
    attachment->layout_minor = header->layout_minor;
    memcpy(attachment->instance_id, header->instance_id, sizeof attachment->instance_id);
    attachment->device = st->st_dev;
    attachment->inode = st->st_ino;
    /* [private] relaxed: no other thread has the attachment yet. */
    word_store_relaxed(&attachment->mapped, (uint64_t)st->st_size);
}

/* Everything behind a successful open(); takes over fd, also on failure. */
static int attach_descriptor(const struct attach_request *request, int fd, struct attachment **out,
                             cfgs_error_detail *detail)
{
    struct arena_header header;
    struct stat st;
    struct attachment *attachment = calloc(1, sizeof *attachment);
    int err;

    if (attachment == NULL) {
        close(fd);
        return detail_set(detail, CFGS_ERR_MEMORY, 0, "%s: out of memory", request->path);
    }
    attachment->fd = fd;
    if (fstat(fd, &st) != 0)
        err = detail_set(detail, CFGS_ERR_SYSTEM, errno, "%s: fstat", request->path);
    else if ((err = owner_check(request, &st, detail)) == CFGS_OK &&
             (err = filesystem_check(fd, &st, request->path, detail)) == CFGS_OK &&
             (err = read_header(fd, &header, request->path, detail)) == CFGS_OK)
        err = header_check(&header, (uint64_t)st.st_size, false, request->path, detail);
    if (err == CFGS_OK) {
        take_identity(attachment, &header, &st);
        err = map_arena(attachment, (uint64_t)st.st_size, request->path, detail);
    }
    if (err != CFGS_OK) {
        attachment_close(attachment);
        return err;
    }
    *out = attachment;
    return CFGS_OK;
}

int attachment_open(const struct attach_request *request, struct attachment **out, cfgs_error_detail *detail)
{
    /* O_NONBLOCK: a FIFO in our place must not block the open. */
    int fd = open(request->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT)
        return detail_set(detail, CFGS_ERR_NOT_READY, 0, "there is no arena %s", request->path);
    if (fd < 0 && errno == ELOOP)
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0, "%s is a symbolic link", request->path);
    if (fd < 0 && (errno == ENXIO || errno == ENODEV))
        return detail_set(detail, CFGS_ERR_UNTRUSTED, 0, "%s is not a regular file", request->path);
    if (fd < 0)
        return detail_set(detail, errno == EACCES ? CFGS_ERR_PERMISSION : CFGS_ERR_SYSTEM, errno, "%s",
                          request->path);
    return attach_descriptor(request, fd, out, detail);
}

int attachment_open_fd(int fd, struct attachment **out, cfgs_error_detail *detail)
{
    struct attach_request request = {.path = "(arena in memory)", .trust_producer_user = true};
    struct stat st;
    /* Not opened anew through /proc: that may be out of reach by now (chroot), or the file (another user since). */
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0 || fstat(copy, &st) != 0) {
        int error = errno;
        if (copy >= 0)
            close(copy);
        return detail_set(detail, CFGS_ERR_SYSTEM, error, "%s", request.path);
    }
    request.producer_user = st.st_uid; /* whoever this process was when it made it */
    return attach_descriptor(&request, copy, out, detail);
}

void attachment_close(struct attachment *attachment)
{
    if (attachment == NULL)
        return;
    if (attachment->header != NULL)
        munmap((void *)(uintptr_t)attachment->header, attachment->map_bytes);
    if (attachment->fd >= 0)
        close(attachment->fd);
    free(attachment);
}

/* If this fails (out of mappings), Linux leaves the old file mapped, which costs memory and nothing else. */
static void map_zeros_over(void *base, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
#ifdef __SANITIZE_THREAD__
    /* ThreadSanitizer takes mmap() for a write of all bytes, and readers in the middle of a view for racing with it. */
    (void)syscall(SYS_mmap, base, bytes, PROT_READ, flags, -1, 0);
#else
    (void)mmap(base, bytes, PROT_READ, flags, -1, 0);
#endif
}

void attachment_retire(struct attachment *attachment)
{
    attachment->retired = true;
    map_zeros_over((void *)(uintptr_t)attachment->header, attachment->map_bytes);
    close(attachment->fd);
    attachment->fd = -1;
}

void attachment_grow(struct attachment *attachment)
{
    struct stat st;

    if (attachment->retired || fstat(attachment->fd, &st) != 0 || st.st_size < 0)
        return;
    uint64_t size = (uint64_t)st.st_size;
    /* [private] relaxed: a number of this process that only grows. */
    if (size <= attachment->max_size && size > word_load_relaxed(&attachment->mapped) &&
        (uint64_t)st.st_blocks * 512 >= size)
        word_store_relaxed(&attachment->mapped, size);
}
