/*
 * credentials.c: what is made, what is taken from files, and what is refused, with the words for it.
 *
 * upstream-facts 2.3 (formats) and 2.4 (bearer), decision 6, grpc-wire 2.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct scene scene;
static struct problem problem;

static void begin(void)
{
    scene_make(&scene);
    log_catch();
}

static void end(void) { scene_remove(&scene); }

TestSuite(credentials, .init = begin, .fini = end);

static struct credentials *open_with(struct credentials_options options)
{
    problem.text[0] = '\0';
    return credentials_open(&options, &problem);
}

static void opens(struct credentials_options options)
{
    struct credentials *credentials = open_with(options);
    cr_assert(credentials, "%s", problem.text);
    credentials_close(credentials);
}

/* Refused with a line that names the file and says this. */
static void is_refused(struct credentials_options options, const char *path, const char *words)
{
    cr_assert_null(open_with(options));
    cr_expect(strstr(problem.text, path), "'%s' does not name %s", problem.text, path);
    cr_expect(strstr(problem.text, words), "'%s' does not say '%s'", problem.text, words);
}

static struct credentials_options separate(void)
{
    struct credentials_options options = scene_options(&scene);
    options.ca_path = scene.ca;
    options.key_path = scene.key;
    return options;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static enum token_result check(struct credentials *credentials, const char *scheme, const char *token)
{
    char *text = joined(scheme, token);
    enum token_result result = credentials_check(credentials, text);
    free(text);
    return result;
}

/* ---- made -------------------------------------------------------------------------------------------------------- */

Test(credentials, a_missing_token_is_made_as_64_lowercase_hex_characters_and_nothing_else)
{
    opens(scene_options(&scene));
    char *token = file_get(scene.token);
    cr_expect_eq(strlen(token), 64);
    cr_expect_eq(strspn(token, "0123456789abcdef"), 64);
    cr_expect_eq(mode_of(scene.token), 0600);
    free(token);
}

Test(credentials, a_missing_certificate_is_made_in_the_combined_format)
{
    opens(scene_options(&scene));
    char *text = file_get(scene.cert);
    char *key = strstr(text, "-----BEGIN EC PRIVATE KEY-----");
    cr_expect_eq(strncmp(text, "-----BEGIN CERTIFICATE-----", 27), 0, "the certificate comes first");
    cr_expect(key && key > strstr(text, "-----END CERTIFICATE-----"), "the key comes second, as SEC1");
    cr_expect_eq(count_of(text, "-----BEGIN"), 2);
    cr_expect_eq(mode_of(scene.cert), 0600);
    free(text);
}

Test(credentials, files_are_private_whatever_the_umask)
{
    umask(0);
    opens(scene_options(&scene));
    cr_expect_eq(mode_of(scene.cert), 0600);
    cr_expect_eq(mode_of(scene.token), 0600);
    unlink(scene.token);
    umask(0777);
    opens(scene_options(&scene));
    cr_expect_eq(mode_of(scene.token), 0600);
}

Test(credentials, the_made_certificate_is_ca_server_and_client_at_once_for_fifty_years)
{
    opens(scene_options(&scene));
    struct test_identity made = identity_of_file(scene.cert);
    int days, seconds;
    char group[32];
    cr_expect_eq(X509_check_ca(made.certificate), 1);
    cr_expect_eq(X509_check_purpose(made.certificate, X509_PURPOSE_SSL_SERVER, 0), 1);
    cr_expect_eq(X509_check_purpose(made.certificate, X509_PURPOSE_SSL_CLIENT, 0), 1);
    cr_expect_eq(X509_get_key_usage(made.certificate), KU_DIGITAL_SIGNATURE | KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    cr_expect_eq(X509_get_extended_key_usage(made.certificate), XKU_SSL_SERVER | XKU_SSL_CLIENT);
    cr_expect_eq(X509_verify(made.certificate, made.key), 1, "signed by itself");
    ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(made.certificate), X509_get0_notAfter(made.certificate));
    cr_expect(days > 49 * 365 + 12 && days < 51 * 365);
    cr_expect_eq(EVP_PKEY_get_group_name(made.key, group, sizeof group, NULL), 1);
    cr_expect_str_eq(group, "prime256v1");
    cr_expect_geq(ASN1_STRING_length(X509_get0_serialNumber(made.certificate)), 12, "a serial of 128 random bits");
    identity_free(&made);
}

Test(credentials, the_made_certificate_names_localhost_and_the_addresses_listened_on)
{
    static const char *const NAMES[] = {"localhost", "config.example.com", "192.0.2.7", "2001:db8::7", "0.0.0.0"};
    struct credentials_options options = scene_options(&scene);
    char own[256];
    options.names = NAMES;
    options.name_count = 5;
    opens(options);
    struct test_identity made = identity_of_file(scene.cert);
    cr_expect_eq(X509_check_host(made.certificate, "localhost", 0, 0, NULL), 1);
    cr_expect_eq(X509_check_ip_asc(made.certificate, "127.0.0.1", 0), 1);
    cr_expect_eq(X509_check_ip_asc(made.certificate, "::1", 0), 1);
    cr_expect_eq(X509_check_host(made.certificate, "config.example.com", 0, 0, NULL), 1);
    cr_expect_eq(X509_check_ip_asc(made.certificate, "192.0.2.7", 0), 1);
    cr_expect_eq(X509_check_ip_asc(made.certificate, "2001:db8::7", 0), 1);
    cr_expect_eq(X509_check_ip_asc(made.certificate, "0.0.0.0", 0), 0);
    cr_assert_eq(gethostname(own, sizeof own), 0);
    cr_expect_eq(X509_check_host(made.certificate, own, 0, 0, NULL), 1, "everywhere is the host's own name");
    identity_free(&made);
}

Test(credentials, a_name_that_would_be_read_as_more_than_a_name_is_refused)
{
    static const char *const NAMES[] = {"a,DNS:*"};
    struct credentials_options options = scene_options(&scene);
    options.names = NAMES;
    options.name_count = 1;
    is_refused(options, "'a,DNS:*'", "neither an address nor a host name");
    cr_expect_neq(access(scene.cert, F_OK), 0);
}

Test(credentials, what_is_there_already_is_used_and_not_made_anew)
{
    opens(scene_options(&scene));
    char *certificate = file_get(scene.cert), *token = file_get(scene.token);
    opens(scene_options(&scene));
    char *certificate_later = file_get(scene.cert), *token_later = file_get(scene.token);
    cr_expect_str_eq(certificate, certificate_later);
    cr_expect_str_eq(token, token_later);
    free(certificate), free(token), free(certificate_later), free(token_later);
}

Test(credentials, nothing_is_made_unless_asked_for)
{
    struct credentials_options options = scene_options(&scene);
    options.create = false;
    is_refused(options, scene.cert, "No such file");
    cr_expect_neq(access(scene.cert, F_OK), 0);
    cr_expect_neq(access(scene.token, F_OK), 0);
}

Test(credentials, a_missing_directory_is_named_with_a_way_out)
{
    struct credentials_options options = scene_options(&scene);
    options.token_path = "/nonexistent/directory/auth_token";
    is_refused(options, "/nonexistent/directory/auth_token", "make the directory /nonexistent/directory for this user");
    options.token_path = "no_such_directory/auth_token";
    is_refused(options, "no_such_directory/auth_token", "make the directory no_such_directory for this user");
}

Test(credentials, separate_files_are_not_made)
{
    is_refused(separate(), scene.cert, "No such file");
    cr_expect_neq(access(scene.cert, F_OK), 0);
}

/* ---- the token --------------------------------------------------------------------------------------------------- */

Test(credentials, a_bearer_is_known_by_its_token_and_its_scheme_in_any_case)
{
    struct credentials *credentials = open_with(scene_options(&scene));
    char *token = file_get(scene.token);
    cr_expect_eq(check(credentials, "Bearer ", token), TOKEN_OK);
    cr_expect_eq(check(credentials, "bearer ", token), TOKEN_OK);
    cr_expect_eq(check(credentials, "BEARER ", token), TOKEN_OK);
    free(token);
    credentials_close(credentials);
}

Test(credentials, what_is_no_bearer_is_missing)
{
    struct credentials *credentials = open_with(scene_options(&scene));
    char *token = file_get(scene.token);
    cr_expect_eq(credentials_check(credentials, NULL), TOKEN_MISSING);
    cr_expect_eq(credentials_check(credentials, ""), TOKEN_MISSING);
    cr_expect_eq(credentials_check(credentials, "Bearer"), TOKEN_MISSING);
    cr_expect_eq(check(credentials, "", token), TOKEN_MISSING);
    cr_expect_eq(check(credentials, "Basic ", token), TOKEN_MISSING);
    free(token);
    credentials_close(credentials);
}

Test(credentials, a_token_that_differs_in_any_place_or_in_length_is_wrong)
{
    struct credentials *credentials = open_with(scene_options(&scene));
    char *token = file_get(scene.token), *longer = joined(token, "0");
    for (size_t i = 0; i < 64; i++) {
        char right = token[i];
        token[i] = right == '0' ? '1' : '0';
        cr_expect_eq(check(credentials, "Bearer ", token), TOKEN_WRONG, "at %zu", i);
        token[i] = right;
    }
    cr_expect_eq(check(credentials, "Bearer ", longer), TOKEN_WRONG);
    cr_expect_eq(check(credentials, "Bearer ", token + 1), TOKEN_WRONG);
    cr_expect_eq(check(credentials, "Bearer ", ""), TOKEN_WRONG);
    cr_expect_eq(check(credentials, "Bearer  ", token), TOKEN_WRONG);
    free(token), free(longer);
    credentials_close(credentials);
}

Test(credentials, one_newline_after_the_token_is_let_pass_and_nothing_else)
{
    opens(scene_options(&scene));
    char *token = file_get(scene.token);
    char *line = joined(token, "\n"), *lines = joined(token, "\n\n"), *dos = joined(token, "\r\n");
    file_put(scene.token, line, 0600);
    struct credentials *credentials = open_with(scene_options(&scene));
    cr_assert(credentials, "%s", problem.text);
    cr_expect_eq(check(credentials, "Bearer ", token), TOKEN_OK);
    credentials_close(credentials);
    file_put(scene.token, lines, 0600);
    is_refused(scene_options(&scene), scene.token, "64 lowercase hex");
    file_put(scene.token, dos, 0600);
    is_refused(scene_options(&scene), scene.token, "64 lowercase hex");
    token[0] = 'A';
    file_put(scene.token, token, 0600);
    is_refused(scene_options(&scene), scene.token, "64 lowercase hex");
    file_put(scene.token, "", 0600);
    is_refused(scene_options(&scene), scene.token, "64 lowercase hex");
    free(token), free(line), free(lines), free(dos);
}

Test(credentials, without_authentication_no_token_is_made_read_or_asked_for)
{
    struct credentials_options options = scene_options(&scene);
    options.no_auth = true;
    struct credentials *credentials = open_with(options);
    cr_assert(credentials, "%s", problem.text);
    cr_expect_eq(credentials_check(credentials, NULL), TOKEN_OK);
    cr_expect_neq(access(scene.token, F_OK), 0);
    credentials_close(credentials);
}

Test(credentials, no_token_gets_into_log_or_problem)
{
    opens(scene_options(&scene));
    char *token = file_get(scene.token), *bad = joined(token, "beef");
    file_put(scene.token, bad, 0600);
    cr_assert_null(open_with(scene_options(&scene)));
    token[8] = '\0';
    cr_expect_null(strstr(problem.text, token));
    cr_expect_null(strstr(log_caught(), token));
    cr_expect(strstr(log_caught(), "credentials: loaded: certificate "), "but fingerprints do");
    free(token), free(bad);
}

/* ---- files that are refused -------------------------------------------------------------------------------------- */

Test(credentials, secrets_that_everybody_may_use_are_refused)
{
    opens(scene_options(&scene));
    cr_assert_eq(chmod(scene.token, 0644), 0);
    is_refused(scene_options(&scene), scene.token, "chmod 0600");
    cr_assert_eq(chmod(scene.token, 0640), 0);
    opens(scene_options(&scene));
    cr_assert_eq(chmod(scene.cert, 0604), 0);
    is_refused(scene_options(&scene), scene.cert, "chmod 0600");
}

Test(credentials, a_certificate_alone_may_be_read_but_not_changed_by_everybody)
{
    struct test_identity own = identity_make((struct identity_spec){0});
    char *certificate = pem_certificate(&own), *key = pem_key(&own);
    file_put(scene.cert, certificate, 0644);
    file_put(scene.ca, certificate, 0644);
    file_put(scene.key, key, 0600);
    opens(separate());
    cr_assert_eq(chmod(scene.ca, 0666), 0);
    is_refused(separate(), scene.ca, "chmod o-w");
    cr_assert_eq(chmod(scene.ca, 0644), 0);
    cr_assert_eq(chmod(scene.key, 0644), 0);
    is_refused(separate(), scene.key, "chmod 0600");
    free(certificate), free(key);
    identity_free(&own);
}

Test(credentials, what_is_no_regular_file_does_not_hold_anybody_up)
{
    opens(scene_options(&scene));
    unlink(scene.token);
    cr_assert_eq(mkfifo(scene.token, 0600), 0);
    is_refused(scene_options(&scene), scene.token, "regular file");
}

Test(credentials, a_file_without_end_is_not_read)
{
    opens(scene_options(&scene));
    cr_assert_eq(truncate(scene.cert, (off_t)1 << 40), 0);
    is_refused(scene_options(&scene), scene.cert, "at most 1048576 bytes");
}

Test(credentials, garbage_is_refused_by_name)
{
    opens(scene_options(&scene));
    file_put(scene.cert, "not a certificate\n", 0600);
    is_refused(scene_options(&scene), scene.cert, "has no certificate");
    file_put(scene.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0600);
    is_refused(scene_options(&scene), scene.cert, "cannot be decoded");
    file_put(scene.cert, "-----BEGIN CERTIFICATE-----\n!!!!\n", 0600);
    is_refused(scene_options(&scene), scene.cert, "damaged PEM");
    file_put(scene.cert, "", 0600);
    is_refused(scene_options(&scene), scene.cert, "has no certificate");
}

Test(credentials, every_truncation_of_the_combined_file_is_refused)
{
    opens(scene_options(&scene));
    char *text = file_get(scene.cert);
    size_t whole = strlen(text) - 1; /* without its last newline it is whole, too */
    for (size_t length = 0; length < whole; length += 7) {
        char *part = strndup(text, length);
        file_put(scene.cert, part, 0600);
        cr_expect_null(open_with(scene_options(&scene)), "with %zu of %zu bytes", length, whole);
        free(part);
    }
    free(text);
}

Test(credentials, the_combined_file_has_certificate_and_ec_key_in_this_order)
{
    opens(scene_options(&scene));
    struct test_identity own = identity_make((struct identity_spec){0});
    char *certificate = pem_certificate(&own), *key = pem_key(&own), *modern = pem_pkcs8(&own, NULL);
    char *reversed = joined(key, certificate), *other = joined(certificate, modern);
    file_put(scene.cert, reversed, 0600);
    is_refused(scene_options(&scene), scene.cert, "block 1 must be CERTIFICATE, not EC PRIVATE KEY");
    file_put(scene.cert, other, 0600);
    is_refused(scene_options(&scene), scene.cert, "block 2 must be EC PRIVATE KEY, not PRIVATE KEY");
    file_put(scene.cert, certificate, 0600);
    is_refused(scene_options(&scene), scene.cert, "has no key");
    free(certificate), free(key), free(modern), free(reversed), free(other);
    identity_free(&own);
}

Test(credentials, a_key_of_another_certificate_is_refused)
{
    opens(scene_options(&scene));
    struct test_identity own = identity_make((struct identity_spec){0});
    struct test_identity other = identity_make((struct identity_spec){0});
    struct test_identity mixed = {own.certificate, other.key};
    combined_put(scene.cert, &mixed);
    is_refused(scene_options(&scene), scene.cert, "not that of the certificate");
    identity_free(&own);
    identity_free(&other);
}

static void is_refused_combined(struct identity_spec spec, const char *words)
{
    struct test_identity own = identity_make(spec);
    combined_put(scene.cert, &own);
    is_refused(scene_options(&scene), scene.cert, words);
    identity_free(&own);
}

Test(credentials, a_certificate_that_is_of_no_use_today_or_for_this_is_refused)
{
    opens(scene_options(&scene));
    is_refused_combined((struct identity_spec){.from_days = -9, .until_days = -1}, "expired on");
    is_refused_combined((struct identity_spec){.from_days = 1, .until_days = 9}, "look at the clock");
    is_refused_combined((struct identity_spec){.no_ca = true}, "not that of a CA");
    is_refused_combined((struct identity_spec){.extended_usage = "clientAuth"}, "by a TLS server");
    is_refused_combined((struct identity_spec){.extended_usage = "serverAuth"}, "by a TLS client");
    is_refused_combined((struct identity_spec){.key_usage = "keyCertSign"}, "by a TLS ");
}

/* ---- separate files ---------------------------------------------------------------------------------------------- */

Test(credentials, separate_files_take_a_chain_a_ca_and_a_key_in_either_format)
{
    struct test_identity ca = identity_make((struct identity_spec){0});
    struct test_identity middle = identity_make((struct identity_spec){.issuer = &ca});
    struct test_identity own = identity_make((struct identity_spec){.issuer = &middle, .no_ca = true});
    char *certificate = pem_certificate(&own), *issuer = pem_certificate(&middle), *chain = joined(certificate, issuer);
    char *trusted = pem_certificate(&ca), *key = pem_key(&own), *modern = pem_pkcs8(&own, NULL);
    file_put(scene.cert, chain, 0644);
    file_put(scene.ca, trusted, 0644);
    file_put(scene.key, key, 0600);
    opens(separate());
    file_put(scene.key, modern, 0600);
    opens(separate());
    file_put(scene.ca, certificate, 0644);
    is_refused(separate(), scene.ca, "not that of a CA");
    free(certificate), free(issuer), free(chain), free(trusted), free(key), free(modern);
    identity_free(&ca), identity_free(&middle), identity_free(&own);
}

Test(credentials, an_encrypted_key_is_refused_without_asking_a_terminal)
{
    struct test_identity own = identity_make((struct identity_spec){0});
    char *certificate = pem_certificate(&own), *key = pem_pkcs8(&own, "secret");
    file_put(scene.cert, certificate, 0644);
    file_put(scene.ca, certificate, 0644);
    file_put(scene.key, key, 0600);
    is_refused(separate(), scene.key, "is encrypted");
    file_put(scene.key, certificate, 0600);
    is_refused(separate(), scene.key, "no PRIVATE KEY");
    free(certificate), free(key);
    identity_free(&own);
}

Test(credentials, a_ca_without_a_key_file_or_the_reverse_is_a_mistake)
{
    struct credentials_options options = scene_options(&scene);
    options.ca_path = scene.ca;
    is_refused(options, scene.ca, "--key");
    options.ca_path = NULL;
    options.key_path = scene.key;
    is_refused(options, scene.key, "--ca");
}
