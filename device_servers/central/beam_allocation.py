"""BeamAllocation: which room has the beam, and which wait for it. Kept on disk across restarts.

The beam hardware holds the allocation that counts: it takes a map for that room alone. This device tells
it, and tells it again when the hardware comes back.
"""

import logging
import time
from pathlib import Path

from tango import DevState
from tango.server import command

from common.errors import Refused
from common.files import read_json, write_json
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.central.allocation import Allocation, from_dict
from device_servers.channel import channel, derived
from device_servers.parse import json_object, number_field, text_field

log = logging.getLogger(__name__)


class BeamAllocation(PtcsDevice):
    """Allocation of the one beam to the rooms."""

    RoomNumber = channel("room", dtype=int, doc="room that the beam hardware delivers to, from 1; 0: none")

    def init_device(self) -> None:
        """Take up what the last run left, and have the hardware follow it."""
        super().init_device()
        self._path: Path = self.context.state / "central" / "allocation.json"
        self._allocation = _kept(self._path)
        self._rooms = self.context.site.rooms
        self.driver.follow(self._allocation.owner)

    @derived(dtype=str)
    def Owner(self) -> str:
        """The room that has the beam; empty for none."""
        return self._allocation.owner

    @derived(dtype=(str,), max_dim_x=64)
    def Queue(self) -> list[str]:
        """The rooms that wait, the next one first: by priority, then by the time of asking."""
        return self._allocation.rooms

    @derived(dtype=bool)
    def Kept(self) -> bool:
        """Whether the owner keeps the beam between its beams."""
        return self._allocation.kept

    @command(dtype_in=str, doc_in="room")
    def Request(self, room: str) -> None:
        """Ask for the beam for a room."""
        self._become(self._allocation.requested(self._known(room), time.time_ns()))

    @command(dtype_in=str, doc_in="room")
    def Release(self, room: str) -> None:
        """Give the beam, or the place in the queue, back. Refused to the owner while the beam is on."""
        if room == self._allocation.owner and self.driver.beam_now() is not False:
            raise Refused(_("the beam is on, or its state unknown; interrupt or terminate first"))
        self._become(self._allocation.released(room))

    @command(dtype_in=str, doc_in='JSON {"room": owner, "keep": true or false}')
    def Keep(self, text: str) -> None:
        """Let the owner keep the beam when its session gives it back; ending that hands it on."""
        values = json_object(text)
        if not isinstance(values.get("keep"), bool):
            raise Refused(_("'keep' is missing: it must be true or false"))
        self._become(self._allocation.keep(self._known(text_field(values, "room")), values["keep"]))

    @command(dtype_in=str, doc_in='JSON {"room": room, "priority": 0..9}')
    def Prioritise(self, text: str) -> None:
        """Give a room a standing priority in the queue; 9 comes first."""
        values = json_object(text)
        priority = number_field(values, "priority")
        if priority != int(priority):
            raise Refused(_("priority {priority:g}: it must be a whole number").format(priority=priority))
        room = self._known(text_field(values, "room"))
        self._become(self._allocation.prioritised(room, int(priority)))

    def _known(self, room: str) -> str:
        if room not in self._rooms:
            text = _("no room {room!r}: allowed are {rooms}")
            raise Refused(text.format(room=room, rooms=", ".join(self._rooms)))
        return room

    def _become(self, allocation: Allocation) -> None:
        """The hardware first: an owner that is shown has the beam. What cannot be kept is taken back."""
        before = self._allocation
        if allocation.owner != before.owner:
            self.driver.allocate(allocation.owner)
        try:
            write_json(self._path, allocation.as_dict())
        except OSError as why:
            self.driver.allocate(before.owner)
            raise Refused(_("allocation not changed: it cannot be kept ({why})").format(why=why)) from why
        self._allocation = allocation

    def _state(self) -> tuple[DevState, str]:
        owner = self._allocation.owner
        if not owner:
            return DevState.ON, _("beam is free")
        if len(self._rooms) > 1 and self.value("room") != self._rooms.index(owner) + 1:
            return DevState.MOVING, _("beam belongs to {room}; the hardware has not followed yet").format(
                room=owner
            )
        return DevState.ON, _("beam belongs to {room}").format(room=owner)


def _kept(path: Path) -> Allocation:
    """What the last run left; nobody has the beam where that cannot be read."""
    if not path.exists():
        return Allocation()
    try:
        return from_dict(read_json(path))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as why:
        log.error("%s cannot be read (%s): the beam is free until a room asks for it", path.name, why)
        return Allocation()
