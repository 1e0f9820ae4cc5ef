# harness.py: a world of one's own (producer, bridge, metrics, log) and clients in it, of whichever stack $CLIENT is.
# SPDX-License-Identifier: Apache-2.0
import ctypes
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

CLIENT = shlex.split(os.environ["CLIENT"])
CLI = os.environ["CONFIGSTREAM"]
DAEMON = os.environ["CONFIGSTREAMD"]
BRIDGE = os.environ["CONFIGSTREAM_BRIDGE"]
PATIENCE = 120  # seconds until a condition counts as never coming true
RECEIVE_MAX = 128 << 20

REGISTRATION = {"display_name": "Test Agent", "api_endpoint_uri": "localhost:0"}
MAIN = "cmd_port: 6001\nsite: example.com\n"
DEFAULTS = """\
cmd_port: 5001
site: ""
hostname: ""
number: 0
text: ""
large: {value0: "", value1: "", value2: "", value3: "", value4: "", value5: "", value6: ""}
remote_agent:
  registry:
    enabled: true
"""

PRCTL = ctypes.CDLL(None).prctl
PR_SET_PDEATHSIG = 1

numbers = itertools.count()


def start(arguments, log, **more):
    """A program that does not outlive us, whatever ends us."""
    with open(log, "a") as file:
        return subprocess.Popen(arguments, stderr=file, preexec_fn=lambda: PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL), **more)


def eventually(what, condition):
    give_up = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > give_up:
            raise AssertionError("gave up waiting for " + what)
        time.sleep(0.01)


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


def write(path, content):
    """At once, as rotation does it."""
    with open(path + ".new", "w" if isinstance(content, str) else "wb") as file:
        file.write(content)
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)


class Process:
    """A program of ours with a log."""

    def __init__(self, log, arguments):
        self.process = start(arguments, log, stdout=subprocess.DEVNULL)
        self.log = log

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self):
        """By SIGTERM: its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def check(self):
        if self.process.poll() is not None:
            raise AssertionError("it ended with %d: %s" % (self.process.returncode, read(self.log)))


class Credentials:
    """A certificate file and a token file."""

    def __init__(self, folder):
        self.cert = os.path.join(folder, "ipc_cert.pem")
        self.token_file = os.path.join(folder, "auth_token")

    @property
    def token(self):
        return read(self.token_file).strip()

    def copy_to(self, other):
        for here, there in ((self.cert, other.cert), (self.token_file, other.token_file)):
            with open(here, "rb") as file:
                write(there, file.read())


class Bridge(Process):
    def __init__(self, folder, instance, flags=(), port=0):
        os.makedirs(folder, exist_ok=True)
        self.credentials = Credentials(folder)
        log = os.path.join(folder, "bridge.log")
        known = len(read(log)) if os.path.exists(log) else 0
        super().__init__(log, [
            BRIDGE, "--instance", instance, "--listen", "127.0.0.1:%d" % port, "--metrics", "127.0.0.1:0",
            "--control", os.path.join(folder, "bridge.sock"), "--cert", self.credentials.cert,
            "--auth-token-file", self.credentials.token_file, "--workers", "2", "--log-level", "info", *flags])
        self.metrics = self.says(r"metrics on (http://\S+)", known)
        self.address = self.says(r"listening on (\S+)", known)

    def says(self, pattern, since=0):
        def look():
            self.check()
            return re.search(pattern, read(self.log)[since:])

        return eventually("the log line '%s'" % pattern, look).group(1)

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def metric(self, name):
        with urllib.request.urlopen(self.metrics, timeout=PATIENCE) as page:
            found = re.findall(r"(?m)^configstream_%s(?:\{[^}]*\})? (\S+)$" % name, page.read().decode())
        if not found:
            raise AssertionError("there is no metric " + name)
        return sum(float(value) for value in found)


class Producer(Process):
    def __init__(self, folder, instance, flags=()):
        self.instance = instance
        self.socket = os.path.join(folder, "daemon.sock")
        self.config = os.path.join(folder, "datadog.yaml")
        defaults = os.path.join(folder, "defaults.yaml")
        if not os.path.exists(self.config):
            write(self.config, MAIN)
            write(defaults, DEFAULTS)
        super().__init__(os.path.join(folder, "daemon.log"), [
            DAEMON, "--instance", instance, "--config", self.config, "--defaults", defaults, "--control", self.socket,
            "--no-watch", *flags])
        eventually("the producer", self.up)

    def up(self):
        self.check()
        status = self.try_cli("status", "--json")
        if status.returncode != 0 or json.loads(status.stdout)["pid"] != self.process.pid:
            return False
        # An arena that was taken over is there before the control socket is.
        return self.try_cli("get", "cmd_port", "--all-sources").returncode in (0, 3) and \
            self.try_cli("wait", "--timeout", "30").returncode == 0

    def try_cli(self, *arguments):
        return subprocess.run([CLI, "--instance", self.instance, *arguments], capture_output=True, text=True,
                              timeout=PATIENCE)

    def cli(self, *arguments):
        result = self.try_cli("--json", *arguments)
        if result.returncode != 0:
            raise AssertionError("%s: %s" % (arguments, result.stderr))
        return result.stdout

    def set(self, key, value):
        """Its ID."""
        return json.loads(self.cli("set", key, "--value-json", json.dumps(value)))["sequence"]

    def load(self, text):
        """What the main file says now; the last ID."""
        write(self.config, text)
        self.cli("reload")
        return self.sequence()

    def sequence(self):
        return json.loads(self.cli("wait"))["sequence"]

    def settings(self, prefix=""):
        """As they are read locally: key to source and value."""
        lines = self.cli("list", "--show-secrets", *([prefix] if prefix else [])).splitlines()
        return {one["key"]: [one["source"], one["value"]] for one in map(json.loads, lines)}


class Client:
    """A client program, told what to do by lines: client.py says what there is."""

    def __init__(self, log, environment=None):
        self.log = log
        self.process = start(CLIENT, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, **(environment or {})})

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def begin(self, command, **words):
        pairs = ("%s=%s" % (name, urllib.parse.quote(str(value), safe="")) for name, value in words.items()
                 if value is not None)
        self.process.stdin.write(" ".join((command, *pairs)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the client ended: " + read(self.log))
        pairs = (word.split("=", 1) for word in line.split())
        return {urllib.parse.unquote(name): urllib.parse.unquote(value) for name, value in pairs}

    def tell(self, command, **words):
        self.begin(command, **words)
        return self.answer()


class Agent:
    """A client with one connection, its session, and one stream at a time."""

    def __init__(self, client, channel, bridge, **connection):
        self.client, self.channel, self.bridge = client, channel, bridge
        credentials = bridge.credentials
        self.token = credentials.token
        self.session = None
        client.tell("connect", **{"channel": channel, "address": bridge.address, "ca": credentials.cert,
                                  "cert": credentials.cert, "key": credentials.cert, "receive_max": RECEIVE_MAX,
                                  **connection})

    def call(self, command, **words):
        return self.client.tell(command, **{"channel": self.channel, "token": self.token, **words})

    def register(self, **words):
        answer = self.call("register", **{**REGISTRATION, **words})
        self.session = answer.get("session")
        return answer

    def refresh(self, **words):
        return self.call("refresh", **{"of": self.session, **words})

    def subscribe(self, **words):
        """The stream's name is the channel's."""
        self.call("subscribe", **{"name": self.channel, "session": self.session, **words})

    def join(self, **words):
        """Register, and have a stream that is up to date with what there is."""
        answer = self.register(wait=1)
        if answer["status"] != "OK":
            raise AssertionError("no session: %s" % answer)
        self.subscribe(**words)
        return self.first()

    def look(self):
        look = self.client.tell("look", channel=self.channel)
        return {name: value if name in ("origin", "path", "status", "message") else int(value)
                for name, value in look.items()}

    def first(self):
        return self.until("a snapshot", lambda look: look["snapshots"] > 0)

    def reach(self, sequence):
        return self.until("ID %d" % sequence, lambda look: look["last"] >= sequence)

    def until(self, what, condition):
        def done():
            look = self.look()
            if not condition(look) and "status" in look:
                raise AssertionError("the stream ended before %s: %s" % (what, look))
            return look if condition(look) else None

        return eventually(what + " on stream " + self.channel, done)

    def end(self):
        """Of the stream: status and message."""
        look = eventually("the stream's end", lambda: (lambda look: look if "status" in look else None)(self.look()))
        return look["status"], look["message"]

    def values(self, prefix=""):
        answer = self.client.tell("values", channel=self.channel, prefix=prefix)
        return {key: json.loads(value) for key, value in answer.items()}


class World(unittest.TestCase):
    """One world for all the tests of a class.  Each test has its own channels and streams, and changes back nothing."""
    producer_flags = bridge_flags = ()
    client_environment = {}
    with_producer = True

    @classmethod
    def setUpClass(cls):
        cls.instance = "test-clients-%d-%d" % (os.getpid(), next(numbers))
        cls.folder = tempfile.mkdtemp(prefix="configstream-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.addClassCleanup(cls.remove_arena)
        cls.client = cls.new_client(**cls.client_environment)
        cls.producer = cls.bridge = None
        if cls.with_producer:
            cls.start_producer()
        cls.start_bridge()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        status = cls.bridge.process.poll()
        if status is None:
            status = cls.bridge.end()
        if cls.producer is not None:
            cls.producer.kill()
        if status != 0:
            raise AssertionError("the bridge ended with %d: %s" % (status, read(cls.bridge.log)))

    @classmethod
    def remove_arena(cls):
        for suffix in ("", ".lock"):
            try:
                os.unlink("/dev/shm/configstream." + cls.instance + suffix)
            except FileNotFoundError:
                pass

    @classmethod
    def start_producer(cls):
        cls.producer = Producer(cls.folder, cls.instance, cls.producer_flags)

    @classmethod
    def start_bridge(cls, port=0):
        cls.bridge = Bridge(os.path.join(cls.folder, "bridge"), cls.instance, cls.bridge_flags, port)

    @classmethod
    def new_client(cls, **environment):
        client = Client(os.path.join(cls.folder, "client-%d.log" % next(numbers)), environment)
        cls.addClassCleanup(client.close)
        return client

    @classmethod
    def other_credentials(cls):
        """As valid as ours, for another bridge: bridges make what is missing."""
        folder = os.path.join(cls.folder, "other-%d" % next(numbers))
        other = Bridge(folder, cls.instance)
        other.end()
        return other.credentials

    def setUp(self):
        self.bridge.check()

    def agent(self, client=None, bridge=None, **connection):
        agent = Agent(client or self.client, "c%d" % next(numbers), bridge or self.bridge, **connection)
        if client is None:
            self.addCleanup(self.client.tell, "disconnect", channel=agent.channel)
        return agent

    def assert_status(self, answer, status, text=""):
        self.assertEqual(answer["status"], status, answer)
        self.assertIn(text, answer.get("message", ""))

    def assert_well(self, look):
        """A snapshot first, IDs without a gap, and still open."""
        self.assertEqual((look["mistakes"], look.get("status")), (0, None), look)

    def assert_same_view(self, agent):
        self.assertEqual(agent.values(), self.producer.settings())
