/* support.h: certificates of every kind, files of credentials, and clients.  What fails here ends the program.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TLS_TESTS_SUPPORT_H
#define TLS_TESTS_SUPPORT_H

#include "tls/channel.h"
#include "tls/credentials.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <sys/types.h>

#define NEED(condition) need(condition, #condition, __FILE__, __LINE__)
void need(bool condition, const char *text, const char *file, int line);

/* ---- a directory of files ---------------------------------------------------------------------------------------- */

struct scene {
    char directory[64], cert[96], ca[96], key[96], token[96];
    struct log log;
};

void scene_make(struct scene *scene);
void scene_remove(struct scene *scene);

/** Combined file and token, made when missing. */
struct credentials_options scene_options(const struct scene *scene);

/** Replace the file by one of this content, by rename, as tools do it. */
void file_put(const char *path, const char *content, mode_t mode);
/** The caller frees it. */
char *file_get(const char *path);

/** What was logged since log_catch(), which may only be called once. */
void log_catch(void);
const char *log_caught(void);
unsigned count_of(const char *text, const char *part);

/* ---- certificates ------------------------------------------------------------------------------------------------ */

struct identity_spec {
    const struct test_identity *issuer; /* NULL: itself */
    bool no_ca;
    const char *key_usage, *extended_usage; /* NULL: as the existing agents have them */
    long from_days, until_days;             /* 0 and 0: from yesterday to tomorrow */
};

struct test_identity {
    X509 *certificate;
    EVP_PKEY *key;
};

struct test_identity identity_make(struct identity_spec spec);
struct test_identity identity_of_file(const char *path);
void identity_free(struct test_identity *identity);

/** PEM text; the caller frees it. */
char *pem_certificate(const struct test_identity *identity);
char *pem_key(const struct test_identity *identity);      /* EC PRIVATE KEY */
char *pem_pkcs8(const struct test_identity *identity, const char *passphrase); /* PRIVATE KEY; passphrase may be NULL */
char *joined(const char *first, const char *second);

/** certificate and key, in the combined format */
void combined_put(const char *path, const struct test_identity *identity);

/* ---- clients ----------------------------------------------------------------------------------------------------- */

struct client_options {
    const struct test_identity *identity; /* NULL: none */
    int version;                          /* 0: TLS 1.3 */
    const char *alpn;                     /* NULL: h2; "": none */
    const char *ciphers;                  /* of TLS 1.2 */
};

struct client {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

/** One end of the socket pair is the client's, the other one is the server's to give to channel_accept(). */
void client_open(struct client *client, struct client_options options, int *server_fd);
void client_close(struct client *client);

/** Both sides in turn, until the server has a result and the client has nothing more to do. */
enum channel_result handshake(struct client *client, struct channel *channel);

#endif
