# relay.py: the programs that consume a stream, beside a daemon and a bridge of the test's own, or a core made of Python.
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import grpc

from bridge import BridgeCase
from harness import CLI, PATIENCE, eventually

CLIENT = os.environ["CONFIGSTREAM_CLIENT"]
RELAY = os.environ["CONFIGSTREAM_RELAY"]
COMPLETION = os.environ["COMPLETION"]


# ---- a core made of Python -------------------------------------------------------------------------------------------

def number(field, value):
    out, value = bytes([field << 3]), value & 0xffffffffffffffff
    while value > 0x7f:
        out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
    return out + bytes([value])


def nested(field, content):
    content = content.encode() if isinstance(content, str) else content
    return bytes([field << 3 | 2]) + number(0, len(content))[1:] + content


def setting(key, text, source="file"):
    return nested(1, source) + nested(2, key) + nested(3, nested(3, text))


def snapshot(sequence, *settings):
    return nested(1, nested(1, "main.yaml") + number(2, sequence) + b"".join(nested(3, each) for each in settings))


def update(sequence, changed):
    return nested(2, nested(1, "main.yaml") + number(2, sequence) + nested(3, changed))


class Core:
    """Serves each subscriber these messages, and then is quiet until it ends."""

    def __init__(self, case, messages, path=None, register=None):
        self.messages, self.path, self.register = messages, path, register
        self.streams = 0
        self.over = threading.Event()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        calls = {"/datadog.remoteagent.v1.RemoteAgent/RegisterRemoteAgent": self.take_registration,
                 "/datadog.remoteagent.v1.RemoteAgent/RefreshRemoteAgent": lambda message, context: b""}

        class Handler(grpc.GenericRpcHandler):
            def service(_, details):
                if details.method in calls:
                    return grpc.unary_unary_rpc_method_handler(calls[details.method])
                if details.method == "/datadog.api.v1.AgentSecure/StreamConfigEvents":
                    return grpc.unary_stream_rpc_method_handler(self.stream)
                return None

        self.server.add_generic_rpc_handlers((Handler(),))
        with open(case.certificate, "rb") as file:
            pem = file.read()
        key = re.search(b"-----BEGIN EC PRIVATE KEY-----.*?-----END EC PRIVATE KEY-----\n", pem, re.S)[0]
        certificate = re.search(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S)[0]
        self.port = self.server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)], certificate, True))
        self.server.start()
        case.addCleanup(self.end)

    def take_registration(self, message, context):
        if self.register:
            context.abort(*self.register)
        return nested(1, "6ba7b810-9dad-41d1-80b4-00c04fd430c8") + number(2, 10)

    def stream(self, message, context):
        self.streams += 1
        if self.path:
            context.send_initial_metadata([("configstream-path", ",".join(self.path))])
        context.add_callback(self.over.set)
        yield from self.messages
        self.over.wait(PATIENCE)

    def end(self):
        self.over.set()
        self.server.stop(0).wait(PATIENCE)


# ---- programs --------------------------------------------------------------------------------------------------------

class ConsumerCase(BridgeCase):
    """The core's host: a daemon and a bridge; the other host is another instance, `far`."""

    def setUp(self):
        super().setUp()
        self.core = self.instance # a test may go on as a daemon of the other one
        self.far = self.instance + "-far"
        self.relay = None
        self.relay_log = os.path.join(self.folder, "relay.log")
        self.write(self.relay_log, "")

    def tearDown(self):
        super().tearDown()
        for name in os.listdir("/dev/shm"):
            if re.fullmatch(r"configstream\.%s(-.*)?(\.lock)?" % re.escape(self.core), name):
                os.unlink("/dev/shm/" + name)

    def start_core(self, *flags):
        self.start()
        self.start_bridge("--registry-refresh-interval", "1s", *flags)

    def serve_with_another_bridge(self, instance):
        """Beside the one that runs; from then on it is `the` bridge."""
        near = self.instance
        self.instance, self.port, self.metrics_port = instance, None, None
        self.status_socket = os.path.join(self.folder, instance + ".sock")
        self.start_bridge()
        self.instance = near

    def make_credentials(self):
        self.start_bridge()
        self.end_bridge()

    # -- the client

    def client_arguments(self, *more, port=None):
        return [CLIENT, "--ipc-address", "127.0.0.1:%d" % (port or self.port), "--agent-cert-file", self.certificate,
                "--agent-auth-token-file", self.token, *more]

    def client(self, *more, code=0, port=None, **options):
        result = subprocess.run(self.client_arguments(*more, port=port), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, timeout=PATIENCE, **options)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def client_json(self, *more, **options):
        return [json.loads(line) for line in self.client("--json", *more, **options).stdout.splitlines()]

    def watched(self, *more, until="snapshot #", arguments=None, **options):
        """What a client says that passes.  It is asked to end once it has said `until`, however long that takes."""
        process = subprocess.Popen([*(arguments or self.client_arguments(*more)), "--duration", "1h"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.processes.append(process)
        said = ""
        while until not in said:
            line = process.stdout.readline()
            if not line:
                self.fail("it ended with %d: %s%s" % (process.wait(PATIENCE), said, process.stderr.read()))
            said += line
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
        self.assertEqual(process.wait(PATIENCE), 0, said + process.stderr.read())
        return said

    # -- the relay

    def relay_arguments(self, *more, instance=None, port=None):
        return [RELAY, "--instance", instance or self.far, "--connect", "127.0.0.1:%d" % (port or self.port), "--cert",
                self.certificate, "--auth-token-file", self.token, "--backoff-min", "50ms", "--backoff-max", "200ms", *more]

    def spawn_relay(self, *more, **options):
        with open(self.relay_log, "a") as log:
            process = subprocess.Popen(self.relay_arguments(*more, **options), stderr=log)
        self.processes.append(process)
        return process

    def start_relay(self, *more, **options):
        """Ready when it follows the stream."""
        self.relay = self.spawn_relay(*more, **options)
        instance = options.get("instance") or self.far

        def up():
            if self.relay.poll() is not None:
                raise AssertionError("the relay ended: " + self.read(self.relay_log))
            status = self.status(instance)
            return status and status["pid"] == self.relay.pid and status["relay"] and status["relay"]["connected"]

        eventually("the relay", up)

    def end_relay(self, sig=signal.SIGTERM):
        self.relay.send_signal(sig)
        return self.relay.wait(PATIENCE)

    def refuse_relay(self, *more, **options):
        """A relay that ends by itself: its exit status and words."""
        result = subprocess.run(self.relay_arguments(*more, **options), capture_output=True, text=True, timeout=PATIENCE)
        return result.returncode, result.stderr

    def relay_says(self, text):
        eventually("the log line '%s'" % text, lambda: text in self.read(self.relay_log))

    # -- the command line on the other host

    def far_cli(self, *arguments, instance=None, code=0):
        result = subprocess.run([CLI, "--instance", instance or self.far, *arguments], capture_output=True, text=True,
                                timeout=PATIENCE * 2)
        if code is not None:
            self.assertEqual(result.returncode, code, "%s: %s%s" % (arguments, result.stdout, result.stderr))
        return result

    def status(self, instance=None):
        """None: there is none."""
        text = self.far_cli("status", "--json", instance=instance, code=None).stdout
        return json.loads(text) if text else None

    def settings(self, instance):
        """{key: (value, source)}, secrets and all."""
        lines = self.far_cli("list", "--show-secrets", "--json", instance=instance).stdout.splitlines()
        return {line["key"]: (line["value"], line["source"]) for line in map(json.loads, lines)}

    def agree(self, instance=None):
        """Until both hosts have the same last ID; then they have the same settings."""
        instance = instance or self.far
        eventually("the same ID", lambda: self.status(instance)["sequence"] == self.status(self.instance)["sequence"])
        self.assertEqual(self.settings(instance), self.settings(self.instance))

    def watch(self, instance):
        process = subprocess.Popen([CLI, "--instance", instance, "--json", "watch"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process


def beside(case):
    """A folder with the command line and the client beside it, as they are installed: the command line in it."""
    folder = os.path.join(case.folder, "bin")
    os.mkdir(folder)
    shutil.copy(CLI, folder + "/configstream")
    shutil.copy(CLIENT, folder + "/configstream-client")
    return folder + "/configstream"
