"""The chart of a trend: lanes below each other, one a unit, on one axis of time (pyqtgraph)."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QPointF, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QPen
from PyQt5.QtWidgets import QVBoxLayout, QWidget

from common.text import _
from gui import theme
from gui.viewmodels.pictures import Picture
from gui.viewmodels.traces import Floats
from gui.viewmodels.trend import Row, Trend, curve_mark

AXIS_WIDTH = 96


class Lane:
    """One lane: axes, a cursor, and the curves of its attributes."""

    def __init__(self, plot: Any, title: str, log: bool) -> None:
        self.plot, self.title, self.log = plot, title, log
        self.auto = True
        self.curves: dict[str, tuple[Any, Any]] = {}
        plot.showGrid(x=True, y=True, alpha=0.15)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        left = plot.getAxis("left")
        left.setWidth(AXIS_WIDTH)
        left.setLabel(title)
        left.enableAutoSIPrefix(False)
        left.setLogMode(log)
        plot.vb.disableAutoRange()
        plot.vb.setMouseEnabled(x=True, y=True)
        self.cursor = pg.InfiniteLine(angle=90, pen=pg.mkPen(theme.INK, style=Qt.DashLine))
        self.cursor.setVisible(False)
        plot.addItem(self.cursor)

    def draw(self, name: str, place: int, shown: Picture) -> None:
        """Show the picture of an attribute."""
        line, band = self.curves.get(name) or self._add(name, place)
        with np.errstate(invalid="ignore", divide="ignore"):
            line.setData(*self._scaled(shown.line), connect="finite")
            band.setData(*self._scaled(shown.band), connect="finite")

    def fit(self, shown: Sequence[Picture]) -> None:
        """The y range that holds every curve, unless a person has chosen another."""
        bounds = [pair for picture in shown if (pair := picture.bounds(log=self.log)) is not None]
        if not bounds or not self.auto:
            return
        low, high = min(pair[0] for pair in bounds), max(pair[1] for pair in bounds)
        if self.log:
            low, high = math.log10(low), math.log10(high)
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        was = self.plot.vb.viewRange()[1]
        wanted = (low - margin, high + margin)
        if max(abs(a - b) for a, b in zip(was, wanted, strict=True)) > 0.02 * (wanted[1] - wanted[0]):
            self.plot.vb.setYRange(*wanted, padding=0)

    def _add(self, name: str, place: int) -> tuple[Any, Any]:
        colour, dashes = curve_mark(place)
        pen, faint = QPen(QColor(colour)), QColor(colour)
        pen.setCosmetic(True)
        pen.setWidth(1)
        if dashes:
            pen.setDashPattern([float(part) for part in dashes])
        faint.setAlpha(90)
        band = pg.PlotCurveItem(pen=pg.mkPen(faint), antialias=False)
        line = pg.PlotCurveItem(pen=pen, antialias=False)
        for item in (band, line):
            self.plot.addItem(item, ignoreBounds=True)
        self.curves[name] = line, band
        return line, band

    def _scaled(self, samples: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        times, values = samples
        if self.log:
            return times, np.where(values > 0, np.log10(values), np.nan)
        return times, np.where(np.isfinite(values), values, np.nan)


class TrendChart(QWidget):
    """Lanes with a common axis of time. `ranged(start, end)`: a person has zoomed or moved it."""

    ranged = pyqtSignal(float, float)
    pointed = pyqtSignal(float)

    def __init__(self) -> None:
        super().__init__()
        pg.setConfigOptions(background=theme.PANEL, foreground=theme.FAINT)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._view = pg.GraphicsLayoutWidget()
        self._view.setAccessibleName(_("Trend"))
        self._view.setFocusPolicy(Qt.NoFocus)
        column.addWidget(self._view)
        self.lanes: list[Lane] = []
        self._view.scene().sigMouseMoved.connect(self._moved)
        self.moment = math.nan

    def columns(self) -> int:
        """Pixels of the axis of time."""
        return max(self._view.width() - AXIS_WIDTH - 20, 50)

    def lay_out(self, trend: Trend) -> None:
        """Make the lanes that the trend has."""
        self._view.clear()
        self.lanes = []
        titles = trend.lanes()
        for place, title in enumerate(titles):
            bottom = place == len(titles) - 1
            axis = pg.DateAxisItem(orientation="bottom")
            plot = self._view.addPlot(row=place, col=0, axisItems={"bottom": axis})
            axis.setStyle(showValues=bottom)
            if not bottom:
                axis.setHeight(6)
            lane = Lane(plot, title, title in trend.log)
            if self.lanes:
                plot.setXLink(self.lanes[0].plot)
            plot.vb.sigRangeChangedManually.connect(lambda mouse, lane=lane: self._by_hand(lane, mouse))
            self.lanes.append(lane)
        self.point(self.moment)

    def show_range(self, start: float, end: float) -> None:
        """Show a range of time."""
        if self.lanes:
            self.lanes[0].plot.vb.setXRange(start, end, padding=0)

    def draw(self, trend: Trend, make: Callable[[int], Picture]) -> None:
        """Draw every attribute that is shown; `make` gives the picture of a row."""
        titles = trend.lanes()
        by_lane: list[list[Picture]] = [[] for _lane in self.lanes]
        for place, row in enumerate(trend.rows):
            if row.shown and self.lanes:
                lane, shown = trend.place(row, titles), make(place)
                self.lanes[lane].draw(row.name, place, shown)
                by_lane[lane].append(shown)
        for lane_of, shown_there in zip(self.lanes, by_lane, strict=True):
            lane_of.fit(shown_there)

    def fit_all(self) -> None:
        """The y range of every lane follows its curves again."""
        for lane in self.lanes:
            lane.auto = True

    def point(self, moment: float) -> None:
        """Put the cursor at a moment (s since 1970); NaN: nowhere."""
        self.moment = moment
        for lane in self.lanes:
            lane.cursor.setVisible(math.isfinite(moment))
            if math.isfinite(moment):
                lane.cursor.setPos(moment)

    def cursor_text(self, rows: Sequence[Row]) -> str:
        """The cursor's time in words; "" without one."""
        if not rows or not math.isfinite(self.moment):
            return ""
        return f"{datetime.fromtimestamp(self.moment).astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3]

    def _by_hand(self, lane: Lane, mouse: Sequence[bool]) -> None:
        if mouse[1]:
            lane.auto = False
        start, end = lane.plot.vb.viewRange()[0]
        self.ranged.emit(start, end)

    def _moved(self, where: QPointF) -> None:
        for lane in self.lanes:
            if lane.plot.vb.sceneBoundingRect().contains(where):
                self.pointed.emit(float(lane.plot.vb.mapSceneToView(where).x()))
                return
