"""What magnet supply, ion source and RF station have in common: a set value that can be switched on."""

import math
import time
from typing import Any, ClassVar

from tango import DevState

from common.errors import Refused
from common.text import _
from device_servers.channel import channel
from device_servers.kinds.switched import Switched

SHOWN_WITHIN_S = 0.5
"""A snapshot newer than this after a write has seen it."""


class Supply(Switched):
    """On, Off, Reset, and a set value within the site's limits."""

    quantity: ClassVar[str] = "current"
    """The quantity that is set: name of its site limits and of its driver value."""
    unit: ClassVar[str] = "A"
    ramp_share: ClassVar[float] = 0.002
    """A value farther from its set value than this share of the limits' span is still moving."""

    _intent: tuple[float, float] | None = None
    """The value last written, and when (monotonic s), until the hardware shows it."""

    def _running(self) -> tuple[DevState, str]:
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
        self.check_settable()
        self.driver.set(self.quantity, float(value))
        self._intent = (float(value), time.monotonic())

    def check_settable(self) -> None:
        """Raise Refused while it has a fault or is off."""
        if self.value("fault") > 0:
            raise Refused(_("supply has a fault; mend it, then send Reset and On"))
        if not self.value("on") > 0:
            raise Refused(_("supply is off; send On first"))

    def _intended(self, shown: float) -> float:
        """The set value in force: what was written, until a snapshot can show it, then what is `shown`."""
        if self._intent is None:
            return shown
        value, since = self._intent
        if abs(shown - value) <= 1e-9 * max(1.0, abs(value)) or time.monotonic() - since > SHOWN_WITHIN_S:
            self._intent = None
        return value if self._intent else shown


def set_channel(unit: str, quantity: str, doc: str, **options: Any) -> channel:
    """The set value of a Supply, limited like the quantity that it sets."""
    return channel("setpoint", unit=unit, limit=quantity, fset=Supply.set_value, doc=doc, **options)
