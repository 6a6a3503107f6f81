"""Closed segments: written once, sorted by channel, and the manifest that lists them."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from common.files import read_json, write_json
from device_servers.services.archive.layout import (
    CLOSED_CHANNEL,
    CLOSED_PREFIX,
    LAYOUT,
    MANIFEST,
    OPEN_PREFIX,
    SPOT_COLUMNS,
    Content,
)

CHUNK = 16_384


@dataclass(frozen=True)
class Listed:
    """One line of the manifest. `start` and `end` span everything in the segment."""

    file: str
    opened: float
    start: float
    end: float
    values: int
    spots: int
    channels: int
    texts: int

    @property
    def open_name(self) -> str:
        """The name it had while it was open."""
        return OPEN_PREFIX + self.file.removeprefix(CLOSED_PREFIX)


def write_closed(path: Path, content: Content) -> Listed:
    """Write a closed segment; the name appears when the file is whole. Raises OSError."""
    order = np.lexsort((content.values["time"], content.values["channel"]))
    values = content.values[order]
    numbers = np.arange(len(content.channels) + 1)
    bounds = np.searchsorted(values["channel"], numbers)
    channels = np.zeros(len(content.channels), CLOSED_CHANNEL)
    for name in ("name", "before_time", "before_value"):
        channels[name] = content.channels[name]
    channels["first"], channels["count"] = bounds[:-1], np.diff(bounds)
    spots = content.spots[np.argsort(content.spots[:, 0], kind="stable")]
    texts = content.texts[np.argsort(content.texts["time"], kind="stable")]
    start, end = content.span()
    unfinished = path.with_name(f".{path.name}.new")
    with h5py.File(unfinished, "w", libver="earliest", locking=False) as file:
        file.attrs.update({"layout": LAYOUT, "opened": content.opened, "closed": True})
        file.attrs.update({"start": start, "end": end, "spot_columns": list(SPOT_COLUMNS)})
        file["channels"] = channels
        squeeze = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        for name, table in (("values", values), ("spots", spots), ("texts", texts)):
            if len(table):
                chunk = (min(CHUNK, len(table)), *table.shape[1:])
                file.create_dataset(name, data=table, chunks=chunk, **squeeze)
            else:
                file[name] = table
    settle(unfinished, path)
    sizes = (len(values), len(spots), len(channels), len(texts))
    return Listed(path.name, content.opened, start, end, *sizes)


def settle(unfinished: Path, path: Path) -> None:
    """Give a complete file its name, once its content is on the disk."""
    _sync(unfinished)
    unfinished.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def check_closed(file: h5py.File, path: Path) -> None:
    """Raise OSError unless a file is a closed segment."""
    if file.attrs.get("layout") != LAYOUT or not file.attrs.get("closed", False):
        raise OSError(f"{path.name} is no closed archive segment of layout {LAYOUT}")


def read_manifest(folder: Path) -> list[Listed]:
    """The closed segments in order of time; empty without a manifest. Raises OSError or ValueError."""
    path = folder / MANIFEST
    if not path.exists():
        return []
    return [Listed(**entry) for entry in read_json(path)["segments"]]


def write_manifest(folder: Path, segments: Sequence[Listed]) -> None:
    """Replace the manifest."""
    ordered = sorted(segments, key=lambda listed: (listed.start, listed.file))
    write_json(folder / MANIFEST, {"layout": LAYOUT, "segments": [asdict(listed) for listed in ordered]})


def list_again(folder: Path) -> list[Listed]:
    """The closed segments as the files themselves say, without the manifest."""
    found = []
    for path in sorted(folder.glob(f"{CLOSED_PREFIX}*.h5")):
        with h5py.File(path, "r", locking=False) as file:
            check_closed(file, path)
            sizes = [len(file[name]) for name in ("values", "spots", "channels", "texts")]
            opened, start, end = (float(file.attrs[name]) for name in ("opened", "start", "end"))
        found.append(Listed(path.name, opened, start, end, *sizes))
    return found
