"""The trend panel: any attributes, live ten times a second, with the archive behind them."""

import time
from collections.abc import Callable
from pathlib import Path

from PyQt5.QtWidgets import QFileDialog, QInputDialog

from common.errors import PtcsError
from common.text import _
from gui.panels.trend_frame import TrendFrame
from gui.services import Facility
from gui.viewmodels.pictures import Past
from gui.viewmodels.trend import Sets, write_csv

CSV_POINTS = 20_000


class TrendPanel(TrendFrame):
    """Trends of a facility. Reading needs no log-in."""

    def __init__(self, facility: Facility, clock: Callable[[], float] = time.time) -> None:
        super().__init__(facility, clock)
        self.sets = Sets(facility.sets)
        self.picker.wanted.connect(self.add)
        self._fill_tools()

    def _fill_tools(self) -> None:
        tools = self.tools
        tools.act("◀", "Ctrl+Left", lambda: self._move(-0.5), _("Earlier"))
        tools.act("▶", "Ctrl+Right", lambda: self._move(0.5), _("Later"))
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

    def _move(self, part: float) -> None:
        self.trend.pan(part, self._clock())
        self._moved()

    def _zoom(self, factor: float) -> None:
        self.trend.zoom(factor, self._clock())
        self._moved()

    def _fit(self) -> None:
        self.chart.fit_all()
        self._old = True

    def _step(self, pixels: int) -> None:
        (start, end), here = self.trend.range(self._clock()), self.chart.moment
        here = here if start <= here <= end else (start + end) / 2.0
        self.point(here + pixels * (end - start) / self.chart.columns())
