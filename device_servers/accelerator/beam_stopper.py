"""BeamStopper: closed it absorbs the beam; its end switches tell the interlock that it is."""

from tango import DevState

from common.text import _
from device_servers.channel import channel
from device_servers.kinds.in_out import Valve


class BeamStopper(Valve):
    """A beam stopper with one end switch at each end."""

    OpenSwitch = channel("open", dtype=bool, doc="end switch of the open position")
    ClosedSwitch = channel("closed", dtype=bool, doc="end switch of the closed position")
    Permit = channel("permit", dtype=bool, doc="the interlock lets it be open; else it closes by itself")

    def _state(self) -> tuple[DevState, str]:
        state, text = super()._state()
        opened, closed = self.value("open") > 0, self.value("closed") > 0
        if (state == DevState.OPEN and not opened) or (state == DevState.CLOSE and not closed):
            return DevState.ALARM, _("end switch does not confirm: {text}").format(text=text)
        if opened and closed:
            return DevState.FAULT, _("both end switches are made; look at the switches")
        if state == DevState.CLOSE and not self.value("permit") > 0:
            return state, _("closed, without the interlock's permit")
        return state, text
