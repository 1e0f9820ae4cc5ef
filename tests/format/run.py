#!/usr/bin/python3
"""Compare what reader.py makes of an arena with what it must be.  SPDX-License-Identifier: Apache-2.0

    run.py cases CASES_PROGRAM [CLI]    an arena full of hard cases, against literal expectations and the CLI
    run.py agent DAEMON CLI EXAMPLE     the example configuration under a running daemon, against the CLI
    run.py bad CASES_PROGRAM            damaged copies of an arena: an error, never an exception or a wrong dump
"""
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile

READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reader.py")
PATH = f"/dev/shm/configstream.format-{os.getpid()}"


def run(*command, code=0):
    done = subprocess.run(command, capture_output=True, timeout=120)
    if done.returncode != code:
        sys.exit(f"{command} gave {done.returncode}, not {code}:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def python_dump():
    return run("/usr/bin/python3", READER, "--arena-path", PATH)


def same(what, expected, got):
    expected, got = (dump.decode().removesuffix("\n").split("\n") for dump in (expected, got))
    for number, (left, right) in enumerate(zip(expected, got), 1):
        if left != right or json.loads(left) != json.loads(right):
            sys.exit(f"{what}, line {number}:\n  expected {left[:300]}\n  got      {right[:300]}")
    if len(expected) != len(got) or got == [""]:
        sys.exit(f"{what}: {len(expected)} lines expected, {len(got)} got")
    print(f"{what}: {len(got)} settings, the same")


def compare_with_cli(what, cli):
    same(what, run(cli, "--arena-path", PATH, "list", "--json", "--show-secrets"), python_dump())


def commit_word(file):
    """Where the live bank's last committed ID stands."""
    with mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ) as header:
        current = int.from_bytes(header[128:136], sys.byteorder)
    return 256 + 256 * (current & 1) + 128


def cases(program, cli=None):
    now, _, rest = run(program, PATH).partition(b"-- ")
    sequence, _, before = rest.partition(b"\n")
    same("hard cases", now, python_dump())
    if cli:
        compare_with_cli("hard cases, by the CLI", cli)
    # What a producer leaves that was killed before its commit: records above the committed ID.
    with open(PATH, "r+b") as file:
        at = commit_word(file)
        file.seek(at)
        file.write(int(sequence).to_bytes(8, sys.byteorder))
    same("uncommitted records", before, python_dump())
    if cli:
        compare_with_cli("uncommitted records, by the CLI", cli)


def agent(daemon, cli, example):
    with tempfile.TemporaryDirectory() as folder:
        control = os.path.join(folder, "control.sock")
        producer = subprocess.Popen([daemon, "--arena-path", PATH, "--control", control, "--log-level", "warn",
                                     "--defaults", os.path.join(example, "defaults.yaml"),
                                     "--config", os.path.join(example, "datadog.yaml")])
        try:
            use(cli)
            producer.send_signal(signal.SIGTERM)
            if producer.wait(timeout=30) != 0:
                sys.exit("the daemon did not end cleanly")
            compare_with_cli("example, after the daemon's end", cli)
        finally:
            if producer.poll() is None:
                producer.kill()
                producer.wait()


def use(cli):
    def configstream(*words):
        run(cli, "--arena-path", PATH, *words)

    configstream("wait", "--timeout", "30")
    compare_with_cli("example", cli)
    configstream("set", "log_level", "debug")
    configstream("set", "log_level", "trace", "--source", "agent-runtime")
    configstream("set", "hostname", "caf\u00e9 \"\u4e16\u754c\"\n")
    configstream("set", "tags", "--value-json", '["a:b", "", "\\u0001\u00fc"]')
    configstream("set", "health_port", "0")
    configstream("unset", "log_level")
    configstream("unset", "health_port")
    configstream("set", "additional_endpoints", "--value-json", '{"https://x.example": ["k1", "k2"], "a": []}')
    compare_with_cli("example, after changes", cli)
    configstream("reload")
    compare_with_cli("example, after a reload", cli)


def bad(program):
    """Flip words of a sound arena; the reader says something sensible every time."""
    run(program, PATH)
    with open(PATH, "rb") as file:
        sound = file.read()
        bank = commit_word(file) - 128
    index_at = int.from_bytes(sound[bank + 8 : bank + 16], sys.byteorder)
    dice = random.Random(20)
    refused = 0
    for number in range(60):
        if number < 30:
            at = 8 * dice.randrange(0, 96)  # header and bank words
        else:
            at = index_at + 8 * dice.randrange(0, 20000)  # index and heap
        damaged = bytearray(sound)
        damaged[at : at + 8] = dice.choice([b"\0" * 8, b"\xff" * 8, dice.randbytes(8)])
        with open(PATH, "r+b") as file:
            file.write(damaged)
        done = subprocess.run(["/usr/bin/python3", READER, "--arena-path", PATH], capture_output=True, timeout=120)
        if done.returncode not in (0, 1) or b"Traceback" in done.stderr:
            sys.exit(f"damage at {at}: {done.stderr.decode(errors='replace')}")
        refused += done.returncode
    os.truncate(PATH, len(sound) // 2)
    refused += subprocess.run(["/usr/bin/python3", READER, "--arena-path", PATH], capture_output=True).returncode
    if refused < 5:
        sys.exit(f"only {refused} damaged arenas were refused")
    print(f"61 damaged arenas: {refused} refused, no crash")


def main():
    try:
        {"cases": cases, "agent": agent, "bad": bad}[sys.argv[1]](*sys.argv[2:])
    finally:
        for name in (PATH, PATH + ".lock"):
            if os.path.exists(name):
                os.unlink(name)


if __name__ == "__main__":
    main()
