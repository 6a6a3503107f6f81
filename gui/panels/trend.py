"""The trend panel: any attributes, live ten times a second, with the archive behind them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt5.QtCore import Qt, QTimer
from PyQt5.QtWidgets import (
    QFileDialog,
    QInputDialog,
    QLabel,
    QMainWindow,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from common.errors import PtcsError
from common.text import _
from gui import theme
from gui.panels.alarm_table import TABLE_STYLE, table
from gui.panels.tools import TOOL_STYLE, Tools
from gui.panels.trend_chart import TrendChart
from gui.panels.trend_data import TrendData
from gui.panels.trend_parts import Picker, RowsOfTrend
from gui.services import Facility
from gui.viewmodels.pace import Pace
from gui.viewmodels.pictures import Past
from gui.viewmodels.trend import SPANS, Sets, Trend, write_csv

FRAME_MS = 100
SETTLE_MS = 200
"""A person who zooms has come to rest: the archive is asked."""
AGAIN_MS = 2000
"""What only the archive has, and what live samples no longer reach back to, is asked for again."""
CSV_POINTS = 20_000


class TrendPanel(QMainWindow):
    """Trends of a facility. Reading needs no log-in."""

    def __init__(self, facility: Facility, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.setWindowTitle(f"{_('Trends')} {facility.site}".strip())
        self.resize(1500, 900)
        self.setStyleSheet(theme.STYLE + TABLE_STYLE + TOOL_STYLE)
        self.trend, self.sets, self._clock = Trend(), Sets(facility.sets), clock
        self.data = TrendData(facility, self)
        self.data.told.connect(self._say)
        self.data.news.connect(self._news)
        self.data.names_came.connect(lambda: self.picker.offer(self.data.names()))
        self.picker, self.chart = Picker(), TrendChart()
        self.picker.wanted.connect(self.add)
        self.chart.ranged.connect(self._ranged)
        self.chart.pointed.connect(self.point)
        self.model = RowsOfTrend(
            lambda: self.trend.rows, self.data.newest, lambda row: self.data.at(row, self.chart.moment)
        )
        self.model.toggled.connect(self._others)
        self.table = table(self.model, (64, 330, 110, 190, 60), _("Attributes of this trend"))
        self._pace = Pace()
        self._old = True
        self._timer, self._settle, self._again = QTimer(self), QTimer(self), QTimer(self)
        self._lay_out()
        self._settle.setSingleShot(True)
        self._again.timeout.connect(self._ask)
        self._again.start(AGAIN_MS)
        self._settle.timeout.connect(self._ask)
        self._timer.timeout.connect(self.tick)
        self._timer.start(FRAME_MS)

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        self.tools = self._tools()
        column.addWidget(self.tools)
        right = QSplitter(Qt.Vertical)
        right.addWidget(self.chart)
        right.addWidget(self.table)
        right.setSizes([620, 220])
        split = QSplitter(Qt.Horizontal)
        split.addWidget(self.picker)
        split.addWidget(right)
        split.setSizes([330, 1170])
        column.addWidget(split, 1)
        self._hint = QLabel(_("Choose attributes on the left: Return adds what is found."))
        self._hint.setObjectName("caption")
        column.addWidget(self._hint)
        self.setCentralWidget(page)
        self.picker.text.setFocus()

    def _tools(self) -> Tools:
        tools = Tools(self)
        self.spans = tools.choice(_("Range"), list(SPANS), self._span)
        self.spans.setCurrentText("10 min")
        self.follow = tools.switch(_("Follow"), "Ctrl+Home", self._follow)
        self.follow.setChecked(True)
        tools.act("◀", "Ctrl+Left", lambda: self._move(-0.5), _("Back"))
        tools.act("▶", "Ctrl+Right", lambda: self._move(0.5), _("Forward"))
        tools.act("＋", "Ctrl+Up", lambda: self._zoom(0.5), _("Zoom in"))
        tools.act("－", "Ctrl+Down", lambda: self._zoom(2.0), _("Zoom out"))
        tools.act(_("Fit"), "Ctrl+0", self._fit)
        tools.act(_("Log scale"), "Ctrl+G", self.toggle_log)
        tools.act(_("Own lane"), "Ctrl+L", self.split)
        tools.act(_("Remove"), "Ctrl+Del", self.remove)
        tools.act(_("CSV"), "Ctrl+E", self._export)
        self.kept = tools.choice(_("Set"), ["", *self.sets.names()], self.open_set)
        tools.act(_("Save"), "Ctrl+S", self._save)
        tools.act("", "Ctrl+F", self.picker.text.setFocus)
        tools.act("", "Alt+Left", lambda: self._step(-1))
        tools.act("", "Alt+Right", lambda: self._step(1))
        return tools

    # --- Acts

    def add(self, names: list[str]) -> None:
        """Show these attributes too."""
        try:
            self.trend.add(names)
        except PtcsError as why:
            self._say(str(why))
        self._others()

    def remove(self) -> None:
        """Show the chosen rows no more."""
        self.trend.remove(self._picked())
        self._others()

    def split(self) -> None:
        """A lane of its own for each chosen row, or back into that of its unit."""
        for place in self._picked():
            self.trend.split(place)
        self._others()

    def toggle_log(self) -> None:
        """A logarithmic axis for the lanes of the chosen rows (all without a choice), or no longer."""
        rows = [self.trend.rows[place] for place in self._picked()] or self.trend.rows
        self.trend.log ^= {self.trend.lane(row) for row in rows}
        self._others()

    def point(self, moment: float) -> None:
        """Put the cursor at a moment."""
        self.chart.point(moment)
        self._hint.setText(self.chart.cursor_text(self.trend.rows))
        self.model.touch()

    def open_set(self, name: str) -> None:
        """Show a saved set."""
        if not name:
            return
        try:
            self.trend = self.sets.load(name)
        except PtcsError as why:
            self._say(str(why))
            return
        self.follow.setChecked(True)
        self._others()

    def save_set(self, name: str) -> None:
        """Keep what is shown under a name."""
        try:
            self.sets.save(name, self.trend)
        except PtcsError as why:
            self._say(str(why))
            return
        if self.kept.findText(name) < 0:
            self.kept.addItem(name)
        self._say(_("set {name} is saved").format(name=name))

    def export(self, path: Path) -> None:
        """Write the range that is shown to a CSV file."""
        rows = [row for row in self.trend.rows if row.shown]

        def came(answers: list[Past]) -> None:
            try:
                count = write_csv(path, rows, answers)
            except PtcsError as why:
                self._say(str(why))
                return
            self._say(_("{count} lines in {path}").format(count=count, path=path))

        self.data.fetch(rows, self.trend.range(self._clock()), CSV_POINTS, came)

    def _export(self) -> None:
        path, _kind = QFileDialog.getSaveFileName(self, _("CSV"), "trend.csv", "*.csv")
        if path:
            self.export(Path(path))

    def _save(self) -> None:
        name, good = QInputDialog.getText(self, _("Save"), _("Name of the set"), text=self.kept.currentText())
        if good:
            self.save_set(name.strip())

    # --- Range of time

    def _span(self, text: str) -> None:
        self.trend.span = SPANS.get(text, self.trend.span)
        self._moved()

    def _follow(self, on: bool) -> None:
        self.trend.end, self.trend.follow = self._clock(), on
        self._moved()

    def _move(self, part: float) -> None:
        self.trend.pan(part, self._clock())
        self._moved()

    def _zoom(self, factor: float) -> None:
        self.trend.zoom(factor, self._clock())
        self._moved()

    def _fit(self) -> None:
        self.chart.fit_all()
        self._old = True

    def _ranged(self, start: float, end: float) -> None:
        self.trend.show(start, end, self._clock())
        self._moved()

    def _moved(self) -> None:
        self.follow.blockSignals(True)
        self.follow.setChecked(self.trend.follow)
        self.follow.blockSignals(False)
        self._old = True
        self._settle.start(SETTLE_MS)

    def _step(self, pixels: int) -> None:
        start, end = self.trend.range(self._clock())
        here = self.chart.moment if start <= self.chart.moment <= end else (start + end) / 2.0
        self.point(here + pixels * (end - start) / self.chart.columns())

    # --- Pictures

    def tick(self) -> None:
        """Ten times a second: new numbers; a new picture when it would differ by a pixel."""
        self.data.take()
        self.model.touch()
        moved = self.trend.span / self.chart.columns() if self.trend.follow else None
        if self._pace.due(time.monotonic(), time.thread_time(), moved, forced=self._old):
            self._old = False
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

    def _say(self, text: str) -> None:
        bar = self.statusBar()
        if bar is not None:
            bar.showMessage(text, 15000)

    def closeEvent(self, event: Any) -> None:
        """No more pictures, no more events."""
        for timer in (self._timer, self._settle, self._again):
            timer.stop()
        self.data.close()
        super().closeEvent(event)
