# test_hostile.py: what a consumer makes of servers that are wrong, broken, or mean ill; one ctest test per class.
#
# After each failure: the last good state is still served, the error says what it was, and another attempt follows where that
# can help.  Nothing asserts how long something takes, but for pauses, which are never shorter than was asked for.
# SPDX-License-Identifier: Apache-2.0
import os
import signal
import threading
import unittest

import wire
from agent import BACKOFF_MAX, BACKOFF_MIN, GOOD, NEXT, TOKEN, Case
from identity import Identity, read, write
from server import (NEW_SERVICE, OLD_SERVICE, abort, answer, close, eventually, forget, frames, goaway, handshake, headers,
                    message, never, raw, raw_headers, refreshed, reset, say, session, settings, silence, snapshot, status,
                    subscribed, trailers, update)

NOT_ENABLED = status(12, "remote agent registry not enabled")
MIB = 1 << 20


def least_pause(number):
    """Seconds between failure number `number`, from 0, and the next attempt, at least."""
    return 0.8 * min(BACKOFF_MIN * 1.6 ** number, BACKOFF_MAX) / 1000


class Addresses(Case):
    def test_an_address_that_is_none_is_refused_with_its_text(self):
        for address in ("host", "host:", ":5001", "host:0", "host:65536", "host:http", "::1:5001", "[::1]", "[::1:5001",
                        "[host]:5001", "ho st:5001", "host:5001 ", "shm:a/b", "shm:"):
            with self.subTest(address=address):
                opened = self.watch(address=address).find("open")
                self.assertEqual(opened["error"], "INVALID")
                self.assertIn(address, opened["detail"]["message"])

    def test_options_that_contradict_each_other_are_refused(self):
        for options, word in (({"ca": "/x"}, "key_file"), ({"key": "/x"}, "ca_file"),
                              ({"backoff_min": 200, "backoff_max": 100}, "backoff"),
                              ({"display_name": "  "}, "display_name"), ({"flavor": "a\nb"}, "flavor"),
                              ({"token": "a b\n", "token_file": None}, "token")):
            with self.subTest(options=options):
                opened = self.watch(**options).find("open")
                self.assertEqual(opened["error"], "INVALID")
                self.assertIn(word, opened["detail"]["message"])

    def test_without_a_listener_it_tries_again_until_there_is_one(self):
        self.server.stop()
        watch = self.watch()
        now = watch.until_error("UNREACHABLE")
        self.assert_told(now, "UNREACHABLE", ["127.0.0.1:%d" % self.server.port, "refused"])
        self.assertIn(now["state"], ("waiting", "connecting"))
        watch.until("further attempts", lambda one: one["counters"]["failures"] >= 3)
        self.assertIsNone(watch.state())
        self.server = self.serve(port=self.server.port)
        watch.until_streaming(1)
        self.assertEqual(watch.status()["error"], "OK")

    def test_a_name_that_does_not_resolve_is_named(self):
        now = self.watch(address="no-such-host.invalid:5001").until_error("UNREACHABLE")
        self.assert_told(now, "UNREACHABLE", ["no-such-host.invalid"])

    def test_localhost_and_both_families_are_reached(self):
        for host, address in (("127.0.0.1", "localhost:%d"), ("::1", "localhost:%d"), ("::1", "[::1]:%d")):
            with self.subTest(host=host, address=address):
                server = self.serve(host=host)
                watch = self.watch(address=address % server.port)
                self.assertIn(str(server.port), watch.until_streaming(1)["peer"])

    def test_a_start_that_waits_fails_with_what_the_last_attempt_met(self):
        self.server.stop()
        opened = self.watch(ready_timeout=300).find("open")
        self.assertEqual(opened["error"], "TIMEOUT")
        self.assert_words(["127.0.0.1:%d" % self.server.port, "refused"], opened["detail"]["message"])
        self.assertGreaterEqual(opened["ms"], 300)

    def test_a_start_that_waits_returns_with_the_configuration(self):
        watch = self.watch(ready_timeout=60000)
        self.assertEqual(watch.find("open")["error"], "OK")
        self.assertEqual(watch.state(), GOOD)

    def test_the_pauses_between_attempts_grow_to_their_cap(self):
        self.server.on_connect.play([close()])
        self.watch()
        attempts = eventually("attempts", lambda: len(self.server.connections) >= 6 and self.server.connections[:6])
        for number, (one, other) in enumerate(zip(attempts, attempts[1:])):
            self.assertGreaterEqual(other.time - one.time, least_pause(number), number)


class Certificates(Case):
    def refused(self, server, *words, error="TLS", **options):
        """Whatever it is that is wrong with the server: said, and tried again."""
        watch = self.watch(address=server.address, **options)
        now = watch.until_error(error)
        self.assert_told(now, error, words)
        self.assertNotEqual(now["state"], "failed", "a certificate may be replaced")
        watch.until("another attempt", lambda one: one["counters"]["failures"] >= 2)
        self.assertEqual(server.registrations, [], "nothing was sent to a server that is not ours")
        return watch

    def trust(self, identity):
        write(self.cert, read(identity.combined))

    def other(self, name, **more):
        identity = Identity(self.folder, name, **more)
        self.trust(identity)
        return self.serve(identity)

    def test_another_name_is_refused_and_named(self):
        self.refused(self.other("named", names="DNS:other.example"), "127.0.0.1", "name")

    def test_another_name_will_do_if_the_certificate_is_pinned(self):
        server = self.other("named", names="DNS:other.example")
        self.watch(address=server.address, verify="pinned").until_streaming(1)

    def test_another_name_will_do_if_it_is_the_one_to_expect(self):
        server = self.other("named", names="DNS:other.example")
        self.watch(address=server.address, server_name="other.example").until_streaming(1)
        self.assertTrue(server.registrations[0][":authority"].startswith("other.example"))

    def test_an_address_is_checked_against_addresses_only(self):
        self.refused(self.other("texts", names="DNS:127.0.0.1"), "127.0.0.1")

    def test_another_ca_is_refused(self):
        self.refused(self.serve(Identity(self.folder, "stranger"), client_ca=self.identity), "certificate")

    def test_another_certificate_is_refused_if_one_is_pinned(self):
        self.refused(self.serve(Identity(self.folder, "stranger"), client_ca=self.identity), "pinned", verify="pinned")

    def test_a_certificate_of_the_right_ca_is_not_the_pinned_one(self):
        leaf = Identity(self.folder, "leaf", signed_by=self.identity)
        self.refused(self.serve(leaf, client_ca=self.identity), "pinned", verify="pinned")

    def test_an_expired_certificate_is_refused(self):
        self.refused(self.other("old", days=-1), "expired")

    def test_an_expired_certificate_will_do_if_it_is_pinned(self):
        # The server would refuse ours for the same reason.
        server = self.other("old", days=-1)
        server.context.verify_mode = 0
        self.watch(address=server.address, verify="pinned").until_streaming(1)

    def test_a_certificate_and_a_key_of_ones_own_below_a_ca(self):
        server = self.serve(Identity(self.folder, "server", signed_by=self.identity), client_ca=self.identity)
        client = Identity(self.folder, "client", signed_by=self.identity)
        self.watch(address=server.address, cert=client.certificate, key=client.key,
                   ca=self.identity.certificate).until_streaming(1)

    def test_a_server_without_h2_is_refused(self):
        self.refused(self.serve(alpn=()), "h2")

    def test_a_server_with_another_protocol_only_is_refused(self):
        self.refused(self.serve(alpn=("http/1.1",)), error="TLS")

    def test_a_server_that_does_not_take_our_certificate(self):
        watch = self.refused(self.serve(client_ca=Identity(self.folder, "stranger")), "certificate")
        self.assertEqual(watch.status()["counters"]["connects"], 0)

    def test_a_server_without_tls_is_told_apart(self):
        self.server.on_connect.play([say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), close()])
        self.refused(self.server, error="TLS")

    def test_a_server_that_closes_in_the_handshake(self):
        self.server.on_connect.play([close()])
        self.refused(self.server, error="UNREACHABLE")

    def test_a_server_that_is_silent_in_the_handshake(self):
        self.server.on_connect.play([silence()])
        self.refused(self.server, "handshake", error="UNREACHABLE", connect_timeout=200)

    def test_a_server_that_is_silent_after_the_handshake(self):
        self.server.on_connect.play([handshake(), silence()])
        watch = self.refused(self.server, "settings", error="UNREACHABLE", connect_timeout=300)
        self.assertEqual(watch.status()["counters"]["connects"], 0)

    def test_a_server_that_speaks_something_else_inside_tls(self):
        self.server.on_connect.play([handshake(), say(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64))])
        self.refused(self.server, error="PROTOCOL")

    def test_once_the_server_has_the_right_certificate_all_is_well(self):
        server = self.serve(Identity(self.folder, "stranger"), client_ca=self.identity)
        watch = self.refused(server, "certificate")
        server.present(self.identity)
        watch.until_streaming(1)

    def test_credentials_that_are_replaced_are_used_at_the_next_attempt(self):
        watch = self.streaming()
        other = Identity(self.folder, "next")
        self.server.present(other)
        self.server.drop()
        watch.until_error("TLS")
        self.assertEqual(watch.state(), GOOD)
        self.trust(other)
        watch.until_streaming(1)


class Credentials(Case):
    def test_a_token_file_that_is_not_there_is_waited_for(self):
        os.unlink(self.token_file)
        watch = self.watch()
        now = watch.until_error("CREDENTIALS")
        self.assert_told(now, "CREDENTIALS", [self.token_file], state="credentials")
        self.assertEqual(self.server.registrations, [])
        write(self.token_file, TOKEN.encode())
        watch.until_streaming(1)

    def test_a_certificate_file_that_is_not_there_is_waited_for(self):
        os.unlink(self.cert)
        watch = self.watch()
        now = watch.until_error("CREDENTIALS")
        self.assert_told(now, "CREDENTIALS", [self.cert], state="credentials")
        write(self.cert, read(self.identity.combined))
        watch.until_streaming(1)

    def test_files_that_cannot_be_used_are_named_and_waited_for(self):
        for path, content in ((self.cert, b"nonsense"), (self.cert, read(self.identity.certificate)), (self.cert, b""),
                              (self.token_file, b""), (self.token_file, b"two\nlines"), (self.token_file, b"\x01" * 64)):
            with self.subTest(path=path, content=content[:16]):
                right = read(path)
                write(path, content)
                watch = self.watch()
                self.assert_told(watch.until_error("CREDENTIALS"), "CREDENTIALS", [path], state="credentials")
                write(path, right)
                watch.until_streaming(1)
                watch.end()

    def test_a_wrong_token_is_told_and_the_file_read_anew(self):
        write(self.token_file, b"f" * 64)
        watch = self.watch()
        now = watch.until_error("UNAUTHENTICATED")
        self.assert_told(now, "UNAUTHENTICATED", ["invalid auth token"], grpc=16)
        self.assertNotIn("f" * 64, str(watch.said))
        write(self.token_file, TOKEN.encode())
        watch.until_streaming(1)
        self.assertEqual(watch.status()["grpc_status"], -1)

    def test_a_wrong_token_is_no_tight_loop(self):
        write(self.token_file, b"f" * 64)
        self.watch()
        calls = eventually("attempts", lambda: len(self.server.registrations) >= 5 and self.server.registrations[:5])
        for number, (one, other) in enumerate(zip(calls, calls[1:])):
            self.assertGreaterEqual(other.time - one.time, least_pause(number), number)

    def test_a_newline_at_the_end_of_the_file_is_not_sent(self):
        write(self.token_file, TOKEN.encode() + b"\n")
        self.streaming()
        self.assertEqual({call["authorization"].partition(" ")[2] for call in self.server.calls}, {TOKEN})

    def test_a_token_may_be_given_instead_of_a_file(self):
        self.streaming(token=TOKEN, token_file=None)

    def test_a_token_that_changes_while_it_streams_is_used_from_then_on(self):
        watch = self.streaming()
        self.server.token = "e" * 64
        write(self.token_file, b"e" * 64)
        self.server.sessions.clear()
        self.server.drop()
        self.server.wait_for("streams", 2)
        watch.until_streaming(1)


class Registering(Case):
    def test_what_a_registration_says(self):
        watch = self.streaming(pid=4711, stream_name="label")
        call = self.server.registrations[0]
        self.assertEqual(call.path, NEW_SERVICE + "RegisterRemoteAgent")
        self.assertEqual(call.request, {1: b"4711", 2: b"test_agent", 3: b"Test Agent",
                                        4: b"https://configstream-consumer/test_agent"})
        for name, text in ((":method", "POST"), (":scheme", "https"), (":authority", self.server.address),
                           ("te", "trailers"), ("content-type", "application/grpc"), ("grpc-encoding", None),
                           ("authorization", "Bearer " + TOKEN), ("session_id", None)):
            self.assertEqual(call[name], text, name)
        self.assertRegex(call["user-agent"], "configstream")
        stream = self.server.streams[0]
        self.assertEqual(stream.request, {1: b"label"})
        self.assertIn(stream["session_id"], self.server.sessions)
        self.assertEqual(stream["session_id"][:8], watch.status()["session_prefix"])

    def test_no_secret_is_left_in_a_table_of_headers(self):
        self.streaming()
        table = [bytes(name) for pair in self.server.connections[0].decoder.header_table.dynamic_entries for name in pair]
        self.assertNotIn(TOKEN.encode(), b" ".join(table))

    def test_what_a_connection_begins_with(self):
        self.streaming()
        sent = eventually("its settings", lambda: self.server.connections[0].peer_settings)
        self.assertEqual(sent.get(wire.ENABLE_PUSH), 0)
        self.assertGreater(sent.get(wire.INITIAL_WINDOW, 0), 65535)
        self.assertIn(wire.MAX_HEADER_LIST, sent)

    def refused(self, *script, error="REFUSED", words=(), grpc=None, **options):
        """Said, and tried again after a pause."""
        self.server.on_register.play(list(script))
        watch = self.watch(**options)
        now = watch.until_error(error)
        self.assert_told(now, error, words, grpc)
        self.assertNotEqual(now["state"], "failed")
        calls = eventually("attempts", lambda: len(self.server.registrations) >= 3 and self.server.registrations[:3])
        for number, (one, other) in enumerate(zip(calls, calls[1:])):
            self.assertGreaterEqual(other.time - one.time, least_pause(number), number)
        self.server.on_register.play([session()])
        watch.until_streaming(1)
        return watch

    def test_every_other_status_is_tried_again(self):
        for code in (1, 2, 4, 6, 8, 9, 10, 11, 13, 14, 15, 42):
            with self.subTest(code=code):
                self.server.calls.clear()
                self.refused(status(code, "no%20such luck"), words=["no such luck"], grpc=code).end()

    def test_a_registry_that_is_not_enabled_may_be_enabled_later(self):
        self.server.on_old_register.play([NOT_ENABLED])
        self.refused(NOT_ENABLED, words=["not enabled"], grpc=12)

    def test_a_server_that_knows_the_older_names_only_is_asked_by_those(self):
        self.server.on_register.play([status(12, "unknown service")])
        self.server.on_old_register.play([session(interval=1)])
        watch = self.streaming()
        self.assertEqual([call.path.rpartition("/")[0] + "/" for call in self.server.registrations],
                         [NEW_SERVICE, OLD_SERVICE])
        self.assertTrue(self.server.wait_for("refreshes", 1).path.startswith(OLD_SERVICE))
        self.server.sessions.clear()
        self.server.stream().do(status(7, "session_id not found"))
        self.server.wait_for("streams", 2)
        self.assertEqual(len(self.server.registrations), 3, "it was remembered")
        watch.until_streaming(1)

    def ends(self, error, words, grpc, **options):
        """What no further attempt can mend: nothing more is tried, and who waits is told at once."""
        watch = self.watch(**options)
        now = watch.until("the end", lambda one: one["state"] == "failed")
        self.assert_told(now, error, words, grpc)
        self.assertEqual(now["retry_ms"], -1)
        count = len(self.server.calls)
        opened = self.watch(ready_timeout=10 * 60 * 1000, **options).find("open")  # or this would take that long
        self.assertEqual(opened["error"], error)
        self.assert_words(words, opened["detail"]["message"])
        self.assertEqual(len([call for call in self.server.calls[:count]]), count)
        self.assertEqual(watch.status()["counters"]["failures"], now["counters"]["failures"])
        self.assertLess(watch.quit()["ms"], 5000)

    def test_a_server_that_knows_neither_is_final(self):
        self.server.on_register.play([status(12, "unknown service")])
        self.server.on_old_register.play([status(12, "unknown service")])
        self.ends("REFUSED", ["unknown service"], 12)

    def test_a_registration_that_is_invalid_is_final(self):
        self.server.on_register.play([status(3, "display_name: must not be blank")])
        self.ends("REFUSED", ["display_name: must not be blank"], 3)

    def test_a_server_without_the_stream_is_final(self):
        self.server.on_stream.play([status(12, "unknown method")])
        self.ends("REFUSED", ["unknown method"], 12)

    def test_answers_that_are_none(self):
        for name, script in (("no protobuf", [message(b"\xff\xff\xff"), status(0)]),
                             ("cut short", [message(wire.field(1, "session")[:-2]), status(0)]),
                             ("no session", [message(b""), status(0)]),
                             ("an empty session", [message(wire.field(1, "")), status(0)]),
                             ("a session that is no header", [message(wire.field(1, "a\r\nb")), status(0)]),
                             ("a session that is no ASCII", [message(wire.field(1, "s\u00fc\u00df")), status(0)]),
                             ("a session of a megabyte", [message(wire.field(1, "s" * MIB)), status(0)]),
                             ("no message", [headers(), status(0)]),
                             ("two messages", [message(wire.field(1, "s")), message(wire.field(1, "s")), status(0)]),
                             ("half a message", [message(wire.field(1, "session")[:5], length=9), status(0)]),
                             ("a compressed one", [message(wire.field(1, "s"), flag=1), status(0)]),
                             ("one of a gigabyte", [message(b"", length=1 << 30), never()])):
            with self.subTest(name):
                self.server.calls.clear()
                watch = self.refused(*script, error="PROTOCOL")
                self.assertLess(watch.usage()["peak_kb"], 64 * 1024)
                watch.end()

    def test_a_registration_that_is_never_answered_runs_into_its_time(self):
        self.refused(never(), error="UNREACHABLE", words=["register"], call_timeout=150)

    def test_a_connection_that_is_closed_in_a_registration(self):
        self.refused(close(), error="UNREACHABLE")

    def test_a_token_refused_only_later_is_told_as_such(self):
        watch = self.streaming()
        self.server.token = "another"
        self.server.sessions.clear()
        self.server.drop()
        self.assert_told(watch.until_error("UNAUTHENTICATED"), "UNAUTHENTICATED", grpc=16)
        self.assertEqual(watch.state(), GOOD)
        self.server.token = TOKEN
        self.assert_mends(watch)


class Sessions(Case):
    def live(self):
        return [call for call in self.server.open_streams if call["session_id"] in self.server.sessions]

    def replaced(self, *steps):
        """The steps end a session: exactly one new one, and one stream, remain."""
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)])
        watch = self.streaming()
        first = self.server.stream()
        first.play([forget(), *steps])
        second = self.server.stream(2)
        watch.until("the stream", lambda one: one["counters"]["snapshots"] == 2)
        self.assertNotEqual(first["session_id"], second["session_id"])
        self.assertEqual(len(self.server.registrations), 2)
        self.assertEqual(len(self.server.sessions), 1)
        self.assertEqual([call.number for call in self.server.open_streams], [call.number for call in self.live()])
        self.assertEqual(len(self.live()), 1)
        now = watch.status()
        self.assertEqual(now["counters"]["sessions_refused"], 1)
        self.assertEqual(now["session_prefix"], second["session_id"][:8])
        self.assertEqual(watch.state(), GOOD)
        return watch

    def test_a_session_that_is_refused_amid_the_stream_is_replaced(self):
        watch = self.replaced(status(7, "session_id 'x' not found: idle"))
        self.assertNotIn(self.server.streams[0]["session_id"], str(watch.lines()), "a session is never told whole")

    def test_unauthenticated_for_lack_of_a_session_replaces_it(self):
        self.replaced(status(16, "session_id cannot be empty"))

    def test_a_stream_that_answers_not_found_replaces_the_session(self):
        self.replaced(status(5, "no remote agent found with session ID"))

    def test_an_open_stream_is_refreshed_as_recommended(self):
        self.server.on_register.play([session(interval=1)])
        watch = self.streaming()
        self.server.wait_for("refreshes", 2)
        for call in self.server.refreshes:
            self.assertEqual(call.request[1].decode(), self.server.streams[0]["session_id"])
            self.assertEqual(call["authorization"], "Bearer " + TOKEN)
        first, second = self.server.refreshes[:2]
        self.assertGreaterEqual(second.time - first.time, 0.75)
        self.assertEqual(len(self.server.streams), 1)
        watch.until("the count", lambda one: one["counters"]["refreshes"] >= 2)

    def test_a_refresh_that_does_not_find_the_session_replaces_it(self):
        self.server.on_register.play([session(interval=1)])
        watch = self.streaming()
        first = self.server.stream()
        self.server.sessions.clear()
        second = self.server.stream(2)
        watch.until_streaming(1)
        self.assertFalse(first.open, "the old stream would keep the old session alive")
        self.assertEqual([second], self.live())
        self.assertEqual(len(self.server.sessions), 1)
        self.assertGreaterEqual(watch.status()["counters"]["refresh_failures"], 1)

    def test_a_refresh_that_fails_otherwise_leaves_the_stream_alone(self):
        self.server.on_register.play([session(interval=1)])
        self.server.on_refresh.play([status(14, "busy")], [refreshed()])
        watch = self.streaming()
        self.server.wait_for("refreshes", 2)
        watch.until("the count", lambda one: one["counters"]["refresh_failures"] == 1)
        self.server.stream().do(update(2, "site", "still here"))
        watch.find("update", lambda one: one["sequence"] == 2)
        self.assertEqual((len(self.server.registrations), len(self.server.streams)), (1, 1))

    def test_new_sessions_that_are_refused_again_and_again_are_no_tight_loop(self):
        self.server.on_stream.play([forget(), subscribed()])
        watch = self.watch()
        calls = eventually("attempts", lambda: len(self.server.streams) >= 7 and self.server.streams[:7])
        # The first is replaced at once; from then on there are pauses.
        for number, (one, other) in enumerate(zip(calls[1:], calls[2:])):
            self.assertGreaterEqual(other.time - one.time, least_pause(number), number)
        self.assert_told(watch.until_error("SESSION"), "SESSION", grpc=7)
        self.assert_mends(watch, 1)

    def test_a_core_that_restarts_is_registered_with_anew(self):
        watch = self.streaming()
        port = self.server.port
        self.server.stop()
        watch.until_error("UNREACHABLE")
        self.server = self.serve(port=port)
        watch.until_streaming(1)
        self.assertEqual(len(self.server.sessions), 1)
        self.assertEqual([call["session_id"] for call in self.live()], list(self.server.sessions))

    def test_a_server_that_does_not_ask_for_sessions_gets_one_all_the_same(self):
        self.server.requires_session = False
        self.streaming()
        self.assertIsNotNone(self.server.streams[0]["session_id"])

    def test_without_metadata_of_ours_the_ids_are_those_of_the_wire(self):
        watch = self.streaming()
        reader = watch.status()["reader"]
        self.assertEqual((reader["path"], reader["relayed"], reader["sequence"]), ([], True, 1))

    def test_a_server_of_our_kind_says_its_path_and_what_to_add(self):
        path = ["00000000-0000-4000-8000-00000000000%d" % number for number in range(3)]
        self.server.metadata = [("configstream-path", ",".join(path)), ("configstream-wire-base", str(1 << 32))]
        watch = self.watch()
        watch.until_streaming((1 << 32) + 1)
        self.assertEqual(watch.status()["reader"]["path"], path)

    def test_metadata_that_is_none_is_refused(self):
        for name, text in (("configstream-path", "no-uuid"), ("configstream-path", ","),
                           ("configstream-path", ",".join(["00000000-0000-4000-8000-000000000000"] * 10)),
                           ("configstream-wire-base", "-1"), ("configstream-wire-base", "x"),
                           ("configstream-wire-base", "18446744073709551616")):
            with self.subTest(name=name, text=text):
                self.server.metadata = [(name, text)]
                watch = self.watch()
                self.assert_told(watch.until_error("PROTOCOL"), "PROTOCOL", [name])
                watch.end()


class Order(Case):
    def test_an_update_before_any_snapshot(self):
        self.server.on_stream.play([subscribed(), update(1, "site", "x")], [subscribed()])
        watch = self.watch()
        now = watch.until_error("PROTOCOL")
        self.assert_told(now, "PROTOCOL", ["update", "before", "snapshot"])
        self.assertIsNone(watch.state())
        self.server.stream(2)
        self.assertEqual(now["counters"]["malformed"] + now["counters"]["gaps"] + now["counters"]["stale"], 1)
        self.assert_mends(watch)

    def test_an_update_before_the_snapshot_of_a_later_stream(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)], [subscribed(), update(2, "site", "x")], [subscribed()])
        watch = self.streaming()
        self.server.stream().do(status(14))
        self.server.stream(3)
        self.assert_told(watch.until_error("PROTOCOL"), "PROTOCOL", ["before", "snapshot"])
        self.assertEqual(watch.state(), GOOD)
        self.assert_mends(watch)

    def test_an_update_that_skips_an_id(self):
        self.fails_amid(update(3, "site", "x"), error="PROTOCOL", words=["2", "3"], counter="gaps")

    def test_an_update_that_repeats_an_id(self):
        self.fails_amid(update(1, "site", "x"), error="PROTOCOL", words=["2", "1"], counter="stale")

    def test_an_update_with_a_lower_id(self):
        self.fails_amid(update(0, "site", "x"), error="PROTOCOL", counter="stale")

    def test_no_update_behind_a_bad_one_is_applied(self):
        self.fails_amid(update(3, "site", "x"), update(4, "site", "y"), update(2, "site", "z"), error="PROTOCOL")

    def test_updates_in_order_are_delivered_one_by_one(self):
        watch = self.streaming()
        stream = self.server.stream()
        for number in range(2, 202):
            stream.do(update(number, "number", number))
        watch.until_streaming(201)
        watch.find("update", lambda one: one["sequence"] == 201)
        seen = [(one["sequence"], one["setting"]["value"]) for one in watch.all("update")]
        self.assertEqual(seen, [(number, number) for number in range(2, 202)])

    def test_a_restarted_core_with_lower_ids_is_followed(self):
        self.server.on_stream.play([subscribed(), snapshot(1000, GOOD)], [subscribed(), snapshot(3, NEXT)])
        watch = self.watch()
        watch.until_streaming(1000)
        self.server.stream().do(close())
        watch.until_streaming(3)
        self.assertEqual(watch.state(), NEXT)
        seen = watch.find("snapshot", lambda one: one["sequence"] == 3)
        self.assertEqual((seen["reason"], seen["previous"]), ("replaced", 1000))
        self.server.stream(2).do(update(4, "site", "goes on"))
        watch.find("update", lambda one: one["sequence"] == 4)

    def test_the_same_id_with_another_state_is_another_arena(self):
        self.server.on_stream.play([subscribed(), snapshot(5, GOOD)], [subscribed(), snapshot(5, NEXT)])
        watch = self.watch()
        watch.until_streaming(5)
        self.server.stream().do(status(14))
        watch.until_state(NEXT)
        self.assertEqual(watch.find("snapshot", lambda one: one["reason"] == "replaced")["sequence"], 5)

    def test_the_same_id_with_the_same_state_is_no_event(self):
        watch = self.streaming()
        self.server.stream().do(status(14))
        watch.until("the resync", lambda one: one["counters"]["snapshots"] == 2)
        self.server.stream(2).do(update(2, "site", "x"))
        watch.find("update", lambda one: one["sequence"] == 2)
        self.assertEqual(len(watch.all("snapshot")), 1)

    def test_a_snapshot_amid_the_stream_is_the_whole_state(self):
        for sequence, reason in ((9, "lapped"), (4, "replaced")):
            with self.subTest(sequence=sequence):
                self.server.calls.clear()
                self.server.on_stream.play([subscribed(), snapshot(5, GOOD), snapshot(sequence, NEXT),
                                            update(sequence + 1, "site", "x")])
                watch = self.watch()
                watch.until_streaming(sequence + 1)
                self.assertEqual(watch.state(), {**NEXT, "site": "x"})
                self.assertEqual(len(self.server.streams), 1)
                watch.end()

    def test_a_snapshot_with_the_id_0_counts(self):
        self.server.on_stream.play([subscribed(), snapshot(0, GOOD), update(1, "site", "x")])
        watch = self.watch()
        watch.until_streaming(1)
        self.assertEqual(watch.state(), {**GOOD, "site": "x"})

    def test_ids_go_on_beyond_the_largest_int32(self):
        """A core counts in 64 bits and sends 32 of them, as a signed number."""
        last = (1 << 31) - 1
        self.server.on_stream.play([subscribed(), snapshot(last, GOOD), update(last + 1 - (1 << 32), "site", "x"),
                                    update(last + 2 - (1 << 32), "site", "y")])
        watch = self.watch()
        watch.until_streaming(last + 2)
        self.assertEqual(watch.state(), {**GOOD, "site": "y"})
        self.server.stream().do(update(-3, "site", "z"))
        self.assert_told(watch.until_error("PROTOCOL"), "PROTOCOL")

    def test_an_id_of_more_bits_than_int32_counts_by_its_lower_ones(self):
        self.server.on_stream.play([subscribed(), snapshot((1 << 32) + 7, GOOD)])
        self.watch().until_streaming(7)


class Messages(Case):
    def broken(self, body, words=(), **more):
        self.fails_amid(message(body), error="PROTOCOL", words=words, counter="malformed", **more)

    def in_update(self, encoded, **more):
        self.broken(wire.update(2, encoded), **more)

    def in_snapshot(self, *encoded, **more):
        self.broken(wire.snapshot(2, [wire.setting("site", "not this"), *encoded]), **more)

    def test_bytes_that_are_no_protobuf(self):
        for body in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x0a\x05abc", b"\x00\x01", bytes(100), b"\xff" * 100):
            with self.subTest(body=body[:8]):
                self.server.calls.clear()
                self.broken(body)

    def test_a_message_cut_anywhere(self):
        whole = wire.update(2, wire.setting("site", {"a": [1, "x", None]}, "cli"))
        for length in range(1, len(whole)):
            with self.subTest(length=length):
                self.server.on_stream.play([subscribed(), snapshot(1, GOOD), message(whole[:length])], [subscribed()])
                watch = self.watch()
                self.assert_told(watch.until_error("PROTOCOL"), "PROTOCOL")
                self.assertEqual(watch.state(), GOOD)
                watch.end()

    def test_a_message_of_nothing(self):
        self.broken(b"")

    def test_an_event_of_a_kind_that_is_not_known(self):
        self.broken(wire.field(3, b"\x0a\x01x"), words=["kind"])

    def test_an_update_without_a_setting(self):
        self.broken(wire.field(2, wire.field(2, 2)))

    def test_a_setting_without_a_key(self):
        self.in_update(wire.field(1, "file") + wire.field(3, wire.value(1)))
        self.server.calls.clear()
        self.in_snapshot(wire.field(1, "file") + wire.field(3, wire.value(1)))

    def test_keys_that_are_none(self):
        for key in (b"", b"\xff\xfe", b"a\x00b", b"k" * 1025):
            for within in (self.in_update, self.in_snapshot):
                with self.subTest(key=key[:4], within=within.__name__):
                    self.server.calls.clear()
                    within(wire.field(1, "file") + wire.field(2, key) + wire.field(3, wire.value(1)))

    def test_values_that_are_none(self):
        deep = wire.value(1)
        for _ in range(200):
            deep = wire.field(6, wire.field(1, deep))
        for name, value in (("no text", wire.field(3, b"\xff\xfe")), ("too deep", deep), ("cut", wire.value("text")[:-1]),
                            ("a number of four bytes", b"\x15\x00\x00\x00\x00"), ("no field", b"\x07"),
                            ("a list of nonsense", wire.field(6, b"\xff\xff")),
                            ("a map whose key is no text", wire.field(5, wire.field(1, wire.field(1, b"\xff") +
                                                                                    wire.field(2, wire.value(1))))),
                            ("larger than a value may be", wire.value("x" * (16 * MIB + 1)))):
            for within in (self.in_update, self.in_snapshot):
                with self.subTest(name, within=within.__name__):
                    self.server.calls.clear()
                    within(wire.field(1, "file") + wire.field(2, "site") + wire.field(3, value))

    def test_a_source_that_is_none(self):
        for source in (b"\xff", b"s" * 256, b"a\x00b"):
            with self.subTest(source=source[:4]):
                self.server.calls.clear()
                self.in_update(wire.field(1, source) + wire.field(2, "site") + wire.field(3, wire.value(1)))

    def test_fields_that_are_not_known_are_passed_over(self):
        extra = wire.field(19, "later") + wire.field(20, 7) + wire.field(21, 1.5)
        body = wire.field(2, wire.field(2, 2) + wire.field(3, wire.setting("site", "x") + extra) + extra) + extra
        watch = self.streaming()
        self.server.stream().do(message(body))
        watch.until_streaming(2)
        self.assertEqual(watch.state(), {**GOOD, "site": "x"})

    def test_a_compressed_message(self):
        self.fails_amid(message(wire.update(2, wire.setting("site", "x")), flag=1), error="PROTOCOL", words=["compress"])

    def test_a_flag_that_is_not_known(self):
        self.fails_amid(message(wire.update(2, wire.setting("site", "x")), flag=7), error="PROTOCOL")

    def test_a_message_beyond_the_limit_is_refused_by_its_length_alone(self):
        for length in (MIB + 1, 0xffffffff):
            with self.subTest(length=length):
                self.server.calls.clear()
                watch = self.fails_amid(message(b"", length=length), error="PROTOCOL", words=[str(length), str(MIB)],
                                        max_message=MIB)
                self.assertLess(watch.usage()["peak_kb"], 64 * 1024)

    def test_a_length_that_is_only_announced_costs_no_memory(self):
        watch = self.streaming()
        self.server.stream().do(message(b"", length=100 * MIB))
        self.server.stream().do(raw(b"x" * 1000))
        watch.until("the bytes", lambda one: one["counters"]["bytes"] > 1000)
        self.assertLess(watch.usage()["peak_kb"], 64 * 1024)
        self.assertEqual(watch.state(), GOOD)

    def test_half_a_message_and_then_the_end(self):
        half = wire.message(wire.update(2, wire.setting("site", "x")))[:-3]
        for name, end, error in (("close", close(), "UNREACHABLE"), ("reset", abort(), "UNREACHABLE"),
                                 ("trailers", status(0), "PROTOCOL")):
            with self.subTest(name):
                self.server.calls.clear()
                self.fails_amid(raw(half), end, error=error)

    def test_a_close_amid_a_snapshot(self):
        half = wire.message(wire.snapshot(2, {"key.%d" % i: "x" * 1000 for i in range(1000)}))[:500000]
        self.fails_amid(raw(half), close(), error="UNREACHABLE")

    def test_a_close_amid_a_frame(self):
        self.fails_amid(frames(lambda number: wire.frame(wire.DATA, 0, number, b"xxxx", length=1000)), close(),
                        error="UNREACHABLE")

    def test_a_prefix_split_over_frames_is_put_together(self):
        watch = self.streaming()
        whole = wire.message(wire.update(2, wire.setting("site", "x")))
        self.server.stream().do(*(raw(whole[i:i + 1]) for i in range(len(whole))))
        watch.until_streaming(2)


class Endings(Case):
    """However a stream ends: told, and opened anew after a pause."""

    def test_a_stream_that_ends_well_is_no_tight_loop(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD), status(0)])
        watch = self.watch()
        calls = eventually("attempts", lambda: len(self.server.streams) >= 6 and self.server.streams[:6])
        for number, (one, other) in enumerate(zip(calls, calls[1:])):
            self.assertGreaterEqual(other.time - one.time, least_pause(number), number)
        self.assertEqual(watch.state(), GOOD)
        self.assert_mends(watch)

    def test_a_server_that_accepts_and_closes_at_once_is_no_tight_loop(self):
        self.server.on_connect.play([handshake(), settings(), close()])
        self.watch()
        calls = eventually("attempts", lambda: len(self.server.connections) >= 6 and self.server.connections[:6])
        for number, (one, other) in enumerate(zip(calls, calls[1:])):
            self.assertGreaterEqual(other.time - one.time, least_pause(number), number)

    def test_a_stream_that_ends_well(self):
        self.fails_amid(status(0), error="REFUSED", words=["ended"])

    def test_every_status_that_may_pass(self):
        for code in (1, 2, 4, 6, 8, 9, 10, 11, 13, 14, 15):
            with self.subTest(code=code):
                self.server.calls.clear()
                self.fails_amid(status(code, "grund: %C3%BC 100%25"), error="REFUSED", words=["grund: \u00fc 100%"],
                                grpc=code)

    def test_words_of_the_server_are_made_harmless(self):
        watch = self.fails_amid(status(14, "%0A%1B[31m%00" + "x" * 3000), error="REFUSED", grpc=14)
        for line in [*watch.lines(), *(one["message"] for one in watch.all("status"))]:
            self.assertNotRegex(line, r"[\x00-\x1f\x7f]")
            self.assertLess(len(line), 1200)

    def test_trailers_without_a_status(self):
        self.fails_amid(trailers(("other", "x")), error="PROTOCOL", words=["grpc-status"])

    def test_a_status_that_is_no_number(self):
        for text in ("", "x", "-1", "1 ", "99999999999"):
            with self.subTest(text=text):
                self.server.calls.clear()
                self.fails_amid(trailers(("grpc-status", text)), error="PROTOCOL", words=["grpc-status"])

    def test_a_stream_that_ends_by_data(self):
        self.fails_amid(frames(lambda number: wire.frame(wire.DATA, wire.END_STREAM, number)), error="PROTOCOL",
                        words=["grpc-status"])

    def test_resets(self):
        for code in (wire.NO_ERROR, wire.PROTOCOL_ERROR, wire.INTERNAL_ERROR, wire.REFUSED_STREAM, wire.CANCEL, wire.CALM,
                     99):
            with self.subTest(code=code):
                self.server.calls.clear()
                self.fails_amid(reset(code), error="UNREACHABLE", words=["reset"])

    def test_closes_of_the_connection(self):
        for step in (close(), abort()):
            with self.subTest(step=step):
                self.server.calls.clear()
                self.fails_amid(step, error="UNREACHABLE")

    def test_an_error_goaway(self):
        self.fails_amid(goaway(wire.CALM, words=b"too_many_pings"), close(), error="UNREACHABLE", words=["too_many_pings"])

    def test_a_goaway_that_disowns_the_stream(self):
        self.fails_amid(goaway(last=0), error="UNREACHABLE", words=["goaway"])

    def test_after_a_goaway_the_stream_goes_on_to_its_end_and_then_by_another_connection(self):
        watch = self.streaming()
        self.server.stream().do(goaway(), update(2, "site", "still here"))
        watch.until_streaming(2)
        self.server.stream().do(status(14, "drained"))
        second = self.server.stream(2)
        self.assertIsNot(second.connection, self.server.stream().connection)
        self.assertEqual(watch.state(), GOOD)

    def refused(self, *steps, error, words=(), grpc=None):
        """Instead of a stream."""
        self.server.calls.clear()
        self.server.on_stream.play([*steps])
        watch = self.watch()
        now = watch.until_error(error)
        self.assert_told(now, error, words, grpc)
        self.assertNotEqual(now["state"], "failed")
        self.server.wait_for("streams", 3)
        self.assert_mends(watch)
        watch.end()

    def test_answers_of_something_that_is_no_grpc(self):
        for code, kind in (("404", "text/html"), ("502", "text/html"), ("503", None), ("429", None), ("200", "text/html"),
                           ("200", None)):
            with self.subTest(code=code, kind=kind):
                self.refused(headers(code=code, kind=kind),
                             frames(lambda number: wire.frame(wire.DATA, wire.END_STREAM, number, b"<html>")),
                             error="PROTOCOL", words=["HTTP status " + code] if code != "200" else ["content-type"])

    def test_headers_without_a_status_of_http(self):
        self.refused(headers(code=None), error="PROTOCOL")

    def test_headers_of_a_megabyte(self):
        self.refused(raw_headers(wire.header_block(("name%d" % i, "x" * 500) for i in range(30))), error="PROTOCOL",
                     words=["header"])

    def test_an_encoding_that_is_not_known(self):
        self.refused(headers(("grpc-encoding", "gzip")), message(wire.snapshot(1, GOOD), flag=1), error="PROTOCOL",
                     words=["compress"])

    def test_an_encoding_that_is_announced_only_does_no_harm(self):
        self.server.on_stream.play([headers(("grpc-encoding", "gzip"), ("x-unknown", "y")), snapshot(1, GOOD)])
        self.streaming()


class Dead(Case):
    def test_a_server_that_stalls_after_the_headers_and_answers_no_ping_is_left(self):
        self.server.answers_pings = False
        self.server.on_stream.play([subscribed()])
        watch = self.watch(keepalive=100, keepalive_timeout=100)
        self.assert_told(watch.until_error("UNREACHABLE"), "UNREACHABLE", ["ping"])
        self.assertGreaterEqual(self.server.connections[0].pings, 1)
        self.server.wait_for("streams", 2)
        self.server.answers_pings = True
        self.assert_mends(watch)

    def test_a_server_that_stalls_after_the_headers_and_answers_pings_is_kept(self):
        self.server.on_stream.play([subscribed()])
        watch = self.watch(keepalive=30, keepalive_timeout=2000)
        first = self.server.stream()
        eventually("pings", lambda: first.connection.pings >= 20)
        self.assertEqual(len(self.server.streams), 1)
        now = watch.status()
        self.assertEqual((now["state"], now["counters"]["failures"]), ("subscribing", 0))
        first.do(snapshot(1, GOOD))
        watch.until_streaming(1)

    def test_a_peer_that_dies_on_a_quiet_stream_is_noticed(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)], [subscribed()])
        watch = self.streaming(keepalive=100, keepalive_timeout=100)
        self.server.stream().do(silence())
        self.assert_told(watch.until_error("UNREACHABLE"), "UNREACHABLE", ["ping"])
        self.assertEqual(watch.state(), GOOD)
        self.assert_mends(watch)

    def test_updates_are_a_sign_of_life_and_spare_pings(self):
        watch = self.streaming(keepalive=10000)
        stream = self.server.stream()
        stream.do(*(update(number, "number", number) for number in range(2, 50)))
        watch.until_streaming(49)
        self.assertEqual(stream.connection.pings, 0)

    def test_while_the_server_is_away_the_age_of_the_state_grows(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)], [subscribed()])
        watch = self.streaming()
        self.assertTrue(watch.status()["reader"]["connected"])
        self.server.stop()
        watch.until("the loss", lambda one: not one["reader"]["connected"])
        before = watch.status()["reader"]["contact_age_ms"]
        after = watch.until("age", lambda one: one["reader"]["contact_age_ms"] > before)
        self.assertGreaterEqual(after["contact_age_ms"], 0)
        self.assertEqual(watch.state(), GOOD)


class Floods(Case):
    """None of them may cost memory; most end the connection."""

    def bounded(self, watch, before, kib=16 * 1024):
        self.assertLess(watch.usage()["rss_kb"], before["rss_kb"] + kib)

    def survives(self, *pieces, ends):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)], [subscribed()])
        self.server.calls.clear()
        watch = self.streaming()
        before = watch.usage()
        first = self.server.stream()
        first.play([frames(*pieces)])
        if ends:
            self.server.stream(2)
            self.assertNotEqual(watch.status()["error"], "OK")
            self.assertEqual(watch.state(), GOOD)
            self.bounded(watch, before)
            self.assert_mends(watch)
        else:
            first.do(update(2, "site", "still here"))
            watch.until_streaming(2)
            self.assertEqual(len(self.server.streams), 1)
            self.bounded(watch, before)
        watch.end()

    def test_pings_are_answered_or_end_the_connection_but_cost_nothing(self):
        self.survives(*[lambda number: wire.frame(wire.PING, 0, 0, bytes(8)) * 1000] * 30, ends=False)

    def test_settings_are_answered_or_end_the_connection_but_cost_nothing(self):
        self.survives(*[lambda number: wire.settings_frame([(4, 65535)]) * 1000] * 30, ends=False)

    def test_settings_of_too_many_entries(self):
        self.survives(lambda number: wire.settings_frame([(0x100 + i, i) for i in range(2000)]), ends=True)

    def test_continuations_without_end(self):
        block = wire.header("x", "y" * 100)
        self.survives(lambda number: wire.frame(wire.HEADERS, 0, number, block),
                      *[lambda number: wire.frame(wire.CONTINUATION, 0, number, block)] * 2000, ends=True)

    def test_windows_that_overflow(self):
        self.survives(lambda number: wire.frame(wire.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2, ends=True)

    def test_data_beyond_the_window(self):
        body = wire.message(bytes(90 * MIB))
        pieces = [body[at:at + 16384] for at in range(0, len(body), 16384)]
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)], [subscribed()])
        watch = self.streaming(max_message=128 * MIB)
        os.kill(watch.process.pid, signal.SIGSTOP)  # it takes nothing, so nothing may be sent
        sender = self.server.stream()
        script = [frames(*(lambda number, one=one: wire.frame(wire.DATA, 0, number, one) for one in pieces))]
        thread = threading.Thread(target=sender.play, args=(script,), daemon=True)
        thread.start()
        os.kill(watch.process.pid, signal.SIGCONT)
        self.server.stream(2)
        self.assert_told(watch.status(), "PROTOCOL")
        self.assertEqual(watch.state(), GOOD)
        thread.join()
        self.assert_mends(watch)

    def test_data_for_streams_that_are_not(self):
        self.survives(*[lambda number: wire.frame(wire.DATA, 0, number + 100, b"x")] * 10, ends=True)

    def test_frames_larger_than_allowed(self):
        self.survives(lambda number: wire.frame(wire.DATA, 0, number, bytes(70000)), ends=True)

    def test_a_push(self):
        self.survives(lambda number: wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS, number,
                                                (2).to_bytes(4, "big") + wire.header_block([(":method", "GET")])), ends=True)

    def test_header_tables_that_are_damaged(self):
        self.survives(lambda number: wire.frame(wire.HEADERS, wire.END_HEADERS, number, b"\xff\xff\xff\xff\xff"), ends=True)

    def test_frames_of_kinds_that_are_not_known_are_passed_over(self):
        self.survives(*[lambda number: wire.frame(0x42, 0xff, number, b"later") * 100] * 10, ends=False)

    def test_empty_data_without_end(self):
        self.survives(*[lambda number: wire.frame(wire.DATA, 0, number) * 1000] * 50, ends=False)

    def test_a_server_that_allows_no_streams(self):
        self.server.on_connect.play([handshake(), settings(max_streams=0)])
        watch = self.watch(call_timeout=300)
        self.assert_told(watch.until_error("UNREACHABLE"), "UNREACHABLE")
        self.server.on_connect.play([handshake(), settings()])
        watch.until_streaming(1)

    def test_a_window_of_no_bytes_for_what_we_send(self):
        self.server.on_connect.play([handshake(), settings(window=0)])
        watch = self.watch(call_timeout=300)
        self.assert_told(watch.until_error("UNREACHABLE"), "UNREACHABLE")
        self.server.on_connect.play([handshake(), settings()])
        watch.until_streaming(1)


class State(Case):
    """Row numbers are those of docs/compatibility.md, "Failures that existing consumers had"."""

    def test_sources_that_are_not_known_are_kept_to_the_letter(self):
        self.server.on_stream.play([subscribed(), snapshot(1, {"a": (1, "Some New-Source/2"), "b": (2, "cli")})])
        watch = self.watch()
        watch.until_streaming(1)
        self.assertEqual(watch.get("a")["setting"]["source"], "Some New-Source/2")
        self.server.stream().do(update(2, "b", 3, "another"))
        self.assertEqual(watch.find("update")["setting"]["source"], "another")

    def test_of_several_entries_for_a_key_the_highest_source_wins(self):
        entries = [wire.setting("site", "low", "default"), wire.setting("site", "high", "cli"),
                   wire.setting("site", "middle", "agent-runtime")]
        self.server.on_stream.play([subscribed(), snapshot(1, entries)])
        watch = self.watch()
        watch.until_streaming(1)
        one = watch.get("site")["setting"]
        self.assertEqual((one["value"], one["source"]), ("high", "cli"))

    def test_maps_keep_their_keys_whatever_those_hold(self):
        """Rows 11, 12."""
        value = {"https://a.example/": ["key1", "key2"], 'quo"ted': {"\u00fc.\u00df": {"": 1, "a.b": None}}, "x\ny": True}
        self.server.on_stream.play([subscribed(), snapshot(1, {"additional_endpoints": value, "a": 1})])
        watch = self.watch()
        watch.until_streaming(1)
        self.assertEqual(watch.state(), {"additional_endpoints": value, "a": 1})
        self.server.stream().do(update(2, "additional_endpoints", {**value, "c.d": []}))
        watch.until_state({"additional_endpoints": {**value, "c.d": []}, "a": 1})

    def test_every_kind_of_value_arrives(self):
        state = {"null": None, "true": True, "false": False, "zero": 0, "whole": 1 << 53, "less": -7, "part": 1.5,
                 "empty": "", "text": "\u20ac", "list": [1, "a", None, [], {}], "map": {}}
        self.server.on_stream.play([subscribed(), snapshot(1, state)])
        watch = self.watch()
        watch.until_streaming(1)
        self.assertEqual(watch.state(), state)

    def test_a_setting_without_a_value_is_null_in_a_snapshot(self):
        self.server.on_stream.play([subscribed(), snapshot(1, [wire.setting("site"), wire.setting("other", 1)])])
        watch = self.watch()
        watch.until_streaming(1)
        self.assertEqual(watch.state(), {"site": None, "other": 1})

    def test_what_was_removed_while_away_is_gone_after_the_resync(self):
        """Row 7."""
        self.server.on_stream.play([subscribed(), snapshot(5, GOOD)], [subscribed(), snapshot(9, NEXT)])
        watch = self.watch(changes=True)
        watch.until_streaming(5)
        self.server.stream().do(close())
        watch.until_streaming(9)
        self.assertEqual(watch.state(), NEXT)
        gone = watch.find("change", lambda one: one["key"] == "log_level")
        self.assertEqual((gone["old"]["value"], gone["now"]), ("info", None))

    def test_a_resync_calls_back_for_real_changes_only_and_once_for_each(self):
        """Row 4."""
        self.server.on_stream.play([subscribed(), snapshot(5, GOOD)], [subscribed(), snapshot(9, {**GOOD, "number": 8})],
                                   [subscribed(), snapshot(3, {**GOOD, "number": 8})],
                                   [subscribed(), snapshot(4, {**GOOD, "number": 9})])
        watch = self.watch(changes=True)
        watch.until_streaming(5)
        watch.find("snapshot")
        for count, sequence in ((1, 9), (2, 3), (3, 4)):
            self.server.stream(count).do(close())
            watch.until_streaming(sequence)
            watch.find("snapshot", lambda one: one["sequence"] == sequence)
        watch.find("change", lambda one: one["now"]["value"] == 9)
        self.assertEqual([(one["key"], one["old"]["value"], one["now"]["value"]) for one in watch.all("change")],
                         [("number", 7, 8), ("number", 8, 9)])

    def test_settings_as_before_keep_the_id_that_made_them_so(self):
        self.server.on_stream.play([subscribed(), snapshot(5, GOOD)], [subscribed(), snapshot(9, {**GOOD, "number": 8})])
        watch = self.watch()
        watch.until_streaming(5)
        self.server.stream().do(close())
        watch.until_streaming(9)
        self.assertEqual([watch.get(key)["setting"]["sequence"] for key in ("site", "number")], [5, 9])

    def test_a_cleared_source_falls_to_the_lower_one_and_says_which(self):
        """Row 6."""
        self.server.on_stream.play([subscribed(), snapshot(1, {"site": ("cli.example", "cli")})])
        watch = self.watch(changes=True)
        watch.until_streaming(1)
        self.server.stream().do(update(2, "site", "file.example", "file", unset_source="cli"))
        seen = watch.find("update")
        self.assertEqual((seen["setting"]["value"], seen["setting"]["source"], seen["unset_source"], seen["removed"]),
                         ("file.example", "file", "cli", False))
        one = watch.get("site")["setting"]
        self.assertEqual((one["value"], one["source"]), ("file.example", "file"))
        change = watch.find("change")
        self.assertEqual((change["old"]["source"], change["now"]["source"]), ("cli", "file"))

    def test_an_update_without_a_value_removes_the_key(self):
        watch = self.streaming()
        self.server.stream().do(message(wire.update(2, wire.setting("site", source="", unset_source="file"))))
        self.assertTrue(watch.find("update")["removed"])
        self.assertEqual(watch.get("site")["error"], "NOT_FOUND")

    def test_a_snapshot_of_nothing_is_a_configuration(self):
        self.server.on_stream.play([subscribed(), snapshot(1, {})])
        watch = self.watch(ready_timeout=60000)
        self.assertEqual(watch.find("open")["error"], "OK")
        self.assertEqual(watch.state(), {})

    def test_a_snapshot_never_changes_how_the_agent_connects(self):
        """Row 20."""
        self.server.on_stream.play([subscribed(), snapshot(1, {
            "cmd_host": "elsewhere.invalid", "cmd_port": 1, "auth_token_file_path": "/nowhere",
            "ipc_cert_file_path": "/nowhere", "remote_agent.registry.enabled": False})])
        watch = self.watch()
        watch.until_streaming(1)
        self.server.drop()
        self.server.wait_for("streams", 2)
        watch.until("the resync", lambda one: one["counters"]["snapshots"] == 2)

    def test_a_key_of_ones_own_comes_and_goes_above_the_common_one(self):
        """Row 9."""
        def level():
            own = watch.get("my_agent.log_level")
            return (own["setting"] and own["setting"]["value"]) or watch.get("log_level")["setting"]["value"]

        watch = self.streaming(changes=True)
        self.assertEqual(level(), "info")
        stream, key = self.server.stream(), "my_agent.log_level"
        for sequence, step, expected in ((2, update(2, key, "debug"), "debug"), (3, update(3, "log_level", "warn"), "debug"),
                                         (4, update(4, key, ""), "warn"), (5, update(5, key, "error"), "error"),
                                         (6, message(wire.update(6, wire.setting(key, source=""))), "warn")):
            stream.do(step)
            watch.until_streaming(sequence)
            watch.find("change", lambda one, sequence=sequence: one["sequence"] == sequence)
            self.assertEqual(level(), expected)

    def test_the_origin_is_passed_on(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD, origin="datadog.yaml")])
        watch = self.watch()
        watch.until_streaming(1)
        self.assertEqual(watch.status()["reader"]["origin"], "datadog.yaml")

    def test_more_than_the_arena_may_hold_is_told_and_the_state_kept(self):
        large = {"large.%d" % i: "x" * MIB for i in range(16)}
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD), snapshot(2, large)], [subscribed()])
        watch = self.watch(max_size=8 * MIB, brief=True)
        now = watch.until_error("NO_SPACE")
        self.assertNotEqual(now["state"], "failed")
        self.assertEqual(watch.state(), GOOD)
        self.assert_mends(watch)

    def test_an_error_that_repeats_is_logged_once(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD), status(14, "the same again")])
        watch = self.watch()
        self.server.wait_for("streams", 20)
        self.assertLess(len([line for line in watch.lines() if "the same again" in line]), 5)


class Large(Case):
    def taken(self, mib):
        state = {"large.%d" % i: chr(ord("a") + i % 26) * MIB for i in range(mib)}
        self.server.on_stream.play([subscribed(), snapshot(1, state)])
        watch = self.watch(brief=True)
        watch.until_streaming(1)
        seen = watch.find("snapshot")
        self.assertEqual({key: one["value"]["bytes"] for key, one in seen["settings"].items()},
                         {key: len(text) for key, text in state.items()})
        return watch

    def test_a_snapshot_of_33_mib(self):
        self.assertLess(self.taken(33).usage()["peak_kb"], (4 * 33 + 64) * 1024)

    def test_a_snapshot_of_100_mib(self):
        watch = self.taken(100)
        self.assertLess(watch.usage()["peak_kb"], (4 * 100 + 64) * 1024)
        self.server.stream().do(update(2, "large.7", "small"))
        watch.find("update", lambda one: one["sequence"] == 2)

    def test_many_settings(self):
        state = {"key.%d" % i: i for i in range(50000)}
        self.server.on_stream.play([subscribed(), snapshot(1, state)])
        watch = self.watch()
        watch.until_streaming(1)
        self.assertEqual(watch.state(), state)

    def test_one_beyond_the_limit_is_refused_and_the_state_kept(self):
        body = wire.snapshot(2, {"large.%d" % i: "x" * MIB for i in range(5)})
        self.fails_amid(message(body), error="PROTOCOL", words=[str(len(body)), str(4 * MIB)], max_message=4 * MIB)


class Again(Case):
    def test_a_thousand_reconnects_leave_nothing_behind(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD), close()])
        watch = self.watch(backoff_min=1, backoff_max=2)

        def after(count):
            watch.until("%d connections" % count, lambda one: one["counters"]["connects"] >= count)
            return watch.usage()

        early = after(100)
        late = after(1100)
        self.assertEqual(late["threads"], early["threads"])
        self.assertLessEqual(late["fds"], early["fds"] + 2)  # the next connection's socket may be open or not
        self.assertLess(late["rss_kb"], early["rss_kb"] + 4096)
        self.assertEqual(watch.state(), GOOD)

    def test_a_thousand_resyncs_with_another_state_leave_nothing_behind(self):
        self.server.on_stream.play([subscribed(), *(snapshot(2 - i % 2, NEXT if i % 2 else GOOD) for i in range(1100))])
        watch = self.watch()
        early = watch.until("a hundred", lambda one: one["counters"]["snapshots"] >= 100) and watch.usage()
        watch.until("all", lambda one: one["counters"]["snapshots"] >= 1100)
        late = watch.usage()
        self.assertEqual(late["threads"], early["threads"])
        self.assertLessEqual(late["fds"], early["fds"] + 2)
        self.assertLess(late["rss_kb"], early["rss_kb"] + 8192)


class Closing(Case):
    """In every state a close is soon done and leaves nothing."""

    LIMIT_MS = 5000  # far below every timeout that it might wait for

    def closes(self, watch):
        closed = watch.quit()
        self.assertLess(closed["ms"], self.LIMIT_MS)
        self.assertEqual(closed["threads"], 1)
        self.assertLessEqual(closed["fds"], 3)

    def test_while_it_waits_for_credentials(self):
        os.unlink(self.token_file)
        watch = self.watch(backoff_min=60000, backoff_max=120000)
        watch.until("the wait", lambda one: one["state"] == "credentials")
        self.closes(watch)

    def test_in_a_pause(self):
        self.server.stop()
        watch = self.watch(backoff_min=60000, backoff_max=120000)
        watch.until("the pause", lambda one: one["state"] == "waiting")
        self.closes(watch)

    def test_in_a_handshake(self):
        self.server.on_connect.play([silence()])
        watch = self.watch()
        self.server.wait_for("connections", 1)
        watch.until("the handshake", lambda one: one["state"] == "connecting")
        self.closes(watch)

    def test_before_the_first_settings(self):
        self.server.on_connect.play([handshake(), silence()])
        watch = self.watch()
        eventually("the handshake", lambda: self.server.connections and self.server.connections[0].up)
        self.closes(watch)

    def test_in_a_registration(self):
        self.server.on_register.play([never()])
        watch = self.watch()
        self.server.wait_for("registrations", 1)
        watch.until("the registration", lambda one: one["state"] == "registering")
        self.closes(watch)

    def test_before_the_first_snapshot(self):
        self.server.on_stream.play([subscribed()])
        watch = self.watch()
        self.server.stream()
        watch.until("the subscription", lambda one: one["state"] == "subscribing")
        self.closes(watch)

    def test_amid_a_message(self):
        watch = self.streaming()
        self.server.stream().do(message(b"x" * 100000, length=MIB))
        watch.until("the bytes", lambda one: one["counters"]["bytes"] >= 100000)
        self.closes(watch)

    def test_while_it_streams_and_the_server_is_told(self):
        watch = self.streaming()
        first = self.server.stream()
        self.closes(watch)
        eventually("the end", lambda: not first.open)

    def test_with_a_subscription(self):
        watch = self.streaming(changes=True)
        self.closes(watch)

    def test_after_a_permanent_error(self):
        self.server.on_register.play([status(3, "no")])
        watch = self.watch()
        watch.until("the end", lambda one: one["state"] == "failed")
        self.closes(watch)


if __name__ == "__main__":
    unittest.main()
