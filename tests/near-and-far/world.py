# world.py: a producer, its bridge, a relay of it, and programs that read them near and far.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

os.environ.setdefault("CLIENT", "") # harness.py's clients of other stacks are not used here
from harness import CLI, PATIENCE, Bridge, Process, Producer, eventually, numbers, start, write

RELAY = os.environ["CONFIGSTREAM_RELAY"]


class Relay(Process):
    """A relay of a bridge, with an instance of its own."""

    def __init__(self, folder, instance, bridge, flags=()):
        os.makedirs(folder, exist_ok=True)
        self.instance = instance
        super().__init__(os.path.join(folder, "relay.log"), [
            RELAY, "--connect", bridge.address, "--instance", instance, "--cert", bridge.credentials.cert,
            "--auth-token-file", bridge.credentials.token_file, "--log-level", "info", *flags])

    def status(self):
        result = subprocess.run([CLI, "--instance", self.instance, "--json", "status"], capture_output=True, text=True,
                                timeout=PATIENCE)
        return json.loads(result.stdout) if result.stdout else None

    def is_at(self, sequence):
        def look():
            self.check()
            status = self.status()
            return status is not None and status["sequence"] == sequence

        eventually("the relay to be at #%d" % sequence, look)


class World(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="configstream-remote-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.name = "remote-%d-%d" % (os.getpid(), next(numbers))

    def begin(self, process, *more):
        """Ends with the test."""
        self.addCleanup(process.kill)
        return process

    def producer(self, flags=()):
        self.addCleanup(self.destroy, self.name) # first, so that it runs when the producer is gone
        return self.begin(Producer(self.folder, self.name, flags))

    def bridge(self, instance=None, folder="bridge", flags=(), port=0):
        return self.begin(Bridge(os.path.join(self.folder, folder), instance or self.name, flags, port))

    def relay(self, bridge, name="relay", flags=()):
        instance = "%s-%s" % (self.name, name)
        self.addCleanup(self.destroy, instance)
        return self.begin(Relay(os.path.join(self.folder, name), instance, bridge,
                                ["--backoff-min", "20ms", "--backoff-max", "200ms", *flags]))

    @staticmethod
    def destroy(instance):
        subprocess.run([CLI, "--instance", instance, "destroy"], capture_output=True, timeout=PATIENCE)

    def spawn(self, program, *arguments, bridge=None, log="program.log", **options):
        environment = dict(os.environ)
        if bridge is not None:
            environment.update(CERT=bridge.credentials.cert, TOKEN_FILE=bridge.credentials.token_file)
        process = start([program, *arguments], os.path.join(self.folder, log), stdout=subprocess.PIPE, text=True,
                        env=environment, **options)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
