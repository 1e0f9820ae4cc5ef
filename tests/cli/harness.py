# harness.py: a daemon of one's own, the CLI against it, and conditions instead of sleeps.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import itertools
import json
import os
import pty
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

CLI = os.environ["CONFIGSTREAM"]
DAEMON = os.environ["CONFIGSTREAMD"]
PATIENCE = 120  # seconds until a condition counts as never coming true

DEFAULTS = """\
log_level: info
cmd_port: 5001
enabled: false
rate: 1.5
site: example.com
api_key: ""
tags: []
timeout: 10s
endpoints: {}
logs_config:
  use_compression: true
  batch_wait: 5
  inner:
    depth: 2
hidden: ""
x-configstream:
  tags: {kind: string_list}
  timeout: {kind: duration}
  endpoints: {kind: list_map}
  hidden: {secret: true}
"""

MAIN = """\
cmd_port: 6001
tags: [a, b]
logs_config:
  batch_wait: 7
"""

numbers = itertools.count()


@contextlib.contextmanager
def full_socket(path):
    """Somebody listens there, and has no place for another connection."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(path)
        server.listen(0)
        first.connect(path)
        yield server


def eventually(what, condition):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("gave up waiting for " + what)
        time.sleep(0.01)


class Terminal:
    """A program at a terminal of its own, and all it has written there."""

    def __init__(self, case, arguments, environment):
        self.fd, other = pty.openpty()
        case.addCleanup(os.close, self.fd)
        self.process = subprocess.Popen(arguments, stdin=other, stdout=other, stderr=other, env=environment,
                                        start_new_session=True)
        os.close(other)
        case.processes.append(self.process)
        self.seen = ""

    def read(self):
        """False at the end."""
        if not select.select([self.fd], [], [], PATIENCE)[0]:
            raise AssertionError("the terminal stays silent after " + repr(self.seen))
        try:
            got = os.read(self.fd, 65536)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.seen += got.decode(errors="backslashreplace")
        return bool(got)

    def until(self, text):
        while text not in self.seen:
            if not self.read():
                raise AssertionError("%r never came, only %r" % (text, self.seen))

    def type(self, text):
        os.write(self.fd, text.encode())

    def finish(self):
        """All that was written, once the program has ended."""
        while self.read():
            pass
        self.process.wait(PATIENCE)
        return self.seen


class Case(unittest.TestCase):
    watching = False  # whether the daemon reloads by itself, or only when the test asks for it

    def setUp(self):
        self.instance = "cli-test-%d-%d" % (os.getpid(), next(numbers))
        self.folder = tempfile.mkdtemp(prefix="cfgs-")
        self.config = os.path.join(self.folder, "main.yaml")
        self.defaults = os.path.join(self.folder, "defaults.yaml")
        self.socket = os.path.join(self.folder, "s")
        self.log = os.path.join(self.folder, "log")
        self.processes = []
        self.daemon = None
        self.write(self.config, MAIN)
        self.write(self.defaults, DEFAULTS)

    def tearDown(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        for suffix in ("", ".lock"):
            try:
                os.unlink("/dev/shm/configstream." + self.instance + suffix)
            except FileNotFoundError:
                pass
        shutil.rmtree(self.folder)

    def write(self, path, text):
        mode = "wb" if isinstance(text, bytes) else "w"
        with open(path, mode) as file:
            file.write(text)

    def read(self, path):
        with open(path, errors="replace") as file:
            return file.read()

    def arena_exists(self):
        return os.path.exists("/dev/shm/configstream." + self.instance)

    # -- the daemon

    def daemon_arguments(self, *more):
        return [DAEMON, "--instance", self.instance, "--config", self.config, "--defaults", self.defaults,
                "--control", self.socket, *([] if self.watching else ["--no-watch"]), *more]

    def start(self, *more):
        log = open(self.log, "a")
        self.daemon = subprocess.Popen(self.daemon_arguments(*more), stderr=log)
        log.close()
        self.processes.append(self.daemon)

        def up():
            if self.daemon.poll() is not None:
                raise AssertionError("the daemon ended: " + self.read(self.log))
            result = self.run_cli("status", "--json")
            # An arena that was taken over is there before what is new in it, and that before an answer of the daemon.
            return result.returncode == 0 and json.loads(result.stdout)["pid"] == self.daemon.pid and \
                self.run_cli("wait", "--timeout", "30").returncode == 0 and \
                self.run_cli("get", "log_level", "--all-sources").returncode == 0

        eventually("the daemon", up)

    def spawn_daemon(self, arguments, **more):
        """A daemon started in a way of the test's own; ready when a set is answered."""
        self.daemon = subprocess.Popen(arguments, **more)
        self.processes.append(self.daemon)
        eventually("the daemon", lambda: self.run_cli("set", "site", "up").returncode == 0)

    def start_failing(self, *more):
        return subprocess.run(self.daemon_arguments(*more), capture_output=True, text=True, timeout=PATIENCE)

    def end(self, sig=signal.SIGTERM):
        self.daemon.send_signal(sig)
        self.daemon.wait(PATIENCE)
        return self.daemon.returncode

    def crash(self):
        self.end(signal.SIGKILL)

    def leave_no_descriptor(self):
        """The daemon cannot open one more; returns the limit it had.  Clients that are gone may have theirs at first."""
        folder = "/proc/%d/fd/" % self.daemon.pid


        def sockets():
            return sum("/socket:" in os.path.realpath(folder + fd) for fd in os.listdir(folder))

        eventually("the clients' end", lambda: sockets() == 1)
        opened = set(map(int, os.listdir(folder)))
        held = resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE)
        lowest = next(fd for fd in itertools.count() if fd not in opened)
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (lowest, held[1]))
        return held

    # -- the CLI

    def run_cli(self, *arguments, **more):
        return subprocess.run([CLI, "--instance", self.instance, *arguments], capture_output=True, text=True,
                              timeout=PATIENCE * 2, **more)

    def cli(self, *arguments, code=0):
        result = self.run_cli(*arguments)
        self.assertEqual(result.returncode, code, "%s: %s%s" % (arguments, result.stdout, result.stderr))
        return result

    def text(self, *arguments, code=0):
        return self.cli(*arguments, code=code).stdout

    def json(self, *arguments, code=0):
        return json.loads(self.cli(*arguments, "--json", code=code).stdout)

    def value(self, key):
        return self.json("get", key)["value"]

    def sequence(self):
        return self.json("wait")["sequence"]

    def spawn_watch(self, *more):
        process = subprocess.Popen([CLI, "--instance", self.instance, "--json", "watch", *more], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def terminal(self, arguments, environment=None):
        """A program whose standard output and error are a terminal."""
        return Terminal(self, arguments, {**os.environ, "TERM": "xterm", "NO_COLOR": "", **(environment or {})})

    def assert_told(self, process, text):
        """On standard error, beside other lines: where the machine pauses, a producer is stalled for a moment."""
        seen = []
        while not seen or text not in seen[-1]:
            seen.append(process.stderr.readline())
            self.assertTrue(seen[-1], "it never said '%s', only %s" % (text, seen))

    def event(self, process):
        line = process.stdout.readline()
        self.assertTrue(line, "watch ended: " + (process.stderr.read() if process.poll() is not None else ""))
        return json.loads(line)
