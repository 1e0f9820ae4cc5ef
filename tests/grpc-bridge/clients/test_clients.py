# test_clients.py: what a remote agent sees of the bridge, scenario by scenario; harness.py has the world it happens in.
# SPDX-License-Identifier: Apache-2.0
import os
import socket
import unittest

from harness import PATIENCE, REGISTRATION, World, eventually, read, write

UUID4 = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
UNKNOWN_SESSION = "00000000-0000-4000-8000-000000000000"
MIB = 1 << 20
KINDS = """\
kinds:
  text: grüß dich
  empty: ""
  no: false
  zero: 0
  nothing: null
  fraction: -1.5
  list: [1, a, null, [true]]
  none: []
  map: {a: {b: 1.5}, c: x}
"""


class Calls(World):
    def test_register_and_refresh(self):
        agent = self.agent()
        answer = agent.register()
        self.assert_status(answer, "OK")
        self.assertRegex(answer["session"], UUID4)
        self.assertEqual(answer["interval"], "10")
        self.assert_status(agent.refresh(), "OK")

    def test_register_and_refresh_by_the_newer_name(self):
        agent = self.agent()
        agent.session = agent.call("new_register", display_name="A", api_endpoint_uri="h:1", services="a.B c.D")["session"]
        self.assertRegex(agent.session, UUID4)
        self.assert_status(agent.call("new_refresh", of=agent.session), "OK")
        self.assert_status(agent.refresh(), "OK")

    def test_each_registration_is_a_session_of_its_own(self):
        agent = self.agent()
        self.assertNotEqual(agent.register()["session"], agent.register()["session"])

    def test_report_an_event(self):
        agent = self.agent()
        agent.register()
        self.assert_status(agent.call("report", of=agent.session, text="all is well"), "OK")
        self.bridge.says("(reports: all is well)")

    def test_connection_probe(self):
        self.assert_status(self.agent().call("probe"), "OK")

    def test_hostname_of_the_host_then_of_the_setting(self):
        agent = self.agent()
        self.assertEqual(agent.call("hostname")["hostname"], socket.gethostname())
        self.producer.set("hostname", "other.example.com")
        eventually("the setting", lambda: agent.call("hostname")["hostname"] == "other.example.com")

    def test_health_with_and_without_a_token(self):
        agent = self.agent()
        for token in (agent.token, None):
            for service in ("", "datadog.api.v1.AgentSecure"):
                self.assertEqual(agent.call("health", service=service, token=token)["health"], "SERVING")
        self.assert_status(agent.call("health", service="no.such.Service"), "NOT_FOUND")

    def test_calls_with_a_deadline_that_suffices(self):
        self.assert_status(self.agent().call("probe", deadline_ms=PATIENCE * 1000), "OK")


class Refusals(World):
    """What bad input gets.  Each refusal leaves the connection usable, and other connections untouched."""
    client_environment = {"GRPC_VERBOSITY": "DEBUG", "GRPC_TRACE": "http"}  # the client's log tells headers

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.onlooker = World.agent(cls("run_nothing"), client=cls.new_client())
        cls.onlooker.join()

    def run_nothing(self):
        """unittest wants a method's name for an instance."""

    def setUp(self):
        super().setUp()
        self.one = self.agent()

    def tearDown(self):
        self.assert_status(self.one.call("probe"), "OK")
        self.assert_well(self.onlooker.reach(self.producer.set("text", self.id())))

    def stream_ends(self, **words):
        self.one.subscribe(**words)
        return dict(zip(("status", "message"), self.one.end()))

    def assert_counted(self, name, act):
        before = self.bridge.metric(name)
        act()
        eventually("the count of " + name, lambda: self.bridge.metric(name) > before)

    def assert_all_refuse(self, token, text):
        unknown = {"of": UNKNOWN_SESSION}
        for command, words in (("probe", {}), ("hostname", {}), ("register", REGISTRATION), ("refresh", unknown),
                               ("new_register", REGISTRATION), ("new_refresh", unknown),
                               ("report", {"text": "x", **unknown})):
            with self.subTest(command=command):
                self.assert_status(self.one.call(command, token=token, **words), "UNAUTHENTICATED", text)

    def test_no_token(self):
        self.assert_all_refuse(None, "Request unauthenticated with Bearer")

    def test_a_wrong_token(self):
        self.assert_all_refuse("f" * 64, "invalid auth token")
        self.assert_status(self.one.call("probe", token=""), "UNAUTHENTICATED", "Request unauthenticated with Bearer")
        for token in ("f" * 64, self.one.token[:-1], self.one.token + "0", "x" * 4000):
            self.assert_status(self.one.call("probe", token=token), "UNAUTHENTICATED", "invalid auth token")

    def test_a_stream_without_a_token_or_with_a_wrong_one(self):
        self.one.register()
        self.assert_status(self.stream_ends(token=None), "UNAUTHENTICATED", "Request unauthenticated with Bearer")
        self.assert_status(self.stream_ends(token="f" * 64), "UNAUTHENTICATED", "invalid auth token")

    def test_refused_tokens_are_counted(self):
        self.assert_counted("authorization_errors", lambda: self.one.call("probe", token="f" * 64))

    def test_a_stream_without_a_session(self):
        self.assert_status(self.stream_ends(session=None), "UNAUTHENTICATED", "session_id required in metadata")

    def test_a_stream_with_an_empty_session(self):
        self.assert_status(self.stream_ends(session=""), "UNAUTHENTICATED", "session_id cannot be empty")

    def test_a_stream_with_an_unknown_session(self):
        for session in (UNKNOWN_SESSION, "no UUID"):
            self.assert_status(self.stream_ends(session=session), "PERMISSION_DENIED", "session_id '%s' not found" % session)

    def test_refreshing_an_unknown_session(self):
        for session in (UNKNOWN_SESSION, ""):
            self.assert_status(self.one.refresh(of=session), "NOT_FOUND", "no remote agent found with session ID")

    def test_reporting_for_an_unknown_session(self):
        self.assert_status(self.one.call("report", of=UNKNOWN_SESSION, text="x"), "NOT_FOUND")

    def test_invalid_registrations_name_the_field(self):
        for field, value in (("display_name", ""), ("display_name", "  "), ("display_name", "x" * 257),
                             ("display_name", "a\nb"), ("flavor", "x" * 257), ("pid", "1" * 257),
                             ("api_endpoint_uri", ""), ("api_endpoint_uri", "http://localhost"),
                             ("api_endpoint_uri", "vsock://x:1"), ("services", " ".join(["a.B"] * 65))):
            with self.subTest(field=field, value=value[:20]):
                self.assert_status(self.one.register(**{field: value}), "INVALID_ARGUMENT", field)

    def test_malformed_protobuf(self):
        for path in ("datadog.api.v1.AgentSecure/RegisterRemoteAgent", "datadog.api.v1.AgentSecure/RefreshRemoteAgent",
                     "datadog.api.v1.AgentSecure/StreamConfigEvents", "datadog.api.v1.AgentSecure/TaggerFetchEntity",
                     "datadog.api.v1.Agent/GetHostname", "datadog.remoteagent.v1.RemoteAgent/ReportRemoteAgentEvent",
                     "grpc.health.v1.Health/Check"):
            with self.subTest(path=path):
                self.assert_status(self.one.call("raw", path="/" + path, hex="0aff"), "INTERNAL", "no valid ")

    def test_a_message_too_large(self):
        self.assert_status(self.one.register(display_name="x" * (1 * MIB)), "RESOURCE_EXHAUSTED", "the limit is 65536")

    def test_a_compressed_message(self):
        answer = self.one.register(display_name="a" * 200, gzip=1)
        self.assert_status(answer, "UNIMPLEMENTED", "use identity")
        self.assertRegex(read(self.client.log), r"HDR:.*grpc-accept-encoding: identity\b")

    def test_unknown_methods(self):
        for path in ("/datadog.api.v1.AgentSecure/NoSuchMethod", "/no.such.Service/Method", "/"):
            self.assert_status(self.one.call("raw", path=path), "UNIMPLEMENTED", "unknown service or method")

    def test_no_client_certificate(self):
        self.assert_refused_handshake(cert=None, key=None)

    def test_a_client_certificate_of_another_ca(self):
        stranger = self.other_credentials()
        self.assert_refused_handshake(cert=stranger.cert, key=stranger.cert)

    def assert_refused_handshake(self, **connection):
        self.assert_counted("handshake_failures", lambda: self.assert_status(
            self.agent(**connection).call("probe"), "UNAVAILABLE"))

    def test_plain_text_on_the_tls_port(self):
        self.assert_refused_handshake(plain=1)

    def test_a_bridge_of_another_ca_is_refused_by_the_client(self):
        stranger = self.other_credentials()
        self.assert_counted("handshake_failures", lambda: self.assert_status(
            self.agent(ca=stranger.cert).call("probe"), "UNAVAILABLE"))


class Streams(World):
    def assert_nobody_subscribed(self):
        eventually("the bridge's notice", lambda: self.bridge.metric("subscribers") == 0)

    def test_a_snapshot_then_updates(self):
        agent = self.agent()
        agent.join()
        first = agent.reach(self.producer.sequence())
        self.assertEqual((first["snapshots"], first["origin"]), (1, "datadog.yaml"))
        self.assertRegex(first["path"], r"^[0-9a-f-]{36}$")
        for number in range(5):
            last = self.producer.set("number", number)
        look = agent.reach(last)
        self.assert_well(look)
        self.assertEqual((look["snapshots"], look["updates"] - first["updates"], look["last"]), (1, 5, last))
        self.assertEqual(agent.values("number"), {"number": ["cli", 4.0]})
        self.assert_same_view(agent)

    def test_values_of_every_kind(self):
        agent = self.agent()
        agent.join()
        agent.reach(self.producer.load(KINDS))
        self.assert_same_view(agent)
        late = self.agent()
        late.join()
        self.assertEqual(late.values(), agent.values())

    def test_a_removal_and_a_fallback(self):
        agent = self.agent()
        agent.join()
        agent.reach(self.producer.load("passing: 1\nnumber: 7\n"))
        agent.reach(self.producer.set("number", 8))
        self.producer.cli("unset", "number")
        agent.reach(self.producer.sequence())
        self.assertEqual(agent.values("number"), {"number": ["file", 7.0]})
        look = agent.reach(self.producer.load("number: 7\n"))
        self.assertEqual((look["snapshots"], agent.values("passing")), (1, {}))

    def test_a_deadline(self):
        agent = self.agent()
        agent.register()
        agent.subscribe(deadline_ms=300)
        self.assertEqual(agent.end()[0], "DEADLINE_EXCEEDED")
        self.assert_nobody_subscribed()
        self.assert_status(agent.call("probe"), "OK")

    def test_a_cancel(self):
        agent = self.agent()
        agent.join()
        self.client.tell("cancel", channel=agent.channel)
        self.assertEqual(agent.end()[0], "CANCELLED")
        self.assert_nobody_subscribed()
        self.assert_status(agent.call("probe"), "OK")

    def test_a_client_that_dies(self):
        client = self.new_client()
        self.agent(client).join()
        client.close()
        self.assert_nobody_subscribed()

    def test_a_configuration_removed_and_made_anew(self):
        """The arena is another one: streams end, and begin anew."""
        agent = self.agent()
        agent.join()
        self.producer.kill()
        self.producer.cli("destroy")
        self.__class__.start_producer()
        self.assertEqual(agent.end()[0], "UNAVAILABLE")
        agent.subscribe()
        self.assert_well(agent.first())
        self.assert_same_view(agent)


class Concurrent(World):
    CLIENTS = 5

    def test_five_clients_at_once(self):
        agents = [self.agent(self.new_client()) for _ in range(self.CLIENTS)]
        for agent in agents:  # all under way before the first is waited for
            agent.client.begin("register", channel=agent.channel, token=agent.token, display_name=agent.channel,
                               api_endpoint_uri="localhost:0")
        for agent in agents:
            agent.session = agent.client.answer()["session"]
        self.assertEqual(len({agent.session for agent in agents}), self.CLIENTS)
        for agent in agents:
            agent.subscribe()
        for number in range(20):
            last = self.producer.set("number", number)
            if number == 10:
                late = self.agent(self.new_client())
                late.join()
        for agent in agents + [late]:
            look = agent.reach(last)
            self.assert_well(look)
            self.assertEqual(look["snapshots"], 1)
            self.assert_same_view(agent)
        self.assertEqual(self.bridge.metric("subscribers"), self.CLIENTS + 1)

    def test_clients_that_come_and_go_amid_updates(self):
        stay = self.agent()
        stay.join()
        for number in range(6):
            guest = self.agent()
            guest.join()
            last = self.producer.set("number", number)
            guest.reach(last)
            self.client.tell("cancel", channel=guest.channel)
        look = stay.reach(last)
        self.assert_well(look)
        self.assertEqual(look["snapshots"], 1)


class Laps(World):
    producer_flags = ("--ring-slots", "64")
    KEYS = 24       # of a burst: below half the ring, so that it is no bulk load
    ROUNDS = 48
    BYTES = 20_000  # of a value: together more than windows, sockets and the bridge hold

    def burst(self, number):
        return self.producer.load("".join("key%02d: %s\n" % (key, ("%05d" % number) * (self.BYTES // 5))
                                          for key in range(self.KEYS)))

    def test_one_that_stops_reading_gets_a_snapshot_and_others_miss_nothing(self):
        slow, quick = self.agent(), self.agent(self.new_client())
        before = slow.join()
        quick.join()
        self.client.tell("pause", channel=slow.channel)
        for number in range(10001, 10001 + self.ROUNDS):
            last = self.burst(number)
            quick.reach(last)
        self.assertLess(slow.look()["last"], last)
        self.client.tell("resume", channel=slow.channel)
        slow_look, quick_look = slow.reach(last), quick.look()
        for look in (slow_look, quick_look):
            self.assert_well(look)
            self.assertEqual(look["last"], last)
        self.assertEqual(quick_look["snapshots"], 1)
        self.assertGreater(slow_look["snapshots"], 1)
        self.assertLess(slow_look["updates"], last - before["last"] - 64)
        self.assert_same_view(slow)
        self.assert_same_view(quick)
        self.bridge.says("(Discontinuity detected for subscriber '%s')" % slow.channel)
        # Mostly one; how much of what it does not read is on its way is a matter of time.
        self.assertEqual(self.bridge.metric("discontinuities"), slow_look["snapshots"] - 1)


class Snapshots(World):
    """Large ones: each is one message."""
    producer_flags = ("--ring-slots", "64")

    def test_5_then_33_then_100_mib(self):
        for mebibytes in (5, 33, 100):
            with self.subTest(mebibytes=mebibytes):
                self.assert_arrives(mebibytes)

    def assert_arrives(self, mebibytes):
        files = self.fill(mebibytes)
        agent = self.agent()
        look = agent.join()
        self.assertEqual((look["snapshots"], look["mistakes"]), (1, 0))
        self.assertGreaterEqual(look["bytes"], mebibytes * MIB)
        for key, file in files.items():
            got = os.path.join(self.folder, "got")
            self.client.tell("save", channel=agent.channel, key=key, file=got)
            self.assertTrue(read(got) == read(file), key)
        look = agent.reach(self.producer.set("number", mebibytes))  # the stream goes on behind it
        self.assert_well(look)
        self.assertEqual(look["updates"], 1)
        self.client.tell("cancel", channel=agent.channel)

    def fill(self, mebibytes):
        """Settings of so many bytes: key to a file that holds its value."""
        files = {}
        for number, done in enumerate(range(0, mebibytes, 15)):
            path = os.path.join(self.folder, "value-%d" % number)
            write(path, ("%07d " % number) * (min(15, mebibytes - done) * MIB // 8))
            self.producer.cli("set", "large.value%d" % number, "--file", path)
            files["large.value%d" % number] = path
        return files


class Limits(World):
    """A snapshot that is too large, for the bridge or for the client."""
    bridge_flags = ("--max-snapshot-bytes", "8mb")

    def grow(self, mebibytes):
        self.producer.load("big: %s\n" % ("x" * (mebibytes * MIB)))

    def test_too_large_for_the_bridge_until_it_shrinks(self):
        agent = self.agent()
        agent.register()
        self.grow(9)
        agent.subscribe()
        status, message = agent.end()
        self.assertEqual(status, "RESOURCE_EXHAUSTED")
        self.assertIn("snapshot", message)
        self.grow(1)
        agent.subscribe()
        self.assert_well(agent.first())

    def test_too_large_for_a_client_that_was_not_told(self):
        agent = self.agent(receive_max=None)
        agent.register()
        self.grow(5)
        agent.subscribe()
        self.assertEqual(agent.end()[0], "RESOURCE_EXHAUSTED")
        self.assert_status(agent.call("probe"), "OK")


class Sessions(World):
    bridge_flags = ("--registry-idle-timeout", "1s", "--registry-refresh-interval", "500ms")

    def assert_agents(self, count):
        eventually("%d agents" % count, lambda: self.bridge.metric("registered_agents") == count)

    @staticmethod
    def join(agent):
        """Sessions are so short here that one may be over before its stream begins."""
        def joined():
            try:
                return agent.join()
            except AssertionError as error:
                if "PERMISSION_DENIED" not in str(error):
                    raise
                return None

        return eventually("a stream within its session", joined)

    def test_expiry_and_registering_anew(self):
        agent = self.agent()
        self.assertEqual(agent.register()["interval"], "1")
        self.assert_agents(0)
        self.assert_status(agent.refresh(), "NOT_FOUND", "no remote agent found with session ID")
        agent.subscribe()
        status, message = agent.end()
        self.assertEqual(status, "PERMISSION_DENIED")
        self.assertIn("session_id '%s' not found" % agent.session, message)
        self.assert_well(self.join(agent))
        self.client.tell("cancel", channel=agent.channel)
        self.assert_agents(0)

    def test_an_open_stream_keeps_its_session(self):
        stays, goes = self.agent(), self.agent()
        self.join(stays)
        eventually("two agents", lambda: goes.register() and self.bridge.metric("registered_agents") >= 2)
        self.assert_agents(1)
        self.assert_well(stays.look())
        self.assert_status(stays.refresh(), "OK")
        self.client.tell("cancel", channel=stays.channel)
        self.assert_agents(0)

    def test_streams_end_with_the_registry_and_begin_with_it(self):
        agent = self.agent()
        self.join(agent)
        self.producer.set("remote_agent.registry.enabled", False)
        status, message = agent.end()
        self.assertEqual(status, "PERMISSION_DENIED")
        self.assert_status(agent.register(), "UNIMPLEMENTED", "remote agent registry not enabled")
        self.producer.set("remote_agent.registry.enabled", True)
        eventually("a session", lambda: agent.register()["status"] == "OK")
        self.assert_well(self.join(agent))


class Bridges(World):
    """The bridge goes, and comes back at the same address."""

    def test_restart_in_order(self):
        self.assert_survives(self.bridge.end)

    def test_crash(self):
        self.assert_survives(self.bridge.kill)

    def assert_survives(self, end):
        agent = self.agent()
        agent.join()
        before = self.producer.set("number", 1)
        agent.reach(before)
        former, credentials = agent.session, self.bridge.credentials.token
        end()
        self.assertEqual(agent.end()[0], "UNAVAILABLE")
        missed = self.producer.set("number", 2)
        self.__class__.start_bridge(self.bridge.port)
        self.assertEqual(self.bridge.credentials.token, credentials)
        agent.subscribe(session=former, wait=1)  # sessions live in memory
        self.assertEqual(agent.end()[0], "PERMISSION_DENIED")
        agent.join()
        self.assertEqual(agent.reach(missed)["last"], missed)
        self.assert_same_view(agent)


class Producers(World):
    def test_crash_and_restart(self):
        agent = self.agent()
        agent.join()
        before = agent.reach(self.producer.set("number", 1))
        self.producer.kill()
        eventually("the bridge's notice", lambda: agent.call("health")["health"] == "NOT_SERVING")
        late = self.agent()
        late.join()
        self.assertEqual(late.reach(before["last"])["last"], before["last"])  # the last state goes on being served
        self.__class__.start_producer()
        look = agent.reach(self.producer.set("number", 2))
        self.assert_well(look)
        self.assertEqual(look["snapshots"], 1)
        self.assertGreater(look["last"], before["last"])
        for one in (agent, late):
            one.reach(look["last"])
            self.assert_same_view(one)
        eventually("the bridge's notice", lambda: agent.call("health")["health"] == "SERVING")

    def test_restart_in_order(self):
        agent = self.agent()
        agent.join()
        self.assertEqual(self.producer.end(), 0)
        self.__class__.start_producer()
        look = agent.reach(self.producer.set("number", 3))
        self.assert_well(look)
        self.assert_same_view(agent)


class Early(World):
    """The bridge starts before there is a producer."""
    with_producer = False

    def test_a_stream_waits_for_the_first_snapshot(self):
        agent = self.agent()
        agent.register()
        agent.subscribe()
        agent.until("headers", lambda look: look["begun"])
        self.assertEqual(agent.look()["snapshots"], 0)
        self.assertEqual(agent.call("health")["health"], "NOT_SERVING")
        self.__class__.start_producer()
        self.assert_well(agent.first())
        self.assert_same_view(agent)
        eventually("the bridge's notice", lambda: agent.call("health")["health"] == "SERVING")


class Rotating(World):
    def rotate(self):
        """The former certificate's file."""
        others, generation = self.other_credentials(), self.bridge.metric("credentials_generation")
        former = os.path.join(self.folder, "former.pem")
        write(former, read(self.bridge.credentials.cert))
        others.copy_to(self.bridge.credentials)
        eventually("the bridge's notice", lambda: self.bridge.metric("credentials_generation") > generation)
        return former


class Rotation(Rotating):
    """Nothing drops at once: here there is more time than any test takes."""
    bridge_flags = ("--credential-drain", "24h")

    def test_streams_go_on_and_sessions_stay(self):
        old = self.agent()
        old.join()
        self.rotate()
        self.assert_well(old.reach(self.producer.set("text", "rotated")))
        self.assertEqual(old.look()["snapshots"], 1)
        self.assert_status(old.refresh(), "UNAUTHENTICATED", "invalid auth token")
        self.assert_status(old.refresh(token=self.bridge.credentials.token), "OK")
        new = self.agent()
        new.session = old.session
        self.assert_status(new.refresh(), "OK")
        new.subscribe()
        self.assert_well(new.first())
        for agent in (old, new):
            self.assert_well(agent.reach(self.producer.set("text", agent.channel)))
            self.assert_same_view(agent)


class Credentials(Rotating):
    bridge_flags = ("--credential-drain", "2s")

    def test_rotation(self):
        old = self.agent()
        old.join()
        former = self.rotate()
        self.assert_new_ones_count(former, old.token)
        status, message = old.end()  # within the time that was given
        self.assertEqual(status, "UNAVAILABLE", message)

    def assert_new_ones_count(self, former, token):
        stale = self.agent(ca=former, cert=former, key=former)
        self.assert_status(stale.call("probe"), "UNAVAILABLE")
        new = self.agent()
        self.assertNotEqual(new.token, token)
        self.assert_well(new.join())
        self.assert_status(new.call("probe", token=token), "UNAUTHENTICATED")
        self.assert_well(new.reach(self.producer.set("text", "rotated")))


class Drain(World):
    def test_sigterm_ends_streams_and_the_bridge(self):
        agents = [self.agent() for _ in range(3)]
        for agent in agents:
            agent.join()
        self.assertEqual(self.bridge.end(), 0)
        for agent in agents:
            status, message = agent.end()
            self.assertEqual((status, agent.look()["mistakes"]), ("UNAVAILABLE", 0), message)
            self.assertIn("shutdown", message)


if __name__ == "__main__":
    unittest.main()
