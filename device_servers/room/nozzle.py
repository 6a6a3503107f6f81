"""Nozzle: the dose monitors and the spot measurement of a room."""

import time
from typing import Any

import numpy as np
from tango import DevState
from tango.server import attribute

from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel

COLUMNS = 10
MOST_ROWS = 20_000
"""Most rows in one event; more go out in several."""
PUSH_PERIOD_S = 0.1


class Nozzle(PtcsDevice):
    """Primary and secondary monitor, spot position and size."""

    eager = True

    PrimaryCounts = channel("primary", dtype=int, unit="counts", format="%d", doc="primary monitor, this map")
    SecondaryCounts = channel(
        "secondary", dtype=int, unit="counts", format="%d", doc="secondary monitor, this map"
    )
    SpotX = channel("x", unit="mm", format="%7.2f", deadband=0.01, doc="measured spot position x")
    SpotY = channel("y", unit="mm", format="%7.2f", deadband=0.01, doc="measured spot position y")
    DoseRate = channel("dose_rate", unit="MU/s", format="%7.3f", deadband=0.01, doc="dose rate in tick time")
    Beam = channel("beam", dtype=bool, doc="whether there is beam")

    def init_device(self) -> None:
        """No spot yet."""
        super().init_device()
        self._waiting = np.empty((0, COLUMNS))
        self._last_block = np.empty(0)
        self._pushed_at = 0.0
        self.set_change_event("SpotBlock", True, False)

    @attribute(
        dtype=(float,),
        max_dim_x=COLUMNS * MOST_ROWS,
        doc="finished spots since the last event, rows of 10: wall time s, index, x, y, size_x, size_y (mm), "
        "primary, secondary (counts), start_tick, end_tick",
    )
    def SpotBlock(self) -> Any:
        """The block of the last event."""
        return self._last_block

    def push_changes(self) -> None:
        """Besides State: every finished spot once, at most ten events a second."""
        super().push_changes()
        self._waiting = np.concatenate([self._waiting, self.driver.take_spots()])
        now = time.monotonic()
        if not len(self._waiting) or now - self._pushed_at < PUSH_PERIOD_S:
            return
        self._pushed_at = now
        while len(self._waiting):
            block = self._waiting[:MOST_ROWS].ravel()
            self.push_change_event("SpotBlock", block)
            self._last_block, self._waiting = block, self._waiting[MOST_ROWS:]

    def _state(self) -> tuple[DevState, str]:
        return (DevState.RUNNING, _("beam is on")) if self.value("beam") > 0 else (DevState.ON, _("no beam"))
