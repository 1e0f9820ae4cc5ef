# test_stream.py: streams that break off, break the rules, or mean ill; one ctest test per class.
#
# After each failure: the last good state is still served, the error says what it was, and another attempt follows where that
# can help.  Nothing asserts how long something takes, but for pauses, which are never shorter than was asked for.
# SPDX-License-Identifier: Apache-2.0
import os
import signal
import threading
import time
import unittest

import wire
from agent import GOOD, NEXT, TOKEN, Case
from server import (abort, close, eventually, forget, frames, goaway, handshake, headers, message, never, raw,
                    refreshed, reset, session, settings, silence, snapshot, status, subscribed, trailers,
                    update)

MIB = 1 << 20


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
        # Not their distance: what was sent in time may be read late.
        self.assertGreaterEqual(self.server.refreshes[1].time - self.server.registrations[0].time, 2 * 0.75)
        self.assertEqual(len(self.server.streams), 1)
        watch.until("the count", lambda one: one["counters"]["refreshes"] >= 2)

    def test_a_refresh_that_does_not_find_the_session_replaces_it(self):
        self.server.on_register.play([session(interval=1)])
        watch = self.streaming()
        first = self.server.stream()
        self.server.sessions.clear()
        second = self.server.stream(2)
        watch.until_streaming(1)
        eventually("the end of the old stream, which would keep the old session alive", lambda: not first.open)
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

    def test_a_refresh_that_is_never_answered_is_told_and_leaves_the_stream_alone(self):
        self.server.on_register.play([session(interval=1)])
        self.server.on_refresh.play([never()])
        watch = self.streaming(call_timeout=200)
        before = len(self.server.registrations), len(self.server.streams)  # more than one, if the server is slow
        watch.until("the count", lambda one: one["counters"]["refresh_failures"] >= 2)
        self.assertTrue([line for line in watch.lines() if "refresh: no answer in 200 ms" in line], watch.lines())
        self.assertEqual((len(self.server.registrations), len(self.server.streams)), before)

    def test_without_room_for_a_second_call_no_refreshes_pile_up(self):
        self.server.on_connect.play([handshake(), settings(max_streams=1)])
        self.server.on_register.play([session(interval=1)])
        watch = self.streaming()
        watch.until("two refreshes", lambda one: one["counters"]["refresh_failures"] >= 2)
        self.assertTrue([line for line in watch.lines() if "no call be made beside the stream" in line], watch.lines())
        self.assertEqual(self.server.refreshes, [])
        self.server.stream().connection.say(wire.settings_frame([(3, 2)]))
        watch.until("a refresh", lambda one: one["counters"]["refreshes"] >= 1)
        self.assertEqual(len(self.server.streams), 1)

    def test_new_sessions_that_are_refused_again_and_again_are_no_tight_loop(self):
        self.server.on_stream.play([forget(), subscribed()])
        watch = self.watch()
        # The first is replaced at once; from then on there are pauses.
        self.assert_paused("streams", 7, first=1)
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

    def test_ids_that_overflow_are_refused(self):
        last = (1 << 64) - 1
        self.server.metadata = [("configstream-wire-base", str(last - 1))]
        for sequence in (1, 2):
            with self.subTest(sequence=sequence):
                self.server.on_stream.play([subscribed(), snapshot(sequence, GOOD)])
                watch = self.watch()
                now = watch.until_error("PROTOCOL")
                self.assert_told(now, "PROTOCOL")
                self.assertIsNone(watch.state())
                watch.end()

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
        for sequence in (9, 3):
            with self.subTest(sequence=sequence):
                self.fresh()
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
        self.server.on_stream.play([subscribed()])  # so that the error stays
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
        self.broken(wire.field(3, b"\x0a\x01x"), words=["neither a snapshot nor an update"])

    def test_an_update_without_a_setting(self):
        self.broken(wire.field(2, wire.field(2, 2)))

    def test_a_setting_without_a_key(self):
        self.in_update(wire.field(1, "file") + wire.field(3, wire.value(1)))
        self.in_snapshot(wire.field(1, "file") + wire.field(3, wire.value(1)))

    def test_keys_that_are_none(self):
        for key in (b"", b"\xff\xfe", b"a\x00b", b"k" * 1025):
            for within in (self.in_update, self.in_snapshot):
                with self.subTest(key=key[:4], within=within.__name__):
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
                    within(wire.field(1, "file") + wire.field(2, "site") + wire.field(3, value))

    def test_a_source_that_is_none(self):
        for source in (b"\xff", b"s" * 256):
            with self.subTest(source=source[:4]):
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
                watch = self.fails_amid(message(b"", length=length), error="PROTOCOL", words=[str(length), str(MIB)],
                                        max_message=MIB)
                self.assert_memory(watch.usage()["peak_kb"], 64 * 1024)

    def test_a_length_that_is_only_announced_costs_no_memory(self):
        watch = self.streaming()
        self.server.stream().do(message(b"", length=100 * MIB))
        self.server.stream().do(raw(b"x" * 1000))
        watch.until("the bytes", lambda one: one["counters"]["bytes"] > 1000)
        self.assert_memory(watch.usage()["peak_kb"], 64 * 1024)
        self.assertEqual(watch.state(), GOOD)

    def test_half_a_message_and_then_the_end(self):
        half = wire.message(wire.update(2, wire.setting("site", "x")))[:-3]
        for name, end, error in (("close", close(), "UNREACHABLE"), ("reset", abort(), "UNREACHABLE"),
                                 ("trailers", status(0), "PROTOCOL")):
            with self.subTest(name):
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
        self.assert_paused("streams")
        self.assertEqual(watch.state(), GOOD)
        self.assert_mends(watch)

    def test_a_server_that_accepts_and_closes_at_once_is_no_tight_loop(self):
        self.server.on_connect.play([handshake(), settings(), close()])
        self.watch()
        self.assert_paused("connections")

    def test_a_stream_that_ends_well(self):
        self.fails_amid(status(0), error="REFUSED", words=["ended"])

    def test_every_status_that_may_pass(self):
        for code in (1, 2, 4, 6, 8, 9, 10, 11, 13, 14, 15):
            with self.subTest(code=code):
                self.fails_amid(status(code, "grund: %C3%BC 100%25"), error="REFUSED", words=["grund: \u00fc 100%"],
                                grpc=code)

    def test_words_of_the_server_are_made_harmless(self):
        watch = self.fails_amid(status(14, "%0A%1B[31m%00" + "x" * 3000), error="REFUSED", grpc=14)
        for line in [*watch.lines(), *(one["message"] for one in watch.all("status"))]:
            self.assertNotRegex(line, r"[\x00-\x1f\x7f]")
            self.assertLess(len(line), 1200)

    def test_a_secret_of_which_the_server_s_words_hold_but_a_part_is_not_told(self):
        for length in range(200, 320, 7):
            with self.subTest(length=length):
                watch = self.fails_amid(status(14, "x" * length + TOKEN), error="REFUSED", grpc=14, mends=False)
                said = str([*watch.lines(), watch.status()["message"]])
                self.assertIn("x" * 200, said)
                self.assertNotIn(TOKEN[:16], said)

    def test_trailers_without_a_status(self):
        self.fails_amid(trailers(("other", "x")), error="PROTOCOL", words=["grpc-status"])

    def test_a_status_that_is_no_number_is_unknown(self):
        for text in ("", "x", "-1", "99999999999"):
            with self.subTest(text=text):
                self.fails_amid(trailers(("grpc-status", text)), error="REFUSED", words=["unknown"], grpc=2)

    def test_a_stream_that_ends_by_data(self):
        self.fails_amid(frames(lambda number: wire.frame(wire.DATA, wire.END_STREAM, number)), error="PROTOCOL",
                        words=["grpc-status"])

    def test_resets(self):
        for code, meaning in ((wire.PROTOCOL_ERROR, 13), (wire.INTERNAL_ERROR, 13), (wire.REFUSED_STREAM, 14),
                              (wire.CANCEL, 1), (wire.CALM, 8), (99, 13)):
            with self.subTest(code=code):
                self.fails_amid(reset(code), error="REFUSED", words=["reset"], grpc=meaning)

    def test_a_reset_without_an_error_is_no_status(self):
        self.fails_amid(reset(wire.NO_ERROR), error="PROTOCOL", words=["grpc-status"])

    def test_closes_of_the_connection(self):
        for step in (close(), abort()):
            with self.subTest(step=step):
                self.fails_amid(step, error="UNREACHABLE")

    def test_an_error_goaway(self):
        self.fails_amid(goaway(wire.CALM, words=b"too_many_pings"), close(), error="UNREACHABLE", words=["too_many_pings"])

    def test_a_goaway_that_disowns_the_stream(self):
        self.fails_amid(goaway(last=0), error="REFUSED", words=["no more calls"], grpc=14)

    def test_after_a_goaway_the_stream_goes_on_to_its_end_and_then_by_another_connection(self):
        watch = self.streaming()
        self.server.stream().do(goaway(), update(2, "site", "still here"))
        watch.until_streaming(2)
        self.server.stream().do(status(14, "drained"))
        second = self.server.stream(2)
        self.assertIsNot(second.connection, self.server.stream().connection)
        watch.until_state(GOOD)

    def refused(self, *steps, error, words=(), grpc=None):
        """Instead of a stream."""
        self.fresh()
        self.server.on_stream.play([*steps])
        watch = self.watch()
        now = watch.until_error(error)
        self.assert_told(now, error, words, grpc)
        self.assertNotEqual(now["state"], "failed")
        self.server.wait_for("streams", 3)
        self.assert_mends(watch)
        watch.end()

    def test_answers_of_something_that_is_no_grpc(self):
        page = frames(lambda number: wire.frame(wire.DATA, wire.END_STREAM, number, b"<html>"))
        for code, kind in (("404", "text/html"), ("502", "text/html"), ("503", None), ("429", None)):
            with self.subTest(code=code, kind=kind):
                self.refused(headers(code=code, kind=kind), page, error="REFUSED", words=["HTTP status " + code])
        for kind in ("text/html", "application/grpc-web", None):
            with self.subTest(kind=kind):
                self.refused(headers(kind=kind), page, error="PROTOCOL", words=["content type"])

    def test_headers_without_a_status_of_http(self):
        self.refused(headers(code=None), error="PROTOCOL")

    def test_headers_of_100_kib(self):
        block = wire.header_block([(":status", "200"), *(("name%d" % i, "x" * 500) for i in range(200))])
        pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
        self.refused(frames(lambda number: wire.frame(wire.HEADERS, 0, number, pieces[0]),
                            *(lambda number, one=one: wire.frame(wire.CONTINUATION, 0, number, one) for one in pieces[1:-1]),
                            lambda number: wire.frame(wire.CONTINUATION, wire.END_HEADERS, number, pieces[-1])),
                     error="PROTOCOL", words=["headers", "64 KiB"])

    def test_interim_answers_are_passed_over(self):
        interim = wire.header_block([(":status", "103"), ("link", "x")])
        self.server.on_stream.play([frames(lambda number: wire.frame(wire.HEADERS, wire.END_HEADERS, number, interim) * 3),
                                    subscribed(), snapshot(1, GOOD)])
        self.streaming()

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
        watch = self.watch(keepalive=30, keepalive_timeout=600000)
        first = self.server.stream()
        eventually("pings", lambda: first.connection.pings >= 20)
        self.assertEqual(len(self.server.streams), 1)
        now = watch.status()
        self.assertEqual((now["state"], now["counters"]["failures"]), ("subscribing", 0))
        first.do(snapshot(1, GOOD))
        watch.until_streaming(1)

    def test_a_stream_that_brings_nothing_says_what_it_waits_for(self):
        self.server.on_stream.play([never()], [subscribed()])
        watch = self.watch(call_timeout=500)
        self.assert_told(watch.until_error("UNREACHABLE"), "UNREACHABLE", ["no answer"])
        now = watch.until("the word", lambda one: "no configuration" in one["message"])
        self.assertEqual((now["state"], now["error"]), ("subscribing", "OK"))
        watch.find("log", lambda one: self.server.address + " has no configuration to send yet" in one["line"])
        eventually("that stream alone", lambda: len(self.server.open_streams) == 1)
        self.server.open_streams[0].do(snapshot(1, GOOD))
        self.assertEqual(watch.until_streaming(1)["message"], "")

    def test_a_peer_that_dies_on_a_quiet_stream_is_noticed(self):
        watch = self.streaming(keepalive=100, keepalive_timeout=100)  # a slow server is left, too
        self.server.on_stream.play([subscribed()])
        for stream in self.server.open_streams:
            stream.play([silence()])
        self.assert_told(watch.until_error("UNREACHABLE"), "UNREACHABLE", ["ping"])
        self.assertEqual(watch.state(), GOOD)
        self.assert_mends(watch)

    def test_a_server_that_answers_pings_and_never_the_request_is_left(self):
        self.server.on_stream.play([never()])
        watch = self.watch(call_timeout=200, keepalive=50)
        self.assert_told(watch.until_error("UNREACHABLE"), "UNREACHABLE", ["200 ms"])
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)])
        watch.until_streaming(1)

    def test_a_server_that_answers_pings_and_stops_amid_a_message_is_left(self):
        watch = self.streaming(call_timeout=200, keepalive=50)
        self.server.on_stream.play([subscribed()])
        streams = self.server.open_streams
        for stream in streams:
            stream.play([message(b"half", length=8)])
        watch.find("log", lambda one: "middle of a message" in one["line"])
        watch.until_error("UNREACHABLE")
        self.assertEqual(watch.state(), GOOD)
        eventually("the end of the streams", lambda: not any(stream.open for stream in streams))
        self.assert_mends(watch)

    def test_a_message_that_comes_slowly_is_awaited(self):
        """For longer than a call may take.  Where the machine pauses for as long, it is begun anew."""
        paused = True
        while paused:
            watch = self.streaming(call_timeout=500)
            paused = not self.comes_slowly(watch, self.server.open_streams[-1])
            watch.end()

    def comes_slowly(self, watch, stream):
        """False: between two pieces it was not the server that took its time."""
        whole = wire.message(wire.update(2, wire.setting("site", "x" * 20000)))
        failures, times = watch.status()["counters"]["failures"], [time.monotonic()]
        while times[-1] - times[0] < 1:
            before = watch.status()["counters"]["bytes"]
            stream.play([raw(whole[:10])])
            whole = whole[10:]
            now = watch.until("the bytes", lambda one: one["counters"]["bytes"] > before or not stream.open)
            times.append(time.monotonic())
        if max(after - before for before, after in zip(times, times[1:])) > 0.25:
            return False
        self.assertEqual((now["counters"]["failures"], stream.open), (failures, True))
        stream.play([raw(whole)])
        watch.until_streaming(2)
        return True

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
        self.assert_memory(watch.usage()["rss_kb"], before["rss_kb"] + kib)

    def survives(self, *pieces, ends):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)], [subscribed()])
        self.fresh()
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

    def test_more_pings_than_can_be_answered(self):
        self.survives(*[lambda number: wire.frame(wire.PING, 0, 0, bytes(8)) * 1000] * 30, ends=True)

    def test_more_settings_than_can_be_answered(self):
        self.survives(*[lambda number: wire.settings_frame([(4, 65535)]) * 1000] * 30, ends=True)

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

    def test_padding_gives_its_part_of_the_windows_back(self):
        """40 MiB of it: five times the connection's window."""
        watch = self.streaming()
        body = wire.message(wire.update(2, wire.setting("site", "x" * 160000)))
        stream = self.server.stream()
        for at in range(len(body)):
            stream.padded(body[at:at + 1])
        watch.until_streaming(2)

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


if __name__ == "__main__":
    unittest.main()
