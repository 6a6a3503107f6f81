"""Wire drivers of what the beam hardware (fpga) owns: nozzle, timing, interlock, beam presence."""

import logging
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import PtcsError
from common.wire.frame import Frame
from device_servers.drivers.link import FrameLink
from device_servers.drivers.protocols import Floats, Wake
from device_servers.drivers.view import FrameView

log = logging.getLogger(__name__)

SPOT_COLUMNS = ("index", "x", "y", "size_x", "size_y", "primary", "secondary", "start_tick", "end_tick")
STATUS_S = 0.2

STATES = ("IDLE", "LOADED", "SWITCHING", "DELIVERING", "HELD", "TRIPPED", "COMPLETE", "TERMINATED")
"""Order of `fpga.state` on the wire."""
UNDER_WAY = ("SWITCHING", "DELIVERING")


class FpgaBeam(FrameView):
    """Implements BeamWatch: beam, or a map under way whose next spot may come at any moment."""

    def __init__(self, link: FrameLink) -> None:
        super().__init__(link, {"beam": "fpga.beam", "state": "fpga.state"})

    def beam(self) -> bool | None:
        """As of the last block; None when unknown."""
        beam, state = self.read().values
        if not (math.isfinite(beam) and math.isfinite(state)):
            return None
        return bool(beam) or STATES[int(state)] in UNDER_WAY

    def beam_now(self) -> bool | None:
        """As the fpga answers now; None when it does not answer."""
        try:
            status = self.link.request("status").body
            return bool(status["beam"]) or status["state"] in UNDER_WAY
        except (PtcsError, KeyError) as why:
            log.debug("beam: %s", why)
            return None


class FpgaNozzle(FrameView):
    """Implements Nozzle."""

    def __init__(self, link: FrameLink) -> None:
        super().__init__(
            link,
            {
                "primary": "nozzle.primary",
                "secondary": "nozzle.secondary",
                "x": "nozzle.x",
                "y": "nozzle.y",
                "dose_rate": "fpga.dose_rate",
                "beam": "fpga.beam",
            },
        )
        self._spots: deque[Floats] = deque()
        link.on_event("spots", self._add)

    def take_spots(self) -> Floats:
        """Rows (n, 10) of the spots finished since the last call."""
        rows = []
        while self._spots:
            rows.append(self._spots.popleft())
        return np.concatenate(rows) if rows else np.empty((0, 1 + len(SPOT_COLUMNS)))

    def _add(self, frame: Frame) -> None:
        columns = [np.asarray(frame.arrays[name], dtype=np.float64) for name in SPOT_COLUMNS]
        wall = np.full(len(columns[0]), float(frame.body["wall_ns"]) / 1e9)
        self._spots.append(np.column_stack([wall, *columns]))


class StatusPoller:
    """Keeps the latest `status` reply of the fpga: every 0.2 s, at once after a trip or change of state."""

    def __init__(self, link: FrameLink) -> None:
        self._link = link
        self._status: Mapping[str, Any] = {}
        self._trip: Mapping[str, Any] = {}
        self._now = threading.Event()
        self._wakes: list[Wake] = []
        link.on_event("trip", self._tripped)
        link.on_event("state", lambda _frame: self._now.set())
        link.on_event("hello", lambda _frame: self._now.set())
        threading.Thread(target=self._run, name=f"status-{link.name}", daemon=True).start()

    def status(self) -> Mapping[str, Any]:
        """The latest reply; empty while the link is not up."""
        return self._status if self._link.up else {}

    def last_trip(self) -> Mapping[str, Any]:
        """The latest trip: its `trip` event, or the first fault of a trip without beam; empty if none."""
        return self._trip

    def ask(self) -> None:
        """Ask again at once."""
        self._now.set()

    def listen(self, wake: Wake) -> None:
        """Call `wake` when the reply has changed."""
        self._wakes.append(wake)

    def _tripped(self, frame: Frame) -> None:
        self._trip = {key: value for key, value in frame.body.items() if key != "event"}
        self._now.set()

    def _run(self) -> None:
        while True:
            self._now.wait(STATUS_S)
            self._now.clear()
            before = self._status
            try:
                self._status = self._link.request("status").body
            except PtcsError as why:
                self._status = {}
                log.debug("status: %s", why)
            first = self._status.get("first_fault")
            if first and first["tick"] > self._trip.get("tick", -1):
                self._trip = {**first, "cause": first["input"], "beam_off_tick": None}
            if self._status != before:
                for wake in self._wakes:
                    wake()


class FpgaTiming(FrameView):
    """Implements TimingSystem."""

    def __init__(self, link: FrameLink, poller: StatusPoller) -> None:
        super().__init__(link, {"phase": "cycle.phase", "energy": "cycle.energy", "tick": "fpga.tick"})
        self._poller = poller

    def load_cycles(self, energies: Sequence[float]) -> None:
        """Load one machine cycle per energy (MeV)."""
        self.link.request("load_cycles", {"energies": [float(energy) for energy in energies]})

    def clock_factor(self) -> float | None:
        """Tick time over wall time; None when unknown."""
        factor = self._poller.status().get("factor")
        return None if factor is None else float(factor)


class FpgaInterlock(FrameView):
    """Implements InterlockSystem."""

    def __init__(self, link: FrameLink, poller: StatusPoller) -> None:
        super().__init__(link, {"tripped": "interlock.tripped", "beam": "fpga.beam"})
        self._poller = poller

    def listen(self, wake: Wake) -> None:
        """Call `wake` when something may have changed."""
        super().listen(wake)
        self._poller.listen(wake)

    def status(self) -> Mapping[str, Any]:
        """The latest `status` reply; empty while unknown."""
        return self._poller.status()

    def last_trip(self) -> Mapping[str, Any]:
        """The latest trip; empty if none."""
        return self._poller.last_trip()

    def reset(self, user: str, roles: Sequence[str]) -> None:
        """Clear latched trips whose cause is gone."""
        self._tell("reset", {"user": user, "roles": list(roles)})

    def set_input(self, name: str, ok: bool) -> None:
        """Drive an input that belongs to the control system."""
        self._tell("input", {"name": name, "ok": ok})

    def mask(self, name: str, user: str, roles: Sequence[str], reason: str, seconds: float) -> None:
        """Mask an input for a time."""
        body = {"name": name, "user": user, "roles": list(roles), "reason": reason, "seconds": seconds}
        self._tell("mask", body)

    def unmask(self, name: str, user: str, roles: Sequence[str]) -> None:
        """End a mask."""
        self._tell("unmask", {"name": name, "user": user, "roles": list(roles)})

    def _tell(self, verb: str, body: Mapping[str, Any]) -> None:
        self.link.request(verb, body)
        self._poller.ask()
