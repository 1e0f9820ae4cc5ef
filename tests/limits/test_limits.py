# test_limits.py: every limit and malformed input, as files, as control messages and as values.  What is refused is
# refused with its place, creates nothing, and leaves a running daemon as it was.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import socket
import struct
import subprocess
import sys
import time
import unittest

from harness import PATIENCE, Case, DEFAULTS, MAIN, eventually

MIB = 1 << 20
SANITIZED = bool(os.environ.get("SANITIZER"))

# name, the main file, line:column, the key in front of the reason, parts of the reason and of the way out
MALFORMED = [
    # bytes
    ("invalid UTF-8 in a key", b"a: 1\n\xff: 1\n", "2:1", "", ["UTF-8", "save the file as UTF-8"]),
    ("invalid UTF-8 in a value", b"a: \xc3\x28\n", "1:5", "", ["UTF-8"]),
    ("invalid UTF-8 in a comment", b"a: 1\n# x \xff\n", "2:5", "", ["UTF-8"]),
    ("UTF-8 cut off by the end", b"site: \xc3", "1:7", "", ["incomplete UTF-8", "save the file"]),
    ("an overlong sequence", b"site: \xc0\x80\n", "1:7", "", ["UTF-8"]),
    ("a surrogate in UTF-8", b"site: \xed\xa0\x80\n", "1:7", "", ["save the file as UTF-8"]),
    ("beyond Unicode", b"site: \xf4\x90\x80\x80\n", "1:7", "", ["save the file as UTF-8"]),
    ("UTF-16 without a mark", "site: x\n".encode("utf-16-le"), "1:2", "", ["save the file as UTF-8"]),
    ("UTF-16 cut off", b"\xff\xfes\0:\0 ", "1:", "", ["incomplete UTF-16", "save the file as UTF-8"]),
    ("a NUL in a key", b"a\0b: 1\n", "1:2", "", ["control characters", "\\xNN"]),
    ("a NUL in a value", b"site: a\0b\n", "1:8", "", ["control characters", "\\xNN"]),
    ("an escaped NUL in a key", b'"a\\0b": 1\n', "1:1", "", ["a key holds a NUL", "take the \\0 out"]),
    ("an escaped NUL in a key of a map", b'endpoints: {"a\\0b": [x]}\n', "1:13", "endpoints", ["a key holds a NUL"]),
    ("a control character", b"site: a\x01b\n", "1:8", "", ["control characters"]),
    ("a delete character", b"site: a\x7fb\n", "1:8", "", ["control characters"]),
    ("a C1 character", b"site: a\xc2\x80b\n", "1:8", "", ["control characters"]),
    ("a byte order mark in the middle", b"a: 1\n\xef\xbb\xbfb: 2\n", "2:2", "", ["look at the indentation"]),
    # shape
    ("a tab as indentation", b"logs_config:\n\tbatch_wait: 1\n", "2:1", "logs_config", ["indent with spaces"]),
    ("a value in double quotes without an end", b'site: "abc\ncmd_port: 2\n', "3:1", "site", ["close the quotes"]),
    ("a value in single quotes without an end", b"site: 'abc\n", "2:1", "site", ["in line 1", "close the quotes"]),
    ("a list without an end", b"tags: [a\n", "1:7", "tags", ["the list that begins here", "close it with ]"]),
    ("a map without an end", b"endpoints: {a: [b]\n", "1:12", "endpoints",
     ["the map that begins here", "close it with }"]),
    ("a comma left out", b"endpoints: {a: [b] c: [d]}\n", "1:", "endpoints", ["',' or '}'", "close the bracket"]),
    ("a list without a value", b"tags: [\r\n", "1:7", "tags", ["the list that begins here", "close it with ]"]),
    ("a comma without a value", b"tags: [, a]\n", "1:8", "tags", ["put a value here"]),
    ("an unknown escape", b'site: "a\\qb"\n', "1:9", "site", ["escape", "write a backslash twice"]),
    ("two colons", b"site: a: b\n", "1:8", "", ["mapping values are not allowed", "in quotes"]),
    ("a wrong indentation", b"logs_config:\n  batch_wait: 1\n a: 2\n", "3:2", "", ["look at the indentation"]),
    ("a key without a colon", b"site\ncmd_port: 1\n", "2:9", "", ["mapping values", "look at the indentation"]),
    ("a value that begins with @", b"site: @x\n", "1:7", "site", ["in quotes"]),
    ("a directive nobody knows", b"%FOO x\n---\na: 1\n", "1:5", "", ["directive", "take the line away"]),
    ("another version of YAML", b"%YAML 2.0\n---\na: 1\n", "1:1", "", ["take the %YAML line away"]),
    ("a text at the top", b"abc\n", "1:1", "", ["must be a map of settings, not a string", "write key: value"]),
    ("a list at the top", b"- a\n", "1:1", "", ["not a list"]),
    ("an int at the top", b"12\n", "1:1", "", ["not a int"]),
    # keys
    ("a list as key", b"endpoints:\n  ? [a]\n  : 1\n", "2:5", "endpoints", ["not a list", "quotes"]),
    ("a map as key", b"? {a: 1}\n: 1\n", "1:3", "", ["not a map"]),
    ("a list as key in braces", b"endpoints: {[a]: 1}\n", "1:13", "endpoints", ["not a list"]),
    ("a list as key through an alias", b"tags: &l [a]\nendpoints: {*l : 1}\n", "2:13", "endpoints", ["not a list"]),
    ("a key of 1025 bytes", b"? " + b"k" * 1025 + b"\n: 1\n", "1:3", "", ["1025 bytes, more than 1024", "shorten"]),
    ("a key of 1026 bytes in 513 characters", "é".encode() * 513 + b": 1\n", "1:1", "", ["1026 bytes"]),
    ("a key of 1025 bytes without a question mark", b"k" * 1025 + b": 1\n", "1:1026", "", ["1024 characters"]),
    ("a key of 1025 bytes in a map", b"endpoints:\n  ? " + b"k" * 1025 + b"\n  : 1\n", "2:5", "endpoints",
     ["1025 bytes"]),
    ("a path of 1025 bytes", b"a" * 512 + b":\n  " + b"b" * 512 + b": 1\n", "2:3", "", ["1025 bytes, more than 1024"]),
    # anchors, aliases, merges
    ("an alias without an anchor", b"site: *none\n", "1:7", "site", ["*none names no anchor", "misspelt"]),
    ("an alias inside its own value", b"endpoints: &a {x: *a}\n", "1:19", "endpoints.x",
     ["stands inside", "write the"]),
    ("a merge of the map it stands in", b"endpoints: &a\n  <<: *a\n", "2:7", "endpoints.<<", ["stands inside"]),
    ("a merge of an int", b"logs_config:\n  <<: 1\n", "2:7", "logs_config", ["not this int", "quotes"]),
    ("a merge of a string", b"logs_config: {<<: x}\n", "1:19", "logs_config", ["not this string"]),
    ("a merge of a list of an int", b"logs_config:\n  <<: [{a: 1}, 3]\n", "2:16", "logs_config", ["not this int"]),
    ("a merge of a list of a list", b"logs_config: {<<: [[{a: 1}]]}\n", "1:20", "logs_config", ["not this list"]),
    # tags
    ("an int that is none", b"cmd_port: !!int many\n", "1:11", "cmd_port",
     ["!!int does not fit this string", "take the tag"]),
    ("an int with a fraction", b"cmd_port: !!int 1.5\n", "1:11", "cmd_port", ["!!int does not fit this float"]),
    ("a null that is none", b"site: !!null x\n", "1:7", "site", ["!!null does not fit this string"]),
    ("a tag with an unknown handle", b"site: !e!x y\n", "1:7", "site", ["undefined tag handle", "take the tag away"]),
    # sizes
    ("128 lists in each other", b"a: " + b"[" * 128 + b"]" * 128 + b"\n", "1:131", "a",
     ["a list", "128", "flatten"]),
    ("a map 129 deep", b"{a: " * 129 + b"1" + b"}" * 129 + b"\n", "1:513", "a.a.a.a",
     ["a map", "128", "flatten"]),
    ("an alias that goes too deep",
     b"a: &a " + b"[" * 100 + b"]" * 100 + b"\nb: " + b"[" * 28 + b"*a" + b"]" * 28 + b"\n",
     "2:32", "b", ["a list", "128", "flatten"]),
    ("a string of 16 MiB and a byte", b"site: " + b"x" * (16 * MIB + 1) + b"\n", "1:7", "site",
     ["a string of 16777217 bytes", "16777216", "shorten"]),
    ("a list of 16 MiB and more", b"tags:\n" + b"- %s\n" % (b"x" * MIB) * 17, "2:1", "tags",
     ["beyond 16777216 bytes", "shorten"]),
]

# name, the whole of x-configstream, line:column in the defaults file, the key, parts of the reason
DECLARATIONS = [
    ("a list for x-configstream", "[a]", "1:17", "", ["must be a map", "not a list"]),
    ("a string for x-configstream", "abc", "1:17", "", ["must be a map", "not a string"]),
    ("a string for a declaration", "{site: string}", "1:24", "site", ["kind, env"]),
    ("null for a declaration", "{site: }", "1:", "site", ["kind, env"]),
    ("a kind nobody knows", "{site: {kind: colour}}", "1:31", "site", ["kind must be one of", "duration"]),
    ("a list for a kind", "{site: {kind: [int]}}", "1:31", "site", ["kind must be one of"]),
    ("a number for a kind", "{site: {kind: 1}}", "1:31", "site", ["kind must be one of"]),
    ("a string for env", "{site: {env: DD_SITE}}", "1:30", "site", ["env must be a list"]),
    ("an int in env", "{site: {env: [DD_SITE, 1]}}", "1:40", "site", ["env must be a list"]),
    ("an empty name in env", '{site: {env: [""]}}', "1:31", "site", ["env must be a list"]),
    ("a parser nobody knows", "{site: {parser: magic}}", "1:33", "site", ["parser must be one of", "json"]),
    ("a map for a parser", "{site: {parser: {}}}", "1:33", "site", ["parser must be one of"]),
    ("a string for secret", "{site: {secret: 'maybe'}}", "1:33", "site", ["secret must be true or false"]),
    ("an attribute nobody knows", "{site: {colour: red}}", "1:33", "site", ["none of kind"]),
    ("a setting declared twice", "{site: {secret: true}, SITE: {secret: true}}", "1:46", "site", ["declared twice"]),
]

# name, the main file, what --check warns of
LENIENT = [
    ("a second document", b"site: a\n---\nsite: [\n", [":2:1: a second document"]),
    ("a tag of Python", b"site: !!python/object:os.system x\n", [":1:7: site: the tag ", "is not heeded"]),
    ("a tag of others", b"endpoints: !mine {a: [b]}\n", [":1:12: endpoints: the tag !mine", "counts as a map"]),
    ("bytes in base 64", b"site: !!binary '***'\n", [":1:7: site: the tag ", "as it is written"]),
    ("an int beyond 64 bits", b"cmd_port: 99999999999999999999\n", [":1:11: cmd_port", "float", "int"]),
    ("a float beyond doubles", b"rate: 1e400\n", [":1:7: rate", "string", "float"]),
    ("a number of 5,000 digits", b"rate: " + b"1" * 5000 + b"\n", [":1:7: rate", "string", "float"]),
    ("an empty key", b"'': 1\n", [":1:1: ", "is no path"]),
    ("an empty part of a key", b"a..b: 1\n", [":1:1: ", "is no path"]),
    ("a key that reads as a switch", b"on: 1\n", [":1:1: ", "is read as true", "quotes"]),
    ("a control character in a key", b'"a\\eb": 1\n', [":1:1: a\\x1bb"]),
]

# name, the main file, what `site` then is
ACCEPTED = [
    ("nothing at all", b"", "example.com"),
    ("a comment", b"# site: x\n", "example.com"),
    ("null at the top", b"~\n", "example.com"),
    ("a byte order mark", b"\xef\xbb\xbfsite: x\n", "x"),
    ("UTF-16, little end first", b"\xff\xfe" + "site: é\n".encode("utf-16-le"), "é"),
    ("UTF-16, big end first", b"\xfe\xff" + "site: é\n".encode("utf-16-be"), "é"),
    ("lines that end as on Windows", b"cmd_port: 1\r\nsite: x\r\n", "x"),
    ("lines that end as on old Macs", b"cmd_port: 1\rsite: x\r", "x"),
    ("no newline at the end", b"site: x", "x"),
    ("an escaped NUL in a value", b'site: "a\\0b"\n', "a\0b"),
    ("an escaped control character", b'site: "a\\x01b"\n', "a\x01b"),
    ("tabs around a value", b"site:\tx\t# y\n", "x"),
    ("the later of two anchors", b"cmd_port: &a 1\nrate: &a 2\nsite: *a\n", "2"),
    ("a merge of nothing", b"<<:\nsite: x\n", "x"),
    ("a merge, own keys first", b"x: &x {site: a, cmd_port: 2}\n<<: *x\nsite: b\n", "b"),
    ("a key through an alias", b"cmd_port: 1\nx: &x site\n*x : z\n", "z"),
    ("a key in quotes that looks like a merge", b'endpoints: {"<<": [a]}\nsite: x\n', "x"),
]


def with_declarations(text):
    return "x-configstream: %s\n" % text + DEFAULTS[:DEFAULTS.index("x-configstream")]


class Bad(Case):
    """Checks that know no particular input."""

    def state(self):
        return self.sequence(), self.text("list", "--json", "--show-secrets")

    def check_says(self, text, parts):
        for part in parts:
            self.assertIn(part, text)
        self.assertNotIn("Sanitizer", text)

    def check_creates_nothing(self, parts):
        before = sorted(os.listdir(self.folder))
        for more in (["--check"], []):
            result = self.start_failing(*more)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.check_says(result.stderr, parts)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        self.assertEqual([name for name in os.listdir("/dev/shm") if self.instance in name], [])

    def check_reload_keeps(self, parts):
        before = self.state()
        self.check_says(self.cli("reload", code=6).stderr, parts)
        self.check_says(self.read(self.log), parts)
        self.assertEqual(self.state(), before)

    def check_rows(self, path, good, rows):
        """Each row: what it is called, the bytes of the file, what is said of it."""
        for name, content, parts in rows:
            with self.subTest(name):
                self.write(path, content)
                self.check_creates_nothing(parts)
        self.write(path, good)
        self.start()
        self.cli("set", "log_level", "warn", "--source", "remote-config")
        for name, content, parts in rows:
            with self.subTest(name + ", reloaded"):
                self.write(path, content)
                self.check_reload_keeps(parts)
        self.write(path, good)
        self.cli("reload")
        print("%d inputs refused by --check, at the start and by a running daemon" % len(rows))


class Malformed(Bad):
    def test_a_malformed_main_file(self):
        self.check_rows(self.config, MAIN, [
            (name, content, ["%s:%s" % (self.config, place), key + ": " if key else "", *parts])
            for name, content, place, key, parts in MALFORMED])

    def test_what_is_no_file(self):
        os.unlink(self.config)
        self.check_creates_nothing([self.config, "No such file"])
        os.mkdir(self.config)
        self.check_creates_nothing([self.config, "regular file, not a directory"])


class Declarations(Bad):
    def test_malformed_declarations(self):
        self.check_rows(self.defaults, DEFAULTS, [
            (name, with_declarations(text), ["%s:%s" % (self.defaults, place), "x-configstream", key, *parts])
            for name, text, place, key, parts in DECLARATIONS])

    def test_a_malformed_defaults_file(self):
        self.check_rows(self.defaults, DEFAULTS, [
            (name, content, [self.defaults + ":" + place, *parts])
            for name, content, place, key, parts in MALFORMED if b"*" in content or b"\xff" in content])


class Lenient(Bad):
    def test_what_is_taken_with_a_warning(self):
        for name, content, parts in LENIENT:
            with self.subTest(name):
                self.write(self.config, content)
                result = self.start_failing("--check")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.check_says(result.stderr, [self.config + parts[0], *parts[1:]])

    def test_what_is_taken_without_a_word_about_it(self):
        self.start()
        for name, content, site in ACCEPTED:
            with self.subTest(name):
                self.write(self.config, content)
                self.cli("reload")
                self.assertEqual(self.value("site"), site)


class Limits(Bad):
    def reload(self, text):
        self.write(self.config, text)
        return self.cli("reload")

    def test_keys(self):
        self.start()
        whole, dotted = "k" * 1024, "a" * 511 + "." + "b" * 512
        self.reload("? %s\n: 1\n? %s\n: 2\n%s:\n  %s: 3\n" % (whole, dotted, "c" * 511, "d" * 512))
        self.assertEqual([self.value(key) for key in (whole, dotted, "c" * 511 + "." + "d" * 512)], [1, 2, 3])
        self.cli("get", whole + "k", code=2)

    def test_depth(self):
        self.start()
        self.reload("a: " + "[" * 127 + "]" * 127 + "\n")
        self.assertEqual(json.dumps(self.value("a")), "[" * 127 + "]" * 127)
        self.cli("set", "endpoints", "--value-json", '{"a": ' * 128 + "1" + "}" * 128)
        before = self.state()
        self.check_says(self.cli("set", "endpoints", "--value-json", '{"a": ' * 129 + "1" + "}" * 129, code=6).stderr,
                        ["endpoints", "128"])
        self.assertEqual(self.state(), before)

    def test_values(self):
        self.start()
        text = "x" * (16 * MIB)
        self.reload("site: %s\n" % text)
        self.assertEqual(self.value("site"), text)
        value = os.path.join(self.folder, "value")
        self.write(value, text[:-1] + "y")
        self.cli("set", "site", "--file", value)
        before = self.state()
        self.write(value, text + "y")
        self.check_says(self.cli("set", "site", "--file", value, code=1).stderr, [value, "16777216"])
        self.assertEqual(self.state(), before)

    def test_values_that_are_many(self):
        row = "k%d: [" + ",".join(["~"] * 999999) + "]\n"
        self.write(self.config, "".join(row % i for i in range(3)) + "k3: [" + ",".join(["~"] * 999995) + "]\n")
        result = self.start_failing("--check")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.write(self.config, "".join(row % i for i in range(4)))
        self.check_creates_nothing([self.config + ":4:", "k3: more than 4000000 values", "take settings"])

    def test_a_large_file(self):
        with open(self.config, "wb") as file:
            comment = b"# " + b"c" * 1021 + b"\n"
            file.write(b"site: x\n")
            file.write(comment * ((256 * MIB - 8) // len(comment)))
            file.write(b"#" * (256 * MIB - file.tell()))
        self.assertEqual(os.path.getsize(self.config), 256 * MIB)
        if not SANITIZED:
            self.assertEqual(self.start_failing("--check").returncode, 0)
        os.truncate(self.config, 256 * MIB + 1)
        self.check_creates_nothing([self.config, "268435457 bytes", "268435456", "shorten"])

    def test_a_file_of_a_terabyte_is_refused_unread(self):
        with open(self.config, "wb") as file:
            file.truncate(1 << 40)
        usage = measure(self.daemon_arguments("--check"), ["1099511627776 bytes"], self)
        print("1 TiB, sparse: %s" % usage)
        self.assertTrue(SANITIZED or usage.bytes < 100 * MIB)
        self.assertTrue(SANITIZED or usage.seconds < 1)


class Usage:
    def __init__(self, seconds, size):
        self.seconds, self.bytes = seconds, size

    def __str__(self):
        return "%.3f s of CPU time, at most %.1f MB" % (self.seconds, self.bytes / 1e6)


# A process starts out with the peak of the one that made it, so that has to be a small one.
MEASURED = """import os, sys
child = os.fork() or os.execv(sys.argv[1], sys.argv[1:])
status, usage = os.wait4(child, 0)[1:]
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)"""


def measure(arguments, parts, case):
    """What a run that must fail took."""
    result = subprocess.run([sys.executable, "-IS", "-c", MEASURED, *arguments], capture_output=True, text=True,
                            timeout=PATIENCE)
    status, seconds, kilobytes = result.stdout.split()
    case.assertEqual(status, "1", result.stderr)
    case.check_says(result.stderr, parts)
    return Usage(float(seconds), int(kilobytes) * 1024)


def laughs(leaf, between, width, levels):
    lines = ["a0: &a0 " + leaf]
    for i in range(1, levels):
        lines.append("a%d: &a%d %s" % (i, i, between % tuple(["*a%d" % (i - 1)] * width)))
    return "\n".join(lines) + "\n"


def many(what, count):
    return ",".join([what] * count)


# name, the main file
BOMBS = [
    ("a billion laughs", laughs("[%s]" % many("lol", 9), "[%s]" % many("%s", 9), 9, 12)),
    ("a billion laughs of maps", laughs("{a: 1, b: 2, c: 3}", "{a: %s, b: %s, c: %s, d: %s, e: %s}", 5, 40)),
    ("two at a time, 120 levels deep", laughs("[x, x]", "[%s, %s]", 2, 120)),
    ("merges of maps that hold merged maps", laughs("{k: 1}", "{<<: {a: %s}, b: {<<: %s}, c: {<<: {d: %s}}}", 3, 60)),
    ("merges of lists of merges", laughs("{k: 1, l: 2}", "{<<: [{m: %s}, {o: %s}, {p: %s}, %s]}", 4, 60)),
    ("one large map, 4,000 times merged",
     "b: &b {%s}\n" % ",".join("k%d: 1" % i for i in range(1000)) +
     "".join("m%d: {<<: *b}\n" % i for i in range(4000))),
    ("a map of 4,100 entries, 400 times merged",
     "b: &b {%s}\n" % ",".join("k%d: 1" % i for i in range(4100)) + "".join("m%d: {<<: *b}\n" % i for i in range(400))),
    ("one large map, 4,000 times merged into one",
     "b: &b {%s}\nm: {<<: [%s]}\n" % (",".join("k%d: 1" % i for i in range(1000)), many("*b", 4000))),
    ("one large list, 10,000 times", "b: &b [%s]\nm: [%s]\n" % (many("x", 10000), many("*b", 10000))),
    ("one long text, 30,000 times", "b: &b %s\nm: [%s]\n" % ("x" * 30000, many("*b", 30000))),
    ("one long text, 300 times in 300 settings",
     "b: &b %s\n" % ("x" * 100000) + "".join("m%d: [%s]\n" % (i, many("*b", 300)) for i in range(300))),
    ("long keys, 1,000 times in 400 maps",
     "b: &b {%s}\n" % ",".join("%s%d: 1" % ("k" * 1000, i) for i in range(1000)) +
     "".join("m%d: {<<: *b}\n" % i for i in range(400))),
]


class Bombs(Bad):
    def test_alias_bombs_are_refused_within_a_second_and_100_MB(self):
        for name, text in BOMBS:
            with self.subTest(name):
                self.write(self.config, text)
                usage = measure(self.daemon_arguments("--check"), [self.config + ":", "aliases", "; "], self)
                print("%s (%d bytes): %s" % (name, len(text), usage))
                if not SANITIZED:
                    self.assertLess(usage.bytes, 100e6)
                    self.assertLess(usage.seconds, 1)

    def test_a_running_daemon_survives_them(self):
        self.start()
        for name, text in BOMBS:
            with self.subTest(name):
                self.write(self.config, text)
                self.check_reload_keeps([self.config + ":", "aliases"])


# what is refused: words of the command line, parts of the message
REFUSED = [
    (["set", "cmd_port", "many"], ["cmd_port", "int", "string"]),
    (["set", "cmd_port", "99999999999999999999"], ["cmd_port", "int"]),
    (["set", "cmd_port", "--value-json", "1.5"], ["cmd_port", "int", "float"]),
    (["set", "cmd_port", "--value-json", "{}"], ["cmd_port", "int", "map"]),
    (["set", "cmd_port", "--value-json", "null"], ["cmd_port", "int", "null"]),
    (["set", "cmd_port", "--value-json", "[1,"], ["JSON"]),
    (["set", "cmd_port", "--value-json", ""], ["JSON"]),
    (["set", "cmd_port", "--value-json", "1 2"], ["JSON"]),
    (["set", "rate", "1e400"], ["rate", "float", "string"]),
    (["set", "enabled", "maybe"], ["enabled", "bool", "string"]),
    (["set", "timeout", "soon"], ["timeout", "duration", "string"]),
    (["set", "endpoints", "--value-json", "[1]"], ["endpoints", "list_map", "list"]),
    (["set", "tags", "--value-json", '{"a": 1}'], ["tags", "string_list", "map"]),
    (["set", "tags", "--value-json", '[["a"]]'], ["tags", "string_list"]),
    (["set", "tags", "--value-json", '["\\ud800"]'], ["JSON"]),
    (["set", "endpoints", "--value-json", '{"a\\u0000b": []}'], [""]),
    (["set", "nowhere", "1"], ["nowhere", "declared"]),
    (["set", "logs_config", "1"], ["logs_config", "section", "below it"]),
    (["set", "logs_config.batch_wait.deeper", "1"], ["logs_config.batch_wait.deeper", "declared"]),
]


class Refused(Bad):
    """A set that fails changes nothing, now or with the next change."""

    def check_refused(self, words, parts):
        key = words[1]
        before, sources = self.state(), self.run_cli("get", key, "--all-sources", "--json").stdout
        self.check_says(self.cli(*words, code=6).stderr, parts)
        self.assertEqual(self.state(), before)
        self.assertEqual(self.run_cli("get", key, "--all-sources", "--json").stdout, sources)

    def test_every_refusal_changes_nothing(self):
        self.start()
        self.cli("set", "tags", "--value-json", '["kept"]')
        for i, (words, parts) in enumerate(REFUSED):
            with self.subTest(" ".join(words)):
                self.check_refused(words, parts)
                sequence = self.sequence()
                self.assertEqual(self.json("set", "site", "s%d" % i)["sequence"], sequence + 1)
        self.assertEqual((self.value("tags"), self.json("get", "cmd_port")["source"]), (["kept"], "file"))

    def test_bytes_that_are_no_text(self):
        self.start()
        value = os.path.join(self.folder, "value")
        self.write(value, b"a\xff\n")
        self.check_refused(["set", "site", "--file", value], ["UTF-8"])

    def test_values_beyond_16_MiB_as_control_messages_bring_them(self):
        self.start()
        client = Client(self)
        before = self.state()
        answer = client.call(set_request(b"site", b"cli", text=b"x" * (16 * MIB + 1)))
        self.assertEqual(answer.result, 1)
        self.check_says(answer.error, ["site", "16"])
        answer = client.call(set_request(b"tags", b"cli", text=b"x " * (4 * MIB)))
        self.assertEqual(answer.result, 1)
        self.assertEqual(self.state(), before)
        self.assertEqual(client.call(set_request(b"site", b"cli", text=b"x" * (16 * MIB))).result, 0)
        self.assertEqual(self.sequence(), before[0] + 1)


class NoRoom(Bad):
    def test_a_batch_without_room_changes_nothing_and_says_so(self):
        self.start("--max-size", "4mb", "--ring-slots", "64")
        before, counters = self.state(), self.json("status")["counters"]
        sources = self.text("get", "site", "--all-sources")
        self.write(self.config, "cmd_port: 1\nsite: %s\nrate: 2.5\nnewcomer: 1\n" % ("x" * (6 * MIB)))
        self.assertRegex(self.cli("reload", code=6).stderr, r"\d{7,} bytes.*\d{6,}")
        self.assertEqual(self.state(), before)
        after = self.json("status")["counters"]
        self.assertEqual((after["updates"], after["batches"]), (counters["updates"], counters["batches"]))
        self.assertGreater(after["reloads_failed"], counters["reloads_failed"])
        self.cli("get", "newcomer", code=3)
        self.assertEqual(self.text("get", "site", "--all-sources"), sources)
        self.assertEqual(self.json("set", "enabled", "true")["sequence"], before[0] + 1)
        self.write(self.config, "cmd_port: 1\nrate: 2.5\n")
        self.cli("reload")
        self.assertEqual((self.value("cmd_port"), self.value("rate"), self.value("site")), (1, 2.5, "example.com"))


# ---- control messages, written by hand -------------------------------------------------------------------------------

def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def set_request(key, source, **value):
    numbers = {"text": 3, "json": 4, "file": 5}
    return field(1, field(1, key) + field(2, source) + b"".join(field(numbers[name], value[name]) for name in value))


class Answer:
    def __init__(self, data):
        fields, at = {1: 0, 2: b"", 3: 0}, 0

        def number():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value

        while at < len(data):
            tag = number()
            content = number()
            if tag & 7 == 2:
                content, at = data[at:at + content], at + content
            fields[tag >> 3] = content
        self.result, self.error, self.changes = fields[1], fields[2].decode(errors="replace"), fields[3]


class Client:
    """A control client that may say anything."""

    def __init__(self, case):
        self.socket = socket.socket(socket.AF_UNIX)
        case.addCleanup(self.socket.close)
        self.socket.connect(case.socket)
        self.socket.settimeout(PATIENCE * 2)

    def send(self, content, length=None):
        self.socket.sendall(struct.pack(">I", len(content) if length is None else length) + content)

    def receive(self, count):
        out = b""
        while len(out) < count:
            part = self.socket.recv(count - len(out))
            if not part:
                raise EOFError
            out += part
        return out

    def call(self, content):
        self.send(content)
        return Answer(self.receive(struct.unpack(">I", self.receive(4))[0]))

    def is_dropped(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


WHO = "uid=%d pid=%d" % (os.getuid(), os.getpid())
SITE = set_request(b"site", b"cli", text=b"x")

# name, what is sent after the length, the length that is announced, what the log says
DROPPED = [
    ("17 MiB and a byte", b"", 17 * MIB + 1, "beyond the limit of 17 MiB"),
    ("4 GiB", b"", 0xFFFFFFFF, "beyond the limit of 17 MiB"),
    ("a field that goes beyond the end", b"\x0a\x7fabc", None, "no request"),
    ("a number without an end", b"\xff" * 12, None, "no request"),
    ("a request whose inner message is cut off", field(1, field(1, b"site")[:-2]), None, "no request"),
    ("a set as a number", b"\x08\x01", None, "no request"),
    ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n", 0x47455420, "beyond the limit of 17 MiB"),
]

# name, a request, parts of the error
REFUSED_REQUESTS = [
    ("no operation", b"", ["does not know the request"]),
    ("an operation of tomorrow", field(99, b"abc"), ["does not know the request"]),
    ("no key", set_request(b"", b"cli", text=b"x"), ["1 to 1024 bytes"]),
    ("a key of 1025 bytes", set_request(b"k" * 1025, b"cli", text=b"x"), ["1 to 1024 bytes, not 1025"]),
    ("a NUL in the key", set_request(b"site\0", b"cli", text=b"x"), ["NUL", "site"]),
    ("a key that is no UTF-8", set_request(b"s\xffte", b"cli", text=b"x"), ["declared"]),
    ("an escape sequence as key", set_request(b"\x1b[31m\nFORGED", b"cli", text=b"x"), ["declared"]),
    ("no source", set_request(b"site", b"", text=b"x"), ["no such source", "remote-config"]),
    ("an unknown source", set_request(b"site", b"mars", text=b"x"), ["no such source", "remote-config"]),
    ("no value", set_request(b"site", b"cli"), ["no value"]),
    ("a text that is no UTF-8", set_request(b"site", b"cli", text=b"\xff"), ["UTF-8"]),
    ("a JSON document that is none", set_request(b"site", b"cli", json=b"\xff"), ["JSON"]),
    ("JSON with a NUL behind it", set_request(b"cmd_port", b"cli", json=b"1\0"), ["JSON"]),
    ("an int that is none", set_request(b"cmd_port", b"cli", file=b"12 \n"), ["cmd_port", "int", "string"]),
    ("an unset without a source", field(2, field(1, b"site")), ["no such source"]),
    ("an unset of a long key", field(2, field(1, b"k" * 1025) + field(2, b"cli")), ["1 to 1024 bytes"]),
]


class Clients(Bad):
    def setUp(self):
        super().setUp()
        self.start()

    def logged(self, *parts):
        return any(all(part in line for part in parts) for line in self.read(self.log).splitlines())

    def check_served(self):
        client = Client(self)
        self.assertEqual(client.call(field(4, b"")).result, 0)
        client.socket.close()

    def test_what_is_no_request_is_dropped_with_a_line_that_names_the_client(self):
        before = self.state()
        for name, content, length, reason in DROPPED:
            with self.subTest(name):
                os.truncate(self.log, 0)
                client = Client(self)
                client.send(content, length)
                self.check_served()
                self.assertTrue(client.is_dropped())
                self.assertTrue(self.logged("dropped", WHO, reason), self.read(self.log))
        self.assertEqual(self.state(), before)

    def test_half_a_message_is_not_applied(self):
        before = self.state()
        for cut in (2, 4, 5, 4 + len(SITE) - 1):
            client = Client(self)
            client.socket.sendall((struct.pack(">I", len(SITE)) + SITE)[:cut])
            self.check_served()
            client.socket.close()
        eventually("four lines", lambda: self.read(self.log).count("%s: it left in mid-message" % WHO) == 4)
        self.assertEqual(self.state(), before)

    def test_refused_requests_change_nothing_and_leave_a_line_that_names_the_client(self):
        before = self.state()
        client = Client(self)
        for name, content, parts in REFUSED_REQUESTS:
            with self.subTest(name):
                os.truncate(self.log, 0)
                answer = client.call(content)
                self.assertEqual((answer.result, answer.changes), (1, 0))
                self.check_says(answer.error, parts)
                self.assertEqual(self.state(), before)
                self.assertTrue(self.logged(WHO, "refused"),
                                self.read(self.log))
                self.assertNotIn("\nFORGED", self.read(self.log))
        self.assertEqual(client.call(SITE).result, 0)

    def test_a_message_of_17_MiB_is_taken(self):
        padding = 17 * MIB - len(SITE) - len(field(99, b"x" * (17 * MIB - 100))) + 17 * MIB - 100
        message = SITE + field(99, b"x" * padding)
        self.assertEqual(len(message), 17 * MIB)
        client = Client(self)
        self.assertEqual(client.call(message).result, 0)
        self.assertEqual(self.value("site"), "x")

    def test_a_message_that_comes_byte_by_byte(self):
        client = Client(self)
        for byte in struct.pack(">I", len(SITE)) + SITE:
            client.socket.sendall(bytes([byte]))
        self.assertEqual(client.receive(4)[:3], b"\0\0\0")
        self.assertEqual(self.value("site"), "x")

    def test_two_messages_at_once(self):
        client = Client(self)
        message = struct.pack(">I", len(SITE)) + SITE
        client.socket.sendall(message + message)
        for changes in (1, 0):
            self.assertEqual(Answer(client.receive(struct.unpack(">I", client.receive(4))[0])).changes, changes)


class LargeReload(Bad):
    watching = True
    SETTINGS, CHANGED = 100000, 40

    def settings(self, changed=None):
        """As a main file would say it: sections of 100; every so many-th setting differs."""
        step = self.SETTINGS // self.CHANGED
        lines = []
        for i in range(self.SETTINGS):
            if i % 100 == 0:
                lines.append("section%d:" % (i // 100))
            lines.append("  setting%d: %d" % (i, i + (changed or 0) * (i % step == 7)))
        return "\n".join(lines) + "\n"

    def keys(self):
        return ["section%d.setting%d" % (i // 100, i) for i in range(7, self.SETTINGS, self.SETTINGS // self.CHANGED)]

    def replace_main(self, text):
        self.write(self.config + ".new", text)
        os.rename(self.config + ".new", self.config)

    def take_updates(self, watch, first):
        """The 40 updates, as the next IDs."""
        updates = [self.event(watch) for _ in range(self.CHANGED)]
        self.assertEqual([update["event"] for update in updates], ["update"] * self.CHANGED)
        self.assertEqual([update["sequence"] for update in updates],
                         list(range(first + 1, first + 1 + self.CHANGED)))
        self.assertEqual(sorted(update["key"] for update in updates), sorted(self.keys()))
        return updates

    def test_forty_changes_in_a_hundred_thousand_settings_are_one_batch_of_forty_updates(self):
        self.write(self.defaults, "log_level: info\n" + self.settings())
        self.write(self.config, self.settings(changed=1))
        self.start()
        watch = self.spawn_watch("--timeout", str(2 * PATIENCE))
        first = self.event(watch)
        self.assertEqual(first["settings"], self.SETTINGS + 1)
        for round, how in ((2, "renamed"), (3, "reloaded")):
            batches = self.json("status")["counters"]["batches"]
            text = self.settings(changed=round)
            start = time.monotonic()
            self.replace_main(text)
            if how == "reloaded":
                self.cli("reload")
            updates = self.take_updates(watch, first["sequence"])
            print("%d of %d settings changed, %s: visible after %.0f ms" %
                  (self.CHANGED, self.SETTINGS, how, (time.monotonic() - start) * 1000))
            for update in updates:
                self.assertEqual((update["value"], update["source"]),
                                 (int(update["key"].split("setting")[1]) + round, "file"))
            self.assertEqual(self.json("status")["counters"]["batches"], batches + 1)
            self.assertEqual(self.sequence(), updates[-1]["sequence"])
            self.assertEqual([self.value(key) for key in self.keys()[:3]], [update["value"] for update in updates[:3]])
            first = updates[-1]


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + (sys.argv[1:] or []))
