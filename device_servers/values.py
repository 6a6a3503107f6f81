"""Values of a device: what its driver's snapshot says, with time and quality."""

import math
import time
from collections.abc import Callable
from typing import Any

from tango import AttrQuality, DevState

from common.errors import LinkLost, PtcsError, Refused
from common.text import _
from device_servers.access import failed
from device_servers.admin import AdministeredDevice
from device_servers.channel import channel
from device_servers.faults import fault_text


class MeasuringDevice(AdministeredDevice):
    """A device that shows what its driver (None: it has none) knows."""

    driver: Any = None
    _index: dict[str, int]
    """Place of each quantity in the driver's snapshot."""

    def fault_name(self) -> str:
        """Name of the present fault code."""
        return fault_text(self.value("fault"), self.site.tango_class)

    def fault_state(self) -> tuple[DevState, str] | None:
        """FAULT and the fault's name while there is a fault code, else None."""
        if not self.value("fault") > 0:
            return None
        return DevState.FAULT, _("fault: {fault}; mend it, then send Reset").format(fault=self.fault_name())

    def reading(self, quantity: str) -> tuple[float, float]:
        """The latest value of a driver quantity and its time in s since the epoch (NaN: unknown)."""
        if self.driver is None:
            return math.nan, time.time()
        snapshot = self.driver.read()
        return float(snapshot.values[self._index[quantity]]), snapshot.wall_ns / 1e9

    def value(self, quantity: str) -> float:
        """The latest value of a driver quantity; NaN when unknown."""
        return self.reading(quantity)[0]

    def shown(self, shape: channel) -> tuple[Any, float, AttrQuality]:
        """Value, time and quality of a channel attribute."""
        value, when = self.reading(shape.quantity)
        if not math.isfinite(value):
            return shape.empty, when or time.time(), AttrQuality.ATTR_INVALID
        return shape.shown(value), when, self._quality(shape.quantity, value)

    def asked(self, question: Callable[[], Any]) -> Any:
        """What the hardware answers now, for an attribute that is not in the block; INVALID without a link.

        Raises DevFailed when the hardware refuses.
        """
        try:
            return question(), time.time(), AttrQuality.ATTR_VALID
        except LinkLost:
            return [], time.time(), AttrQuality.ATTR_INVALID
        except PtcsError as why:
            failed(why)

    def _quality(self, quantity: str, value: float) -> AttrQuality:
        levels = self.site.alarms.get(quantity)
        if levels is None or levels[1] <= value <= levels[2]:
            return AttrQuality.ATTR_VALID
        return AttrQuality.ATTR_WARNING if levels[0] <= value <= levels[3] else AttrQuality.ATTR_ALARM

    def check_limits(self, limit: str, value: float, unit: str = "") -> None:
        """Raise Refused unless a value is finite and within the site's limits of that name."""
        low, high = self.site.limits.get(limit, (-math.inf, math.inf))
        if not (math.isfinite(value) and low <= value <= high):
            text = _("{limit} {value:g} {unit}: allowed are {low:g} .. {high:g} {unit}")
            raise Refused(text.format(limit=limit, value=value, unit=unit, low=low, high=high))
