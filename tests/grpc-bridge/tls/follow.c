/*
 * follow.c: files that change under a running bridge (decision 8, grpc-wire 9.32).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct scene scene;
static struct credentials *credentials;

static void begin(void)
{
    struct problem problem;
    scene_make(&scene);
    log_catch();
    struct credentials_options options = scene_options(&scene);
    credentials = credentials_open(&options, &problem);
    cr_assert(credentials, "%s", problem.text);
}

static void end(void)
{
    credentials_close(credentials);
    scene_remove(&scene);
}

TestSuite(follow, .init = begin, .fini = end);

#define TOKEN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TOKEN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* As many looks as it may take, and some more. */
static bool follows(void)
{
    bool replaced = false;
    for (int look = 0; look < 4; look++)
        replaced = credentials_follow(credentials) || replaced;
    return replaced;
}

static enum token_result check(const char *authorization) { return credentials_check(credentials, authorization); }

Test(follow, nothing_happens_while_nothing_changes)
{
    cr_expect_not(follows());
    cr_expect_eq(credentials_generation(credentials), 1);
    cr_expect_eq(credentials_replaced_ms(credentials, 1), INT64_MAX);
}

Test(follow, a_new_token_is_taken_and_the_former_one_is_wrong)
{
    file_put(scene.token, TOKEN_A, 0600);
    cr_expect(follows());
    cr_expect_eq(check("Bearer " TOKEN_A), TOKEN_OK);
    file_put(scene.token, TOKEN_B, 0600);
    cr_expect(follows());
    cr_expect_eq(check("Bearer " TOKEN_B), TOKEN_OK);
    cr_expect_eq(check("Bearer " TOKEN_A), TOKEN_WRONG);
    cr_expect_eq(credentials_generation(credentials), 3);
}

Test(follow, a_token_of_the_same_size_written_in_place_is_taken)
{
    file_put(scene.token, TOKEN_A, 0600);
    cr_expect(follows());
    FILE *file = fopen(scene.token, "r+");
    cr_assert(file && fputs(TOKEN_B, file) >= 0 && fclose(file) == 0);
    cr_expect(follows());
    cr_expect_eq(check("Bearer " TOKEN_B), TOKEN_OK);
}

Test(follow, a_symbolic_link_that_is_swapped_is_followed)
{
    char link[160], draft[160];
    snprintf(link, sizeof link, "%s/second", scene.directory);
    snprintf(draft, sizeof draft, "%s/draft", scene.directory);
    file_put(link, TOKEN_B, 0600);
    cr_assert_eq(symlink(link, draft), 0);
    cr_assert_eq(rename(draft, scene.token), 0);
    cr_expect(follows());
    cr_expect_eq(check("Bearer " TOKEN_B), TOKEN_OK);
}

Test(follow, a_file_that_is_still_changing_is_not_taken_yet)
{
    credentials_follow(credentials);
    file_put(scene.token, TOKEN_A, 0600);
    cr_expect_not(credentials_follow(credentials));
    file_put(scene.token, TOKEN_B, 0600);
    cr_expect_not(credentials_follow(credentials), "it differs from what the last look saw");
    cr_expect(credentials_follow(credentials));
    cr_expect_eq(check("Bearer " TOKEN_B), TOKEN_OK);
}

Test(follow, a_touch_replaces_nothing)
{
    char *token = file_get(scene.token);
    file_put(scene.token, token, 0600);
    cr_expect_not(follows());
    cr_expect_eq(credentials_generation(credentials), 1);
    free(token);
}

Test(follow, files_that_cannot_be_loaded_change_nothing_and_are_told_once)
{
    char *token = file_get(scene.token), *bearer = joined("Bearer ", token);
    file_put(scene.token, "short", 0600);
    cr_expect_not(follows());
    cr_expect_not(follows());
    cr_expect_eq(credentials_generation(credentials), 1);
    cr_expect_eq(check(bearer), TOKEN_OK);
    cr_expect_eq(count_of(log_caught(), "the former ones stay in force"), 1);
    file_put(scene.token, "short, too", 0600);
    cr_expect_not(follows());
    cr_expect_eq(count_of(log_caught(), "the former ones stay in force"), 2, "another mistake is told again");
    file_put(scene.token, token, 0600);
    cr_expect_not(follows(), "back to what is in force");
    free(token), free(bearer);
}

Test(follow, the_same_mistake_is_told_again_once_it_was_mended)
{
    char *token = file_get(scene.token);
    for (unsigned times = 1; times <= 2; times++) {
        cr_assert_eq(unlink(scene.token), 0);
        cr_expect_not(follows());
        cr_expect_eq(count_of(log_caught(), "the former ones stay in force"), times);
        cr_expect_eq(count_of(log_caught(), "are those in force again"), times - 1);
        file_put(scene.token, token, 0600);
        cr_expect_not(follows());
        cr_expect_eq(count_of(log_caught(), "are those in force again"), times);
    }
    free(token);
}

/* Following makes nothing, so no cure may say so. */
Test(follow, no_file_is_to_be_removed_and_none_made_readable_that_is_not_there)
{
    file_put(scene.token, "short", 0600);
    cr_expect_not(follows());
    cr_expect_eq(count_of(log_caught(), "the next start makes one"), 1);
    cr_assert_eq(unlink(scene.token), 0);
    cr_expect_not(follows());
    cr_expect_eq(count_of(log_caught(), "No such file or directory; put it there"), 1);
}

Test(follow, files_that_vanish_change_nothing_and_are_not_made_anew)
{
    cr_assert_eq(unlink(scene.token), 0);
    cr_expect_not(follows());
    cr_expect_neq(access(scene.token, F_OK), 0);
    cr_expect_eq(count_of(log_caught(), "cannot read: No such file"), 1);
    file_put(scene.token, TOKEN_A, 0600);
    cr_expect(follows());
}

Test(follow, a_file_is_taken_when_only_its_mode_was_wrong)
{
    file_put(scene.token, TOKEN_A, 0644);
    cr_expect_not(follows());
    cr_assert_eq(chmod(scene.token, 0600), 0);
    cr_expect(follows());
    cr_expect_eq(check("Bearer " TOKEN_A), TOKEN_OK);
}

Test(follow, a_key_waits_for_its_certificate)
{
    struct test_identity first = identity_make((struct identity_spec){0});
    struct test_identity second = identity_make((struct identity_spec){0});
    struct problem problem;
    char *certificates[] = {pem_certificate(&first), pem_certificate(&second)};
    char *keys[] = {pem_key(&first), pem_key(&second)};
    struct credentials_options options = scene_options(&scene);
    options.ca_path = scene.ca;
    options.key_path = scene.key;
    file_put(scene.cert, certificates[0], 0600);
    file_put(scene.ca, certificates[0], 0600);
    file_put(scene.key, keys[0], 0600);
    credentials_close(credentials);
    credentials = credentials_open(&options, &problem);
    cr_assert(credentials, "%s", problem.text);
    file_put(scene.key, keys[1], 0600);
    cr_expect_not(follows());
    file_put(scene.cert, certificates[1], 0600);
    cr_expect(follows());
    for (int i = 0; i < 2; i++)
        free(certificates[i]), free(keys[i]);
    identity_free(&first), identity_free(&second);
}

Test(follow, a_channel_keeps_what_it_was_accepted_with_and_tells_since_when_that_is_replaced)
{
    struct test_identity own = identity_of_file(scene.cert), other = identity_make((struct identity_spec){0});
    struct client client;
    int fd;
    client_open(&client, (struct client_options){.identity = &own}, &fd);
    struct channel *channel = channel_accept(credentials, fd);
    combined_put(scene.cert, &other);
    cr_expect(follows());
    cr_expect_eq(handshake(&client, channel), CHANNEL_OK, "%s", channel_reason(channel));
    cr_expect_eq(channel_generation(channel), 1);
    cr_expect_eq(credentials_generation(credentials), 2);
    cr_expect_lt(credentials_replaced_ms(credentials, 1), INT64_MAX);
    cr_expect_eq(credentials_replaced_ms(credentials, 2), INT64_MAX);
    client_close(&client);
    channel_free(channel);
    close(fd);
    client_open(&client, (struct client_options){.identity = &own}, &fd);
    channel = channel_accept(credentials, fd);
    cr_expect_eq(handshake(&client, channel), CHANNEL_FAILED, "a newcomer needs the new certificate");
    client_close(&client);
    channel_free(channel);
    close(fd);
    identity_free(&own), identity_free(&other);
}

Test(follow, what_was_replaced_very_often_was_replaced_long_ago)
{
    int64_t last = 0;
    for (int i = 0; i < 70; i++) {
        file_put(scene.token, i % 2 ? TOKEN_A : TOKEN_B, 0600);
        cr_assert(follows());
    }
    cr_expect_eq(credentials_generation(credentials), 71);
    cr_expect_eq(credentials_replaced_ms(credentials, 1), 0);
    for (uint64_t generation = 8; generation < 71; generation++) {
        cr_expect_geq(credentials_replaced_ms(credentials, generation), last);
        last = credentials_replaced_ms(credentials, generation);
    }
    cr_expect_gt(last, 0);
    cr_expect_eq(credentials_replaced_ms(credentials, 71), INT64_MAX);
}
