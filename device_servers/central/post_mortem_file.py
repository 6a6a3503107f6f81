"""Writes a post-mortem as one HDF5 file (layout: docs/reference/post-mortem.md)."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from device_servers.drivers.protocols import RingSpan

FORMAT = 1
SUFFIX = ".h5"
TICK_S = 8e-9


@dataclass(frozen=True)
class Header:
    """What a file says of itself. trips: the trip that it is about, and those that followed in its span."""

    site: str
    factor: float
    trips: Sequence[Mapping[str, Any]]

    @property
    def trip(self) -> Mapping[str, Any]:
        """The trip that the file is about."""
        return self.trips[0]


def file_name(trip: Mapping[str, Any]) -> str:
    """TIME-TICK-CAUSE.h5: sorted by time, and one name a trip."""
    when = datetime.fromtimestamp(trip["wall_ns"] / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
    cause = "".join(c if c.isalnum() or c in "._" else "_" for c in str(trip["cause"]))[:60]
    return f"{when}-{trip['tick']}-{cause}{SUFFIX}"


def tick_of(name: str) -> int | None:
    """The tick in a name made by `file_name`; None for another file."""
    parts = name.removesuffix(SUFFIX).split("-", 2)
    return int(parts[1]) if name.endswith(SUFFIX) and len(parts) == 3 and parts[1].isdigit() else None


def write(path: Path, header: Header, span: RingSpan) -> None:
    """Write under a temporary name and rename: a reader sees a whole file or none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with h5py.File(name, "w", libver="earliest") as file:
            _fill(file, header, span)
        with Path(name).open("rb") as written:
            os.fsync(written.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _fill(file: h5py.File, header: Header, span: RingSpan) -> None:
    trip = header.trip
    file.attrs["format"] = FORMAT
    file.attrs["site"] = header.site
    file.attrs["cause"] = str(trip["cause"])
    file.attrs["trip_tick"] = int(trip["tick"])
    file.attrs["trip_wall_ns"] = int(trip["wall_ns"])
    file.attrs["factor"] = header.factor
    file.attrs["begin_tick"] = span.begin
    file.attrs["end_tick"] = span.end
    file.attrs["complete"] = span.since <= span.begin
    trips = file.create_group("trips")
    trips["tick"] = np.array([one["tick"] for one in header.trips], dtype="<i8")
    off = [-1 if one["beam_off_tick"] is None else one["beam_off_tick"] for one in header.trips]
    trips["beam_off_tick"] = np.array(off, dtype="<i8")
    trips["cause"] = _texts([str(one["cause"]) for one in header.trips])
    for kind, table in span.changes.items():
        group = file.create_group(f"{kind}s")
        group["name"] = _texts(span.names[kind])
        group["initial"] = table["initial"]
        changes = group.create_group("changes")
        changes["tick"] = table["tick"]
        changes["time"] = _seconds(table["tick"], header)
        changes["index"] = table["index"]
        changes["value"] = table["value"]
    beam = file.create_group("beam")
    beam["time"] = _seconds(span.samples[:, 0], header)
    for column, (name, unit) in enumerate(span.signals):
        values = span.samples[:, column]
        beam.create_dataset(name, data=values.astype("<i8") if name == "tick" else values, compression="gzip")
        beam[name].attrs["unit"] = unit


def _seconds(ticks: NDArray[Any], header: Header) -> NDArray[np.float64]:
    """Wall time from the trip, s: negative before it."""
    passed = (ticks.astype(np.float64) - float(header.trip["tick"])) * TICK_S
    return np.asarray(passed / header.factor)


def _texts(names: Sequence[str]) -> NDArray[Any]:
    return np.array([name.encode() for name in names], dtype=h5py.string_dtype("utf-8"))
