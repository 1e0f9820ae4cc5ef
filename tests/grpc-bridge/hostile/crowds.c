/* crowds.c: more connections than there is room for.  SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_newcomer_gets_in(void)
{
    struct subscriber *another = newcomer("another");
    peer_close(another->peer, "was let in");
    subscriber_free(another);
}

Test(crowds, more_connections_than_allowed_are_refused_until_there_is_room)
{
    enum { OTHERS = 4, TOO_MANY = 10 };
    SCENE("--max-connections", "5");
    struct raw *others[OTHERS];
    for (unsigned i = 0; i < OTHERS; i++)
        others[i] = http2();
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_connections") == OTHERS + 1);
    for (unsigned i = 0; i < TOO_MANY; i++)
        is_closed(plain());
    counts("connections_refused", TOO_MANY);
    cr_assert_leq(bridge_log_count(&scene.bridge, "--max-connections"), 2 * TOO_MANY / 5,
                  "each refusal has a line of its own");
    for (unsigned i = 0; i < OTHERS; i++)
        raw_free(others[i]);
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_connections") == 1);
    a_newcomer_gets_in();
    scene_end();
}

Test(crowds, connections_that_come_and_go_leave_nothing)
{
    enum { TIMES = 300 };
    SCENE(NULL);
    for (unsigned i = 0; i < TIMES; i++)
        raw_free(i % 3 == 0 ? http2() : i % 3 == 1 ? secure() : plain());
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_connections") == 1);
    scene_end();
}

/* Those that the handshake timeout ends are replaced, so that descriptors stay short the whole time. */
static void keep_crowd(struct raw **crowd, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        raw_read(crowd[i]);
        if (!crowd[i]->closed)
            continue;
        raw_free(crowd[i]);
        crowd[i] = plain();
    }
    swarm_turn(scene.swarm, 1);
}

Test(crowds, without_descriptors_it_serves_on_and_says_so_once_per_interval)
{
    enum { CROWD = 150, DESCRIPTORS = 80, UPDATES = 400, WORKERS = 2, INTERVAL_S = 10 };
    static const char shortage[] = "cannot accept a connection";
    scene_begin_with((const char *const[]){HASTY, NULL}, DESCRIPTORS);
    struct raw *crowd[CROWD];
    uint64_t began = now_ns();
    for (unsigned i = 0; i < CROWD; i++)
        crowd[i] = plain();
    EVENTUALLY((keep_crowd(crowd, CROWD), bridge_log_count(&scene.bridge, shortage) > 0));
    for (unsigned i = 0; i < UPDATES; i++) {
        neighbour_is_served();
        keep_crowd(crowd, CROWD);
    }
    size_t intervals = 1 + (size_t)((now_ns() - began) / 1000000000 / INTERVAL_S);
    cr_assert_leq(bridge_log_count(&scene.bridge, shortage), WORKERS * intervals, "it says so over and over");
    for (unsigned i = 0; i < CROWD; i++)
        raw_free(crowd[i]);
    a_newcomer_gets_in();
    scene_end();
}

static void replace_token(void)
{
    char name[sizeof scene.bridge.token_file + 4];
    snprintf(name, sizeof name, "%s.new", scene.bridge.token_file);
    FILE *file = need(fopen(name, "wex"));
    for (unsigned i = 0; i < 64; i++)
        putc('a', file);
    REQUIRE(fchmod(fileno(file), 0600) == 0 && fclose(file) == 0 && rename(name, scene.bridge.token_file) == 0, "%s: %s",
            name, strerror(errno));
}

Test(crowds, without_descriptors_for_more_connections_there_are_some_for_its_metrics_and_files)
{
    enum { CROWD = 150, DESCRIPTORS = 80 };
    static const char *const patient[] = {"--handshake-timeout", "10m", NULL};
    scene_begin_with(patient, DESCRIPTORS);
    struct raw *crowd[CROWD];
    for (unsigned i = 0; i < CROWD; i++)
        crowd[i] = plain();
    EVENTUALLY(bridge_log_count(&scene.bridge, "cannot accept a connection") > 0);
    cr_expect_lt(bridge_metric(&scene.bridge, "configstream_connections"), DESCRIPTORS);
    replace_token();
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_credentials_generation") > 1);
    for (unsigned i = 0; i < CROWD; i++)
        raw_free(crowd[i]);
    scene_end();
}

static bool has_bytes_to_read(const struct peer *peer)
{
    int bytes = 0;
    return ioctl(peer->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

/* So much time, with everybody reading. */
static void let_pass(unsigned seconds)
{
    uint64_t until = now_ns() + UINT64_C(1000000000) * seconds;
    while (now_ns() < until)
        swarm_turn(scene.swarm, 20);
}

/* Until all are asked for a sign of life; false: that took long, and the first must answer before it is taken for dead. */
static bool all_are_asked_within(unsigned seconds, struct peer *const *peers, unsigned count)
{
    uint64_t until = now_ns() + UINT64_C(1000000000) * seconds;
    for (unsigned i = 0; i < count; i++)
        while (!has_bytes_to_read(peers[i]))
            (void)poll(&(struct pollfd){.fd = peers[i]->fd, .events = POLLIN}, 1, -1);
    return now_ns() < until;
}

/* Of a machine that stood still, say: what the peers answered meanwhile is there, and not read yet. */
Test(crowds, a_bridge_that_was_stopped_takes_no_peer_for_dead_that_answered_meanwhile)
{
    enum { PEERS = 300, TIMEOUT_S = 8 };
    SCENE("--workers", "1", "--keepalive-time", "1s", "--keepalive-timeout", "8s", "--handshake-timeout", "10m",
          "--preface-timeout", "10m");
    struct peer *peers[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_connect(scene.swarm, scene.bridge.port, NULL);
    for (unsigned i = 0; i < PEERS; i++)
        EVENTUALLY(peers[i]->ready);
    do /* all that belongs to the beginning is read, so that what comes next is a PING */
        let_pass(1);
    while (!all_are_asked_within(TIMEOUT_S / 2, peers, PEERS));
    kill(scene.bridge.pid, SIGSTOP);
    let_pass(TIMEOUT_S);
    kill(scene.bridge.pid, SIGCONT);
    neighbour_is_served();
    cr_expect_eq(bridge_metric(&scene.bridge, "configstream_dead_peers"), 0);
    for (unsigned i = 0; i < PEERS; i++)
        cr_assert(!peers[i]->closed, "%s", peers[i]->reason);
    scene_end();
}
