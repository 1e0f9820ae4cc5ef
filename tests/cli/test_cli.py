# test_cli.py: every command against a running, a dead and an absent daemon; bad input; crashes.
# SPDX-License-Identifier: Apache-2.0
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import unittest

from harness import CLI, DAEMON, PATIENCE, Case, DEFAULTS, MAIN, eventually, full_socket


class Basics(Case):
    def setUp(self):
        super().setUp()
        self.start()

    def test_get_prints_a_bare_value(self):
        self.assertEqual(self.text("get", "cmd_port"), "6001\n")
        self.assertEqual(self.text("get", "site"), "example.com\n")
        self.assertEqual(self.text("get", "CMD_Port", "--source"), "6001  (file)\n")

    def test_get_json_has_key_value_source_sequence(self):
        got = self.json("get", "cmd_port")
        self.assertEqual(sorted(got), ["key", "sequence", "source", "value"])
        self.assertEqual((got["value"], got["source"]), (6001, "file"))

    def test_get_of_a_section_is_the_merged_map(self):
        got = self.json("get", "logs_config")
        self.assertEqual(got["value"], {"use_compression": True, "batch_wait": 7, "inner": {"depth": 2}})

    def test_get_of_nothing_is_3(self):
        self.assertEqual(self.cli("get", "nope", code=3).stdout, "")

    def test_all_sources_lowest_first(self):
        self.cli("set", "cmd_port", "7001", "--source", "remote-config")
        got = self.json("get", "cmd_port", "--all-sources")
        self.assertEqual(got, {"key": "cmd_port", "sources": [{"source": "default", "value": 5001},
                                                              {"source": "file", "value": 6001},
                                                              {"source": "remote-config", "value": 7001}]})
        self.assertEqual(self.text("get", "cmd_port", "--all-sources").split(),
                         ["default", "5001", "file", "6001", "remote-config", "7001"])
        self.cli("get", "nope", "--all-sources", code=3)

    def test_list_is_sorted_and_parses(self):
        lines = [json.loads(line) for line in self.text("list", "--json").splitlines()]
        keys = [line["key"] for line in lines]
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(len(keys), 13)
        self.assertEqual(self.text("list", "logs_config.").splitlines(),
                         ["logs_config.batch_wait = 7  (file)", "logs_config.inner.depth = 2  (default)",
                          "logs_config.use_compression = true  (default)"])

    def test_secrets_are_masked_unless_asked_for(self):
        self.cli("set", "api_key", "sesame")
        self.cli("set", "hidden", "grotto")
        text = self.text("list") + self.text("list", "--json")
        self.assertNotIn("sesame", text)
        self.assertNotIn("grotto", text)
        self.assertIn("api_key = ********  (cli)", text)
        masked = [json.loads(line) for line in self.text("list", "api_key", "--json").splitlines()]
        self.assertEqual((masked[0]["value"], masked[0]["masked"]), ("********", True))
        self.assertIn("sesame", self.text("list", "--show-secrets"))
        self.assertEqual(self.text("get", "api_key"), "sesame\n")
        self.assertNotIn("sesame", self.read(self.log))

    def test_urls_with_a_password_are_masked_and_switches_are_not(self):
        self.write(self.defaults, DEFAULTS.replace("site:", "proxies: [a]\nuse_token: false\nsite:"))
        self.cli("reload")
        self.cli("set", "site", "http://user:sesame@proxy.test")
        self.cli("set", "proxies", '["http://user:sesame@proxy.test"]')
        self.assertNotIn("sesame", self.text("list") + self.text("list", "--json"))
        self.assertIn("use_token = false", self.text("list"))

    def test_set_and_unset_answer_with_change_and_id(self):
        before = self.sequence()
        self.assertEqual(self.json("set", "log_level", "debug"),
                         {"key": "log_level", "sequence": before + 1, "changed": True})
        self.assertEqual(self.json("set", "log_level", "debug")["changed"], False)
        self.assertEqual(self.json("unset", "log_level"),
                         {"key": "log_level", "sequence": before + 2, "changed": True})
        self.assertEqual(self.json("unset", "log_level"),
                         {"key": "log_level", "sequence": before + 2, "changed": False})
        self.assertEqual(self.json("unset", "never.heard.of")["changed"], False)

    def test_unset_falls_back_through_every_source(self):
        for source, value in (("config-post-init", "1"), ("agent-runtime", "2"), ("cli", "3")):
            self.cli("set", "cmd_port", value, "--source", source)
        self.assertEqual(self.value("cmd_port"), 3)
        self.cli("unset", "cmd_port")
        self.assertEqual(self.value("cmd_port"), 2)
        self.cli("unset", "cmd_port", "--source", "config-post-init")
        self.assertEqual(self.value("cmd_port"), 2)
        self.cli("unset", "cmd_port", "--source", "agent-runtime")
        self.assertEqual(self.json("get", "cmd_port")["source"], "file")

    def test_status_has_the_documented_members(self):
        got = self.json("status")
        for member in ("instance", "arena", "layout", "instance_id", "state", "pid", "epoch", "sequence", "settings",
                       "origin", "heartbeat_age_ms", "size_bytes", "bank", "ring", "counters", "relay", "bridge"):
            self.assertIn(member, got)
        self.assertEqual((got["state"], got["pid"], got["origin"]), ("running", self.daemon.pid, "main.yaml"))
        self.assertIn("running", self.text("status"))

    def test_wait_is_ready_at_once(self):
        self.assertEqual(self.json("wait", "--timeout", "0")["settings"], 13)

    def test_destroy_of_a_running_instance_is_refused(self):
        self.assertIn(str(self.daemon.pid), self.cli("destroy", code=6).stderr)
        self.cli("get", "site")

    def test_keys_are_canonical_and_harmless_wherever_they_are_shown(self):
        self.assertEqual(self.json("get", "CMD_Port", "--all-sources")["key"], "cmd_port")
        self.cli("get", "k" * 1025, "--all-sources", code=2)
        self.assertIn("\\x1b[31m", self.cli("get", "\x1b[31m", code=3).stderr)
        self.assertIn("\\x1b[31m", self.text("unset", "\x1b[31m"))

    def test_messages_show_a_way_out(self):
        self.assertIn("put --", self.cli("set", "site", "-abc", code=2).stderr)
        self.cli("set", "site", "--", "-abc")
        self.end()
        self.cli("destroy")
        self.assertIn(self.instance, self.cli("wait", "--timeout", "0", code=7).stderr)

    def test_what_cannot_be_printed_is_a_failure(self):
        for program, words in ((CLI, ["--help"]), (CLI, ["--version"]), (DAEMON, ["--help"]), (DAEMON, ["--version"]),
                               (DAEMON, ["--print-size", "--settings", "9"])):
            with open("/dev/full", "w") as full:
                result = subprocess.run([program, *words], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, r"\A%s: cannot write to standard output: .*\n\Z" % os.path.basename(program))

    def test_usage_errors_are_2(self):
        for words in ([], ["fly"], ["get"], ["get", "a", "b"], ["set", "a"], ["set", "a", "b", "--file", "c"],
                      ["list", "--frobnicate"], ["watch", "--count", "x"], ["set", "site", "a", "--source", "mars"],
                      ["wait", "--timeout", "soon"], ["status", "--live"],
                      ["get", "site", "--source", "--all-sources"]):
            self.cli(*words, code=2)

    def test_help_and_version_are_0(self):
        self.assertIn("watch", self.text("--help"))
        self.assertIn("0.1.0", self.text("--version"))
        self.assertEqual(subprocess.run([DAEMON, "--help"], capture_output=True).returncode, 0)
        self.assertEqual(subprocess.run([DAEMON, "--bad"], capture_output=True).returncode, 2)


class Values(Case):
    def setUp(self):
        super().setUp()
        self.start()

    def set_get(self, key, *value):
        self.cli("set", key, *value)
        return self.value(key)

    def test_text_is_converted_to_the_declared_kind(self):
        self.assertEqual(self.set_get("cmd_port", "0x10"), 16)
        self.assertEqual(self.set_get("cmd_port", "-5"), -5)
        self.assertIs(self.set_get("enabled", "true"), True)
        self.assertEqual(self.set_get("rate", "2"), 2.0)
        self.assertEqual(self.set_get("site", "123"), "123")
        self.assertEqual(self.set_get("timeout", "1m30s"), 90 * 10**9)
        self.assertEqual(self.set_get("tags", "x y"), ["x", "y"])
        self.assertEqual(self.set_get("tags", '["x y"]'), ["x y"])
        self.assertEqual(self.set_get("endpoints", '{"https://x.test": ["k"]}'), {"https://x.test": ["k"]})

    def test_json_values(self):
        self.assertEqual(self.set_get("tags", "--value-json", '["p", 1, true]'), ["p", "1", "true"])
        self.assertEqual(self.set_get("cmd_port", "--value-json", "9007199254740993"), 9007199254740993)
        self.assertIn("JSON", self.cli("set", "tags", "--value-json", "[1,", code=6).stderr)

    def test_file_values(self):
        path = os.path.join(self.folder, "value")
        self.write(path, "line one\nline two\n")
        self.assertEqual(self.set_get("site", "--file", path), "line one\nline two\n")
        self.write(path, "42\n")
        self.assertEqual(self.set_get("cmd_port", "--file", path), 42)
        self.cli("set", "site", "--file", path + "-missing", code=1)

    def test_large_values_pass(self):
        path = os.path.join(self.folder, "value")
        self.write(path, "x" * (3 << 20))
        self.assertEqual(len(self.set_get("site", "--file", path)), 3 << 20)

    def test_what_cannot_be_converted_is_refused(self):
        before = self.sequence()
        for words in (("cmd_port", "many"), ("cmd_port", ""), ("enabled", "yes"), ("timeout", "soon"),
                      ("endpoints", "flat"), ("cmd_port", "--value-json", "[1]"), ("site", "--value-json", "null")):
            self.cli("set", *words, code=6)
        self.assertIn("declared as int", self.cli("set", "cmd_port", "many", code=6).stderr)
        self.assertEqual(self.sequence(), before)

    def test_undeclared_keys_and_sections_are_refused(self):
        self.assertIn("nope", self.cli("set", "nope", "1", code=6).stderr)
        self.assertIn("section", self.cli("set", "logs_config", "1", code=6).stderr)

    def test_numbers_json_has_no_name_for(self):
        self.write(self.config, MAIN + "rate: .nan\n")
        self.cli("reload")
        self.assertEqual(self.value("rate"), "NaN")

    def test_set_before_the_first_snapshot(self):
        self.end()
        self.start("--set", "cmd_port=9", "--set", "site=a=b")
        self.assertEqual(self.json("get", "cmd_port")["source"], "cli")
        self.assertEqual(self.value("site"), "a=b")


    def test_closed_standard_streams_reach_no_file(self):
        self.end()
        self.spawn_daemon(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *self.daemon_arguments()])
        for _ in range(20):
            self.cli("set", "cmd_port", "many", code=6)
        self.assertEqual(self.value("site"), "up")
        for stream in ("<&-", "2>&-"):
            got = subprocess.run(["sh", "-c", 'exec "$@" ' + stream, "sh", CLI, "--instance", self.instance, "get", "site"],
                                 stdout=subprocess.PIPE, text=True)
            self.assertEqual((got.returncode, got.stdout), (0, "up\n"))
        for words in (["list"], ["--help"], ["--version"]):
            got = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", CLI, "--instance", self.instance, *words],
                                 stderr=subprocess.PIPE)
            self.assertEqual(got.returncode, 1, words)

    def test_a_log_reader_that_goes_away_harms_nobody(self):
        self.end()
        reader, writer = os.pipe()
        self.spawn_daemon(self.daemon_arguments(), stderr=writer)
        os.close(reader)
        os.close(writer)
        self.cli("set", "site", "a")
        self.cli("set", "site", "b")

    def test_a_log_nobody_reads_blocks_nobody_and_losses_are_told(self):
        self.end()
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        self.spawn_daemon(self.daemon_arguments(), stderr=writer)
        os.close(writer)
        for _ in range(10):
            self.cli("set", "k" * 1000, "x", code=6)
        os.read(reader, 65536)
        self.cli("set", "site", "a")
        self.end()
        with open(reader) as log:
            self.assertRegex(log.read(), r"[0-9]+ log lines were lost")


class Dead(Case):
    def setUp(self):
        super().setUp()
        self.start()
        self.cli("set", "log_level", "debug")

    def check_reads_and_changes(self, state):
        got = self.cli("get", "log_level")
        self.assertEqual(got.stdout, "debug\n")
        self.assertIn(state, got.stderr)
        self.assertEqual(self.cli("list").stdout.count("\n"), 13)
        self.assertIn("what follows is the last state", got.stderr)
        got = self.cli("get", "log_level", "--live", code=5)
        self.assertIn(state, got.stderr)
        self.assertNotIn("what follows", got.stderr)  # for nothing does
        got = self.cli("watch", "--count", "1", "--json")
        self.assertEqual(json.loads(got.stdout)["event"], "snapshot")
        self.assertIn(state, got.stderr)
        self.cli("wait", "--timeout", "1")
        self.cli("set", "log_level", "info", code=5)
        self.cli("unset", "log_level", code=5)
        self.cli("reload", code=5)
        self.cli("get", "log_level", "--all-sources", code=5)
        self.assertEqual(self.json("status", code=5)["state"], state)
        self.assertIn(state, self.text("status", code=5))
        self.cli("destroy")
        self.assertFalse(self.arena_exists())
        self.cli("get", "log_level", code=4)

    def test_a_killed_producer_leaves_its_last_state(self):
        self.crash()
        self.check_reads_and_changes("dead")

    def test_a_clean_stop_keeps_the_arena_and_removes_the_socket(self):
        self.assertEqual(self.end(), 0)
        self.assertFalse(os.path.exists(self.socket))
        self.check_reads_and_changes("closed")

    def test_a_clean_stop_with_unlink_removes_the_arena(self):
        self.end()
        self.start("--unlink")
        self.assertEqual(self.end(signal.SIGINT), 0)
        self.assertFalse(self.arena_exists())


class Absent(Case):
    def test_trust_is_advised_only_where_it_would_help(self):
        result = self.cli("get", "site", "--arena-path", "/dev/shm", code=1)
        self.assertEqual(result.stderr, "configstream: /dev/shm is not a regular file\n")
        self.start()
        os.chmod("/dev/shm/configstream." + self.instance, 0o660)
        self.assertNotIn("--producer-user", self.cli("get", "site", code=1).stderr)

    def test_a_directory_in_the_arenas_place_is_not_to_be_removed(self):
        place = "/dev/shm/%s-directory" % self.instance
        os.mkdir(place)
        self.addCleanup(os.rmdir, place)
        result = subprocess.run([DAEMON, "--config", self.config, "--control", self.socket, "--arena-path", place],
                                capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(place + " is a directory: name a file", result.stderr)

    def test_every_command_says_4_and_names_what_exists(self):
        other = "/dev/shm/configstream." + self.instance + "-there"
        self.write(other, "")
        try:
            for words in (("get", "a"), ("list",), ("set", "a", "b"), ("unset", "a"), ("reload",), ("status",),
                          ("destroy",), ("watch",), ("get", "a", "--all-sources")):
                self.assertIn(self.instance + "-there", self.cli(*words, code=4).stderr)
        finally:
            os.unlink(other)

    def test_wait_times_out(self):
        self.cli("wait", "--timeout", "0.2", code=7)

    def test_wait_is_woken_by_the_first_snapshot(self):
        waiter = subprocess.Popen([CLI, "--instance", self.instance, "wait", "--timeout", "60"], stdout=subprocess.PIPE)
        self.processes.append(waiter)
        self.start()
        self.assertEqual(waiter.wait(60), 0)

    def test_a_file_that_is_no_arena_is_an_error_not_a_crash(self):
        path = "/dev/shm/configstream." + self.instance
        self.write(path, "x" * 100000)
        os.chmod(path, 0o640)
        for words in (("get", "a"), ("list",), ("status",), ("watch", "--timeout", "1")):
            self.assertTrue(self.cli(*words, code=1).stderr)


class BadInput(Case):
    def check_refused_at_start(self, text, place, reason):
        self.write(self.config, text)
        result = self.start_failing()
        self.assertEqual(result.returncode, 1)
        self.assertIn("%s:%s: " % (self.config, place), result.stderr)
        self.assertIn(reason, result.stderr)
        self.assertFalse(self.arena_exists())
        self.assertFalse(os.path.exists(self.socket))

    def test_yaml_that_does_not_parse(self):
        self.check_refused_at_start("a: 1\nb: [1, 2\nc: 3\n", "3:2", "',' or ']'")
        self.check_refused_at_start("a: 1\n\tb: 2\n", "2:1", "")
        self.check_refused_at_start("- a\n- b\n", "1:1", "must be a map")
        self.check_refused_at_start(b"a: ok\nbb: \xff\xfe\n", "2:5", "UTF-8")
        self.check_refused_at_start("a: *nowhere\n", "1:4", "nowhere")
        self.check_refused_at_start("a: &x [*x]\n", "1:8", "inside the value it names")
        self.check_refused_at_start("? [a]\n: b\n", "1:3", "single value")

    def test_an_alias_bomb_is_refused_quickly(self):
        lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
        for i in range(1, 12):
            lines.append("a%d: &a%d [%s]" % (i, i, ",".join(["*a%d" % (i - 1)] * 9)))
        self.write(self.config, "\n".join(lines) + "\n")
        result = self.start_failing()
        self.assertEqual(result.returncode, 1)
        self.assertIn("alias bombs", result.stderr)

    def test_nesting_and_keys_beyond_the_limits(self):
        self.write(self.config, "a: " + "[" * 200 + "]" * 200 + "\n")
        self.assertIn("128", self.start_failing().stderr)
        self.write(self.config, "? " + "k" * 1025 + "\n: 1\n")
        self.assertIn("1024", self.start_failing().stderr)

    def test_a_fifo_is_refused_not_waited_for(self):
        os.unlink(self.config)
        os.mkfifo(self.config)
        self.assertIn("regular file", self.start_failing("--check").stderr)

    def test_keys_that_read_as_switches_are_warned_of(self):
        self.write(self.config, "y: 1\n'on': 2\ntrue: 3\n")
        stderr = self.start_failing("--check").stderr
        self.assertIn(self.config + ":1:1: the key y is read as true", stderr)
        self.assertNotIn("the key on", stderr)
        self.assertNotIn("the key true", stderr)

    def test_a_missing_file_is_named(self):
        os.unlink(self.config)
        result = self.start_failing()
        self.assertEqual(result.returncode, 1)
        self.assertIn(self.config, result.stderr)

    def test_a_refusal_holds_no_control_characters(self):
        for name in ("\x1b[31mred", "c1\x9b31m"):
            result = self.start_failing("--config", os.path.join(self.folder, name))
            self.assertEqual(result.returncode, 1)
            self.assertIn(ascii(name).replace("\\x9b", "\\xc2\\x9b").strip("'"), result.stderr)

    def test_warnings_hold_no_control_characters(self):
        self.write(self.config, '"c1\\u009bkey": 1\n')
        self.assertIn("c1\\xc2\\x9bkey", self.start_failing("--check").stderr)

    def test_declarations_that_make_no_sense_are_refused_with_their_place(self):
        self.write(self.defaults, "a: 1\nx-configstream:\n  a: {kind: colour}\n")
        self.assertIn("%s:3:13: " % self.defaults, self.start_failing().stderr)

    def test_check_prints_warnings_with_their_place_and_touches_nothing(self):
        self.write(self.config, "cmd_port: [1]\nunheard.of: 1\nsite: a\nsite: b\n")
        result = self.start_failing("--check")
        self.assertEqual(result.returncode, 0)
        for line in (":1:11: cmd_port", ":2:1: unheard.of", ":4:1: the key 'site' is given twice"):
            self.assertIn(self.config + line, result.stderr)
        self.assertFalse(self.arena_exists())
        self.write(self.config, "a: [")
        self.assertEqual(self.start_failing("--check").returncode, 1)

    def test_a_bad_set_on_the_command_line_creates_nothing(self):
        result = self.start_failing("--set", "cmd_port=many")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cmd_port", result.stderr)
        self.assertFalse(self.arena_exists())

    def test_a_second_producer_is_refused_naming_the_first(self):
        self.start()
        result = self.start_failing()
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(self.daemon.pid), result.stderr)
        self.cli("set", "site", "still-served")

    def test_a_socket_path_that_is_taken_is_refused_and_leaves_nothing(self):
        self.write(self.socket, "not a socket")
        result = self.start_failing()
        self.assertEqual(result.returncode, 1)
        self.assertIn(self.socket, result.stderr)
        self.assertFalse(self.arena_exists())

    def test_usage_errors_of_the_daemon_are_2(self):
        for words in (["--instance", "a b"], ["--mode", "0666"], ["--ring-slots", "few"], ["--max-size", "big"],
                      ["--set", "novalue"], ["--group", "no-such-group-here"], ["--log-level", "loud"], ["word"]):
            self.assertEqual(self.start_failing(*words).returncode, 2, words)

    def test_an_empty_path_is_named_by_its_option(self):
        for option in ("--config", "--defaults", "--fleet-policies", "--arena-path", "--control"):
            result = self.start_failing(option, "")
            self.assertEqual(result.returncode, 2, option)
            self.assertIn(option + ": '' is no path", result.stderr)

    def test_print_size(self):
        small, large = (int(subprocess.run([DAEMON, "--print-size", "--settings", n], capture_output=True, text=True)
                            .stdout.split()[0]) for n in ("350", "1000000"))
        self.assertLess(small, 4 << 20)
        self.assertGreater(large, 64 << 20)


class NoSpace(Case):
    def test_a_change_without_room_is_refused_with_both_sizes_and_undone(self):
        self.start("--max-size", "4mb", "--ring-slots", "64")
        before = self.sequence()
        path = os.path.join(self.folder, "value")
        self.write(path, "x" * (8 << 20))
        result = self.cli("set", "site", "--file", path, code=6)
        self.assertRegex(result.stderr, r"\d{7,} bytes.*\d{6,}")
        sources = self.json("get", "site", "--all-sources")["sources"]
        self.assertEqual([source["source"] for source in sources], ["default"])
        self.assertEqual((self.value("site"), self.sequence()), ("example.com", before))
        self.cli("set", "site", "small")

    def test_no_room_at_start_leaves_nothing(self):
        self.write(self.config, "site: " + "x" * (6 << 20) + "\n")
        result = self.start_failing("--max-size", "4mb", "--ring-slots", "64")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"\d{7,} bytes")
        self.assertFalse(self.arena_exists())


class Reload(Case):
    def setUp(self):
        super().setUp()
        self.start()

    def test_only_differences_are_published(self):
        before = self.sequence()
        self.write(self.config, MAIN.replace("6001", "6002") + "site: new.example.com\n")
        self.assertEqual(self.json("reload"), {"sequence": before + 2, "changed": 2})
        self.assertEqual(self.json("reload"), {"sequence": before + 2, "changed": 0})
        self.assertEqual(self.value("site"), "new.example.com")

    def test_a_key_that_left_the_file_falls_back(self):
        watch = self.spawn_watch("--count", "2")
        self.event(watch)
        self.write(self.config, MAIN.replace("cmd_port: 6001\n", ""))
        self.cli("reload")
        event = self.event(watch)
        self.assertEqual((event["key"], event["value"], event["source"], event["unset_source"], event["old"]),
                         ("cmd_port", 5001, "default", "file", 6001))

    def test_sighup_reloads(self):
        self.write(self.config, MAIN.replace("6001", "6003"))
        self.daemon.send_signal(signal.SIGHUP)
        eventually("the reload", lambda: self.value("cmd_port") == 6003)

    def test_a_broken_file_leaves_the_last_good_state(self):
        before = self.sequence()
        self.write(self.config, "cmd_port: 1\nbad: [\n")
        result = self.cli("reload", code=6)
        self.assertRegex(result.stderr, re.escape(self.config) + r":\d+:\d+: ")
        self.assertRegex(self.read(self.log), r"ERROR .*" + re.escape(self.config) + r":\d+:\d+: ")
        self.assertEqual((self.value("cmd_port"), self.sequence()), (6001, before))
        self.daemon.send_signal(signal.SIGHUP)
        eventually("the failure of SIGHUP", lambda: self.json("status")["counters"]["reloads_failed"] == 2)
        self.write(self.config, MAIN)
        self.cli("reload")
        self.assertEqual(self.json("status")["counters"]["reloads_ok"], 1)

    def test_runtime_sets_survive_a_reload(self):
        self.cli("set", "cmd_port", "9", "--source", "agent-runtime")
        self.write(self.config, MAIN.replace("6001", "6002"))
        self.assertEqual(self.json("reload")["changed"], 0)
        self.cli("unset", "cmd_port", "--source", "agent-runtime")
        self.assertEqual(self.value("cmd_port"), 6002)

    def test_new_declarations_can_be_set(self):
        self.cli("set", "brand_new", "x", code=6)
        self.write(self.defaults, DEFAULTS.replace("site:", "brand_new: old\nsite:"))
        self.assertEqual(self.json("reload")["changed"], 1)
        self.cli("set", "brand_new", "x")

    def test_undeclared_keys_are_kept_with_a_warning(self):
        self.write(self.config, MAIN + "unheard:\n  of: {deep: 1, list: [1]}\n")
        self.assertEqual(self.json("reload")["changed"], 2)
        self.assertEqual(self.json("get", "unheard.of.deep")["source"], "file")
        self.assertIn("unheard.of.deep", self.read(self.log))

    def test_a_secret_that_becomes_one_is_masked(self):
        self.write(self.defaults, DEFAULTS + "  site: {secret: true}\n")
        self.cli("reload")
        self.assertIn("site = ********", self.text("list"))

    def test_log_level_follows_the_published_setting(self):
        self.cli("set", "log_level", "error")
        size = len(self.read(self.log))
        self.cli("set", "site", "quiet")
        self.assertEqual(len(self.read(self.log)), size)
        self.cli("unset", "log_level")
        self.cli("set", "site", "loud")
        self.assertRegex(self.read(self.log), r"INFO set key='site' source=cli uid=\d+ pid=\d+: 1 changed")
        self.assertNotIn("loud", self.read(self.log))


    def test_a_log_level_that_is_none_is_said_once(self):
        self.cli("set", "log_level", "loud")
        self.cli("set", "site", "a")
        self.cli("set", "site", "b")
        self.assertEqual(self.read(self.log).count("names no level"), 1)
        self.cli("set", "log_level", "louder")
        self.assertEqual(self.read(self.log).count("names no level"), 2)


class Crash(Case):
    def test_runtime_sets_come_back_and_only_differences_are_published(self):
        self.start()
        self.cli("set", "cmd_port", "7", "--source", "remote-config")
        self.cli("set", "tags", "--value-json", '["q"]')
        watch = self.spawn_watch()
        first = self.event(watch)
        self.crash()
        self.write(self.config, MAIN + "site: changed.example.com\n")
        self.start()
        self.assertEqual(self.json("get", "cmd_port"),
                         {"key": "cmd_port", "value": 7, "source": "remote-config", "sequence": first["sequence"] - 1})
        self.assertEqual((self.value("tags"), self.sequence()), (["q"], first["sequence"] + 1))
        event = self.event(watch)
        self.assertEqual((event["event"], event["key"], event["sequence"]),
                         ("update", "site", first["sequence"] + 1))
        self.cli("unset", "cmd_port", "--source", "remote-config")
        self.assertEqual(self.event(watch)["value"], 6001)
        self.assertEqual(self.json("status")["epoch"], 2)

    def test_forget_runtime_starts_without_them(self):
        self.start()
        self.cli("set", "cmd_port", "7")
        self.crash()
        self.start("--forget-runtime")
        self.assertEqual(self.value("cmd_port"), 6001)

    def test_a_clean_stop_drops_runtime_sets_and_ids_go_on(self):
        self.start()
        self.cli("set", "cmd_port", "7")
        before = self.sequence()
        self.end()
        self.start()
        self.assertEqual((self.value("cmd_port"), self.sequence()), (6001, before + 1))

    def test_a_stale_socket_is_taken_over(self):
        self.start()
        self.crash()
        self.assertTrue(os.path.exists(self.socket))
        self.start()
        self.cli("set", "site", "served-again")

    def test_the_command_line_wins_over_what_survived(self):
        self.start()
        self.cli("set", "cmd_port", "7")
        self.crash()
        self.start("--set", "cmd_port=8")
        self.assertEqual(self.value("cmd_port"), 8)


    def test_a_failed_start_leaves_a_closed_arena_closed(self):
        self.start()
        self.cli("set", "cmd_port", "7")
        self.end()
        self.assertEqual(self.start_failing("--control", "/nonexistent/x.sock").returncode, 1)
        self.assertEqual(self.json("status", code=5)["state"], "closed")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.socket)
            other.listen()
            self.assertIn("another process serves", self.start_failing().stderr)
        os.unlink(self.socket)
        self.assertEqual(self.json("status", code=5)["state"], "closed")
        self.start()
        self.assertEqual(self.value("cmd_port"), 6001)

    def test_a_failed_start_leaves_what_a_crash_left(self):
        self.start()
        self.cli("set", "cmd_port", "7")
        self.crash()
        self.assertEqual(self.start_failing("--control", "/nonexistent/x.sock").returncode, 1)
        self.start()
        self.assertEqual(self.value("cmd_port"), 7)


class Control(Case):
    def setUp(self):
        super().setUp()
        self.start()

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(self.socket)
        client.settimeout(60)
        return client

    def test_garbage_is_dropped_and_harms_nobody(self):
        huge, nonsense, partial = self.connect(), self.connect(), self.connect()
        huge.sendall(struct.pack(">I", 0x7FFFFFFF))
        nonsense.sendall(struct.pack(">I", 5) + b"\xff\xff\xff\xff\xff")
        partial.sendall(b"\x00\x00\x00\x10abc")
        self.assertEqual(huge.recv(10), b"")
        self.assertEqual(nonsense.recv(10), b"")
        self.cli("set", "site", "served")
        self.assertIn("dropped", self.read(self.log))
        partial.close()
        self.cli("set", "site", "served-again")

    def test_an_empty_request_is_refused_not_fatal(self):
        client = self.connect()
        client.sendall(struct.pack(">I", 0))
        length = struct.unpack(">I", client.recv(4, socket.MSG_WAITALL))[0]
        self.assertIn(b"does not know", client.recv(length, socket.MSG_WAITALL))

    def test_more_clients_than_places_are_served(self):
        idle = [self.connect() for _ in range(100)]
        self.cli("set", "site", "served")
        self.assertEqual(len(idle), 100)

    def test_a_crowd_is_answered_to_the_last(self):
        crowd = [subprocess.Popen([CLI, "--instance", self.instance, "set", "cmd_port", str(i)], stdout=subprocess.DEVNULL)
                 for i in range(200)]
        self.processes += crowd
        self.assertEqual([process.wait(PATIENCE) for process in crowd], [0] * 200)
        self.assertNotIn("dropped", self.read(self.log))

    def test_without_descriptors_newcomers_wait_and_the_daemon_rests(self):
        held = self.leave_no_descriptor()
        client = subprocess.Popen([CLI, "--instance", self.instance, "set", "site", "late"], stdout=subprocess.DEVNULL)
        self.processes.append(client)
        eventually("the shortage", lambda: "cannot accept" in self.read(self.log))
        self.cli("watch", "--count", "2", "--timeout", "2.5", code=7)  # time to try again, twice
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, held)
        self.assertEqual(client.wait(PATIENCE), 0)
        self.assertEqual(self.read(self.log).count("cannot accept"), 1)

    def test_a_full_backlog_is_no_stale_socket(self):
        self.end()
        with full_socket(self.socket):
            self.assertIn("another process serves", self.start_failing().stderr)
            self.assertTrue(os.path.exists(self.socket))

    def test_the_socket_is_its_owners(self):
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)

    def test_the_default_socket_is_found_through_the_arena(self):
        self.end()
        environment = dict(os.environ, XDG_RUNTIME_DIR=self.folder)
        arguments = [word for word in self.daemon_arguments() if word not in ("--control", self.socket)]
        self.daemon = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
        self.processes.append(self.daemon)
        eventually("the daemon", lambda: self.run_cli("set", "site", "x").returncode == 0)

    def test_log_lines_cannot_be_forged(self):
        self.cli("set", "a\nFORGED", "x", code=6)
        self.assertNotIn("\nFORGED", self.read(self.log))


class Watch(Case):
    def setUp(self):
        super().setUp()
        self.start()

    def test_snapshot_then_consecutive_updates(self):
        watch = self.spawn_watch("--count", "4")
        first = self.event(watch)
        self.assertEqual((first["event"], first["settings"], first["reason"]), ("snapshot", 13, "initial"))
        for i in range(3):
            self.cli("set", "cmd_port", str(i))
        for i in range(3):
            event = self.event(watch)
            self.assertEqual((event["event"], event["sequence"], event["key"], event["value"], event["source"]),
                             ("update", first["sequence"] + 1 + i, "cmd_port", i, "cli"))
            self.assertEqual(event["old"], 6001 if i == 0 else i - 1)
        self.assertEqual(watch.wait(60), 0)

    def test_prefix_counts_only_what_it_shows(self):
        watch = self.spawn_watch("--prefix", "logs_config.", "--count", "2")
        self.assertEqual(self.event(watch)["settings"], 3)
        self.cli("set", "cmd_port", "1")
        self.cli("set", "logs_config.batch_wait", "9")
        self.assertEqual(self.event(watch)["key"], "logs_config.batch_wait")
        self.assertEqual(watch.wait(60), 0)

    def test_secrets_are_masked_old_values_too(self):
        self.cli("set", "api_key", "sesame")
        watch = self.spawn_watch("--count", "2")
        self.event(watch)
        self.cli("set", "api_key", "simsim")
        event = self.event(watch)
        self.assertEqual((event["value"], event["old"], event["masked"]), ("********", "********", True))

    def test_a_declared_secret_stays_masked_when_it_goes(self):
        watch = self.spawn_watch("--count", "2")
        self.event(watch)
        self.write(self.defaults, DEFAULTS.replace("hidden: \"\"", "hidden: grotto"))
        self.cli("reload")
        self.assertEqual(self.event(watch)["value"], "********")
        watch = self.spawn_watch("--count", "2")
        self.event(watch)
        self.cli("unset", "hidden", "--source", "default")
        event = self.event(watch)
        self.assertTrue(event["removed"])
        self.assertEqual(event["old"], "********")

    def test_timeout_before_the_count_is_7_and_without_count_0(self):
        self.cli("watch", "--count", "2", "--timeout", "0.2", code=7)
        self.assertIn("snapshot #", self.text("watch", "--timeout", "0.2"))

    def test_human_lines(self):
        watch = subprocess.Popen([CLI, "--instance", self.instance, "watch", "--count", "3"], stdout=subprocess.PIPE,
                                 text=True)
        self.processes.append(watch)
        sequence = self.sequence()
        self.assertEqual(watch.stdout.readline(), "snapshot #%d: 13 settings (initial)\n" % sequence)
        self.cli("set", "log_level", "debug")
        self.cli("unset", "log_level")
        self.assertEqual(watch.stdout.readline(),
                         'update #%d: log_level = "debug" (cli), was "info"\n' % (sequence + 1))
        self.assertEqual(watch.stdout.readline(),
                         'update #%d: log_level = "info" (default), unset cli, was "debug"\n' % (sequence + 2))

    def test_watch_goes_on_over_a_kill_and_a_restart(self):
        watch = self.spawn_watch()
        first = self.event(watch)
        self.crash()
        self.assert_told(watch, "dead")
        self.start()
        self.assert_told(watch, "running")
        self.cli("set", "cmd_port", "1")
        self.assertEqual(self.event(watch)["sequence"], first["sequence"] + 1)

    def test_an_arena_removed_under_a_running_producer_comes_back(self):  # shm-pitfalls 18
        watch = self.spawn_watch()
        first = self.event(watch)
        os.unlink("/dev/shm/configstream." + self.instance)
        os.unlink("/dev/shm/configstream." + self.instance + ".lock")
        again = self.event(watch)
        self.assertEqual((again["reason"], again["sequence"], again["settings"]),
                         ("replaced", first["sequence"], first["settings"]))
        self.assertTrue(os.path.exists("/dev/shm/configstream." + self.instance + ".lock"))
        self.cli("set", "cmd_port", "1")
        self.assertEqual(self.event(watch)["sequence"], first["sequence"] + 1)

    def test_a_removal_of_a_secret_stays_masked_and_others_are_shown(self):
        self.write(self.config, "mine: 1\n")
        self.cli("reload")
        watch = self.spawn_watch()
        self.event(watch)
        self.write(self.config, "")
        self.cli("reload")
        removal = self.event(watch)
        self.assertEqual((removal["key"], removal["removed"], removal["old"]), ("mine", True, 1))

    def test_watch_follows_a_replaced_arena(self):
        watch = self.spawn_watch()
        self.event(watch)
        self.crash()
        self.cli("destroy")
        self.start()
        self.assertEqual(self.event(watch)["reason"], "replaced")

    def test_a_bulk_load_is_one_snapshot(self):
        self.end()
        self.start("--ring-slots", "16", "--unlink")
        watch = self.spawn_watch()
        self.event(watch)
        self.write(self.config, "".join("extra%d: %d\n" % (i, i) for i in range(100)))
        self.cli("reload")
        event = self.event(watch)
        self.assertEqual((event["event"], event["reason"]), ("snapshot", "lapped"))


class Sections(Case):
    def setUp(self):
        super().setUp()
        self.write(self.defaults, DEFAULTS.replace("  inner:", """  api_key: sesame
  big: 9007199254740993
  endpoints: []
  inner:""") + "  logs_config.inner.depth: {secret: true}\n")
        self.start()

    def test_secrets_in_a_section_are_masked_unless_asked_for(self):
        got = self.json("get", "logs_config")
        self.assertEqual(got["value"]["api_key"], "********")
        self.assertEqual(got["value"]["inner"], {"depth": "********"})
        self.assertEqual((got["value"]["batch_wait"], got["masked"], got["source"]), (7, True, None))
        self.assertNotIn("sesame", self.text("get", "logs_config"))
        self.assertIn("sesame", self.text("get", "logs_config", "--show-secrets"))
        shown = self.json("get", "logs_config", "--show-secrets")
        self.assertEqual((shown["value"]["inner"], "masked" in shown), ({"depth": 2}, False))

    def test_a_secret_asked_for_by_its_key_is_shown_with_all_its_sources(self):
        self.cli("set", "logs_config.api_key", "simsim")
        self.assertEqual(self.text("get", "logs_config.api_key"), "simsim\n")
        self.assertEqual([source["value"] for source in self.json("get", "logs_config.api_key", "--all-sources")["sources"]],
                         ["sesame", "simsim"])

    def test_members_of_a_value_that_are_named_like_credentials_mask_it(self):
        self.cli("set", "logs_config.endpoints", "--value-json", '[{"host": "a", "api_key": "sesame"}]')
        self.assertNotIn("sesame", self.text("list") + self.text("list", "--json") + self.text("get", "logs_config"))
        watch = self.spawn_watch("--count", "2")
        self.event(watch)
        self.cli("unset", "logs_config.endpoints")
        event = self.event(watch)
        self.assertEqual((event["value"], event["old"], event["masked"]), ("********", "********", True))

    def test_numbers_in_a_section_are_as_exact_as_alone(self):
        self.assertEqual(self.json("get", "logs_config")["value"]["big"], 9007199254740993)

    def test_a_key_that_is_also_a_section_gives_way_to_what_lies_below(self):
        self.write(self.config, "a.b: 1\na.b-c: 2\na.b.d: 3\n")
        self.cli("reload")
        self.assertEqual(self.json("get", "a")["value"], {"b-c": 2, "b": {"d": 3}})
        self.assertEqual(self.value("a.b"), 1)

    def test_doubles_are_printed_as_people_wrote_them(self):
        for text in ("0.48", "1e-7", "0.1", "123456.789", "1.7976931348623157e+308"):
            self.cli("set", "rate", text)
            self.assertEqual(float(self.text("get", "rate")), float(text))
        self.cli("set", "rate", "0.48")
        self.assertEqual(self.text("get", "rate"), "0.48\n")
        self.assertIn('"value":0.48,', self.text("get", "rate", "--json"))
        self.assertIn("rate = 0.48  (cli)", self.text("list"))
        self.assertEqual(self.text("get", "rate", "--all-sources").split(), ["default", "1.5", "cli", "0.48"])


HOSTILE = "\x1b]0;owned\x07\x7f\u009b31m\r\u0085é"


class Hostile(Case):
    """What others wrote into a configuration is no command to a terminal."""

    def setUp(self):
        super().setUp()
        self.start()
        self.write(self.config, json.dumps({HOSTILE: 1}) + "\n")
        self.cli("reload")
        self.cli("set", "site", "--value-json", json.dumps(HOSTILE))

    def check_harmless(self, text):
        self.assertNotRegex(text, "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]")

    def test_lines_for_people_hold_no_control_characters(self):
        text = self.text("list") + self.text("list", "--keys") + self.text("get", "site", "--source") + \
            self.text("get", "site", "--all-sources") + self.text("watch", "--count", "1")
        self.check_harmless(text)
        self.assertIn("\\x1b]0;owned", text)
        self.check_harmless(self.cli("get", HOSTILE + "x", code=3).stderr)
        self.check_harmless(self.cli("get", "--" + HOSTILE, code=2).stderr)

    def test_updates_for_people_hold_none_either(self):
        watch = subprocess.Popen([CLI, "--instance", self.instance, "watch", "--count", "2"], stdout=subprocess.PIPE,
                                 text=True)
        self.processes.append(watch)
        watch.stdout.readline()
        self.cli("unset", "site")
        line = watch.stdout.readline()
        self.assertIn("owned", line)
        self.check_harmless(line)

    def test_json_is_escaped_and_says_the_same(self):
        self.check_harmless(self.text("list", "--json") + self.text("get", "site", "--json"))
        self.assertEqual(self.value("site"), HOSTILE)
        self.assertIn(HOSTILE.lower(), [json.loads(line)["key"] for line in self.text("list", "--json").splitlines()])

    def test_a_bare_text_is_exact_in_a_pipe_and_escaped_on_a_terminal(self):
        raw = subprocess.run([CLI, "--instance", self.instance, "get", "site"], stdout=subprocess.PIPE).stdout
        self.assertEqual(raw, HOSTILE.encode() + b"\n")
        seen = self.terminal([CLI, "--instance", self.instance, "get", "site"]).finish()
        self.assertNotIn("\x1b", seen)
        self.assertIn("\\x1b]0;owned\\x07\\x7f\\xc2\\x9b31m\\x0d\\xc2\\x85é", seen)

    def test_names_in_the_directory_of_arenas_are_escaped(self):
        other = "/dev/shm/configstream.%s-\x1b[31m" % self.instance
        self.write(other, "")
        try:
            self.end()
            self.cli("destroy")
            self.assertIn(self.instance + "-\\x1b[31m", self.cli("get", "a", code=4).stderr)
        finally:
            os.unlink(other)


class Terminals(Case):
    def setUp(self):
        super().setUp()
        self.start()

    def seen(self, *words, **environment):
        return self.terminal([CLI, "--instance", self.instance, *words], environment).finish()

    def test_colour_is_for_terminals_that_want_it(self):
        colour = "\x1b\\[[0-9]+m"  # and not what erases the line that says for what a slow machine waits
        for words in (("list",), ("get", "cmd_port", "--source"), ("get", "cmd_port", "--all-sources"), ("status",)):
            self.assertRegex(self.seen(*words), colour, words)
            self.assertNotRegex(self.seen(*words, NO_COLOR="1"), colour, words)
            self.assertNotRegex(self.seen(*words, TERM="dumb"), colour, words)
            self.assertNotRegex(self.seen(*words, "--color", "never"), colour, words)
            self.assertNotRegex(self.seen(*words, "--json"), colour, words)
            self.assertNotRegex(self.text(*words), colour, words)
            self.assertRegex(self.text(*words, "--color=always"), colour, words)
        self.assertIn("\x1b[32mrunning", self.seen("status"))
        self.crash()
        self.assertIn("\x1b[31mdead", self.seen("status"))

    def test_colour_is_all_that_is_added(self):
        self.assertEqual(re.sub("\x1b\\[[0-9]*m", "", self.text("list", "--color", "always")), self.text("list"))

    def test_updates_are_coloured(self):
        watch = self.terminal([CLI, "--instance", self.instance, "watch", "--count", "2"])
        watch.until("snapshot #")
        self.cli("set", "cmd_port", "5")
        self.assertRegex(watch.finish(), "\x1b\\[[0-9]+mcmd_port\x1b\\[0m = ")

    def test_a_wait_shows_what_for_and_erases_it(self):
        self.end()
        self.cli("destroy")
        waiter = self.terminal([CLI, "--instance", self.instance, "wait"])
        waiter.until("waiting for instance '%s' to publish" % self.instance)
        self.start()
        seen = waiter.finish()
        self.assertEqual(waiter.process.returncode, 0)
        self.assertIn("\r\x1b[Kready: ", seen)

    def test_a_slow_daemon_is_waited_for_visibly(self):
        path = os.path.join(self.folder, "slow")
        with socket.socket(socket.AF_UNIX) as slow:
            slow.bind(path)
            slow.listen()
            slow.settimeout(PATIENCE)
            change = self.terminal([CLI, "--instance", self.instance, "--control", path, "set", "site", "x"])
            connection = slow.accept()[0]
            change.until("waiting for the daemon")
            connection.sendall(b"\x00\x00\x00\x04\x18\x01\x20\x09")  # one change, ID 9
            seen = change.finish()
            connection.close()
        self.assertIn("\r\x1b[Kset ", seen)
        self.assertIn("(#9)", seen)

    def test_a_change_that_waits_for_a_place_goes_on_after_it_was_stopped(self):
        path = os.path.join(self.folder, "full")
        with full_socket(path) as full:
            full.settimeout(PATIENCE)
            change = self.terminal([CLI, "--instance", self.instance, "--control", path, "set", "site", "x"])
            change.until("waiting for the daemon")
            for number in (signal.SIGSTOP, signal.SIGCONT):
                change.process.send_signal(number)
            full.accept()[0].close()
            connection = full.accept()[0]
            connection.sendall(b"\x00\x00\x00\x04\x18\x01\x20\x09")  # one change, ID 9
            self.assertIn("(#9)", change.finish())
            connection.close()

    def test_what_is_no_terminal_sees_no_progress(self):
        waiter = subprocess.Popen([CLI, "--instance", self.instance + "-never", "wait", "--timeout", "1.5"],
                                  stderr=subprocess.PIPE, text=True)
        self.assertNotIn("waiting", waiter.communicate(timeout=PATIENCE)[1])
        seen = self.seen("--instance", self.instance + "-never", "wait", "--timeout", "1.5", TERM="dumb")
        self.assertNotIn("waiting", seen)
        self.assertIn("in time", seen)


class Options(Case):
    def test_log_level_says_what_reaches_standard_error(self):
        self.start()
        self.assertIn(self.socket, self.cli("set", "site", "b", "--log-level", "debug").stderr)
        self.assertEqual(self.cli("set", "site", "c").stderr, "")
        self.crash()
        for level in ("trace", "debug", "info", "warn"):
            self.assertIn("last state", self.cli("get", "site", "--log-level", level).stderr)
        for level in ("error", "critical", "off"):
            self.assertEqual(self.cli("--log-level=" + level, "get", "site").stderr, "")
        self.assertIn("nope", self.cli("get", "nope", "--log-level", "error", code=3).stderr)
        self.assertEqual(self.cli("get", "nope", "--log-level", "off", code=3).stderr, "")

    def test_every_command_has_help_of_its_own(self):
        overview = self.text("--help")
        commands = re.findall(r"^  ([a-z]+) +[A-Z]", overview, re.M)
        self.assertEqual(len(commands), 11)
        for command in commands:
            text = self.text("help", command)
            self.assertTrue(text.startswith("Usage: configstream [OPTION...] %s" % command), text)
            self.assertIn("Exit status: 0 ok", text)
            self.assertEqual(text, self.text("--help", command))
            if command != "client":  # another program, whose help it gives
                self.assertEqual(text, self.text(command, "--help"))
        self.assertEqual(self.text("help"), overview)
        for option in ("--instance", "--arena-path", "--producer-user", "--control", "--json", "--color", "--log-level"):
            self.assertIn(option, overview)

    def test_options_in_a_commands_help_are_taken_and_no_others(self):
        values = {"source": "cli", "value-json": "1", "file": "/dev/null", "prefix": "a", "count": "1", "timeout": "0"}
        helps = {command: set(re.findall(r"^  --([a-z-]+)", self.text("help", command), re.M))
                 for command in ("get", "list", "set", "unset", "watch", "wait", "status", "reload", "destroy")}
        for command, own in helps.items():
            for option in set().union(*helps.values()):
                words = ["--" + option] + ([values[option]] if option in values and (command, option) != ("get", "source") else [])
                stderr = self.run_cli(command, *words, "--log-level", "error").stderr
                (self.assertIn if option not in own else self.assertNotIn)("takes no option", stderr, (command, option))

    def test_a_bad_value_names_option_and_value_and_what_is_good(self):
        for words, good in (((["--instance", "a b"]), "A-Z"), (["--arena-path", ""], "default"),
                            (["--control", ""], "default"), (["--producer-user", "no body"], "number"),
                            (["--log-level", "lound"], "critical"), (["--color", "red"], "always"),
                            (["--json=x"], "no value")):
            self.check_bad(["list"] + words, good)
        for text in ("x", "0", "-1", "1.5", "", " 1", "99999999999999999999"):
            self.check_bad(["watch", "--count", text], "number from 1")
        for text in ("x", "-1", "", "nan", "inf", "1e99", "1s"):
            self.check_bad(["wait", "--timeout", text], "seconds")
        for text in ("mars", "", "CLI", "none"):
            self.check_bad(["set", "a", "b", "--source", text], "remote-config")
        self.check_bad(["set", "a", "--file", ""], "path")
        self.check_bad(["list", "k" * 1025], "1024", shows=False)
        self.check_bad(["watch", "--prefix", "k" * 1025], "1024", shows=False)
        self.assertIn("--file", self.cli("set", "a", "--file", self.folder + "/gone", code=1).stderr)
        self.assertIn("107", self.cli_started("set", "site", "a", "--control", "/" + "x" * 200, code=2).stderr)

    def cli_started(self, *words, code):
        self.start()
        return self.cli(*words, code=code)

    def check_bad(self, words, good, shows=True):
        stderr = self.cli(*words, code=2).stderr
        if shows:
            option, value = (words[-1].split("=") if "=" in words[-1] else words[-2:])
            self.assertIn(option, stderr)
            self.assertIn("'%s'" % value, stderr)
        self.assertIn(good, stderr)

    def test_an_option_without_its_value_is_named(self):
        for option in ("--instance", "--arena-path", "--producer-user", "--control", "--color", "--log-level", "--count"):
            self.assertIn(option + " needs a value", self.cli("watch", option, code=2).stderr)

    def test_a_bad_environment_is_named_and_a_flag_wins_over_it(self):
        environment = dict(os.environ, CONFIGSTREAM_PRODUCER_USER="no body")
        result = self.run_cli("list", env=environment)
        self.assertEqual(result.returncode, 2)
        self.assertIn("CONFIGSTREAM_PRODUCER_USER: there is no user 'no body'", result.stderr)
        self.assertEqual(self.run_cli("list", "--producer-user", "0", env=environment).returncode, 4)

    def test_an_unknown_command_names_the_nearest(self):
        for typed, meant in (("stauts", "status"), ("wacth", "watch"), ("lst", "list"), ("gte", "get"), ("relaod", "reload")):
            self.assertIn("is it '%s'?" % meant, self.cli(typed, code=2).stderr)
        self.assertNotIn("is it", self.cli("frobnicate", code=2).stderr)
        self.assertIn("is it 'watch'?", self.cli("help", "wach", code=2).stderr)
        self.assertIn("is it 'watch'?", self.cli("wach", "--help", code=2).stderr)

    def test_prefixes_are_canonical_as_keys_are(self):
        self.start()
        self.assertEqual(self.text("list", "LOGS_Config."), self.text("list", "logs_config."))
        watch = self.spawn_watch("--prefix", "LOGS_Config.", "--count", "1")
        self.assertEqual(self.event(watch)["settings"], 3)

    def test_keys_alone(self):
        self.start()
        self.assertEqual(self.text("list", "logs_config.", "--keys").split(),
                         ["logs_config.batch_wait", "logs_config.inner.depth", "logs_config.use_compression"])
        self.assertEqual(self.json("list", "cmd", "--keys"), {"key": "cmd_port"})


COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/completion")


class Completion(Case):
    def complete(self, *words):
        """What bash is offered for the last word; words as it breaks them."""
        script = 'source "$1"; shift; program=$1; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _configstream "$program"; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        result = subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION + "/configstream.bash", CLI, *words],
                                capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.stderr, "")
        return result.stdout.split()

    def at(self, *words):
        return self.complete("--instance", self.instance, *words)

    def test_commands_and_options_are_those_of_the_help(self):
        commands = re.findall(r"^  ([a-z]+) +[A-Z]", self.text("--help"), re.M)
        self.assertEqual(self.complete(""), commands)
        self.assertEqual(self.complete("help", ""), commands)
        self.assertEqual(self.complete("st"), ["status"])
        general = set(re.findall(r"^  (--[a-z-]+)", self.text("--help"), re.M)) | {"--version"}
        self.assertEqual(set(self.complete("--")), general)
        with open(COMPLETION + "/_configstream") as file:
            zsh = file.read()
        for command in commands:
            own = set(re.findall(r"^  (--[a-z-]+)", self.text("help", command), re.M))
            if command != "client":  # another program
                self.assertEqual(set(self.complete(command, "--")), general | own, command)
            of_zsh = re.search(r"^        %s\) own=\((.*?)\) ;;$" % command, zsh, re.M | re.S)
            self.assertEqual(set(re.findall(r"(?<=[')])--[a-z-]+(?=[=\[])", of_zsh.group(1) if of_zsh else "")), own, command)
            self.assertRegex(zsh, r"(?m)^        '%s:" % command)
        for option in general:
            self.assertIn(option, zsh)

    def test_values_of_options(self):
        self.assertEqual(self.complete("set", "a", "--source", "re"), ["remote-config"])
        self.assertEqual(len(self.complete("unset", "--source", "=", "")), 12)
        self.assertEqual(self.complete("unset", "--source", "="), self.complete("unset", "--source", ""))
        self.assertEqual(self.complete("--log-level", "=", "cri"), ["critical"])
        self.assertEqual(self.complete("--color", "a"), ["auto", "always"])
        self.assertEqual(self.complete("--producer-user", "roo"), ["root"])
        self.assertEqual(self.complete("set", "a", "--file", self.config[:-2]), [self.config])
        self.assertEqual(self.complete("watch", "--count", ""), [])

    def test_keys_and_instances_are_the_live_ones(self):
        self.start()
        self.assertEqual(self.complete("--instance", self.instance[:-1]), [self.instance])
        for words in (["get"], ["set"], ["unset"], ["list"], ["watch", "--prefix"], ["get", "--source"], ["get", "--"],
                      ["set", "--source", "cli"], ["set", "--source", "=", "cli"]):
            self.assertEqual(self.at(*words, "cmd"), ["cmd_port"], words)
        self.assertEqual(self.complete("--instance", "=", self.instance, "get", "cmd"), ["cmd_port"])
        self.assertEqual(self.complete("get", "--instance", self.instance, "cmd"), ["cmd_port"])
        self.assertEqual(self.at("get", "cmd_port", "cmd"), [])
        self.assertEqual(self.at("set", "cmd_port", "cmd"), [])
        self.crash()
        self.assertEqual(self.at("get", "cmd"), ["cmd_port"])

    def test_no_instance_is_silence(self):
        self.assertEqual(self.at("get", ""), [])
        self.assertEqual(self.complete("nonsense", ""), [])

    def test_a_hostile_key_is_not_offered(self):
        self.write(self.config, json.dumps({"$(touch %s/owned)" % self.folder: 1, "a`id`": 2, "fine": 3}))
        self.start()
        self.assertEqual(self.at("get", "f"), ["fine"])
        self.assertNotIn("$", "".join(self.at("get", "")))
        self.assertEqual(self.at("get", "a`"), [])
        self.assertFalse(os.path.exists(self.folder + "/owned"))

    def zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("no zsh here")
        shell = self.terminal(["zsh", "-f", "-i"], {"HOME": self.folder, "DIR": COMPLETION})
        shell.type("PATH=%s:$PATH; fpath=($DIR $fpath); autoload -U compinit; compinit -u -D; print rea'd'y\n" %
                   os.path.dirname(CLI))
        shell.until("\nready")
        return shell

    def test_zsh_takes_its_file_and_completes(self):
        self.start()
        shell = self.zsh()
        self.assertEqual(subprocess.run(["zsh", "-n", COMPLETION + "/_configstream"]).returncode, 0)
        for typed, completed in (("configstream stat", "us"), ("configstream unset --source=remo", "te-config"),
                                 ("configstream --log-level criti", "cal"),
                                 ("configstream --instance %s get cmd_" % self.instance, "port"),
                                 ("configstream list --show-s", "ecrets")):
            shell.seen = ""
            shell.type(typed + "\t")
            shell.until(typed.split()[-1] + completed)
            shell.type("\x15")


class Example(Case):
    """The shipped example is what people start from: it must load without a complaint."""

    def setUp(self):
        super().setUp()
        self.config = os.path.join(os.environ["EXAMPLES"], "datadog.yaml")
        self.defaults = os.path.join(os.environ["EXAMPLES"], "defaults.yaml")

    def test_it_loads_without_warnings(self):
        result = self.start_failing("--check")
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_it_is_published_whole(self):
        self.start()
        lines = [json.loads(line) for line in self.text("list", "--json").splitlines()]
        self.assertGreaterEqual(len(lines), 350)
        self.assertGreater(sum(line["source"] == "file" for line in lines), 20)
        self.assertTrue(self.value("api_key").startswith("ENC["))
        self.assertEqual(self.value("expected_tags_duration"), 15 * 60 * 10**9)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + (sys.argv[1:] or []))
