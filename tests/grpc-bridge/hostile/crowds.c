/* crowds.c: more connections than there is room for.  SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <criterion/criterion.h>
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
