"""The last sample of every channel, the last spots and texts: what tells news from repetition.

A subscriber gets the whole picture again whenever it subscribes again; only what is new is written.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device_servers.services.archive.closed import SPOTS_REMEMBERED
from device_servers.services.archive.layout import CHANNEL, SPOT_COLUMNS, TEXT, Content, Floats, Rows
from device_servers.services.archive.segment import encode_name

_KEY = [SPOT_COLUMNS.index(name) for name in ("time", "index", "end_tick")]

SpotKey = tuple[float, float, float]


class Latest:
    """Channel numbers by name, with the time and value of the last sample (time 0: none yet)."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._rows: Rows = np.empty(0, CHANNEL)
        self._spots: dict[SpotKey, None] = {}
        self._texts: dict[bytes, Rows] = {}

    def missing(self, names: Sequence[str]) -> list[str]:
        """The names without a number, each once."""
        return [name for name in dict.fromkeys(names) if name not in self._numbers]

    def rows_for(self, names: Sequence[str]) -> Rows:
        """Rows for new channels, without a sample. Raises BadInput for a name that is too long."""
        rows = np.zeros(len(names), CHANNEL)
        rows["name"] = [encode_name(name) for name in names]
        return rows

    def add(self, names: Sequence[str]) -> None:
        """Give numbers to new names."""
        rows = self.rows_for(names)
        self._numbers.update({name: len(self._rows) + i for i, name in enumerate(names)})
        self._rows = np.concatenate([self._rows, rows])

    def numbers(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Numbers of known names."""
        return np.array([self._numbers[name] for name in names], np.int32)

    def rows(self) -> Rows:
        """Every channel with its last sample (dtype CHANNEL), by number."""
        return self._rows.copy()

    def news(self, rows: Rows) -> NDArray[np.bool_]:
        """Which samples (dtype VALUE) have a time and differ from the last one of their channel."""
        last = self._rows[rows["channel"]]
        same_value = (rows["value"] == last["before_value"]) | (
            np.isnan(rows["value"]) & np.isnan(last["before_value"])
        )
        same = (rows["time"] == last["before_time"]) & same_value
        return np.isfinite(rows["time"]) & (rows["time"] > 0) & ~same

    def note(self, rows: Rows) -> None:
        """Remember samples as written; the last of each channel in a batch counts."""
        self._rows["before_time"][rows["channel"]] = rows["time"]
        self._rows["before_value"][rows["channel"]] = rows["value"]

    def fresh_spots(self, spots: Floats) -> Floats:
        """The spots that have a time and were not written yet."""
        keep = [_key(spot) not in self._spots and 0 < spot[0] < np.inf for spot in spots]
        return spots[np.array(keep, bool)]

    def note_spots(self, spots: Floats) -> None:
        """Remember spots as written."""
        self._spots.update(dict.fromkeys(_key(spot) for spot in spots))
        for key in list(self._spots)[: max(0, len(self._spots) - SPOTS_REMEMBERED)]:
            del self._spots[key]

    def texts(self) -> Rows:
        """The last text of every name (dtype TEXT)."""
        return np.concatenate([np.empty(0, TEXT), *self._texts.values()])

    def fresh_texts(self, rows: Rows) -> Rows:
        """The texts (dtype TEXT) that differ from the one before them of their name."""
        last = dict(self._texts)
        keep = []
        for i in range(len(rows)):
            row = rows[i : i + 1]
            name = bytes(row["name"][0])
            before = last.get(name)
            same = before is not None and (before[["text", "known"]] == row[["text", "known"]]).all()
            keep.append(not same and 0 < row["time"][0] < np.inf)
            if keep[-1]:
                last[name] = row
        return rows[np.array(keep, bool)]

    def note_texts(self, rows: Rows) -> None:
        """Remember texts as written."""
        self._texts.update({bytes(rows["name"][i]): rows[i : i + 1].copy() for i in range(len(rows))})

    def take_up(self, content: Content) -> None:
        """Go on from where a closed file ends: its channels and their last samples, its spots, its texts."""
        self.add(self.missing(content.names))
        self._rows[self.numbers(content.names)] = content.channels
        self.note_spots(content.spots)
        self.note_texts(content.texts)


def _key(spot: Floats) -> SpotKey:
    time, index, end_tick = (float(spot[column]) for column in _KEY)
    return time, index, end_tick
