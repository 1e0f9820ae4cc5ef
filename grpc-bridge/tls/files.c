/* tls/files.c  SPDX-License-Identifier: Apache-2.0 */
#include "tls/files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* One byte more than it had is asked for, so that a file that grows meanwhile is noticed by its length. */
static void read_bytes(int fd, size_t room, struct credential_file *file)
{
    file->bytes = OPENSSL_zalloc(room + 1);
    if (!file->bytes) {
        file->error = ENOMEM;
        return;
    }
    while (file->length < room) {
        ssize_t got = read(fd, file->bytes + file->length, room - file->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            file->error = errno;
        if (got <= 0)
            break;
        file->length += (size_t)got;
    }
    if (file->error) {
        OPENSSL_clear_free(file->bytes, room + 1);
        file->bytes = NULL;
    }
}

static void read_file(const char *path, bool secret, struct credential_file *file)
{
    struct stat status;
    *file = (struct credential_file){.path = path, .secret = secret};
    if (!path)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no waiting for a FIFO's writer */
    if (fd < 0 || fstat(fd, &status) != 0) {
        file->error = errno;
    } else if (S_ISREG(status.st_mode) && status.st_size <= CREDENTIAL_FILE_MAX_BYTES) {
        file->mode = status.st_mode;
        read_bytes(fd, (size_t)status.st_size + 1, file);
    }
    if (fd >= 0)
        close(fd);
}

void files_read(const struct credentials_options *options, struct credential_files *out)
{
    read_file(options->cert_path, !options->key_path, &out->cert);
    read_file(options->ca_path, false, &out->ca);
    read_file(options->key_path, true, &out->key);
    read_file(options->no_auth ? NULL : options->token_path, true, &out->token);
    out->made = options->create;
}

const char *files_cure(const struct credential_files *files)
{
    return files->made ? "remove it, and the next start makes one" : "replace it";
}

static void free_file(struct credential_file *file)
{
    if (file->bytes)
        OPENSSL_clear_free(file->bytes, file->length);
    file->bytes = NULL;
}

void files_free(struct credential_files *files)
{
    free_file(&files->cert);
    free_file(&files->ca);
    free_file(&files->key);
    free_file(&files->token);
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static bool check_file(const struct credential_file *file, struct problem *problem)
{
    if (!file->path)
        return true;
    if (file->error)
        return problem_set(problem, "%s: cannot read: %s; %s, or name another file", file->path, strerror(file->error),
                           file->error == ENOENT ? "put it there" : "make it readable to this user");
    if (!file->bytes)
        return problem_set(problem, "%s: must be a regular file of at most %d bytes", file->path,
                           CREDENTIAL_FILE_MAX_BYTES);
    if (file->secret && file->mode & S_IRWXO)
        return problem_set(problem, "%s: everybody may use it (mode %04o), and it holds a secret: chmod 0600, or 0640",
                           file->path, (unsigned)file->mode & 07777);
    if (file->mode & S_IWOTH)
        return problem_set(problem, "%s: everybody may change it (mode %04o): chmod o-w", file->path,
                           (unsigned)file->mode & 07777);
    return true;
}

bool files_check(const struct credential_files *files, struct problem *problem)
{
    return check_file(&files->cert, problem) && check_file(&files->ca, problem) && check_file(&files->key, problem) &&
           check_file(&files->token, problem);
}

static bool digest_file(EVP_MD_CTX *context, const struct credential_file *file)
{
    return EVP_DigestUpdate(context, &file->mode, sizeof file->mode) == 1 &&
           EVP_DigestUpdate(context, &file->error, sizeof file->error) == 1 &&
           EVP_DigestUpdate(context, &file->length, sizeof file->length) == 1 &&
           EVP_DigestUpdate(context, file->bytes ? file->bytes : "", file->bytes ? file->length : 0) == 1;
}

bool files_digest(const struct credential_files *files, unsigned char out[SHA256_DIGEST_LENGTH])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 && digest_file(context, &files->cert) &&
              digest_file(context, &files->ca) && digest_file(context, &files->key) &&
              digest_file(context, &files->token) && EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}
