/* kind.c: kinds of defaults, and keys that look like credentials.  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/kind.h"

#include <criterion/criterion.h>
#include <string.h>

static bool secret(const char *key)
{
    return key_looks_secret(key, strlen(key));
}

Test(kind, names_read_back)
{
    for (int kind = SETTING_ANY; kind <= SETTING_MAP; kind++) {
        enum setting_kind back;
        const char *name = setting_kind_name((enum setting_kind)kind);
        cr_assert(setting_kind_parse(name, strlen(name), &back) && (int)back == kind);
    }
    enum setting_kind kind;
    cr_assert_not(setting_kind_parse("colour", 6, &kind));
}

Test(kind, credentials_are_known_by_their_last_segment)
{
    cr_assert(secret("api_key") && secret("app_key") && secret("proxy.password") && secret("cluster_agent.auth_token"));
    cr_assert(secret("a.b.api_keys") && secret("x.secret") && secret("tokens"));
    cr_assert(secret("additional_endpoints") && secret("apm_config.profiling_additional_endpoints"));
}

Test(kind, some_words_need_no_boundary)
{
    cr_assert(secret("dbpassword") && secret("x.userpasswd") && secret("bearertoken") && secret("ddapikey"));
    cr_assert(secret("keypassphrase") && secret("awscredentials") && secret("snmp.authkey") && secret("snmp.privkey"));
    cr_assert_not(secret("bypass") || secret("nosecret") || secret("tokenize"));
}

static bool holds(const char *text)
{
    return text_holds_password(text, strlen(text));
}

Test(kind, urls_with_a_password_are_known)
{
    cr_assert(holds("http://user:pass@proxy.test:3128") && holds("see redis://:sesame@host/0"));
    cr_assert(holds("http://a.test https://u:p@b.test"));
    cr_assert_not(holds("http://proxy.test:3128/a@b") || holds("http://user@host") || holds("http://user:@host"));
    cr_assert_not(holds("") || holds("://") || holds("user:pass@host"));
}

Test(kind, other_keys_are_not_credentials)
{
    cr_assert_not(secret("log_level") || secret("secret.timeout") || secret("token_expiry") || secret("max_keys"));
    cr_assert_not(secret("bypass") || secret("auth_token_file_path"));
}
