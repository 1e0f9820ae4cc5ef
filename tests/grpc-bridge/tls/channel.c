/*
 * channel.c: handshakes with clients of every kind, and what goes through a channel afterwards.
 *
 * grpc-wire 2 and its checklist: 28 (ALPN), 29 (versions, suites, renegotiation, resumption), 31 (reads drained,
 * partial writes); upstream-facts 2.3 (the certificate served is the file's) and 8 (TLS 1.3 only clients).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <criterion/criterion.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct scene scene;
static struct credentials *credentials;
static struct test_identity own; /* what is in the combined file */
static struct client client;
static struct channel *channel;
static int fd = -1;

static void open_credentials(struct credentials_options options)
{
    struct problem problem;
    credentials_close(credentials);
    credentials = credentials_open(&options, &problem);
    cr_assert(credentials, "%s", problem.text);
}

static void begin(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the bridge does */
    scene_make(&scene);
    log_catch();
    open_credentials(scene_options(&scene));
    own = identity_of_file(scene.cert);
}

static void disconnect(void)
{
    if (fd < 0)
        return;
    channel_free(channel);
    client_close(&client);
    close(fd);
    fd = -1;
}

static void end(void)
{
    disconnect();
    identity_free(&own);
    credentials_close(credentials);
    scene_remove(&scene);
}

TestSuite(channel, .init = begin, .fini = end);

static enum channel_result connect_with(struct client_options options)
{
    disconnect();
    client_open(&client, options, &fd);
    channel = channel_accept(credentials, fd);
    cr_assert(channel);
    return handshake(&client, channel);
}

static void connects(struct client_options options)
{
    enum channel_result result = connect_with(options);
    cr_assert_eq(result, CHANNEL_OK, "%s", channel_reason(channel));
}

static void is_refused(struct client_options options, const char *words)
{
    cr_expect_eq(connect_with(options), CHANNEL_FAILED, "it should say %s", words);
    cr_expect(strstr(channel_reason(channel), words), "'%s' does not say '%s'", channel_reason(channel), words);
}

static void is_refused_as(struct identity_spec spec, const char *words)
{
    struct test_identity other = identity_make(spec);
    is_refused((struct client_options){.identity = &other}, words);
    is_refused((struct client_options){.identity = &other, .version = TLS1_2_VERSION}, words);
    identity_free(&other);
}

/* ---- who gets in ------------------------------------------------------------------------------------------------- */

Test(channel, the_shared_certificate_gets_in_over_tls_1_3_and_1_2)
{
    connects((struct client_options){.identity = &own});
    cr_expect_str_eq(SSL_get_version(client.ssl), "TLSv1.3");
    connects((struct client_options){.identity = &own, .version = TLS1_2_VERSION});
    cr_expect_str_eq(SSL_get_version(client.ssl), "TLSv1.2");
    cr_expect_eq(channel_generation(channel), 1);
}

Test(channel, the_certificate_served_is_byte_for_byte_that_of_the_file)
{
    connects((struct client_options){.identity = &own});
    X509 *served = SSL_get1_peer_certificate(client.ssl);
    unsigned char *in_file = NULL, *on_wire = NULL;
    int file_length = i2d_X509(own.certificate, &in_file), wire_length = i2d_X509(served, &on_wire);
    cr_assert_eq(file_length, wire_length);
    cr_expect_eq(memcmp(in_file, on_wire, (size_t)file_length), 0);
    OPENSSL_free(in_file), OPENSSL_free(on_wire), X509_free(served);
}

Test(channel, a_client_without_a_certificate_is_refused)
{
    is_refused((struct client_options){0}, "peer did not return a certificate");
    is_refused((struct client_options){.version = TLS1_2_VERSION}, "peer did not return a certificate");
}

Test(channel, a_client_of_another_ca_is_refused)
{
    is_refused_as((struct identity_spec){0}, "the client's certificate: self-signed certificate");
    is_refused_as((struct identity_spec){.no_ca = true}, "the client's certificate: ");
}

Test(channel, a_certificate_our_ca_signed_gets_in)
{
    struct test_identity signed_by_us = identity_make((struct identity_spec){.issuer = &own, .no_ca = true});
    connects((struct client_options){.identity = &signed_by_us});
    identity_free(&signed_by_us);
}

Test(channel, a_certificate_that_is_over_or_not_yet_or_not_for_clients_is_refused)
{
    is_refused_as((struct identity_spec){.issuer = &own, .no_ca = true, .from_days = -9, .until_days = -1},
                  "certificate has expired");
    is_refused_as((struct identity_spec){.issuer = &own, .no_ca = true, .from_days = 1, .until_days = 9},
                  "certificate is not yet valid");
    is_refused_as((struct identity_spec){.issuer = &own, .no_ca = true, .extended_usage = "serverAuth"},
                  "unsuitable certificate purpose");
}

/* The public half of one key and the private half of another: OpenSSL takes it for the certificate's. */
static EVP_PKEY *forge_key(EVP_PKEY *public_half, EVP_PKEY *private_half)
{
    BIGNUM *number = NULL;
    unsigned char point[256];
    size_t length;
    EVP_PKEY *forged = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    cr_assert_eq(EVP_PKEY_get_octet_string_param(public_half, "pub", point, sizeof point, &length), 1);
    cr_assert_eq(EVP_PKEY_get_bn_param(private_half, "priv", &number), 1);
    OSSL_PARAM_BLD_push_utf8_string(builder, "group", "prime256v1", 0);
    OSSL_PARAM_BLD_push_octet_string(builder, "pub", point, length);
    OSSL_PARAM_BLD_push_BN(builder, "priv", number);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    cr_assert(EVP_PKEY_fromdata_init(context) == 1 &&
              EVP_PKEY_fromdata(context, &forged, EVP_PKEY_KEYPAIR, parameters) == 1);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    BN_free(number);
    return forged;
}

Test(channel, a_certificate_without_its_key_is_refused)
{
    struct test_identity other = identity_make((struct identity_spec){0});
    struct test_identity thief = {own.certificate, forge_key(own.key, other.key)};
    is_refused((struct client_options){.identity = &thief}, "bad signature");
    is_refused((struct client_options){.identity = &thief, .version = TLS1_2_VERSION}, "bad signature");
    EVP_PKEY_free(thief.key);
    identity_free(&other);
}

Test(channel, separate_files_trust_the_ca_and_not_the_server)
{
    struct test_identity ca = identity_make((struct identity_spec){0});
    struct test_identity server = identity_make((struct identity_spec){.issuer = &ca, .no_ca = true});
    struct test_identity guest = identity_make((struct identity_spec){.issuer = &ca, .no_ca = true});
    char *certificate = pem_certificate(&server), *trusted = pem_certificate(&ca), *key = pem_key(&server);
    struct credentials_options options = scene_options(&scene);
    options.ca_path = scene.ca;
    options.key_path = scene.key;
    file_put(scene.cert, certificate, 0600);
    file_put(scene.ca, trusted, 0600);
    file_put(scene.key, key, 0600);
    open_credentials(options);
    connects((struct client_options){.identity = &guest});
    is_refused((struct client_options){.identity = &own}, "the client's certificate: ");
    is_refused((struct client_options){0}, "peer did not return a certificate");
    free(certificate), free(trusted), free(key);
    identity_free(&ca), identity_free(&server), identity_free(&guest);
}

Test(channel, without_authentication_nobody_is_asked_for_a_certificate)
{
    struct credentials_options options = scene_options(&scene);
    options.no_auth = true;
    open_credentials(options);
    connects((struct client_options){0});
    is_refused((struct client_options){.alpn = "http/1.1"}, "no application protocol");
}

/* ---- which TLS --------------------------------------------------------------------------------------------------- */

Test(channel, tls_1_1_is_refused)
{
    is_refused((struct client_options){.identity = &own, .version = TLS1_1_VERSION}, "unsupported protocol");
}

Test(channel, only_ephemeral_keys_and_aead_suites_are_spoken)
{
    static const char *const BAD[] = {"ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        is_refused((struct client_options){.identity = &own, .version = TLS1_2_VERSION, .ciphers = BAD[i]},
                   "no shared cipher");
    connects((struct client_options){
        .identity = &own, .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"});
    connects((struct client_options){
        .identity = &own, .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305"});
}

Test(channel, alpn_has_to_choose_h2)
{
    is_refused((struct client_options){.identity = &own, .alpn = "http/1.1"}, "no application protocol");
    is_refused((struct client_options){.identity = &own, .alpn = "h2c"}, "no application protocol");
    is_refused((struct client_options){.identity = &own, .alpn = ""}, "did not ask for h2 by ALPN");
    is_refused((struct client_options){.identity = &own, .alpn = "", .version = TLS1_2_VERSION},
               "did not ask for h2 by ALPN");
}

Test(channel, h2_is_found_behind_other_protocols)
{
    disconnect();
    client_open(&client, (struct client_options){.identity = &own, .alpn = ""}, &fd);
    cr_assert_eq(SSL_set_alpn_protos(client.ssl, (const unsigned char *)"\x08http/1.1\x02h2", 12), 0);
    channel = channel_accept(credentials, fd);
    cr_expect_eq(handshake(&client, channel), CHANNEL_OK, "%s", channel_reason(channel));
}

Test(channel, nothing_is_resumed)
{
    static const int VERSIONS[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        char byte;
        size_t got;
        connects((struct client_options){.identity = &own, .version = VERSIONS[i]});
        cr_expect_eq(SSL_read_ex(client.ssl, &byte, 1, &got), 0, "nothing to read: no tickets came");
        SSL_SESSION *session = SSL_get1_session(client.ssl);
        cr_expect_eq(SSL_SESSION_has_ticket(session), 0);
        disconnect();
        client_open(&client, (struct client_options){.identity = &own, .version = VERSIONS[i]}, &fd);
        SSL_set_session(client.ssl, session);
        channel = channel_accept(credentials, fd);
        cr_expect_eq(handshake(&client, channel), CHANNEL_OK, "%s", channel_reason(channel));
        cr_expect_eq(SSL_session_reused(client.ssl), 0);
        SSL_SESSION_free(session);
    }
}

/* ---- beginnings that lead nowhere -------------------------------------------------------------------------------- */

static void raw_connection(void)
{
    disconnect();
    client_open(&client, (struct client_options){0}, &fd);
    channel = channel_accept(credentials, fd);
}

static void send_raw(const void *bytes, size_t length)
{
    cr_assert_eq(send(client.fd, bytes, length, 0), (ssize_t)length);
}

Test(channel, a_silent_peer_is_waited_for_without_blocking)
{
    raw_connection();
    for (int i = 0; i < 3; i++)
        cr_expect_eq(channel_handshake(channel), CHANNEL_WANT_READ);
}

Test(channel, half_a_hello_is_waited_for_without_blocking)
{
    raw_connection();
    send_raw("\x16\x03\x01\x02\x00\x01\x00", 7);
    cr_expect_eq(channel_handshake(channel), CHANNEL_WANT_READ);
    cr_expect_eq(channel_handshake(channel), CHANNEL_WANT_READ);
}

Test(channel, a_peer_that_leaves_before_the_end_is_closed)
{
    raw_connection();
    shutdown(client.fd, SHUT_WR);
    cr_expect_eq(channel_handshake(channel), CHANNEL_CLOSED);
    raw_connection();
    send_raw("\x16\x03\x01\x02\x00\x01\x00", 7);
    shutdown(client.fd, SHUT_WR);
    cr_expect_eq(channel_handshake(channel), CHANNEL_CLOSED);
}

Test(channel, plain_http_and_garbage_fail)
{
    static const char *const GARBAGE[] = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                                          "\x80\xff garbage"};
    for (size_t i = 0; i < sizeof GARBAGE / sizeof *GARBAGE; i++) {
        raw_connection();
        send_raw(GARBAGE[i], strlen(GARBAGE[i]));
        cr_expect_eq(channel_handshake(channel), CHANNEL_FAILED);
        cr_expect_gt(strlen(channel_reason(channel)), 5, "'%s'", channel_reason(channel));
    }
}

Test(channel, damaged_hellos_of_any_kind_end_without_harm)
{
    unsigned char hello[4096];
    raw_connection();
    SSL_do_handshake(client.ssl);
    ssize_t length = recv(fd, hello, sizeof hello, 0); /* before the server could see it */
    cr_assert_gt(length, 100);
    srandom(1);
    for (int round = 0; round < 2000; round++) {
        unsigned char damaged[sizeof hello];
        memcpy(damaged, hello, (size_t)length);
        for (int i = 0; i < 3; i++)
            damaged[random() % length] = (unsigned char)random();
        raw_connection();
        send_raw(damaged, (size_t)length);
        shutdown(client.fd, SHUT_WR);
        enum channel_result result = channel_handshake(channel);
        cr_assert_neq(result, CHANNEL_OK, "in round %d", round);
    }
}

Test(channel, a_chain_of_certificates_without_end_is_refused)
{
    struct test_identity ballast = identity_make((struct identity_spec){0});
    disconnect();
    client_open(&client, (struct client_options){.identity = &own}, &fd);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(SSL_add1_chain_cert(client.ssl, ballast.certificate), 1);
    channel = channel_accept(credentials, fd);
    cr_expect_eq(handshake(&client, channel), CHANNEL_FAILED);
    cr_expect(strstr(channel_reason(channel), "excessive message size"), "%s", channel_reason(channel));
    identity_free(&ballast);
}

/* ---- through an open channel ------------------------------------------------------------------------------------- */

static void read_all(char *to, size_t length)
{
    size_t at = 0, got;
    while (at < length && channel_read(channel, to + at, length - at, &got) == CHANNEL_OK)
        at += got;
    cr_assert_eq(at, length);
}

Test(channel, bytes_go_both_ways_and_reads_end_in_want_read)
{
    char text[32];
    size_t done;
    connects((struct client_options){.identity = &own});
    cr_expect_eq(channel_read(channel, text, sizeof text, &done), CHANNEL_WANT_READ);
    cr_assert_eq(SSL_write_ex(client.ssl, "hello", 5, &done), 1);
    cr_assert_eq(SSL_write_ex(client.ssl, " there", 6, &done), 1);
    read_all(text, 11);
    cr_expect_eq(memcmp(text, "hello there", 11), 0);
    cr_expect_eq(channel_read(channel, text, sizeof text, &done), CHANNEL_WANT_READ);
    cr_assert_eq(channel_write(channel, "answer", 6, &done), CHANNEL_OK);
    cr_assert_eq(SSL_read_ex(client.ssl, text, sizeof text, &done), 1);
    cr_expect_eq(done, 6);
}

Test(channel, bytes_held_inside_come_without_the_socket_being_readable)
{
    char byte;
    size_t done;
    connects((struct client_options){.identity = &own});
    cr_assert_eq(SSL_write_ex(client.ssl, "abc", 3, &done), 1);
    cr_assert_eq(channel_read(channel, &byte, 1, &done), CHANNEL_OK);
    cr_expect_lt(recv(fd, &byte, 1, MSG_PEEK), 0, "the record has left the socket whole");
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_OK);
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_OK);
    cr_expect_eq(byte, 'c');
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_WANT_READ);
}

/* What the client can take now, compared with the pattern from *at on. */
static void take_pattern(size_t *at)
{
    static unsigned char bytes[65536];
    size_t got;
    while (SSL_read_ex(client.ssl, bytes, sizeof bytes, &got) == 1)
        for (size_t i = 0; i < got; i++, ++*at)
            cr_assert_eq(bytes[i], (unsigned char)(*at % 251), "at %zu", *at);
}

Test(channel, a_write_that_found_no_room_goes_on_from_another_place_in_memory)
{
    enum { LENGTH = 4 * 1024 * 1024, PIECE = 100000 };
    static unsigned char places[2][PIECE];
    size_t written = 0, taken = 0, stalls = 0, parts = 0;
    connects((struct client_options){.identity = &own});
    for (int turn = 0; written < LENGTH; turn++) {
        unsigned char *bytes = places[turn % 2];
        size_t length = LENGTH - written < PIECE ? LENGTH - written : PIECE, done = 0;
        for (size_t i = 0; i < length; i++)
            bytes[i] = (unsigned char)((written + i) % 251);
        enum channel_result result = channel_write(channel, bytes, length, &done);
        cr_assert(result == CHANNEL_OK || result == CHANNEL_WANT_WRITE, "%s", channel_reason(channel));
        if (result == CHANNEL_OK) {
            written += done;
            parts += done < length;
        } else {
            stalls++;
            take_pattern(&taken);
        }
    }
    take_pattern(&taken);
    cr_expect_eq(taken, LENGTH);
    cr_expect_gt(stalls, 0, "the socket was never full, so nothing was shown");
    cr_expect_gt(parts, 0, "what had gone out was not told before all had");
}

Test(channel, an_end_is_an_end_with_and_without_close_notify)
{
    char byte;
    size_t done;
    connects((struct client_options){.identity = &own});
    SSL_shutdown(client.ssl);
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_CLOSED);
    connects((struct client_options){.identity = &own});
    shutdown(client.fd, SHUT_WR);
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_CLOSED);
    connects((struct client_options){.identity = &own});
    shutdown(client.fd, SHUT_RDWR);
    cr_expect_eq(channel_write(channel, "x", 1, &done), CHANNEL_CLOSED);
    channel_shutdown(channel);
}

Test(channel, shutdown_tells_the_client_that_this_is_the_end)
{
    char byte;
    size_t done;
    connects((struct client_options){.identity = &own});
    channel_shutdown(channel);
    cr_expect_eq(SSL_read_ex(client.ssl, &byte, 1, &done), 0);
    cr_expect_eq(SSL_get_error(client.ssl, 0), SSL_ERROR_ZERO_RETURN);
}

Test(channel, damaged_records_fail_and_stay_failed)
{
    char byte;
    size_t done;
    connects((struct client_options){.identity = &own});
    send_raw("\x17\x03\x03\x00\x20 thirty-two bytes of nothing sens", 37);
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_FAILED);
    cr_expect(strstr(channel_reason(channel), "bad record mac") || strstr(channel_reason(channel), "decrypt"), "%s",
              channel_reason(channel));
    cr_expect_neq(channel_read(channel, &byte, 1, &done), CHANNEL_OK);
    channel_shutdown(channel);
}

Test(channel, one_channels_error_is_not_anothers)
{
    char byte;
    size_t done;
    connects((struct client_options){.identity = &own});
    struct channel *good = channel;
    struct client good_client = client;
    int good_fd = fd;
    fd = -1;
    is_refused((struct client_options){0}, "peer did not return a certificate");
    ERR_put_error(ERR_LIB_SSL, 0, SSL_R_BAD_LENGTH, __FILE__, __LINE__); /* left behind by somebody */
    cr_expect_eq(channel_read(good, &byte, 1, &done), CHANNEL_WANT_READ);
    channel_free(good);
    client_close(&good_client);
    close(good_fd);
}

/* ---- floods inside TLS ------------------------------------------------------------------------------------------- */

static enum channel_result update_keys(int times)
{
    char byte;
    size_t done;
    enum channel_result result = CHANNEL_WANT_READ;
    for (int i = 0; i < times && result == CHANNEL_WANT_READ; i++) {
        cr_assert_eq(SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        cr_assert_eq(SSL_do_handshake(client.ssl), 1);
        result = channel_read(channel, &byte, 1, &done);
        SSL_read_ex(client.ssl, &byte, 1, &done);
    }
    return result;
}

Test(channel, keys_may_be_updated_but_not_for_ever)
{
    size_t done;
    char byte;
    connects((struct client_options){.identity = &own});
    cr_assert_eq(update_keys(50), CHANNEL_WANT_READ);
    cr_assert_eq(SSL_write_ex(client.ssl, "x", 1, &done), 1);
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_OK);
    cr_expect_eq(update_keys(1000), CHANNEL_FAILED);
    cr_expect(strstr(channel_reason(channel), "too many key updates"), "%s", channel_reason(channel));
    channel_shutdown(channel);
}

/* Pieces that the socket takes before it is full. */
static size_t write_pieces(size_t most)
{
    static const char piece[1000];
    size_t count = 0, done;
    while (count < most && channel_write(channel, piece, sizeof piece, &done) == CHANNEL_OK)
        count++;
    return count;
}

/* The answers find no room in the socket, so a read comes to wait for a write: who only waits for bytes to read would be
 * woken by those already there, again and again. */
Test(channel, a_peer_that_asks_for_key_updates_and_takes_no_answers_fails)
{
    enum channel_result result = CHANNEL_WANT_READ;
    size_t done;
    char byte;
    connects((struct client_options){.identity = &own});
    size_t fit = write_pieces(SIZE_MAX);
    connects((struct client_options){.identity = &own});
    cr_assert_eq(write_pieces(fit), fit, "the same socket took as much before");
    for (int i = 0; i < 50 && result == CHANNEL_WANT_READ; i++) {
        cr_assert_eq(SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        cr_assert_eq(SSL_do_handshake(client.ssl), 1);
        result = channel_read(channel, &byte, 1, &done);
    }
    cr_expect_eq(result, CHANNEL_FAILED, "it is %d", result);
    cr_expect(strstr(channel_reason(channel), "takes no answers"), "%s", channel_reason(channel));
    channel_shutdown(channel);
}

Test(channel, a_renegotiation_is_not_entered)
{
    char byte;
    size_t done;
    connects((struct client_options){.identity = &own, .version = TLS1_2_VERSION});
    cr_assert_eq(SSL_renegotiate(client.ssl), 1);
    SSL_do_handshake(client.ssl);
    cr_expect_eq(channel_read(channel, &byte, 1, &done), CHANNEL_WANT_READ);
    ERR_clear_error();
    cr_expect_leq(SSL_do_handshake(client.ssl), 0);
    cr_expect_eq(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
}
