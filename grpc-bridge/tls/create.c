/* tls/create.c  SPDX-License-Identifier: Apache-2.0 */
#include "tls/create.h"

#include "tls/certificate.h"
#include "tls/token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file on its way.  Where the file system can, it has no name before it is whole, so that nothing is left of us when
 * we are killed; where it cannot, it has a name of its own. */
struct draft {
    int fd;
    char name[PATH_MAX];
};

static void directory_of(const char *path, char to[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(to, PATH_MAX, "%.*s", slash > path ? (int)(slash - path) : 1, slash ? path : ".");
}

static bool open_unnamed(const char *path, struct draft *draft)
{
    char directory[PATH_MAX];
    directory_of(path, directory);
    draft->fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    snprintf(draft->name, sizeof draft->name, "/proc/self/fd/%d", draft->fd);
    return draft->fd >= 0;
}

static bool open_named(const char *path, struct draft *draft)
{
    if (snprintf(draft->name, sizeof draft->name, "%s.XXXXXX", path) >= (int)sizeof draft->name) {
        errno = ENAMETOOLONG;
        return false;
    }
    draft->fd = mkostemp(draft->name, O_CLOEXEC);
    return draft->fd >= 0;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return fchmod(fd, 0600) == 0 && fsync(fd) == 0;
}

/* There already: another process was quicker. */
static bool give_name(const struct draft *draft, const char *path, const struct log *log)
{
    if (linkat(AT_FDCWD, draft->name, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0)
        return errno == EEXIST;
    log_write(log, LOG_INFO, "credentials: %s: was missing, and was made", path);
    return true;
}

static bool cannot_make(const char *path, const char *what, int error, bool opened, struct problem *problem)
{
    char directory[PATH_MAX];
    directory_of(path, directory);
    if (error == ENOENT && !opened)
        return problem_set(problem, "%s: there is no %s, and no directory to make one in: make the directory %s for this "
                                    "user, or name another file", path, what, directory);
    return problem_set(problem, "%s: there is no %s, and none can be made: %s; %s, or put the file there", path, what,
                       strerror(error), error == ENOSPC || error == EDQUOT ? "make room there"
                                                                           : "make the directory writable to this user");
}

static bool write_new(const struct log *log, const char *path, const char *what, const char *bytes, size_t length,
                      struct problem *problem)
{
    struct draft draft;
    bool unnamed = open_unnamed(path, &draft);
    bool named = !unnamed && (errno == EOPNOTSUPP || errno == EISDIR) && open_named(path, &draft);
    bool ok = (unnamed || named) && write_all(draft.fd, bytes, length) && give_name(&draft, path, log);
    int error = errno;
    if (unnamed || named)
        close(draft.fd);
    if (named)
        unlink(draft.name);
    return ok || cannot_make(path, what, error, unnamed || named, problem);
}

static bool is_missing(const char *path)
{
    struct stat status;
    return lstat(path, &status) != 0 && errno == ENOENT;
}

static bool create_certificate(const struct credentials_options *options, struct problem *problem)
{
    char *pem;
    size_t length;
    if (!certificate_make(options->names, options->name_count, &pem, &length, problem))
        return false;
    bool ok = write_new(options->log, options->cert_path, "certificate", pem, length, problem);
    OPENSSL_clear_free(pem, length);
    return ok;
}

static bool create_token(const struct credentials_options *options, struct problem *problem)
{
    struct token token;
    if (!token_make(&token))
        return problem_set(problem, "%s: no random numbers to be had for a token", options->token_path);
    bool ok = write_new(options->log, options->token_path, "token", token.text, TOKEN_BYTES, problem);
    OPENSSL_cleanse(&token, sizeof token);
    return ok;
}

bool credentials_create(const struct credentials_options *options, struct problem *problem)
{
    if (!options->ca_path && is_missing(options->cert_path) && !create_certificate(options, problem))
        return false;
    return options->no_auth || !is_missing(options->token_path) || create_token(options, problem);
}
