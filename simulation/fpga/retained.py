"""Retained memory: map, counters and state survive the process, whatever kills it and when.

One file, `STATE/fpga/counters.bin`, mapped into memory (the kernel keeps written pages when a process
dies). Little endian throughout:

    header (64 bytes): magic b"PTCSCNT1"   u32 format   u32 rows   u64 map bytes   i64 origin_wall_ns   CRC-32
    status (128 bytes): i64 tick   u8 state   cause (UTF-8, 96 bytes)
    map: one frame of `common.wire.frame`     rows: `rows.ROW` each
    log: u32 first   u32 count   CRC-32   status (128 bytes)   the rows from `first` on

A slice is stored in two steps: first into the log with its CRC, then from the log into place. On reading,
a whole log is applied once more (that changes nothing if it was applied), a torn one is ignored: either
way the last completed slice is there.
"""

import mmap
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import BadInput, Refused, Tampered
from common.files import write_atomic
from common.wire.frame import Decoder, Frame, Kind, encode
from simulation.fpga.rows import ROW, Rows
from simulation.fpga.spotmap import SpotMap, accept
from simulation.fpga.states import State

MAGIC = b"PTCSCNT1"
FORMAT = 1
_HEADER = struct.Struct("<8sIIQqI")
_STATUS = struct.Struct("<qB96s")
_LOG = struct.Struct("<III")
HEADER_SIZE = 64
STATUS_SIZE = 128


@dataclass(frozen=True)
class Status:
    """What is kept beside the rows."""

    tick: int
    state: State
    cause: str

    def pack(self) -> bytes:
        """As bytes of fixed length; a long cause loses its end."""
        index = list(State).index(self.state)
        cause = self.cause.encode()[:96].decode(errors="ignore").encode()
        return _STATUS.pack(self.tick, index, cause).ljust(STATUS_SIZE, b"\0")

    @classmethod
    def unpack(cls, data: bytes) -> "Status":
        """From bytes of `pack`."""
        tick, index, cause = _STATUS.unpack_from(data)
        return cls(tick, list(State)[index], cause.rstrip(b"\0").decode())


@dataclass(frozen=True)
class Kept:
    """What a restarted process finds."""

    spots: SpotMap
    rows: Rows
    status: Status
    origin_wall_ns: int


class Retained:
    """The file of one loaded map, open for storing slices."""

    def __init__(self, path: Path) -> None:
        """Open an existing file. Raises OSError, or Tampered when it is not what `create` makes."""
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._count, map_size, self._origin = _read_header(self._memory)
        self._map = HEADER_SIZE + STATUS_SIZE
        self._rows = self._map + map_size
        self._log = self._rows + self._count * ROW.itemsize
        if len(self._memory) != self._log + _LOG.size + STATUS_SIZE + self._count * ROW.itemsize:
            raise Tampered(f"{path.name} has an unexpected length; remove it to start without a map")

    def store(self, rows: Rows, changed: tuple[int, int], status: Status) -> None:
        """Keep a slice: `rows` is the whole map's, `changed` the range of it that is new."""
        first, last = changed
        body = status.pack() + rows[first:last].tobytes()
        numbers = struct.pack("<II", first, last - first)
        start = self._log + _LOG.size
        self._memory[start : start + len(body)] = body
        self._memory[self._log : start] = _LOG.pack(first, last - first, zlib.crc32(numbers + body))
        self._apply(first, body)

    def load(self) -> Kept:
        """The last completed slice. Raises Tampered when the map is damaged."""
        self._replay()
        status = Status.unpack(self._memory[HEADER_SIZE : HEADER_SIZE + STATUS_SIZE])
        rows = np.frombuffer(self._memory[self._rows : self._log], dtype=ROW).copy()
        try:
            (frame,) = Decoder().feed(self._memory[self._map : self._rows])
            spots = accept(frame.body, frame.arrays)
        except (BadInput, Refused, ValueError) as why:
            raise Tampered(f"retained map is damaged: {why}") from why
        return Kept(spots, rows, status, self._origin)

    def close(self) -> None:
        """Unmap the file."""
        self._memory.close()

    def _apply(self, first: int, body: bytes) -> None:
        self._memory[HEADER_SIZE : HEADER_SIZE + STATUS_SIZE] = body[:STATUS_SIZE]
        start = self._rows + first * ROW.itemsize
        self._memory[start : start + len(body) - STATUS_SIZE] = body[STATUS_SIZE:]

    def _replay(self) -> None:
        first, count, crc = _LOG.unpack_from(self._memory, self._log)
        start = self._log + _LOG.size
        body = self._memory[start : start + STATUS_SIZE + count * ROW.itemsize]
        fits = first + count <= self._count
        if fits and zlib.crc32(struct.pack("<II", first, count) + body) == crc:
            self._apply(first, body)


def create(path: Path, spots: SpotMap, rows: Rows, status: Status, origin_wall_ns: int) -> Retained:
    """Make the file of a newly loaded map, whole or not at all, and open it. Raises OSError (disk full)."""
    stored = encode(Frame(Kind.REQUEST, 0, spots.body(), spots.arrays()))
    header = _HEADER.pack(MAGIC, FORMAT, spots.count, len(stored), origin_wall_ns, 0)[:-4]
    header += struct.pack("<I", zlib.crc32(header))
    log_size = _LOG.size + STATUS_SIZE + spots.count * ROW.itemsize
    # A log of zero bytes has no valid CRC, so nothing is replayed from it.
    empty_log = b"\0\0\0\0\0\0\0\0\x01".ljust(log_size, b"\0")
    parts = (header.ljust(HEADER_SIZE, b"\0"), status.pack(), stored, rows.tobytes(), empty_log)
    write_atomic(path, b"".join(parts))
    return Retained(path)


def _read_header(memory: mmap.mmap) -> tuple[int, int, int]:
    if len(memory) < HEADER_SIZE:
        raise Tampered("retained memory is too short; remove counters.bin to start without a map")
    magic, number, count, map_size, origin, crc = _HEADER.unpack_from(memory)
    if magic != MAGIC or number != FORMAT or crc != zlib.crc32(memory[: _HEADER.size - 4]):
        raise Tampered("retained memory has a damaged header; remove counters.bin to start without a map")
    return count, map_size, origin
