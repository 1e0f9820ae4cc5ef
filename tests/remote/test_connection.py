# test_connection.py: servers that cannot be reached, trusted or registered with, and clean ends; one ctest test per class.
#
# After each failure: the last good state is still served, the error says what it was, and another attempt follows where that
# can help.  Nothing asserts how long something takes, but for pauses, which are never shorter than was asked for.
# SPDX-License-Identifier: Apache-2.0
import os
import ssl
import unittest

import wire
from agent import GOOD, TOKEN, Case
from identity import Identity, read, write
from server import (NEW_SERVICE, OLD_SERVICE, close, eventually, handshake, headers, message, never, say, session,
                    settings, silence, status, subscribed, trailers)

NOT_ENABLED = status(12, "remote agent registry not enabled")
MIB = 1 << 20


class Addresses(Case):
    def test_an_address_that_is_none_is_refused_with_its_text(self):
        for address in ("host", "host:", ":5001", "host:0", "host:65536", "host:http", "::1:5001", "[::1]", "[::1:5001",
                        "ho st:5001", "host:5001 ", "a/b:5001"):
            with self.subTest(address=address):
                opened = self.watch(address=address).find("open")
                self.assertEqual(opened["error"], "INVALID")
                self.assertIn("'%s'" % address, opened["detail"]["message"])

    def test_an_instance_that_is_none_is_refused_with_its_name(self):
        for instance in ("a/b", ""):
            with self.subTest(instance=instance):
                opened = self.watch(address="shm:" + instance).find("open")
                self.assertEqual(opened["error"], "INVALID")
                self.assertIn("'%s'" % instance, opened["detail"]["message"])

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

    def test_of_several_addresses_none_keeps_the_next_one_from_its_turn(self):
        other = self.serve(host="::1", port=self.server.port)
        for script in ([close()], [handshake(), close()], [handshake(), silence()]):
            self.server.on_connect.play(script)
            watch = self.watch(address="localhost:%d" % self.server.port, connect_timeout=1000)
            self.assertEqual(watch.until_streaming(1)["peer"], "[::1]:%d" % other.port)
            watch.end()

    def test_of_several_addresses_each_is_told_with_what_it_met(self):
        address = "localhost:%d" % self.server.port
        self.server.on_connect.play([handshake(), close()])
        self.watch(address=address).until("both", lambda one: "127.0.0.1:" in one["message"] and
                                          "closed" in one["message"] and "[::1]:" in one["message"] and
                                          "refused" in one["message"])
        self.server.on_connect.play([handshake(), settings()])
        self.server.present(Identity(self.folder, "stranger"))
        now = self.watch(address=address).until_error("TLS")
        self.assert_told(now, "TLS", ["127.0.0.1:", "certificate", "[::1]:", "refused"])

    def test_a_number_in_another_notation_is_the_same_address(self):
        self.assertEqual(self.watch(address="127.1:%d" % self.server.port).until_streaming(1)["peer"], self.server.address)

    def test_a_start_that_waits_fails_with_what_the_last_attempt_met(self):
        self.server.stop()
        for timeout in (300, 3000, 30000):  # until there was an attempt
            opened = self.watch(ready_timeout=timeout).find("open")
            self.assertEqual(opened["error"], "TIMEOUT")
            self.assertGreaterEqual(opened["ms"], timeout)
            if "refused" in opened["detail"]["message"]:
                break
        self.assert_words(["127.0.0.1:%d" % self.server.port, "refused"], opened["detail"]["message"])

    def test_a_start_that_waits_returns_with_the_configuration(self):
        watch = self.watch(ready_timeout=60000)
        self.assertEqual(watch.find("open")["error"], "OK")
        self.assertEqual(watch.state(), GOOD)

    def test_the_pauses_between_attempts_grow_to_their_cap(self):
        self.server.on_connect.play([close()])
        self.watch()
        self.assert_paused("connections")


class Certificates(Case):
    def refused(self, server, *words, error="TLS", **options):
        """Whatever it is that is wrong with the server: said, and tried again."""
        watch = self.watch(address=server.address, **options)
        # A slow machine may meet another time-out first.
        now = watch.until("the error " + error, lambda one: one["error"] == error and
                          all(word.lower() in one["message"].lower() for word in words))
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
        self.refused(self.other("named", names="DNS:other.example"), "127.0.0.1", "mismatch")

    def test_another_name_will_do_if_the_certificate_is_pinned(self):
        server = self.other("named", names="DNS:other.example")
        self.watch(address=server.address, verify="pinned").until_streaming(1)

    def test_another_name_will_do_if_it_is_the_one_to_expect(self):
        server = self.other("named", names="DNS:other.example")
        self.watch(address=server.address, server_name="other.example").until_streaming(1)
        self.assertTrue(server.registrations[0][":authority"].startswith("other.example"))

    def test_an_address_is_checked_against_addresses_only(self):
        self.refused(self.other("texts", names="DNS:127.0.0.1"), "127.0.0.1", "mismatch")

    def test_a_certificate_of_the_right_ca_for_another_host_is_refused(self):
        leaf = Identity(self.folder, "leaf", names="DNS:other.example,IP:192.0.2.1", signed_by=self.identity)
        self.refused(self.serve(leaf, client_ca=self.identity), "127.0.0.1", "mismatch")

    def test_names_are_compared_as_wholes(self):
        for names, wanted, fits in (("DNS:core.example.com", "CORE.example.com.", True),
                                    ("DNS:core.example.com", "core.example.com.evil.example", False),
                                    ("DNS:core.example.com", "example.com", False),
                                    ("DNS:*.example.com", "core.example.com", True),
                                    ("DNS:*.example.com", "a.core.example.com", False),
                                    ("DNS:*.example.com", "example.com", False),
                                    ("DNS:c*.example.com", "core.example.com", False),
                                    ("DNS:other.example", "leaf", False),  # that is its common name
                                    ("IP:2001:db8::1", "2001:DB8:0:0::1", True),
                                    ("IP:2001:db8::2", "2001:db8::1", False),
                                    ("DNS:192.0.2.1", "192.0.2.1", False)):
            with self.subTest(names=names, wanted=wanted):
                server = self.serve(Identity(self.folder, "leaf", names=names, signed_by=self.identity),
                                    client_ca=self.identity)
                if fits:
                    watch = self.watch(address=server.address, server_name=wanted)
                    watch.until_streaming(1)
                else:
                    watch = self.refused(server, "mismatch", server_name=wanted)
                watch.end()
                server.stop()

    def test_another_ca_is_refused(self):
        self.refused(self.serve(Identity(self.folder, "stranger"), client_ca=self.identity), "certificate")

    def test_another_certificate_is_refused_if_one_is_pinned(self):
        self.refused(self.serve(Identity(self.folder, "stranger"), client_ca=self.identity), "pinned", verify="pinned")

    def test_a_certificate_of_the_right_ca_is_not_the_pinned_one(self):
        leaf = Identity(self.folder, "leaf", signed_by=self.identity)
        self.refused(self.serve(leaf, client_ca=self.identity), "pinned", verify="pinned")

    def test_an_expired_certificate_is_refused(self):
        old = Identity(self.folder, "server", days=-1, signed_by=self.identity)
        self.refused(self.serve(old, client_ca=self.identity), "expired")

    def test_an_expired_certificate_of_ones_own_is_refused_before_anybody_sees_it(self):
        self.refused(self.other("old", days=-1), "expired", self.cert, error="CREDENTIALS")

    def test_an_expired_certificate_will_do_if_it_is_pinned(self):
        # A real server would refuse ours for the same reason.
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
        watch = self.refused(self.serve(client_ca=Identity(self.folder, "stranger")), "alert", "unknown ca")
        self.assertEqual(watch.status()["counters"]["connects"], 0)

    def test_tls_1_2_will_do_and_judges_by_the_same_rules(self):
        self.server.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.streaming()
        for server, word in ((self.serve(client_ca=Identity(self.folder, "one")), "unknown ca"),
                             (self.serve(Identity(self.folder, "two"), client_ca=self.identity), "certificate")):
            with self.subTest(word):
                server.context.maximum_version = ssl.TLSVersion.TLSv1_2
                self.refused(server, word)

    def test_a_server_without_tls_is_told_apart(self):
        self.server.on_connect.play([say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), close()])
        self.refused(self.server, error="TLS")

    def test_a_server_that_closes_in_the_handshake(self):
        self.server.on_connect.play([close()])
        self.refused(self.server, error="UNREACHABLE")

    def test_a_server_that_is_silent_in_the_handshake(self):
        self.server.on_connect.play([silence()])
        self.refused(self.server, "TLS", "200 ms", error="UNREACHABLE", connect_timeout=200)

    def test_a_server_that_is_silent_after_the_handshake(self):
        self.server.on_connect.play([handshake(), silence()])
        watch = self.refused(self.server, "HTTP/2", "300 ms", error="UNREACHABLE", connect_timeout=300)
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

    def test_a_name_of_a_file_makes_no_second_line(self):
        path = os.path.join(self.folder, "two\nlines\x1b[31m")
        watch = self.watch(token_file=path)
        watch.until_error("CREDENTIALS")
        write(path, TOKEN.encode())
        watch.until_streaming(1)
        for line in watch.lines():
            self.assertNotRegex(line, r"[\x00-\x1f\x7f]")

    def test_files_that_cannot_be_used_are_named_and_waited_for(self):
        for path, content in ((self.cert, b"nonsense"), (self.cert, read(self.identity.certificate)), (self.cert, b""),
                              (self.token_file, b""), (self.token_file, b"two\nlines"), (self.token_file, b"\x01" * 64)):
            with self.subTest(path=path, content=content[:16]):
                right = read(path)
                write(path, content)
                watch = self.watch()
                now = watch.until_error("CREDENTIALS")
                write(path, right)
                self.assert_told(now, "CREDENTIALS", [path])
                self.assertIn(now["state"], ("waiting", "credentials"))
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
        self.assert_paused("registrations", 5)

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
    def test_the_last_word_is_told_however_much_was_told_before(self):
        self.server.on_register.play(*[[status(14, "for reason %d" % number)] for number in range(8)],
                                     [status(3, "no such pid")])
        watch = self.watch()
        watch.until("the end", lambda one: one["state"] == "failed")
        self.assertEqual(len([line for line in watch.lines() if "no such pid" in line]), 1, watch.lines())

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
        table = [bytes(text) for pair in self.server.connections[0].decoder.header_table.dynamic_entries for text in pair]
        self.assertIn(b"application/grpc", table)
        for secret in (TOKEN, *self.server.sessions):
            self.assertNotIn(secret, b" ".join(table).decode())

    def test_what_a_connection_begins_with(self):
        self.streaming()
        sent = eventually("its settings", lambda: self.server.connections[0].peer_settings)
        self.assertEqual(sent.get(wire.ENABLE_PUSH), 0)
        self.assertGreater(sent.get(wire.INITIAL_WINDOW, 0), 65535)
        self.assertIn(wire.MAX_HEADER_LIST, sent)

    def refused(self, *script, error="REFUSED", words=(), grpc=None, **options):
        """Said, and tried again after a pause."""
        self.fresh()
        self.server.on_register.play(list(script))
        watch = self.watch(**options)
        now = watch.until_error(error)
        self.assert_told(now, error, words, grpc)
        self.assertNotEqual(now["state"], "failed")
        self.assert_paused("registrations", 3)
        self.server.on_register.play([session()])
        watch.until_streaming(1)
        return watch

    def test_every_other_status_is_tried_again(self):
        for code in (1, 2, 4, 6, 8, 9, 10, 11, 13, 14, 15, 42):
            with self.subTest(code=code):
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
                watch = self.refused(*script, error="PROTOCOL")
                self.assert_memory(watch.usage()["peak_kb"], 64 * 1024)
                watch.end()

    def test_a_registration_that_is_never_answered_runs_into_its_time(self):
        self.refused(never(), error="UNREACHABLE", words=["registration", "150 ms"], call_timeout=150)

    def test_an_answer_counts_even_if_the_question_could_not_be_sent(self):
        self.server.answers_early = True
        self.server.on_connect.play([handshake(), settings(window=0)])
        for error, script in (("REFUSED", [status(8, "too many of you")]), ("PROTOCOL", [headers(), trailers()])):
            with self.subTest(error=error):
                self.fresh()
                self.server.on_register.play(script)
                now = self.watch().until("the answer", lambda one: one["error"] != "OK")
                self.assert_told(now, error, ["too many of you"] if error == "REFUSED" else ["grpc-status"])
        self.server.on_register.play([session()])
        self.watch().until_streaming(1)

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
