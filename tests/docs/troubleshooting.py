#!/usr/bin/python3
"""Run the Troubleshooting chapter: every command of it, in the situation it is about, must print what the page says.

    troubleshooting.py docs/operations.md

A section is a `###` heading below `## Troubleshooting`.  Each starts on a host of its own, with nothing running.
    <!-- test: name -->   calls Host.name(): makes the situation, or lets something happen between two blocks
    ```console            a block of commands and what they print, standard error included
    $ command             run as the operator; `agent$ command` as the user of an agent
    …                     inside a line stands for any text (pids, times, sizes), alone on a line for any lines
There is no other kind of block, no command inside the text, and no method of Host that the page does not use.

Names of the page stand for others in the test: instance NAME is docs-PID-NUMBER-NAME, the folders of PLACES are
subfolders of one that is made for the section, the bridge's port 5001 is a free one, the agent is the user nobody, and the group `agents` its group.
SPDX-License-Identifier: Apache-2.0
"""
import grp
import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CLI, DAEMON, BRIDGE, RELAY, CLIENT, LIBRARY = (os.environ[name] for name in (
    "CONFIGSTREAM", "CONFIGSTREAMD", "CONFIGSTREAM_BRIDGE", "CONFIGSTREAM_RELAY", "CONFIGSTREAM_CLIENT", "LIBCONFIGSTREAM"))
PATIENCE = 60  # seconds until a condition counts as never coming true
AGENT = pwd.getpwnam("nobody")
AS_AGENT = ["setpriv", "--reuid", str(AGENT.pw_uid), "--regid", str(AGENT.pw_gid), "--clear-groups"]
WILD = "…"
PLACES = {"/etc/configstream": "/etc", "/usr/share/configstream": "/share", "/run/configstream": "/run"}

DEFAULTS = """\
log_level: info
cmd_port: 5001
site: example.com
logs_config:
  batch_wait: 5
"""
MAIN = "cmd_port: 6001\n"


def eventually(what, condition):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("gave up waiting for " + what)
        time.sleep(0.01)


class Host:
    """What a section runs on.  Public methods are the names that the page's markers use."""

    numbers = itertools.count()

    def __init__(self):
        self._prefix = "docs-%d-%d-" % (os.getpid(), next(self.numbers))
        self._folder = tempfile.mkdtemp(prefix="cfgs-")
        self._daemons = {}
        self._bridge = self._relay = self._port = None
        self._meanwhile = None
        self._status = 0
        ours = re.compile(r"DD_|CONFIGSTREAM|NOTIFY_SOCKET$")
        self._environment = {name: text for name, text in os.environ.items() if not ours.match(name)}
        self._environment.update(PATH=self._folder + "/bin:" + os.environ["PATH"], LC_ALL="C.UTF-8")
        os.chmod(self._folder, 0o755)  # the agent's user has to get at the programs
        for place in ("/bin", "/lib", *PLACES.values()):
            os.mkdir(self._folder + place)
        shutil.copy(LIBRARY, self._folder + "/lib/libconfigstream.so.0")
        for name, program in (("configstream", CLI), ("configstreamd", DAEMON), ("configstream-bridge", BRIDGE),
                              ("configstream-relay", RELAY), ("configstream-client", CLIENT)):
            shutil.copy(program, "%s/lib/%s" % (self._folder, name))
            self._write("bin/" + name,
                        WRAPPER.format(folder=self._folder, name=name, instance=self._prefix + "default"))
            os.chmod("%s/bin/%s" % (self._folder, name), 0o755)
        self._write("share/defaults.yaml", DEFAULTS)
        self._write("etc/datadog.yaml", MAIN)

    def _close(self):
        if self._bridge:
            self._bridge.terminate()  # it removes its status socket
            self._bridge.wait(PATIENCE)
        if self._relay:
            self._relay.kill()
            self._relay.wait()
        for daemon in self._daemons.values():
            daemon.kill()
            daemon.wait()
        for name in os.listdir("/dev/shm"):
            if name.startswith("configstream." + self._prefix):
                os.unlink("/dev/shm/" + name)
        shutil.rmtree(self._folder)

    def _write(self, name, text):
        with open(os.path.join(self._folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def _cli(self, *arguments):
        return subprocess.run(["configstream", *arguments], env=self._environment, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)

    def _start(self, *more, instance="default", user=(), **variables):
        name = self._prefix + instance
        command = [*user, "configstreamd", "--instance", name, "--defaults", self._folder + "/share/defaults.yaml",
                   "--config", self._folder + "/etc/datadog.yaml", "--control", "%s/run/%s.sock" % (self._folder, instance), *more]
        with open(self._folder + "/log", "a", encoding="utf-8") as log:
            daemon = subprocess.Popen(command, env={**self._environment, **variables}, stderr=log)
        self._daemons[instance] = daemon

        def up():
            if daemon.poll() is not None:
                with open(self._folder + "/log", encoding="utf-8") as log:
                    raise AssertionError("the daemon ended: " + log.read())
            # an answer on the control socket: what came before it is done
            return self._cli("--instance", name, "get", "cmd_port", "--all-sources").returncode == 0

        eventually("the daemon", up)

    def _stop(self, number=signal.SIGTERM, instance="default"):
        daemon = self._daemons.pop(instance)
        daemon.send_signal(number)
        daemon.wait(PATIENCE)

    # -- situations

    def nothing_runs(self):
        pass

    def the_daemon_runs(self):
        self._start()

    def the_daemon_starts(self):
        self._start()

    def the_bridge_runs(self):
        self._start()
        self._start_bridge("default")

    def _start_bridge(self, instance):
        log_path = self._folder + "/bridge.log"
        with open(log_path, "w", encoding="utf-8") as log:
            self._bridge = subprocess.Popen(
                ["configstream-bridge", "--instance", self._prefix + instance, "--listen", "127.0.0.1:%s" % (self._port or 0),
                 "--metrics", "off", "--cert", self._folder + "/etc/ipc_cert.pem",
                 "--auth-token-file", self._folder + "/etc/auth_token"],
                env=self._environment, stderr=log)

        def port():
            with open(log_path, encoding="utf-8") as log:
                found = re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read())
            self._port = found and found[1]
            return found

        eventually("the bridge", port)

    def _start_relay(self):
        self._relay = subprocess.Popen(
            ["configstream-relay", "--connect", "localhost:%s" % self._port, "--cert", self._folder + "/etc/ipc_cert.pem",
             "--auth-token-file", self._folder + "/etc/auth_token", "--backoff-max", "1s"],
            env=self._environment, stderr=subprocess.DEVNULL)

    def a_relay_of_core_runs(self):
        """The core is another instance of this host."""
        self._start(instance="core")
        self._start_bridge("core")
        self._start_relay()
        eventually("the relay", lambda: "source      relay of localhost:%s, last heard" % self._port in self._cli("status").stdout)

    def _end_bridge(self):
        self._bridge.terminate()
        self._bridge.wait(PATIENCE)

    def the_core_goes_away(self):
        self._end_bridge()
        eventually("the loss", lambda: "not connected" in self._cli("status").stdout)

    def the_core_is_back(self):
        self._start_bridge("core")
        eventually("the relay", lambda: "not connected" not in self._cli("status").stdout)

    def its_bridge_serves_the_relay_itself(self):
        self._end_bridge()
        self._start_bridge("default")

    def the_agent_has_an_older_token(self):
        self._write("etc/token_of_the_agent", "0" * 64)

    def the_agent_has_the_certificate_of_another_bridge(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=another", "-days", "1", "-keyout", self._folder + "/key",
                        "-out", self._folder + "/etc/ipc_cert_of_the_agent.pem"], check=True, capture_output=True)
        with open(self._folder + "/key", encoding="ascii") as key, \
                open(self._folder + "/etc/ipc_cert_of_the_agent.pem", "a", encoding="ascii") as file:
            file.write(key.read())

    def instance_web_runs(self):
        self._start(instance="web")

    def instance_old_was_left(self):
        self._start(instance="old")
        self._stop(instance="old")

    def the_file_does_not_parse(self):
        self._write("etc/datadog.yaml", "cmd_port: 6001\nlogs_config:\n  batch_wait: 7\n site: example.org\n")

    def the_file_is_mended(self):
        self._write("etc/datadog.yaml", "cmd_port: 6002\n")

    def the_file_is_empty(self):
        self._write("etc/datadog.yaml", "")

    def the_file_holds_doubtful_lines(self):
        self._write("etc/datadog.yaml", "cmd_prot: 6001\nlogs_config:\n  batch_wait: soon\n")

    def environment_and_command_line_set_it_too(self):
        self._start(DD_CMD_PORT="7001")
        self._cli("set", "cmd_port", "8001")

    def the_ring_is_too_small(self):
        self._start("--ring-slots", "16")
        self._meanwhile = self._lap

    def a_larger_ring(self):
        self._stop()
        self._start("--ring-slots", "65536")

    def the_agent_is_in_the_group(self):
        self._stop()
        self._start("--group", str(AGENT.pw_gid))

    def the_daemon_runs_as_the_agents_user(self):
        os.chown(self._folder + "/run", AGENT.pw_uid, AGENT.pw_gid)
        self._environment["CONFIGSTREAM_PRODUCER_USER"] = AGENT.pw_name
        self._start(user=AS_AGENT)
        del self._environment["CONFIGSTREAM_PRODUCER_USER"]

    def the_arena_may_not_grow(self):
        self._start("--max-size", "4mb", "--ring-slots", "64")
        self._write("etc/large", "x" * (8 << 20))

    def the_daemon_is_killed(self):
        self._stop(signal.SIGKILL)

    def the_daemon_hangs(self):
        self._daemons["default"].send_signal(signal.SIGSTOP)
        eventually("the stall", lambda: "stalled" in self._cli("status").stdout)

    def the_daemon_goes_on(self):
        self._daemons["default"].send_signal(signal.SIGCONT)
        eventually("the heartbeat", lambda: "running" in self._cli("status").stdout)

    def _lap(self, process):
        """Let a watcher sleep until the ring has gone round."""
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGSTOP)
        for port in range(40):
            self._cli("set", "cmd_port", str(port + 1))
        os.killpg(process.pid, signal.SIGCONT)
        return first

    # -- commands

    def _to_test(self, text):
        text = re.sub(r"(/dev/shm/configstream\.|--instance )(?=[\w-])", r"\g<1>" + self._prefix, text)
        for place, folder in PLACES.items():
            text = text.replace(place, self._folder + folder)
        return text.replace(":5001", ":%s" % self._port) if self._port else text

    def _to_page(self, text):
        # others of the same machine are none of this host's
        listed = lambda match: ", ".join(n for n in match[1].split(", ") if n.startswith(self._prefix))
        text = re.sub(r"there are: (.*)", lambda match: "there are: " + listed(match) if listed(match)
                      else "none exists on this host", text)
        text = text.replace(self._prefix, "")
        for place, folder in PLACES.items():
            text = text.replace(self._folder + folder, place)
        text = text.replace(":%s" % self._port, ":5001") if self._port else text
        return re.sub(r"\b%s\b" % grp.getgrgid(AGENT.pw_gid).gr_name, "agents", text)

    def _run(self, as_agent, command):
        shell = ["bash", "-c", "(exit %d); %s" % (self._status, self._to_test(command))]
        process = subprocess.Popen((AS_AGENT if as_agent else []) + shell, env=self._environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        meanwhile, self._meanwhile = self._meanwhile, None
        first = meanwhile(process) if meanwhile else ""
        text = first + process.communicate(timeout=PATIENCE)[0]
        self._status = process.returncode
        return self._to_page(text)


# The commands of the page name no instance; those of the test must not meet one of this machine.
WRAPPER = """\
#!/bin/bash
export LD_LIBRARY_PATH={folder}/lib
[[ " $* " == *" --instance "* ]] || set -- --instance {instance} "$@"
exec {folder}/lib/{name} "$@"
"""


def matches(said, got):
    """Whether the output is what the page says, with its wildcards."""
    pattern = "".join(r"(?:.*\n)*" if line == WILD else ".*".join(map(re.escape, line.split(WILD))) + r"\n"
                      for line in said)
    return re.fullmatch(pattern, got) is not None


def commands(block, first_line):
    """(line, as the agent, command, what it prints) of a console block."""
    found = []
    for number, line in enumerate(block.splitlines(), first_line):
        prompt = re.match(r"(agent)?\$ (.*)", line)
        if prompt:
            found.append((number, prompt[1] is not None, prompt[2], []))
        elif found:
            found[-1][3].append(line)
        else:
            raise AssertionError("line %d: output before any command" % number)
    return found


class Page:
    PART = re.compile(r"^### (?P<heading>[^\n]*)$|^<!-- test: (?P<marker>\w+) -->$|"
                      r"^```(?P<kind>\w*)\n(?P<block>.*?)^```$", flags=re.S | re.M)

    # what looks like a block, a marker or a command, where PART found none
    STRAY = re.compile(r"```.*|<!--.*|`[a-z][\w-]* [^`\n]*`")

    @staticmethod
    def blank(part):
        return re.sub(r"[^\n]", " ", part[0])

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        chapter = re.search(r"^## Troubleshooting$.*?(?=^## |\Z)", self.text, flags=re.S | re.M)
        self.parts = list(self.PART.finditer(self.text, *chapter.span())) if chapter else []
        self.problems = []
        self.used = set()
        self.ran = 0
        for stray in self.STRAY.finditer(self.PART.sub(self.blank, chapter[0]) if chapter else ""):
            self.blame(self.line(chapter.start() + stray.start()), "is not run: " + stray[0])

    def line(self, position):
        return self.text.count("\n", 0, position) + 1

    def blame(self, line, problem):
        self.problems.append("line %d: %s" % (line, problem))

    def run_block(self, host, part):
        if part["kind"] != "console":
            self.blame(self.line(part.start()), "a block of `%s`, which cannot be run" % part["kind"])
            return
        for line, as_agent, command, said in commands(part["block"], self.line(part.start("block"))):
            got = host._run(as_agent, command)
            self.ran += 1
            if not matches(said, got):
                self.blame(line, "%s\nprints\n%s\nand not\n%s" % (command, got, "\n".join(said)))

    def run_section(self, heading, parts):
        if os.geteuid() != 0 and any("agent" in (part["block"] or part["marker"]) for part in parts):
            self.used.update(part["marker"] for part in parts)
            print("skipped, only root can be another user: " + heading)
            return
        host, ready = Host(), False
        try:
            for part in parts:
                if part["block"] is None:
                    ready = True
                    self.used.add(part["marker"])
                    if not hasattr(Host, part["marker"]):
                        self.blame(self.line(part.start()), "no such situation: " + part["marker"])
                        return
                    getattr(host, part["marker"])()
                elif ready:
                    self.run_block(host, part)
                else:
                    self.blame(self.line(part.start()), "no situation for this block")
        finally:
            host._close()
        print("ran: " + heading)

    def run(self):
        starts = [i for i, part in enumerate(self.parts) if part["heading"]]
        if not starts or starts[0] != 0:
            self.blame(1, "no chapter Troubleshooting, or a block before its first section")
        for start, end in zip(starts, starts[1:] + [len(self.parts)]):
            self.run_section(self.parts[start]["heading"], self.parts[start + 1:end])
        unused = {name for name in vars(Host) if not name.startswith("_") and name != "numbers"} - self.used
        if unused:
            self.blame(1, "situations that the page does not use: " + ", ".join(sorted(unused)))


def main():
    page = Page(sys.argv[1])
    page.run()
    print("%d commands ran, %d problems" % (page.ran, len(page.problems)))
    print("\n".join(page.problems))
    sys.exit(1 if page.problems or not page.ran else 0)


if __name__ == "__main__":
    main()
