# server.py: a core agent that plays what a test wrote for it: real sockets, real TLS, every frame made by hand.
#
# What is asked of it (a connection, a registration, a refresh, a stream) is answered by scripts, lists of steps; a step is a
# function of the connection or call it is about.  server.on_stream.play([snapshot(1, {}), status(14)], [snapshot(2, {})])
# makes the first stream play the first script and all later ones the last.  A script that has ended leaves its call open,
# and the test goes on with it by the same steps: server.stream().do(update(3, "site", "x")).
#
# Whatever is not scripted is done right: SETTINGS and PING are acknowledged, windows kept, sessions known.
# SPDX-License-Identifier: Apache-2.0
import socket
import ssl
import struct
import select
import threading
import time
import uuid

import hpack

import wire

PATIENCE = 120  # seconds until a condition counts as never coming true
REGISTER, REFRESH, STREAM = "RegisterRemoteAgent", "RefreshRemoteAgent", "StreamConfigEvents"
NEW_SERVICE, OLD_SERVICE = "/datadog.remoteagent.v1.RemoteAgent/", "/datadog.api.v1.AgentSecure/"


def eventually(what, condition):
    give_up = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > give_up:
            raise AssertionError("gave up waiting for " + (what if isinstance(what, str) else what()))
        time.sleep(0.005)


class Gone(Exception):
    """The connection or the call is over: its script ends here."""


# ---- steps of a connection ------------------------------------------------------------------------------------------


def handshake():
    return lambda connection: connection.handshake()


def settings(**amounts):
    """As the first frame: settings(max_streams=1)."""
    numbers = {"table": 1, "push": 2, "max_streams": 3, "window": 4, "max_frame": 5, "header_list": 6}
    pairs = [(numbers[name], amount) for name, amount in amounts.items()]
    return lambda connection: connection.say(wire.settings_frame(pairs))


def say(*pieces):
    """These very bytes, inside TLS once there is TLS."""
    return lambda connection: [connection.say(piece) for piece in pieces]


def close():
    """The connection, without a word."""
    return lambda one: one.connection.close()


def abort():
    """The connection, by a TCP reset."""
    return lambda one: one.connection.close(reset=True)


def silence():
    """Nothing more is read or answered, and nothing is closed."""
    return lambda one: one.connection.fall_silent()


def goaway(code=wire.NO_ERROR, last=None, words=b""):
    return lambda one: one.connection.say(wire.goaway(one.connection.last_stream if last is None else last, code, words))


# ---- steps of a call ------------------------------------------------------------------------------------------------


def headers(*more, code="200", kind="application/grpc"):
    pairs = ([(":status", code)] if code else []) + ([("content-type", kind)] if kind else []) + list(more)
    return lambda call: call.headers(pairs)


def raw_headers(block):
    return lambda call: call.raw_headers(block)


def snapshot(sequence, state, **more):
    return lambda call: call.message(wire.snapshot(sequence, state, **more))


def update(sequence, key, *rest, **more):
    """update(2, "site", "x", "cli")"""
    return lambda call: call.message(wire.update(sequence, wire.setting(key, *rest, **more)))


def message(body, **more):
    return lambda call: call.data(wire.message(body, **more))


def raw(data):
    """Bytes of the body, prefix or not."""
    return lambda call: call.data(data)


def frames(*made):
    """Whole frames, made of the stream's number: frames(lambda stream: wire.frame(...))."""
    return lambda call: [call.connection.say(one(call.number)) for one in made]


def status(code, words="", *more):
    """Trailers; alone if nothing was sent before."""
    return lambda call: call.trailers([("grpc-status", str(code)), *([("grpc-message", words)] if words else []), *more])


def trailers(*pairs):
    return lambda call: call.trailers(list(pairs))


def reset(code=wire.CANCEL):
    return lambda call: call.reset(code)


def answer(body):
    """Of a unary call."""
    return lambda call: [call.message(body), call.trailers([("grpc-status", "0")])]


def session(name=None, interval=10):
    """A registration that succeeds."""
    return lambda call: call.server.new_session(call, name, interval)


def refreshed():
    return lambda call: call.server.refresh(call)


def subscribed():
    """Is the session known?"""
    return lambda call: call.server.check_session(call)


def never():
    return lambda call: None


def forget():
    """All sessions."""
    return lambda one: one.server.sessions.clear()


# ---- scripts --------------------------------------------------------------------------------------------------------


class Part:
    """Which script is played the next time."""

    def __init__(self, *scripts):
        self.lock = threading.Lock()
        self.play(*scripts)

    def play(self, *scripts):
        with self.lock:
            self.scripts = list(scripts)

    def take(self):
        with self.lock:
            return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]


# ---- a call ---------------------------------------------------------------------------------------------------------


class Call:
    def __init__(self, connection, number, fields):
        self.connection, self.server, self.number = connection, connection.server, number
        self.time = time.monotonic()
        self.fields = fields  # in order, as they came
        self.body = bytearray()
        self.begun = self.ended = False
        self.cancelled = None  # the code of the client's RST_STREAM
        self.window = connection.peer_window
        self.played = threading.Event()

    def __getitem__(self, name):
        """A header's first value, or None."""
        return next((text for key, text in self.fields if key == name), None)

    @property
    def path(self):
        return self[":path"]

    @property
    def request(self):
        """{number: last content} of the message."""
        return dict(wire.fields(bytes(self.body[5:])))

    @property
    def open(self):
        return not self.ended and self.cancelled is None and not self.connection.closed

    def do(self, *steps):
        for step in steps:
            step(self)

    def play(self, script):
        try:
            self.do(*script)
        except (Gone, OSError):
            pass
        finally:
            self.played.set()

    def check(self):
        if not self.open:
            raise Gone

    # -- what is sent

    def raw_headers(self, block, flags=wire.END_HEADERS):
        self.check()
        self.begun = True
        self.connection.say(wire.frame(wire.HEADERS, flags, self.number, block))

    def headers(self, pairs):
        self.raw_headers(wire.header_block(pairs))

    def begin(self):
        if not self.begun:
            self.headers([(":status", "200"), ("content-type", "application/grpc"), *self.server.metadata])

    def message(self, body):
        self.data(wire.message(body))

    def data(self, data):
        """As far as the client's windows allow; waits for them."""
        self.begin()
        rest = memoryview(data)
        while True:
            size = self.connection.take_window(self, len(rest))
            self.connection.say(wire.frame(wire.DATA, 0, self.number, bytes(rest[:size])))
            rest = rest[size:]
            if not rest:
                return

    def padded(self, data):
        """One frame, with as much padding as there may be."""
        payload = bytes([255]) + data + bytes(255)
        granted = 0
        while granted < len(payload):
            granted += self.connection.take_window(self, len(payload) - granted)
        self.connection.say(wire.frame(wire.DATA, wire.PADDED, self.number, payload))

    def trailers(self, pairs):
        self.check()
        first = [] if self.begun else [(":status", "200"), ("content-type", "application/grpc")]
        self.raw_headers(wire.header_block(first + pairs), wire.END_HEADERS | wire.END_STREAM)
        self.end()

    def reset(self, code):
        self.check()
        self.connection.say(wire.frame(wire.RST_STREAM, 0, self.number, struct.pack(">I", code)))
        self.end()

    def end(self):
        self.ended = True
        self.end_time = time.monotonic()


# ---- a connection ---------------------------------------------------------------------------------------------------


class Connection:
    def __init__(self, server, plain):
        self.server, self.socket, self.connection = server, plain, self
        self.time = time.monotonic()
        self.lock = threading.Lock()  # OpenSSL wants one thread at a time
        self.writing = threading.Lock()  # and a write that found no room repeated before another
        self.windows = threading.Condition()
        self.closed = self.silent = self.up = False
        self.error = None  # what the handshake met
        self.peer_window, self.window, self.peer_frame = 65535, 65535, 16384
        self.peer_settings = {}
        self.calls = {}
        self.last_stream = 0
        self.pings, self.acks, self.goaways, self.received = 0, 0, [], 0
        self.decoder = hpack.Decoder()
        self.block = None  # a header block that goes on in CONTINUATION
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self):
        try:
            for step in self.server.on_connect.take():
                step(self)
            if self.up and not self.closed:
                self.read_all()
        except (Gone, OSError, ssl.SSLError) as error:
            self.error = self.error or error
        if not self.silent:
            self.close()

    def handshake(self):
        try:
            self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self.error = error
            raise
        self.socket.setblocking(False)
        self.up = True

    # -- bytes

    def wait(self, what):
        poll = select.poll()
        poll.register(self.socket, what)
        poll.poll(1000)
        if self.closed:
            raise Gone

    def say(self, data):
        with self.writing:
            if not self.up:
                self.socket.sendall(data)
                return
            rest = memoryview(data)
            while rest:
                if self.closed:
                    raise Gone
                try:
                    with self.lock:
                        sent = self.socket.send(rest)
                    rest = rest[sent:]
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    self.wait(select.POLLOUT)
                except OSError as error:  # the client has closed it
                    raise Gone from error

    def receive(self):
        while not self.silent:
            try:
                with self.lock:
                    return self.socket.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self.wait(select.POLLIN)
        raise Gone

    def fall_silent(self):
        self.silent = True

    def close(self, reset=False):
        with self.windows:
            first, self.closed = not self.closed, True
            self.windows.notify_all()
        if not first:
            return
        try:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client was first
        with self.writing, self.lock:
            self.socket.close()

    # -- frames

    def read_all(self):
        buffer = bytearray()
        preface = False
        while True:
            got = self.receive()
            if not got:
                raise Gone
            self.received += len(got)
            buffer += got
            if not preface and len(buffer) >= len(wire.PREFACE):
                if not buffer.startswith(wire.PREFACE):
                    raise Gone
                del buffer[:len(wire.PREFACE)]
                preface = True
            while preface and len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                length = int.from_bytes(buffer[:3], "big")
                self.take(buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big"), bytes(buffer[9:9 + length]))
                del buffer[:9 + length]

    def take(self, kind, flags, number, payload):
        if kind == wire.SETTINGS and not flags & wire.ACK:
            self.take_settings(payload)
        elif kind == wire.SETTINGS:
            self.acks += 1
        elif kind == wire.PING and not flags & wire.ACK:
            self.pings += 1
            if self.server.answers_pings:
                self.say(wire.frame(wire.PING, wire.ACK, 0, payload))
        elif kind == wire.WINDOW_UPDATE:
            self.widen(number, struct.unpack(">I", payload)[0])
        elif kind == wire.GOAWAY:
            self.goaways.append(struct.unpack(">I", payload[4:8])[0])
        elif kind == wire.RST_STREAM and number in self.calls:
            with self.windows:
                self.calls[number].cancelled = struct.unpack(">I", payload)[0]
                self.windows.notify_all()
        elif kind in (wire.HEADERS, wire.CONTINUATION):
            self.take_headers(kind, flags, number, payload)
        elif kind == wire.DATA and number in self.calls:
            self.calls[number].body += payload
            if flags & wire.END_STREAM and not self.server.answers_early:
                self.dispatch(self.calls[number])

    def take_settings(self, payload):
        for number, amount in struct.iter_unpack(">HI", payload):
            self.peer_settings[number] = amount
            if number == wire.INITIAL_WINDOW:
                with self.windows:
                    for call in self.calls.values():
                        call.window += amount - self.peer_window
                    self.peer_window = amount
                    self.windows.notify_all()
        if self.server.acknowledges_settings:
            self.say(wire.frame(wire.SETTINGS, wire.ACK, 0))

    def take_headers(self, kind, flags, number, payload):
        if kind == wire.HEADERS:
            padding = payload[0] if flags & wire.PADDED else 0
            payload = payload[(1 if flags & wire.PADDED else 0) + (5 if flags & wire.PRIORITISED else 0):]
            self.block = bytearray(payload[:len(payload) - padding])
            self.block_ends = flags & wire.END_STREAM
        else:
            self.block += payload
        if not flags & wire.END_HEADERS:
            return
        call = Call(self, number, [(str(name), str(text)) for name, text in self.decoder.decode(bytes(self.block))])
        self.calls[number] = call
        self.last_stream = max(self.last_stream, number)
        if self.block_ends or self.server.answers_early:
            self.dispatch(call)

    def widen(self, number, amount):
        with self.windows:
            if number == 0:
                self.window += amount
            elif number in self.calls:
                self.calls[number].window += amount
            self.windows.notify_all()

    def take_window(self, call, wanted):
        with self.windows:
            while wanted and call.open and min(call.window, self.window) <= 0:
                self.windows.wait(1)
            call.check()
            size = min(wanted, call.window, self.window, self.peer_frame)
            call.window -= size
            self.window -= size
            return size

    def dispatch(self, call):
        part = self.server.called(call)
        threading.Thread(target=call.play, args=(part.take(),), daemon=True).start()


# ---- the server -----------------------------------------------------------------------------------------------------


class Server:
    def __init__(self, identity, host="127.0.0.1", port=0, alpn=("h2",), client_ca=None, token=None):
        self.identity, self.token, self.metadata = identity, token, []
        self.answers_pings = self.acknowledges_settings = True
        self.answers_early = False  # what the headers ask for, whether the message comes or not
        self.requires_session = True
        self.sessions, self.connections, self.calls = {}, [], []
        self.on_connect = Part([handshake(), settings()])
        self.on_register = Part([session()])
        self.on_old_register = Part([session()])
        self.on_refresh = Part([refreshed()])
        self.on_stream = Part([subscribed()])
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.present(identity, client_ca)
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family, backlog=128)
        self.host, self.port = host, self.listener.getsockname()[1]
        self.stopped = False
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def present(self, identity, client_ca=None):
        """From the next connection on."""
        self.context.load_cert_chain(identity.certificate, identity.key)
        self.context.load_verify_locations((client_ca or identity).certificate)
        self.context.verify_mode = ssl.CERT_REQUIRED

    @property
    def address(self):
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)

    def accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            if self.stopped:
                plain.close()
                return
            connection = Connection(self, plain)
            self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def forget(self):
        """What came so far."""
        self.drop()
        self.connections, self.calls, self.sessions = [], [], {}

    def drop(self):
        """All connections, as a crash would."""
        for connection in list(self.connections):
            connection.close()

    def stop(self):
        self.stopped = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join()
        self.drop()

    # -- what is done right

    def called(self, call):
        self.calls.append(call)
        if self.token is not None and (call["authorization"] or "").lower() != "bearer " + self.token:
            return Part([status(16, "invalid auth token: invalid session token")])
        name = call.path.rpartition("/")[2]
        if name == REGISTER:
            return self.on_register if call.path.startswith(NEW_SERVICE) else self.on_old_register
        return {REFRESH: self.on_refresh, STREAM: self.on_stream}.get(name) or Part([status(12, "unknown method")])

    def new_session(self, call, name, interval):
        name = name or str(uuid.uuid4())
        self.sessions[name] = call
        answer(wire.field(1, name) + (wire.field(2, interval) if interval else b""))(call)

    def refresh(self, call):
        name = call.request.get(1, b"").decode()
        step = answer(b"") if name in self.sessions else status(5, "no remote agent found with session ID")
        step(call)

    def check_session(self, call):
        name = call["session_id"]
        if self.requires_session and not name:
            status(16, "session_id required in metadata")(call)
            raise Gone
        if self.requires_session and name not in self.sessions:
            status(7, "session_id '%s' not found" % name)(call)
            raise Gone
        call.begin()

    # -- what came

    def of(self, name):
        return [call for call in list(self.calls) if call.path.endswith("/" + name)]

    @property
    def registrations(self):
        return self.of(REGISTER)

    @property
    def refreshes(self):
        return self.of(REFRESH)

    @property
    def streams(self):
        return self.of(STREAM)

    @property
    def open_streams(self):
        return [call for call in self.streams if call.open]

    def wait_for(self, what, count):
        """Until so many of `what` have come: the last of them."""
        def look():
            found = getattr(self, what)
            return len(found) >= count and found[count - 1]
        return eventually(lambda: "%d %s, there are %d" % (count, what, len(getattr(self, what))), look)

    def stream(self, count=1):
        """The stream of this number, once its script has been played."""
        call = self.wait_for("streams", count)
        eventually("the script of stream %d" % count, call.played.is_set)
        return call
