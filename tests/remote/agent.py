# agent.py: test-remote-watch as seen from a test, and a folder with its credentials.  SPDX-License-Identifier: Apache-2.0
import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from identity import Identity, read, write
from server import PATIENCE, Server, eventually, snapshot, subscribed

WATCH = os.environ["WATCH"]
TOKEN = "0123456789abcdef" * 4
SANITIZED = bool(os.environ.get("SANITIZER"))  # its memory is not the program's
PRCTL = ctypes.CDLL(None).prctl
PR_SET_PDEATHSIG = 1

GOOD = {"site": "example.com", "log_level": "info", "number": 7}
NEXT = {"site": "example.org", "number": 8}
BACKOFF_MIN, BACKOFF_MAX = 20, 100  # milliseconds, so that tests go on


def least_pause(number):
    """Seconds between failure number `number`, from 0, and the next attempt, at least."""
    return 0.8 * min(BACKOFF_MIN * 1.6 ** number, BACKOFF_MAX) / 1000


class Watch:
    """The program, all it has said, and what it answers."""

    def __init__(self, options):
        arguments = [WATCH]
        for name, given in options.items():
            arguments.append("--" + name.replace("_", "-"))
            if given is not True:
                arguments.append(str(given))
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=lambda: PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL))
        self.said, self.more = [], threading.Condition()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            with self.more:
                self.said.append(json.loads(line))
                self.more.notify_all()
        with self.more:
            self.said.append({"event": "over"})
            self.more.notify_all()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def find(self, event, matches=lambda one: True, since=0):
        """The first line of this kind that matches; waits for it."""
        with self.more:
            give_up = time.monotonic() + PATIENCE
            at = since
            while True:
                for at in range(at, len(self.said)):
                    if self.said[at]["event"] == event and matches(self.said[at]):
                        return self.said[at]
                    if self.said[at]["event"] == "over":
                        raise AssertionError("it ended with %s: %s" % (self.process.wait(), self.process.stderr.read()))
                at = len(self.said)
                if not self.more.wait(give_up - time.monotonic()):
                    raise AssertionError("no %s came; last: %s" % (event, self.said[-5:]))

    def all(self, *events):
        with self.more:
            return [one for one in self.said if one["event"] in events]

    def ask(self, command, event):
        since = len(self.said)
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.find(event, since=since)

    def status(self):
        return self.ask("status", "now")

    def usage(self):
        return self.ask("usage", "usage")

    def dump(self):
        return self.ask("dump", "state")

    def get(self, key):
        return self.ask("get " + key, "got")

    def state(self):
        """{key: value} of now; None before the first snapshot."""
        settings = self.dump()["settings"]
        return settings and {key: one["value"] for key, one in settings.items()}

    def until(self, what, condition):
        """The first status for which the condition holds."""
        last = None

        def look():
            nonlocal last
            last = self.status()
            return condition(last) and last
        return eventually(lambda: "%s; it is %s" % (what, last), look)

    def until_streaming(self, sequence):
        """The ID was applied, and all events up to it were delivered and called back for: what comes next is another."""
        return self.until("the stream", lambda now: now["state"] == "streaming" and now["sequence"] == sequence and
                          now["delivered"] == sequence and now["dispatched"] in (None, sequence))

    def until_error(self, *names):
        return self.until("the error " + " or ".join(names), lambda now: now["error"] in names)

    def until_state(self, expected):
        eventually(lambda: "%s; it is %s" % (expected, self.state()), lambda: self.state() == expected)

    def lines(self):
        return [one["line"] for one in self.all("log")]

    def quit(self):
        closed = self.ask("quit", "closed")
        code = self.process.wait(PATIENCE)
        if code != 0:
            raise AssertionError("it ended with %d: %s" % (code, self.process.stderr.read()))
        return closed


class Case(unittest.TestCase):
    """A server that means well unless the test says otherwise, and a folder with what an agent needs."""

    @classmethod
    def setUpClass(cls):
        cls.identities = tempfile.mkdtemp(prefix="cfgs-")
        cls.addClassCleanup(shutil.rmtree, cls.identities)
        cls.identity = Identity(cls.identities)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cfgs-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.cert, self.token_file = (os.path.join(self.folder, name) for name in ("ipc_cert.pem", "auth_token"))
        write(self.cert, read(self.identity.combined))
        write(self.token_file, TOKEN.encode())
        self.watches = []
        self.server = self.serve()

    def fresh(self):
        """As at the start of a test."""
        for watch in self.watches:
            watch.end()
        self.watches.clear()
        self.server.forget()

    def serve(self, identity=None, **more):
        server = Server(identity or self.identity, token=TOKEN, **more)
        self.addCleanup(server.stop)
        server.on_stream.play([subscribed(), snapshot(1, GOOD)])
        return server

    def watch(self, **options):
        defaults = {"address": self.server.address, "cert": self.cert, "token_file": self.token_file, "flavor": "test_agent",
                    "display_name": "Test Agent", "backoff_min": BACKOFF_MIN, "backoff_max": BACKOFF_MAX}
        watch = Watch({name: given for name, given in {**defaults, **options}.items() if given is not None})
        self.addCleanup(watch.end)
        self.watches.append(watch)
        return watch

    def streaming(self, **options):
        """A watch that has the good state."""
        watch = self.watch(**options)
        watch.until_streaming(1)
        self.assertEqual(watch.state(), GOOD)
        return watch

    # -- what every failure is held to

    def assert_paused(self, what, count=6, first=0):
        """Between attempts, of which the first ones may have had a reason to follow at once."""
        self.server.wait_for(what, count)
        attempts = getattr(self.server, what)[first:count]
        for number, (one, other) in enumerate(zip(attempts, attempts[1:])):
            self.assertGreaterEqual(other.time - one.time, least_pause(number), number)

    def assert_memory(self, kb, limit_kb):
        if not SANITIZED:
            self.assertLess(kb, limit_kb)

    def assert_words(self, words, text):
        for word in words:
            self.assertIn(word.lower(), text.lower())

    def assert_told(self, now, error, words=(), grpc=None, state=None):
        self.assertEqual(now["error"], error, now)
        self.assert_words(words, now["message"])
        if grpc is not None:
            self.assertEqual(now["grpc_status"], grpc, now)
        if state is not None:
            self.assertEqual(now["state"], state, now)
        self.assertNotIn(TOKEN, now["message"])

    def assert_mends(self, watch, sequence=2, state=None):
        """The next stream's snapshot is taken, and the error is over."""
        count, wanted = len(self.server.streams), NEXT if state is None else state
        self.server.on_stream.play([subscribed(), snapshot(sequence, wanted)])
        for stream in self.server.open_streams:
            stream.play([snapshot(sequence, wanted)])
        # A stream of the script before may still come and go: it streams, too, for a moment.
        now = watch.until("the stream", lambda one: one["state"] == "streaming" and one["error"] == "OK" and
                          watch.state() == wanted)
        self.assertGreaterEqual(len(self.server.streams), count)
        return now

    def fails_amid(self, *steps, error, words=(), grpc=None, counter=None, mends=True, **options):
        """The steps after a good snapshot: the error, the last good state, another attempt, and that it mends."""
        self.fresh()
        self.server.on_stream.play([subscribed(), snapshot(1, GOOD)], [subscribed()])
        watch = self.streaming(**options)
        before = watch.status()["counters"]
        first = self.server.stream()
        first.play(steps)
        now = watch.until("a failure", lambda one: one["error"] != "OK")
        self.assert_told(now, error, words, grpc)
        self.assertEqual(watch.state(), GOOD, "the last good state is served")
        second = self.server.stream(2)
        eventually("the client to let go of the first stream", lambda: not first.open)
        after = watch.status()["counters"]
        self.assertEqual(after["failures"], before["failures"] + 1)
        if counter:
            self.assertEqual(after[counter], before[counter] + 1)
        self.assertTrue([line for line in watch.lines() if all(word.lower() in line.lower() for word in words)],
                        watch.lines())
        self.assertTrue(second.open)
        if mends:
            self.assert_mends(watch)
        return watch
