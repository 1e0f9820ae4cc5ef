/* client/access.c: grpc-wire 2, from the client's side.  SPDX-License-Identifier: Apache-2.0 */
#include "client/access.h"

#include "client/address.h"
#include "tls/context.h"
#include "tls/files.h"
#include "tls/load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { PEER_CHAIN_MAX_BYTES = 100 * 1024 };

static const unsigned char PROTOCOLS[] = {2, 'h', '2'};
static const char SCHEME[] = "Bearer ";

static void read_files(const struct access_options *options, struct credential_files *files)
{
    const struct credentials_options paths = {.cert_path = options->cert_file,
                                              .ca_path = options->ca_file,
                                              .key_path = options->key_file,
                                              .token_path = options->token ? NULL : options->token_file};
    files_read(&paths, files);
}

static bool is_missing(const struct credential_file *file)
{
    return file->path && (file->error == ENOENT || file->error == ENOTDIR);
}

/* ---- the token --------------------------------------------------------------------------------------------------- */

bool access_token_is_valid(const char *token, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (token[i] < 0x21 || token[i] > 0x7e)
            return false;
    return length > 0 && length <= ACCESS_TOKEN_MAX_BYTES;
}

static int take_token(const struct access_options *options, const struct credential_file *file, struct access *out,
                      struct failure *failure)
{
    const char *token = options->token ? options->token : file->bytes;
    size_t length = options->token ? strlen(token) : file->length;
    if (!options->token && length > 0 && token[length - 1] == '\n')
        length--;
    if (!access_token_is_valid(token, length))
        return failure_set(failure, CFGS_ERR_CREDENTIALS,
                           "%s: a token is one line of at most %d visible ASCII characters; take the core's file",
                           options->token ? "the token" : file->path, ACCESS_TOKEN_MAX_BYTES);
    out->authorization = OPENSSL_zalloc(sizeof SCHEME + length);
    if (!out->authorization)
        return failure_memory(failure);
    memcpy(out->authorization, SCHEME, sizeof SCHEME - 1);
    memcpy(out->authorization + sizeof SCHEME - 1, token, length);
    return CFGS_OK;
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

/* CFGS_VERIFY_PINNED: the server shows the certificate that we show.  That it has the key, the handshake proves. */
static int compare_with_ours(X509_STORE_CTX *verified, void *unused)
{
    (void)unused;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(verified, SSL_get_ex_data_X509_STORE_CTX_idx());
    const X509 *ours = ssl ? SSL_get_certificate(ssl) : NULL, *theirs = X509_STORE_CTX_get0_cert(verified);
    if (ours && theirs && X509_cmp(ours, theirs) == 0)
        return 1;
    X509_STORE_CTX_set_error(verified, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static int make_context(const struct access_options *options, const struct material *material, struct access *out,
                        struct failure *failure)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !context_prepare(context, material) || !context_trust(context, material) ||
        SSL_CTX_set_alpn_protos(context, PROTOCOLS, sizeof PROTOCOLS) != 0) {
        failure_set(failure, CFGS_ERR_CREDENTIALS, "%s: TLS cannot be set up with this certificate: %s",
                    options->cert_file, ERR_reason_error_string(ERR_peek_error()));
        ERR_clear_error();
        SSL_CTX_free(context);
        return failure->code;
    }
    SSL_CTX_set_max_cert_list(context, PEER_CHAIN_MAX_BYTES);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (options->verify == CFGS_VERIFY_PINNED)
        SSL_CTX_set_cert_verify_callback(context, compare_with_ours, NULL);
    out->context = context;
    return CFGS_OK;
}

/* An IP address is never sent as a name (RFC 6066); the subject's common name does not count as one (RFC 9525). */
static bool set_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);
    char host[HOST_PORT_HOST_BYTES], number[ADDRESS_NUMBER_BYTES];
    if (address_number(name, number))
        return X509_VERIFY_PARAM_set1_ip_asc(wanted, number) == 1;
    snprintf(host, sizeof host, "%s", name);
    size_t length = strlen(host);
    if (length > 1 && host[length - 1] == '.')
        host[length - 1] = '\0';
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(wanted, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

SSL *access_ssl(const struct access *access, const struct access_options *options)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(access->context);
    if (ssl && set_name(ssl, options->name)) {
        SSL_set_connect_state(ssl);
        return ssl;
    }
    ERR_clear_error();
    SSL_free(ssl);
    return NULL;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static int take_material(const struct access_options *options, const struct credential_files *files,
                         struct access *out, struct failure *failure)
{
    struct problem problem;
    struct material material = {0};
    enum material_use use = options->verify == CFGS_VERIFY_PINNED ? MATERIAL_FOR_PINNING : MATERIAL_FOR_CLIENT;
    int error = CFGS_OK;
    if (!files_check(files, &problem) || !material_load(files, use, &material, &problem))
        error = failure_set(failure, CFGS_ERR_CREDENTIALS, "%.400s", problem.text);
    else
        error = make_context(options, &material, out, failure);
    material_free(&material);
    return error;
}

int access_load(const struct access_options *options, struct access *out, bool *missing, struct failure *failure)
{
    struct credential_files files;
    *out = (struct access){0};
    read_files(options, &files);
    *missing = is_missing(&files.cert) || is_missing(&files.ca) || is_missing(&files.key) || is_missing(&files.token);
    int error = take_material(options, &files, out, failure);
    if (error == CFGS_OK)
        error = take_token(options, &files.token, out, failure);
    files_free(&files);
    if (error != CFGS_OK)
        access_free(out);
    return error;
}

void access_free(struct access *access)
{
    SSL_CTX_free(access->context);
    if (access->authorization)
        OPENSSL_clear_free(access->authorization, strlen(access->authorization));
    *access = (struct access){0};
}

bool access_digest(const struct access_options *options, unsigned char out[SHA256_DIGEST_LENGTH])
{
    struct credential_files files;
    read_files(options, &files);
    bool known = files_digest(&files, out);
    files_free(&files);
    return known;
}
