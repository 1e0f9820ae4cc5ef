# soak.py: a producer under load; bridge, producer and relays are killed and started again at random; sessions go with
# the bridges, consumers are stopped and go on.  At the end everybody has exactly the producer's state, saw no gap and no
# repeat, and has grown by nothing.  SPDX-License-Identifier: Apache-2.0
import json
import os
import random
import signal
import subprocess
import time
import unittest

from world import Producer, Relay, World, eventually, write

SANITIZER = os.environ["SANITIZER"]
CONSUMER, LOAD = os.environ["CONSUMER"], os.environ["LOAD"]
SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
KILLS = int(os.environ.get("SOAK_KILLS", "20")) # at the least, of producer and bridge each
GROWTH_KIB = 8192   # of a consumer's own memory, between an eighth of the kills and the end
SLOTS = "1024"

BULK = "".join("bulk%d: %%d\n" % number for number in range(700)) # more than half the ring: a bulk load
DEFAULTS = "soak: {%s}\nbulk: {}\n" % ", ".join('k%d: ""' % number for number in range(300))


class Consumer:
    def __init__(self, world, name, address, bridge=None):
        self.name = name
        self.process = world.spawn(CONSUMER, address, bridge=bridge, log=name + ".log", stdin=subprocess.PIPE)
        self.first = None

    def report(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the consumer '%s' ended" % self.name)
        return json.loads(line)

    def stop_for_a_while(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class Soak(World):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SOAK_SEED", time.time()))
        self.random = random.Random(self.seed)
        print("seed %d" % self.seed, flush=True)

    def start(self):
        write(os.path.join(self.folder, "defaults.yaml"), DEFAULTS)
        write(os.path.join(self.folder, "datadog.yaml"), "first: 1\n")
        self.now = self.producer(["--ring-slots", SLOTS])
        self.near_bridge = self.bridge(flags=["--registry-idle-timeout", "1s"])
        self.first_relay = self.relay(self.near_bridge, flags=["--ring-slots", SLOTS])
        self.first_relay.is_at(self.now.sequence())
        self.relay_bridge = self.bridge(self.first_relay.instance, "relay-bridge")
        self.consumers = [
            Consumer(self, "near-1", "shm:" + self.name), Consumer(self, "near-2", "shm:" + self.name),
            Consumer(self, "far-1", self.near_bridge.address, self.near_bridge),
            Consumer(self, "far-2", self.near_bridge.address, self.near_bridge),
            Consumer(self, "relay-1", "shm:" + self.first_relay.instance),
            Consumer(self, "relay-far", self.relay_bridge.address, self.relay_bridge)]
        for consumer in self.consumers:
            consumer.report()
        self.load = self.spawn(LOAD, self.now.socket, str(self.seed % 100000), log="load.log", stdin=subprocess.PIPE)

    # -- what befalls them

    def kill_producer(self):
        self.now.kill()
        self.now = self.begin(Producer(self.folder, self.name, ["--ring-slots", SLOTS]))

    def kill_bridge(self):
        port = self.near_bridge.port
        self.near_bridge.kill()
        self.near_bridge = self.bridge(flags=["--registry-idle-timeout", "1s"], port=port)

    def kill_relay(self):
        self.first_relay.kill()
        self.first_relay = self.begin(Relay(os.path.join(self.folder, "relay"), self.first_relay.instance,
                                            self.near_bridge, ["--backoff-min", "20ms", "--backoff-max", "200ms",
                                                               "--ring-slots", SLOTS]))

    def kill_relay_bridge(self):
        port = self.relay_bridge.port
        self.relay_bridge.kill()
        self.relay_bridge = self.bridge(self.first_relay.instance, "relay-bridge", port=port)

    def load_many(self):
        self.now.load(BULK % tuple(self.random.randrange(10) for _ in range(700)) if self.random.random() < 0.5
                      else "first: %d\n" % self.random.randrange(1000))

    def stop_someone(self):
        consumer = self.random.choice(self.consumers)
        consumer.stop_for_a_while()
        self.advance(2000)
        consumer.go_on()

    def advance(self, at_most):
        """Let the load go on for some changes."""
        goal = self.now.sequence() + self.random.randrange(1, at_most)
        eventually("the producer to reach #%d" % goal, lambda: self.now.sequence() >= goal)

    # -- what has to hold

    def settle(self):
        """Everybody has the producer's last state."""
        self.load.stdin.close()
        self.load.wait()
        last = self.now.sequence()
        reports = []
        for consumer in self.consumers:
            eventually("%s to be at #%d" % (consumer.name, last), lambda: consumer.report()["sequence"] == last)
            reports.append(consumer.report())
        return last, reports

    def test_everybody_ends_with_the_producers_state_whatever_is_killed(self):
        self.start()
        actions = {self.kill_producer: 4, self.kill_bridge: 4, self.kill_relay: 1, self.kill_relay_bridge: 1,
                   self.load_many: 2, self.stop_someone: 2}
        done = dict.fromkeys(actions, 0)
        begun = time.monotonic()
        early = None
        while time.monotonic() - begun < SECONDS or min(done[self.kill_producer], done[self.kill_bridge]) < KILLS:
            action = self.random.choices(list(actions), actions.values())[0]
            action()
            done[action] += 1
            self.advance(300)
            if early is None and sum(done.values()) >= 10:
                early = [consumer.report() for consumer in self.consumers]
        last, reports = self.settle()
        print("#%d after %s" % (last, {action.__name__: count for action, count in done.items()}))
        truth = reports[0]
        for consumer, report, before in zip(self.consumers, reports, early):
            print(consumer.name, report)
            with self.subTest(consumer.name):
                for what in ("sequence", "settings", "digest"):
                    self.assertEqual(report[what], truth[what], what)
                    self.assertEqual(report[what], report["seen" if what == "sequence" else "seen_" + what], what)
                for what in ("gaps", "early", "wire_gaps", "stale", "malformed", "replaced"):
                    self.assertEqual(report[what], 0, what)
                if consumer.name.startswith("far"): # its session went with each bridge, and another one took its place
                    self.assertGreater(report["refused"], 0)
                    self.assertGreater(report["registrations"], report["refused"])
                self.assertEqual(report["threads"], before["threads"])
                self.assertLessEqual(report["descriptors"], before["descriptors"] + 1) # a connection that is made anew
                if not SANITIZER: # it keeps what is freed
                    self.assertLess(report["anonymous_kib"], before["anonymous_kib"] + GROWTH_KIB)


if __name__ == "__main__":
    unittest.main()
