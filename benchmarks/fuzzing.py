"""Bad input: requests that no process may obey, bytes that are no message, and what becomes of them."""

import random
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from common.wire.frame import Decoder, Frame, Kind, encode

LIMIT_S = 5.0
NUMBERS = [0, -1, 3.5, float("nan"), float("inf"), 1e308, 2**70, 10**30]
VALUES: list[Any] = [
    None,
    True,
    *NUMBERS,
    "",
    "x",
    "\u0000",
    "设备",
    [],
    [1],
    {},
    {"x": float("nan")},
    "9" * 5000,
]
KEYS = [
    "device",
    "name",
    "value",
    "kind",
    "target",
    "phase",
    "energy",
    "ok",
    "user",
    "roles",
    "seconds",
    "watchdog",
]
VERBS = [
    "set",
    "on",
    "off",
    "move",
    "stop",
    "open",
    "close",
    "cycle",
    "fault",
    "clear",
    "input",
    "mask",
    "load_map",
]
VERBS += ["start", "resume", "hold", "reset", "hello", "dance", "", "SET", "on\n"]
NEVER = {
    "device": "no-such-device",
    "name": 7,
    "kind": "no-such-fault",
    "phase": "NOON",
    "roles": "all",
    "cause": 1,
}
"""What makes a request bad whatever else it says."""
MODBUS = [b"\x00\x01\x00\x00\x00\x06\x01", b"\x00\x01\x00\x00\xff\xff\x01\x10"]
GIOP = [b"GIOP\x01\x02\x01\x00", b"GIOP\x01\x00\x00\x00\xff\xff\xff\x7f"]
ZMTP = [b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"]
"""How messages of Modbus, CORBA and ZMQ begin."""


@dataclass
class Count:
    """What became of the messages of one port."""

    sent: int = 0
    refused: int = 0
    dropped: int = 0
    accepted: list[str] = field(default_factory=list)


class FrameLink:
    """A raw connection that speaks frames, or anything."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        self._decoder = Decoder()

    def reply(self) -> Frame | None:
        """The next reply; None when the peer closes the link."""
        while True:
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionError:
                return None
            if not data:
                return None
            for frame in self._decoder.feed(data):
                if frame.kind is Kind.REPLY:
                    return frame


def bad_request(rng: random.Random) -> Frame:
    """A well-formed frame that no process may obey."""
    body = {key: rng.choice(VALUES) for key in KEYS if rng.random() < 0.4}
    verb = rng.choice(VERBS)
    body |= NEVER
    return Frame(Kind.REQUEST, rng.randrange(2**32), {**body, "do": rng.choice([verb, verb, *VALUES])})


def bad_bytes(rng: random.Random) -> bytes:
    """Bytes that are no frame: noise, a frame with damage, or one that lies about its length."""
    whole = bytearray(encode(Frame(Kind.REQUEST, 1, {"do": "status"})))
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.randrange(36, 400))
    if kind == 1:
        whole[rng.randrange(4)] ^= rng.randrange(1, 256)
    elif kind == 2:
        whole[rng.randrange(36, len(whole))] ^= rng.randrange(1, 256)
    else:
        struct.pack_into("<I", whole, 28, rng.choice([2**32 - 1, 2**31, 64 * 1024 * 1024 + 1]))
    return bytes(whole)


def fuzz_frames(port: int, messages: int, rng: random.Random) -> Count:
    """Nine bad requests to one piece of garbage, which costs a connection."""
    count, link = Count(), FrameLink(port)
    for _number in range(messages):
        count.sent += 1
        if rng.random() < 0.1:
            link.socket.sendall(bad_bytes(rng))
        else:
            frame = bad_request(rng)
            link.socket.sendall(encode(frame))
            reply = link.reply()
            if reply is not None:
                if reply.body.get("ok") or not reply.body.get("why"):
                    count.accepted.append(str(frame.body)[:200])
                count.refused += 1
                continue
            link = FrameLink(port)
            count.dropped += 1
            continue
        if link.reply() is None:
            count.dropped += 1
        else:
            count.accepted.append("garbage was answered")
        link.socket.close()
        link = FrameLink(port)
    link.socket.close()
    return count


def fuzz_lines(port: int, messages: int, rng: random.Random) -> Count:
    """Instrument lines: answered with an error, or the link is closed."""
    count = Count()
    link: socket.socket | None = None
    for _number in range(messages):
        count.sent += 1
        if link is None:
            link = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        noise = rng.random() < 0.1
        line = rng.randbytes(rng.randrange(1, 200)) if noise else f"SET:{rng.random()}".encode()
        line = line.replace(b"\n", b"") or b"x"
        try:
            link.sendall(line + b"\n")
            answer = link.recv(4096)
        except ConnectionError:
            answer = b""
        if not answer:
            count.dropped += 1
            link.close()
            link = None
        elif answer.startswith(b"-"):
            count.refused += 1
        else:
            count.accepted.append(repr(line))
    return count


def fuzz_bytes(port: int, messages: int, rng: random.Random, heads: list[bytes]) -> Count:
    """A connection a message, some with the protocol's own beginning."""
    count = Count()
    for _number in range(messages):
        count.sent += 1
        data = rng.choice([b"", *heads]) + rng.randbytes(rng.randrange(1, 300))
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as link:
                link.sendall(data)
            count.dropped += 1
        except OSError:
            time.sleep(0.1)  # the server may be starting again
    return count
