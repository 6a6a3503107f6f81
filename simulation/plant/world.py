"""What all parts of the plant share at an instant, and the rigidity of the beam that ties them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from common.ions import IONS, energy_of, rigidity
from simulation.plant.picture import Picture
from timing.cycle import Phase

__all__ = ["INJECTION_MEV", "IONS", "World", "energy_of", "rigidity"]

INJECTION_MEV = 7.0
"""Energy per nucleon at injection (machine.md: 7 MeV/u)."""


@dataclass(frozen=True)
class Delivered:
    """Spots that the beam hardware has ended in a room: monitor counts at an energy in MeV.

    temperature degC, pressure hPa: of the air that the monitor counted in.
    """

    room: str
    energy: float
    counts: int
    temperature: float
    pressure: float


@dataclass
class World:
    """The instant. Written by the plant and by the families in the order in which they step.

    clock_factor: beam devices live faster than the wall by this. energy: of the cycle, MeV.
    phase_age: seconds of beam time since the phase began. vacuum_good: no gauge above its limit.
    intensity: of the source, relative. rho_now: rigidity that the ring's dipoles stand at, T m.
    room: the room that the cycle is for, 1 for the first, 0 for none. ramp_s, injection_s: how long these
    phases last in beam time. heat_kw: what all magnets give off; heat: the same by role.
    cooling: flow of water by role, relative to nominal (1 where nobody says). rf_good: the ring's cavities
    hold the beam. knock_out: drive of the RF knock-out, relative to nominal, 0 with its gate closed.
    bumped: share of the injection and extraction kickers that are charged. charge: in the ring, relative to
    a nominal fill. blocked: optics elements that stop the beam now (stoppers, inserted cups).
    permits: outputs of the interlock as the beam hardware last told them; None before it ever did.
    gaps: optics element of a slit -> (centre, gap) in mm. degraded: energy behind the degrader in MeV
    (0: no degrader). picture: the beam at each element of the optics. delivered: spots since the last step.
    """

    ion: str
    clock_factor: float
    rng: np.random.Generator
    phase: Phase = Phase.IDLE
    energy: float = 0.0
    phase_age: float = 0.0
    seconds: float = 0.0
    heat_kw: float = 0.0
    vacuum_good: bool = True
    intensity: float = 0.0
    rho_now: float = 0.0
    room: int = 0
    ramp_s: float = 1.0
    injection_s: float = 0.3
    rf_good: bool = True
    knock_out: float = 1.0
    bumped: float = 1.0
    charge: float = 0.0
    degraded: float = 0.0
    heat: dict[str, float] = field(default_factory=dict)
    cooling: dict[str, float] = field(default_factory=dict)
    blocked: dict[str, bool] = field(default_factory=dict)
    gaps: dict[str, tuple[float, float]] = field(default_factory=dict)
    permits: Mapping[str, bool] | None = None
    picture: Picture = field(default_factory=Picture)
    delivered: list[Delivered] = field(default_factory=list)

    def permitted(self, output: str) -> bool:
        """Whether an actuator may follow its command. One that names no output always may."""
        return not output or self.permits is None or self.permits.get(output, False)

    @property
    def rho(self) -> float:
        """Rigidity that transport and flat-top stand at, T m; 0 before the first cycle."""
        return rigidity(self.ion, self.energy) if self.energy > 0 else 0.0

    @property
    def ring_rho(self) -> float:
        """Rigidity that the ring is driven to in this phase, T m."""
        if self.energy <= 0 or self.phase is Phase.IDLE:
            return 0.0
        if self.phase in (Phase.RAMP, Phase.FLAT_TOP):
            return self.rho
        return rigidity(self.ion, INJECTION_MEV)
