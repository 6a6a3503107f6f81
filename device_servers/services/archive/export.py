"""A range of the archive as one HDF5 file for people and other programs.

/                       layout, start, end (s since the epoch)
/attributes/DEVICE/ATTRIBUTE/time, value     f8; the first sample may stand before `start`: it is
                                             the value that held when the range began
/spots                  rows of 10, the columns of its attribute `columns`
/texts                  (time, name, text, known) in order of time, begun by those that held then
"""

from pathlib import Path

import h5py

from common.errors import BadInput
from device_servers.services.archive.closed import settle
from device_servers.services.archive.layout import EXPORT_LAYOUT, SPOT_COLUMNS
from device_servers.services.archive.protocols import ArchiveReader, Extract, Series


def export(reader: ArchiveReader, start: float, end: float, path: Path) -> Extract:
    """Write what the archive holds between two times; the name appears when the file is whole.

    Raises BadInput (range, no archive, no folder to write to), OSError.
    """
    if not path.parent.is_dir():
        raise BadInput(f"{path.parent} is no folder; make it first")
    found = reader.extract(start, end)
    unfinished = path.with_name(f".{path.name}.new")
    try:
        with h5py.File(unfinished, "w", libver="earliest", locking=False) as file:
            file.attrs.update({"layout": EXPORT_LAYOUT, "start": start, "end": end})
            attributes = file.create_group("attributes")
            for name, series in found.series.items():
                _write_series(attributes.create_group(name), series)
            file["spots"] = found.spots
            file["spots"].attrs["columns"] = list(SPOT_COLUMNS)
            file["texts"] = found.texts
        settle(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return found


def _write_series(group: h5py.Group, series: Series) -> None:
    times, values = list(series.times), list(series.values)
    if series.before is not None:
        times, values = [series.before[0], *times], [series.before[1], *values]
    group["time"], group["value"] = times, values
    group["time"].attrs["unit"] = "s since 1970-01-01T00:00:00Z"
