"""EpicsGateway: the site's devices for EPICS clients, over pvAccess and Channel Access."""

import time

from tango import DevState

from common.errors import LinkLost
from common.state import StateDir
from common.text import _
from device_servers.base import PtcsDevice, derived
from device_servers.services.epics.board import Board
from device_servers.services.epics.catalogue import catalogue
from device_servers.services.epics.link import Link
from device_servers.services.epics.puts import LOGIN, Puts
from device_servers.services.epics.pv import OF_GATEWAY, PREFIX, Sample, Shape
from device_servers.services.kinds import class_named

RUN_NAME = "epics"
PATTERN = f"{PREFIX}:DEVICE:ATTRIBUTE"
NAMES = "Names"


class EpicsGateway(PtcsDevice):
    """Shows every attribute as a PV and passes on puts; nothing of it decides, and its loss stops no beam."""

    eager = True

    def init_device(self) -> None:
        """Open the ports, then look for the device servers."""
        super().init_device()
        # The libraries start threads, which a fork server must not have.
        from device_servers.services.epics.ca import CaServer  # noqa: PLC0415
        from device_servers.services.epics.pva import PvaServer  # noqa: PLC0415

        site, state = self.context.site, StateDir(self.context.state)
        shapes = [*catalogue(site, class_named), *own_shapes()]
        self._board = Board(shapes)
        self._puts = Puts(self.context.guard)
        before = _before(state)
        self._pva = PvaServer(self._board, self._puts, before.get("pva_env", {}))
        self._ca = CaServer(self._board, self._puts, before.get("ca_env", {}))
        names = sorted(shape.name for shape in shapes)
        self._board.publish([(f"{PREFIX}:{OF_GATEWAY}:{NAMES}", Sample(names, time.time()))])
        self._links = [
            Link(server, self._board) for server in sorted({shape.server for shape in shapes} - {""})
        ]
        for link in self._links:
            link.start()
        state.announce(
            RUN_NAME, pva_env=self._pva.environment, ca_env=self._ca.environment, pv_pattern=PATTERN
        )

    def delete_device(self) -> None:
        """Close the ports and let go of the servers."""
        for link in self._links:
            link.stop()
        self._ca.stop()
        self._pva.stop()
        StateDir(self.context.state).run_file(RUN_NAME).unlink(missing_ok=True)
        super().delete_device()

    # --- Attributes

    @derived(dtype=int)
    def Variables(self) -> int:
        """Process variables that are served."""
        return len(self._board.shapes)

    @derived(dtype=int)
    def LogIns(self) -> int:
        """EPICS accounts and peers that are logged in."""
        return self._puts.logins

    @derived(dtype=int)
    def AcceptedPuts(self) -> int:
        """Puts that were carried out since the start."""
        return self._puts.accepted

    @derived(dtype=int)
    def RefusedPuts(self) -> int:
        """Puts that were refused since the start."""
        return self._puts.refused

    def _state(self) -> tuple[DevState, str]:
        silent = [link.server for link in self._links if not link.up]
        if silent:
            return DevState.ALARM, _("no data from {devices}").format(devices=", ".join(silent))
        return DevState.RUNNING, _("{count} process variables").format(count=len(self._board.shapes))


def own_shapes() -> tuple[Shape, ...]:
    """PVs of the gateway itself: the log-in, and the names of all PVs."""
    return (
        Shape(
            OF_GATEWAY,
            LOGIN,
            "",
            "text",
            writable=True,
            description="put the token of a log-in; always reads empty",
        ),
        Shape(OF_GATEWAY, NAMES, "", "text", array=True, longest=20000, description="names of all PVs"),
    )


def _before(state: StateDir) -> dict[str, dict[str, str]]:
    """What a gateway that was killed had announced: clients find the next one at the same ports."""
    try:
        return state.endpoint(RUN_NAME)
    except LinkLost:
        return {}
