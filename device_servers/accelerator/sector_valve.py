"""SectorValve: a valve between two vacuum sections."""

from tango import DevState
from tango.server import command

from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel
from device_servers.faults import fault_text

OPEN_FROM = 0.99
CLOSED_UP_TO = 0.01


class SectorValve(PtcsDevice):
    """A sector valve."""

    Position = channel(
        "position",
        unit="1",
        format="%4.2f",
        deadband=0.005,
        doc="0 closed .. 1 open",
        min_value=0,
        max_value=1,
    )
    FaultCode = channel("fault", dtype=int, format="%d", doc="0: none; see Status for the fault's name")

    def _state(self) -> tuple[DevState, str]:
        position, fault = self.value("position"), self.value("fault")
        if fault > 0:
            return DevState.FAULT, _("fault: {fault}").format(fault=fault_text(fault))
        if position >= OPEN_FROM:
            return DevState.OPEN, _("open")
        if position <= CLOSED_UP_TO:
            return DevState.CLOSE, _("closed")
        return DevState.MOVING, _("moving")

    @command
    def Open(self) -> None:
        """Begin to open."""
        self.driver.open()

    @command
    def Close(self) -> None:
        """Begin to close."""
        self.driver.close()
