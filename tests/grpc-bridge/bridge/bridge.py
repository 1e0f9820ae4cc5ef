# bridge.py: a bridge of the test's own beside its daemon, and an agent that uses it.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import grpc

from harness import PATIENCE, Case, eventually

BRIDGE = os.environ["CONFIGSTREAM_BRIDGE"]


# ---- just enough protobuf -------------------------------------------------------------------------------------------

def texts(*values):
    """A message whose fields 1, 2, ... are texts."""
    return b"".join(bytes([number << 3 | 2, len(value)]) + value.encode()
                    for number, value in enumerate(values, 1) if value)


def varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7f) << shift
        at, shift, last = at + 1, shift + 7, data[at] < 0x80
        if last:
            return number, at


def fields(data):
    """{number: last value} of numbers and lengths-and-bytes."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        found[tag >> 3] = value
    return found


# ---- an agent -------------------------------------------------------------------------------------------------------

class Agent:
    def __init__(self, case, port, pem, token):
        self.metadata = [("authorization", "Bearer " + token)]
        key = re.search(b"-----BEGIN EC PRIVATE KEY-----.*?-----END EC PRIVATE KEY-----\n", pem, re.S)[0]
        certificate = re.search(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S)[0]
        self.channel = grpc.secure_channel("localhost:%d" % port,
                                           grpc.ssl_channel_credentials(certificate, key, certificate))
        case.addCleanup(self.channel.close)

    def call(self, path, message=b""):
        return self.channel.unary_unary(path)(message, metadata=self.metadata, timeout=PATIENCE)

    def register(self, name="Test Agent"):
        """Session and recommended interval."""
        answer = fields(self.call("/datadog.remoteagent.v1.RemoteAgent/RegisterRemoteAgent",
                                  texts(str(os.getpid()), "test_agent", name, "https://configstream-consumer/test")))
        return answer[1].decode(), answer.get(2, 0)

    def stream(self, session):
        return self.channel.unary_stream("/datadog.api.v1.AgentSecure/StreamConfigEvents")(
            texts("test"), metadata=self.metadata + [("session_id", session)])


# ---- just enough HTTP/2 ----------------------------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS = 1, 4
END_HEADERS = 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def header(name, value):
    """Literal, without a table."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def half_a_call(token):
    """A request whose message is still to come."""
    headers = {":method": "POST", ":scheme": "https", ":path": "/datadog.api.v1.Agent/GetHostname",
               ":authority": "localhost", "te": "trailers", "content-type": "application/grpc",
               "authorization": "Bearer " + token}
    return frame(HEADERS, END_HEADERS, 1, b"".join(header(*pair) for pair in headers.items()))


# ---- a bridge -------------------------------------------------------------------------------------------------------

class BridgeCase(Case):
    def setUp(self):
        super().setUp()
        self.bridge = None
        self.host = "127.0.0.1"
        self.port = self.metrics_port = None
        self.certificate = os.path.join(self.folder, "ipc_cert.pem")
        self.token = os.path.join(self.folder, "auth_token")
        self.status_socket = os.path.join(self.folder, self.instance + ".bridge.sock")
        self.bridge_log = os.path.join(self.folder, "bridge.log")
        self.write(self.bridge_log, "")

    def bridge_arguments(self, *more):
        return [BRIDGE, "--instance", self.instance, "--listen", "%s:%d" % (self.host, self.port or 0), "--metrics",
                "127.0.0.1:%d" % (self.metrics_port or 0), "--control", self.status_socket, "--cert", self.certificate,
                "--auth-token-file", self.token, *more]

    def spawn_bridge(self, *more, **options):
        with open(self.bridge_log, "a") as log:
            process = subprocess.Popen(self.bridge_arguments(*more), stderr=log, **options)
        self.processes.append(process)
        return process

    def start_bridge(self, *more, **options):
        """Ready when its last line at the start is in the log; says which ports it got."""
        before = self.read(self.bridge_log)
        self.bridge = self.spawn_bridge(*more, **options)

        def up():
            if self.bridge.poll() is not None:
                raise AssertionError("the bridge ended: " + self.read(self.bridge_log))
            return "/metrics" in self.read(self.bridge_log)[len(before):]

        eventually("the bridge", up)
        said = self.read(self.bridge_log)[len(before):]
        self.port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", said)[1])
        self.metrics_port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", said)[1])

    def refuse(self, *more, **options):
        """A bridge that does not start: its exit status and words."""
        result = subprocess.run(self.bridge_arguments(*more), capture_output=True, text=True, timeout=PATIENCE, **options)
        return result.returncode, result.stderr

    def end_bridge(self, sig=signal.SIGTERM):
        self.bridge.send_signal(sig)
        return self.bridge.wait(PATIENCE)

    def says(self, text):
        eventually("the log line '%s'" % text, lambda: text in self.read(self.bridge_log))

    def agent(self):
        with open(self.certificate, "rb") as file:
            return Agent(self, self.port, file.read(), self.read(self.token))

    # -- HTTP

    def http(self, path, method="GET", data=None):
        """Status and text."""
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.metrics_port, path), data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self):
        """{name with labels: number}"""
        status, page = self.http("/metrics")
        self.assertEqual(status, 200)
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line[0] != "#"}

    # -- a connection without a client behind it

    def connect(self, more=b""):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificate)
        context.load_cert_chain(self.certificate)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        connection = context.wrap_socket(plain, server_hostname="localhost")
        self.addCleanup(connection.close)
        before = self.metrics()["configstream_bytes_received"]
        words = PREFACE + frame(SETTINGS, 0, 0) + more
        connection.sendall(words)
        eventually("the connection", lambda: self.metrics()["configstream_bytes_received"] >= before + len(words))
        return connection
