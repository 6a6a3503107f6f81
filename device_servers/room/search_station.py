"""SearchStation: the buttons with which a room is searched before beam."""

from tango import DevState

from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import channel, fault_channel

STATES = ("FREE", "CLOSING", "RADIATION")


class SearchStation(PtcsDevice):
    """Shows the search of its room; people press the buttons, this device does not."""

    SearchState = channel("state", dtype=str, names=STATES, doc="FREE, CLOSING (searched) or RADIATION")
    Button = channel("button", dtype=int, format="%d", doc="number of the button last pressed; 0: none yet")
    FaultCode = fault_channel()

    def _state(self) -> tuple[DevState, str]:
        if (fault := self.fault_state()) is not None:
            return fault
        state = self.value("state")
        if not 0 <= state < len(STATES):
            return DevState.UNKNOWN, _("the state of the search is unknown")
        words = (
            (DevState.ON, _("free; search the room before beam")),
            (DevState.MOVING, _("searched; close the door")),
            (DevState.CLOSE, _("searched and closed: nobody may be inside")),
        )
        return words[int(state)]
