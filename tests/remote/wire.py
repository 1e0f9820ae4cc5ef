# wire.py: messages of the stream and frames of HTTP/2, right ones and wrong ones.  Nothing here checks anything: what a
# peer that means ill would send has to come out as well.
# SPDX-License-Identifier: Apache-2.0
import struct

# ---- protobuf -------------------------------------------------------------------------------------------------------


def varint(number):
    number &= (1 << 64) - 1  # negative int32 travel as ten bytes
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    """A whole number, a double, or a text, bytes or message."""
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, str):
        content = content.encode()
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields(data):
    """[(number, content)] as it stands there."""
    found, at = [], 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            content, at = read_varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(tag & 7)
            if length is None:
                length, at = read_varint(data, at)
            content, at = data[at:at + length], at + length
        found.append((tag >> 3, content))
    return found


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def value(python):
    """A google.protobuf.Value: all numbers are doubles there."""
    if python is None:
        return field(1, 0)
    if isinstance(python, bool):
        return field(4, int(python))
    if isinstance(python, (int, float)):
        return field(2, float(python))
    if isinstance(python, str):
        return field(3, python)
    if isinstance(python, dict):
        entries = (field(1, field(1, key) + field(2, value(one))) for key, one in python.items())
        return field(5, b"".join(entries))
    return field(6, b"".join(field(1, value(one)) for one in python))


ABSENT = object()


def setting(key, python=ABSENT, source="file", unset_source=""):
    """A ConfigSetting; without a value the field is not there."""
    out = (field(1, source) if source else b"") + field(2, key)
    if python is not ABSENT:
        out += field(3, value(python))
    return out + (field(4, unset_source) if unset_source else b"")


def settings(state):
    """{key: value, or (value, source)} as encoded settings."""
    return [setting(key, *one) if isinstance(one, tuple) else setting(key, one) for key, one in state.items()]


def snapshot(sequence, state, origin="hostile.yaml"):
    """A ConfigEvent; the state as for settings(), or encoded ones."""
    encoded = settings(state) if isinstance(state, dict) else state
    body = field(1, origin) + field(2, sequence) + b"".join(field(3, one) for one in encoded)
    return field(1, body)


def update(sequence, encoded, origin="hostile.yaml"):
    return field(2, field(1, origin) + field(2, sequence) + field(3, encoded))


# ---- gRPC -----------------------------------------------------------------------------------------------------------


def message(body, flag=0, length=None):
    """With its prefix, which may lie."""
    return bytes([flag]) + (len(body) if length is None else length).to_bytes(4, "big") + body


# ---- HTTP/2 ---------------------------------------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADER_LIST = range(1, 7)
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, CALM = 0, 1, 2, 7, 8, 11


def frame(kind, flags, stream, payload=b"", length=None):
    return (len(payload) if length is None else length).to_bytes(3, "big") + bytes([kind, flags]) + \
        stream.to_bytes(4, "big") + payload


def hpack_length(length):
    """An integer with a prefix of seven bits."""
    if length < 127:
        return bytes([length])
    return b"\x7f" + varint(length - 127)


def header(name, text):
    """Literal, and in no table."""
    name, text = name.encode(), text.encode()
    return b"\x00" + hpack_length(len(name)) + name + hpack_length(len(text)) + text


def header_block(pairs):
    return b"".join(header(name, text) for name, text in pairs)


def settings_frame(pairs=()):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", number, amount) for number, amount in pairs))


def goaway(last, code, words=b""):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + words)
