/*
 * takeover_deaths.c: a republisher killed before each single store, from its start on what a killed producer left to the
 * end of its first commit.
 *
 * Built with the library's store hook, as every_store.c.  Until that commit the settings are the dead producer's own, and
 * the next one is told so; what the republisher committed never seems to be.  SPDX-License-Identifier: Apache-2.0
 */
#include "deaths.h"
#include "support.h"
#include <configstream/encoded.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

enum { OWN_ID = 100, LOWER_ID = 50, HIGHER_ID = 200 };
enum { OWN = 1, RECEIVED = 2 };                 /* what the key holds */
enum { WANTED, ID, STORES, STORES_AT_COMMIT };  /* control->word[] */

static char instance[64];

static cfgs_publisher *next_open(void)
{
    cfgs_publisher_options options = {.instance = instance, .ring_slots = 16, .max_size = UINT64_C(1) << 20,
                                      .no_wake_thread = true, .no_heartbeat_thread = true, .keep_upstream = true};
    cfgs_publisher *publisher;

    REQUIRE(cfgs_publisher_open(&options, &publisher) == CFGS_OK, "no publisher");
    return publisher;
}

/* ConfigSetting{key "key", value: number}. */
static void load(cfgs_publisher *publisher, uint64_t sequence, char number)
{
    char setting[] = "\x12\x03key\x1a\x03\x1a\x01?";
    cfgs_batch *batch;

    setting[sizeof setting - 2] = (char)('0' + number);
    REQUIRE(cfgs_batch_begin(publisher, &batch) == CFGS_OK, "begin");
    cfgs_batch_snapshot(batch, sequence);
    REQUIRE(cfgs_batch_set_encoded(batch, setting, sizeof setting - 1) == CFGS_OK, "staging");
    REQUIRE(cfgs_batch_commit(batch, NULL) == CFGS_OK, "commit: %s", cfgs_publisher_error(publisher)->message);
}

static void victim_main(void *argument)
{
    (void)argument;
    const cfgs_upstream upstream = {.origin = "their.yaml", .address = "upstream", .path = {{7}}, .path_length = 1};
    cfgs_publisher *publisher = next_open();

    load(publisher, OWN_ID, OWN);
    cfgs_publisher_abandon(publisher);
    death_arm(death_word(WANTED));
    publisher = next_open();
    REQUIRE(cfgs_publisher_set_upstream(publisher, &upstream) == CFGS_OK, "upstream");
    death_set_word(STORES_AT_COMMIT, death_stores());
    load(publisher, death_word(ID), RECEIVED);
    death_set_word(STORES, death_disarm());
    kill(getpid(), SIGKILL);
}

static int what_is_there(void)
{
    cfgs_reader *reader = reader_open(instance);
    char text[2];
    size_t length;

    REQUIRE(cfgs_get_string(reader, "key", text, sizeof text, &length) == CFGS_OK, "no state");
    cfgs_reader_close(reader);
    return text[0] - '0';
}

/* Returns whether the next producer was told that the settings are a dead one's own. */
static bool one_death(uint64_t die_at)
{
    death_set_word(WANTED, die_at);
    death_reap(child_start(victim_main, NULL));
    cfgs_publisher *heir = next_open();
    bool own = cfgs_publisher_started(heir) == CFGS_START_CRASHED;
    int found = what_is_there();
    REQUIRE(!own || found == OWN, "store %" PRIu64 ": what was received seems to be the dead producer's own", die_at);
    REQUIRE(own || found == RECEIVED || die_at > death_word(STORES_AT_COMMIT),
            "store %" PRIu64 ": the dead producer's settings are lost before there are others", die_at);
    REQUIRE(die_at != 0 || found == RECEIVED, "a commit that returned is lost");
    cfgs_publisher_close(heir, true);
    return own;
}

static void all_deaths(const char *what, uint64_t id)
{
    uint64_t own = 0;

    death_set_word(ID, id);
    REQUIRE(!one_death(0), "what was received seems to be the dead producer's own");
    uint64_t count = death_word(STORES), at_commit = death_word(STORES_AT_COMMIT);
    for (uint64_t store = 1; store <= count; store++) {
        death_set_word(STORES_AT_COMMIT, at_commit);
        own += one_death(store);
    }
    REQUIRE(own >= at_commit && own < count, "%" PRIu64 " of %" PRIu64 " deaths left the producer's own", own, count);
    printf("takeover_deaths: %s: %" PRIu64 " stores, %" PRIu64 " of them before the commit; %" PRIu64 " deaths left the "
           "producer's own\n", what, count, at_commit, own);
}

int main(void)
{
    snprintf(instance, sizeof instance, "takeover-deaths-%d", (int)getpid());
    test_begin(instance);
    control_new();
    all_deaths("a higher ID", HIGHER_ID);
    all_deaths("a lower ID, in another arena", LOWER_ID);
    test_end();
    return 0;
}
