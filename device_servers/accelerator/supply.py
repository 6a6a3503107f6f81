"""What magnet supply, ion source and RF station have in common: a set value that can be switched on."""

import math
import time
from typing import ClassVar

from tango import DevState
from tango.server import command

from common.errors import Refused
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel
from device_servers.faults import fault_text

SHOWN_WITHIN_S = 0.5
"""A snapshot newer than this after a write has seen it."""


class Supply(PtcsDevice):
    """On, Off, Reset, and a set value within the site's limits."""

    quantity: ClassVar[str] = "current"
    """The quantity that is set: name of its site limits and of its driver value."""
    unit: ClassVar[str] = "A"
    ramp_share: ClassVar[float] = 0.002
    """A value farther from its set value than this share of the limits' span is still moving."""

    _intent: tuple[float, float] | None = None
    """The value last written, and when (monotonic s), until the hardware shows it."""

    FaultCode = channel("fault", dtype=int, format="%d", doc="0: none; see Status for the fault's name")

    def _state(self) -> tuple[DevState, str]:
        fault, on = self.value("fault"), self.value("on")
        if not math.isfinite(on):
            return DevState.UNKNOWN, _("the hardware does not know whether it is on")
        if fault > 0:
            return DevState.FAULT, _("fault: {fault}; mend it, then send Reset").format(
                fault=fault_text(fault)
            )
        if not on:
            return DevState.OFF, _("off")
        now, wanted = self.value(self.quantity), self.value("setpoint")
        if not math.isfinite(now):
            return DevState.UNKNOWN, _("on, but it does not tell its output")
        wanted = self._intended(wanted)
        low, high = self.site.limits.get(self.quantity, (0.0, 1.0))
        if abs(now - wanted) > self.ramp_share * (high - low):
            text = _("moving to {wanted:g} {unit}")
            return DevState.MOVING, text.format(wanted=wanted, unit=self.unit)
        return DevState.ON, _("on, at {wanted:g} {unit}").format(wanted=wanted, unit=self.unit)

    def set_value(self, value: float) -> None:
        """Give the supply a new set value. Raises Refused outside the limits or while it is off."""
        self.check_limits(self.quantity, value, self.unit)
        if self.value("fault") > 0:
            raise Refused(_("supply has a fault; mend it, then send Reset and On"))
        if not self.value("on") > 0:
            raise Refused(_("supply is off; send On first"))
        self.driver.set(self.quantity, float(value))
        self._intent = (float(value), time.monotonic())

    def _intended(self, shown: float) -> float:
        """The set value in force: what was written, until a snapshot can show it, then what is `shown`."""
        if self._intent is None:
            return shown
        value, since = self._intent
        if abs(shown - value) <= 1e-9 * max(1.0, abs(value)) or time.monotonic() - since > SHOWN_WITHIN_S:
            self._intent = None
        return value if self._intent else shown

    @command
    def On(self) -> None:
        """Switch the output on."""
        if self.value("fault") > 0:
            raise Refused(_("supply has a fault; mend it, then send Reset"))
        self.driver.on()

    @command
    def Off(self) -> None:
        """Switch the output off."""
        self.driver.off()

    @command
    def Reset(self) -> None:
        """Clear a fault whose cause is gone."""
        self.driver.reset()
