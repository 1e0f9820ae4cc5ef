/* scene.c: see scene.h.  SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

enum { FLAGS_MAX = 40, STEPS_MAX = 1000000 };

struct scene scene;

/* What a sanitizer keeps of freed memory is not ours to bound. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const uint64_t growth_max = UINT64_C(1) << 30;
#else
static const uint64_t growth_max = UINT64_C(24) << 20;
#endif

void scene_begin(const char *const *flags)
{
    scene_begin_with(flags, 0);
}

/* The flags given come last, since the last one counts. */
void scene_begin_with(const char *const *flags, unsigned descriptors)
{
    const char *all[FLAGS_MAX] = {"--handshake-timeout", "10m", "--preface-timeout", "10m",
                                  "--request-timeout", "10m", "--workers", "2"};
    size_t count = 8;
    for (; flags != NULL && *flags != NULL && count < FLAGS_MAX - 1; flags++)
        all[count++] = *flags;
    scene.publisher = producer_open(0);
    publish_load(scene.publisher, 100, 100);
    bridge_start(&scene.bridge, &(struct bridge_options){.instance = test_instance(), .flags = all,
                                                         .descriptors = descriptors});
    scene.swarm = swarm_new(scene.bridge.certificate, scene.bridge.token);
    scene.neighbour = newcomer("neighbour");
    neighbour_is_served();
    scene.resident = process_resident_bytes(scene.bridge.pid);
}

/* Until it has been let in, or was too slow for the bridge's limits. */
static bool is_in(const struct subscriber *subscriber)
{
    return subscriber->peer->closed || subscriber_began(subscriber);
}

struct subscriber *newcomer(const char *name)
{
    for (;;) {
        struct peer *peer = peer_connect(scene.swarm, scene.bridge.port, NULL);
        EVENTUALLY(peer->ready || peer->closed);
        if (peer->closed)
            continue;
        struct subscriber *subscriber = subscriber_new(peer, true, "%s", name);
        EVENTUALLY(is_in(subscriber));
        if (!peer->closed)
            return subscriber;
        subscriber_free(subscriber);
    }
}

static bool neighbour_is_gone(void)
{
    const struct stream *stream = scene.neighbour->stream;
    return scene.neighbour->peer->closed || stream == NULL || stream->ended;
}

void neighbour_follows(void)
{
    for (;;) {
        EVENTUALLY(neighbour_is_gone() || subscriber_at(scene.neighbour, cfgs_publisher_sequence(scene.publisher)));
        if (!scene.neighbour_may_go)
            subscriber_well(scene.neighbour);
        if (!neighbour_is_gone())
            return;
        subscriber_free(scene.neighbour);
        scene.neighbour = newcomer("neighbour");
    }
}

void neighbour_is_served(void)
{
    static unsigned count;
    char text[32];
    snprintf(text, sizeof text, "%u", ++count);
    publish_text(scene.publisher, "neighbour.key", text, CFGS_SOURCE_CLI);
    neighbour_follows();
    REQUIRE(scene.neighbour->mirror->snapshots == 1, "the neighbour got another snapshot");
}

void scene_end(void)
{
    neighbour_is_served();
    bridge_alive(&scene.bridge);
    uint64_t resident = process_resident_bytes(scene.bridge.pid);
    REQUIRE(resident < scene.resident + growth_max, "the bridge grew from %llu to %llu bytes",
            (unsigned long long)scene.resident, (unsigned long long)resident);
    subscriber_free(scene.neighbour);
    swarm_free(scene.swarm);
    bridge_stop(&scene.bridge);
    cfgs_publisher_close(scene.publisher, true);
}

struct raw *plain(void)
{
    return raw_connect(scene.bridge.port);
}

struct raw *secure(void)
{
    struct raw *raw = raw_connect_tls(scene.swarm, scene.bridge.port);
    REQUIRE(!raw->closed, "no TLS connection");
    return raw;
}

struct raw *http2(void)
{
    struct raw *raw = raw_connect_http2(scene.swarm, scene.bridge.port);
    REQUIRE(!raw->closed, "no HTTP/2 connection");
    return raw;
}

void is_closed(struct raw *raw)
{
    EVENTUALLY((raw_read(raw), raw->closed));
    raw_free(raw);
}

/* What does not go out means that the bridge reads no more; then it has to close in its own time. */
void floods_until_closed(struct raw *raw, void (*step)(struct raw *raw))
{
    for (unsigned i = 0; i < STEPS_MAX && !raw->closed && raw->unwritten_length < (64 << 10); i++) {
        step(raw);
        if (i % 64 == 0) {
            raw_read(raw);
            swarm_turn(scene.swarm, 0);
        }
    }
    is_closed(raw);
}

void counts(const char *metric, uint64_t at_least)
{
    char name[64];
    snprintf(name, sizeof name, "configstream_%s", metric);
    EVENTUALLY(bridge_metric(&scene.bridge, name) >= at_least);
}
