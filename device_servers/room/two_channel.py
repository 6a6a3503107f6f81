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
        if (fault := self.fault_state()) is not None:
            return fault
        a, b = self.value("a"), self.value("b")
        if not (math.isfinite(a) and math.isfinite(b)):
            return DevState.UNKNOWN, _("a contact is unknown")
        if (a > 0) != (b > 0):
            return DevState.ALARM, _("its two contacts differ; look at contacts and wiring")
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
