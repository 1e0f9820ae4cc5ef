/*
 * restart_deaths.c: a republisher killed before each single store of a restart: the new arena that takes the named one's
 * place when its source's IDs go back.
 *
 * Built with the library's store hook, as every_store.c.  Whoever reads, a reader from before or a new one, finds the old
 * state or the new one, whole, and never nothing; both find the same; the next republisher goes on from that, and its
 * own restart reaches all of them.  SPDX-License-Identifier: Apache-2.0
 */
#include "deaths.h"
#include "support.h"
#include <configstream/encoded.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

enum { KEYS_HERE = 8, OLD_ID = 100, NEW_ID = 50 };
enum { OLD = 1, NEW = 2, HEIRS = 3 };     /* what all keys hold */
enum { WANTED, STORES, FOUND_ID };        /* control->word[] */

static char instance[64];

/* ---- republishers ------------------------------------------------------------------------------------------------ */

static cfgs_publisher *republisher_open(void)
{
    cfgs_publisher_options options = {.instance = instance, .ring_slots = 16, .max_size = UINT64_C(1) << 20,
                                      .no_wake_thread = true, .no_heartbeat_thread = true};
    cfgs_publisher *publisher;

    REQUIRE(cfgs_publisher_open(&options, &publisher) == CFGS_OK, "no publisher");
    return publisher;
}

/* ConfigSetting{key "kN", value: number}. */
static void load(cfgs_publisher *publisher, uint64_t sequence, char number)
{
    char setting[] = "\x12\x02k0\x1a\x03\x1a\x01?";
    cfgs_batch *batch;

    REQUIRE(cfgs_batch_begin(publisher, &batch) == CFGS_OK, "begin");
    cfgs_batch_snapshot(batch, sequence);
    setting[8] = (char)('0' + number);
    for (char i = 0; i < KEYS_HERE; i++) {
        setting[3] = (char)('0' + i);
        REQUIRE(cfgs_batch_set_encoded(batch, setting, sizeof setting - 1) == CFGS_OK, "staging");
    }
    REQUIRE(cfgs_batch_commit(batch, NULL) == CFGS_OK, "commit: %s", cfgs_publisher_error(publisher)->message);
}

static void victim_main(void *pipes)
{
    const int *pipe_ends = pipes; /* [0]: go; [1]: ready */
    cfgs_publisher *publisher = republisher_open();
    char byte = 0;

    load(publisher, OLD_ID, OLD);
    REQUIRE(write(pipe_ends[1], &byte, 1) == 1 && read(pipe_ends[0], &byte, 1) == 1, "pipe");
    death_arm(death_word(WANTED));
    load(publisher, NEW_ID, NEW);
    death_set_word(STORES, death_disarm());
    kill(getpid(), SIGKILL);
}

static void heir_main(void *argument)
{
    (void)argument;
    cfgs_publisher *publisher = republisher_open();

    REQUIRE(cfgs_publisher_sequence(publisher) == death_word(FOUND_ID), "the heir begins elsewhere");
    load(publisher, NEW_ID, HEIRS);
    cfgs_publisher_close(publisher, false);
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* The number all keys hold; *sequence: as of which ID. */
static int state_of(cfgs_reader *reader, uint64_t *sequence)
{
    char key[] = "k0", first = 0;
    bool mixed = false;
    cfgs_view view;

    int err = cfgs_view_begin(reader, &view);
    REQUIRE(err == CFGS_OK, "a view: %s", cfgs_strerror(err));
    do {
        mixed = false;
        for (char i = 0; i < KEYS_HERE && err == CFGS_OK; i++) {
            cfgs_bytes value = {"", 0};
            key[1] = (char)('0' + i);
            err = cfgs_view_get_string(&view, key, &value);
            if (err != CFGS_OK || value.length != 1)
                break;
            char here = value.data[0];
            first = i == 0 ? here : first;
            mixed = mixed || here != first;
        }
    } while (cfgs_view_retry(&view));
    REQUIRE(cfgs_view_error(&view) == CFGS_OK && err == CFGS_OK && !mixed && first > '0', "a state that never was");
    *sequence = cfgs_view_sequence(&view);
    return first - '0';
}

/* The stream leads to this ID and no further. */
static void follow_to(cfgs_reader *reader, uint64_t sequence)
{
    cfgs_event event;
    int err;

    while (cfgs_reader_sequence(reader) != sequence) {
        err = cfgs_reader_next(reader, &event, 60000);
        REQUIRE(err == CFGS_OK || err == CFGS_ERR_CLOSED, "the stream: %s", cfgs_strerror(err));
        REQUIRE(err != CFGS_OK || event.kind == CFGS_EVENT_SNAPSHOT, "an update that nobody made");
    }
    err = cfgs_reader_next(reader, &event, 0);
    REQUIRE(err == CFGS_ERR_TIMEOUT || err == CFGS_ERR_CLOSED, "more than the last state: %s", cfgs_strerror(err));
}

/* What a new reader finds, the one from before finds as well, at the latest when it has looked for a successor again. */
static int agree(cfgs_reader *before, uint64_t *sequence)
{
    cfgs_reader *fresh = reader_open(instance);
    int found = state_of(fresh, sequence);
    uint64_t there;

    while (state_of(before, &there) != found)
        ;
    REQUIRE(there == *sequence, "one state at two IDs");
    cfgs_reader_close(fresh);
    return found;
}

/* ---- one death --------------------------------------------------------------------------------------------------- */

/* Returns what was found after it: OLD or NEW. */
static int one_death(uint64_t die_at)
{
    int ready[2], go[2];
    char byte = 0;
    uint64_t sequence;

    REQUIRE(pipe(ready) == 0 && pipe(go) == 0, "pipe");
    death_set_word(WANTED, die_at);
    pid_t victim = child_start(victim_main, (int[]){go[0], ready[1]});
    close(ready[1]);
    REQUIRE(read(ready[0], &byte, 1) == 1, "the victim failed in its setup");
    cfgs_reader *reader = reader_open(instance);
    follow_to(reader, OLD_ID);
    REQUIRE(write(go[1], &byte, 1) == 1, "pipe");
    death_reap(victim);
    close(ready[0]), close(go[0]), close(go[1]);
    int found = agree(reader, &sequence);
    REQUIRE((found == OLD && sequence == OLD_ID) || (found == NEW && sequence == NEW_ID), "state %d at %" PRIu64, found,
            sequence);
    REQUIRE(die_at != 0 || found == NEW, "a restart that returned is lost");
    follow_to(reader, sequence);
    death_set_word(FOUND_ID, sequence);
    child_start(heir_main, NULL);
    children_wait();
    REQUIRE(agree(reader, &sequence) == HEIRS && sequence == NEW_ID, "the heir's restart is lost");
    cfgs_reader_close(reader);
    REQUIRE(cfgs_arena_destroy(&(cfgs_publisher_options){.instance = instance}) == CFGS_OK, "destroying");
    return found;
}

int main(void)
{
    uint64_t deaths[HEIRS] = {0};

    snprintf(instance, sizeof instance, "restart-deaths-%d", (int)getpid());
    test_begin(instance);
    control_new();
    one_death(0);
    uint64_t count = death_word(STORES);
    for (uint64_t store = 1; store <= count; store++)
        deaths[one_death(store)]++;
    REQUIRE(deaths[OLD] > 0 && deaths[NEW] > 0, "no death on one side of the rename");
    test_end();
    printf("restart_deaths: passed: %" PRIu64 " stores; %" PRIu64 " deaths left the old state, %" PRIu64 " the new one\n",
           count, deaths[OLD], deaths[NEW]);
    return 0;
}
