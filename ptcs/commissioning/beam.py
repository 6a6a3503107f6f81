"""Beam for measurements: through the room's PhysicsBeam, under the interlock, given back at the end."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from common.errors import LinkLost, PtcsError, Refused
from common.text import _
from common.units import air_density_correction
from ptcs.commissioning.bench import Floats
from ptcs.commissioning.tango_bench import TangoBench

PERMIT_S = 60.0
POLL_S = 0.05
SPOT_MU = 2.0
SIGMA_MM = 4.0
RUNNING = frozenset({"SWITCHING", "DELIVERING"})
FROM = {"LOADED": "Start", "HELD": "Resume"}
"""What gets beam under way from a state of the beam hardware."""
GONE = frozenset({"IDLE", "TERMINATED"})
"""States in which nothing more comes of a delivery: somebody ended it, or the hardware was started anew."""


class Aborted(LinkLost):
    """A delivery was ended before its last spot; what instruments collected is a part of it."""


@dataclass(frozen=True)
class Spot:
    """One spot asked for: index of its energy, place in mm, meterset in MU, expected sigma in mm."""

    layer: int
    x: float
    y: float
    mu: float
    sigma: float = SIGMA_MM


@dataclass(frozen=True)
class Delivered:
    """What the monitors saw of each spot, (n,): place and sigma in mm, counts; k_tp of the map."""

    x: Floats
    y: Floats
    size_x: Floats
    size_y: Floats
    primary: Floats
    secondary: Floats
    k_tp: float


class RoomBeam:
    """Beam in one room. Use it as a context: it ends beam, and gives it back, however the block ends."""

    def __init__(self, bench: TangoBench, room: str, patience_s: float = PERMIT_S) -> None:
        """patience_s: how long beam may take to come (back). Raises Refused: a room without PhysicsBeam."""
        site = bench.site
        rows = site.of_class("PhysicsBeam", room)
        if not rows:
            raise Refused(_("{room} has no PhysicsBeam; the site file names none").format(room=room))
        self.bench, self.room, self.device = bench, room, rows[0].name
        self._timing = site.of_class("Timing")[0].name
        self._allocation = site.of_class("BeamAllocation")[0].name
        self._interlock = site.of_class("Interlock")[0].name
        self._station = site.of_class("EnvironmentStation", room)[0].name
        self._patience = patience_s
        self._map: tuple[list[float], list[list[float]]] | None = None
        self._again = False
        self.revived: list[str] = []
        """Why beam had to be begun again, each time."""

    def __enter__(self) -> Self:
        """Get the beam for the room."""
        self.bench.command(self._allocation, "Request", self.room)
        self._until(lambda: self.bench.text(f"{self._allocation}/Owner") == self.room, "allocation")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End beam and give it back; what cannot be done any more is left as it is."""
        with suppress(PtcsError):
            self.end()
        with suppress(PtcsError):
            self.bench.command(self._allocation, "Release", self.room)

    def k_tp(self) -> float:
        """Correction of vented chambers for the room's air now. Raises LinkLost while it is unknown."""
        air = self.bench.read([f"{self._station}/Temperature", f"{self._station}/AirPressure"]).values
        if not np.isfinite(air).all():
            raise LinkLost(_("{name} is not known now").format(name=self._station))
        return air_density_correction(float(air[0]), float(air[1]))

    def steady(self, energy: float, mu: float = 2000.0) -> None:
        """Beam on the axis at an energy in MeV, begun again whenever it ends, until `end`."""
        spots = [Spot(0, 0.0, 0.0, SPOT_MU) for _number in range(max(int(mu / SPOT_MU), 1))]
        self._load([energy], spots)
        self._again = True
        self._start()

    def deliver(self, energies: Sequence[float], spots: Sequence[Spot], limit_s: float = 300.0) -> Delivered:
        """Deliver spots once, also after trips by a computer that was busy, and read the counters.

        Raises Refused for what the machine cannot deliver, Aborted when somebody else ended it, LinkLost when
        it does not end in time.
        """
        k_tp = self._load(energies, spots)
        self._again = False
        self._start()
        end = self.bench.now() + limit_s
        while (state := self.state()) != "COMPLETE":
            if state in GONE:
                text = _("delivery was ended before its last spot: beam is {state}; deliver it anew")
                raise Aborted(text.format(state=state))
            if state not in RUNNING:
                self.revive(state)
            if self.bench.now() > end:
                raise LinkLost(_("beam is {state} after {limit:.0f} s").format(state=state, limit=limit_s))
            self.bench.pause(POLL_S)
        held = json.loads(self.bench.command(self.device, "Counters"))
        names = ("x", "y", "size_x", "size_y", "primary", "secondary")
        return Delivered(**{name: np.array(held[name], dtype=np.float64) for name in names}, k_tp=k_tp)

    def revive(self, why: str) -> None:
        """Beam is gone: load anew where it came to its end, reset and go on where it tripped or was held.

        Raises Refused when it cannot be had again.
        """
        state = self.state()
        if state in RUNNING:
            return
        self.revived.append(f"{state}: {why}")
        if state in ("COMPLETE", "IDLE", "TERMINATED") and self._again and self._map is not None:
            self._reload()
            self._start()
        else:
            self._go()

    def end(self) -> None:
        """End beam and forget the map; another's map, which the device does not know, stays."""
        self._again = False
        if self.state() in RUNNING | {"HELD"}:
            self.bench.command(self.device, "Terminate")
            self._until(lambda: self.state() not in RUNNING, "end of beam")
        if self.state() != "IDLE":
            with suppress(Refused):
                self.bench.command(self.device, "Unload")
        self._map = None

    def state(self) -> str:
        """State of the beam hardware, asked of it now: what it pushed last may be of the map before."""
        return str(json.loads(self.bench.command(self.device, "Standing"))["state"])

    def _load(self, energies: Sequence[float], spots: Sequence[Spot]) -> float:
        rows = [[s.layer, s.x, s.y, s.mu, s.sigma] for s in spots]
        self._map = (list(map(float, energies)), rows)
        return self._reload()

    def _reload(self) -> float:
        assert self._map is not None
        energies, rows = self._map
        k_tp = self.k_tp()
        self.bench.command(self._timing, "LoadCycles", energies)
        asked: dict[str, Any] = {"energy": energies, "spots": rows, "k_tp": k_tp}
        self.bench.command(self.device, "Load", json.dumps(asked))
        return k_tp

    def _start(self) -> None:
        self.bench.command(self.device, "Ask")
        self._go()

    def _go(self) -> None:
        """Get beam under way from wherever it is: reset what tripped, start or resume, again for a while.

        Raises Aborted where nothing is loaded any more, Refused or LinkLost with the last reason.
        """
        end = self.bench.now() + self._patience
        while (state := self.state()) not in RUNNING | {"COMPLETE"}:
            if state in GONE:
                raise Aborted(_("beam is {state}: nothing is loaded that could go on").format(state=state))
            try:
                if self.bench.read([f"{self._interlock}/Tripped"]).values[0]:
                    with suppress(Refused):  # a trip of another, isolated room stands in nobody's way here
                        self.bench.command(self._interlock, "ResetTrips")
                if state in FROM:
                    self.bench.command(self.device, FROM[state])
            except (Refused, LinkLost):
                if self.bench.now() > end:
                    raise
            if self.bench.now() > end:
                text = _("beam is {state} after {limit:.0f} s")
                raise LinkLost(text.format(state=state, limit=self._patience))
            self.bench.pause(POLL_S)

    def _until(self, true: Any, what: str) -> None:
        end = self.bench.now() + self._patience
        while not true():
            if self.bench.now() > end:
                raise LinkLost(_("{what}: not within {limit:.0f} s").format(what=what, limit=self._patience))
            self.bench.pause(POLL_S)
