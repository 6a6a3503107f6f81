"""BeamAllocation: which room has the beam, and which wait for it. Kept on disk across restarts."""

from dataclasses import dataclass
from pathlib import Path

from tango import DevState
from tango.server import command

from common.errors import Refused
from common.files import read_json, write_json
from common.text import _
from device_servers.base import PtcsDevice
from device_servers.channel import derived


@dataclass(frozen=True)
class Allocation:
    """Owner ("" for none) and the rooms that wait, first come first served."""

    owner: str = ""
    queue: tuple[str, ...] = ()

    def requested(self, room: str) -> "Allocation":
        """After a room asked: it has the beam, or waits. Asking twice changes nothing."""
        if not self.owner:
            return Allocation(room, self.queue)
        if room == self.owner or room in self.queue:
            return self
        return Allocation(self.owner, (*self.queue, room))

    def released(self, room: str) -> "Allocation":
        """After a room gave up the beam, or its place in the queue. Raises Refused if it has neither."""
        if room in self.queue:
            return Allocation(self.owner, tuple(other for other in self.queue if other != room))
        if room != self.owner:
            raise Refused(_("{room} neither has the beam nor waits for it").format(room=room))
        return Allocation(self.queue[0], self.queue[1:]) if self.queue else Allocation()


class BeamAllocation(PtcsDevice):
    """Allocation of the one beam to the rooms."""

    def init_device(self) -> None:
        """Take up what the last run left."""
        super().init_device()
        self._path: Path = self.context.state / "central" / "allocation.json"
        kept = read_json(self._path) if self._path.exists() else {}
        self._allocation = Allocation(str(kept.get("owner", "")), tuple(kept.get("queue", ())))
        self._rooms = {d.name.split("/")[0] for d in self.context.site.devices if d.area == "room"}

    @derived(dtype=str)
    def Owner(self) -> str:
        """The room that has the beam; empty for none."""
        return self._allocation.owner

    @derived(dtype=(str,), max_dim_x=64)
    def Queue(self) -> list[str]:
        """The rooms that wait, the next one first."""
        return list(self._allocation.queue)

    @command(dtype_in=str, doc_in="room")
    def Request(self, room: str) -> None:
        """Ask for the beam for a room."""
        if room not in self._rooms:
            text = _("no room {room!r}: allowed are {rooms}")
            raise Refused(text.format(room=room, rooms=", ".join(sorted(self._rooms))))
        self._become(self._allocation.requested(room))

    @command(dtype_in=str, doc_in="room")
    def Release(self, room: str) -> None:
        """Give the beam, or the place in the queue, back. Refused to the owner while the beam is on."""
        if room == self._allocation.owner and self.driver.beam_now() is not False:
            raise Refused(_("the beam is on, or its state unknown; interrupt or terminate first"))
        self._become(self._allocation.released(room))

    def _become(self, allocation: Allocation) -> None:
        """On disk first, so that a restart never gives the beam to two rooms."""
        write_json(self._path, {"owner": allocation.owner, "queue": list(allocation.queue)})
        self._allocation = allocation

    def _state(self) -> tuple[DevState, str]:
        owner = self._allocation.owner
        return DevState.ON, _("beam belongs to {room}").format(room=owner) if owner else _("beam is free")
