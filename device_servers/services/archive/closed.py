"""Closed files (segments, hours, days): written once, in order of channel name, then time."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.files import sync
from device_servers.services.archive.layout import (
    CHANNEL,
    CLOSED_CHANNEL,
    LAYOUT,
    SPOT_COLUMNS,
    TEXT,
    VALUE,
    Content,
    Floats,
    Rows,
)
from device_servers.services.archive.manifest import Listed

CHUNK = 8_192
SQUEEZE: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
BLOCK = 500_000
"""Rows that are sorted and written at once."""
SPOTS_REMEMBERED = 50_000


class Table:
    """Appends rows to a compressed dataset, in whole chunks."""

    def __init__(self, file: h5py.File, name: str, dtype: "np.dtype[Any]", chunk: int = CHUNK) -> None:
        self._set = file.create_dataset(
            name, shape=(0,), maxshape=(None,), chunks=(chunk,), dtype=dtype, **SQUEEZE
        )
        self._chunk = chunk
        self._rest = np.empty(0, dtype)

    def append(self, rows: Rows) -> None:
        """Append rows."""
        rows = np.concatenate([self._rest, rows])
        whole = len(rows) // self._chunk * self._chunk
        self._put(rows[:whole])
        self._rest = rows[whole:]

    def finish(self) -> None:
        """Write what does not fill a chunk."""
        self._put(self._rest)

    def _put(self, rows: Rows) -> None:
        if len(rows):
            done = len(self._set)
            self._set.resize(done + len(rows), axis=0)
            self._set[done:] = rows


def write_closed(path: Path, content: Content) -> Listed:
    """Write a closed segment; the name appears when the file is whole. Raises OSError."""
    by_name = np.argsort(content.channels["name"], kind="stable")
    place = np.empty(len(by_name), np.int32)
    place[by_name] = np.arange(len(by_name))
    numbers = place[content.values["channel"]]
    order = np.lexsort((content.values["time"], numbers))
    channels = np.zeros(len(by_name), CLOSED_CHANNEL)
    for name in CHANNEL.names or ():
        channels[name] = content.channels[name][by_name]
    _index(channels, numbers, order, content)
    start, end = content.span()
    unfinished = path.with_name(f".{path.name}.new")
    with h5py.File(unfinished, "w", libver="earliest", locking=False) as file:
        values = Table(file, "values", VALUE)
        for low in range(0, len(order), BLOCK):
            some = order[low : low + BLOCK]
            rows = content.values[some]
            rows["channel"] = numbers[some]
            values.append(rows)
        values.finish()
        finish_closed(file, channels, content.spots, content.texts, (content.opened, start, end))
    settle(unfinished, path)
    sizes = (len(order), len(content.spots), len(channels), len(content.texts))
    return Listed(path.name, content.opened, start, end, *sizes)


def _index(channels: Rows, numbers: NDArray[np.int32], order: NDArray[np.intp], content: Content) -> None:
    """Where the rows of each channel stand, and its last sample."""
    channels["count"] = np.bincount(numbers, minlength=len(channels))
    channels["first"] = np.cumsum(channels["count"]) - channels["count"]
    channels["last_time"], channels["last_value"] = channels["before_time"], channels["before_value"]
    some = channels["count"] > 0
    last = content.values[order[(channels["first"] + channels["count"] - 1)[some]]]
    channels["last_time"][some], channels["last_value"][some] = last["time"], last["value"]


def finish_closed(
    file: h5py.File, channels: Rows, spots: Floats, texts: Rows, span: tuple[float, float, float]
) -> None:
    """Everything of a closed file but its values. span: opened, start, end."""
    opened, start, end = span
    file.attrs.update({"layout": LAYOUT, "opened": opened, "closed": True, "by_name": True})
    file.attrs.update({"start": start, "end": end, "spot_columns": list(SPOT_COLUMNS)})
    file["channels"] = channels
    spots = spots[np.argsort(spots[:, 0], kind="stable")]
    texts = texts[np.argsort(texts["time"], kind="stable")]
    for name, table in (("spots", spots), ("texts", texts)):
        if len(table):
            chunk = (min(CHUNK, len(table)), *table.shape[1:])
            file.create_dataset(name, data=table, chunks=chunk, **SQUEEZE)
        else:
            file[name] = table


def settle(unfinished: Path, path: Path) -> None:
    """Give a complete file its name, once its content is on the disk."""
    sync(unfinished)
    unfinished.replace(path)
    sync(path.parent)


def load_closed(path: Path) -> Content:
    """Everything in a closed segment. Raises OSError if it is no such file."""
    with h5py.File(path, "r", locking=False) as file:
        check_closed(file, path)
        return Content(
            opened=float(file.attrs["opened"]),
            channels=file["channels"][:],
            values=file["values"][:],
            spots=file["spots"][:],
            texts=file["texts"][:],
        )


def load_tail(path: Path) -> Content:
    """The last sample of each channel as `before`, the last spots and texts; no values.

    Raises OSError if it is no closed file.
    """
    with h5py.File(path, "r", locking=False) as file:
        check_closed(file, path)
        rows = file["channels"][:]
        channels = np.empty(len(rows), CHANNEL)
        channels["name"] = rows["name"]
        channels["before_time"], channels["before_value"] = rows["last_time"], rows["last_value"]
        texts = file["texts"][:]
        _names, places = np.unique(texts["name"][::-1], return_index=True)
        return Content(
            opened=float(file.attrs["opened"]),
            channels=channels,
            spots=file["spots"][-SPOTS_REMEMBERED:],
            texts=texts[len(texts) - 1 - places] if len(texts) else np.empty(0, TEXT),
        )


def check_closed(file: h5py.File, path: Path) -> None:
    """Raise OSError unless a file is a closed one of this layout."""
    if file.attrs.get("layout") != LAYOUT or not file.attrs.get("closed", False):
        raise OSError(f"{path.name} is no closed archive segment of layout {LAYOUT}")


def describe(path: Path) -> Listed:
    """What the manifest says of a closed file, from the file itself. Raises OSError."""
    with h5py.File(path, "r", locking=False) as file:
        check_closed(file, path)
        sizes = [len(file[name]) for name in ("values", "spots", "channels", "texts")]
        opened, start, end = (float(file.attrs[name]) for name in ("opened", "start", "end"))
    return Listed(path.name, opened, start, end, *sizes)
