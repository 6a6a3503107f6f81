"""Wire driver of the timing system in the beam hardware."""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import PtcsError
from device_servers.drivers.fpga import StatusPoller
from device_servers.drivers.link import FrameLink
from device_servers.drivers.protocols import Wake
from device_servers.drivers.view import FrameView

log = logging.getLogger(__name__)

VIEW_S = 0.5


class FpgaTiming(FrameView):
    """Implements TimingSystem. What the timing shows is asked for every 0.5 s once somebody looks."""

    def __init__(self, link: FrameLink, poller: StatusPoller) -> None:
        super().__init__(link, {"phase": "cycle.phase", "energy": "cycle.energy", "tick": "fpga.tick"})
        self._poller = poller
        self._view: Mapping[str, Any] = {}
        self._wakes: list[Wake] = []
        self._now = threading.Event()
        self._looking = False

    def load_cycles(self, energies: Sequence[float]) -> None:
        """Load one machine cycle per energy (MeV)."""
        self.link.request("load_cycles", {"energies": [float(energy) for energy in energies]})

    def clock_factor(self) -> float | None:
        """Tick time over wall time; None when unknown."""
        factor = self._poller.status().get("factor")
        return None if factor is None else float(factor)

    def load(self, change: Mapping[str, Any]) -> None:
        """One change of a sequencer, of a pulser, or of the beam that cycles are for."""
        self.link.request("timing_load", dict(change))
        self._now.set()

    def look(self, wake: Wake) -> None:
        """Have the view kept fresh from now on; `wake` is called after each change, from any thread."""
        self._wakes.append(wake)
        if not self._looking:
            self._looking = True
            threading.Thread(target=self._run, name=f"timing-{self.link.name}", daemon=True).start()

    def view(self) -> Mapping[str, Any]:
        """The latest answer to `timing`; empty while unknown."""
        return self._view if self.link.up else {}

    def events(self, since: int) -> Mapping[str, Any]:
        """The event log from a number on, asked for now."""
        return self.link.request("timing_log", {"since": since}).body

    def sequence(self, number: int) -> Mapping[str, Any]:
        """What sequencer 1 or 2 has loaded, asked for now."""
        body: Mapping[str, Any] = self.link.request("timing", {"sequencer": number}).body["sequence"] or {}
        return body

    def _run(self) -> None:
        while True:
            self._now.wait(VIEW_S)
            self._now.clear()
            before = self._view
            try:
                self._view = self.link.request("timing").body
            except PtcsError as why:
                self._view = {}
                log.debug("timing: %s", why)
            if self._view != before:
                for wake in self._wakes:
                    wake()
