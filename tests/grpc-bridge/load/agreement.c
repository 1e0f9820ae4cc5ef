/*
 * agreement.c: local and remote views agree.
 *
 * Values of every kind change, vanish and fall back to other sources.  After each change the state that a view reads here
 * and the state that gRPC clients hold are compared key by key: source and encoded value, byte for byte.  One client
 * follows by updates from the beginning, another is made anew every few rounds and so knows the state from a snapshot.
 * Each update itself must have the bytes that cfgs_encoded_take() gives for its ID.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/publish.h"
#include "support/subscriber.h"

#include <inttypes.h>
#include <math.h>

enum { ROUNDS = 600, KEYS = 120, RENEWED_EVERY = 12, RING_SLOTS = 1024, ENCODED_MAX = 64 * 1024 };

static cfgs_publisher *publisher;
static cfgs_reader *reader;
static cfgs_builder *builder;
static uint64_t seed = 11, updates_compared, kinds_seen[CFGS_KIND_STRUCT + 1], unset_seen, removed_seen;

/* ---- values of all kinds ----------------------------------------------------------------------------------------- */

static void build_struct(unsigned depth)
{
    cfgs_builder_begin_struct(builder);
    cfgs_builder_key(builder, "with.dots", 9);
    cfgs_builder_add_double(builder, (double)random_next(&seed) / 3);
    cfgs_builder_key(builder, "\"quoted\" \xc3\xa9", 11);
    cfgs_builder_add_null(builder);
    cfgs_builder_key(builder, "", 0);
    if (depth == 0)
        cfgs_builder_add_bool(builder, true);
    else
        build_struct(depth - 1);
    cfgs_builder_end_struct(builder);
}

static void build_list(void)
{
    cfgs_builder_begin_list(builder);
    for (unsigned count = (unsigned)(random_next(&seed) % 5); count > 0; count--) {
        cfgs_builder_add_string(builder, "item", 4);
        cfgs_builder_add_int(builder, (int64_t)random_next(&seed));
    }
    cfgs_builder_end_list(builder);
}

static cfgs_value built(bool list)
{
    cfgs_value value;
    cfgs_builder_reset(builder);
    if (list)
        build_list();
    else
        build_struct((unsigned)(random_next(&seed) % 4));
    OK(cfgs_builder_finish(builder, &value));
    return value;
}

static cfgs_value random_text(void)
{
    static char text[8192];
    static const char *const special[] = {"", "caf\xc3\xa9 \xf0\x9f\x8d\xb0", "line\nline", "a", "30s"};
    unsigned which = (unsigned)(random_next(&seed) % 8);
    if (which < 5)
        return cfgs_value_string(special[which], strlen(special[which]));
    if (which == 5)
        return cfgs_value_string("nul\0nul", 7);
    size_t length = random_next(&seed) % sizeof text;
    memset(text, 'a' + (int)(random_next(&seed) % 26), length);
    return cfgs_value_string(text, length);
}

static cfgs_value random_double(void)
{
    static const double special[] = {0.0, -0.0, 1e308, 5e-324, 0.1, INFINITY, NAN};
    unsigned which = (unsigned)(random_next(&seed) % 10);
    return cfgs_value_double(which < 7 ? special[which] : (double)random_next(&seed) / 7);
}

static cfgs_value random_value(void)
{
    static const int64_t ints[] = {0, 1, -1, INT64_MAX, INT64_MIN, (INT64_C(1) << 53) + 1};
    switch (random_next(&seed) % (CFGS_KIND_STRUCT + 1)) {
    case CFGS_KIND_NULL:
        return cfgs_value_null();
    case CFGS_KIND_BOOL:
        return cfgs_value_bool(random_next(&seed) & 1);
    case CFGS_KIND_INT:
        return cfgs_value_int(random_next(&seed) & 1 ? ints[random_next(&seed) % 6] : (int64_t)random_next(&seed));
    case CFGS_KIND_DOUBLE:
        return random_double();
    case CFGS_KIND_STRING:
        return random_text();
    case CFGS_KIND_LIST:
        return built(true);
    default:
        return built(false);
    }
}

/* ---- the producer ------------------------------------------------------------------------------------------------ */

static void publish_change(cfgs_batch *batch)
{
    char key[CFGS_KEY_MAX_BYTES];
    unsigned number = (unsigned)(random_next(&seed) % KEYS);
    int length = snprintf(key, sizeof key, "agreement.%s%u", number % 7 == 0 ? "cl\xc3\xa9." : "", number);
    int unset = random_next(&seed) % 4 == 0 ? 1 + (int)(random_next(&seed) % CFGS_SOURCE_COUNT) : CFGS_SOURCE_NONE;
    if (random_next(&seed) % 6 == 0) {
        OK(cfgs_batch_remove(batch, key, (size_t)length, unset));
        return;
    }
    cfgs_setting setting = setting_of(key, random_value(), 1 + (int)(random_next(&seed) % CFGS_SOURCE_COUNT));
    if (random_next(&seed) % 20 == 0) {
        setting.source = CFGS_SOURCE_VERBATIM;
        setting.source_name = (cfgs_bytes){"from-elsewhere", 14};
    }
    kinds_seen[setting.value.kind]++;
    OK(cfgs_batch_set(batch, &setting, unset));
}

static void publish_round(void)
{
    cfgs_batch *batch;
    OK(cfgs_batch_begin(publisher, &batch));
    unsigned changes = random_next(&seed) % 4 == 0 ? 1 + (unsigned)(random_next(&seed) % 30) : 1;
    for (unsigned i = 0; i < changes; i++)
        publish_change(batch);
    OK(cfgs_batch_commit(batch, NULL));
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static void compare_update(struct subscriber *subscriber, const struct event *event, const uint8_t *message,
                           size_t length)
{
    static uint8_t encoded[ENCODED_MAX];
    cfgs_encoded_head head;
    cfgs_encoded_update update;
    (void)message, (void)length;
    if (event->snapshot)
        return;
    OK(cfgs_encoded_look(reader, &head));
    OK(cfgs_encoded_take(reader, head.arena, (uint64_t)event->sequence, encoded, sizeof encoded, &update));
    struct bytes here = {encoded, update.length}, there = wire_bytes(event->body, 3);
    struct parts local = parts_of(here), remote = parts_of(there);
    bool local_only = update.flags & CFGS_SETTING_LOCAL; /* has no form in a stream */
    REQUIRE(local_only || bytes_equal(here, there), "%s: update %d has other bytes than the arena", subscriber->name,
            event->sequence);
    REQUIRE(bytes_equal(local.key, remote.key) && bytes_equal(local.source, remote.source) &&
                bytes_equal(local.unset_source, remote.unset_source) && !(local_only && remote.has_value),
            "%s: update %d of a value without form differs", subscriber->name, event->sequence);
    updates_compared++;
    unset_seen += remote.unset_source.length > 0;
    removed_seen += remote.source.length == 0;
}

static struct subscriber *subscriber_at_work(struct swarm *swarm, uint16_t port, const char *name)
{
    struct subscriber *subscriber = subscriber_new(peer_connect(swarm, port, NULL), true, "%s", name);
    subscriber->on_event = compare_update;
    SWARM_UNTIL(swarm, subscriber_began(subscriber));
    return subscriber;
}

static void compare_states(struct swarm *swarm, struct subscriber *subscriber, const struct mirror *local)
{
    SWARM_UNTIL(swarm, (subscriber_well(subscriber), subscriber_at(subscriber, (uint64_t)local->last)));
    mirror_same(subscriber->mirror, local, subscriber->name);
}

static void compare_rounds(struct swarm *swarm, uint16_t port)
{
    struct mirror *local = mirror_new();
    struct subscriber *follower = subscriber_at_work(swarm, port, "follower"), *newcomer = NULL;
    for (unsigned round = 0; round < ROUNDS; round++) {
        publish_round();
        mirror_read(local, reader);
        if (round % RENEWED_EVERY == 0) {
            if (newcomer != NULL)
                peer_close(newcomer->peer, "renewed");
            subscriber_free(newcomer);
            newcomer = subscriber_at_work(swarm, port, "newcomer");
        }
        compare_states(swarm, follower, local);
        compare_states(swarm, newcomer, local);
    }
    REQUIRE(follower->mirror->snapshots == 1, "the follower got %" PRIu64 " snapshots", follower->mirror->snapshots);
    printf("agreed at %d IDs up to %" PRId64 ", on %zu settings at the end; %" PRIu64 " updates equal byte for byte, %"
           PRIu64 " with an unset source, %" PRIu64 " removals\n",
           ROUNDS, follower->mirror->last, local->count, updates_compared, unset_seen, removed_seen);
    subscriber_free(follower);
    subscriber_free(newcomer);
    swarm_free(swarm);
    mirror_free(local);
}

int main(void)
{
    struct bridge_process bridge;
    publisher = producer_open(RING_SLOTS);
    OK(cfgs_builder_new(&builder));
    publish_round();
    reader = reader_open(publisher);
    bridge_start(&bridge, &(struct bridge_options){.instance = test_instance()});

    compare_rounds(swarm_new(bridge.certificate, bridge.token), bridge.port);
    for (unsigned kind = 0; kind <= CFGS_KIND_STRUCT; kind++)
        REQUIRE(kinds_seen[kind] > 20, "hardly any value was a %s", cfgs_kind_name((int)kind));

    bridge_stop(&bridge);
    cfgs_builder_free(builder);
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, true);
    return 0;
}
