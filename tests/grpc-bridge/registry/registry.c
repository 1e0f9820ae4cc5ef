/*
 * registry.c: who may register, and how long a session lives (upstream-facts 3, decision 9).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR_MS = 3600 * 1000 };

static struct registry *registry;
static char id[SESSION_ID_BYTES], reason[256];

static const struct registry_settings USUAL = {
    .enabled = true, .idle_timeout_ms = HOUR_MS, .refresh_interval_ms = HOUR_MS, .agents_max = 100};
static const struct registration AGENT = {
    .pid = "", .flavor = "trace_agent", .display_name = "trace-agent", .api_endpoint_uri = "localhost:50051"};

static void begin(void)
{
    registry = registry_new(&USUAL);
    cr_assert(registry);
}

static void end(void) { registry_free(registry); }

TestSuite(registry, .init = begin, .fini = end);

static enum registry_result add(struct registration registration)
{
    reason[0] = '\0';
    return registry_register(registry, &registration, id, reason);
}

/* Everything is idle for too long from now on. */
static void time_runs_out(void)
{
    struct registry_settings settings = USUAL;
    settings.idle_timeout_ms = -1;
    settings.refresh_interval_ms = 0;
    registry_set(registry, &settings);
}

static void count_one(void *context, const struct registry_agent *agent)
{
    (void)agent;
    ++*(size_t *)context;
}

static size_t listed(void)
{
    size_t count = 0;
    registry_each(registry, count_one, &count);
    return count;
}

static void copy_one(void *context, const struct registry_agent *agent) { *(struct registry_agent *)context = *agent; }

static struct registry_agent the_agent(void)
{
    struct registry_agent agent = {0};
    registry_each(registry, copy_one, &agent);
    return agent;
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

Test(registry, a_session_is_a_random_uuid_of_version_4)
{
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    cr_assert_eq(strlen(id), 36);
    for (int i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23)
            cr_expect_eq(id[i], '-');
        else
            cr_expect(strchr("0123456789abcdef", id[i]), "'%c' at %d", id[i], i);
    cr_expect_eq(id[14], '4');
    cr_expect(strchr("89ab", id[19]), "variant %c", id[19]);
}

Test(registry, each_registration_is_a_new_session_and_replaces_none)
{
    char first[SESSION_ID_BYTES];
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    memcpy(first, id, sizeof first);
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    cr_expect_str_neq(id, first);
    cr_expect(registry_refresh(registry, first));
    cr_expect(registry_refresh(registry, id));
    cr_expect_eq(registry_count(registry), 2);
    cr_expect_eq(listed(), 2);
}

static void is_refused(struct registration registration, const char *field)
{
    cr_expect_eq(add(registration), REGISTRY_INVALID, "for %s", field);
    cr_expect_eq(strncmp(reason, field, strlen(field)), 0, "'%s' does not begin with %s", reason, field);
    cr_expect_eq(registry_count(registry), 0);
}

Test(registry, a_blank_display_name_is_refused)
{
    struct registration registration = AGENT;
    registration.display_name = "";
    is_refused(registration, "display_name");
    registration.display_name = " \t ";
    is_refused(registration, "display_name");
}

Test(registry, texts_are_bounded_and_printable)
{
    char longest[REGISTRY_TEXT_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    struct registration registration = AGENT;
    registration.pid = longest;
    is_refused(registration, "pid");
    registration = AGENT;
    registration.flavor = longest;
    is_refused(registration, "flavor");
    registration = AGENT;
    registration.api_endpoint_uri = longest;
    is_refused(registration, "api_endpoint_uri");
    registration = AGENT;
    registration.flavor = "a\nb";
    is_refused(registration, "flavor");
    registration.flavor = "\xff";
    is_refused(registration, "flavor");
    registration = AGENT;
    registration.display_name = longest;
    is_refused(registration, "display_name");
    longest[REGISTRY_TEXT_MAX_BYTES] = '\0';
    cr_expect_eq(add(registration), REGISTRY_OK);
    cr_expect_str_eq(the_agent().display_name, longest);
}

Test(registry, too_many_services_are_refused)
{
    struct registration registration = AGENT;
    registration.service_count = REGISTRY_SERVICES_MAX + 1;
    is_refused(registration, "services");
    registration.service_count = REGISTRY_SERVICES_MAX;
    cr_expect_eq(add(registration), REGISTRY_OK);
}

Test(registry, addresses_as_existing_clients_give_them_are_accepted)
{
    static const char *const GOOD[] = {"localhost:50051", "https://configstream-consumer/security-agent",
                                       "https://127.0.0.1:5101", "unix:///run/agent.sock", "vsock://3:5001",
                                       "vsock://4294967295:4294967295"};
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        struct registration registration = AGENT;
        registration.api_endpoint_uri = GOOD[i];
        cr_expect_eq(add(registration), REGISTRY_OK, "%s: %s", GOOD[i], reason);
    }
}

Test(registry, other_schemes_and_half_addresses_are_refused)
{
    static const char *const BAD[] = {"", "  ", "http://localhost:1", "ftp://x", "https://", "vsock://3", "vsock://a:b",
                                      "vsock://3:5001x", "vsock://4294967296:1", "vsock://:1", "://x", "httpsx://y"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct registration registration = AGENT;
        registration.api_endpoint_uri = BAD[i];
        is_refused(registration, "api_endpoint_uri");
    }
}

Test(registry, a_full_registry_takes_nobody_until_one_left)
{
    struct registry_settings settings = USUAL;
    settings.agents_max = 2;
    registry_set(registry, &settings);
    cr_expect_eq(add(AGENT), REGISTRY_OK);
    cr_expect_eq(add(AGENT), REGISTRY_OK);
    cr_expect_eq(add(AGENT), REGISTRY_FULL);
    cr_expect_eq(registry_count(registry), 2);
    time_runs_out();
    cr_expect_eq(registry_reap(registry), 2);
    cr_expect_eq(add(AGENT), REGISTRY_OK);
}

/* ---- living ------------------------------------------------------------------------------------------------------ */

Test(registry, ids_that_are_none_are_unknown)
{
    static const char *const IDS[] = {"", "x", "00000000-0000-4000-8000-000000000000",
                                      "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz",
                                      "\xff\xff\xff\xff\xff\xff\xff\xff-0000-4000-8000-000000000000"};
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++)
        cr_expect_not(registry_refresh(registry, IDS[i]));
    id[35] = id[35] == '0' ? '1' : '0';
    cr_expect_not(registry_refresh(registry, id));
}

Test(registry, a_session_that_is_heard_of_lives)
{
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    cr_expect_eq(registry_reap(registry), 0);
    cr_expect(registry_refresh(registry, id));
}

Test(registry, an_idle_session_ends)
{
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    time_runs_out();
    cr_expect_eq(registry_reap(registry), 1);
    cr_expect_eq(registry_count(registry), 0);
    cr_expect_eq(listed(), 0);
    cr_expect_not(registry_refresh(registry, id));
    cr_expect_not(registry_stream_opened(registry, id));
    cr_expect_not(registry_stream_alive(registry, id, 1));
    registry_stream_closed(registry, id);
}

Test(registry, half_an_interval_of_slack_is_given)
{
    struct registry_settings settings = USUAL;
    settings.idle_timeout_ms = -1;
    settings.refresh_interval_ms = HOUR_MS;
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    registry_set(registry, &settings);
    cr_expect_eq(registry_reap(registry), 0);
    settings.refresh_interval_ms = 0;
    registry_set(registry, &settings);
    cr_expect_eq(registry_reap(registry), 1);
}

Test(registry, an_open_stream_keeps_its_session_until_the_last_one_ends)
{
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    cr_expect(registry_stream_opened(registry, id));
    cr_expect(registry_stream_opened(registry, id));
    time_runs_out();
    cr_expect_eq(registry_reap(registry), 0);
    registry_stream_closed(registry, id);
    cr_expect_eq(registry_reap(registry), 0);
    cr_expect(registry_stream_alive(registry, id, 7));
    registry_stream_closed(registry, id);
    cr_expect_eq(registry_reap(registry), 1);
}

Test(registry, only_the_idle_ones_are_taken_out_of_a_crowd)
{
    enum { CROWD = 20000 };
    struct registry_settings settings = USUAL;
    char(*ids)[SESSION_ID_BYTES] = calloc(CROWD, sizeof *ids);
    cr_assert(ids);
    settings.agents_max = CROWD;
    registry_set(registry, &settings);
    for (int i = 0; i < CROWD; i++) {
        cr_assert_eq(add(AGENT), REGISTRY_OK);
        memcpy(ids[i], id, sizeof ids[i]);
        if (i % 3 == 0)
            cr_assert(registry_stream_opened(registry, id));
    }
    time_runs_out();
    cr_expect_eq(registry_reap(registry), CROWD - (CROWD + 2) / 3);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(registry_refresh(registry, ids[i]), i % 3 == 0, "session %d", i);
    cr_expect_eq(listed(), registry_count(registry));
    free(ids);
}

Test(registry, a_registry_that_is_switched_off_takes_nobody_and_ends_all_sessions)
{
    struct registry_settings settings = USUAL;
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    cr_assert(registry_stream_opened(registry, id));
    settings.enabled = false;
    registry_set(registry, &settings);
    cr_expect_eq(add(AGENT), REGISTRY_DISABLED);
    cr_expect_eq(registry_reap(registry), 1);
    cr_expect_not(registry_get(registry).enabled);
}

Test(registry, what_is_told_of_an_agent_is_no_secret)
{
    cr_assert_eq(add(AGENT), REGISTRY_OK);
    cr_assert(registry_stream_opened(registry, id));
    cr_assert(registry_stream_alive(registry, id, 42));
    struct registry_agent agent = the_agent();
    cr_expect_eq(strlen(agent.session_prefix), 8);
    cr_expect_eq(strncmp(agent.session_prefix, id, 8), 0);
    cr_expect_str_eq(agent.flavor, "trace_agent");
    cr_expect_str_eq(agent.display_name, "trace-agent");
    cr_expect_eq(agent.streams, 1);
    cr_expect_eq(agent.last_sequence, 42);
    cr_expect_geq(agent.idle_ms, 0);
}
