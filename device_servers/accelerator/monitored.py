"""What gauges and circuits have in common: values that must stay within the site's limits."""

import math
from collections.abc import Mapping

from tango import DevState

from common.text import _
from device_servers.base import PtcsDevice
from device_servers.faults import fault_text


class Monitored(PtcsDevice):
    """A device without a set value: FAULT with a fault code, ALARM outside its limits."""

    def within_limits(self, units: Mapping[str, str], good: str) -> tuple[DevState, str]:
        """State from the fault code and the limits of the quantities in `units`; else ON and `good`."""
        fault = self.value("fault")
        if fault > 0:
            text = _("fault: {fault}; mend it, then send Reset")
            return DevState.FAULT, text.format(fault=fault_text(fault))
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
