#!/usr/bin/python3
"""The programs of docs/examples/programs do what they say while a daemon's settings change: each scenario near, from shared
memory, and far, through a bridge, with the same output.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import subprocess
import unittest

from world import PATIENCE, Producer, World, write

DEFAULTS = """\
log_level: info
cmd_port: 5001
tags: []
logs_config:
  batch_wait: 5
system_probe_config:
  log_level: ""
check_cancel_timeout: 500ms
log_file_max_size: 10Mb
x-configstream:
  tags: {kind: string_list}
  check_cancel_timeout: {kind: duration}
  logs_config.inner.token: {secret: true, kind: string}
"""
MAIN = "cmd_port: 6001\ntags: [a, b]\nlogs_config: {batch_wait: 7}\n"


class Program(World):
    def setUp(self):
        super().setUp()
        self.config = os.path.join(self.folder, "datadog.yaml")
        write(self.config, MAIN)
        write(os.path.join(self.folder, "defaults.yaml"), DEFAULTS)
        self.addCleanup(self.destroy, self.name)
        self.environment = dict(os.environ)
        self.address = self.find()

    def start(self):
        self.now = self.begin(Producer(self.folder, self.name))

    def spawn_example(self, name):
        process = subprocess.Popen([os.environ[name], self.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=self.environment)
        self.addCleanup(process.stderr.close)
        self.addCleanup(self.finish, process)
        return process


class Near:
    unready = "timed out (the producer is absent)"
    wrong_address = "shm:no/name"

    def find(self):
        return "shm:" + self.name


class Far:
    unready = "timed out (the producer is starting)"
    wrong_address = "core.example.com"

    def find(self):
        self.core = self.bridge()
        self.environment.update(CONFIGSTREAM_CERT=self.core.credentials.cert,
                                CONFIGSTREAM_TOKEN_FILE=self.core.credentials.token_file)
        return self.core.address


class WaitReady:
    def run_example(self):
        return self.ended(self.spawn_example("WAIT_READY"))

    @staticmethod
    def ended(process):
        out, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, out, errors

    def test_it_waits_for_a_producer_that_starts_later_and_reads_by_type(self):
        for _ in range(3):  # it waits for five seconds, and the machine may be too slow for that
            process = self.spawn_example("WAIT_READY")
            self.start()
            status, out, errors = self.ended(process)
            if self.unready not in errors:
                break
            self.now.kill()
            self.destroy(self.name)
        self.assertEqual((status, out, errors), (0, "cmd_port: 6001\ncheck_cancel_timeout: 500 ms\n"
                                                    "log_file_max_size: 10485760 bytes\ntag: a\ntag: b\n", ""))

    def test_it_does_not_wait_for_ever(self):
        self.assertEqual(self.run_example(), (1, "", "%s: no configuration: %s\n" % (self.address, self.unready)))

    def test_it_names_the_key_that_it_cannot_use_and_not_the_value(self):
        self.start()
        for text, error in (("log_file_max_size: plenty\n", "cannot read log_file_max_size: "),
                            ("cmd_port: 70000\n", "cannot read cmd_port: ")):
            self.now.load(text)
            status, out, errors = self.run_example()
            self.assertEqual((status, out), (1, ""))
            self.assertTrue(errors.startswith(error) and errors.count("\n") == 1, errors)
            self.assertNotIn(text.split()[1], errors)

    def test_it_says_which_address_is_wrong(self):
        self.address = self.wrong_address
        status, out, errors = self.run_example()
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(errors.startswith(self.address + ": invalid"), errors)


class Subscribe:
    def says(self, process, *lines):
        for line in lines:
            self.assertEqual(process.stdout.readline(), line + "\n")

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()  # not communicate(): it forgets what readline() has read ahead
        self.assertEqual((process.wait(PATIENCE), rest, process.stderr.read()), (0, "", ""))

    def test_it_follows_its_level_by_override_and_base(self):
        process = self.spawn_example("SUBSCRIBE")
        self.start()
        change = self.now.cli
        self.says(process, "log level: info (log_level)")
        own = "system_probe_config.log_level"
        change("set", own, "debug")
        self.says(process, "log level: debug (%s)" % own)
        change("set", "log_level", "trace", "--source", "agent-runtime")  # for those that have no override
        change("set", "log_level", "error")  # for all
        self.says(process, "log level: error (log_level)")
        change("unset", "log_level")
        self.says(process, "log level: debug (%s)" % own)
        change("set", own, "")
        self.says(process, "log level: trace (log_level)")
        change("set", own, "warn")
        self.says(process, "log level: warn (%s)" % own)
        change("unset", own)
        self.says(process, "log level: trace (log_level)")
        self.stop(process)

    def test_it_tells_the_changes_of_a_section_and_outlives_the_producer(self):
        self.start()
        process = self.spawn_example("SUBSCRIBE")
        self.says(process, "log level: info (log_level)")
        self.now.cli("set", "logs_config.batch_wait", "9")
        self.says(process, "logs_config.batch_wait: 7 -> 9 (cli)")
        self.now.cli("set", "cmd_port", "1")  # nobody's business
        self.now.cli("set", "logs_config.inner.token", "hush")
        self.says(process, "logs_config.inner.token: nothing -> ******** (cli)")
        self.assertEqual(self.now.end(), 0)
        write(self.config, "log_level: error\nlogs_config: {batch_wait: 8}\n")
        self.start()
        self.says(process, "log level: error (log_level)", "logs_config.batch_wait: 9 -> 8 (file)",
                  "logs_config.inner.token: ******** -> nothing")
        self.stop(process)


class WaitReadyNear(Near, WaitReady, Program):
    pass


class WaitReadyFar(Far, WaitReady, Program):
    def test_it_says_what_the_connection_met(self):
        self.core.end()
        self.assertEqual(self.run_example(), (1, "", "%s: no configuration: timed out (%s: cannot connect: Connection "
                                                     "refused)\n" % (self.address, self.address)))

    def test_it_says_that_the_core_refuses(self):
        self.start()
        wrong = os.path.join(self.folder, "wrong")
        write(wrong, 64 * "0")
        self.environment["CONFIGSTREAM_TOKEN_FILE"] = wrong
        status, out, errors = self.run_example()
        self.assertEqual((status, out), (1, ""))
        self.assertIn("no configuration: timed out (%s: registration: UNAUTHENTICATED: " % self.address, errors)
        self.assertNotIn(64 * "0", errors)


class SubscribeNear(Near, Subscribe, Program):
    pass


class SubscribeFar(Far, Subscribe, Program):
    def test_it_outlives_the_connection(self):
        self.start()
        process = self.spawn_example("SUBSCRIBE")
        self.says(process, "log level: info (log_level)")
        self.core.kill()
        self.now.cli("set", "logs_config.batch_wait", "8")
        self.now.cli("set", "logs_config.batch_wait", "9")
        self.core = self.bridge(port=self.core.port)
        self.says(process, "logs_config.batch_wait: 7 -> 9 (cli)")
        process.terminate()
        self.assertEqual(process.stdout.read(), "")
        self.assertIn(self.address, process.stderr.read())  # it says what it met meanwhile
        self.assertEqual(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
