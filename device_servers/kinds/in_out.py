"""What has two ends: valves and stoppers (open, closed), monitors and shifters (inserted, retracted)."""

import math
from typing import ClassVar

from tango import DevState
from tango.server import command

from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel, fault_channel

AT_ONE_FROM = 0.99
AT_ZERO_UP_TO = 0.01

End = tuple[DevState, str]


def position_channel(doc: str) -> channel:
    """The position of a device with two ends."""
    return channel("position", unit="1", format="%4.2f", deadband=0.005, doc=doc, min_value=0, max_value=1)


class InOut(PtcsDevice):
    """Travels between two ends; State says at which one it stands."""

    at_zero: ClassVar[End]
    at_one: ClassVar[End]

    FaultCode = fault_channel()

    def _state(self) -> tuple[DevState, str]:
        if (fault := self.fault_state()) is not None:
            return fault
        position = self.value("position")
        if not math.isfinite(position):
            return DevState.UNKNOWN, _("position is unknown")
        if position >= AT_ONE_FROM:
            return self.at_one[0], _(self.at_one[1])
        if position <= AT_ZERO_UP_TO:
            return self.at_zero[0], _(self.at_zero[1])
        return DevState.MOVING, _("moving")


class Valve(InOut):
    """Something that opens and closes."""

    at_zero: ClassVar[End] = (DevState.CLOSE, "closed")
    at_one: ClassVar[End] = (DevState.OPEN, "open")

    Position = position_channel("0 closed .. 1 open")

    @command
    def Open(self) -> None:
        """Begin to open."""
        self.driver.open()

    @command
    def Close(self) -> None:
        """Begin to close."""
        self.driver.close()


class Insertable(InOut):
    """Something that is moved into the beam and out of it."""

    at_zero: ClassVar[End] = (DevState.EXTRACT, "retracted")
    at_one: ClassVar[End] = (DevState.INSERT, "inserted")

    Position = position_channel("0 retracted .. 1 inserted")

    @command
    def Insert(self) -> None:
        """Begin to move into the beam."""
        self.driver.insert()

    @command
    def Retract(self) -> None:
        """Begin to move out of the beam."""
        self.driver.retract()
