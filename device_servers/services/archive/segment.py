"""The open segment: made whole by h5py, then filled in place by plain writes."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from common.errors import BadInput
from device_servers.services.archive.layout import (
    CHANNEL,
    LAYOUT,
    NAME_BYTES,
    SPOT_COLUMNS,
    TEXT,
    VALUE,
    Content,
    Floats,
    Limits,
    Rows,
)

_COMMITTED = ("values", "spots", "channels", "texts")


class OpenSegment:
    """Appends rows; `commit` makes them valid. One process, one thread writes.

    Raises OSError (disk full); rows of a failed append or commit are not valid, and it may be tried
    again.
    """

    def __init__(self, path: Path, opened: float, limits: Limits) -> None:
        self.path = path
        self.opened = opened
        self.limits = limits
        self._offsets = _make(path, opened, limits)
        self._file = os.open(path, os.O_WRONLY)
        self._counts = dict.fromkeys(_COMMITTED, 0)

    def add_channels(self, channels: Rows) -> None:
        """Append channels (dtype CHANNEL). Raises BadInput when there is no room."""
        if self._counts["channels"] + len(channels) > self.limits.channels:
            raise BadInput(f"archive: more than {self.limits.channels} channels; raise the limit of channels")
        self._append("channels", channels)

    def append(self, values: Rows) -> None:
        """Append rows of dtype VALUE; `room_for` says whether they fit."""
        self._append("values", values)

    def append_spots(self, spots: Floats) -> None:
        """Append rows of shape (n, 10); `room_for` says whether they fit."""
        self._append("spots", spots)

    def append_texts(self, texts: Rows) -> None:
        """Append rows of dtype TEXT; `room_for` says whether they fit."""
        self._append("texts", texts)

    def room_for(self, values: int = 0, spots: int = 0, texts: int = 0) -> bool:
        """Whether so many rows still fit."""
        most, have = self.limits, self._counts
        return (
            have["values"] + values <= most.values
            and have["spots"] + spots <= most.spots
            and have["texts"] + texts <= most.texts
        )

    def commit(self) -> None:
        """Make everything appended valid, and durable: the rows reach the disk before their count."""
        os.fdatasync(self._file)
        counts = np.array([self._counts[name] for name in _COMMITTED], "<i8")
        _write(self._file, counts.tobytes(), self._offsets["committed"])

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def __enter__(self) -> "OpenSegment":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, table: str, rows: Rows | Floats) -> None:
        plain = np.ascontiguousarray(rows)
        if len(plain):
            size = plain.nbytes // len(plain)
            _write(self._file, plain.tobytes(), self._offsets[table] + self._counts[table] * size)
            self._counts[table] += len(plain)


def load_open(path: Path) -> Content:
    """What is valid in an open segment, also while it is written; views of the file, not copies.

    Raises OSError if it is no such file.
    """
    with h5py.File(path, "r", locking=False) as file:
        _check(file, path)
        counts = dict(zip(_COMMITTED, (int(n) for n in file["committed"][:]), strict=True))
        opened = float(file.attrs["opened"])
        tables = {name: (file[name].id.get_offset(), file[name].dtype) for name in _COMMITTED}
    shapes = {name: (counts[name],) for name in _COMMITTED} | {"spots": (counts["spots"], len(SPOT_COLUMNS))}
    views = {name: _view(path, *tables[name], shapes[name]) for name in _COMMITTED}
    return Content(opened, **views)


def _view(path: Path, offset: int, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> Any:
    if not shape[0]:
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))


def encode_name(name: str) -> bytes:
    """A channel name as stored. Raises BadInput if it is too long."""
    raw = name.encode()
    if not 0 < len(raw) <= NAME_BYTES:
        raise BadInput(f"channel name of {len(raw)} B: allowed are 1 to {NAME_BYTES} B")
    return raw


def _check(file: h5py.File, path: Path) -> None:
    if file.attrs.get("layout") != LAYOUT or "committed" not in file:
        raise OSError(f"{path.name} is no open archive segment of layout {LAYOUT}")


def _make(path: Path, opened: float, limits: Limits) -> dict[str, int]:
    """Make the file under another name, complete, then give it its own; offsets of its tables."""
    unfinished = path.with_name(f".{path.name}.new")
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        "committed": ((len(_COMMITTED),), np.dtype("<i8")),
        "channels": ((limits.channels,), CHANNEL),
        "values": ((limits.values,), VALUE),
        "spots": ((limits.spots, len(SPOT_COLUMNS)), np.dtype("<f8")),
        "texts": ((limits.texts,), TEXT),
    }
    try:
        with h5py.File(unfinished, "w", libver="earliest", locking=False) as file:
            file.attrs["layout"] = LAYOUT
            file.attrs["opened"] = opened
            file.attrs["closed"] = False
            file.attrs["spot_columns"] = list(SPOT_COLUMNS)
            offsets = {name: _table(file, name, shape, dtype) for name, (shape, dtype) in shapes.items()}
    except RuntimeError as why:  # what h5py makes of a full disk now and then
        raise OSError(f"{path.name} cannot be made: {why}") from why
    unfinished.replace(path)
    return offsets


def _table(file: h5py.File, name: str, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> int:
    """A contiguous dataset whose place in the file is fixed now; nothing is written, the file is sparse."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, properties)
    offset = made.get_offset()
    if offset is None:
        raise OSError(f"no place in the file for {name}")
    return int(offset)


def _write(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
