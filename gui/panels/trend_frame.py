"""The trend panel's window: its parts, the range of time, and when a picture is drawn."""

import time
from collections.abc import Callable

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QLabel, QSplitter, QVBoxLayout, QWidget

from common.text import _
from gui.panels.alarm_table import table
from gui.panels.panel import Panel
from gui.panels.tools import Tools
from gui.panels.trend_chart import TrendChart
from gui.panels.trend_data import TrendData
from gui.panels.trend_parts import Picker, RowsOfTrend
from gui.services import Facility
from gui.viewmodels.pace import Pace
from gui.viewmodels.trend import SPANS, Trend

FRAME_MS = 100
SETTLE_MS = 200
"""A person who zooms has come to rest: the archive is asked."""
AGAIN_MS = 2000
"""What only the archive has, and what live samples no longer reach back to, is asked for again."""


class TrendFrame(Panel):
    """Layout, range and pictures; what people do there is in TrendPanel."""

    NEWS_MS = 15000

    def __init__(self, facility: Facility, clock: Callable[[], float] = time.time) -> None:
        super().__init__(f"{_('Trends')} {facility.site}", 1500, 900)
        self.trend, self._clock = Trend(), clock
        self.data, self.picker, self.chart = TrendData(facility, self), Picker(), TrendChart()
        self.data.told.connect(self._say)
        self.data.news.connect(self._news)
        self.data.names_came.connect(lambda: self.picker.offer(self.data.names()))
        self.chart.ranged.connect(self._ranged)
        self.chart.pointed.connect(self.point)
        self.model = RowsOfTrend(
            lambda: self.trend.rows, self.data.newest, lambda row: self.data.at(row, self.chart.moment)
        )
        self.model.toggled.connect(self._others)
        self.table = table(self.model, (64, 330, 110, 190, 60), _("Attributes of this trend"))
        self._pace = Pace()
        self._old, self.drawing = True, True
        self.ticks = self.pictures = 0
        self._settle = self._timer_of(self._ask, once=True)
        self._lay_out()
        self._again = self._timer_of(self._ask, AGAIN_MS)
        self._timer = self._timer_of(self.tick, FRAME_MS)
        self._ending((self.data.close,))

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        self.tools = Tools(self)
        self.spans = self.tools.choice(_("Range"), list(SPANS), self._span)
        self.follow = self.tools.switch(_("Follow"), "Ctrl+Home", self._follow)
        self.follow.setChecked(True)
        column.addWidget(self.tools)
        right = QSplitter(Qt.Vertical)
        for part in (self.chart, self.table):
            right.addWidget(part)
        right.setSizes([620, 220])
        split = QSplitter(Qt.Horizontal)
        for part in (self.picker, right):
            split.addWidget(part)
        split.setSizes([330, 1170])
        column.addWidget(split, 1)
        self._hint = QLabel(_("Choose attributes on the left: Return adds what is found."))
        self._hint.setObjectName("caption")
        column.addWidget(self._hint)
        self.setCentralWidget(page)
        self.picker.text.setFocus()

    def point(self, moment: float) -> None:
        """Put the cursor at a moment."""
        self.chart.point(moment)
        self._hint.setText(self.chart.cursor_text(self.trend.rows))
        self.model.touch()

    # --- Range of time

    def _span(self, text: str) -> None:
        self.trend.span = SPANS[text]
        self._moved()

    def _follow(self, on: bool) -> None:
        self.trend.end, self.trend.follow = self._clock(), on
        self._moved()

    def _ranged(self, start: float, end: float) -> None:
        self.trend.show(start, end, self._clock())
        self._moved()

    def _moved(self) -> None:
        self.follow.blockSignals(True)
        self.follow.setChecked(self.trend.follow)
        self.follow.blockSignals(False)
        named = (text for text, seconds in SPANS.items() if seconds == self.trend.span)
        self.spans.setCurrentIndex(self.spans.findText(next(named, "-")))
        self._old = True
        self._settle.start(SETTLE_MS)

    # --- Pictures

    def tick(self) -> None:
        """Ten times a second: new numbers; a new picture when it would differ by a pixel."""
        self.ticks += 1
        self.data.take()
        self.model.touch()
        moved = self.trend.span / self.chart.columns() if self.trend.follow else None
        if self.drawing and self._pace.due(time.monotonic(), time.thread_time(), moved, forced=self._old):
            self._old = False
            self.pictures += 1
            self.draw()

    def draw(self) -> None:
        """Draw the curves."""
        span, columns = self.trend.range(self._clock()), self.chart.columns()
        if len(self.data.traces.chosen) == len(self.trend.rows):
            self.chart.draw(self.trend, lambda place: self.data.picture(place, span, columns))
        self.chart.show_range(*span)

    def _others(self) -> None:
        """The rows are others."""
        self.data.choose(self.trend.rows, self._clock())
        self.model.renew()
        self.chart.lay_out(self.trend)
        self._moved()

    def _news(self) -> None:
        """An answer has come: of the archive, or units that make other lanes."""
        if [lane.title for lane in self.chart.lanes] != self.trend.lanes():
            self.chart.lay_out(self.trend)
        self._old = True

    def _ask(self) -> None:
        now = self._clock()
        self.data.ask(self.trend.rows, self.trend.range(now), self.chart.columns(), now)

    def _picked(self) -> list[int]:
        picked = self.table.selectionModel()
        return [] if picked is None else sorted({index.row() for index in picked.selectedRows()})
