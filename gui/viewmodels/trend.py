"""What a trend shows: attributes, lanes, marks, the range of time, sets kept in files. No Qt, no Tango."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import BadInput, Refused
from common.files import read_json, write_atomic, write_json
from common.text import _
from gui.viewmodels.pictures import Past

COLOURS = ("#5fb0ff", "#f0b429", "#4cc38a", "#ff8a65", "#c58fff", "#4dd0e1", "#f48fb1", "#d4e157")
DASHES: tuple[tuple[int, ...], ...] = ((), (7, 4), (2, 3), (8, 3, 2, 3))
"""Lengths of strokes and gaps: with the colours 32 curves differ."""
SPANS = {"1 min": 60.0, "10 min": 600.0, "1 h": 3600.0, "8 h": 28800.0, "1 d": 86400.0, "7 d": 604800.0}
SHORTEST, LONGEST = 1.0, 10 * 366 * 86400.0
MOST = 400
"""Attributes of one trend."""
MOST_LANES = 8
_NAME = re.compile(r"[\w\- ]{1,60}")


@dataclass
class Row:
    """One attribute of a trend. lane: "" for the one of its unit, else a name of its own.

    known: whether the device has told unit and format.
    """

    name: str
    unit: str = ""
    form: str = "%.6g"
    lane: str = ""
    shown: bool = True
    known: bool = False

    def text(self, value: float) -> str:
        """A value as the device formats it, without its unit; what is not known is said to be so."""
        if math.isnan(value):
            return "?"
        try:
            return (self.form % value).strip()
        except (TypeError, ValueError):
            return f"{value:.6g}"


@dataclass
class Trend:
    """The choice of attributes and the range of time; `follow`: the range ends now and goes on."""

    rows: list[Row] = field(default_factory=list)
    span: float = 600.0
    end: float = 0.0
    follow: bool = True
    log: set[str] = field(default_factory=set)
    """Lanes with a logarithmic axis."""

    def names(self) -> tuple[str, ...]:
        """The attributes, in order."""
        return tuple(row.name for row in self.rows)

    def add(self, names: Iterable[str]) -> list[str]:
        """Add attributes that are not there yet; those added. Raises Refused for more than a trend takes."""
        there = set(self.names())
        fresh = [name for name in dict.fromkeys(names) if name not in there]
        if len(there) + len(fresh) > MOST:
            text = _("a trend takes {most} attributes; choose fewer")
            raise Refused(text.format(most=MOST))
        self.rows += [Row(name) for name in fresh]
        return fresh

    def remove(self, places: Iterable[int]) -> None:
        """Remove rows by their places."""
        gone = set(places)
        self.rows = [row for place, row in enumerate(self.rows) if place not in gone]

    def lanes(self) -> list[str]:
        """Lanes from top to bottom, in order of their first attribute; more than 8 share the last one."""
        return list(dict.fromkeys(self.lane(row) for row in self.rows if row.shown))[:MOST_LANES]

    def lane(self, row: Row) -> str:
        """The lane of an attribute: its own, else that of its unit."""
        return row.lane or row.unit or "1"

    def place(self, row: Row, lanes: Sequence[str]) -> int:
        """Which of the lanes an attribute is drawn in."""
        lane = self.lane(row)
        return lanes.index(lane) if lane in lanes else len(lanes) - 1

    def split(self, place: int) -> None:
        """Give an attribute a lane of its own, or put it back into that of its unit."""
        row = self.rows[place]
        row.lane = "" if row.lane else f"{row.unit or '1'} ({place + 1})"

    def range(self, now: float) -> tuple[float, float]:
        """Start and end of what is shown, s since 1970."""
        end = now if self.follow else self.end
        return end - self.span, end

    def show(self, start: float, end: float, now: float) -> None:
        """Show a range; one that ends now or later is followed."""
        self.span = min(max(end - start, SHORTEST), LONGEST)
        self.follow = end >= now - 0.02 * self.span and start < now
        self.end = end

    def zoom(self, factor: float, now: float) -> None:
        """Show `factor` times as long; followed it goes on ending now, else the middle stays."""
        start, end = self.range(now)
        if self.follow:
            self.span = min(max(self.span * factor, SHORTEST), LONGEST)
            return
        middle, half = (start + end) / 2.0, factor * (end - start) / 2.0
        self.show(middle - half, middle + half, now)

    def pan(self, part: float, now: float) -> None:
        """Move by a part of what is shown; below 0: back."""
        start, end = self.range(now)
        end = min(end + part * (end - start), now)
        self.show(end - self.span, end, now)


def curve_mark(place: int) -> tuple[str, tuple[int, ...]]:
    """Colour and dashes of the curve in a row."""
    return COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]


def fitting(names: Sequence[str], text: str, most: int) -> list[str]:
    """The first names that hold every word of the text, no case."""
    words = text.lower().split()
    found = (name for name in names if all(word in name.lower() for word in words))
    return [name for name, _number in zip(found, range(most), strict=False)]


def as_json(trend: Trend) -> dict[str, Any]:
    """A trend as a saved set holds it."""
    rows = [{"attribute": row.name, "lane": row.lane, "shown": row.shown} for row in trend.rows]
    return {"attributes": rows, "span_s": trend.span, "log": sorted(trend.log)}


def from_json(told: Any) -> Trend:
    """The trend of a saved set. Raises BadInput for something else."""
    try:
        rows = [
            Row(str(row["attribute"]), lane=str(row.get("lane", "")), shown=bool(row.get("shown", True)))
            for row in told["attributes"][:MOST]
        ]
        span = min(max(float(told["span_s"]), SHORTEST), LONGEST)
        return Trend(rows, span, log=set(map(str, told.get("log", ()))))
    except (AttributeError, KeyError, TypeError, ValueError) as why:
        raise BadInput(_("this file is no set of a trend ({why})").format(why=why)) from why


class Sets:
    """Sets of attributes by name, a JSON file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Names of the sets, in order."""
        return sorted(path.stem for path in self.folder.glob("*.json")) if self.folder.is_dir() else []

    def save(self, name: str, trend: Trend) -> None:
        """Keep a trend. Raises Refused for a name that is none, or a disk that does not take it."""
        path = self._path(name)
        try:
            write_json(path, as_json(trend))
        except OSError as why:
            raise Refused(_("{path} cannot be written: {why}").format(path=path, why=why)) from why

    def load(self, name: str) -> Trend:
        """A kept trend. Raises Refused where there is none, BadInput for a file that holds none."""
        path = self._path(name)
        try:
            return from_json(read_json(path))
        except OSError as why:
            raise Refused(_("{path} cannot be read: {why}").format(path=path, why=why)) from why
        except ValueError as why:
            raise BadInput(_("this file is no set of a trend ({why})").format(why=why)) from why

    def remove(self, name: str) -> None:
        """Forget a set."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name != name.strip():
            text = _("name {name!r}: up to 60 letters, digits, spaces, - and _ are allowed")
            raise Refused(text.format(name=name))
        return self.folder / f"{name}.json"


def write_csv(path: Path, rows: Sequence[Row], answers: Sequence[Past]) -> int:
    """Write what the archive answered, a line a sample or bin; how many. Raises Refused (disk)."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(
        ["time", "seconds", "attribute", "unit", "minimum", "mean", "maximum", "width_s", "samples"]
    )
    count = 0
    for row, answer in zip(rows, answers, strict=True):
        columns = (answer.times, answer.low, answer.mean, answer.high, answer.count)
        for moment, low, mean, high, samples in zip(*(part.tolist() for part in columns), strict=True):
            stamp = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
            values = ["" if math.isnan(value) else repr(value) for value in (low, mean, high)]
            lines.writerow([stamp, repr(moment), row.name, row.unit, *values, answer.width, int(samples)])
            count += 1
    try:
        write_atomic(path, out.getvalue().encode())
    except OSError as why:
        raise Refused(_("{path} cannot be written: {why}").format(path=path, why=why)) from why
    return count
