"""What gauges and circuits have in common: values that must stay within the site's limits."""

import math
from collections.abc import Mapping
from typing import ClassVar

from tango import DevState
from tango.server import command

from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import fault_channel


class Monitored(PtcsDevice):
    """A device without a set value: FAULT with a fault code, ALARM outside its limits."""

    units: ClassVar[Mapping[str, str]] = {}
    """Quantities that the device must know and that have limits -> their units."""
    good: ClassVar[str] = "measures"
    """Status when all is well."""

    FaultCode = fault_channel()

    def _state(self) -> tuple[DevState, str]:
        return self.fault_state() or self.within_limits(self.units, _(self.good))

    def within_limits(self, units: Mapping[str, str], good: str) -> tuple[DevState, str]:
        """State from the limits of the quantities in `units`; else ON and `good`."""
        outside = []
        for quantity, unit in units.items():
            value = self.value(quantity)
            if not math.isfinite(value):
                return DevState.UNKNOWN, _("{quantity} is unknown").format(quantity=quantity)
            low, high = self.site.limits.get(quantity, (value, value))
            if not low <= value <= high:
                text = _("{quantity} {value:g} {unit}, allowed are {low:g} .. {high:g} {unit}")
                outside.append(text.format(quantity=quantity, value=value, unit=unit, low=low, high=high))
        return (DevState.ALARM, "; ".join(outside)) if outside else (DevState.ON, good)


class Resettable(Monitored):
    """A monitored device whose faults latch."""

    @command
    def Reset(self) -> None:
        """Clear a fault whose cause is gone."""
        self.driver.reset()
