"""Where a treatment takes place: the devices of a room, and the searches before its beam."""

import time
from pathlib import Path

from common import site as sites
from common.errors import BadInput, LinkLost
from common.files import read_json
from common.links.wire import Peer, WireClient, block_values
from common.site import Site
from common.state import StateDir
from common.text import _
from common.wire.frame import Frame
from interlock.matrix import load
from ptcs.demo.machine import buttons, stations
from simulation.fpga.guard import Guard

ANSWER_S = 5.0


class Place:
    """A room of the facility in a state directory. Raises BadInput for a room that the site does not have."""

    def __init__(self, state: Path, room: str = "") -> None:
        self._state = StateDir(Path(state))
        self.site: Site = sites.load(Path(read_json(self._state.facility)["site_file"]))
        self.room = room or self.site.rooms[0]
        if self.room not in self.site.rooms:
            text = _("no room {room!r}: allowed are {rooms}")
            raise BadInput(text.format(room=room, rooms=", ".join(self.site.rooms)))
        self.session = self.site.of_class("TreatmentSession", self.room)[0].name
        self.interlock = self.site.of_class("Interlock")[0].name
        table = load(self.site.interlock_path)
        self.told = sorted(Guard(table).drivable() - table.arming - {table.service_key})
        """Inputs that nothing measures: somebody tells the interlock that the room is closed."""

    def search(self) -> None:
        """Press, in order, the buttons of every search station that is not satisfied: halls and room.

        People do this at the plant; no device server can. Raises LinkLost.
        """
        if not (places := stations(self.site, self.room)):
            return
        blocks: list[Frame] = []
        end = self._state.endpoint("plant")
        link = WireClient(Peer("127.0.0.1", int(end["port"]), "people", stale_s=None), blocks.append)
        try:
            link.wait_alive(ANSWER_S)
            values = _first(link, blocks)
            for station in places:
                if values[f"{station.wire}.ok"] == 1.0:
                    continue
                for button in buttons(station):
                    link.request({"do": "press", "device": station.wire, "button": button}, timeout=ANSWER_S)
        finally:
            link.close()


def _first(link: WireClient, blocks: list[Frame]) -> dict[str, float]:
    """The channels of the first block that arrives. Raises LinkLost."""
    deadline = time.monotonic() + ANSWER_S
    while not blocks:
        if time.monotonic() > deadline:
            raise LinkLost(_("the plant sends no block"))
        time.sleep(0.01)
    return dict(zip(link.channels, block_values(blocks[-1]), strict=True))
