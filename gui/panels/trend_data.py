"""Where a trend's values come from: live crates, and the archive for what was before."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import tango
from PyQt5.QtCore import QObject, pyqtSignal

from common.errors import LinkLost, PtcsError
from gui.blocks import BlockFeed
from gui.services import Facility, Service
from gui.viewmodels.pictures import Past, Picture, at, past, picture
from gui.viewmodels.traces import Traces
from gui.viewmodels.trend import Row
from gui.work import Worker

AHEAD = 0.25
"""This part of the range is asked for on both sides as well, so that panning has something to show."""
MOST_POINTS = 20_000


class Asked:
    """Questions to the archive and to devices, for a worker's thread: each may take its time."""

    def __init__(self, facility: Facility) -> None:
        self._facility = facility
        self._archive: Service | None = None

    def names(self) -> list[str]:
        """What is archived."""
        return list(self._service().ask("Names", "*"))

    def answer(self, name: str, span: tuple[float, float], points: int) -> Past:
        """What the archive has of a range. Raises Refused, LinkLost."""
        wish = {"attribute": name, "start": span[0], "end": span[1], "points": points}
        try:
            return past(self._service().ask("Query", wish))
        except (KeyError, TypeError, json.JSONDecodeError) as why:
            raise LinkLost(f"the archive answers what is no answer ({why})") from why

    def shapes(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Unit and format of attributes; those whose device does not answer are left out."""
        by_device: dict[str, list[str]] = {}
        for name in names:
            device, _slash, attribute = name.rpartition("/")
            by_device.setdefault(device, []).append(attribute)
        found: dict[str, tuple[str, str]] = {}
        for device, attributes in by_device.items():
            try:
                for shape in self._facility.proxy(device).get_attribute_config(attributes):
                    unit = "" if shape.unit in ("", "1", "No unit") else str(shape.unit)
                    found[f"{device}/{shape.name}"] = unit, str(shape.format)
            except tango.DevFailed:
                continue
        return found

    def _service(self) -> Service:
        if self._archive is None:
            self._archive = self._facility.service("Archiver")
        return self._archive


class TrendData(QObject):
    """Values of the chosen attributes. Signals come in the GUI's thread."""

    told = pyqtSignal(str)
    news = pyqtSignal()
    names_came = pyqtSignal()

    def __init__(self, facility: Facility, parent: QObject) -> None:
        super().__init__(parent)
        self.traces = Traces()
        self._ask_for = Asked(facility)
        self._feed = BlockFeed(facility.crates, facility.proxy)
        self._feed.start()
        self._worker = Worker(self)
        self._past: dict[str, Past] = {}
        self._asked: set[str] = set()
        self._archived: list[str] = []
        self._live = 0
        self._worker.do(self._ask_for.names, self._names_are, self._failed)

    def names(self) -> list[str]:
        """Every attribute that can be chosen, in order."""
        return sorted({*self._archived, *self.traces.names()})

    def take(self) -> None:
        """Take over what was heard since the last picture."""
        for block in self._feed.take():
            self.traces.take(block.crate, block.names, block.triples)
        if (count := self.traces.channels()) != self._live:
            self._live = count
            self.names_came.emit()

    def missing(self) -> list[str]:
        """Crates that do not answer."""
        return self._feed.missing()

    def choose(self, rows: Sequence[Row], now: float) -> None:
        """Follow these attributes, and find out their units."""
        self.traces.choose([row.name for row in rows], now)
        names = {row.name for row in rows}
        self._past = {name: known for name, known in self._past.items() if name in names}
        if fresh := [row.name for row in rows if not row.known]:
            self._worker.do(
                lambda: self._ask_for.shapes(fresh), lambda found: self._shaped(rows, found), self._failed
            )

    def ask(self, rows: Sequence[Row], span: tuple[float, float], columns: int, now: float) -> None:
        """Ask the archive for what a picture of this range lacks."""
        start, end = span[0], min(span[1], now)
        for place, row in enumerate(rows):
            stop = min(end, self.traces.since(place))
            if not row.shown or row.name in self._asked or start >= stop:
                continue
            known = self._past.get(row.name)
            if known is not None and known.fits(start, stop, columns):
                continue
            margin = AHEAD * (end - start)
            points = min(max(int(columns * (1 + 2 * AHEAD)), 2), MOST_POINTS)
            self._query(row.name, (start - margin, min(end + margin, now)), points)

    def picture(self, place: int, span: tuple[float, float], columns: int) -> Picture:
        """The curve of a row."""
        name = self.traces.chosen[place]
        since = self.traces.since(place)
        return picture(self._past.get(name), self.traces.samples(place), since, span, columns)

    def newest(self, place: int) -> tuple[float, float]:
        """Time and value of a row's newest sample; NaN: unknown."""
        return self.traces.newest(place) if place < len(self.traces.chosen) else (math.nan, math.nan)

    def at(self, place: int, moment: float) -> tuple[float, float]:
        """Lowest and highest value of a row at a moment."""
        if place >= len(self.traces.chosen) or not math.isfinite(moment):
            return math.nan, math.nan
        name = self.traces.chosen[place]
        return at(self._past.get(name), self.traces.samples(place), self.traces.since(place), moment)

    def fetch(
        self, rows: Sequence[Row], span: tuple[float, float], points: int, then: Callable[[list[Past]], None]
    ) -> None:
        """Have the archive answer a range of every row, for a file."""

        def work() -> list[Past]:
            return [self._ask_for.answer(row.name, span, points) for row in rows]

        self._worker.do(work, then, self._failed)

    def close(self) -> None:
        """End the subscriptions."""
        self._worker.close()
        self._feed.close()

    # --- In the GUI's thread

    def _query(self, name: str, span: tuple[float, float], points: int) -> None:
        def came(answer: Past) -> None:
            self._asked.discard(name)
            if name in self.traces.chosen:
                self._past[name] = answer
                self.news.emit()

        def failed(why: PtcsError) -> None:
            self._asked.discard(name)
            self._failed(why)

        self._asked.add(name)
        self._worker.do(lambda: self._ask_for.answer(name, span, points), came, failed)

    def _names_are(self, names: list[str]) -> None:
        self._archived = names
        self.names_came.emit()

    def _shaped(self, rows: Sequence[Row], found: dict[str, Any]) -> None:
        for row in rows:
            if row.name in found:
                row.unit, row.form = found[row.name]
                row.known = True
        self.news.emit()

    def _failed(self, why: PtcsError) -> None:
        self.told.emit(str(why))
