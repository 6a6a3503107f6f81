"""The spot map of the present layer and the bars of all layers (pyqtgraph)."""

import numpy as np
import pyqtgraph as pg
from PyQt5.QtWidgets import QVBoxLayout, QWidget

from common.text import _
from gui import theme
from gui.viewmodels.room import RoomView

SMALLEST, LARGEST = 5.0, 22.0


class SpotMap(QWidget):
    """Spots in the beam's-eye view: hollow circle to come, filled square delivered; size shows MU."""

    def __init__(self) -> None:
        super().__init__()
        faint = pg.mkPen(theme.FAINT)
        pg.setConfigOptions(antialias=True, background=theme.PANEL, foreground=theme.FAINT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._map = pg.PlotWidget()
        self._map.setAspectLocked(True)
        self._map.setLabel("bottom", "x (mm)")
        self._map.setLabel("left", "y (mm)")
        self._map.showGrid(x=True, y=True, alpha=0.15)
        self._map.addLegend(offset=(-8, 8))
        self._waiting = pg.ScatterPlotItem(
            symbol="o", pen=pg.mkPen(theme.FAINT), brush=None, name=_("to come")
        )
        self._done = pg.ScatterPlotItem(
            symbol="s", pen=pg.mkPen(theme.GREEN), brush=pg.mkBrush(theme.GREEN + "aa"), name=_("delivered")
        )
        self._map.addItem(self._waiting)
        self._map.addItem(self._done)
        layout.addWidget(self._map, 4)
        self._layers = pg.PlotWidget()
        self._layers.setLabel("bottom", _("energy layer"))
        self._layers.setLabel("left", "MU")
        self._planned = pg.BarGraphItem(x=[], height=[], width=0.8, brush=None, pen=faint)
        self._delivered = pg.BarGraphItem(x=[], height=[], width=0.8, brush=theme.GREEN, pen=None)
        self._layers.addItem(self._planned)
        self._layers.addItem(self._delivered)
        layout.addWidget(self._layers, 2)

    def show_view(self, view: RoomView) -> None:
        """Draw the present layer's spots and all layers' bars."""
        spots = view.layer_spots()
        largest = float(view.spots()[:, 3].max(initial=1e-9))
        size = SMALLEST + (LARGEST - SMALLEST) * np.sqrt(spots[:, 3] / largest)
        done = spots[:, 4] >= 0.99 * spots[:, 3]
        self._waiting.setData(spots[~done, 1], spots[~done, 2], size=size[~done])
        self._done.setData(spots[done, 1], spots[done, 2], size=size[done])
        planned, delivered = view.layer_bars()
        axis = np.arange(1, len(planned) + 1)
        self._planned.setOpts(x=axis, height=planned)
        self._delivered.setOpts(x=axis, height=delivered)
