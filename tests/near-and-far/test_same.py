# test_same.py: the same program near, far, and behind a relay sees the same IDs and the same state, whatever it is asked.
# SPDX-License-Identifier: Apache-2.0
import os
import unittest

from world import World

SAME = os.environ["SAME"]

DEFAULTS = """\
same:
  flag: false
  port: 5001
  ratio: 0.5
  pause: 30s
  limit: 10mb
  name: default
  empty: ""
  tags: [a, b]
  map: {}
  none: null
  large: 0
  minus: 0.5
  section: {one: 1, two: 2}
  bulk: {}
last: 0
hostname: ""
"""

# Keys within maps with dots, quotes, control and other characters; integers that doubles round; floats that are whole.
MAIN = """\
same:
  flag: true
  port: 8443
  ratio: 2.0
  minus: -0.0
  large: 9007199254740993
  tags: ["x", "", "käse \\u0001"]
  map: {"http://a.b/c": ["k1", {"d.e": null}], "q\\"'": {"": [1.5, 9007199254740993, true]}}
"""


class Same(World):
    """Each test runs the program over the same changes in three places, and compares every line."""

    def changes(self, producer):
        for number in range(3):
            producer.set("same.port", 9000 + number)
        producer.set("same.name", "set at run time")
        producer.set("same.section.one", 11)
        producer.cli("set", "same.name", "of an agent", "--source", "agent-runtime")
        producer.cli("unset", "same.name")
        producer.cli("unset", "same.name", "--source", "agent-runtime")
        producer.load(MAIN + "  section: {two: 22}\nadded: [1, 2]\n") # a batch
        producer.load(MAIN) # keys that go, and come back to their defaults
        producer.set("same.ratio", 3)
        producer.set("same.map", {"z": 1, "a.b": {"": None}})

    def compare(self, mode, change, seen_by=()):
        """`seen_by`: how the line begins by which a program has seen the change.  A snapshot is as of the time it is taken:
        one that is taken late holds the end of the test already."""
        with open(os.path.join(self.folder, "defaults.yaml"), "w") as file:
            file.write(DEFAULTS)
        with open(os.path.join(self.folder, "datadog.yaml"), "w") as file:
            file.write(MAIN)
        producer = self.producer(["--ring-slots", "256"])
        bridge = self.bridge()
        relay = self.relay(bridge, flags=["--ring-slots", "256"])
        relay.is_at(producer.sequence())
        programs = {where: self.spawn(SAME, mode, address, "last", bridge=bridge, log=where + ".log")
                    for where, address in (("near", "shm:" + self.name), ("far", bridge.address),
                                           ("relay", "shm:" + relay.instance))}
        begun = {where: self.lines_until(program, ("view", "state")) for where, program in programs.items()}
        change(producer)
        for where, program in programs.items() if seen_by else ():
            begun[where] += self.lines_until(program, seen_by)
        producer.set("last", 1)
        # Not by communicate(), which passes over what readline() has read ahead.
        seen = {where: begun[where] + program.stdout.read().splitlines() for where, program in programs.items()}
        for where, program in programs.items():
            self.assertEqual(program.wait(), 0, where)
            self.assertEqual(seen[where], seen["near"], where)
        return seen["near"]

    @staticmethod
    def lines_until(program, beginnings):
        """All programs have the first snapshot before anything changes."""
        lines = []
        while not lines or not lines[-1].startswith(beginnings):
            line = program.stdout.readline()
            if not line:
                raise AssertionError("the program ended")
            lines.append(line.rstrip("\n"))
        return lines

    def test_typed_reads_views_and_events_are_the_same(self):
        lines = self.compare("events", self.changes)
        self.assertIn("read int same.port 0 9002", lines)
        self.assertTrue(any(" clears 'cli' was \"set at run time\"" in line for line in lines), lines)
        self.assertEqual(sum(line.startswith("event snapshot") for line in lines), 1, "nobody was lapped")
        self.assertEqual(sum(line.startswith("event #") for line in lines), 14)

    def test_what_subscriptions_are_told_is_the_same(self):
        def one_at_a_time(producer):
            producer.set("same.name", "first")
            producer.set("same.section.two", 3)
            producer.cli("unset", "same.name")
            producer.set("same.port", 1)

        lines = self.compare("changes", one_at_a_time)
        self.assertIn('change key #%s same.name "default" default -> "first" cli'
                      % next(line.split("#")[1].split()[0] for line in lines if '"first" cli' in line), lines)
        self.assertTrue(any(line.startswith("change section") and "same.section.two" in line for line in lines))

    def test_a_bulk_load_is_one_snapshot_everywhere(self):
        def bulk(producer):
            producer.load(MAIN + "".join("bulk%d: %d\n" % (number, number) for number in range(200)))

        lines = self.compare("events", bulk, ("view",))
        self.assertEqual(sum(line.startswith("event snapshot") for line in lines), 2)


if __name__ == "__main__":
    unittest.main()
