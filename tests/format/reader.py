#!/usr/bin/python3
"""Dump an arena as `configstream list --json --show-secrets` does.  SPDX-License-Identifier: Apache-2.0

Written from docs/arena-format.md alone; V1 to V5 are its steps.  It reads any arena that nobody is writing to.  While a
producer writes, V5 tells whether what was read counts; the fences that it needs elsewhere than on x86-64 Python does
not have.
"""
import argparse
import decimal
import json
import mmap
import os
import stat
import struct
import sys

MAGIC = 0x314D525453474643
HEADER = 2048
ROUNDS = 16
NULL, BOOL, INT, DOUBLE, STRING, LIST, STRUCT = range(7)
TOMBSTONE = 0x80
KEY_MAX, ENCODED_MAX = 1024, (16 << 20) + 8192


class Unreadable(Exception):
    """The arena cannot be read, and why."""


class Recycled(Exception):
    """What was read does not count."""


# ---- opening ---------------------------------------------------------------------------------------------------------


def check_file(fd, owner):
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("not a regular file")
    if status.st_uid not in (0, os.geteuid(), owner):
        raise Unreadable(f"belongs to uid {status.st_uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Unreadable("group or others may write it")
    if not on_tmpfs(status.st_dev):
        raise Unreadable("not on a tmpfs")
    if status.st_size < 4096 or status.st_blocks * 512 < status.st_size:
        raise Unreadable("truncated, or has holes")
    return status.st_size


def on_tmpfs(device):
    """Python has no fstatfs; the mount table names the type of each device."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        lines = [line.split() for line in table]
    return any(line[2] == number and line[line.index("-") + 1] == "tmpfs" for line in lines)


def check_header(header, size):
    """The fields that never change, from a copy of the header."""
    if header[:8] == MAGIC.to_bytes(8, "big" if sys.byteorder == "little" else "little"):
        raise Unreadable("of another byte order")
    magic, major, minor, header_bytes = struct.unpack_from("=QHHI", header, 0)
    _, features_read, _, max_size, _, byte_order = struct.unpack_from("=QQQQII", header, 16)
    ring_at, slots = struct.unpack_from("=QQ", header, 96)
    if magic != MAGIC:
        raise Unreadable("no magic number")
    if byte_order != 0x01020304 or major != 1:
        raise Unreadable(f"layout {major}.{minor}; this reader reads 1.x")
    if features_read:
        raise Unreadable(f"features {features_read:#x} are unknown")
    if (header_bytes < HEADER or not 65536 <= max_size <= 1 << 42 or not 16 <= slots <= 1 << 24 or slots & (slots - 1)
            or ring_at % 65536 or ring_at < header_bytes or not ring_at + 32 * slots <= size <= max_size):
        raise Unreadable("the header contradicts itself")
    return max_size


class Arena:
    """A file, mapped; every access is checked against its size."""

    def __init__(self, path, owner=None):
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        size = check_file(self.fd, owner)
        header = os.pread(self.fd, HEADER, 0)
        if len(header) < HEADER:
            raise Unreadable("ends inside the header")
        self.max_size = check_header(header, size)
        self.map(size)

    def map(self, size):
        self.size = size
        self.bytes = mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self.words = memoryview(self.bytes)[: size // 8 * 8].cast("Q")

    def grow(self):
        """Ask the file whether there is more of it by now."""
        status = os.fstat(self.fd)
        if not self.size < status.st_size <= self.max_size or status.st_blocks * 512 < status.st_size:
            return False
        self.map(status.st_size)
        return True

    def word(self, at):
        return self.words[at // 8]


# ---- records ---------------------------------------------------------------------------------------------------------


class Record:
    HEAD = struct.Struct("=QQQHBBBBHQIIIIHHI")

    def __init__(self, arena, offset):
        at = offset * 8
        if offset == 0 or at + 64 > arena.size:
            raise Unreadable("a record is out of bounds")
        (self.sequence, self.prev, _, key_length, self.kind, self.flags, _, _, source_at, self.scalar, setting_length,
         encoded_length, value_at, value_length, source_length, unset_length, _) = self.HEAD.unpack_from(arena.bytes, at)
        if (not 1 <= key_length <= KEY_MAX or encoded_length > ENCODED_MAX or self.kind > STRUCT
                or setting_length > encoded_length or value_at + value_length > setting_length
                or source_at + source_length > setting_length or unset_length > encoded_length - setting_length):
            raise Unreadable("a record contradicts itself")
        encoding = at + 64 + (key_length // 8 + 1) * 8
        if encoding + (encoded_length + 7) // 8 * 8 > arena.size:
            raise Unreadable("a record is out of bounds")
        self.offset = offset
        self.key = arena.bytes[at + 64 : at + 64 + key_length]
        self.source = arena.bytes[encoding + source_at : encoding + source_at + source_length]
        self.payload = arena.bytes[encoding + value_at : encoding + value_at + value_length]

    def value(self):
        if self.kind == NULL:
            return None
        if self.kind == BOOL:
            return self.scalar != 0
        if self.kind == INT:
            return self.scalar - (1 << 64) if self.scalar >> 63 else self.scalar
        if self.kind == DOUBLE:
            return struct.unpack("=d", struct.pack("=Q", self.scalar))[0]
        if self.kind == STRING:
            return self.payload.decode()
        return decode_list(self.payload) if self.kind == LIST else decode_struct(self.payload)


# ---- protobuf --------------------------------------------------------------------------------------------------------


def varint(data, at):
    number = 0
    for shift in range(0, 64, 7):
        if at == len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >> 64:
                break
            return number, at
    raise Unreadable("a value is damaged")


def fields(data):
    """(tag, content) of each field of a message: an int for varints, bytes for all others."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        wire_type = tag & 7
        if wire_type == 0:
            content, at = varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(wire_type)
            if wire_type == 2:
                length, at = varint(data, at)
            if length is None or length > len(data) - at:
                raise Unreadable("a value is damaged")
            content = data[at : at + length]
            at += length
        yield tag, content


def decode_value(data):
    value = None
    for tag, content in fields(data):
        if tag == 1 << 3 | 0:
            value = None
        elif tag == 2 << 3 | 1:
            value = Nested(struct.unpack("<d", content)[0])
        elif tag == 1000 << 3 | 0:
            value = exact(content, value)
        elif tag == 3 << 3 | 2:
            value = content.decode()
        elif tag == 4 << 3 | 0:
            value = content != 0
        elif tag == 5 << 3 | 2:
            value = decode_struct(content)
        elif tag == 6 << 3 | 2:
            value = decode_list(content)
    return value


def exact(content, rounding):
    """The integer whose rounding stands before it."""
    number = content - (1 << 64) if content >> 63 else content
    if not isinstance(rounding, Nested) or float(number) != rounding or int(rounding) == number:
        raise Unreadable("a value is damaged")
    return number


def decode_list(data):
    return [decode_value(content) for tag, content in fields(data) if tag == 1 << 3 | 2]


def decode_struct(data):
    entries = {}
    for tag, entry in fields(data):
        if tag != 1 << 3 | 2:
            continue
        key, value = b"", None
        for entry_tag, content in fields(entry):
            if entry_tag == 1 << 3 | 2:
                key = content
            elif entry_tag == 2 << 3 | 2:
                value = decode_value(content)
        entries[key.decode()] = value
    return entries


# ---- the view --------------------------------------------------------------------------------------------------------


class View:
    def __init__(self, arena):
        self.arena = arena
        current = arena.word(128)  # V1
        self.bank, self.generation = 256 + 256 * (current & 1), current >> 1
        self.check()  # V2
        self.sequence = arena.word(self.bank + 128)  # V3
        self.index_at, self.capacity = arena.word(self.bank + 8), arena.word(self.bank + 16)
        self.loaded = arena.word(self.bank + 40) != 0

    def check(self):
        if self.arena.word(self.bank) != self.generation:
            raise Recycled

    def settings(self):
        """V4, over all cells."""
        if (self.index_at % 8 or self.index_at < 4096 or self.capacity == 0 or self.capacity & (self.capacity - 1)
                or self.index_at + 8 * self.capacity > self.arena.size):
            raise Unreadable("the index is out of bounds")
        for number in range(self.capacity):
            cell = self.arena.word(self.index_at + 8 * number)
            record = self.settle(Record(self.arena, cell & (1 << 40) - 1)) if cell else None
            if record:
                yield record

    def settle(self, record):
        """The record that counts at the view's ID, or None."""
        while record.sequence > self.sequence:
            if record.prev == 0:
                return None
            if record.prev >= record.offset:
                raise Unreadable("a record's predecessor does not lie before it")
            record = Record(self.arena, record.prev)
        return None if record.flags & TOMBSTONE else record


def read(arena):
    """All settings at one point in time."""
    for _ in range(ROUNDS):
        try:
            view = View(arena)
            try:
                found = [(r.key, r.value(), r.source, r.sequence) for r in view.settings()] if view.loaded else None
                problem = None
            except (Unreadable, UnicodeDecodeError) as error:
                problem = error
            view.check()  # V5: what was found, missed or damaged counts only now
        except Recycled:
            continue
        if problem is None and found is None:
            raise Unreadable("no first state yet")
        if problem is None:
            return sorted(found, key=lambda setting: setting[0])
        if not arena.grow():
            raise problem
    raise Unreadable("busy")


# ---- JSON ------------------------------------------------------------------------------------------------------------


class Nested(float):
    """A number inside a list or struct, where whole numbers are shown as integers."""


def number_text(number):
    if number != number or number in (float("inf"), float("-inf")):
        return '"NaN"' if number != number else '"+Inf"' if number > 0 else '"-Inf"'
    text = shortest(number)
    as_integer = isinstance(number, Nested) and text.endswith(".0") and abs(number) <= 1 << 53 and text != "-0.0"
    return text[:-2] if as_integer else text


def shortest(number):
    """The fewest digits that read back, with a point and without an exponent."""
    text = f"{decimal.Decimal(repr(float(number))):f}"
    return text if "." in text else text + ".0"


def string_text(string):
    """As JSON has it, and all control characters escaped; hexadecimal digits in upper case."""
    return '"' + "".join(escaped(c) if c < " " or c in '"\\' or "\x7f" <= c <= "\x9f" else c for c in string) + '"'


def escaped(character):
    form = json.dumps(character)[1:-1]
    return form if len(form) == 2 else f"\\u{ord(character):04X}"


def text(value):
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{string_text(key)}:{text(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--instance", default="default")
    options.add_argument("--arena-path", metavar="FILE")
    options.add_argument("--owner", type=int, metavar="UID", help="trust arenas of this user, too")
    given = options.parse_args()
    path = given.arena_path or "/dev/shm/configstream." + given.instance
    sys.setrecursionlimit(10000)
    try:
        settings = read(Arena(path, given.owner))
    except (OSError, Unreadable, UnicodeDecodeError) as error:
        sys.exit(f"{path}: {error}")
    for key, value, source, sequence in settings:
        line = text({"key": key.decode(), "value": value, "source": source.decode(), "sequence": sequence})
        sys.stdout.buffer.write(line.encode() + b"\n")


if __name__ == "__main__":
    main()
