/*
 * stream.c: StreamConfigEvents: who may subscribe, a snapshot first, then every update, and what happens to those who
 * cannot keep up (architecture 3.3, 4; decisions 2, 4, 5, 24; upstream-facts 2.5, 5, 6).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scene.h"

#include "datadog/model/v1/model.pb-c.h"
#include "event/path.h"
#include "event/updates.h"

#include <configstream/encoded.h>

static char session[SESSION_ID_BYTES];

static void begin(void)
{
    scene_begin();
    scene_register(session);
}

TestSuite(stream, .init = begin, .fini = scene_end, .timeout = 240);

enum { SMALL_FRAME_BYTES = 256, PLENTY = 1 << 20 };

/* As the worker does when the arena has news. */
static void look(void)
{
    char before[WORKER_PATH_BYTES];
    cfgs_encoded_head head;
    memcpy(before, worker.path, sizeof before);
    ok(cfgs_encoded_look(worker.reader, &head));
    cr_assert(path_write(worker.reader, worker.path));
    worker.arena = head.arena;
    worker.sequence = head.sequence;
    service_stream_news(&worker);
    if (strcmp(before, worker.path) != 0)
        service_stream_path_changed(&worker);
}

static struct call *open_named(const char *name, const char *session_id)
{
    Datadog__Model__V1__ConfigStreamRequest request = DATADOG__MODEL__V1__CONFIG_STREAM_REQUEST__INIT;
    request.name = borrowed(name);
    struct call *call = fake_open(&worker, &service_stream_config_events, session_id);
    fake_send(call, &request.base);
    return call;
}

static struct call *subscribe(void)
{
    struct call *call = open_named("test", session);
    cr_assert(call->begun && !call->over, "%s", call->message);
    return call;
}

/* Publish so many changes of one key, and tell the worker. */
static void change(int times)
{
    static int value;
    for (int i = 0; i < times; i++)
        set_int(publisher, "changing", ++value);
    look();
}

/* Let everything go that there is. */
static void drain(struct call *call)
{
    for (int i = 0; !call->over && fake_pull(call, 16384, 0) > 0; i++)
        cr_assert_lt(i, 10000, "there is no end of it");
}

/* ---- what a client makes of it ----------------------------------------------------------------------------------- */

struct seen {
    unsigned snapshots, updates;
    int32_t last; /* ID */
};

static Datadog__Model__V1__ConfigEvent *next_config_event(struct call *call)
{
    const uint8_t *message;
    size_t length;
    if (!fake_next(call, &message, &length))
        return NULL;
    Datadog__Model__V1__ConfigEvent *event = datadog__model__v1__config_event__unpack(NULL, length, message);
    cr_assert(event);
    return event;
}

static void done_with(Datadog__Model__V1__ConfigEvent *event)
{
    datadog__model__v1__config_event__free_unpacked(event, NULL);
}

/* Take all that came whole as clients do: a snapshot first, then only the next ID, or a snapshot of a later one. */
static void take_in(struct call *call, struct seen *seen)
{
    Datadog__Model__V1__ConfigEvent *event;
    while ((event = next_config_event(call)) != NULL) {
        if (event->event_case == DATADOG__MODEL__V1__CONFIG_EVENT__EVENT_SNAPSHOT) {
            cr_assert(seen->snapshots == 0 || event->snapshot->sequence_id > seen->last, "a snapshot never goes back");
            seen->last = event->snapshot->sequence_id;
            seen->snapshots++;
        } else {
            cr_assert(seen->snapshots > 0 && event->update->sequence_id == seen->last + 1, "%d after %d",
                      event->update->sequence_id, seen->last);
            seen->last = event->update->sequence_id;
            seen->updates++;
        }
        done_with(event);
    }
}

static void read_all(struct call *call, struct seen *seen)
{
    drain(call);
    take_in(call, seen);
}

static void has_seen(const struct seen *seen, unsigned snapshots, uint64_t updates, uint64_t last)
{
    cr_expect(seen->snapshots == snapshots && seen->updates == updates && seen->last == (int64_t)last,
              "%u snapshots and %u updates, up to %d", seen->snapshots, seen->updates, seen->last);
}

/* It failed with this status, and a message that begins so. */
static void was_ended(struct call *call, enum grpc_status status, const char *beginning)
{
    cr_assert(call->over && !call->finished, "the stream goes on");
    cr_expect_eq(call->status, status, "status %d", (int)call->status);
    cr_expect_eq(strncmp(call->message, beginning, strlen(beginning)), 0, "%s", call->message);
}

/* ---- who may subscribe ------------------------------------------------------------------------------------------- */

static void is_refused(const char *session_id, enum grpc_status status, const char *beginning)
{
    uint64_t before = COUNTED(authorization_errors);
    struct call *call = open_named("test", session_id);
    cr_expect(!call->begun, "a refusal is all that is sent");
    was_ended(call, status, beginning);
    cr_expect_eq(COUNTED(authorization_errors), before + 1);
    cr_expect_eq(COUNTED(subscribers), 0);
    fake_close(call);
}

/* upstream-facts 2.5 */
Test(stream, without_a_session_is_refused)
{
    is_refused(NULL, GRPC_UNAUTHENTICATED, "session_id required in metadata");
}

Test(stream, with_an_empty_session_is_refused)
{
    is_refused("", GRPC_UNAUTHENTICATED, "session_id cannot be empty");
}

Test(stream, with_an_unknown_session_is_refused)
{
    is_refused("3b241101-e2bb-4255-8caf-4136c566a962", GRPC_PERMISSION_DENIED,
               "session_id '3b241101-e2bb-4255-8caf-4136c566a962' not found: ");
    is_refused("x", GRPC_PERMISSION_DENIED, "session_id 'x' not found: ");
}

Test(stream, with_a_session_that_is_over_is_refused)
{
    char beginning[128];
    snprintf(beginning, sizeof beginning, "session_id '%s' not found: ", session);
    scene_sessions_end();
    is_refused(session, GRPC_PERMISSION_DENIED, beginning);
}

Test(stream, without_a_registry_is_not_implemented)
{
    scene_disable_registry();
    struct call *call = open_named("test", session);
    fake_failed(call, GRPC_UNIMPLEMENTED, "remote agent registry not enabled");
    cr_expect_eq(COUNTED(authorization_errors), 0);
    fake_close(call);
}

Test(stream, asked_for_in_no_protobuf_fails)
{
    struct call *call = fake_open(&worker, &service_stream_config_events, session);
    fake_send_bytes(call, "\x0a\x05x", 3);
    was_ended(call, GRPC_INTERNAL, "the request is no");
    fake_close(call);
}

static void is_logged_as(const char *name, const char *logged)
{
    char line[512];
    snprintf(line, sizeof line, "configstream: New subscriber '%s' joining the config stream", logged);
    unsigned before = scene_logged(line);
    fake_close(open_named(name, session));
    cr_expect_eq(scene_logged(line), before + 1, "%s", line);
}

/* decision 24 */
Test(stream, is_logged_by_its_name_escaped_and_bounded)
{
    char longest[71] = "";
    memset(longest, 'x', 70);
    scene_catch_log(LOG_INFO);
    is_logged_as("security-agent", "security-agent");
    is_logged_as("a\nb", "a\\x0ab");
    is_logged_as("", "");
    longest[64] = '\0';
    is_logged_as(longest, longest);
    memcpy(longest + 62, "\xe2\x82\xac", 4); /* its third byte would be the 65th */
    char cut[63];
    snprintf(cut, sizeof cut, "%.62s", longest);
    is_logged_as(longest, cut);
    cr_expect_eq(scene_logged(session), 0, "no more of a session than a prefix is logged");
}

Test(stream, is_counted_while_it_is_open_and_known_to_the_registry)
{
    change(3);
    struct call *one = subscribe(), *other = subscribe();
    cr_expect_eq(COUNTED(subscribers), 2);
    fake_close(one);
    fake_close(other);
    cr_expect_eq(COUNTED(subscribers), 0);
}

static const char *metadata(const struct call *call, const char *name)
{
    for (unsigned i = 0; i < call->metadata_count; i++)
        if (strcmp(call->metadata[i][0], name) == 0)
            return call->metadata[i][1];
    return NULL;
}

/* interfaces: a relay refuses a path that holds itself */
Test(stream, names_the_arena_it_comes_from)
{
    change(1);
    struct call *call = subscribe();
    cr_expect_str_eq(metadata(call, "configstream-path"), status_of(worker.reader).instance_id);
    cr_expect_str_eq(metadata(call, "configstream-wire-base"), "0");
    fake_close(call);
}

static void come_through(unsigned arenas)
{
    cfgs_upstream upstream = {.path_length = arenas};
    for (unsigned i = 0; i < arenas; i++)
        memset(upstream.path[i], 0x10 + (int)i, sizeof upstream.path[i]);
    ok(cfgs_publisher_set_upstream(publisher, &upstream));
}

Test(stream, names_the_arenas_upstream_of_it_nearest_first)
{
    char expected[WORKER_PATH_BYTES];
    come_through(2);
    change(1);
    struct call *call = subscribe();
    snprintf(expected, sizeof expected, "%s,10101010-1010-1010-1010-101010101010,11111111-1111-1111-1111-111111111111",
             status_of(worker.reader).instance_id);
    cr_expect_str_eq(metadata(call, "configstream-path"), expected);
    fake_close(call);
}

Test(stream, names_a_path_of_the_greatest_length)
{
    come_through(CFGS_UPSTREAM_PATH_MAX);
    change(1);
    struct call *call = subscribe();
    cr_expect_eq(strlen(metadata(call, "configstream-path")), 9 * 36 + 8);
    fake_close(call);
}

/* A relay looks for loops when a stream begins: what it was told then must hold for as long as the stream lasts. */
Test(stream, ends_when_the_configuration_comes_another_way)
{
    struct seen seen = {0};
    come_through(1);
    change(1);
    struct call *call = subscribe(), *waiting = subscribe();
    read_all(call, &seen);
    come_through(1); /* a relay that reconnected to the same */
    change(1);
    read_all(call, &seen);
    has_seen(&seen, 1, 1, 2);
    come_through(2);
    look();
    was_ended(call, GRPC_UNAVAILABLE, "the configuration comes another way now");
    was_ended(waiting, GRPC_UNAVAILABLE, "the configuration comes another way now");
    fake_close(call);
    fake_close(waiting);
}

/* It could not be told the path of a relay's arena, and so could not look for a loop. */
Test(stream, that_began_before_there_was_an_arena_ends_when_that_is_a_relays)
{
    struct call *early = subscribe();
    come_through(1);
    change(1);
    was_ended(early, GRPC_UNAVAILABLE, "the configuration comes another way now");
    fake_close(early);
}

Test(stream, that_began_before_there_was_an_arena_goes_on_when_that_is_a_producers)
{
    struct seen seen = {0};
    struct call *early = subscribe();
    change(1);
    read_all(early, &seen);
    has_seen(&seen, 1, 0, 1);
    fake_close(early);
}

Test(stream, names_no_arena_while_there_is_none)
{
    cfgs_reader *reader = worker.reader;
    worker.reader = NULL;
    struct call *call = subscribe();
    cr_expect_eq(call->metadata_count, 0);
    cr_expect_eq(fake_pull(call, PLENTY, 0), 0);
    service_stream_tick(&worker);
    fake_close(call);
    worker.reader = reader;
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

Test(stream, begins_with_a_snapshot_and_goes_on_with_every_update)
{
    set_text(publisher, "site", "example.org");
    change(4);
    struct call *call = subscribe();
    drain(call);
    Datadog__Model__V1__ConfigEvent *event = next_config_event(call);
    cr_assert(event && event->event_case == DATADOG__MODEL__V1__CONFIG_EVENT__EVENT_SNAPSHOT);
    cr_expect_eq(event->snapshot->sequence_id, 5);
    cr_expect_eq(event->snapshot->n_settings, 2);
    cr_expect_str_eq(event->snapshot->origin, "datadog.yaml");
    done_with(event);
    cr_expect_eq(fake_pull(call, PLENTY, 0), 0, "nothing is new");
    set_text(publisher, "site", "example.com");
    look();
    drain(call);
    event = next_config_event(call);
    cr_assert(event && event->event_case == DATADOG__MODEL__V1__CONFIG_EVENT__EVENT_UPDATE);
    cr_expect_eq(event->update->sequence_id, 6);
    cr_expect_str_eq(event->update->setting->key, "site");
    cr_expect_str_eq(event->update->setting->value->string_value, "example.com");
    done_with(event);
    fake_close(call);
}

Test(stream, is_open_and_silent_until_there_is_a_snapshot)
{
    struct seen seen = {0};
    struct call *call = subscribe(); /* before the worker has seen an arena */
    cr_expect_eq(fake_pull(call, PLENTY, 0), 0);
    service_stream_tick(&worker);
    first_commit(publisher);
    look();
    cr_expect_gt(call->resumed, 0);
    read_all(call, &seen);
    has_seen(&seen, 1, 0, 0);
    change(2);
    read_all(call, &seen);
    has_seen(&seen, 1, 2, 2);
    fake_close(call);
}

Test(stream, that_keeps_up_gets_one_snapshot_and_all_updates)
{
    struct seen seen = {0};
    change(1);
    struct call *call = subscribe();
    for (int i = 0; i < 500; i++) {
        read_all(call, &seen);
        change(1 + i % 60);
    }
    read_all(call, &seen);
    has_seen(&seen, 1, cfgs_publisher_sequence(publisher) - 1, cfgs_publisher_sequence(publisher));
    cr_expect_eq(COUNTED(snapshots_sent), 1);
    cr_expect_eq(COUNTED(updates_sent), seen.updates);
    cr_expect(COUNTED(discontinuities) == 0 && COUNTED(dropped_updates) == 0);
    fake_close(call);
}

/* upstream-facts 6, incident 23 */
Test(stream, is_not_disturbed_by_others_that_join)
{
    struct call *calls[8];
    struct seen seen[8] = {0};
    change(1);
    for (int i = 0; i < 8; i++) {
        calls[i] = subscribe();
        for (int j = 0; j <= i; j++)
            read_all(calls[j], &seen[j]);
        change(10);
    }
    for (int i = 0; i < 8; i++) {
        read_all(calls[i], &seen[i]);
        cr_expect(seen[i].snapshots == 1 && seen[i].last == 81);
        fake_close(calls[i]);
    }
}

/* decision 3; grpc-wire 6 */
Test(stream, packs_as_many_updates_as_fit_into_what_may_go)
{
    struct seen seen = {0};
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    change(60);
    cr_expect_gt(fake_pull(call, PLENTY, 0), 60 * 20);
    cr_expect_eq(fake_pull(call, PLENTY, 0), 0, "all went in one frame");
    take_in(call, &seen);
    has_seen(&seen, 1, 60, 61);
    fake_close(call);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* What a stream is given in one piece. */
static struct call *unbroken(void)
{
    struct call *call = subscribe();
    fake_pull(call, PLENTY, 0);
    return call;
}

Test(stream, may_be_cut_anywhere)
{
    char text[700];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    set_text(publisher, "text", text);
    change(1);
    struct call *whole = unbroken();
    for (size_t room = 1; room < 1500; room += 1 + room / 16) {
        struct call *call = subscribe();
        while (fake_pull(call, room, 0) > 0)
            continue;
        cr_expect(call->length == whole->length && memcmp(call->output, whole->output, whole->length) == 0,
                  "by %zu bytes", room);
        fake_close(call);
    }
    fake_close(whole);
}

Test(stream, of_updates_may_be_cut_anywhere)
{
    struct seen seen = {0};
    uint64_t state = 7;
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    for (int i = 0; i < 200; i++) {
        char text[700];
        snprintf(text, sizeof text, "%0*d", i % 3 ? 10 : 650, i);
        set_text(publisher, "text", text);
        if (i % 5)
            continue;
        look();
        while (fake_pull(call, 1 + (size_t)random_next(&state) % 900, 0) > 0)
            continue;
        take_in(call, &seen);
    }
    look();
    read_all(call, &seen);
    has_seen(&seen, 1, 200, 201);
    fake_close(call);
}

/* grpc-wire 6: no small frame where it can be helped */
Test(stream, is_never_cut_so_that_a_small_frame_is_left_over)
{
    char text[1024];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    set_text(publisher, "text", text);
    look();
    struct call *whole = unbroken();
    for (size_t room = 2 * SMALL_FRAME_BYTES; room < whole->length; room++) {
        struct call *call = subscribe();
        for (size_t length; (length = fake_pull(call, room, 0)) > 0;)
            cr_expect_geq(length, SMALL_FRAME_BYTES, "%zu with room for %zu", length, room);
        fake_close(call);
    }
    fake_close(whole);
}

Test(stream, fills_a_frame_up_when_it_has_to)
{
    struct seen seen = {0};
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    for (int i = 1; i <= 100; i++) {
        change(1 + i % 3);
        cr_expect_geq(fake_pull(call, 16384, SMALL_FRAME_BYTES), SMALL_FRAME_BYTES);
        cr_expect_eq(fake_pull(call, 16384, SMALL_FRAME_BYTES), 0);
    }
    take_in(call, &seen);
    has_seen(&seen, 1, cfgs_publisher_sequence(publisher) - 1, cfgs_publisher_sequence(publisher));
    fake_close(call);
}

/* Many streams that begin on one connection with a small configuration must not use up what newer clients bear. */
Test(stream, begins_with_no_small_frame_even_if_the_configuration_is_small)
{
    struct seen seen = {0};
    change(1);
    struct call *call = subscribe();
    cr_expect_geq(fake_pull(call, 16384, SMALL_FRAME_BYTES), SMALL_FRAME_BYTES);
    take_in(call, &seen);
    has_seen(&seen, 1, 0, 1);
    fake_close(call);
}

/* ---- falling behind ---------------------------------------------------------------------------------------------- */

/* decisions 2, 24; upstream-facts 6, incident 21 */
Test(stream, that_was_lapped_gets_a_snapshot_which_is_counted_and_told)
{
    struct seen seen = {0};
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    change(200);
    read_all(call, &seen);
    has_seen(&seen, 2, 0, 201);
    change(1);
    read_all(call, &seen);
    has_seen(&seen, 2, 1, 202);
    cr_expect_eq(COUNTED(discontinuities), 1);
    cr_expect_eq(COUNTED(dropped_updates), 200);
    cr_expect_eq(COUNTED(snapshots_sent), 2);
    cr_expect_str_eq(fake_notice,
                     "configstream: Discontinuity detected for subscriber 'test' (last ID 1, current ID 201)\n"
                     "configstream: Dropping config update for subscriber 'test' (lapped by 200)\n");
    fake_close(call);
}

/* A client must not be able to hide what became of it behind its own name. */
Test(stream, that_was_lapped_is_told_whole_whatever_its_name)
{
    char name[65];
    struct seen seen = {0};
    memset(name, '\x01', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    change(1);
    struct call *call = open_named(name, session);
    read_all(call, &seen);
    change(200);
    read_all(call, &seen);
    cr_expect(strstr(fake_notice, "\\x01' (last ID 1, current ID 201)\n"), "%s", fake_notice);
    cr_expect(strstr(fake_notice, "\\x01' (lapped by 200)\n"), "%s", fake_notice);
    fake_close(call);
}

Test(stream, that_was_lapped_amid_an_update_gets_the_rest_of_it_and_then_a_snapshot)
{
    char text[5000];
    struct seen seen = {0};
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    set_text(publisher, "text", text);
    look();
    cr_expect_eq(fake_pull(call, 1000, 0), 1000);
    change(300);
    read_all(call, &seen);
    has_seen(&seen, 2, 1, 302);
    fake_close(call);
}

Test(stream, that_was_lapped_amid_a_snapshot_gets_the_rest_of_it_and_then_another)
{
    struct seen seen = {0};
    load_ints(publisher, "key.", 100, false);
    look();
    struct call *call = subscribe();
    cr_expect_eq(fake_pull(call, 1000, 0), 1000);
    change(300);
    read_all(call, &seen);
    has_seen(&seen, 2, 0, 400);
    cr_expect_eq(COUNTED(discontinuities), 1);
    fake_close(call);
}

Test(stream, that_never_reads_holds_no_more_than_one_that_does)
{
    struct snapshots_info info;
    change(1);
    struct call *call = subscribe();
    fake_pull(call, 10, 0);
    for (int i = 0; i < 20; i++)
        change(200);
    snapshots_info(bridge.snapshots, &info);
    cr_expect_eq(info.alive, 1);
    fake_close(call);
}

/* ---- values that clear a source ---------------------------------------------------------------------------------- */

static void clear_a_source(void)
{
    cfgs_setting fallback = setting_of("site", text_value("fallback"), CFGS_SOURCE_FILE);
    ok(cfgs_publisher_set(publisher, &fallback, CFGS_SOURCE_CLI, NULL));
    look();
}

/* decision 5 */
Test(stream, tells_which_source_was_cleared)
{
    struct seen seen = {0};
    set_value(publisher, "site", text_value("example.org"), CFGS_SOURCE_CLI);
    look();
    struct call *call = subscribe();
    read_all(call, &seen);
    clear_a_source();
    drain(call);
    Datadog__Model__V1__ConfigEvent *event = next_config_event(call);
    cr_assert(event && event->event_case == DATADOG__MODEL__V1__CONFIG_EVENT__EVENT_UPDATE);
    cr_expect_str_eq(event->update->setting->unset_source, "cli");
    cr_expect_str_eq(event->update->setting->source, "file");
    cr_expect_str_eq(event->update->setting->value->string_value, "fallback");
    done_with(event);
    fake_close(call);
}

Test(stream, gives_a_snapshot_instead_where_that_is_wished)
{
    struct seen seen = {0};
    bridge.no_unset_source = true;
    set_value(publisher, "site", text_value("example.org"), CFGS_SOURCE_CLI);
    look();
    struct call *call = subscribe();
    read_all(call, &seen);
    change(1);
    clear_a_source();
    read_all(call, &seen);
    has_seen(&seen, 2, 1, 3);
    change(1);
    read_all(call, &seen);
    has_seen(&seen, 2, 2, 4);
    cr_expect(COUNTED(discontinuities) == 0 && COUNTED(dropped_updates) == 0, "nobody missed anything");
    fake_close(call);
}

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

/* upstream-facts 6, incident 1 */
Test(stream, that_is_open_keeps_its_session)
{
    change(1);
    struct call *call = subscribe();
    scene_sessions_end();
    service_stream_tick(&worker);
    cr_expect(!call->over, "%s", call->message);
    cr_expect_eq(registry_count(bridge.registry), 1);
    fake_close(call);
    scene_sessions_end();
    cr_expect_eq(registry_count(bridge.registry), 0);
}

/* upstream-facts 2.5, 6 incident 2: clients register anew for this code */
Test(stream, whose_session_is_over_is_ended_with_permission_denied)
{
    char beginning[128];
    change(1);
    struct call *call = subscribe();
    registry_stream_closed(bridge.registry, session); /* as if it had been reaped while the stream began */
    scene_sessions_end();
    service_stream_tick(&worker);
    snprintf(beginning, sizeof beginning, "session_id '%s' not found: ", session);
    was_ended(call, GRPC_PERMISSION_DENIED, beginning);
    cr_expect_eq(COUNTED(sessions_expired_streams), 1);
    fake_close(call);
}

static void copy_agent(void *context, const struct registry_agent *agent)
{
    *(struct registry_agent *)context = *agent;
}

Test(stream, tells_the_registry_how_far_it_is)
{
    struct seen seen = {0};
    struct registry_agent agent = {0};
    change(17);
    struct call *call = subscribe();
    read_all(call, &seen);
    change(3);
    read_all(call, &seen);
    service_stream_tick(&worker);
    registry_each(bridge.registry, copy_agent, &agent);
    cr_expect(agent.streams == 1 && agent.last_sequence == 20);
    fake_close(call);
}

Test(stream, is_behind_by_what_it_has_not_been_given)
{
    struct seen seen = {0}, late = {0};
    change(5);
    struct call *first = subscribe(), *second = subscribe();
    read_all(first, &seen);
    read_all(second, &late);
    change(3);
    read_all(first, &seen);
    service_stream_tick(&worker);
    cr_expect_eq(COUNTED(lag), 3, "the furthest behind counts");
    read_all(second, &late);
    service_stream_tick(&worker);
    cr_expect_eq(COUNTED(lag), 0);
    fake_close(first);
    fake_close(second);
}

/* ---- the memory of snapshots ------------------------------------------------------------------------------------- */

/* A stream that holds a snapshot frame of its own and reads no further. */
static struct call *holder(void)
{
    struct call *call = subscribe();
    fake_pull(call, 10, 0);
    change(100); /* so that the next one needs another */
    return call;
}

/* decision 2 */
Test(stream, that_finds_no_room_for_its_snapshot_waits)
{
    struct seen seen = {0};
    atomic_store(&bridge.limits.max_snapshots, 1);
    change(1);
    struct call *first = holder(), *second = subscribe();
    cr_expect_eq(fake_pull(second, PLENTY, 0), 0);
    cr_expect(!second->over);
    read_all(first, &(struct seen){0});
    service_stream_tick(&worker);
    cr_expect_gt(second->resumed, 0);
    read_all(second, &seen);
    has_seen(&seen, 1, 0, 101);
    fake_close(first);
    fake_close(second);
}

Test(stream, that_waits_for_room_gets_it_from_the_one_that_stood_still_longest)
{
    struct seen seen = {0};
    atomic_store(&bridge.limits.max_snapshots, 2);
    change(1);
    struct call *longest = holder();
    worker.now_ms += 1000;
    struct call *other = holder();
    worker.now_ms += 1000;
    struct call *waiting = subscribe();
    cr_expect_eq(fake_pull(waiting, PLENTY, 0), 0);
    service_stream_tick(&worker);
    was_ended(longest, GRPC_UNAVAILABLE, "");
    cr_expect(!other->over && !waiting->over);
    cr_expect_eq(COUNTED(stalled_streams), 1);
    fake_close(longest);
    service_stream_tick(&worker);
    cr_expect(!other->over, "one is enough");
    read_all(waiting, &seen);
    has_seen(&seen, 1, 0, 201);
    fake_close(other);
    fake_close(waiting);
}

Test(stream, that_waits_for_room_need_not_wait_longer_the_more_stand_still_over_the_same_snapshot)
{
    enum { STILL = 20 };
    struct seen seen = {0};
    struct call *still[STILL];
    atomic_store(&bridge.limits.max_snapshots, 1);
    load_ints(publisher, "key.", 100, false);
    look();
    struct call *reading = subscribe();
    for (int i = 0; i < STILL; i++) {
        still[i] = subscribe();
        fake_pull(still[i], 10, 0);
    }
    fake_pull(reading, 10, 0);
    change(100);
    worker.now_ms += 1000;
    fake_pull(reading, 10, 0);
    struct call *waiting = subscribe();
    cr_expect_eq(fake_pull(waiting, PLENTY, 0), 0);
    service_stream_tick(&worker);
    for (int i = 0; i < STILL; i++) {
        was_ended(still[i], GRPC_UNAVAILABLE, "the snapshot was not read");
        fake_close(still[i]);
    }
    cr_expect(!reading->over, "it did not stand still");
    read_all(reading, &(struct seen){0});
    read_all(waiting, &seen);
    has_seen(&seen, 1, 0, 200);
    fake_close(reading);
    fake_close(waiting);
}

/* More than a worker holds of cut updates: one that wants to hold another gets a snapshot instead, if there is room. */
Test(stream, that_waited_for_room_and_needs_it_no_more_ends_nobody)
{
    enum { BIG = 15 << 20, CUT = 4 };
    struct seen seen[CUT + 1] = {0};
    struct call *cut[CUT + 1];
    char *text = malloc(BIG);
    cr_assert(text);
    atomic_store(&bridge.limits.max_snapshots, 1);
    change(1);
    struct call *holding = subscribe();
    fake_pull(holding, 10, 0);
    for (int i = 0; i <= CUT; i++) {
        cut[i] = subscribe();
        read_all(cut[i], &seen[i]);
    }
    for (int i = 0; i <= CUT; i++) {
        memset(text, 'a' + i, BIG);
        set_value(publisher, "big", cfgs_value_string(text, BIG), CFGS_SOURCE_FILE);
        look();
        for (int j = i + 1; j <= CUT; j++)
            while (fake_pull(cut[j], PLENTY, 0) > 0)
                continue;
        fake_pull(cut[i], 1000, 0);
    }
    cr_expect_eq(COUNTED(updates_sent), CUT + CUT * (CUT + 1) / 2, "%llu", (unsigned long long)COUNTED(updates_sent));
    while (fake_pull(cut[0], PLENTY, 0) > 0)
        continue;
    cr_expect_gt(fake_pull(cut[CUT], PLENTY, 0), 0, "now there is enough");
    worker.now_ms += 5000;
    service_stream_tick(&worker);
    cr_expect(!holding->over, "%s", holding->message);
    for (int i = 0; i <= CUT; i++)
        fake_close(cut[i]);
    fake_close(holding);
    free(text);
}

Test(stream, that_goes_on_reading_keeps_its_snapshot_though_others_wait)
{
    atomic_store(&bridge.limits.max_snapshots, 1);
    load_ints(publisher, "key.", 100, false);
    change(1);
    struct call *reading = holder(), *waiting = subscribe();
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(fake_pull(waiting, PLENTY, 0), 0);
        worker.now_ms += 900;
        fake_pull(reading, 10, 0);
        service_stream_tick(&worker);
    }
    cr_expect(!reading->over);
    fake_close(reading);
    fake_close(waiting);
}

Test(stream, that_takes_a_byte_now_and_then_does_not_keep_its_snapshot_for_ever)
{
    struct seen seen = {0};
    atomic_store(&bridge.limits.max_snapshots, 1);
    atomic_store(&bridge.limits.stall_timeout, 60 * 1000);
    load_ints(publisher, "key.", 100, false);
    change(1);
    struct call *trickling = holder(), *waiting = subscribe();
    for (int i = 0; !trickling->over; i++) {
        cr_assert_leq(i, 60);
        cr_expect_eq(fake_pull(waiting, PLENTY, 0), 0);
        fake_pull(trickling, 1, 0);
        worker.now_ms += 1000;
        fake_pull(trickling, 1, 0);
        service_stream_tick(&worker);
    }
    was_ended(trickling, GRPC_UNAVAILABLE, "the snapshot was not read");
    read_all(waiting, &seen);
    has_seen(&seen, 1, 0, 201);
    fake_close(trickling);
    fake_close(waiting);
}

Test(stream, whose_snapshot_is_too_large_is_told_so)
{
    load_ints(publisher, "key.", 100, false);
    look();
    atomic_store(&bridge.limits.max_snapshot_bytes, 1024);
    struct call *call = subscribe();
    fake_pull(call, PLENTY, 0);
    was_ended(call, GRPC_RESOURCE_EXHAUSTED, "the snapshot");
    cr_expect(strstr(call->message, "--max-snapshot-bytes"), "%s", call->message);
    fake_close(call);
}

/* ---- arenas and IDs ---------------------------------------------------------------------------------------------- */

/* decision 4: never OK, which clients answer by connecting at once (upstream-facts 5) */
Test(stream, of_an_arena_that_was_replaced_is_ended)
{
    change(1);
    struct call *call = subscribe(), *unread = subscribe();
    drain(call);
    worker.arena++;
    service_stream_news(&worker);
    was_ended(call, GRPC_UNAVAILABLE, "the arena was replaced");
    cr_expect(!unread->over, "it has nothing of the former yet");
    /* decision 24 */
    cr_expect_eq(COUNTED(discontinuities), 1);
    cr_expect_str_eq(fake_notice, "configstream: Discontinuity detected for subscriber 'test' (the arena was replaced; "
                                  "last ID 1, current ID 1)\n");
    fake_close(call);
    fake_close(unread);
}

/* The reader is in the new arena already, and the worker has not looked yet. */
Test(stream, that_finds_another_arena_waits_for_the_worker_to_find_it_too)
{
    struct seen seen = {0};
    change(1);
    worker.arena = 7;
    struct call *call = subscribe();
    cr_expect_eq(fake_pull(call, PLENTY, 0), 0);
    cr_expect(!call->over);
    look();
    read_all(call, &seen);
    has_seen(&seen, 1, 0, 1);
    fake_close(call);
}

static void start_ids_at(uint64_t first)
{
    cfgs_reader_close(worker.reader);
    cfgs_publisher_close(publisher, false);
    cfgs_publisher_options options = {.in_memory = true, .ring_slots = 64, .first_sequence = first};
    publisher = publish_with(NULL, options);
    worker.reader = reader_of(publisher);
}

/* upstream-facts 6, incident 25 */
Test(stream, ends_where_ids_on_the_wire_start_anew)
{
    struct seen seen = {0};
    start_ids_at(INT32_MAX - 2);
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    has_seen(&seen, 1, 0, INT32_MAX - 2);
    change(2);
    read_all(call, &seen);
    has_seen(&seen, 1, 2, INT32_MAX);
    change(1);
    drain(call);
    was_ended(call, GRPC_UNAVAILABLE, "sequence IDs start anew");
    take_in(call, &seen);
    has_seen(&seen, 1, 2, INT32_MAX);
    fake_close(call);
    call = subscribe();
    seen = (struct seen){0};
    read_all(call, &seen);
    has_seen(&seen, 1, 0, 1);
    cr_expect_str_eq(metadata(call, "configstream-wire-base"), "2147483647", "relays go on counting");
    fake_close(call);
}

Test(stream, that_waited_for_a_snapshot_across_the_new_start_of_ids_ends)
{
    start_ids_at(INT32_MAX);
    change(1);
    struct call *call = subscribe();
    change(1);
    drain(call);
    was_ended(call, GRPC_UNAVAILABLE, "sequence IDs start anew");
    fake_close(call);
}

Test(stream, gives_what_goes_before_ids_start_anew_though_more_is_there)
{
    struct seen seen = {0};
    start_ids_at(INT32_MAX - 2);
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    change(10);
    drain(call);
    was_ended(call, GRPC_UNAVAILABLE, "sequence IDs start anew");
    fake_close(call);
}

Test(stream, that_was_lapped_across_the_new_start_of_ids_ends)
{
    struct seen seen = {0};
    start_ids_at(INT32_MAX - 2);
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    change(200);
    drain(call);
    was_ended(call, GRPC_UNAVAILABLE, "sequence IDs start anew");
    take_in(call, &seen);
    has_seen(&seen, 1, 0, INT32_MAX - 2);
    fake_close(call);
}

/* ---- secrets ----------------------------------------------------------------------------------------------------- */

Test(stream, logs_no_value)
{
    struct seen seen = {0};
    scene_catch_log(LOG_TRACE);
    set_text(publisher, "api_key", "0123secret4567");
    change(1);
    struct call *call = subscribe();
    read_all(call, &seen);
    set_text(publisher, "api_key", "0123secret89ab");
    change(100);
    read_all(call, &seen);
    service_stream_tick(&worker);
    fake_close(call);
    cr_expect_eq(scene_logged("secret"), 0);
    cr_expect(!strstr(fake_notice, "secret"));
}
