"""Frames between the simulated hardware and everything that talks to it. Bytes in, frames out.

A frame is a fixed header and a payload. The payload is a JSON body, optionally followed by arrays:

    header (36 bytes, little endian):
        magic b"PTCS"   u8 version   u8 kind   u16 zero   u32 sequence
        u64 tick   u64 wall_ns   u32 payload length   u32 CRC-32 of the payload
    payload:
        u32 length of the JSON body   JSON body (UTF-8)   array bytes, end to end
    The body's key "arrays" lists [name, dtype, shape] of each array in order.

Nothing here opens a socket: real hardware with the same frames plugs in unseen.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput

MAGIC = b"PTCS"
VERSION = 1
MAX_PAYLOAD = 64 * 1024 * 1024
_HEADER = struct.Struct("<4sBBHIQQII")
_LENGTH = struct.Struct("<I")
_DTYPES = frozenset({"<f8", "<f4", "<i8", "<i4", "|u1", "|b1"})


class Kind(IntEnum):
    """What a frame is."""

    REQUEST = 1
    """Body {"do": verb, ...}; answered by one REPLY with the same sequence."""
    REPLY = 2
    """Body {"ok": true, ...} or {"ok": false, "why": text}."""
    BLOCK = 3
    """A pushed snapshot: array "values", one per channel of the crate, in hello's order."""
    EVENT = 4
    """A pushed message: body {"event": name, ...}. The first one on a link is "hello"."""
    HEARTBEAT = 5
    """Sign of life of a watched client; empty body, no answer."""


@dataclass(frozen=True)
class Frame:
    """One message. `tick` and `wall_ns` stamp the moment it speaks of."""

    kind: Kind
    sequence: int
    body: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    tick: int = 0
    wall_ns: int = 0


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. Raises BadInput for an array type that the wire does not carry."""
    arrays = {name: _plain(name, array) for name, array in frame.arrays.items()}
    body = dict(frame.body)
    if arrays:
        body["arrays"] = [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()]
    text = json.dumps(body, separators=(",", ":")).encode()
    payload = b"".join([_LENGTH.pack(len(text)), text, *(a.tobytes() for a in arrays.values())])
    if len(payload) > MAX_PAYLOAD:
        raise BadInput(f"frame of {len(payload)} B: allowed are {MAX_PAYLOAD} B")
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        frame.kind,
        0,
        frame.sequence,
        frame.tick,
        frame.wall_ns,
        len(payload),
        zlib.crc32(payload),
    )
    return header + payload


class Decoder:
    """Collects bytes and hands out whole frames. After BadInput the link must be closed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add received bytes; yield each frame completed by them. Raises BadInput on damage."""
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if len(self._buffer) < _HEADER.size:
            return None
        magic, version, kind, _, sequence, tick, wall_ns, length, crc = _HEADER.unpack_from(self._buffer)
        if magic != MAGIC or version != VERSION or length > MAX_PAYLOAD:
            raise BadInput(f"not a PTCS frame (magic {magic!r}, version {version}, length {length})")
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_HEADER.size : end])
        del self._buffer[:end]
        if zlib.crc32(payload) != crc:
            raise BadInput("frame damaged: CRC-32 does not match")
        body, arrays = _split(payload)
        try:
            return Frame(Kind(kind), sequence, body, arrays, tick, wall_ns)
        except ValueError as why:
            raise BadInput(f"frame of unknown kind {kind}") from why


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    plain = np.ascontiguousarray(array)
    if plain.dtype.str not in _DTYPES:
        raise BadInput(f"array {name!r} is {plain.dtype.str}: allowed are {', '.join(sorted(_DTYPES))}")
    return plain


def _split(payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        (size,) = _LENGTH.unpack_from(payload)
        start = _LENGTH.size + size
        body = json.loads(payload[_LENGTH.size : start])
        arrays: dict[str, NDArray[Any]] = {}
        for name, dtype, shape in body.pop("arrays", []):
            if dtype not in _DTYPES:
                raise BadInput(f"array {name!r} is {dtype}: allowed are {', '.join(sorted(_DTYPES))}")
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(payload, dtype, count, start).reshape(shape)
            start += arrays[name].nbytes
    except (struct.error, ValueError, TypeError, AttributeError) as why:
        raise BadInput(f"frame payload unreadable: {why}") from why
    if start != len(payload):
        raise BadInput(f"frame payload has {len(payload) - start} B too many")
    return body, arrays
