"""MagnetSupply: the current supply of one magnet or family."""

import math
import time
from dataclasses import replace
from typing import Any

from tango.server import attribute, command

from common.site import Device
from device_servers.accelerator.waveform import checked_waveform
from device_servers.asking import require_measuring
from device_servers.channel import channel, derived
from device_servers.kinds.supply import Supply, set_channel

TOLERANCE = 1e-3
SETTLE_S = 0.5
"""Where the site says nothing."""
FLOOR_SHARE = 0.01
"""Below this share of the highest current, the tolerance is that of this share."""
POINTS = 4096
TRIM_PART = 0.05
"""A trim is at most this part of the span of a supply's limits, as the hardware has it."""


class MagnetSupply(Supply):
    """A magnet's current supply; the hardware keeps setpoint, ramp rate and waveform."""

    _settled_since: float | None = None

    Current = channel("current", unit="A", format="%9.4f", deadband=0.005, doc="measured output current")
    Voltage = channel("voltage", unit="V", format="%8.3f", deadband=0.02, doc="measured output voltage")
    CurrentSetpoint = set_channel("A", "current", "current that it regulates to", format="%9.4f")
    Temperature = channel("temperature", unit="degC", format="%5.1f", deadband=0.1, doc="of its power stage")

    def _set_ramp(self, value: float) -> None:
        self.check_limits("ramp", value, "A/s")
        self.driver.set("ramp", float(value))

    RampRate = channel("ramp", unit="A/s", format="%8.1f", fset=_set_ramp, doc="steepest change of current")

    def _set_trim(self, value: float) -> None:
        """In a mode for patients a trim can only be taken away: theirs is what the catalogue holds."""
        if value != 0.0:
            require_measuring(self.context.site)
        self.check_settable()
        self.driver.set("trim", float(value))

    CurrentTrim = channel(
        "trim", unit="A", format="%9.4f", fset=_set_trim, doc="added to the program of every machine cycle"
    )

    def _site_device(self) -> Device:
        """With limits of the trim: a twentieth of the span; all of it for one that steers both ways."""
        site: Device = super()._site_device()
        low, high = site.limits.get("current", (0.0, 0.0))
        most = high if low < 0 else TRIM_PART * (high - low)
        return replace(site, limits={**site.limits, "trim": (-most, most)})

    @derived(dtype=float, unit="A", format="%9.4f", deadband=0.005)
    def Deviation(self) -> float | None:
        """Measured current less set value."""
        deviation = self.value("current") - self.value("setpoint")
        return deviation if math.isfinite(deviation) else None

    @derived(dtype=bool)
    def InTolerance(self) -> bool | None:
        """Whether it is on and has stood at its set value, within tolerance, for the settle time."""
        if not self.value("on") >= 0:
            return None
        now = time.monotonic()
        if self.value("on") == 0 or self.value("fault") > 0 or not self._near():
            self._settled_since = None
            return False
        if self._settled_since is None:
            self._settled_since = now
        if now - self._settled_since >= float(self.site.plant.get("settle_s", SETTLE_S)):
            return True
        self.stale = True  # look again, also when nothing moves any more
        return False

    def _near(self) -> bool:
        """Whether the current is within tolerance of its set value."""
        wanted = self.value("setpoint")
        floor = FLOOR_SHARE * max(abs(end) for end in self.site.limits.get("current", (0.0, 0.0)))
        share = float(self.site.plant.get("tolerance_relative", TOLERANCE))
        return abs(self.value("current") - wanted) <= share * max(abs(wanted), floor)

    @attribute(
        dtype=(float,),
        max_dim_x=2 * POINTS,
        unit="s, A",
        format="%9.4f",
        doc="loaded waveform: t s, current A, t s, current A, ...",
    )
    def Waveform(self) -> Any:
        """The waveform that the hardware holds, asked of it now."""
        return self.asked(lambda: self.driver.waveform().ravel())

    @command(dtype_in=str, doc_in="JSON [[t s, current A], ...], t from 0 and rising")
    def LoadWaveform(self, points: str) -> None:
        """Follow a waveform from now on; it ends at its last value."""
        rate = self.site.limits.get("ramp", (0.0, float(self.site.plant.get("ramp_a_s", "inf"))))[1]
        rows = checked_waveform(points, self.site.limits.get("current"), rate, POINTS)
        self.check_settable()
        self.driver.load_waveform(rows)
