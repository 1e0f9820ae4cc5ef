/*
 * rotation.c: credentials that are replaced again and again while threads shake hands and check tokens (decision 8,
 * grpc-wire 9.32).  Every handshake goes by one generation from beginning to end, and no token of another one is taken.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, ROTATIONS = 100, HANDSHAKES = 40 /* at least, in each thread */, CHECKS = 500 /* after each */ };

static const char *const TOKENS[2] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"};
static const char *const BEARERS[2] = {"Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                       "bearer bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"};

static struct scene scene;
static struct credentials *credentials;
static atomic_bool over; /* relaxed: nothing but itself is told by it */
static atomic_uint behind = THREADS; /* threads with handshakes to do; relaxed, too */

struct guest {
    pthread_t thread;
    struct test_identity identities[2]; /* its own copies */
    unsigned handshakes, checks;
    uint64_t first, last;
};

/* Generations 1, 3, 5, ... are the first identity's. */
static const struct test_identity *identity_of(const struct guest *guest, uint64_t generation)
{
    return &guest->identities[(generation + 1) % 2];
}

static void shake_hands(struct guest *guest)
{
    struct client client;
    int fd;
    client_open(&client, (struct client_options){0}, &fd);
    struct channel *channel = channel_accept(credentials, fd);
    NEED(channel);
    uint64_t generation = channel_generation(channel);
    const struct test_identity *identity = identity_of(guest, generation);
    NEED(SSL_use_certificate(client.ssl, identity->certificate) == 1 &&
         SSL_use_PrivateKey(client.ssl, identity->key) == 1);
    NEED(handshake(&client, channel) == CHANNEL_OK);
    X509 *served = SSL_get1_peer_certificate(client.ssl);
    NEED(X509_cmp(served, identity->certificate) == 0);
    NEED(generation >= guest->last);
    guest->last = generation;
    X509_free(served);
    client_close(&client);
    channel_free(channel);
    close(fd);
}

/* Only where no replacement came between is it known what the answer has to be. */
static void check_tokens(struct guest *guest)
{
    uint64_t before = credentials_generation(credentials);
    enum token_result results[2] = {credentials_check(credentials, BEARERS[0]),
                                    credentials_check(credentials, BEARERS[1])};
    if (credentials_generation(credentials) != before)
        return;
    NEED(results[(before + 1) % 2] == TOKEN_OK && results[before % 2] == TOKEN_WRONG);
    NEED(credentials_replaced_ms(credentials, before - 1) < INT64_MAX || before == 1);
    guest->checks++;
}

static void *visit(void *context)
{
    struct guest *guest = context;
    guest->first = credentials_generation(credentials);
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        shake_hands(guest);
        for (int i = 0; i < CHECKS; i++)
            check_tokens(guest);
        if (++guest->handshakes == HANDSHAKES)
            atomic_fetch_sub_explicit(&behind, 1, memory_order_relaxed);
    }
    return NULL;
}

static void rotate(const char *const certificates[2])
{
    uint64_t generation = credentials_generation(credentials);
    file_put(scene.cert, certificates[generation % 2], 0600);
    file_put(scene.token, TOKENS[generation % 2], 0600);
    NEED(!credentials_follow(credentials));
    NEED(credentials_follow(credentials));
    NEED(credentials_generation(credentials) == generation + 1);
}

int main(void)
{
    struct guest guests[THREADS] = {0};
    struct problem problem;
    char *certificates[2];
    signal(SIGPIPE, SIG_IGN);
    scene_make(&scene);
    scene.log.level = LOG_WARN;
    for (int i = 1; i >= 0; i--) { /* the first one last, so that it is in the file */
        struct test_identity identity = identity_make((struct identity_spec){0});
        combined_put(scene.cert, &identity);
        certificates[i] = file_get(scene.cert);
        for (int j = 0; j < THREADS; j++)
            guests[j].identities[i] = identity_of_file(scene.cert);
        identity_free(&identity);
    }
    file_put(scene.token, TOKENS[0], 0600);
    struct credentials_options options = scene_options(&scene);
    credentials = credentials_open(&options, &problem);
    NEED(credentials);
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&guests[i].thread, NULL, visit, &guests[i]) == 0);
    unsigned rotations = 0;
    while (rotations < ROTATIONS || atomic_load_explicit(&behind, memory_order_relaxed)) {
        rotate((const char *const *)certificates);
        rotations++;
    }
    atomic_store_explicit(&over, true, memory_order_relaxed);
    unsigned handshakes = 0, checks = 0;
    for (int i = 0; i < THREADS; i++) {
        NEED(pthread_join(guests[i].thread, NULL) == 0);
        handshakes += guests[i].handshakes;
        checks += guests[i].checks;
        for (int j = 0; j < 2; j++)
            identity_free(&guests[i].identities[j]);
    }
    NEED(checks > 0);
    credentials_close(credentials);
    free(certificates[0]), free(certificates[1]);
    scene_remove(&scene);
    printf("%u rotations, %u handshakes and %u pairs of token checks beside them\n", rotations, handshakes, checks);
    return 0;
}
