# test_client.py: configstream-client: what it shows, and when it passes.  SPDX-License-Identifier: Apache-2.0
import array
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import unittest

import grpc

from harness import PATIENCE, eventually
from relay import CLIENT, COMPLETION, ConsumerCase, Core, beside, setting, snapshot, update


class Usage(ConsumerCase):
    def assert_usage(self, words, *arguments):
        result = subprocess.run([CLIENT, *arguments], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 2, result.stderr)
        for word in words:
            self.assertIn(word, " ".join(result.stderr.split()))

    def test_a_mistake_is_named_with_its_value(self):
        for option, value in (("--duration", "soon"), ("--duration", "0s"), ("--max-samples", "-1"), ("--max-samples", "a"),
                              ("--log-level", "loud"), ("--agent-cert-file", ""), ("--agent-auth-token-file", "")):
            with self.subTest(option=option, value=value):
                self.assert_usage([option, "'%s'" % value], option, value)

    def test_an_address_that_is_none(self):
        for address in ("localhost", "localhost:0", "localhost:65536", "::1:5001", "shm:default", ""):
            with self.subTest(address=address):
                self.assert_usage(["'%s'" % address], "--ipc-address", address, "--auth-token", "0" * 64)

    def test_what_the_library_would_refuse_is_told_of_the_option(self):
        for option, value in (("--name", ""), ("--server-name", ""), ("--auth-token", "two words")):
            with self.subTest(option=option, value=value):
                self.assert_usage([option + ": "], option, value)

    def test_words_are_no_options(self):
        self.assert_usage(["'watch'", "takes options only"], "watch")

    def test_ca_and_key_go_together(self):
        self.assert_usage(["--ca needs --key"], "--ca", "x")
        self.assert_usage(["--key needs --ca"], "--key", "x")

    def test_version_and_help(self):
        for option, text in (("--version", "configstream-client "), ("--help", "Exit status: 0 pass")):
            result = subprocess.run([CLIENT, option], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn(text, " ".join(result.stdout.split()))

    def test_the_shell_completes_what_the_help_names(self):
        script = 'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _configstream_client "$2"; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'

        def complete(*words):
            return subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION + "/configstream-client.bash", CLIENT,
                                   *words], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout.split()

        self.assertEqual(complete("--max"), ["--max-samples"])
        self.assertEqual(complete("--agent-cert-file", self.folder[:-1]), [self.folder])
        listed = subprocess.run([CLIENT, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        self.assertEqual(set(complete("--")), set(re.findall(r"--[a-z][a-z-]*", listed)))

    def test_the_command_line_runs_the_client_beside_it(self):
        program = beside(self)
        for words in (["client", "--version"], ["--instance", "web", "client", "--version"],
                      ["--json", "client", "--version"]):
            result = subprocess.run([program, *words], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((result.returncode, result.stdout.split()[0]), (0, "configstream-client"), result.stderr)
        result = subprocess.run([program, "client", "--duration", "soon"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 2)
        self.assertIn("'soon'", result.stderr)
        os.unlink(program + "-client")
        result = subprocess.run([program, "client"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 1)
        self.assertIn("install the package configstream-relay", result.stderr)

    def test_the_command_line_completes_the_clients_options(self):
        program = beside(self)
        script = 'source "$1"; program=$2; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _configstream "$2"; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        got = subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION + "/configstream.bash", program,
                              "client", "--agent"], capture_output=True, text=True, timeout=PATIENCE, check=True)
        got = got.stdout.split()
        self.assertEqual(sorted(got), ["--agent-auth-token-file", "--agent-cert-file"])


class Pass(ConsumerCase):
    def test_a_stream_as_it_should_be(self):
        self.start_core()
        said = self.watched("--name", "integration")
        self.assertIn("origin      main.yaml\n", said)
        self.assertRegex(said, r"snapshot #\d+: 13 settings \(initial\)\n")
        self.assertIn("  cmd_port = 6001  (file)\n", said)
        self.assertIn("  and 8 more\n", said)
        self.assertIn("1 snapshots, 0 updates", said)
        self.assertIn("PASS: ", said)
        self.says("New subscriber 'integration' joining the config stream")

    def test_updates_in_json_are_as_watch_prints_them(self):
        self.start_core()
        process = subprocess.Popen(self.client_arguments("--json", "--duration", "60s", "--max-samples", "2"),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        first = self.event(process)
        self.assertEqual(first, {"event": "snapshot", "sequence": self.sequence(), "settings": 13, "reason": "initial"})
        keys = [self.event(process)["key"] for _ in range(2)]
        self.assertEqual(keys, sorted(self.settings(self.instance))[:2])
        watch = self.spawn_watch("--count", "3")
        self.event(watch)
        for site in "abcd":
            self.cli("set", "site", site)
        self.assertEqual([self.event(process) for _ in range(2)], [self.event(watch) for _ in range(2)])
        eventually("the last update", lambda: all(
            agent["last_sequence"] == self.sequence() for agent in self.status(self.instance)["bridge"]["agents"]))
        process.send_signal(signal.SIGINT)
        end = self.event(process)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual((end["event"], end["pass"], end["updates"], end["gaps"]), ("end", True, 4, 0))
        self.assertEqual((end["first_sequence"], end["last_sequence"]), (first["sequence"], first["sequence"] + 4))
        self.assertEqual(process.stdout.read(), "")

    def test_secrets_are_masked(self):
        self.start_core()
        self.cli("set", "api_key", "of-the-snapshot")
        process = subprocess.Popen(self.client_arguments("--json", "--duration", "60s", "--max-samples", "100"),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        lines = [self.event(process) for _ in range(14)]
        self.assertEqual([line["value"] for line in lines if line.get("key") == "api_key"], ["********"])
        self.cli("set", "api_key", "of-the-update")
        changed = self.event(process)
        self.assertEqual((changed["value"], changed["old"], changed["masked"]), ("********", "********", True))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertNotIn("of-the-", json.dumps(lines) + process.stdout.read() + process.stderr.read())

    def test_the_token_is_looked_for_in_order(self):
        self.start_core()
        token, wrong = self.read(self.token), os.path.join(self.folder, "wrong")
        self.write(wrong, "0" * 64)
        os.chmod(wrong, 0o600)
        base = [CLIENT, "--ipc-address", "127.0.0.1:%d" % self.port, "--agent-cert-file", self.certificate]
        for more, folder in ((["--auth-token", token, "--agent-auth-token-file", wrong], "/"), ([], self.folder)):
            with self.subTest(more=more, folder=folder):
                self.watched(arguments=base + more, cwd=folder)
        for more, folder, code in ((["--agent-auth-token-file", wrong], self.folder, 6), ([], "/", 1)):
            with self.subTest(more=more, folder=folder):
                result = subprocess.run(base + more, capture_output=True, text=True, timeout=PATIENCE, cwd=folder)
                self.assertEqual(result.returncode, code, result.stdout + result.stderr)

    def test_a_session_is_kept_up_longer_than_it_lives_by_itself(self):
        self.start_core("--registry-idle-timeout", "100ms")

        def watches():
            result = subprocess.run(self.client_arguments("--duration", "2s"), capture_output=True, text=True,
                                    timeout=PATIENCE)
            # A client may be so slow that its session is over before the stream begins.
            self.assertTrue(result.returncode == 0 or "snapshot #" not in result.stdout, result.stdout + result.stderr)
            return result.returncode == 0

        eventually("a client that passes", watches)

    def test_the_name_is_checked_when_asked(self):
        self.start_core()
        self.watched("--verify-name")  # 127.0.0.1 is in the certificate
        self.watched("--server-name", "localhost")
        said = self.client("--server-name", "other.example.com", code=1)
        self.assertIn("hostname mismatch", said.stdout)


class Fail(ConsumerCase):
    def assert_fails(self, code, *words, more=(), port=None):
        result = self.client(*more, code=code, port=port)
        self.assertIn("FAIL: ", result.stdout)
        for word in words:
            self.assertIn(word, result.stdout)
            self.assertIn(word, result.stderr)

    def test_a_wrong_token_is_refused(self):
        self.start_core()
        self.token = os.path.join(self.folder, "wrong")  # not the bridge's file, which it follows
        self.write(self.token, "0" * 64)
        os.chmod(self.token, 0o600)
        self.assert_fails(6, "refused", "token")

    def test_nobody_listens(self):
        self.make_credentials()
        self.assert_fails(1, "127.0.0.1:%d" % self.port)

    def test_files_that_are_not_there(self):
        self.port = 1
        self.assert_fails(1, self.certificate)

    def test_a_file_that_is_no_certificate(self):
        self.make_credentials()
        self.certificate = self.token
        self.assert_fails(1, "has no certificate; take the core's file")

    def test_another_certificate(self):
        self.start_core()
        port, self.certificate = self.port, os.path.join(self.folder, "other.pem")
        self.port = self.metrics_port = None
        self.status_socket += "2"
        self.make_credentials()
        self.port = port
        self.assert_fails(1, "certificate")

    def test_no_snapshot_in_time(self):
        self.start_bridge()  # without a producer streams are open and silent
        result = self.client("--duration", "500ms", code=7)
        self.assertRegex(result.stdout, r"no snapshot in \d+\.\d s")

    def test_a_bridge_that_ends_before_the_time(self):
        self.start_core()
        process = subprocess.Popen(self.client_arguments("--duration", "60s", "--json"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        self.event(process)
        self.end_bridge()
        self.assertEqual(process.wait(PATIENCE), 1)
        end = json.loads(process.stdout.read().splitlines()[-1])
        self.assertFalse(end["pass"])
        self.assertIn("ended after", end["reason"])

    def test_a_gap_and_a_repetition(self):
        self.make_credentials()
        first = snapshot(5, setting("site", "a"))
        for second, counter in ((update(7, setting("site", "b")), "gaps"), (update(5, setting("site", "b")), "stale"),
                                (update(3, setting("site", "b")), "stale")):
            with self.subTest(counter=counter):
                core = Core(self, [first, second])
                end = self.client_json("--duration", "60s", code=1, port=core.port)[-1]
                self.assertFalse(end["pass"])
                self.assertEqual((end["snapshots"], end["updates"], end[counter]), (1, 0, 1))

    def test_an_update_before_any_snapshot(self):
        self.make_credentials()
        core = Core(self, [update(1, setting("site", "a"))])
        self.assertFalse(self.client_json("--duration", "60s", code=1, port=core.port)[-1]["pass"])

    def test_a_snapshot_in_the_middle_begins_anew(self):
        self.make_credentials()
        core = Core(self, [snapshot(5, setting("site", "a")), update(6, setting("site", "b")),
                           snapshot(20, setting("site", "c")), update(21, setting("site", "d"))])
        said = self.watched(until='"sequence":21',
                            arguments=self.client_arguments("--json", "--max-samples", "10", port=core.port))
        lines = map(json.loads, said.splitlines())
        self.assertEqual([(line["event"], line.get("sequence")) for line in lines if "event" in line],
                         [("snapshot", 5), ("update", 6), ("snapshot", 20), ("update", 21), ("end", None)])

    def test_a_refused_registration(self):
        self.make_credentials()
        core = Core(self, [], register=(grpc.StatusCode.INVALID_ARGUMENT, "no such flavor"))
        self.assert_fails(6, "no such flavor", port=core.port)

    def test_a_signal_ends_it_while_nobody_takes_what_it_prints(self):
        self.write(self.config, "bulk:\n" + "".join("  k%d: %d\n" % (i, i) for i in range(10000)))
        self.start_core()
        process = subprocess.Popen(self.client_arguments("--duration", "1h", "--max-samples", "100000"),
                                   stdout=subprocess.PIPE)
        self.processes.append(process)
        waiting = array.array("i", [0])
        eventually("a full pipe", lambda: fcntl.ioctl(process.stdout, termios.FIONREAD, waiting) == 0
                   and waiting[0] >= select.PIPE_BUF)
        eventually("its end", lambda: process.send_signal(signal.SIGTERM) or process.poll() is not None)
        self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_nobody_takes_what_it_prints(self):
        self.start_core()
        with open("/dev/full", "w") as full:
            result = subprocess.run(self.client_arguments("--duration", "60s"), stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"\A[^\n]*cannot write to standard output: [^\n]*\n\Z")  # nor is the stream blamed


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
