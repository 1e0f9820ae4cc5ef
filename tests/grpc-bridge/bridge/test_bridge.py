# test_bridge.py: the bridge as a program.  SPDX-License-Identifier: Apache-2.0
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import unittest
from unittest import mock

import grpc

from bridge import BRIDGE, BridgeCase, fields, half_a_call
from harness import MAIN, PATIENCE, eventually, full_socket


def iter_events(call):
    """Each as {1: snapshot} or {2: update}.  The stream ends with the last reference to this."""
    for message in call:
        yield fields(message)


COMPLETION = os.environ["COMPLETION"]


class Usage(BridgeCase):
    def assert_usage(self, words, *arguments):
        status, said = self.refuse(*arguments)
        self.assertEqual(status, 2, said)
        for word in words:
            self.assertIn(word, " ".join(said.split()))
        self.assertFalse(os.path.exists(self.certificate), "a mistake leaves files behind")

    def test_a_mistake_is_named_with_its_value(self):
        for option, value in (("--listen", "localhost"), ("--listen", "localhost:65536"), ("--listen", "::1:5001"),
                              ("--metrics", "5002"), ("--workers", "0"), ("--workers", "129"), ("--workers", "two"),
                              ("--max-connections", "0"), ("--max-connections", "-1"), ("--max-connections", "5k"),
                              ("--idle-timeout", "5"), ("--idle-timeout", "1ms"), ("--output-high-water", "1kb"),
                              ("--registry-idle-timeout", "soon"), ("--log-level", "loud"), ("--instance", "a/b"),
                              ("--producer-user", "nobody-of-that-name"), ("--control-group", "no-such-group")):
            with self.subTest(option=option, value=value):
                self.assert_usage([option, "'%s'" % value], option, value)

    def test_a_number_out_of_range_comes_with_the_range(self):
        self.assert_usage(["'5' is not a duration", "from 10ms to 24h"], "--idle-timeout", "5")
        self.assert_usage(["'1kb' is not a size", "from 16kb to 16mb"], "--output-high-water", "1kb")

    def test_the_ends_of_a_range_are_taken_as_they_are_written(self):
        said = self.refuse("--max-snapshot-memory", "x")[1]
        low, high = re.search(r"from (\w+) to (\w+)", " ".join(said.split())).groups()
        for end in low, high:
            with self.subTest(end=end):
                self.assert_usage(["'--help-me'"], "--max-snapshot-memory", end, "--help-me")

    def test_words_are_no_options(self):
        self.assert_usage(["'serve'", "takes options only"], "serve")

    def test_ca_and_key_go_together(self):
        self.assert_usage(["--ca needs --key"], "--ca", "x")
        self.assert_usage(["--key needs --ca"], "--key", "x")

    def test_a_path_of_no_characters_is_none(self):
        for option in ("--cert", "--auth-token-file", "--ca", "--key", "--control", "--arena-path"):
            with self.subTest(option=option):
                self.assert_usage([option, "'' is no path"], option, "")

    def test_a_host_without_address_is_named(self):
        self.assert_usage(["--listen", "no address for 'no..host'"], "--listen", "no..host:5001")

    def test_a_name_server_that_does_not_answer_is_no_mistake_of_usage(self):
        result = subprocess.run(["unshare", "-rn", *self.bridge_arguments("--listen", "no-such-host.invalid:5001")],
                                capture_output=True, text=True, timeout=PATIENCE)
        if "Temporary failure" not in result.stderr:
            self.skipTest("no network without name servers here: " + result.stderr)
        self.assertEqual(result.returncode, 1)
        self.assertIn("'no-such-host.invalid'", result.stderr)

    def test_without_authentication_only_loopback_is_served(self):
        self.assert_usage(["--insecure-no-auth", "secrets included", "0.0.0.0:0", "leave the option out"],
                          "--insecure-no-auth", "--listen", "0.0.0.0:0")

    def test_metrics_are_for_loopback_only(self):
        self.assert_usage(["--metrics", "'0.0.0.0:0'", "without authentication"], "--metrics", "0.0.0.0:0")

    def test_help_names_every_limit_with_its_default(self):
        result = subprocess.run([BRIDGE, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True)
        words = " ".join(result.stdout.split())
        self.assertIn("--max-connections=N Open connections (default: 10000)", words)
        self.assertIn("--max-request-bytes=BYTES Request message (default: 64kb)", words)
        self.assertIn("(default: 15m)", words)

    def test_the_shell_completes_what_the_help_names(self):
        script = 'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _configstream_bridge "$2"; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'

        def complete(*words):
            return subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION, BRIDGE, *words],
                                  capture_output=True, text=True, timeout=PATIENCE, check=True).stdout.split()

        self.assertEqual(complete("--max-con"), ["--max-connections"])
        self.assertEqual(complete("--metrics", "o"), ["off"])
        self.assertEqual(complete("--cert", self.folder[:-1]), [self.folder])
        listed = subprocess.run([BRIDGE, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        self.assertEqual(set(complete("--")), set(re.findall(r"--[a-z][a-z-]*", listed)))


class Start(BridgeCase):
    def test_what_is_missing_of_the_credentials_is_made_private(self):
        self.start_bridge()
        for path in (self.certificate, self.token):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
        self.assertRegex(self.read(self.token), r"\A[0-9a-f]{64}\Z")
        before = self.read(self.certificate), self.read(self.token)
        self.assertEqual(self.end_bridge(), 0)
        self.start_bridge()
        self.assertEqual((self.read(self.certificate), self.read(self.token)), before)
        self.assertNotIn(before[1], self.read(self.bridge_log))

    def test_the_certificate_that_is_made_names_the_host_where_it_listens_everywhere(self):
        self.start_bridge("--listen", "0.0.0.0:0")
        text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", self.certificate],
                              capture_output=True, text=True, check=True).stdout
        names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", text)
        self.assertIn(socket.gethostname(), names)
        self.assertNotIn("0.0.0.0", names)

    def test_credentials_that_are_required_are_not_made(self):
        status, said = self.refuse("--require-credentials")
        self.assertEqual(status, 1)
        self.assertIn(self.certificate, said)
        self.assertFalse(os.path.exists(self.certificate))

    def test_on_a_full_disk_room_is_what_is_asked_for(self):
        full = os.path.join(self.folder, "full")
        os.mkdir(full)
        self.certificate = os.path.join(full, "ipc_cert.pem")
        script = 'mount -t tmpfs -o size=4k none "$0" && echo x >"$0/x" && exec "$@"'
        result = subprocess.run(["unshare", "-rm", "sh", "-c", script, full, *self.bridge_arguments()],
                                capture_output=True, text=True, timeout=PATIENCE)
        if self.certificate not in result.stderr:
            self.skipTest("no tmpfs of our own here: " + result.stderr)
        self.assertIn("No space left on device; make room there", result.stderr)

    def test_what_is_not_made_is_not_to_be_removed(self):
        self.start_bridge()
        self.end_bridge()
        for path in (self.token, self.certificate):
            self.write(path, "something else")
            for arguments, cure in ([], "; remove it, and the next start makes one"), (["--require-credentials"],
                                                                                       "; replace it"):
                said = self.refuse(*arguments)[1]
                self.assertIn(path, said)
                self.assertIn(cure, said)

    def test_a_second_bridge_on_the_port_is_refused(self):
        self.start_bridge("--workers", "2")
        status, said = self.refuse("--metrics", "off", "--control", self.status_socket + "2")
        self.assertEqual(status, 1)
        self.assertIn("127.0.0.1:%d" % self.port, said)
        self.assertIn("another process listens there", said)
        self.assertIn("--listen", said)
        self.agent().register()

    def test_an_address_that_another_one_covers_is_told_apart_from_another_process(self):
        self.start_bridge()
        self.end_bridge()
        status, said = self.refuse("--listen", "0.0.0.0:%d" % self.port)
        self.assertEqual(status, 1)
        self.assertIn("one stands for both", said)
        self.assertNotIn("another process", said)

    def test_of_several_that_start_at_once_one_gets_the_port(self):
        self.start_bridge()
        self.end_bridge()
        all_four = [self.spawn_bridge("--metrics", "off", "--control", self.status_socket + str(i)) for i in range(4)]
        eventually("all but one to give up", lambda: sum(process.poll() is None for process in all_four) == 1)
        self.assertEqual(sorted(process.poll() or 0 for process in all_four), [0, 1, 1, 1])
        self.agent().register()

    def test_a_second_bridge_on_the_metrics_port_is_refused(self):
        self.start_bridge()
        self.port = None
        status, said = self.refuse("--control", self.status_socket + "2")
        self.assertEqual(status, 1)
        self.assertIn("name another port with --metrics", said)

    def test_a_second_bridge_on_the_status_socket_is_refused(self):
        self.start_bridge()
        self.port = self.metrics_port = None
        status, said = self.refuse()
        self.assertEqual(status, 1)
        self.assertIn(self.status_socket, said)
        self.assertIn("--control", said)

    def test_too_few_descriptors_to_listen_are_no_fault_of_the_address(self):
        status, said = self.refuse("--workers", "32",
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
        self.assertEqual(status, 1)
        self.assertIn("raise the limit of open files", said)

    def test_localhost_is_both_families_with_one_port(self):
        self.host = "localhost"
        self.start_bridge()
        ports = dict(re.findall(r"listening on (\S+):(\d+)", self.read(self.bridge_log)))
        self.assertEqual(ports["127.0.0.1"], str(self.port))
        self.assertEqual(len(set(ports.values())), 1, ports)
        if os.path.exists("/proc/net/if_inet6") and " lo\n" in self.read("/proc/net/if_inet6"):
            self.assertIn("[::1]", ports)

    def test_it_starts_before_the_producer(self):
        self.start_bridge()
        agent = self.agent()
        events = agent.stream(agent.register()[0])
        self.assertEqual(self.http("/healthz"), (503, "producer absent\n"))
        self.start()
        self.assertIn(1, next(iter_events(events)), "no snapshot came first")
        eventually("health", lambda: self.http("/healthz") == (200, "producer running\n"))

    def test_killed_it_starts_again_in_the_same_place(self):
        self.start()
        self.start_bridge()
        agent = self.agent()
        next(iter_events(agent.stream(agent.register()[0])))
        self.assertEqual(self.end_bridge(signal.SIGKILL), -signal.SIGKILL)
        self.assertTrue(os.path.exists(self.status_socket))
        port = self.port
        self.start_bridge()
        self.assertEqual(self.port, port)
        agent = self.agent()
        next(iter_events(agent.stream(agent.register()[0])))

    def test_the_service_manager_hears_of_start_and_end(self):
        path = os.path.join(self.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(PATIENCE)
            self.start_bridge(env={**os.environ, "NOTIFY_SOCKET": path})
            said = manager.recv(4096).decode()
            self.assertIn("READY=1\n", said)
            self.assertIn("127.0.0.1:%d" % self.port, said)
            self.end_bridge()
            self.assertEqual(manager.recv(4096).decode(), "STOPPING=1")

    def test_as_many_descriptors_as_are_allowed(self):
        self.start_bridge(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128)))
        limits = self.read("/proc/%d/limits" % self.bridge.pid)
        self.assertRegex(limits, r"Max open files +128 +128 ")

    def test_all_its_threads_are_there_from_the_start(self):
        """Later there might be no memory for one."""
        self.start()
        self.start_bridge("--workers", "1")
        agent = self.agent()
        next(iter_events(agent.stream(agent.register()[0])))
        at_the_start = os.listdir("/proc/%d/task" % self.bridge.pid)
        self.cli("set", "site", "another")
        next(iter_events(agent.stream(agent.register()[0])))
        self.assertEqual(self.metrics()["configstream_snapshots_built"], 2) # so one was let go
        self.assertCountEqual(os.listdir("/proc/%d/task" % self.bridge.pid), at_the_start)

    def test_without_authentication_it_says_so_and_is_still_tls(self):
        self.start()
        self.start_bridge("--insecure-no-auth")
        self.says("WARN --insecure-no-auth: every local user can read the whole configuration")
        with open(self.certificate, "rb") as file:
            channel = grpc.secure_channel("localhost:%d" % self.port, grpc.ssl_channel_credentials(file.read()))
        self.addCleanup(channel.close)
        channel.unary_unary("/datadog.api.v1.Agent/GetHostname")(b"", timeout=PATIENCE)
        self.assertFalse(os.path.exists(self.token), "a token nobody asks for")


class Metrics(BridgeCase):
    NAMES = ("subscribers", "snapshots_sent", "updates_sent", "discontinuities", "dropped_updates", "bytes_sent",
             "authorization_errors", "handshake_failures", "connections", "snapshot_bytes", "snapshot_build_seconds",
             "snapshots_built", "registered_agents", "producer_up", "producer_sequence", "producer_updates",
             "producer_batches", "producer_rebuilds", "producer_reloads_ok", "producer_reloads_failed")

    def setUp(self):
        super().setUp()
        self.start()
        self.start_bridge("--workers", "2")

    def test_every_line_is_prometheus_text(self):
        status, page = self.http("/metrics")
        self.assertEqual(status, 200)
        told = {}
        for line in page.splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                self.assertNotIn(name, told, "described twice")
                told[name] = kind
            elif not line.startswith("# HELP "):
                match = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"\\\n]*"\})? -?[0-9]+(\.[0-9]+)?', line)
                self.assertTrue(match, line)
                self.assertIn(match[1], told, "not described")
        self.assertEqual(set(told.values()), {"counter", "gauge"})

    def test_the_names_that_dashboards_use(self):
        found = self.metrics()
        for name in self.NAMES:
            self.assertIn("configstream_" + name, found)
        for worker in "01":
            self.assertEqual(found['configstream_worker_lag{worker="%s"}' % worker], 0)

    def test_what_an_agent_does_is_counted(self):
        agent = self.agent()
        events = iter_events(agent.stream(agent.register('Big "Agent"\\')[0]))
        next(events)
        self.cli("set", "site", "elsewhere")
        next(events)
        found = self.metrics()
        self.assertEqual(found["configstream_subscribers"], 1)
        self.assertEqual(found["configstream_snapshots_sent"], 1)
        self.assertEqual(found["configstream_updates_sent"], 1)
        self.assertEqual(found["configstream_registered_agents"], 1)
        self.assertEqual(found['remote_agent_registry_registered{remote_agent_name="big-_agent__"}'], 1)
        self.assertEqual(found["configstream_snapshots_built"], 1)
        self.assertGreater(found["configstream_snapshot_bytes"], 100)
        self.assertGreater(found["configstream_snapshot_build_seconds"], 0)
        self.assertGreater(found["configstream_bytes_sent"], found["configstream_snapshot_bytes"])
        self.assertEqual(found["configstream_producer_sequence"], self.sequence())
        self.assertEqual(found["configstream_producer_up"], 1)

    def test_refusals_are_counted(self):
        agent = self.agent()
        agent.metadata = [("authorization", "Bearer " + 64 * "0")]
        with self.assertRaises(grpc.RpcError) as refusal:
            agent.register()
        self.assertEqual(refusal.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while plain.recv(4096):
                pass
        eventually("the failed handshake", lambda: self.metrics()["configstream_handshake_failures"] == 1)
        self.assertEqual(self.metrics()["configstream_authorization_errors"], 1)

    def test_health_follows_the_producer(self):
        self.assertEqual(self.http("/healthz"), (200, "producer running\n"))
        self.crash()
        self.assertEqual(self.http("/healthz"), (503, "producer dead\n"))
        self.assertEqual(self.metrics()["configstream_producer_up"], 0)
        self.assertEqual(self.metrics()['configstream_producer_state{state="dead"}'], 1)
        self.start()
        self.assertEqual(self.http("/healthz"), (200, "producer running\n"))

    def test_anything_else_is_refused(self):
        self.assertEqual(self.http("/")[0], 404)
        self.assertEqual(self.http("/metrics", "POST", b"x")[0], 405)
        self.assertEqual(self.http("/metrics", "DELETE")[0], 405)

    def test_who_hangs_up_amid_a_request_keeps_nobody_waiting(self):
        def half():
            peer = socket.create_connection(("127.0.0.1", self.metrics_port), PATIENCE)
            peer.sendall(b"GET /healthz HT")
            return peer

        waiting = half()
        for peer in [half() for _ in range(200)]:
            peer.close()
        self.assertEqual(self.http("/healthz")[0], 200)
        waiting.setblocking(False)
        with self.assertRaises(BlockingIOError, msg="they were only given up with those that still wait"):
            waiting.recv(1)
        waiting.close()

    def test_it_can_be_left_out(self):
        self.end_bridge()
        metrics = self.metrics_port
        bridge = self.spawn_bridge("--metrics", "off")
        eventually("the bridge", lambda: self.run_cli("status", "--bridge", self.status_socket, "--json")
                   .stdout.count('"bridge":{'))
        self.assertIsNone(bridge.poll())
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", metrics), PATIENCE)


class Status(BridgeCase):
    def bridge_status(self):
        return self.json("status")["bridge"]

    def test_without_a_bridge_there_is_none(self):
        self.start()
        self.assertIsNone(self.bridge_status())

    def test_agents_and_streams_are_listed(self):
        self.start()
        self.start_bridge()
        listen = "127.0.0.1:%d" % self.port
        self.assertEqual(self.bridge_status(), {"listen": [listen], "streams": 0, "connections": 0, "lag": 0,
                                                "agent_count": 0, "agents": []})
        agent = self.agent()
        session = agent.register("Test Agent")[0]
        events = iter_events(agent.stream(session))
        next(events)
        eventually("the last ID", lambda: self.bridge_status()["agents"][0]["last_sequence"] == self.sequence())
        found = self.bridge_status()
        told = found["agents"][0]
        self.assertEqual((found["streams"], found["connections"], found["agent_count"]), (1, 1, 1))
        self.assertLess(told.pop("idle_s"), 30)
        self.assertEqual(told, {"session_prefix": session[:8], "flavor": "test_agent", "display_name": "Test Agent",
                                "streams": 1, "last_sequence": self.sequence()})
        text = self.text("status")
        self.assertIn("bridge      %s: 1 streams on 1 connections" % listen, text)
        self.assertIn("Test Agent (test_agent), session %s..." % session[:8], text)
        self.assertNotIn(session, text)

    def test_the_last_id_is_told_of_a_stream_that_has_ended_too(self):
        self.start()
        self.start_bridge()
        agent = self.agent()
        stream = agent.stream(agent.register()[0])
        next(iter_events(stream))
        stream.cancel()
        eventually("the end of the stream", lambda: self.bridge_status()["agents"][0]["streams"] == 0)
        self.assertEqual(self.bridge_status()["agents"][0]["last_sequence"], self.sequence())

    def test_a_killed_bridge_is_none(self):
        self.start()
        self.start_bridge()
        self.end_bridge(signal.SIGKILL)
        result = self.cli("status", "--json")
        self.assertIn('"bridge":null', result.stdout)
        self.assertEqual(result.stderr, "")

    def test_a_stopped_bridge_does_not_hold_up_the_daemons_status(self):
        self.start()
        self.start_bridge()
        self.bridge.send_signal(signal.SIGSTOP)
        self.addCleanup(self.bridge.send_signal, signal.SIGCONT)
        result = self.cli("status", "--json")
        self.assertIn('"bridge":null', result.stdout)
        self.assertRegex(result.stderr, r"the bridge's status: .*bridge.sock: no answer in time \(\d seconds\)\n$")

    def test_it_is_asked_once_where_several_ways_lead_to_one_socket(self):
        """Beside the daemon's socket, say, and where sockets are by default."""
        folder = "/run/configstream" if os.geteuid() == 0 else os.path.join(self.folder, "configstream")
        os.makedirs(folder, exist_ok=True)
        self.socket, self.status_socket = (os.path.join(folder, self.instance + end) for end in (".sock", ".bridge.sock"))
        with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=self.folder):
            self.start()
            self.start_bridge()
            self.bridge.send_signal(signal.SIGSTOP)
            said = self.cli("status", "--json").stderr
        self.bridge.send_signal(signal.SIGCONT)
        self.end_bridge()
        self.end()
        self.assertEqual(said.count("no answer in time"), 1, said)

    def test_one_with_no_place_for_another_question_is_not_waited_for_longer(self):
        self.start()
        with full_socket(self.status_socket):
            said = self.cli("status", "--json").stderr
        self.assertIn("took no connection for 3 seconds", said)

    def test_a_bridge_elsewhere_is_found_by_its_socket(self):
        self.start()
        self.status_socket = os.path.join(self.folder, "elsewhere")
        self.start_bridge()
        self.assertIsNone(self.bridge_status())
        self.assertIn('"bridge":{', self.text("status", "--json", "--bridge", self.status_socket))
        result = self.cli("status", "--json", "--bridge", self.socket)
        self.assertIn("is no bridge's status socket", result.stderr)

    def test_the_bridge_takes_no_changes(self):
        self.start()
        self.start_bridge()
        result = self.cli("--control", self.status_socket, "set", "site", "x", code=6)
        self.assertIn("the bridge answers status only", result.stderr)

    def test_the_socket_is_the_owners_and_goes_at_the_end(self):
        self.start_bridge()
        self.assertEqual(stat.S_IMODE(os.stat(self.status_socket).st_mode), 0o600)
        self.assertEqual(self.end_bridge(), 0)
        self.assertFalse(os.path.exists(self.status_socket))


class Settings(BridgeCase):
    def publish(self, text):
        self.write(self.config, MAIN + text)
        if self.daemon:
            self.cli("reload")

    def test_a_setting_counts_and_its_changes_are_followed(self):
        self.publish("remote_agent: {configstream: {max_connections: 77, idle_timeout: 90s, "
                     "max_request_bytes: 128kb}}\n")
        self.start()
        self.start_bridge()
        for name, value in (("max_connections", "77"), ("idle_timeout", "90s"), ("max_request_bytes", "128kb")):
            self.says("setting remote_agent.configstream.%s: now %s" % (name, value))
        self.publish("remote_agent: {configstream: {max_connections: 78}}\n")
        self.says("setting remote_agent.configstream.max_connections: now 78")
        self.says("setting remote_agent.configstream.idle_timeout: now 15m")

    def test_a_change_has_its_effect(self):
        self.publish("remote_agent: {registry: {recommended_refresh_interval: 7s}}\n")
        self.start()
        self.start_bridge()
        self.says("recommended_refresh_interval: now 7s")
        self.assertEqual(self.agent().register()[1], 7)
        self.publish("remote_agent: {registry: {enabled: false}}\n")
        self.says("setting remote_agent.registry.enabled: now false")
        with self.assertRaises(grpc.RpcError) as refusal:
            self.agent().register()
        self.assertEqual(refusal.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.publish("")
        self.says("setting remote_agent.registry.enabled: now true")
        self.assertEqual(self.agent().register()[1], 10)

    def test_a_limit_takes_effect_while_the_bridge_runs(self):
        self.start()
        self.start_bridge()
        kept = self.agent()
        kept.register()
        self.publish("remote_agent: {configstream: {max_connections: 1}}\n")
        self.says("max_connections: now 1")
        with self.assertRaises(OSError):
            self.connect().recv(1)
        kept.register()
        self.assertGreaterEqual(self.metrics()["configstream_connections_refused"], 1)

    def test_a_flag_wins(self):
        self.publish("remote_agent: {configstream: {max_connections: 77, max_streams: 5}, "
                     "registry: {recommended_refresh_interval: 7s}}\n")
        self.start()
        self.start_bridge("--max-connections", "99", "--registry-refresh-interval", "20s")
        self.says("max_streams: now 5")
        self.assertNotIn("max_connections: now", self.read(self.bridge_log))
        self.assertEqual(self.agent().register()[1], 20)

    def test_of_an_older_and_a_newer_name_the_newer_wins(self):
        self.publish("config_stream: {max_connections: 50, max_streams: 51}\n"
                     "remote_agent: {configstream: {max_connections: 60}}\n"
                     "remote_agent_registry: {idle_timeout: 25s}\n")
        self.start()
        self.start_bridge()
        self.says("setting remote_agent_registry.idle_timeout: now 25s")
        log = self.read(self.bridge_log)
        self.assertIn("setting remote_agent.configstream.max_connections: now 60", log)
        self.assertIn("setting config_stream.max_streams: now 51", log)
        self.assertNotIn("now 50", log)

    def test_what_makes_no_sense_is_told_once_and_changes_nothing(self):
        self.publish("remote_agent: {configstream: {max_connections: 77, max_streams: many}}\n")
        self.start()
        self.start_bridge()
        self.says("WARN setting remote_agent.configstream.max_streams is no whole number; what held before stays")
        self.publish("remote_agent: {configstream: {max_connections: 0, max_streams: many}}\n")
        self.says("WARN setting remote_agent.configstream.max_connections is out of range, which is from 1 to 1000000")
        self.publish("site: other\nremote_agent: {configstream: {max_connections: 0, max_streams: many, "
                     "idle_timeout: 7m}}\n")
        self.says("idle_timeout: now 7m")
        log = self.read(self.bridge_log)
        self.assertEqual(log.count("max_streams is no whole number"), 1)
        self.assertEqual(log.count("max_connections is out of range"), 1)
        self.assertNotIn("many", log)
        self.agent().register()

    def test_the_published_log_level_is_followed(self):
        self.start()
        self.start_bridge()
        self.cli("set", "log_level", "debug")
        self.says("INFO log level is now debug")
        self.cli("set", "log_level", "nonsense")
        self.says("WARN log_level names no level; it stays debug")

    def test_a_pinned_log_level_is_not(self):
        self.start()
        self.start_bridge("--log-level", "info")
        self.cli("set", "log_level", "debug")
        self.publish("log_level: error\nremote_agent: {configstream: {max_streams: 5}}\n")
        self.says("max_streams: now 5")
        self.assertNotIn("log level is now", self.read(self.bridge_log))


class Drain(BridgeCase):
    def test_streams_end_unavailable_and_the_bridge_with_0(self):
        self.start()
        self.start_bridge()
        agent = self.agent()
        events = agent.stream(agent.register()[0])
        next(iter_events(events))
        self.bridge.send_signal(signal.SIGTERM)
        with self.assertRaises(grpc.RpcError) as end:
            next(events)
        self.assertEqual(end.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.bridge.wait(PATIENCE), 0)
        self.says("ending on SIGTERM")

    def test_who_does_not_go_is_cut_in_time(self):
        self.start_bridge("--drain-timeout", "300ms")
        held = self.connect()
        self.assertEqual(self.end_bridge(signal.SIGINT), 0)
        frames = b"".join(iter(lambda: held.recv(4096), b""))
        self.assertIn(b"\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff", frames, "no GOAWAY that leaves time")

    def test_meanwhile_health_says_so(self):
        self.start()
        self.start_bridge("--drain-timeout", "600s")
        agent = self.agent()
        agent.register()
        held = self.connect()
        self.bridge.send_signal(signal.SIGTERM)
        eventually("draining", lambda: self.http("/healthz") == (503, "draining\n"))
        eventually("nobody to be let in", self.is_refused)
        held.close()
        self.assertEqual(self.bridge.wait(PATIENCE), 0)

    def is_refused(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_a_second_signal_ends_it_at_once(self):
        self.start_bridge("--drain-timeout", "600s", "--keepalive-time", "600s", "--request-timeout", "600s")
        self.connect(half_a_call(self.read(self.token)))
        self.bridge.send_signal(signal.SIGTERM)
        eventually("draining", lambda: self.http("/healthz") == (503, "draining\n"))
        self.assertEqual(self.end_bridge(), 0)

    def test_start_and_stop_leave_nothing(self):
        self.start_bridge()
        self.end_bridge()
        self.assertEqual(sorted(os.listdir(self.folder)),
                         sorted(os.path.basename(path) for path in (self.certificate, self.token, self.bridge_log,
                                                                    self.config, self.defaults)))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
