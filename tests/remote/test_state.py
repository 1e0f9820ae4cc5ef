# test_state.py: what arrives of a stream that keeps the rules; one ctest test per class.
# SPDX-License-Identifier: Apache-2.0
import unittest

import wire
from agent import GOOD, NEXT, Case
from server import close, message, snapshot, status, subscribed, update

MIB = 1 << 20


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
        self.assert_told(now, "NO_SPACE", ["more than an arena of %d bytes" % (8 * MIB)])
        self.assertNotEqual(now["state"], "failed")
        self.assertEqual(watch.state(), GOOD)
        self.assert_mends(watch)

    def test_an_error_that_repeats_is_logged_once(self):
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD), status(14, "the same again")])
        watch = self.watch()
        self.server.wait_for("streams", 20)
        self.assertLess(len([line for line in watch.lines() if "the same again" in line]), 5)


class Large(Case):
    """Bounds are multiples of the snapshot: the message, and an arena of two banks, each with room for a ring of changes.
    Readers map that arena once more, which VmRSS counts again."""

    FIRST, LATER = 7, 11

    def limit_kb(self, times, mib):
        return (times * mib + 32) * 1024

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
        self.assert_memory(self.taken(33).usage()["peak_kb"], self.limit_kb(self.FIRST, 33))

    def test_a_snapshot_of_100_mib(self):
        watch = self.taken(100)
        self.assert_memory(watch.usage()["peak_kb"], self.limit_kb(self.FIRST, 100))
        self.server.stream().do(update(2, "large.7", "small"))
        watch.find("update", lambda one: one["sequence"] == 2)

    def test_large_snapshots_one_after_the_other(self):
        watch = self.taken(33)
        used = []
        for sequence in range(2, 8):
            letter = chr(ord("a") + sequence)
            self.server.stream().do(snapshot(sequence, {"large.%d" % i: letter * MIB for i in range(33)}))
            watch.until_streaming(sequence)
            used.append(watch.usage())
        self.assert_memory(used[-1]["peak_kb"], self.limit_kb(self.LATER, 33))
        self.assert_memory(used[-1]["rss_kb"], used[1]["rss_kb"] + self.limit_kb(1, 33))

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
        self.assert_memory(late["rss_kb"], early["rss_kb"] + 4096)
        self.assertEqual(watch.state(), GOOD)

    def test_a_thousand_resyncs_with_another_state_leave_nothing_behind(self):
        self.server.on_stream.play([subscribed(), *(snapshot(2 - i % 2, NEXT if i % 2 else GOOD) for i in range(1100))])
        watch = self.watch()
        early = watch.until("a hundred", lambda one: one["counters"]["snapshots"] >= 100) and watch.usage()
        watch.until("all", lambda one: one["counters"]["snapshots"] >= 1100)
        late = watch.usage()
        self.assertEqual(late["threads"], early["threads"])
        self.assertLessEqual(late["fds"], early["fds"] + 2)
        self.assert_memory(late["rss_kb"], early["rss_kb"] + 8192)


if __name__ == "__main__":
    unittest.main()
