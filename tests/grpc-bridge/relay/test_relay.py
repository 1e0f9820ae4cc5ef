# test_relay.py: configstream-relay: another host's configuration, read on this one.  SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import unittest
from unittest import mock

import grpc

from harness import PATIENCE, eventually
from relay import COMPLETION, RELAY, ConsumerCase, Core, setting, snapshot, update


class Usage(ConsumerCase):
    def assert_usage(self, words, *arguments):
        result = subprocess.run([RELAY, *arguments], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 2, result.stderr)
        for word in words:
            self.assertIn(word, " ".join(result.stderr.split()))

    def test_a_mistake_is_named_with_its_value(self):
        for option, value in (("--mode", "0666"), ("--group", "no-such-group"), ("--ring-slots", "1"), ("--max-size", "big"),
                              ("--backoff-min", "0s"), ("--backoff-max", "2h"), ("--connect-timeout", "soon"),
                              ("--call-timeout", "1ms"), ("--keepalive-time", "x"), ("--keepalive-timeout", "-1s"),
                              ("--max-message-bytes", "0"), ("--log-level", "loud"), ("--instance", "a/b"),
                              ("--cert", ""), ("--ca", ""), ("--key", ""), ("--auth-token-file", ""), ("--arena-path", "")):
            with self.subTest(option=option, value=value):
                self.assert_usage([option, "'%s'" % value], "--connect", "localhost:1", option, value)

    def test_somebody_to_follow_is_needed(self):
        self.assert_usage(["--connect HOST:PORT is needed"])
        self.assert_usage(["'shm:default' is on this host already"], "--connect", "shm:default")

    def test_an_address_that_is_none_leaves_no_arena(self):
        for address in ("localhost", "localhost:0", "localhost:65536", "::1:5001"):
            with self.subTest(address=address):
                self.assert_usage(["'%s'" % address], "--instance", self.far, "--connect", address)
        self.assertIsNone(self.status())

    def test_what_the_library_would_refuse_is_told_of_the_option(self):
        for option, value in (("--server-name", ""), ("--server-name", "a b"), ("--display-name", " "),
                              ("--flavor", "x" * 201), ("--connect", ""), ("--max-message-bytes", "5gb")):
            with self.subTest(option=option, value=value):
                self.assert_usage([option + ": "], "--connect", "localhost:1", option, value)
        self.assert_usage(["--backoff-max: it is shorter than --backoff-min"], "--connect", "localhost:1", "--backoff-min",
                          "2s", "--backoff-max", "1s")

    def test_options_that_exclude_each_other(self):
        self.assert_usage(["--ca needs --key"], "--connect", "localhost:1", "--ca", "x")
        self.assert_usage(["--pin goes neither"], "--connect", "localhost:1", "--pin", "--server-name", "x")
        self.assert_usage(["--pin goes neither"], "--connect", "localhost:1", "--pin", "--ca", "x", "--key", "y")
        self.assert_usage(["takes options only"], "--connect", "localhost:1", "x")

    def test_version_and_completion(self):
        text = subprocess.run([RELAY, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        self.assertTrue(text.startswith("configstream-relay "))
        script = 'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _configstream_relay "$2"; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        got = subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION + "/configstream-relay.bash", RELAY, "--"],
                             capture_output=True, text=True, timeout=PATIENCE, check=True).stdout.split()
        listed = subprocess.run([RELAY, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        self.assertEqual(set(got), set(re.findall(r"--[a-z][a-z-]*", listed)))


class Passes(ConsumerCase):
    def test_both_hosts_have_the_same_settings_and_ids(self):
        self.start_core()
        self.cli("set", "api_key", "a secret")
        self.start_relay()
        self.agree()
        here, there = self.watch(self.instance), self.watch(self.far)
        self.event(here), self.event(there)
        for words in (("set", "site", "x"), ("set", "tags", '["ä", "b"]'), ("unset", "site"),
                      ("set", "rate", "0.5", "--source", "agent-runtime"), ("set", "timeout", "3s"), ("unset", "rate")):
            self.cli(*words)
        for _ in range(5):
            self.assertEqual(self.event(there), self.event(here))
        self.agree()

    def test_the_command_line_reads_it_as_any_instance(self):
        self.start_core()
        self.start_relay()
        self.assertEqual(self.far_cli("get", "cmd_port", "--source").stdout, "6001  (file)\n")
        self.assertEqual(self.far_cli("get", "logs_config").stdout, self.text("get", "logs_config"))
        self.assertEqual(self.far_cli("list", "logs_config").stdout, self.text("list", "logs_config"))
        self.assertIn("api_key = ********", self.far_cli("list").stdout)
        self.assertIn("ready: 13 settings", self.far_cli("wait", "--timeout", "60").stdout)
        self.assertEqual(self.far_cli("get", "cmd_port", "--live").stderr, "")

    def test_status_tells_where_it_comes_from(self):
        self.start_core()
        self.start_relay()
        core, status = self.status(self.instance), self.status()
        self.assertIsNone(core["relay"])
        self.assertEqual((status["state"], status["origin"], status["sequence"]), ("running", "main.yaml", core["sequence"]))
        relay = status["relay"]
        self.assertEqual((relay["address"], relay["connected"], relay["wire_base"]), ("127.0.0.1:%d" % self.port, True, 0))
        self.assertTrue(0 <= relay["contact_age_ms"] < 60000)
        text = self.far_cli("status").stdout
        self.assertRegex(text, r"\nsource      relay of 127.0.0.1:%d, last heard of \d+\.\d s ago\n" % self.port)

    def test_the_path_is_that_of_the_stream(self):
        self.start_core()
        self.start_relay()
        core, relay = self.status(self.instance), self.status()["relay"]
        self.assertEqual((relay["upstream"], relay["path"]), (core["instance_id"], [core["instance_id"]]))
        self.assertIn("its arena: " + core["instance_id"], self.far_cli("status").stdout)

    def test_nothing_can_be_changed_on_it(self):
        self.start_core()
        self.start_relay()
        for words in (["set", "site", "x"], ["unset", "site"], ["reload"], ["get", "site", "--all-sources"]):
            with self.subTest(words=words):
                said = self.far_cli(*words, code=6).stderr
                self.assertIn("is a relay of 127.0.0.1:%d" % self.port, said)
        self.assertEqual(self.far_cli("get", "site").stdout, "example.com\n")

    def test_a_bridge_serves_it_and_another_relay_follows(self):
        self.start_core()
        self.start_relay()
        core, second = self.port, self.instance + "-second"
        self.serve_with_another_bridge(self.far)
        self.assertIn("PASS: ", self.watched())
        self.start_relay(instance=second)
        self.cli("set", "site", "through both")
        eventually("the value", lambda: self.far_cli("get", "site", instance=second).stdout == "through both\n")
        self.agree(second)
        self.assertNotEqual(core, self.port)

    def test_a_bulk_load_comes_as_one_snapshot(self):
        self.start_core()
        self.start_relay("--ring-slots", "16")
        watch = self.watch(self.far)
        self.event(watch)
        self.write(self.config, "bulk:\n" + "".join("  k%d: %d\n" % (i, i) for i in range(5000)))
        self.cli("reload")
        while self.event(watch).get("sequence") != self.sequence():
            pass
        self.agree()

    def test_mode_group_and_place_of_the_arena(self):
        self.start_core()
        path = "/dev/shm/configstream.%s-placed" % self.instance
        self.relay = self.spawn_relay("--arena-path", path, "--mode", "0600", "--group", str(os.getgid()))
        eventually("the arena", lambda: os.path.exists(path))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.far_cli("wait", "--arena-path", path, "--timeout", "60")
        self.assertEqual(self.end_relay(), 0)

    def test_it_follows_the_level_that_it_passes_on(self):
        self.start_core()
        self.start_relay()
        self.cli("set", "log_level", "debug")
        self.relay_says("log level is now debug")
        self.cli("set", "log_level", "loud")
        self.relay_says("log_level names no level; it stays debug")
        self.end_relay()
        self.start_relay("--log-level", "warn")
        self.cli("set", "log_level", "info")
        self.agree()
        self.assertNotIn("now info", self.read(self.relay_log))

    def test_no_secret_in_its_log(self):
        self.start_core()
        self.start_relay("--log-level", "trace")
        self.cli("set", "api_key", "never-to-be-logged")
        self.agree()
        self.end_relay()
        log = self.read(self.relay_log)
        self.assertNotIn("never-to-be-logged", log)
        self.assertNotIn(self.read(self.token)[:16], log)


class Away(ConsumerCase):
    def cut_off(self):
        status = self.status()
        return not status["relay"]["connected"]

    def test_the_last_state_stays_while_the_core_is_away(self):
        self.start_core()
        self.start_relay()
        self.agree()
        self.end_bridge(signal.SIGKILL)
        eventually("the loss", self.cut_off)
        read = self.far_cli("get", "cmd_port")
        self.assertEqual(read.stdout, "6001\n")
        self.assertIn("warning: this relay is not connected to 127.0.0.1:%d, last heard of " % self.port, read.stderr)
        self.assertEqual(self.far_cli("get", "cmd_port", "--log-level", "error").stderr, "")
        refused = self.far_cli("get", "cmd_port", "--live", code=5)
        self.assertIn("not connected", refused.stderr)
        self.assertNotIn("what follows", refused.stderr)
        self.assertIn("not connected", self.far_cli("list").stderr)
        self.assertIn("not connected", self.far_cli("wait").stderr)
        self.assertIn("not connected, last heard of", self.far_cli("status").stdout)  # and exits 0: the relay is up
        self.cli("set", "site", "meanwhile")
        self.start_bridge()
        eventually("the value", lambda: self.far_cli("get", "site").stdout == "meanwhile\n")
        self.agree()
        self.assertEqual(self.far_cli("get", "site").stderr, "")

    def test_watch_tells_of_it_and_repeats_nothing(self):
        self.start_core()
        self.start_relay()
        watch = self.watch(self.far)
        self.event(watch)
        self.end_bridge()
        self.assert_told(watch, "the relay is not connected to")
        self.start_bridge()
        self.assert_told(watch, "the relay follows")
        self.cli("set", "site", "afterwards")
        changed = self.event(watch)  # the next thing it sees: the snapshot of the new stream was what it had
        self.assertEqual((changed["event"], changed["key"], changed["sequence"]), ("update", "site", self.sequence()))

    def test_what_was_removed_meanwhile_goes(self):
        self.write(self.config, "extra: 1\n")
        self.start_core()
        self.start_relay()
        self.assertEqual(self.far_cli("get", "extra").stdout, "1\n")
        self.end_bridge()
        self.write(self.config, "other: 2\n")
        self.cli("reload")
        self.start_bridge()
        eventually("the removal", lambda: self.far_cli("get", "extra", code=None).returncode == 3)
        self.agree()

    def test_a_core_that_counts_anew_is_taken(self):
        self.start_core()
        for site in "abcdef":
            self.cli("set", "site", site)
        self.start_relay()
        self.agree()
        watch = self.watch(self.far)
        before = self.event(watch)["sequence"]
        self.end_bridge()
        self.end()
        self.cli("destroy")
        self.start()
        self.start_bridge()
        after = self.event(watch)
        self.assertEqual((after["event"], after["reason"]), ("snapshot", "replaced"))
        self.assertLess(after["sequence"], before)
        self.agree()

    def test_it_may_start_before_the_core(self):
        self.make_credentials()
        relay = self.spawn_relay()
        eventually("the relay", lambda: self.status())
        eventually("its source", lambda: self.status()["relay"])
        self.assertEqual(self.status()["state"], "starting")
        self.assertIn("not connected, never heard of\n", self.far_cli("status").stdout)
        self.assertIn("no configuration yet", self.far_cli("get", "site", code=1).stderr)
        self.start()
        self.start_bridge()
        self.far_cli("wait", "--timeout", "60")
        self.agree()
        self.assertIsNone(relay.poll())

    def test_credentials_are_waited_for(self):
        self.start_core()
        token = self.token
        self.token = os.path.join(self.folder, "later")
        self.spawn_relay()
        self.relay_says(self.token)
        self.write(self.token + ".new", self.read(token))
        os.chmod(self.token + ".new", 0o600)
        os.rename(self.token + ".new", self.token)
        self.far_cli("wait", "--timeout", "60")
        self.agree()

    def test_a_wrong_token_is_told_and_mended_by_the_right_one(self):
        self.start_core()
        token = self.token
        self.token = os.path.join(self.folder, "other")
        self.write(self.token, "0" * 64)
        os.chmod(self.token, 0o600)
        relay = self.spawn_relay()
        self.relay_says("token")
        self.assertIsNone(relay.poll())
        self.write(self.token, self.read(token))
        self.far_cli("wait", "--timeout", "60")


class Life(ConsumerCase):
    def relay_is_up(self):
        def up():
            status = self.status()
            return status["pid"] == self.relay.pid and status["relay"]

        eventually("the relay", up)

    def test_killed_and_started_again_it_goes_on(self):
        self.start_core()
        self.start_relay()
        self.agree()
        watch = self.watch(self.far)
        self.event(watch)
        self.end_relay(signal.SIGKILL)
        self.assertEqual(self.status()["state"], "dead")
        self.assertFalse(self.status()["relay"]["connected"])
        self.assertIn("is dead", self.far_cli("get", "site").stderr)
        epoch, arena = self.status()["epoch"], self.status()["instance_id"]
        self.start_relay()
        self.assertEqual((self.status()["epoch"], self.status()["instance_id"]), (epoch + 1, arena))
        self.cli("set", "site", "again")
        changed = self.event(watch)
        self.assertEqual((changed["event"], changed["key"]), ("update", "site"))
        self.agree()

    def test_a_clean_end_keeps_the_arena_and_its_source(self):
        self.start_core()
        self.start_relay()
        path = self.status()["relay"]["path"]
        self.assertEqual(self.end_relay(), 0)
        status = self.status()
        self.assertEqual((status["state"], status["relay"]["path"]), ("closed", path))
        self.assertEqual(self.far_cli("get", "cmd_port").stdout, "6001\n")
        self.end_bridge()
        self.relay = self.spawn_relay()
        self.relay_is_up()
        status = self.status()
        self.assertEqual((status["state"], status["origin"]), ("running", "main.yaml"))
        self.assertEqual((status["relay"]["connected"], status["relay"]["path"]), (False, path))
        self.assertGreaterEqual(status["relay"]["contact_age_ms"], 0)  # and not never
        self.relay_says("ready: 13 settings")

    def test_unlink(self):
        self.start_core()
        self.start_relay("--unlink")
        self.assertEqual(self.end_relay(), 0)
        self.assertIsNone(self.status())

    def test_an_instance_has_one_producer(self):
        self.start_core()
        self.start_relay()
        status, said = self.refuse_relay()
        self.assertEqual(status, 6, said)
        self.assertIn("another producer, pid %d" % self.relay.pid, said)
        self.assertIn("give this relay another --instance", said)
        status, said = self.refuse_relay(instance=self.instance)
        self.assertEqual(status, 6, said)
        self.assertIn("pid %d" % self.daemon.pid, said)
        refused = subprocess.run([*self.daemon_arguments(), "--instance", self.far], capture_output=True, text=True,
                                 timeout=PATIENCE)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("pid %d" % self.relay.pid, refused.stderr)
        self.agree()

    def test_a_daemon_may_take_over_and_give_back(self):
        self.start_core()
        self.start_relay()
        self.end_relay()
        near, core = (self.instance, self.socket), self.daemon
        self.instance, self.socket = self.far, os.path.join(self.folder, "far.sock")
        self.start()
        self.assertIsNone(self.status(self.far)["relay"])
        self.end()
        (self.instance, self.socket), self.daemon = near, core
        self.start_relay()
        self.agree()

    def test_a_daemon_after_a_killed_relay_keeps_nothing_that_was_set_on_the_cores_host(self):
        self.start_core()
        self.start_relay()
        self.cli("set", "site", "of the core's host")
        self.agree()
        self.end_relay(signal.SIGKILL)
        self.instance, self.socket = self.far, os.path.join(self.folder, "far.sock")
        self.start()
        self.assertEqual(self.far_cli("get", "site", "--source").stdout, '"example.com"  (default)\n')

    def test_a_daemon_after_a_relay_that_got_no_state_finds_its_own_settings(self):
        """The relay was started on the arena of a daemon that had crashed."""
        self.start_core()
        self.end_bridge()
        core = self.port
        self.instance, self.socket = self.far, os.path.join(self.folder, "far.sock")
        self.start()
        self.cli("set", "site", "of this host")
        self.crash()
        for how in (signal.SIGKILL, signal.SIGTERM):
            self.relay = self.spawn_relay(port=core)
            self.relay_is_up()
            self.assertEqual(self.status()["relay"]["address"], "127.0.0.1:%d" % core)
            self.assertEqual(self.far_cli("get", "site").stdout, "of this host\n")
            self.end_relay(how)
        self.start()
        self.assertEqual(self.far_cli("get", "site", "--source").stdout, '"of this host"  (cli)\n')
        self.assertIsNone(self.status()["relay"])

    def test_the_age_of_the_state_outlives_the_relay(self):
        self.start_core()
        self.start_relay()
        self.end_bridge()
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.end_relay(how)
            self.relay = self.spawn_relay()
            self.relay_is_up()
            self.assertGreaterEqual(self.status()["relay"]["contact_age_ms"], 0)
            self.assertRegex(self.far_cli("get", "site").stderr, r"last heard of \d+\.\d s ago")

    def test_a_mistake_on_the_command_line_touches_nothing(self):
        self.start_core()
        self.start_relay()
        self.end_relay()
        before = self.status()
        status, said = self.refuse_relay("--flavor", "")
        self.assertEqual(status, 2)
        self.assertIn("--flavor: it must have", said)
        self.assertEqual({**self.status(), "heartbeat_age_ms": 0, "relay": 0}, {**before, "heartbeat_age_ms": 0, "relay": 0})

    def test_a_removed_arena_is_published_again(self):
        self.start_core()
        self.start_relay()
        os.unlink("/dev/shm/configstream." + self.far)
        self.relay_says("published again as a new arena")
        self.agree()
        self.assertTrue(self.status()["relay"]["connected"])

    def test_a_lock_that_somebody_else_got_ends_it(self):
        self.start_core()
        self.start_relay()
        self.relay.send_signal(signal.SIGSTOP)
        for suffix in ("", ".lock"):
            os.unlink("/dev/shm/configstream." + self.far + suffix)
        thief = self.spawn_relay()
        eventually("the thief", lambda: (self.status() or {}).get("pid") == thief.pid)
        self.relay.send_signal(signal.SIGCONT)
        self.assertEqual(self.relay.wait(PATIENCE), 1)
        self.assertIn("another producer has it", self.read(self.relay_log))
        self.assertIsNone(thief.poll())
        self.assertEqual(self.status()["pid"], thief.pid)
        self.agree()

    def test_the_service_manager_does_not_wait_for_ever_for_a_core_that_is_away(self):
        told = self.start_managed("--ready-timeout", "100ms")
        self.assertEqual(told("READY")["STATUS"][:len("no state yet of ")], "no state yet of ")
        self.start()
        self.start_bridge()
        self.assertEqual(told("STATUS", "follows")["STATUS"], "follows 127.0.0.1:%d at 127.0.0.1:%d" % (self.port, self.port))

    def start_managed(self, *more):
        """A relay with a service manager: a function that waits for what that is told."""
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        name = os.path.join(self.folder, "notify")
        manager.bind(name)
        manager.settimeout(PATIENCE)

        def told(key, text=""):
            while True:
                said = dict(line.split("=", 1) for line in manager.recv(4096).decode().split("\n"))
                if key in said and text in said[key]:
                    return said

        self.make_credentials()
        with mock.patch.dict(os.environ, NOTIFY_SOCKET=name):
            self.relay = self.spawn_relay(*more)
        return told

    def test_the_service_manager_is_told(self):
        told = self.start_managed("--ready-timeout", "1h")
        self.assertNotIn("READY", told("STATUS", "no state yet of 127.0.0.1:%d" % self.port))
        self.start()
        self.start_bridge()
        self.assertEqual(told("READY")["STATUS"], "follows 127.0.0.1:%d at 127.0.0.1:%d" % (self.port, self.port))
        self.assertEqual(self.far_cli("get", "cmd_port", code=None).stdout, "6001\n")  # ready is ready
        self.end_bridge()
        told("STATUS", "serves the last state, not connected to 127.0.0.1:%d" % self.port)
        self.assertEqual(self.end_relay(), 0)
        told("STOPPING")


class Loops(ConsumerCase):
    IDS = ["6ba7b810-9dad-41d1-80b4-00c04fd43%03x" % i for i in range(9)]

    def test_a_stream_that_came_through_this_relay(self):
        self.start_core()
        self.start_relay()
        own = self.status()["instance_id"]
        self.end_relay()
        self.end_bridge()
        core = Core(self, [snapshot(900, setting("site", "in a circle"))], path=[self.IDS[0], own])
        self.relay = self.spawn_relay(port=core.port)
        self.relay_says("comes from this relay itself")
        self.assertEqual(self.far_cli("get", "site").stdout, "example.com\n")
        self.assertFalse(self.status()["relay"]["connected"])
        self.assertIsNone(self.relay.poll())

    def test_a_relay_that_follows_itself(self):
        """The bridge serves the relay's own arena."""
        self.start_core()
        self.start_relay()
        port = self.port
        self.serve_with_another_bridge(self.far)
        self.end_relay()
        self.relay = self.spawn_relay()
        self.relay_says("comes from this relay itself")
        self.assertEqual(self.far_cli("get", "cmd_port").stdout, "6001\n")
        self.assertIsNone(self.relay.poll())
        self.assertNotEqual(port, self.port)

    def test_two_relays_that_wait_for_each_other_say_so(self):
        self.make_credentials()
        names = ["%s-%d" % (self.instance, number) for number in range(2)]
        for name, other in (names, reversed(names)):
            self.serve_with_another_bridge(other)
            self.spawn_relay("--call-timeout", "1s", instance=name)
        eventually("both", lambda: len(re.findall("no configuration to send yet; if it is a relay",
                                                  self.read(self.relay_log))) >= 2)
        self.assertEqual([self.status(name)["settings"] for name in names], [0, 0])

    def check_circle(self, size):
        """Relays in a row, each with a bridge; then the first follows the last; and then the core again."""
        self.start_core()
        core, names, first = self.port, ["%s-%d" % (self.instance, number) for number in range(size)], None
        for name in names:
            self.start_relay(instance=name)
            self.serve_with_another_bridge(name)
            self.agree(name)
            first = first or self.relay
        for port in (self.port, core):
            first.terminate()
            first.wait(PATIENCE)  # its arena is closed a moment before another relay may have it
            self.write(self.relay_log, "")
            first = self.spawn_relay(instance=names[0], port=port)
            if port != core:
                self.relay_says("comes from this relay itself, %d steps up" % size)
                self.cli("set", "site", "while in a circle")
                self.assertFalse(self.status(names[0])["relay"]["connected"])
        for name in names:
            eventually("the value at " + name, lambda: self.far_cli("get", "site", instance=name).stdout
                       == "while in a circle\n")
            self.agree(name)
            self.assertTrue(self.status(name)["relay"]["connected"])

    def test_two_relays_in_a_circle_and_out_of_it(self):
        self.check_circle(2)

    def test_three_relays_in_a_circle_and_out_of_it(self):
        self.check_circle(3)

    def test_eight_arenas_are_a_path_and_nine_are_not(self):
        self.make_credentials()
        core = Core(self, [snapshot(5, setting("site", "far away"))], path=self.IDS)
        self.relay = self.spawn_relay(port=core.port)
        self.relay_says("more than 8")
        eventually("another try", lambda: core.streams > 1)
        self.assertEqual(self.status()["state"], "starting")
        self.end_relay()
        near = Core(self, [snapshot(5, setting("site", "far away"))], path=self.IDS[:8])
        self.start_relay(port=near.port)
        self.assertEqual(self.status()["relay"]["path"], self.IDS[:8])
        self.assertEqual(self.far_cli("get", "site").stdout, "far away\n")


class Refused(ConsumerCase):
    def test_for_good(self):
        self.make_credentials()
        core = Core(self, [], register=(grpc.StatusCode.INVALID_ARGUMENT, "no such flavor"))
        status, said = self.refuse_relay(port=core.port)
        self.assertEqual(status, 6, said)
        self.assertIn("no such flavor", said)
        self.assertIn("nothing is tried any more", said)
        self.assertIsNone(self.status())  # an arena that never got a snapshot is of no use

    def test_for_good_after_a_snapshot_was_there(self):
        self.start_core()
        self.start_relay()
        self.end_relay()
        core = Core(self, [], register=(grpc.StatusCode.INVALID_ARGUMENT, "no such flavor"))
        self.assertEqual(self.refuse_relay(port=core.port)[0], 6)
        self.assertIn(self.status()["state"], ("dead", "closed"))
        read = self.far_cli("get", "cmd_port")
        self.assertEqual(read.stdout, "6001\n")
        self.assertIn("the last state", read.stderr)

    def test_a_gap_on_the_wire_is_mended_by_another_stream(self):
        self.make_credentials()
        core = Core(self, [snapshot(5, setting("site", "a")), update(7, setting("site", "b"))])
        self.relay = self.spawn_relay(port=core.port)
        eventually("another stream", lambda: core.streams > 1)
        self.assertEqual(self.far_cli("get", "site").stdout, "a\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
