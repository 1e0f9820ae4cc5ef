/* support.c  SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void need(bool condition, const char *text, const char *file, int line)
{
    if (condition)
        return;
    fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", file, line, text, strerror(errno));
    ERR_print_errors_fp(stderr);
    abort();
}

/* ---- a directory of files ---------------------------------------------------------------------------------------- */

void scene_make(struct scene *scene)
{
    *scene = (struct scene){.directory = "/tmp/configstream-tls-XXXXXX", .log = {.level = LOG_INFO}};
    NEED(mkdtemp(scene->directory));
    snprintf(scene->cert, sizeof scene->cert, "%s/ipc_cert.pem", scene->directory);
    snprintf(scene->ca, sizeof scene->ca, "%s/ca.pem", scene->directory);
    snprintf(scene->key, sizeof scene->key, "%s/key.pem", scene->directory);
    snprintf(scene->token, sizeof scene->token, "%s/auth_token", scene->directory);
}

void scene_remove(struct scene *scene)
{
    DIR *directory = opendir(scene->directory);
    NEED(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            NEED(unlinkat(dirfd(directory), entry->d_name, 0) == 0);
    closedir(directory);
    NEED(rmdir(scene->directory) == 0);
}

struct credentials_options scene_options(const struct scene *scene)
{
    return (struct credentials_options){
        .cert_path = scene->cert, .token_path = scene->token, .create = true, .log = &scene->log};
}

void file_put(const char *path, const char *content, mode_t mode)
{
    char draft[128];
    snprintf(draft, sizeof draft, "%s.draft", path);
    int fd = open(draft, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
    NEED(fd >= 0);
    NEED(fchmod(fd, mode) == 0);
    NEED(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    close(fd);
    NEED(rename(draft, path) == 0);
}

char *file_get(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    NEED(fd >= 0 && fstat(fd, &status) == 0);
    char *text = calloc(1, (size_t)status.st_size + 1);
    NEED(text && read(fd, text, (size_t)status.st_size) == status.st_size);
    close(fd);
    return text;
}

static int caught = -1;

void log_catch(void)
{
    caught = memfd_create("log", MFD_CLOEXEC);
    NEED(caught >= 0 && dup2(caught, STDERR_FILENO) == STDERR_FILENO);
}

const char *log_caught(void)
{
    static char text[16384];
    ssize_t length = pread(caught, text, sizeof text - 1, 0);
    NEED(length >= 0);
    text[length] = '\0';
    return text;
}

unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    while ((text = strstr(text, part))) {
        count++;
        text++;
    }
    return count;
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    NEED(extension && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *certificate, const struct identity_spec *spec)
{
    add_extension(certificate, NID_basic_constraints, spec->no_ca ? "critical,CA:FALSE" : "critical,CA:TRUE");
    const char *usual = spec->no_ca ? "digitalSignature" : "digitalSignature,keyCertSign";
    add_extension(certificate, NID_key_usage, spec->key_usage ? spec->key_usage : usual);
    add_extension(certificate, NID_ext_key_usage,
                  spec->extended_usage ? spec->extended_usage : "serverAuth,clientAuth");
    add_extension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
}

struct test_identity identity_make(struct identity_spec spec)
{
    static long serial;
    char name[32];
    snprintf(name, sizeof name, "test %ld", ++serial);
    struct test_identity made = {X509_new(), EVP_EC_gen("P-256")};
    const struct test_identity *issuer = spec.issuer ? spec.issuer : &made;
    bool today = !spec.from_days && !spec.until_days;
    NEED(made.certificate && made.key);
    NEED(X509_set_version(made.certificate, X509_VERSION_3));
    NEED(ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial));
    NEED(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "O", MBSTRING_ASC,
                                    (const unsigned char *)name, -1, -1, 0));
    NEED(X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer->certificate)));
    NEED(X509_time_adj_ex(X509_getm_notBefore(made.certificate), today ? -1 : (int)spec.from_days, 0, NULL));
    NEED(X509_time_adj_ex(X509_getm_notAfter(made.certificate), today ? 1 : (int)spec.until_days, 0, NULL));
    NEED(X509_set_pubkey(made.certificate, made.key));
    add_extensions(made.certificate, &spec);
    NEED(X509_sign(made.certificate, issuer->key, EVP_sha256()));
    return made;
}

struct test_identity identity_of_file(const char *path)
{
    struct test_identity read;
    BIO *file = BIO_new_file(path, "r");
    NEED(file);
    read.certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);
    read.key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
    NEED(read.certificate && read.key);
    BIO_free(file);
    return read;
}

void identity_free(struct test_identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

static char *text_of(BIO *bio)
{
    char *bytes;
    long length = BIO_get_mem_data(bio, &bytes);
    char *text = strndup(bytes, (size_t)length);
    NEED(text);
    BIO_free(bio);
    return text;
}

char *pem_certificate(const struct test_identity *identity)
{
    BIO *bio = BIO_new(BIO_s_mem());
    NEED(bio && PEM_write_bio_X509(bio, identity->certificate));
    return text_of(bio);
}

char *pem_key(const struct test_identity *identity)
{
    BIO *bio = BIO_new(BIO_s_mem());
    NEED(bio && PEM_write_bio_PrivateKey_traditional(bio, identity->key, NULL, NULL, 0, NULL, NULL));
    return text_of(bio);
}

char *pem_pkcs8(const struct test_identity *identity, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    NEED(bio && PEM_write_bio_PKCS8PrivateKey(bio, identity->key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                                              passphrase ? (int)strlen(passphrase) : 0, NULL, NULL));
    return text_of(bio);
}

char *joined(const char *first, const char *second)
{
    char *text = malloc(strlen(first) + strlen(second) + 1);
    NEED(text);
    strcpy(text, first);
    return strcat(text, second);
}

void combined_put(const char *path, const struct test_identity *identity)
{
    char *certificate = pem_certificate(identity), *key = pem_key(identity), *both = joined(certificate, key);
    file_put(path, both, 0600);
    free(certificate);
    free(key);
    free(both);
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static void set_up(SSL_CTX *context, const struct client_options *options)
{
    int version = options->version ? options->version : TLS1_3_VERSION;
    SSL_CTX_set_security_level(context, 0); /* else it would not even offer what the server has to refuse */
    NEED(SSL_CTX_set_min_proto_version(context, version) && SSL_CTX_set_max_proto_version(context, version));
    NEED(!options->ciphers || SSL_CTX_set_cipher_list(context, options->ciphers));
    if (options->identity)
        NEED(SSL_CTX_use_certificate(context, options->identity->certificate) == 1 &&
             SSL_CTX_use_PrivateKey(context, options->identity->key) == 1);
}

static void set_protocol(SSL *ssl, const char *name)
{
    unsigned char wire[32];
    size_t length = strlen(name);
    wire[0] = (unsigned char)length;
    memcpy(wire + 1, name, length);
    NEED(length == 0 || SSL_set_alpn_protos(ssl, wire, (unsigned)length + 1) == 0);
}

void client_open(struct client *client, struct client_options options, int *server_fd)
{
    int fds[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    client->fd = fds[0];
    *server_fd = fds[1];
    client->context = SSL_CTX_new(TLS_client_method());
    NEED(client->context);
    set_up(client->context, &options);
    client->ssl = SSL_new(client->context);
    NEED(client->ssl && SSL_set_fd(client->ssl, client->fd) == 1);
    set_protocol(client->ssl, options.alpn ? options.alpn : "h2");
    SSL_set_connect_state(client->ssl);
}

void client_close(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    close(client->fd);
}

static bool client_goes_on(struct client *client)
{
    ERR_clear_error();
    int error = SSL_get_error(client->ssl, SSL_do_handshake(client->ssl));
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

enum channel_result handshake(struct client *client, struct channel *channel)
{
    enum channel_result result = CHANNEL_WANT_READ;
    bool going = true;
    for (int turn = 0; turn < 1000; turn++) {
        if (going)
            going = client_goes_on(client);
        if (result == CHANNEL_WANT_READ || result == CHANNEL_WANT_WRITE)
            result = channel_handshake(channel);
        else if (!going || result != CHANNEL_OK)
            return result;
    }
    NEED(!"the two sides came to an end");
    return CHANNEL_FAILED;
}
