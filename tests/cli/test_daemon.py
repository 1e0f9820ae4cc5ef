# test_daemon.py: the daemon by itself: files that change under it, the service manager, who may talk to it, how it starts.
# SPDX-License-Identifier: Apache-2.0
import grp
import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest
from unittest import mock

from harness import CLI, PATIENCE, Case, DEFAULTS, MAIN, eventually, full_socket

STRANGER = 65534
BY_LOOKING = "seen by looking once a second"


class Watching(Case):
    """A daemon that reloads by itself, and ways to change a file."""
    watching = True

    def main(self, port):
        return MAIN.replace("6001", str(port))

    def replace(self, path, text):
        self.write(path + ".new", text)
        os.rename(path + ".new", path)

    def becomes(self, port):
        eventually("cmd_port %d" % port, lambda: self.value("cmd_port") == port)

    def says(self, text):
        eventually("the log line '%s'" % text, lambda: text in self.read(self.log))

    def reloads(self):
        counters = self.json("status")["counters"]
        return counters["reloads_ok"], counters["reloads_failed"]

    def assert_reloads(self, ok, failed):
        """They are counted once what they changed can be seen."""
        eventually("%d reloads" % (ok + failed), lambda: sum(self.reloads()) >= ok + failed)
        self.assertEqual(self.reloads(), (ok, failed))

    def rests(self):
        """The daemon has had the time for whatever is due 50 ms after an event: half a second lies between two beats."""
        for _ in range(2):
            age = self.json("status")["heartbeat_age_ms"]
            eventually("the next beat", lambda: self.json("status")["heartbeat_age_ms"] < age)

    def assert_seen_at_once(self):
        self.assertNotIn(BY_LOOKING, self.read(self.log))

    def fds(self, what):
        folder = "/proc/%d/fd/" % self.daemon.pid
        return [fd for fd in os.listdir(folder) if what in os.readlink(folder + fd)]


class Replaced(Watching):
    def setUp(self):
        super().setUp()
        self.start()

    def test_rename_over_by_mv(self):
        self.write(self.config + ".new", self.main(6002))
        subprocess.run(["mv", self.config + ".new", self.config], check=True)
        self.becomes(6002)
        self.assertIn("INFO reload: %s changed\n" % self.config, self.read(self.log))
        self.assert_reloads(1, 0)
        self.assert_seen_at_once()

    def test_an_editor_that_keeps_a_backup(self):
        os.rename(self.config, self.config + "~")
        self.write(self.config, self.main(6002))
        os.unlink(self.config + "~")
        self.becomes(6002)
        self.assert_seen_at_once()

    def test_deleted_then_created(self):
        os.unlink(self.config)
        self.write(self.config, self.main(6002))
        self.becomes(6002)
        self.assert_seen_at_once()

    def test_rewritten_in_place_again_and_again(self):
        for port in (6002, 6003, 6004):
            self.write(self.config, self.main(port))
            self.becomes(port)
        self.assert_reloads(3, 0)
        self.assert_seen_at_once()

    def test_a_defaults_file_that_changes(self):
        self.replace(self.defaults, DEFAULTS.replace("site: example.com", "site: example.org"))
        eventually("the new default", lambda: self.value("site") == "example.org")

    def test_fleet_policies_that_change(self):
        self.end()
        fleet = os.path.join(self.folder, "fleet.yaml")
        self.write(fleet, "cmd_port: 6002\n")
        self.start("--fleet-policies", fleet)
        self.becomes(6002)
        self.replace(fleet, "cmd_port: 6003\n")
        self.becomes(6003)
        self.assertIn("reload: %s changed\n" % fleet, self.read(self.log))

    def test_files_that_change_together_are_one_reload(self):
        self.daemon.send_signal(signal.SIGSTOP)
        self.replace(self.config, self.main(6002))
        self.replace(self.defaults, DEFAULTS.replace("rate: 1.5", "rate: 2.5"))
        self.daemon.send_signal(signal.SIGCONT)
        self.becomes(6002)
        self.assertEqual(self.value("rate"), 2.5)
        self.assert_reloads(1, 0)

    def test_a_file_that_never_rests_is_loaded_all_the_same(self):
        ports = itertools.count(7000)

        def reloaded_while_changing():
            self.replace(self.config, self.main(next(ports)))
            return self.reloads()[0] >= 2

        eventually("two reloads", reloaded_while_changing)
        self.becomes(next(ports) - 1)

    def test_a_touched_neighbour_is_no_reason(self):
        self.replace(os.path.join(self.folder, "other.yaml"), "cmd_port: 1\n")
        self.replace(self.config, self.main(6002))
        self.becomes(6002)
        self.assert_reloads(1, 0)

    def test_what_was_loaded_because_somebody_asked_is_not_loaded_again(self):
        self.daemon.send_signal(signal.SIGSTOP)
        self.replace(self.config, self.main(6002))
        self.daemon.send_signal(signal.SIGHUP)
        self.daemon.send_signal(signal.SIGCONT)
        self.becomes(6002)
        self.rests()
        self.assert_reloads(1, 0)

    def test_a_change_right_after_a_reload_is_not_taken_for_the_old_content(self):
        for port in range(6100, 6140, 2):
            self.write(self.config, self.main(port))
            self.daemon.send_signal(signal.SIGHUP)
            self.write(self.config, self.main(port + 1))
            self.becomes(port + 1)

    def test_a_queue_that_overflows(self):
        limit = int(self.read("/proc/sys/fs/inotify/max_queued_events"))
        if limit > 1 << 20:
            self.skipTest("the queue holds %d events: filling it takes too long" % limit)
        self.daemon.send_signal(signal.SIGSTOP)
        for i in range(limit // 2 + 100):
            self.write(os.path.join(self.folder, "noise%d" % i), "")
        self.replace(self.config, self.main(6002))
        self.daemon.send_signal(signal.SIGCONT)
        self.becomes(6002)
        self.assertIn(BY_LOOKING, self.read(self.log))
        self.replace(self.config, self.main(6003))
        self.becomes(6003)
        self.assertIn("reload: %s changed\n" % self.config, self.read(self.log))

    def test_without_watching_only_who_asks_reloads(self):
        self.assertEqual(len(self.fds("inotify")), 1)
        self.end()
        self.watching = False
        self.start()
        self.assertEqual(self.fds("inotify"), [])


class Linked(Watching):
    def path(self, *names):
        return os.path.join(self.folder, *names)

    def link(self, target, *names):
        os.symlink(target, self.path("link.new"))
        os.rename(self.path("link.new"), self.path(*names))

    def publish_volume(self, version, port):
        """As a kubelet does it: a new directory, and ..data renamed over.  The old directory goes later."""
        new = "..2026_%02d" % version
        os.mkdir(self.path("volume", new))
        self.write(self.path("volume", new, "main.yaml"), self.main(port))
        self.link(new, "volume", "..data")

    def test_a_volume_of_kubernetes_swapped_three_times(self):
        os.mkdir(self.path("volume"))
        self.publish_volume(1, 6001)
        self.config = self.path("volume", "main.yaml")
        os.symlink("..data/main.yaml", self.config)
        self.start()
        for version in (2, 3, 4):
            begun = time.monotonic()
            self.publish_volume(version, 6000 + version)
            self.becomes(6000 + version)
            print("swap to visible: %.0f ms" % ((time.monotonic() - begun) * 1000), file=sys.stderr)
            shutil.rmtree(self.path("volume", "..2026_%02d" % (version - 1)))
        self.assert_reloads(3, 0)
        self.assert_seen_at_once()

    def test_a_directory_on_the_way_that_is_a_link(self):
        for release in ("one", "two"):
            os.makedirs(self.path(release, "etc"))
        self.write(self.path("one", "etc", "main.yaml"), self.main(6001))
        self.write(self.path("two", "etc", "main.yaml"), self.main(6002))
        self.link(self.path("one"), "current")
        self.config = self.path("current", "etc", "main.yaml")
        self.start()
        self.link("two", "current")
        self.becomes(6002)
        self.replace(self.path("two", "etc", "main.yaml"), self.main(6003))
        self.becomes(6003)
        self.assert_seen_at_once()

    def test_the_links_target_is_rewritten(self):
        os.mkdir(self.path("elsewhere"))
        os.rename(self.config, self.path("elsewhere", "real.yaml"))
        os.symlink("elsewhere/real.yaml", self.config)
        self.start()
        self.write(self.path("elsewhere", "real.yaml"), self.main(6002))
        self.becomes(6002)
        self.assert_seen_at_once()

    def test_the_directory_goes_and_comes_back(self):
        os.mkdir(self.path("conf"))
        self.config = self.path("conf", "main.yaml")
        self.write(self.config, self.main(6001))
        self.start()
        shutil.rmtree(self.path("conf"))
        self.says("WARN %s is missing" % self.config)
        os.mkdir(self.path("conf"))
        self.write(self.config, self.main(6002))
        self.becomes(6002)
        self.replace(self.config, self.main(6003))
        self.becomes(6003)
        self.assert_reloads(2, 0)

    def test_the_directory_is_renamed_and_another_takes_its_place(self):
        for name, port in (("conf", 6001), ("next", 6002)):
            os.mkdir(self.path(name))
            self.write(self.path(name, "main.yaml"), self.main(port))
        self.config = self.path("conf", "main.yaml")
        self.start()
        os.rename(self.path("conf"), self.path("last"))
        os.rename(self.path("next"), self.path("conf"))
        self.becomes(6002)
        self.write(self.path("last", "main.yaml"), self.main(6009))
        self.write(self.config, self.main(6003))
        self.becomes(6003)

    def test_a_directory_far_above_is_renamed(self):
        for name, port in (("top", 6001), ("next", 6002)):
            os.makedirs(self.path(name, "a", "b"))
            self.write(self.path(name, "a", "b", "main.yaml"), self.main(port))
        self.config = self.path("top", "a", "b", "main.yaml")
        self.start()
        os.rename(self.path("top"), self.path("last"))
        os.rename(self.path("next"), self.path("top"))
        self.becomes(6002)
        self.assertIn(BY_LOOKING, self.read(self.log))
        self.replace(self.config, self.main(6003))
        self.becomes(6003)
        self.assertIn("reload: %s changed\n" % self.config, self.read(self.log))

    def test_links_in_a_circle_end_nothing(self):
        self.start()
        self.link("main.yaml", "main.yaml")
        self.says("WARN %s is missing" % self.config)
        self.replace(self.config, self.main(6002))
        self.becomes(6002)

    def test_a_path_relative_to_where_the_daemon_started(self):
        full = self.config
        self.config = os.path.relpath(full)
        self.start()
        self.replace(full, self.main(6002))
        self.becomes(6002)
        self.assert_seen_at_once()


class Unfinished(Watching):
    def setUp(self):
        super().setUp()
        self.start()

    def test_a_file_that_does_not_parse_is_said_once_and_tried_again_when_it_changes(self):
        self.replace(self.config, "cmd_port: 6002\ntags: [a, ")
        eventually("the failure", lambda: self.reloads() == (0, 1))
        self.assertEqual(self.value("cmd_port"), 6001)
        self.replace(self.config, self.main(6002))
        self.becomes(6002)
        self.assert_reloads(1, 1)
        self.assertEqual(len(re.findall(r"ERROR reload failed.*" + re.escape(self.config) + r":\d+:\d+: ",
                                        self.read(self.log))), 1)

    def test_a_writer_that_keeps_the_file_open_is_waited_for(self):
        with open(self.config, "w") as file:
            file.write("cmd_port: 6002\n")
            file.flush()
            self.says("WARN %s is still open in whoever writes to it" % self.config)
            self.assertEqual((self.value("cmd_port"), self.value("logs_config.batch_wait")), (6001, 7))
            file.write("logs_config: {batch_wait: 8}\n")
        self.becomes(6002)
        self.assertEqual(self.value("logs_config.batch_wait"), 8)
        self.assert_reloads(1, 0)
        self.assert_seen_at_once()

    def test_no_other_file_is_loaded_while_one_is_being_written(self):
        with open(self.config, "w") as file:
            file.write("cmd_port: 6002\n")
            file.flush()
            self.replace(self.defaults, DEFAULTS.replace("rate: 1.5", "rate: 2.5"))
            self.says("is still open")
            self.assertEqual((self.value("cmd_port"), self.value("rate")), (6001, 1.5))
        self.becomes(6002)
        self.assertEqual(self.value("rate"), 2.5)
        self.assert_reloads(1, 0)

    def test_an_open_file_replaced_by_another_is_not_waited_for(self):
        with open(self.config, "a") as file:
            file.write("site: example.org\n")
            file.flush()
            self.replace(self.config, self.main(6002))
            self.becomes(6002)
        self.assertEqual(self.value("site"), "example.com")

    def test_an_emptied_file_is_not_applied_until_somebody_asks(self):
        self.write(self.config, "")
        self.says("WARN %s has become empty: the last good configuration stays" % self.config)
        self.assertEqual(self.value("cmd_port"), 6001)
        self.assert_reloads(0, 0)
        self.cli("reload")
        self.assertEqual(self.value("cmd_port"), 5001)
        self.assert_reloads(1, 0)
        self.write(self.config, self.main(6002))
        self.becomes(6002)

    def test_an_emptied_file_that_is_filled_again(self):
        self.write(self.config, "")
        self.says("has become empty")
        self.write(self.config, self.main(6002))
        self.becomes(6002)
        self.assertEqual(self.read(self.log).count("has become empty"), 1)
        self.assert_reloads(1, 0)

    def test_a_missing_file_is_waited_for(self):
        os.unlink(self.config)
        self.says("WARN %s is missing: the last good configuration stays until it is back" % self.config)
        self.assertEqual(self.value("cmd_port"), 6001)
        self.assert_reloads(0, 0)
        result = self.cli("reload", code=6)
        self.assertIn(self.config, result.stderr)
        self.replace(self.config, self.main(6002))
        self.becomes(6002)
        self.assertEqual(self.read(self.log).count("is missing"), 1)
        self.assert_reloads(1, 1)

    def test_what_could_not_be_read_is_tried_again(self):
        held = self.leave_no_descriptor()
        self.replace(self.config, self.main(6002))
        eventually("the failure", lambda: self.reloads()[1] >= 1)
        self.assertEqual(self.value("cmd_port"), 6001)
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, held)
        self.becomes(6002)
        self.assertIn("could not be loaded before", self.read(self.log))

    def test_what_found_no_room_is_tried_again(self):
        self.end()
        self.start("--max-size", "6mb", "--ring-slots", "64")
        large = os.path.join(self.folder, "large")
        self.write(large, "x" * (2 << 20))
        self.cli("set", "site", "--file", large)
        self.replace(self.config, self.main(6002) + "hidden: " + "y" * (2 << 20) + "\n")
        eventually("the failure", lambda: self.reloads()[1] >= 1)
        self.assertEqual(self.value("cmd_port"), 6001)
        self.cli("unset", "site")
        self.becomes(6002)

    def test_a_file_that_was_always_empty_holds_up_nothing(self):
        self.end()
        self.write(self.config, "")
        self.start()
        self.replace(self.defaults, DEFAULTS.replace("5001", "5002"))
        self.becomes(5002)
        self.assertNotIn("has become empty", self.read(self.log))


class Looking(Watching):
    """Where inotify has nothing to offer the daemon looks once a second.  A user namespace has limits of its own."""
    limit = None

    def daemon_arguments(self, *more):
        arguments = super().daemon_arguments(*more)
        if not self.limit:
            return arguments
        return ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/%s; exec "$@"' % self.limit, "sh", *arguments]

    def start_limited(self, limit):
        trial = subprocess.run(["unshare", "-Ur", "sh", "-c", "echo 0 >/proc/sys/user/" + limit], capture_output=True)
        if trial.returncode != 0:
            self.skipTest("no user namespaces here: " + trial.stderr.decode())
        self.limit = limit
        self.start()

    def changes_are_seen(self):
        for port in (6002, 6003):
            self.replace(self.config, self.main(port))
            self.becomes(port)
        os.unlink(self.config)
        self.says("is missing")
        self.write(self.config, self.main(6004))
        self.becomes(6004)
        self.assert_reloads(3, 0)
        self.assertEqual(self.read(self.log).count(BY_LOOKING), 3)

    def test_without_inotify(self):
        self.start_limited("max_inotify_instances")
        self.changes_are_seen()
        self.assertEqual(self.read(self.log).count("cannot use inotify"), 1)

    def test_without_watches_left(self):
        self.start_limited("max_inotify_watches")
        self.changes_are_seen()
        self.assertEqual(self.read(self.log).count("cannot watch %s: " % self.folder), 1)

    def test_watches_that_come_back_are_used(self):
        self.start_limited("max_inotify_watches")
        subprocess.run(["nsenter", "-U", "--preserve-credentials", "-t", str(self.daemon.pid), "sh", "-c",
                        "echo 100 >/proc/sys/user/max_inotify_watches"], check=True)
        details = "/proc/%d/fdinfo/%s" % (self.daemon.pid, self.fds("inotify")[0])
        eventually("a watch", lambda: "inotify wd:" in self.read(details))
        self.replace(self.config, self.main(6002))
        self.becomes(6002)
        self.assert_seen_at_once()

    def test_another_name_of_the_same_file(self):
        os.mkdir(os.path.join(self.folder, "other"))
        other = os.path.join(self.folder, "other", "name.yaml")
        os.link(self.config, other)
        self.start()
        self.write(other, self.main(6002))
        self.becomes(6002)
        self.assertIn(BY_LOOKING, self.read(self.log))


class Notify(Watching):
    def listen(self, name):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(PATIENCE)
        patch = mock.patch.dict(os.environ, NOTIFY_SOCKET=name)
        patch.start()
        self.addCleanup(patch.stop)
        return manager

    def receive(self, manager):
        return dict(line.split("=", 1) for line in manager.recv(4096).decode().split("\n"))

    def assert_reload(self, manager, status):
        reloading = self.receive(manager)
        self.assertEqual((reloading["RELOADING"], set(reloading)), ("1", {"RELOADING", "MONOTONIC_USEC"}))
        ready = self.receive(manager)
        self.assertEqual(ready["READY"], "1")
        self.assertIn(status, ready["STATUS"])
        return int(reloading["MONOTONIC_USEC"])

    def test_start_reloads_and_stop(self):
        manager = self.listen(os.path.join(self.folder, "notify"))
        self.daemon = subprocess.Popen(self.daemon_arguments(), stderr=subprocess.DEVNULL)
        self.processes.append(self.daemon)
        ready = self.receive(manager)
        self.assertEqual(self.value("cmd_port"), 6001)  # ready is ready
        self.assertEqual((ready["READY"], ready["STATUS"]), ("1", "instance '%s': 13 settings, last ID %d" % (
            self.instance, self.sequence())))
        begun = time.monotonic_ns() // 1000
        self.cli("reload")
        self.assertTrue(begun <= self.assert_reload(manager, "last ID") <= time.monotonic_ns() // 1000)
        self.daemon.send_signal(signal.SIGHUP)
        self.assert_reload(manager, "last ID")
        self.replace(self.config, "bad: [")
        self.assert_reload(manager, "reload failed, the last good configuration stays: " + self.config)
        self.replace(self.config, self.main(6002))
        self.assert_reload(manager, "13 settings")
        self.assertEqual(self.end(), 0)
        self.assertEqual(self.receive(manager), {"STOPPING": "1"})

    def test_an_abstract_name(self):
        manager = self.listen("@cfgs-" + self.instance)
        self.start()
        self.assertEqual(self.receive(manager)["READY"], "1")

    def test_a_failed_start_is_never_ready(self):
        manager = self.listen(os.path.join(self.folder, "notify"))
        self.write(self.config, "bad: [")
        self.assertEqual(self.start_failing().returncode, 1)
        manager.setblocking(False)
        self.assertRaises(BlockingIOError, manager.recv, 1)

    def test_nobody_there_and_nonsense_harm_nothing(self):
        for name in ("/nonexistent/notify", "@cfgs-nobody", "vsock:1:2", "@", "", "/" + "x" * 300):
            with mock.patch.dict(os.environ, NOTIFY_SOCKET=name):
                self.start()
            self.cli("reload")
            self.assertEqual(self.end(), 0)

    def test_a_manager_that_takes_nothing_holds_up_nothing(self):
        self.listen(os.path.join(self.folder, "notify"))
        self.start()
        for _ in range(int(self.read("/proc/sys/net/unix/max_dgram_qlen")) + 1):
            self.cli("reload")
        self.assertEqual(self.end(), 0)

    def test_nothing_is_left_open_for_a_program_that_is_started(self):
        self.listen(os.path.join(self.folder, "notify"))
        self.start()
        folder = "/proc/%d/fdinfo/" % self.daemon.pid
        for fd in os.listdir(folder):
            flags = int(re.search(r"flags:\s+(\d+)", self.read(folder + fd)).group(1), 8)
            self.assertTrue(int(fd) <= 2 or flags & os.O_CLOEXEC, os.readlink("/proc/%d/fd/%s" % (self.daemon.pid, fd)))


class Peers(Case):
    ASK = ("import socket, struct, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(60)\n"
           "try: s.sendall(bytes(4)); answer = s.recv(4)\n"
           "except (BrokenPipeError, ConnectionResetError): answer = b''\n"
           "print(len(answer))")

    def ask(self, **identity):
        """Whether somebody of this identity is answered."""
        process = subprocess.Popen(["python3", "-c", self.ASK, self.socket], stdout=subprocess.PIPE, cwd="/", **identity)
        self.processes.append(process)
        answered = process.communicate(timeout=PATIENCE)[0] == b"4\n"
        self.assertEqual(process.returncode, 0)
        return answered, process.pid

    def let_all_in(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become somebody else")
        os.chmod(self.folder, 0o755)
        os.chmod(self.socket, 0o666)

    def test_a_stranger_is_dropped_though_the_mode_lets_him_in(self):
        self.start()
        self.let_all_in()
        answered, pid = self.ask(user=STRANGER, group=STRANGER, extra_groups=[])
        self.assertFalse(answered)
        self.assertIn("WARN control: dropped the client of uid=%d pid=%d: it is neither root, nor our user" % (
            STRANGER, pid), self.read(self.log))
        self.cli("set", "site", "served")

    def test_a_strangers_command_fails_and_says_where_to_look(self):
        self.start("--mode", "0644")
        self.let_all_in()
        tool = os.path.join(self.folder, "configstream")  # the build's directory may be closed to a stranger
        shutil.copy(CLI, tool)
        library = subprocess.run(["ldd", CLI], capture_output=True, text=True).stdout
        found = re.search(r"libconfigstream\S* => (\S+)", library)
        if found:
            shutil.copy(found.group(1), os.path.join(self.folder, os.path.basename(found.group(1)).split()[0]))
        result = subprocess.run([tool, "--instance", self.instance, "--producer-user", "root", "set", "site", "x"],
                                capture_output=True, text=True, user=STRANGER, group=STRANGER, extra_groups=[], cwd="/",
                                env=dict(os.environ, LD_LIBRARY_PATH=self.folder))
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertIn("its log may tell why", result.stderr)
        self.assertEqual(self.value("site"), "example.com")

    def test_the_control_group_is_let_in_by_either_kind_of_membership(self):
        group = next(entry for entry in grp.getgrall() if entry.gr_gid not in (0, STRANGER))
        if os.geteuid() != 0:
            self.skipTest("needs root, to become somebody else")
        self.start("--control-group", group.gr_name)
        self.assertEqual((os.stat(self.socket).st_mode & 0o777, os.stat(self.socket).st_gid), (0o660, group.gr_gid))
        self.let_all_in()
        many = list(range(70000, 70100))
        for answered, identity in ((True, dict(group=group.gr_gid, extra_groups=[])),
                                   (True, dict(group=STRANGER, extra_groups=[group.gr_gid])),
                                   (True, dict(group=STRANGER, extra_groups=many + [group.gr_gid])),
                                   (False, dict(group=STRANGER, extra_groups=[])),
                                   (False, dict(group=STRANGER, extra_groups=many))):
            self.assertEqual(self.ask(user=STRANGER, **identity)[0], answered, identity)
        self.assertEqual(self.read(self.log).count("nor our user, nor in the control group"), 2)

    def test_a_stranger_takes_nobodys_place(self):
        self.start()
        self.let_all_in()
        for _ in range(70):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.connect(self.socket)
        self.assertFalse(self.ask(user=STRANGER, group=STRANGER, extra_groups=[])[0])
        self.cli("set", "site", "served")

    def test_every_change_is_logged_with_who_asked(self):
        self.start()
        for words, line in ((("set", "site", "hush"), "set key='site' source=cli uid=%d pid=%d: 1 changed"),
                            (("unset", "site"), "unset key='site' source=cli uid=%d pid=%d: 1 changed"),
                            (("set", "nothing", "hush"), "set key='nothing' source=cli uid=%d pid=%d refused: "),
                            (("reload",), "reload asked for by uid=%d pid=%d")):
            client = subprocess.Popen([CLI, "--instance", self.instance, *words], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            client.wait(PATIENCE)
            self.assertIn(line % (os.geteuid(), client.pid), self.read(self.log))
        self.daemon.send_signal(signal.SIGHUP)
        line = "reload asked for by SIGHUP from uid=%d pid=%d" % (os.getuid(), os.getpid())
        eventually("the reload", lambda: line in self.read(self.log))
        self.assertNotIn("hush", self.read(self.log))


class Crowds(Case):
    def setUp(self):
        super().setUp()
        self.start()

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(self.socket)
        return client

    def stuck_in_reading(self):
        """Asks on and on and takes no answer, until the daemon takes no more questions: not even while it serves others."""
        client = self.connect()
        client.setblocking(False)
        while self.takes_more(client):
            self.cli("get", "site", "--all-sources")
        return client

    @staticmethod
    def takes_more(client):
        taken = False
        try:
            while client.send(struct.pack(">I", 0) * 1000):
                taken = True
        except BlockingIOError:
            return taken

    def stuck_in_writing(self):
        client = self.connect()
        client.sendall(struct.pack(">I", 1000) + b"half")
        return client

    def test_a_crowd_is_answered_beside_the_stuck_ones(self):
        stuck = [self.stuck_in_reading(), self.stuck_in_writing()]
        crowd = [subprocess.Popen([CLI, "--instance", self.instance, "set", "cmd_port", str(i)], stdout=subprocess.DEVNULL)
                 for i in range(100)]
        self.processes += crowd
        self.assertEqual([process.wait(PATIENCE) for process in crowd], [0] * 100)
        self.assertEqual(len(stuck), 2)

    def test_the_stuck_and_the_silent_are_dropped_when_their_time_is_up_and_change_nothing(self):
        before = self.sequence()
        _, *others = self.stuck_in_reading(), self.stuck_in_writing(), self.connect()
        self.cli("get", "site", "--all-sources")  # meanwhile it serves
        for count, reason in ((1, "it does not take its answer"), (2, "it sent no request for too long")):
            line = "control: dropped the client of uid=%d pid=%d: %s\n" % (os.geteuid(), os.getpid(), reason)
            eventually(line, lambda: self.read(self.log).count(line) == count)
        for client in others:
            self.assertEqual(client.recv(1), b"")
        self.assertEqual(self.sequence(), before)
        self.cli("set", "site", "served")


class Start(Watching):
    def start_with_umask(self, *more):
        before = os.umask(0o077)
        try:
            self.start(*more)
        finally:
            os.umask(before)

    def arena_mode(self):
        return os.stat("/dev/shm/configstream." + self.instance).st_mode & 0o777

    def test_modes_do_not_follow_the_umask(self):
        self.start_with_umask()
        self.assertEqual(self.arena_mode(), 0o640)
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat("/dev/shm/configstream.%s.lock" % self.instance).st_mode & 0o777, 0o600)

    def test_a_mode_for_everybody_under_a_private_umask(self):
        group = grp.getgrgid(os.getegid()).gr_name
        self.start_with_umask("--mode", "0644", "--control-group", group)
        self.assertEqual((self.arena_mode(), os.stat(self.socket).st_mode & 0o777), (0o644, 0o660))

    def test_check_watches_nothing_and_touches_nothing(self):
        result = self.start_failing("--check")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertFalse(self.arena_exists() or os.path.exists(self.socket))

    def test_a_daemon_that_takes_nobody_in_time_is_7(self):
        self.start()
        other = os.path.join(self.folder, "other")
        with full_socket(other):
            asking = [subprocess.Popen([CLI, "--instance", self.instance, "--control", other, *words],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                      for words in (["set", "site", "x"], ["unset", "site"], ["reload"])]
            self.processes += asking
            for process in asking:
                self.assertIn("no answer in time", process.communicate(timeout=PATIENCE)[1])
                self.assertEqual(process.returncode, 7)

    def test_a_stopped_producer_is_stalled_and_not_live(self):
        self.start()
        self.daemon.send_signal(signal.SIGSTOP)
        eventually("the stall", lambda: json.loads(self.run_cli("status", "--json").stdout)["state"] == "stalled")
        self.cli("get", "site", "--live", code=5)
        self.cli("get", "site")
        print("status of a stalled producer exits %d" % self.run_cli("status").returncode, file=sys.stderr)
        self.daemon.send_signal(signal.SIGCONT)
        eventually("life", lambda: self.run_cli("get", "site", "--live").returncode == 0)

    def test_a_clean_stop_keeps_the_arena_for_readers(self):
        self.start()
        self.cli("set", "site", "kept")
        self.assertEqual(self.end(), 0)
        self.assertEqual((self.value("site"), self.json("status", code=5)["state"]), ("kept", "closed"))
        self.assertFalse(os.path.exists(self.socket))

    def test_print_size_needs_no_files(self):
        result = subprocess.run([self.daemon_arguments()[0], "--print-size", "--settings", "1000", "--ring-slots", "64"],
                                capture_output=True, text=True)
        self.assertRegex(result.stdout, r"^\d+ bytes \(\d+\.\d MiB\) for 1000 settings and 64 ring slots\n$")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + (sys.argv[1:] or []))
