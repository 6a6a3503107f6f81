"""Rows of one attribute out of a closed file, by as few reads as can be.

Closed files never change, so that where their tables stand is remembered by inode; and the calls are those
of HDF5 itself, since looking up a dataset by h5py's objects takes longer than reading it.
"""

import os
import threading
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from device_servers.services.archive.closed import check_closed
from device_servers.services.archive.layout import BIN, CLOSED_CHANNEL, VALUE, Rows

REMEMBERED = 512
"""Files whose places are remembered."""
_TYPES = {dtype: h5py.h5t.py_create(dtype) for dtype in (VALUE, BIN)}
Key = tuple[int, int, int, int]


@dataclass(frozen=True)
class Places:
    """Bytes from the beginning of a file to its tables, and the number of channels. None: no such table."""

    channels: int | None
    count: int
    bounds: int | None


_known: OrderedDict[Key, Places] = OrderedDict()
_lock = threading.Lock()


class IndexedFile:
    """A closed file, open for reading. Raises OSError if it is none, or cannot be read."""

    def __init__(self, path: Path) -> None:
        self._id = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, _access())
        try:
            self._handle = self._id.get_vfd_handle()
            self._places = _places(self._id, self._handle, path)
        except BaseException:
            self._id.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._id.close()

    def find(self, attribute: str) -> tuple[int, Any] | None:
        """Place of an attribute in /channels, and its row (dtype CLOSED_CHANNEL): by bisection."""
        begin, count = self._places.channels, self._places.count
        if begin is None or not count:
            return None
        size, width = CLOSED_CHANNEL.itemsize, CLOSED_CHANNEL["name"].itemsize

        def name(row: int) -> bytes:
            return os.pread(self._handle, width, begin + row * size).rstrip(b"\0")

        wanted = attribute.encode()
        place = bisect_left(range(count), wanted, key=name)
        if place == count or name(place) != wanted:
            return None
        return place, np.frombuffer(os.pread(self._handle, size, begin + place * size), CLOSED_CHANNEL)[0]

    def bins(self, place: int) -> Rows:
        """The bins of the channel at a place."""
        if self._places.bounds is None:
            raise OSError("this archive file has no bins")
        low, high = np.frombuffer(os.pread(self._handle, 16, self._places.bounds + 8 * place), "<i8")
        return self._rows(b"bins", BIN, int(low), int(high))

    def values(self, low: int, high: int) -> Rows:
        """Rows `low` to `high` (exclusive) of /values."""
        return self._rows(b"values", VALUE, low, high)

    def _rows(self, name: bytes, dtype: "np.dtype[Any]", low: int, high: int) -> Rows:
        rows = np.empty(high - low, dtype)
        if high > low:
            table = h5py.h5d.open(self._id, name)
            space = table.get_space()
            space.select_hyperslab((low,), (high - low,))
            table.read(h5py.h5s.create_simple(rows.shape), space, rows, _TYPES[dtype])
        return rows


def _access() -> Any:
    """As `h5py.File(path, locking=False)` opens a file: within a process all must do it alike."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)
    access.set_file_locking(False, False)
    return access


def _places(file: Any, handle: int, path: Path) -> Places:
    """Where the tables of a file stand. Raises OSError unless it is a closed one of this layout."""
    status = os.fstat(handle)
    key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    with _lock:
        if (known := _known.get(key)) is not None:
            return known
    whole = h5py.File(file)
    check_closed(whole, path)
    channels = whole["channels"].id
    bounds = whole["bin_bounds"].id.get_offset() if "bin_bounds" in whole else None
    found = Places(channels.get_offset(), int(channels.shape[0]), bounds)
    with _lock:
        _known[key] = found
        while len(_known) > REMEMBERED:
            _known.popitem(last=False)
    return found
