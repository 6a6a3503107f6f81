"""SafetyDoor and EmergencyStop: two contacts that must agree."""

import math
from typing import ClassVar

from tango import DevState

from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel, fault_channel

End = tuple[DevState, str]


class TwoChannel(PtcsDevice):
    """Two contacts of one thing; 1 is the good state. The interlock reads them, this device shows them."""

    good: ClassVar[End]
    bad: ClassVar[End]

    FaultCode = fault_channel()

    def _state(self) -> tuple[DevState, str]:
        a, b, fault = self.value("a"), self.value("b"), self.fault_state()
        known = math.isfinite(a) and math.isfinite(b)
        if known and (a > 0) != (b > 0):
            state = DevState.ALARM if fault is None else DevState.FAULT
            return state, _("its two contacts differ; look at contacts and wiring")
        if fault is not None:
            return fault
        if not known:
            return DevState.UNKNOWN, _("a contact is unknown")
        state, text = self.good if a > 0 else self.bad
        return state, _(text)


class SafetyDoor(TwoChannel):
    """The door of a treatment room."""

    good: ClassVar[End] = (DevState.CLOSE, "closed")
    bad: ClassVar[End] = (DevState.OPEN, "open")

    ClosedA = channel("a", dtype=bool, doc="contact A: door is closed")
    ClosedB = channel("b", dtype=bool, doc="contact B: door is closed")


class EmergencyStop(TwoChannel):
    """An emergency stop button."""

    good: ClassVar[End] = (DevState.ON, "released")
    bad: ClassVar[End] = (DevState.ALARM, "pressed; release it, then reset the interlock")

    ReleasedA = channel("a", dtype=bool, doc="contact A: button is released")
    ReleasedB = channel("b", dtype=bool, doc="contact B: button is released")
