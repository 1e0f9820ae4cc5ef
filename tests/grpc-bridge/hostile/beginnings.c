/* beginnings.c: what is not TLS, not HTTP/2, or not anything at all.  SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

Test(beginnings, plain_text_on_the_tls_port_is_closed_and_counted)
{
    SCENE(NULL);
    struct raw *raw = plain();
    raw_write(raw, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35);
    is_closed(raw);
    counts("handshake_failures", 1);
    scene_end();
}

Test(beginnings, cleartext_http2_on_the_tls_port_is_closed_and_counted)
{
    SCENE(NULL);
    struct raw *raw = plain();
    raw_write(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    raw_frame(raw, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    is_closed(raw);
    counts("handshake_failures", 1);
    scene_end();
}

Test(beginnings, garbage_instead_of_a_handshake_is_closed_and_counted)
{
    SCENE(HASTY);
    uint64_t seed = 3;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t garbage[64];
        for (unsigned k = 0; k < 64; k++)
            garbage[k] = random_next(&seed);
        struct raw *raw = plain();
        raw_write(raw, garbage, sizeof garbage);
        is_closed(raw);
    }
    counts("handshake_failures", 10); /* some garbage is the beginning of a record, and runs into the timeout */
    scene_end();
}

Test(beginnings, silence_instead_of_a_handshake_runs_into_the_timeout)
{
    SCENE(HASTY);
    is_closed(plain());
    counts("handshake_timeouts", 1);
    scene_end();
}

Test(beginnings, half_a_client_hello_runs_into_the_timeout)
{
    SCENE(HASTY);
    static const uint8_t half[] = {22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    struct raw *raw = plain();
    raw_write(raw, half, sizeof half);
    is_closed(raw);
    counts("handshake_timeouts", 1);
    scene_end();
}

/* They cost nobody a turn: what is waited for with them is only their own time-out, which here never comes. */
Test(beginnings, silent_connections_keep_nobody_from_the_handshake)
{
    SCENE("--workers", "1", "--max-handshakes", "1", "--handshake-timeout", "10m");
    struct raw *silent[50];
    for (unsigned i = 0; i < 50; i++)
        silent[i] = plain();
    counts("connections_accepted", 50);
    raw_free(secure());
    for (unsigned i = 0; i < 50; i++)
        raw_free(silent[i]);
    scene_end();
}

Test(beginnings, a_client_that_goes_before_the_handshake_is_forgotten)
{
    SCENE(NULL);
    for (unsigned i = 0; i < 50; i++)
        raw_free(plain());
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_connections") == 1);
    scene_end();
}

Test(beginnings, many_that_shake_no_hands_keep_nobody_out)
{
    enum { SILENT = 100 };
    SCENE(HASTY, "--max-handshakes", "4");
    struct raw *silent[SILENT];
    for (unsigned i = 0; i < SILENT; i++)
        silent[i] = plain();
    struct subscriber *another = newcomer("another");
    for (unsigned i = 0; i < SILENT; i++)
        is_closed(silent[i]);
    subscriber_free(another);
    scene_end();
}

Test(beginnings, silence_after_the_handshake_runs_into_the_timeout)
{
    SCENE(HASTY);
    is_closed(secure());
    counts("handshake_timeouts", 1);
    scene_end();
}

Test(beginnings, a_preface_without_settings_runs_into_the_timeout)
{
    SCENE(HASTY);
    struct raw *raw = secure();
    raw_write(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    is_closed(raw);
    counts("handshake_timeouts", 1);
    scene_end();
}

Test(beginnings, half_a_preface_runs_into_the_timeout)
{
    SCENE(HASTY);
    struct raw *raw = secure();
    raw_write(raw, "PRI * HTTP", 10);
    is_closed(raw);
    counts("handshake_timeouts", 1);
    scene_end();
}

Test(beginnings, a_wrong_preface_is_closed_and_counted)
{
    SCENE(NULL);
    struct raw *raw = secure();
    raw_write(raw, "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n", 24);
    is_closed(raw);
    counts("abuse_closed", 1);
    scene_end();
}

Test(beginnings, http_1_within_tls_is_closed_and_counted)
{
    SCENE(NULL);
    struct raw *raw = secure();
    raw_write(raw, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 42);
    is_closed(raw);
    counts("abuse_closed", 1);
    scene_end();
}

Test(beginnings, garbage_after_the_handshake_is_closed_and_counted)
{
    SCENE(NULL);
    uint64_t seed = 9, garbage[512];
    for (unsigned i = 0; i < 512; i++)
        garbage[i] = random_next(&seed);
    struct raw *raw = secure();
    raw_write(raw, garbage, sizeof garbage);
    is_closed(raw);
    counts("abuse_closed", 1);
    scene_end();
}

Test(beginnings, garbage_below_an_open_tls_connection_ends_it)
{
    SCENE(NULL);
    struct raw *raw = http2();
    EVENTUALLY((raw_read(raw), raw->frames[NGHTTP2_SETTINGS] > 0));
    cr_assert(send(raw->fd, "garbage that no cipher made", 27, MSG_NOSIGNAL) == 27);
    is_closed(raw);
    scene_end();
}

Test(beginnings, a_peer_that_only_shuts_its_half_is_let_go)
{
    SCENE(NULL);
    struct raw *raw = http2();
    EVENTUALLY((raw_read(raw), raw->frames[NGHTTP2_SETTINGS] > 0));
    cr_assert(shutdown(raw->fd, SHUT_WR) == 0);
    is_closed(raw);
    EVENTUALLY(bridge_metric(&scene.bridge, "configstream_connections") == 1);
    scene_end();
}
