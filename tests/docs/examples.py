#!/usr/bin/python3
"""The programs of docs/examples/programs do what they say, against a daemon whose settings change.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from harness import Case, DEFAULTS, PATIENCE  # noqa: E402

DECLARED = """\
system_probe_config:
  log_level: ""
check_cancel_timeout: 500ms
log_file_max_size: 10Mb
"""


class Program(Case):
    def setUp(self):
        super().setUp()
        settings, kinds = DEFAULTS.split("x-configstream:\n")
        self.write(self.defaults, settings + DECLARED + "x-configstream:\n" + kinds +
                   "  check_cancel_timeout: {kind: duration}\n  logs_config.inner.token: {secret: true, kind: string}\n")

    def spawn(self, name):
        process = subprocess.Popen([os.environ[name], self.instance], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.processes.append(process)
        return process


class WaitReady(Program):
    def finish(self, process):
        out, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, out, errors

    def test_it_waits_for_a_producer_that_starts_later_and_reads_by_type(self):
        process = self.spawn("WAIT_READY")
        self.start()
        self.assertEqual(self.finish(process), (0, "cmd_port: 6001\ncheck_cancel_timeout: 500 ms\n"
                                                   "log_file_max_size: 10485760 bytes\ntag: a\ntag: b\n", ""))

    def test_it_does_not_wait_for_ever(self):
        self.assertEqual(self.finish(self.spawn("WAIT_READY")), (1, "", (
            self.instance + ": no configuration after 5000 ms: timed out (the producer is absent)\n")))

    def test_it_names_the_key_that_it_cannot_use_and_not_the_value(self):
        for text, error in (("log_file_max_size: plenty\n", "cannot read log_file_max_size: "),
                            ("cmd_port: 70000\n", "cannot read cmd_port: ")):
            self.write(self.config, text)
            if self.daemon:
                self.end()
            self.start()
            status, out, errors = self.finish(self.spawn("WAIT_READY"))
            self.assertEqual((status, out), (1, ""))
            self.assertTrue(errors.startswith(error) and errors.count("\n") == 1, errors)
            self.assertNotIn(text.split()[1], errors)

    def test_it_says_which_name_is_wrong(self):
        self.instance = "no/name"
        status, out, errors = self.finish(self.spawn("WAIT_READY"))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("no/name: ", errors)


class Subscribe(Program):
    def says(self, process, *lines):
        for line in lines:
            self.assertEqual(process.stdout.readline(), line + "\n")

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()  # not communicate(): it forgets what readline() has read ahead
        self.assertEqual((process.wait(PATIENCE), rest, process.stderr.read()), (0, "", ""))

    def test_it_follows_its_level_by_override_and_base(self):
        process = self.spawn("SUBSCRIBE")
        self.start()
        self.says(process, "log level: info (log_level)")
        own = "system_probe_config.log_level"
        self.cli("set", own, "debug")
        self.says(process, "log level: debug (%s)" % own)
        self.cli("set", "log_level", "trace", "--source", "agent-runtime")  # for those that have no override
        self.cli("set", "log_level", "error")  # for all
        self.says(process, "log level: error (log_level)")
        self.cli("unset", "log_level")
        self.says(process, "log level: debug (%s)" % own)
        self.cli("set", own, "")
        self.says(process, "log level: trace (log_level)")
        self.cli("set", own, "warn")
        self.says(process, "log level: warn (%s)" % own)
        self.cli("unset", own)
        self.says(process, "log level: trace (log_level)")
        self.stop(process)

    def test_it_tells_the_changes_of_a_section_and_outlives_the_producer(self):
        self.start()
        process = self.spawn("SUBSCRIBE")
        self.says(process, "log level: info (log_level)")
        self.cli("set", "logs_config.batch_wait", "9")
        self.says(process, "logs_config.batch_wait: 7 -> 9 (cli)")
        self.cli("set", "cmd_port", "1")  # nobody's business
        self.cli("set", "logs_config.inner.token", "hush")
        self.says(process, "logs_config.inner.token: nothing -> ******** (cli)")
        self.end()
        self.says(process, "the producer has ended")
        self.write(self.config, "log_level: error\nlogs_config: {batch_wait: 8}\n")
        self.start()
        self.says(process, "log level: error (log_level)", "logs_config.batch_wait: 9 -> 8 (file)",
                  "logs_config.inner.token: ******** -> nothing")
        self.stop(process)


if __name__ == "__main__":
    unittest.main()
