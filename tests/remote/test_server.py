# test_server.py: the scripted server, by a client that is known to be right: where it means no ill, it does none.
# SPDX-License-Identifier: Apache-2.0
import shutil
import tempfile
import unittest

import grpc

import wire
from identity import Identity, read
from server import (NEW_SERVICE, OLD_SERVICE, REFRESH, REGISTER, STREAM, Server, eventually, forget, goaway, never, reset,
                    session, snapshot, status, subscribed, update)

TIMEOUT = 60
TOKEN = "0123456789abcdef" * 4


class Honest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="cfgs-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.identity = Identity(cls.folder)

    def setUp(self):
        self.server = Server(self.identity, token=TOKEN)
        self.addCleanup(self.server.stop)
        pem = read(self.identity.certificate)
        self.channel = grpc.secure_channel(
            "localhost:%d" % self.server.port, grpc.ssl_channel_credentials(pem, read(self.identity.key), pem),
            [("grpc.max_receive_message_length", 128 << 20)])
        self.addCleanup(self.channel.close)
        self.metadata = [("authorization", "Bearer " + TOKEN)]

    def call(self, method, body=b"", service=NEW_SERVICE):
        return self.channel.unary_unary(service + method)(body, metadata=self.metadata, timeout=TIMEOUT)

    def register(self):
        return dict(wire.fields(self.call(REGISTER, wire.field(1, "7") + wire.field(3, "honest"))))[1].decode()

    def stream(self, name):
        return self.channel.unary_stream(OLD_SERVICE + STREAM)(
            wire.field(1, "honest"), metadata=self.metadata + [("session_id", name)], timeout=TIMEOUT)

    def fails(self, code, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code)
        return caught.exception.details()

    def test_a_registration_is_answered_and_recorded(self):
        self.server.on_register.play([session("a-session", 7)])
        answer = dict(wire.fields(self.call(REGISTER, wire.field(1, "7") + wire.field(3, "honest"))))
        self.assertEqual(answer, {1: b"a-session", 2: 7})
        self.assertEqual(self.server.registrations[0].request, {1: b"7", 3: b"honest"})
        self.assertEqual(self.server.registrations[0]["authorization"], "Bearer " + TOKEN)

    def test_only_known_sessions_are_refreshed(self):
        self.assertEqual(self.call(REFRESH, wire.field(1, self.register())), b"")
        self.fails(grpc.StatusCode.NOT_FOUND, lambda: self.call(REFRESH, wire.field(1, "other")))

    def test_a_stream_plays_its_script(self):
        self.server.on_stream.play([subscribed(), snapshot(3, {"a": 1}), update(4, "a", 2, "cli"), status(14, "the end")])
        stream = self.stream(self.register())
        self.assertEqual([next(stream), next(stream)],
                         [wire.snapshot(3, {"a": 1}), wire.update(4, wire.setting("a", 2, "cli"))])
        self.assertEqual(self.fails(grpc.StatusCode.UNAVAILABLE, lambda: next(stream)), "the end")

    def test_a_script_that_has_ended_is_carried_on_by_the_test(self):
        stream = self.stream(self.register())
        here = self.server.stream()
        here.do(snapshot(1, {}))
        next(stream)
        here.do(reset())
        self.fails(grpc.StatusCode.CANCELLED, lambda: next(stream))
        self.assertFalse(here.open)

    def test_a_client_that_leaves_is_noticed(self):
        stream = self.stream(self.register())
        self.assertTrue(self.server.stream().open)
        stream.cancel()
        eventually("the end of the stream", lambda: not self.server.open_streams)

    def test_an_unknown_session_is_refused_and_a_wrong_token_too(self):
        name = self.register()
        self.server.on_stream.play([forget(), subscribed()])
        self.fails(grpc.StatusCode.PERMISSION_DENIED, lambda: next(self.stream(name)))
        self.metadata = [("authorization", "Bearer other")]
        self.fails(grpc.StatusCode.UNAUTHENTICATED, lambda: self.call(REGISTER))

    def test_a_large_snapshot_passes_through_the_windows(self):
        state = {"large.%d" % i: "x" * (1 << 20) for i in range(33)}
        self.server.on_stream.play([subscribed(), snapshot(1, state)])
        self.assertEqual(next(self.stream(self.register())), wire.snapshot(1, state))

    def test_a_call_that_is_never_answered_runs_into_its_deadline(self):
        self.server.on_register.play([never()])
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel.unary_unary(NEW_SERVICE + REGISTER)(b"", metadata=self.metadata, timeout=0.2)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_after_goaway_the_client_comes_back_by_another_connection(self):
        name = self.register()
        self.server.on_stream.play([subscribed(), snapshot(1, {})])
        next(self.stream(name))
        self.server.stream().do(goaway())
        next(self.stream(name))
        self.assertEqual(len(self.server.connections), 2)


if __name__ == "__main__":
    unittest.main()
