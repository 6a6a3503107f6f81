"""What has an output to switch on and off: pumps, amplifiers, and (supply.py) everything with a set value."""

import math

from tango import DevState
from tango.server import command

from common.errors import Refused
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import fault_channel


class Switched(PtcsDevice):
    """On, Off, Reset. Subclasses say in `_running` what it does while it is on."""

    FaultCode = fault_channel()

    def _state(self) -> tuple[DevState, str]:
        on = self.value("on")
        if not math.isfinite(on):
            return DevState.UNKNOWN, _("the hardware does not know whether it is on")
        if (fault := self.fault_state()) is not None:
            return fault
        return self._running() if on else (DevState.OFF, _("off"))

    def _running(self) -> tuple[DevState, str]:
        """State and its reason while it is on and without fault."""
        return DevState.ON, _("on")

    def switch_on(self) -> None:
        """Switch on, unless there is a fault. Raises Refused."""
        if self.value("fault") > 0:
            raise Refused(_("supply has a fault; mend it, then send Reset"))
        self.driver.on()

    @command
    def On(self) -> None:
        """Switch the output on."""
        self.switch_on()

    @command
    def Off(self) -> None:
        """Switch the output off."""
        self.driver.off()

    @command
    def Reset(self) -> None:
        """Clear a fault whose cause is gone."""
        self.driver.reset()
